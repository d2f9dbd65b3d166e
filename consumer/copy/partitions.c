#include "copy/partitions.h"

#include "base/clock.h"
#include "base/iso8601.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PARTITIONS_SLOTS = 1 << 16, /* 90 years of days in one table are 33,000 */
	PARTITIONS_MAX = PARTITIONS_SLOTS / 2,
	PARTITIONS_BACK_DAYS = 400,
	PARTITIONS_AHEAD_DAYS = 2,
	PARTITIONS_PROMISED_MAX = 2048,
};

enum partition_state {
	PARTITION_UNKNOWN,
	PARTITION_ADMITTED,
	PARTITION_LOADING,
	PARTITION_THERE,
	PARTITION_RENAMED,
	PARTITION_DETACHED,
};

struct partitions {
	struct partition slots[PARTITIONS_SLOTS];
	uint8_t states[PARTITIONS_SLOTS]; /* enum partition_state */
	size_t count;
	uint32_t outside[TABLE_COUNT];
	uint32_t outside_max;
};

bool partitions_new(struct partitions **out, uint32_t outside_max, struct error *err)
{
	struct partitions *ps = calloc(1, sizeof(*ps));

	if (ps == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	ps->outside_max = outside_max;
	*out = ps;
	return true;
}

void partitions_free(struct partitions **p)
{
	free(*p);
	*p = NULL;
}

static int64_t partition_day(int64_t time_us)
{
	return time_us / US_PER_DAY - (time_us % US_PER_DAY < 0);
}

static int32_t partition_month(int64_t day)
{
	int64_t year;
	int month, day_of_month;

	iso8601_date(day, &year, &month, &day_of_month);
	return (int32_t)((year - 1970) * 12 + month - 1);
}

struct partition partition_of(enum table_id table, int64_t time_us)
{
	struct partition p = {table, PARTITION_UNDATED};

	if (time_us == TIME_UNDATED)
		return p;
	p.number = (int32_t)partition_day(time_us);
	if (tables[table].step == STEP_MONTH)
		p.number = partition_month(p.number);
	return p;
}

int64_t partition_time(struct partition p)
{
	if (p.number == PARTITION_UNDATED)
		return TIME_UNDATED;
	if (tables[p.table].step == STEP_MONTH)
		return iso8601_days(1970 + p.number / 12, 1 + p.number % 12, 1) * US_PER_DAY;
	return p.number * US_PER_DAY;
}

void partition_name(struct partition p, char out[static PARTITION_NAME_BYTES])
{
	const char *table = tables[p.table].name;
	int64_t year;
	int month, day;

	if (p.number == PARTITION_UNDATED) {
		snprintf(out, PARTITION_NAME_BYTES, "%s_undated", table);
		return;
	}
	iso8601_date(partition_day(partition_time(p)), &year, &month, &day);
	if (tables[p.table].step == STEP_MONTH)
		snprintf(out, PARTITION_NAME_BYTES, "%s_%04d_%02d", table, (int)year, month);
	else
		snprintf(out, PARTITION_NAME_BYTES, "%s_%04d_%02d_%02d", table, (int)year, month,
			day);
}

void partition_loading_name(struct partition p, char out[static PARTITION_NAME_BYTES])
{
	partition_name(p, out);
	memcpy(out + strlen(out), "_loading", sizeof("_loading"));
}

bool partition_name_parse(const char *name, struct partition *out)
{
	for (int id = 0; id < TABLE_COUNT; id++) {
		size_t size = strlen(tables[id].name);
		int year, month, day = 1, used = 0;
		bool monthly = tables[id].step == STEP_MONTH;

		if (tables[id].step == STEP_NONE || strncmp(name, tables[id].name, size) != 0)
			continue;
		if (strcmp(name + size, "_undated") == 0) {
			*out = (struct partition){(enum table_id)id, PARTITION_UNDATED};
			return true;
		}
		if (monthly)
			(void)sscanf(name + size, "_%4d_%2d%n", &year, &month, &used);
		else
			(void)sscanf(name + size, "_%4d_%2d_%2d%n", &year, &month, &day, &used);
		if (used == 0 || name[size + (size_t)used] != '\0' || month < 1 || month > 12)
			continue;
		*out = partition_of((enum table_id)id, iso8601_days(year, month, day) * US_PER_DAY);
		return true;
	}
	return false;
}

static size_t partition_slot(const struct partitions *ps, struct partition p)
{
	uint32_t hash = ((uint32_t)p.number * 31 + (uint32_t)p.table) * UINT32_C(2654435761);
	size_t slot = hash >> 16;

	while (ps->states[slot] != PARTITION_UNKNOWN &&
		(ps->slots[slot].table != p.table || ps->slots[slot].number != p.number))
		slot = (slot + 1) & (PARTITIONS_SLOTS - 1);
	return slot;
}

static bool partition_is_outside(struct partition p)
{
	int64_t time_us = partition_time(p), now_us = clock_wall_us();

	return p.number != PARTITION_UNDATED &&
	       (time_us < now_us - (PARTITIONS_BACK_DAYS + 31) * US_PER_DAY ||
		       time_us > now_us + PARTITIONS_AHEAD_DAYS * US_PER_DAY);
}

bool partitions_has(const struct partitions *ps, struct partition p)
{
	enum partition_state state = (enum partition_state)ps->states[partition_slot(ps, p)];

	return state == PARTITION_THERE || state == PARTITION_RENAMED;
}

bool partitions_is_renamed(const struct partitions *ps, struct partition p)
{
	return ps->states[partition_slot(ps, p)] == PARTITION_RENAMED;
}

bool partitions_is_detached(const struct partitions *ps, struct partition p)
{
	return ps->states[partition_slot(ps, p)] == PARTITION_DETACHED;
}

static void partitions_clear(struct partitions *ps)
{
	memset(ps->states, PARTITION_UNKNOWN, sizeof(ps->states));
	memset(ps->outside, 0, sizeof(ps->outside));
	ps->count = 0;
}

static void partitions_put(struct partitions *ps, struct partition p, enum partition_state state)
{
	size_t slot = partition_slot(ps, p);

	if (ps->states[slot] == PARTITION_UNKNOWN) {
		if (ps->count >= PARTITIONS_MAX) {
			partitions_clear(ps); /* what is needed is asked for again */
			slot = partition_slot(ps, p);
		}
		ps->slots[slot] = p;
		ps->count++;
		ps->outside[p.table] += partition_is_outside(p);
	}
	ps->states[slot] = (uint8_t)state;
}

void partitions_add(struct partitions *ps, struct partition p)
{
	partitions_put(ps, p, PARTITION_THERE);
}

void partitions_add_renamed(struct partitions *ps, struct partition p)
{
	partitions_put(ps, p, PARTITION_RENAMED);
}

bool partition_refuse_result(struct partition p, struct error *err)
{
	char name[PARTITION_NAME_BYTES];

	partition_name(p, name);
	error_set(err, ERROR_POISON, "partition_detached",
		"the call that this message answers is in table \"%s\", which is not a partition "
		"of \"%s\"",
		name, tables[p.table].name);
	return error_hint(err,
		"attach it again, then `ocpp-persister dead-letters requeue --reason "
		"partition_detached`");
}

void partitions_promise(struct partitions *ps, struct partition p)
{
	if (ps->states[partition_slot(ps, p)] == PARTITION_UNKNOWN)
		partitions_put(ps, p, PARTITION_ADMITTED);
}

void partitions_add_loading(struct partitions *ps, struct partition p)
{
	partitions_put(ps, p, PARTITION_LOADING);
}

void partitions_end_loading(struct partitions *ps, struct partition p)
{
	partitions_put(ps, p, PARTITION_ADMITTED);
}

bool partitions_is_loading(const struct partitions *ps, struct partition p)
{
	return ps->states[partition_slot(ps, p)] == PARTITION_LOADING;
}

void partitions_add_detached(struct partitions *ps, struct partition p)
{
	partitions_put(ps, p, PARTITION_DETACHED);
}

void partitions_forget(struct partitions *ps)
{
	struct partition promised[PARTITIONS_PROMISED_MAX];
	size_t count = 0;

	for (size_t i = 0; i < PARTITIONS_SLOTS && count < PARTITIONS_PROMISED_MAX; i++) {
		if (ps->states[i] == PARTITION_ADMITTED || ps->states[i] == PARTITION_LOADING)
			promised[count++] = ps->slots[i];
	}
	partitions_clear(ps);
	for (size_t i = 0; i < count; i++)
		partitions_put(ps, promised[i], PARTITION_ADMITTED);
}

bool partitions_admit(struct partitions *ps, struct partition p)
{
	enum partition_state state = (enum partition_state)ps->states[partition_slot(ps, p)];

	if (state != PARTITION_UNKNOWN)
		return state != PARTITION_DETACHED;
	if (partition_is_outside(p) && ps->outside[p.table] >= ps->outside_max)
		return false;
	partitions_put(ps, p, PARTITION_ADMITTED);
	return true;
}
