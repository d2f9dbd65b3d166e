#include "base/clock.h"
#include "base/iso8601.h"
#include "rows/rows_private.h"

/* Rows older than their table keeps. Partitions are dropped whole, so the limit is the beginning of
 * one: an earlier row would create a partition that is dropped again. */
static int64_t expiry_floor(enum table_step step, int64_t time_us)
{
	int64_t day = time_us / US_PER_DAY, year;
	int month, day_of_month;

	if (step == STEP_MONTH) {
		iso8601_date(day, &year, &month, &day_of_month);
		day = iso8601_days(year, month, 1);
	}
	return day * US_PER_DAY;
}

void rows_set_now(struct rows_builder *b, int64_t now_us)
{
	for (int i = 0; i < EVENT_TABLES; i++) {
		int64_t age_us = b->options.retention_us[i];

		/* Event times begin in 2010, so none is before 0. */
		b->expired_before_us[i] = age_us == 0 || age_us > now_us
						  ? 0
						  : expiry_floor(tables[i].step, now_us - age_us);
	}
}

static bool expiry_is_event(const struct row *row)
{
	return row->table->merge == MERGE_COPY;
}

static bool expiry_is_over(const struct rows_builder *b, const struct row *row)
{
	int64_t time_us;

	if (!expiry_is_event(row))
		return false;
	time_us = row->cells[KEY_TIME].number;
	return time_us != TIME_UNDATED && time_us < b->expired_before_us[row->table->id];
}

/* A row that stays even if the message's rows expire: a layout, which counts as known from now
 * on. */
static bool expiry_is_apart(const struct row *row)
{
	return row->table->id == TABLE_meter_value_layouts;
}

/* The list without the expired rows, or with only the layouts. */
static void expiry_filter(const struct rows_builder *b, struct rows_result *out, bool all)
{
	struct row *row = out->first, *next;

	out->first = out->last = NULL;
	for (; row != NULL; row = next) {
		next = row->next;
		if (all ? !expiry_is_apart(row) : expiry_is_over(b, row))
			continue;
		row->next = NULL;
		if (out->last == NULL)
			out->first = row;
		else
			out->last->next = row;
		out->last = row;
	}
}

void rows_expire(const struct rows_builder *b, struct rows_result *out)
{
	bool own_is_over = out->first != NULL && expiry_is_over(b, out->first);
	size_t over = 0, left = 0;

	for (const struct row *row = out->first; row != NULL; row = row->next) {
		over += expiry_is_over(b, row);
		left += expiry_is_event(row) && !expiry_is_over(b, row);
	}
	if (over == 0)
		return;
	expiry_filter(b, out, left == 0);
	if (own_is_over || left == 0) {
		/* Halves belong to the message's own row. */
		out->halves = NULL;
		out->transaction = NULL;
	}
	if (left == 0)
		out->skipped = "expired";
}
