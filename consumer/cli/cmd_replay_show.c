#include "cli/replay.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SHOW_BAR = 24 };

static const int64_t SHOW_LOG_US = 10 * US_PER_SECOND;

/* Those that were found when loaded tables got their index were counted as stored until then. */
static void show_take_duplicates(struct replay_report *sum)
{
	uint64_t count = sum->loads.duplicates < sum->stored ? sum->loads.duplicates : sum->stored;

	sum->stored -= count;
	sum->duplicate += count;
}

/* All jobs together. */
static struct replay_report show_sum(const struct replay_report *jobs, size_t count)
{
	struct replay_report sum = {.ok = true, .over = true};

	for (size_t i = 0; i < count; i++) {
		const struct replay_report *r = &jobs[i];

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
		for (uint32_t k = 0; k < r->dead_reasons.count; k++)
			replay_reasons_add(&sum.dead_reasons, r->dead_reasons.items[k].label,
				r->dead_reasons.items[k].count);
		for (uint32_t k = 0; k < r->skip_reasons.count; k++)
			replay_reasons_add(&sum.skip_reasons, r->skip_reasons.items[k].label,
				r->skip_reasons.items[k].count);
	}
	show_take_duplicates(&sum);
	return sum;
}

static uint64_t show_messages(const struct replay_report *r)
{
	return r->stored + r->duplicate + r->dead_lettered + r->skipped;
}

static void show_line(const struct replay_report *sum, double part, double per_s, size_t jobs,
	int64_t elapsed_us)
{
	int filled = (int)(part * SHOW_BAR);
	char eta[32] = "";

	if (part > 0.01 && part < 1) {
		int64_t left_s = (int64_t)((double)elapsed_us / US_PER_SECOND * (1 - part) / part);

		snprintf(eta, sizeof(eta), ", %" PRId64 ":%02" PRId64 ":%02" PRId64 " left",
			left_s / 3600, left_s / 60 % 60, left_s % 60);
	}
	fprintf(stderr, "\r[%.*s%*s] %3.0f%%  %" PRIu64 " messages, %.0f/s%s, %zu %s \033[K",
		filled, "########################", SHOW_BAR - filled, "", part * 100,
		show_messages(sum), per_s, eta, jobs, jobs == 1 ? "job" : "jobs");
	if (sum->over)
		fprintf(stderr, "\n");
	log_set_bar(!sum->over);
	(void)fflush(stderr);
}

void replay_show_progress(const struct replay_options *options, const struct replay_report *jobs,
	size_t count, int64_t bytes, int64_t elapsed_us)
{
	static int64_t logged_us;
	struct replay_report sum = show_sum(jobs, count);
	double part = bytes > 0 ? (double)sum.bytes / (double)bytes : 0;
	double per_s = elapsed_us > 0
			       ? (double)show_messages(&sum) * US_PER_SECOND / (double)elapsed_us
			       : 0;

	if (part > 1)
		part = 1;
	if (isatty(STDERR_FILENO) && !options->json) {
		show_line(&sum, part, per_s, count, elapsed_us);
		return;
	}
	if (elapsed_us - logged_us < SHOW_LOG_US)
		return;
	logged_us = elapsed_us;
	log_info("replaying", "",
		"percent=%.1f records=%" PRIu64 " messages=%" PRIu64 " per_second=%.0f "
		"bytes=%" PRId64,
		part * 100, sum.records, show_messages(&sum), per_s, sum.bytes);
}

/* ---- the end ---- */

static void show_reasons(const char *what, const struct replay_reasons *reasons)
{
	for (uint32_t i = 0; i < reasons->count; i++)
		printf("  %s %s: %" PRIu64 "\n", what, reasons->items[i].label,
			reasons->items[i].count);
}

static void show_json_reasons(const char *name, const struct replay_reasons *reasons)
{
	printf(",\"%s\":{", name);
	for (uint32_t i = 0; i < reasons->count; i++)
		printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", reasons->items[i].label,
			reasons->items[i].count);
	printf("}");
}

void replay_show_summary(const struct replay_options *options, const struct replay_report *jobs,
	size_t count, int64_t elapsed_us)
{
	struct replay_report sum = show_sum(jobs, count);

	log_set_bar(false);
	for (size_t i = 0; i < count; i++) {
		struct error err = {.hint = ""};

		if (jobs[i].ok)
			continue;
		snprintf(err.message, sizeof(err.message), "%s", jobs[i].failure);
		snprintf(err.hint, sizeof(err.hint), "%s", jobs[i].hint);
		(void)cli_fail(EXIT_CODE_FAILED, &err);
	}
	if (!sum.ok)
		fprintf(stderr, "hint: the same command continues where it stopped\n");
	if (options->json) {
		printf("{\"ok\":%s,\"resumed\":%s,\"records\":%" PRIu64 ",\"messages\":%" PRIu64
		       ",\"stored\":%" PRIu64 ",\"duplicate\":%" PRIu64
		       ",\"dead_lettered\":%" PRIu64 ",\"skipped\":%" PRIu64
		       ",\"unreadable\":%" PRIu64 ",\"loaded_rows\":%" PRIu64
		       ",\"loaded_partitions\":%" PRIu64 ",\"waiting_partitions\":%" PRIu64
		       ",\"seconds\":%.3f",
			sum.ok ? "true" : "false", sum.resumed ? "true" : "false", sum.records,
			show_messages(&sum), sum.stored, sum.duplicate, sum.dead_lettered,
			sum.skipped, sum.unreadable, sum.loads.rows, sum.loads.tables,
			sum.loads.waiting, (double)elapsed_us / US_PER_SECOND);
		show_json_reasons("dead_lettered_reasons", &sum.dead_reasons);
		show_json_reasons("skipped_reasons", &sum.skip_reasons);
		printf("}\n");
		return;
	}
	printf("%s%" PRIu64 " records, %" PRIu64 " messages = %" PRIu64 " stored + %" PRIu64
	       " duplicate + %" PRIu64 " dead-lettered + %" PRIu64 " skipped; %" PRIu64
	       " unreadable\n",
		sum.resumed ? "went on: " : "", sum.records, show_messages(&sum), sum.stored,
		sum.duplicate, sum.dead_lettered, sum.skipped, sum.unreadable);
	show_reasons("dead-lettered", &sum.dead_reasons);
	show_reasons("skipped", &sum.skip_reasons);
	if (sum.loads.rows > 0 || sum.loads.tables > 0)
		printf("  loaded before they were partitions: %" PRIu64
		       " days of meter values, %" PRIu64 " rows\n",
			sum.loads.tables, sum.loads.rows);
	if (sum.loads.waiting > 0)
		printf("  not visible yet, because another replay still fills them: %" PRIu64
		       " days; its end makes them so\n",
			sum.loads.waiting);
}
