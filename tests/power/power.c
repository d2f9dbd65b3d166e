/*
 * Power cuts in the life of a log, and what is promised of it after each (spool/spool.h):
 *
 *	power_cuts [--cuts N] [--seed N] [--fault data|folder] [--folder PATH]
 *
 * Histories of a few lives: a log is opened, appended to, synced, read, released, rotated, packed,
 * closed or not, given another identity, while disk.h writes down what it does to its files. Then
 * the power is cut at any of these calls, in any way that a disk may, and what was left is opened:
 *
 *	opens      a log always opens; if all was acknowledged, nothing is set aside as damaged
 *	kept       what was acknowledged and not released is there, in its order, as it was
 *	invented   and nothing that was never appended
 *	known      the database's position in it is recognised, and nothing after it is lost
 *	numbers    new records get numbers that none had before
 *	identity   is the one it had
 *
 * One of the cuts is where the next life begins. --fault: a disk whose syncs do nothing; then
 * something must be found, else this is not worth its name. Exit code 0 if everything holds.
 */
#include "disk.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/uuid.h"
#include "spool/spool.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	POWER_RECORDS_MAX = 4096, /* of a history */
	POWER_PAYLOAD_MAX = 3000,
	POWER_LIVES = 4,
	POWER_CUTS_OF_A_LIFE = 8,
	POWER_SEGMENT_BYTES = 32 * 1024,
};

/* What was appended, and when. "When" is a number of calls; a life before this one: 0. */
struct power_record {
	uint64_t seq, number; /* number: what its payload is made of */
	bool durable;
	size_t appended;
	size_t acknowledged; /* SIZE_MAX: not */
};

/* What the database knows, from some moment on. */
struct power_step {
	size_t since;
	struct position at;
};

struct power_truth {
	struct power_record records[POWER_RECORDS_MAX];
	size_t count, lived; /* lived: those of lives before this one */
	struct power_step steps[POWER_RECORDS_MAX];
	size_t steps_count;
	size_t identified; /* since then the identity is known to somebody; SIZE_MAX: not yet */
	size_t renewing;   /* since then it may be another one; SIZE_MAX: not */
	struct uuid identity;
	uint64_t next_number;
};

struct power {
	uint64_t random, seed;
	uint64_t cuts, cuts_wanted, findings, records;
	enum disk_fault fault;
	char folder[256], live[300], left[300];
	struct arena arena;
	struct error err;
	bool syncs; /* this log, each message */
	struct power_truth truth;
};

static void power_found(struct power *p, const char *promise, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void power_found(struct power *p, const char *promise, const char *format, ...)
{
	va_list arguments;

	p->findings++;
	if (p->fault != DISK_HONEST)
		return;
	printf("seed=%" PRIu64 " cut=%" PRIu64 " %s: ", p->seed, p->cuts, promise);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

static void empty_folder(const char *path)
{
	DIR *opened = opendir(path);
	struct dirent *entry;
	char name[600];

	CHECK(opened != NULL);
	while ((entry = readdir(opened)) != NULL) {
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.')
			CHECK(unlink(name) == 0);
	}
	closedir(opened);
}

static bool is_uuid(struct uuid a, const struct uuid *b)
{
	return memcmp(&a, b, sizeof(a)) == 0;
}

/* Half of the logs sync each message; half pack what is kept. */
static struct spool_options power_options(const char *folder, uint64_t *random)
{
	bool archive = disk_random(random, 2) == 0;
	uint64_t sync = disk_random(random, 4);

	return (struct spool_options){.dir = folder,
		.sync = sync < 2    ? SPOOL_SYNC_MESSAGE
			: sync == 2 ? SPOOL_SYNC_INTERVAL
				    : SPOOL_SYNC_NONE,
		.sync_interval_us = 1000,
		.segment_bytes = POWER_SEGMENT_BYTES,
		.bytes_max = 100 * POWER_SEGMENT_BYTES,
		.retain_us = archive ? US_PER_DAY : 0,
		.archive = archive};
}

/* An identity that was half made is made whole first, as its error asks for. */
static bool power_open(struct power *p, struct spool **out, const struct spool_options *options,
	size_t calls)
{
	struct spool_renewal renewal = {.keep_session = false};

	return spool_open(out, options, &p->err) ||
	       (p->truth.renewing <= calls && spool_new_identity(options->dir, &renewal, &p->err) &&
		       spool_open(out, options, &p->err));
}

/* ---- records ---- */

static struct record power_make(uint64_t number, uint8_t payload[static POWER_PAYLOAD_MAX])
{
	uint64_t random = number;
	size_t size = sizeof(number) + disk_random(&random, POWER_PAYLOAD_MAX - sizeof(number));

	/* Bytes that look like the format's own. */
	memset(payload, 0x9a, size);
	memcpy(payload, &number, sizeof(number));
	return (struct record){.received_us = 1 + (int64_t)number,
		.flags = 1,
		.topic = SLICE("cs/in/ocpp1.6/cs001"),
		.trace = SLICE("t"),
		.payload = slice_of(payload, size)};
}

static bool power_is(const struct record *r, uint64_t number)
{
	uint8_t payload[POWER_PAYLOAD_MAX];
	struct record made = power_make(number, payload);

	return r->received_us == made.received_us && r->flags == made.flags &&
	       slice_equal(r->topic, made.topic) && slice_equal(r->trace, made.trace) &&
	       slice_equal(r->payload, made.payload);
}

static const struct power_record *power_find(const struct power_truth *t, uint64_t seq,
	size_t calls)
{
	for (size_t i = t->count; i-- > 0;) {
		if (t->records[i].seq == seq && t->records[i].appended <= calls)
			return &t->records[i];
	}
	return NULL;
}

/* Everything that was ever appended was acknowledged: nothing can be half there. */
static bool power_is_quiet(const struct power_truth *t, size_t calls)
{
	for (size_t i = 0; i < t->count; i++) {
		if (t->records[i].appended <= calls && t->records[i].acknowledged > calls)
			return false;
	}
	return true;
}

/* ---- after a cut ---- */

static struct position power_known(const struct power_truth *t, size_t calls)
{
	struct position at = {0};

	for (size_t i = 0; i < t->steps_count && t->steps[i].since <= calls; i++)
		at = t->steps[i].at;
	return at;
}

/* What comes after that number is there; of the rest what is there is as it was. */
static void power_audit_records(struct power *p, struct spool *s, const struct position *at,
	bool known, size_t calls)
{
	const struct power_truth *t = &p->truth;
	struct spool_cursor *c;
	struct record r;
	struct position found = *at;
	struct error err;
	uint64_t lost = 0, last = 0;
	size_t i = 0;
	enum spool_next next;

	CHECK(spool_cursor_open(&c, s, &err));
	if (known && !spool_cursor_recognise(c, at, &found, &err))
		power_found(p, "known", "%" PRIu64 ": %s", at->seq, err.message);
	if (!spool_cursor_seek(c, known ? at->seq : 0, &lost, &err))
		power_found(p, "kept", "%s", err.message);
	/* Not numbers that were left out. */
	if (known && lost > 0 && found.records != at->records)
		power_found(p, "kept", "%" PRIu64 " are counted as lost", lost);
	while ((next = spool_cursor_next(c, &p->arena, &r, &err)) == SPOOL_RECORD) {
		const struct power_record *was = power_find(t, r.seq, calls);

		p->records++;
		if (was == NULL || !power_is(&r, was->number) || r.seq <= last)
			power_found(p, "invented", "record %" PRIu64, r.seq);
		for (; i < t->count && t->records[i].seq < r.seq; i++) {
			if (t->records[i].seq > at->seq && t->records[i].acknowledged <= calls)
				power_found(p, "kept",
					"record %" PRIu64 " is missing before %" PRIu64,
					t->records[i].seq, r.seq);
		}
		if (i < t->count && t->records[i].seq == r.seq)
			i++;
		last = r.seq;
		if (known && r.link.missing != 0 && power_is_quiet(t, calls))
			power_found(p, "kept", "%" PRIu64 " are missing before %" PRIu64,
				r.link.missing, r.seq);
	}
	if (next == SPOOL_ERROR)
		power_found(p, "kept", "%s", err.message);
	for (; i < t->count; i++) {
		if (t->records[i].seq > at->seq && t->records[i].acknowledged <= calls)
			power_found(p, "kept", "record %" PRIu64 " is missing at the end",
				t->records[i].seq);
	}
	spool_cursor_close(&c);
	arena_reset(&p->arena);
}

static void power_audit_numbers(struct power *p, struct spool *s, size_t calls)
{
	uint8_t payload[POWER_PAYLOAD_MAX];
	struct record r = power_make(UINT64_MAX, payload);
	struct error err;

	if (spool_append(s, &r, true, &err) != SPOOL_APPENDED || !spool_sync(s, &err)) {
		power_found(p, "opens", "a record cannot be appended");
		return;
	}
	for (size_t i = 0; i < p->truth.count; i++) {
		if (p->truth.records[i].appended <= calls && p->truth.records[i].seq >= r.seq) {
			power_found(p, "numbers", "%" PRIu64 " is given out again", r.seq);
			return;
		}
	}
}

static void power_audit_files(struct power *p)
{
	DIR *opened = opendir(p->left);
	struct dirent *entry;

	CHECK(opened != NULL);
	while ((entry = readdir(opened)) != NULL) {
		if (strstr(entry->d_name, ".bad") != NULL)
			power_found(p, "opens", "%s is set aside", entry->d_name);
	}
	closedir(opened);
}

static void power_audit(struct power *p, size_t calls)
{
	const struct power_truth *t = &p->truth;
	struct position at = power_known(t, calls);
	struct spool_options options = power_options(p->left, &p->random);
	struct spool_stats stats;
	struct spool *s;
	bool same;

	p->cuts++;
	if (!power_open(p, &s, &options, calls)) {
		power_found(p, "opens", "%s", p->err.message);
		return;
	}
	same = is_uuid(spool_identity(s), &t->identity);
	if (!same && t->identified <= calls)
		power_found(p, "identity", "is another one");
	power_audit_records(p, s, &at, same && at.seq != 0, calls);
	power_audit_numbers(p, s, calls);
	spool_stats(s, &stats);
	spool_close(&s);
	if (!power_is_quiet(t, calls))
		return;
	if (stats.damaged_records != 0)
		power_found(p, "opens", "%" PRIu64 " are damaged", stats.damaged_records);
	power_audit_files(p);
}

/* ---- a life ---- */

static bool power_append(struct power *p, struct spool *s, bool durable)
{
	struct power_truth *t = &p->truth;
	struct power_record *w = &t->records[t->count];
	uint8_t payload[POWER_PAYLOAD_MAX];
	struct record r = power_make(t->next_number, payload);
	struct error err;

	if (t->count == POWER_RECORDS_MAX)
		return false;
	/* Before, since it may be on disk from then on. */
	*w = (struct power_record){.number = t->next_number++,
		.durable = durable && p->syncs,
		.appended = disk_calls(),
		.acknowledged = SIZE_MAX};
	if (spool_append(s, &r, durable, &err) != SPOOL_APPENDED)
		return false;
	w->seq = r.seq;
	t->count++;
	return true;
}

static void power_sync(struct power *p, struct spool *s)
{
	struct power_truth *t = &p->truth;
	struct error err;

	CHECK(spool_sync(s, &err));
	for (size_t i = t->lived; i < t->count; i++) {
		if (t->records[i].durable && t->records[i].acknowledged == SIZE_MAX)
			t->records[i].acknowledged = disk_calls();
	}
}

/* Some more reach the database; and are released, immediately or not. */
static void power_read(struct power *p, struct spool *s, struct spool_cursor *c)
{
	struct power_truth *t = &p->truth;
	uint64_t wanted = disk_random(&p->random, 30);
	struct position at = {0};
	struct record r;
	struct error err;

	for (uint64_t i = 0; i < wanted; i++) {
		if (spool_cursor_next(c, &p->arena, &r, &err) != SPOOL_RECORD)
			break;
		at = r.link.log;
	}
	spool_cursor_drop_window(c);
	arena_reset(&p->arena);
	if (at.seq == 0 || t->steps_count == POWER_RECORDS_MAX)
		return;
	t->steps[t->steps_count++] = (struct power_step){.since = disk_calls(), .at = at};
	if (disk_random(&p->random, 4) != 0)
		spool_release(s, at.seq);
}

static void power_do(struct power *p, struct spool *s, struct spool_cursor *c)
{
	uint64_t many = disk_random(&p->random, 20);

	switch (disk_random(&p->random, 8)) {
	case 0:
		power_read(p, s, c);
		break;
	case 1:
		spool_rotate(s);
		break;
	case 2:
		(void)power_append(p, s, false);
		break;
	default:
		for (uint64_t i = 0; i < many && power_append(p, s, true); i++)
			continue;
		power_sync(p, s);
	}
}

static void power_live(struct power *p)
{
	struct power_truth *t = &p->truth;
	struct position at = power_known(t, 0);
	struct spool_options options = power_options(p->live, &p->random);
	uint64_t steps = disk_random(&p->random, 25), lost;
	struct spool_cursor *c;
	struct spool *s;
	struct error err;
	struct spool_renewal renewal = {.keep_session = false};

	p->syncs = options.sync == SPOOL_SYNC_MESSAGE;
	if (t->identified == 0 && disk_random(&p->random, 8) == 0) {
		t->renewing = disk_calls();
		CHECK(spool_new_identity(p->live, &renewal, &err));
	}
	CHECK(power_open(p, &s, &options, 0) && spool_cursor_open(&c, s, &err) &&
		spool_cursor_seek(c, at.seq, &lost, &err));
	if (t->identified == SIZE_MAX || t->renewing != SIZE_MAX) {
		t->identity = spool_identity(s);
		t->identified = disk_calls();
	}
	for (uint64_t i = 0; i < steps; i++)
		power_do(p, s, c);
	spool_cursor_close(&c);
	spool_close(&s);
	disk_stop();
}

/* What was after the cut never was; what was before it is long ago. */
static void power_go_back(struct power_truth *t, size_t calls)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		if (t->records[i].appended > calls)
			continue;
		t->records[kept] = t->records[i];
		t->records[kept].appended = 0;
		t->records[kept].acknowledged =
			t->records[kept].acknowledged <= calls ? 0 : SIZE_MAX;
		kept++;
	}
	t->count = t->lived = kept;
	t->renewing = t->renewing <= calls && t->identified > calls ? 0 : SIZE_MAX;
	t->identified = t->identified <= calls ? 0 : SIZE_MAX;
	while (t->steps_count > 0 && t->steps[t->steps_count - 1].since > calls)
		t->steps_count--;
	for (size_t i = 0; i < t->steps_count; i++)
		t->steps[i].since = 0;
}

/* What a cut left of a life is where the next begins. */
static void power_move(struct power *p)
{
	char command[1024];

	empty_folder(p->live);
	snprintf(command, sizeof(command), "mv '%s'/* '%s'/ 2>/dev/null || true", p->left, p->live);
	CHECK(system(command) == 0); /* NOLINT(concurrency-mt-unsafe) */
}

static void power_history(struct power *p)
{
	struct power_truth *t = &p->truth;

	t->count = t->lived = t->steps_count = 0;
	t->identified = t->renewing = SIZE_MAX;
	empty_folder(p->live);
	for (int life = 0; life < POWER_LIVES && p->cuts < p->cuts_wanted; life++) {
		size_t calls, all;
		uint64_t random = 0;

		disk_record(p->live, p->fault);
		power_live(p);
		all = disk_calls();
		for (int i = 0; i < POWER_CUTS_OF_A_LIFE && p->cuts < p->cuts_wanted; i++) {
			calls = disk_random(&p->random, all + 1);
			random = p->random;
			disk_cut(p->left, calls, &p->random);
			power_audit(p, calls);
			empty_folder(p->left);
		}
		if (p->fault != DISK_HONEST || p->findings > 0)
			return;
		disk_cut(p->left, calls, &random);
		power_move(p);
		power_go_back(t, calls);
	}
}

static void power_options_read(struct power *p, int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];

		if (strcmp(name, "--cuts") == 0)
			p->cuts_wanted = strtoull(value, NULL, 10);
		else if (strcmp(name, "--seed") == 0)
			p->seed = strtoull(value, NULL, 10);
		else if (strcmp(name, "--fault") == 0)
			p->fault = strcmp(value, "data") == 0 ? DISK_NO_DATA_SYNC
							      : DISK_NO_FOLDER_SYNC;
		else
			argc = 0;
	}
	if (argc % 2 == 0) {
		fprintf(stderr, "usage: power_cuts [--cuts N] [--seed N] [--fault data|folder]\n");
		exit(2); /* NOLINT(concurrency-mt-unsafe): there is one thread */
	}
}

int main(int argc, char **argv)
{
	static struct power p = {.seed = 1, .cuts_wanted = 500};
	bool as_wanted;
	char command[600];

	power_options_read(&p, argc, argv);
	p.random = p.seed;
	log_open();
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(p.folder, sizeof(p.folder), "%s/power.XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(p.folder) != NULL && arena_init(&p.arena, 64 << 20, 1 << 20));
	snprintf(p.live, sizeof(p.live), "%s/live", p.folder);
	snprintf(p.left, sizeof(p.left), "%s/left", p.folder);
	CHECK(mkdir(p.live, 0700) == 0 && mkdir(p.left, 0700) == 0);
	while (p.cuts < p.cuts_wanted && p.findings < 20)
		power_history(&p);
	snprintf(command, sizeof(command), "rm -rf '%s'", p.folder);
	CHECK(system(command) == 0); /* NOLINT(concurrency-mt-unsafe) */
	arena_fini(&p.arena);
	as_wanted = (p.findings == 0) == (p.fault == DISK_HONEST);
	printf("seed=%" PRIu64 " cuts=%" PRIu64 " records_read=%" PRIu64 " findings=%" PRIu64
	       "%s\n",
		p.seed, p.cuts, p.records, p.findings,
		p.fault == DISK_HONEST ? "" : ", of a disk whose syncs do nothing");
	return as_wanted ? 0 : 1;
}
