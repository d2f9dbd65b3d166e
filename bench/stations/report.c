#include "stations/report.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

enum { REPORT_BYTES = 4096 };

void report_begin_ledger(struct ledger *l, const struct options *o)
{
	uint8_t text[REPORT_BYTES];
	struct writer w;

	writer_init(&w, text, sizeof(text), WRITER_JSON);
	options_put(o, &w);
	CHECK(!w.full);
	ledger_begin(l, (uint64_t)o->seed, writer_slice(&w));
}

void report_status(const struct counts *c, const struct counts *shown, int64_t elapsed_us)
{
	uint64_t rate =
		(c->published - shown->published) * (uint64_t)US_PER_SECOND / (uint64_t)elapsed_us;

	fprintf(stderr,
		"published %" PRIu64 " (%" PRIu64 "/s)  acknowledged %" PRIu64
		"  duplicates %" PRIu64 "  republished %" PRIu64 "  reconnects %" PRIu64 "\n",
		c->published, rate, c->acknowledged, c->duplicates, c->links.republished,
		c->reconnects);
}

/* Microseconds as seconds with milliseconds. */
static struct amount report_seconds(int64_t us)
{
	return (struct amount){.units = us / US_PER_MS, .decimals = 3};
}

static int64_t report_cpu_us(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) != 0)
		return 0;
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_SECOND +
	       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

static void report_count(struct writer *w, const char *name, uint64_t count)
{
	writer_key_bytes(w, name, strlen(name));
	writer_int(w, (int64_t)count);
}

static void report_put(struct writer *w, const struct counts *c, const struct options *o)
{
	int64_t us = c->last_us - c->begin_us;

	writer_map(w);
	report_count(w, "seed", (uint64_t)o->seed);
	report_count(w, "published", c->published);
	report_count(w, "acknowledged", c->acknowledged);
	report_count(w, "duplicates", c->duplicates);
	report_count(w, "mqtt_messages", c->packets);
	report_count(w, "mqtt_publishes", c->links.packets);
	report_count(w, "republished", c->links.republished);
	report_count(w, "unrouted", c->links.unrouted);
	report_count(w, "refused", c->links.refused);
	report_count(w, "not_kept", c->links.early);
	report_count(w, "reconnects", c->reconnects);
	writer_key(w, "actions");
	writer_map(w);
	for (int i = 0; i < ACTIONS_COUNT; i++) {
		if (c->actions[i] > 0)
			report_count(w, action_name((enum action)i), c->actions[i]);
	}
	writer_end(w);
	writer_key(w, "seconds");
	writer_amount(w, report_seconds(us));
	report_count(w, "messages_per_second",
		us == 0 ? 0 : c->acknowledged * (uint64_t)US_PER_SECOND / (uint64_t)us);
	writer_key(w, "cpu_seconds");
	writer_amount(w, report_seconds(report_cpu_us()));
	writer_end(w);
}

void report_end(const struct counts *c, const struct options *o, struct ledger *l)
{
	uint8_t text[REPORT_BYTES];
	struct writer w;
	struct slice line;

	writer_init(&w, text, sizeof(text), WRITER_JSON);
	report_put(&w, c, o);
	CHECK(!w.full);
	line = writer_slice(&w);
	ledger_end(l, slice_of(line.data + 1, line.size - 2));
	printf("%.*s\n", SLICE_ARG(line));
	(void)fflush(stdout);
}
