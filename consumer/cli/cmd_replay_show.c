#include "cli/cmd_replay.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SHOW_BAR = 24 };

static const int64_t SHOW_LOG_US = 10 * US_PER_SECOND;

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

void cmd_replay_show_progress(const struct cmd_replay *options,
	const struct replay_reports *reports)
{
	static int64_t logged_us;
	struct replay_report sum = replay_reports_sum(reports);
	int64_t elapsed_us = clock_mono_us() - reports->begun_us;
	double part = reports->bytes > 0 ? (double)sum.bytes / (double)reports->bytes : 0;
	double per_s = elapsed_us > 0
			       ? (double)show_messages(&sum) * US_PER_SECOND / (double)elapsed_us
			       : 0;

	if (part > 1)
		part = 1;
	if (isatty(STDERR_FILENO) && !options->json) {
		show_line(&sum, part, per_s, reports->count, elapsed_us);
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

void cmd_replay_show_reasons(const char *what, const struct replay_reasons *reasons)
{
	for (uint32_t i = 0; i < reasons->count; i++)
		printf("  %s %s: %" PRIu64 "\n", what, reasons->items[i].label,
			reasons->items[i].count);
}

void cmd_replay_show_json_reasons(const char *name, const struct replay_reasons *reasons)
{
	printf(",\"%s\":{", name);
	for (uint32_t i = 0; i < reasons->count; i++)
		printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", reasons->items[i].label,
			reasons->items[i].count);
	printf("}");
}

static void show_json(const struct replay_report *sum, int64_t elapsed_us)
{
	printf("{\"ok\":%s,\"resumed\":%s,\"records\":%" PRIu64 ",\"messages\":%" PRIu64
	       ",\"stored\":%" PRIu64 ",\"duplicate\":%" PRIu64 ",\"dead_lettered\":%" PRIu64
	       ",\"skipped\":%" PRIu64 ",\"unreadable\":%" PRIu64 ",\"loaded_rows\":%" PRIu64
	       ",\"loaded_partitions\":%" PRIu64 ",\"waiting_partitions\":%" PRIu64
	       ",\"seconds\":%.3f",
		sum->ok ? "true" : "false", sum->resumed ? "true" : "false", sum->records,
		show_messages(sum), sum->stored, sum->duplicate, sum->dead_lettered, sum->skipped,
		sum->unreadable, sum->loads.rows, sum->loads.tables, sum->loads.waiting,
		(double)elapsed_us / US_PER_SECOND);
	cmd_replay_show_json_reasons("dead_lettered_reasons", &sum->dead_reasons);
	cmd_replay_show_json_reasons("skipped_reasons", &sum->skip_reasons);
	printf("}\n");
}

static void show_text(const struct replay_report *sum)
{
	printf("%s%" PRIu64 " records, %" PRIu64 " messages = %" PRIu64 " stored + %" PRIu64
	       " duplicate + %" PRIu64 " dead-lettered + %" PRIu64 " skipped; %" PRIu64
	       " unreadable\n",
		sum->resumed ? "went on: " : "", sum->records, show_messages(sum), sum->stored,
		sum->duplicate, sum->dead_lettered, sum->skipped, sum->unreadable);
	cmd_replay_show_reasons("dead-lettered", &sum->dead_reasons);
	cmd_replay_show_reasons("skipped", &sum->skip_reasons);
	if (sum->loads.rows > 0 || sum->loads.tables > 0)
		printf("  loaded before they were partitions: %" PRIu64
		       " days of meter values, %" PRIu64 " rows\n",
			sum->loads.tables, sum->loads.rows);
	if (sum->loads.waiting > 0)
		printf("  not visible yet, because another replay still fills them: %" PRIu64
		       " days; its end makes them so\n",
			sum->loads.waiting);
}

/* Reports what went wrong with each job. Returns the exit code of the first that failed. */
static enum exit_code show_failures(const struct replay_reports *reports)
{
	enum exit_code first = EXIT_CODE_OK;

	for (size_t i = 0; i < reports->count; i++) {
		struct error err = reports->jobs[i].failure;
		enum exit_code code;

		if (reports->jobs[i].ok)
			continue;
		code = cli_fail_database(&err);
		first = first == EXIT_CODE_OK ? code : first;
	}
	return first;
}

/* Dead letters of other reasons are the messages' own fault; these are kept out by a setting. */
static bool show_partition_limit(const struct replay_reasons *reasons)
{
	for (uint32_t i = 0; i < reasons->count; i++) {
		if (strcmp(reasons->items[i].label, "partition_limit") != 0)
			continue;
		fprintf(stderr,
			"hint: %" PRIu64 " messages are of days far from now that would need more "
			"partitions than partitions.outside_max allows: raise it, and run the same "
			"command again; then `ocpp-persister dead-letters discard --reason "
			"partition_limit`\n",
			reasons->items[i].count);
		return true;
	}
	return false;
}

enum exit_code cmd_replay_show_summary(const struct cmd_replay *options,
	const struct replay_reports *reports)
{
	struct replay_report sum = replay_reports_sum(reports);
	enum exit_code code;
	bool limited;

	log_set_bar(false);
	code = show_failures(reports);
	limited = show_partition_limit(&sum.dead_reasons);
	if (!sum.ok)
		fprintf(stderr, "hint: once the cause is gone, the same command continues where it "
				"stopped\n");
	if (options->json)
		show_json(&sum, clock_mono_us() - reports->begun_us);
	else
		show_text(&sum);
	return code == EXIT_CODE_OK && (sum.unreadable > 0 || limited) ? EXIT_CODE_FAILED : code;
}
