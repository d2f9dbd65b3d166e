#include "replay/report.h"

#include <stdio.h>
#include <string.h>

void replay_reasons_add(struct replay_reasons *reasons, const char *label, uint64_t count)
{
	uint32_t i = 0;

	while (i < reasons->count &&
		strncmp(reasons->items[i].label, label, sizeof(reasons->items[i].label) - 1) != 0)
		i++;
	CHECK(i < REPLAY_REASONS_MAX);
	if (i == reasons->count) {
		snprintf(reasons->items[i].label, sizeof(reasons->items[i].label), "%s", label);
		reasons->count++;
	}
	reasons->items[i].count += count;
}

static void report_add_reasons(struct replay_reasons *sum, const struct replay_reasons *part)
{
	for (uint32_t i = 0; i < part->count; i++)
		replay_reasons_add(sum, part->items[i].label, part->items[i].count);
}

/* Duplicates that were found when loaded tables got their index had been counted as stored. */
static void report_take_duplicates(struct replay_report *sum)
{
	uint64_t count = sum->loads.duplicates < sum->stored ? sum->loads.duplicates : sum->stored;

	sum->stored -= count;
	sum->duplicate += count;
}

struct replay_report replay_reports_sum(const struct replay_reports *reports)
{
	struct replay_report sum = {.ok = true, .over = true};

	for (size_t i = 0; i < reports->count; i++) {
		const struct replay_report *r = &reports->jobs[i];

		sum.ok &= r->ok;
		sum.over &= r->over;
		sum.resumed |= r->resumed;
		sum.records += r->records;
		sum.bytes += r->bytes;
		sum.unreadable += r->unreadable;
		sum.stored += r->stored;
		sum.duplicate += r->duplicate;
		sum.dead_lettered += r->dead_lettered;
		sum.skipped += r->skipped;
		sum.loads.rows += r->loads.rows;
		sum.loads.tables += r->loads.tables;
		sum.loads.duplicates += r->loads.duplicates;
		sum.loads.waiting += r->loads.waiting;
		report_add_reasons(&sum.dead_reasons, &r->dead_reasons);
		report_add_reasons(&sum.skip_reasons, &r->skip_reasons);
	}
	report_take_duplicates(&sum);
	return sum;
}
