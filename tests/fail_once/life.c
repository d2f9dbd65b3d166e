#include "life.h"

#include "base/arena.h"
#include "base/clock.h"
#include "spool/spool.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	LIFE_SEGMENT_BYTES = 32 * 1024,
	LIFE_PAYLOAD_MAX = 3000,
	LIFE_STEPS = 12,
	LIFE_RECORDS = 5, /* of a step; one sync serves them */
	LIFE_FULL_MAX = 100,
	LIFE_LOOKS_MAX = 20000, /* at what the archiver does */
	LIFE_STILL = 20,
	LIFE_BROKEN = 2,
};

struct life {
	struct spool *spool;
	struct arena arena;
	struct fail_told *told;
	uint64_t next; /* number */
	bool failed;   /* the log said so: nothing may be acknowledged any more */
};

static struct spool_options life_options(const char *dir)
{
	return (struct spool_options){.dir = dir,
		.sync = SPOOL_SYNC_MESSAGE,
		.sync_interval_us = 1000,
		.segment_bytes = LIFE_SEGMENT_BYTES,
		.bytes_max = 100 * LIFE_SEGMENT_BYTES,
		.retain_us = US_PER_DAY,
		.archive = true};
}

/* Not received so long ago that what was released is removed before it is packed. */
static const int64_t life_received_us = INT64_C(4102444800) * US_PER_SECOND;

static struct record life_record(uint64_t number, uint8_t payload[static LIFE_PAYLOAD_MAX])
{
	size_t size = sizeof(number) + (size_t)(number * 997 % (LIFE_PAYLOAD_MAX - sizeof(number)));

	memset(payload, 0x9a, size); /* as the format's own bytes */
	memcpy(payload, &number, sizeof(number));
	return (struct record){.received_us = life_received_us + (int64_t)number,
		.flags = 1,
		.topic = SLICE("cs/in/ocpp1.6/cs001"),
		.trace = SLICE(""),
		.payload = slice_of(payload, size)};
}

static bool life_is(const struct record *r, uint64_t number)
{
	uint8_t payload[LIFE_PAYLOAD_MAX];
	struct record made = life_record(number, payload);

	return r->received_us == made.received_us && slice_equal(r->topic, made.topic) &&
	       slice_equal(r->payload, made.payload);
}

static int life_tell(const struct error *err)
{
	fprintf(stderr, "error: %s\n", err->message);
	return 1;
}

static int life_broken(const char *what, uint64_t number)
{
	fprintf(stderr, "broken: %s, at number %" PRIu64 "\n", what, number);
	return LIFE_BROKEN;
}

/* A full log waits, as the intake does, and goes on. */
static enum spool_append life_append(struct life *l, struct error *err)
{
	uint8_t payload[LIFE_PAYLOAD_MAX];
	struct record r = life_record(l->next, payload);
	enum spool_append appended = spool_append(l->spool, &r, true, err);

	for (int i = 0; appended == SPOOL_FULL && i < LIFE_FULL_MAX; i++) {
		if (!spool_wait_for_space(l->spool))
			break;
		appended = spool_append(l->spool, &r, true, err);
	}
	if (appended == SPOOL_FULL)
		(void)error_set(err, ERROR_NO_SPACE, REASON_disk_full, "the log stays full");
	if (appended == SPOOL_APPENDED)
		l->next++;
	return appended;
}

/* After a failure, whatever is tried, nothing is acknowledged. */
static int life_after_failure(struct life *l, const struct error *why)
{
	struct error err;

	life_tell(why);
	if (life_append(l, &err) == SPOOL_APPENDED && spool_sync(l->spool, &err))
		return life_broken("acknowledged after a failure", l->next);
	return 1;
}

static int life_write(struct life *l)
{
	struct error err;

	for (int i = 0; i < LIFE_RECORDS; i++) {
		if (life_append(l, &err) != SPOOL_APPENDED)
			return life_after_failure(l, &err);
	}
	if (!spool_sync(l->spool, &err))
		return life_after_failure(l, &err);
	l->told->acknowledged = l->next;
	return 0;
}

/* Half of what is there is stored and released. */
static int life_read(struct life *l)
{
	uint64_t lost, number, wanted = l->told->acknowledged / 2, seq = 0;
	struct spool_cursor *c = NULL;
	struct record r;
	struct error err;
	enum spool_next next = SPOOL_RECORD;
	bool ok = spool_cursor_open(&c, l->spool, &err) && spool_cursor_seek(c, 0, &lost, &err);

	while (ok && seq == 0 &&
		(next = spool_cursor_next(c, &l->arena, &r, &err)) == SPOOL_RECORD) {
		memcpy(&number, r.payload.data, sizeof(number));
		if (!life_is(&r, number)) {
			spool_cursor_close(&c);
			return life_broken("altered", number);
		}
		if (number + 1 >= wanted)
			seq = r.seq;
	}
	ok = ok && next != SPOOL_ERROR;
	spool_cursor_close(&c);
	arena_reset(&l->arena);
	if (!ok)
		return life_tell(&err);
	if (seq != 0) {
		l->told->released = wanted;
		spool_release(l->spool, seq);
	}
	return 0;
}

/* Keeper and archiver have done what there is for them to do, or have failed. The archiver has the
 * lowest priority; something is there for it to pack. */
static int life_settle(struct life *l)
{
	struct spool_stats stats;
	struct error err;
	uint32_t archived = 0;

	for (int looks = 0, still = 0; looks < LIFE_LOOKS_MAX && still < LIFE_STILL; looks++) {
		if (spool_failed(l->spool, &err))
			return life_after_failure(l, &err);
		spool_stats(l->spool, &stats);
		still = stats.archived != archived ? 0 : still + (archived > 0 || l->told->at != 0);
		archived = stats.archived;
		(void)usleep(500);
	}
	return archived > 0 || l->told->at != 0 ? 0 : life_broken("nothing is packed", 0);
}

static int life_run(struct life *l, const char *dir, bool crash)
{
	struct spool_options options = life_options(dir);
	struct error err;
	int code = 0;

	if (!spool_open(&l->spool, &options, &err))
		return life_tell(&err);
	for (int i = 0; code == 0 && i < LIFE_STEPS; i++) {
		code = life_write(l);
		if (code == 0 && i % 3 == 2)
			code = life_read(l);
		if (i % 4 == 3)
			spool_rotate(l->spool);
	}
	if (code == 0)
		code = life_settle(l);
	if (!crash)
		spool_close(&l->spool);
	return code;
}

int life_live(const char *dir, uint64_t first, bool crash, struct fail_told *told)
{
	struct life l = {.told = told, .next = first};
	int code;

	if (!arena_init(&l.arena, 16 << 20, 1 << 20)) {
		fprintf(stderr, "error: out of memory\n");
		return 1;
	}
	code = life_run(&l, dir, crash);
	if (crash)
		_exit(code);
	arena_fini(&l.arena);
	return code;
}

/* ---- audit ---- */

/* The next record; l->next: the number that should follow. What was released may be gone. */
static int life_audit_record(struct life *l, const struct record *r, uint64_t released)
{
	uint64_t number;

	memcpy(&number, r->payload.data, sizeof(number));
	if (!life_is(r, number))
		return life_broken("altered", number);
	if (number < l->next)
		return life_broken("doubled or out of order", number);
	if (number > l->next && number > released)
		return life_broken("lost", l->next);
	l->next = number + 1;
	return 0;
}

static int life_audit_records(struct life *l, uint64_t acknowledged, uint64_t released)
{
	struct spool_cursor *c = NULL;
	struct record r;
	struct error err;
	uint64_t lost, seq = 0;
	enum spool_next read = SPOOL_ERROR;
	int code = 0;

	if (spool_cursor_open(&c, l->spool, &err) && spool_cursor_seek(c, 0, &lost, &err))
		read = spool_cursor_next(c, &l->arena, &r, &err);
	while (code == 0 && read == SPOOL_RECORD) {
		code = r.seq > seq ? life_audit_record(l, &r, released)
				   : life_broken("a number is there twice", r.seq);
		seq = r.seq;
		read = spool_cursor_next(c, &l->arena, &r, &err);
	}
	spool_cursor_close(&c);
	if (code == 0 && read == SPOOL_ERROR)
		return life_tell(&err);
	if (code == 0 && l->next < acknowledged && acknowledged > released)
		return life_broken("lost at the end", l->next);
	return code;
}

static int life_audit_folder(const char *dir)
{
	static const char *const leftovers[] = {".bad", "identity.new", "archive.tmp",
		"unpacked.tmp"};
	DIR *opened = opendir(dir);
	struct dirent *entry;
	int code = 0;

	while (opened != NULL &&
		(entry = readdir(opened)) != NULL) { /* NOLINT: the stream is ours alone */
		for (size_t i = 0; i < sizeof(leftovers) / sizeof(leftovers[0]); i++) {
			if (strstr(entry->d_name, leftovers[i]) == NULL)
				continue;
			fprintf(stderr, "broken: %s is left over\n", entry->d_name);
			code = LIFE_BROKEN;
		}
	}
	if (opened != NULL)
		closedir(opened);
	return code;
}

int life_audit(const char *dir, uint64_t acknowledged, uint64_t released)
{
	struct spool_options options = life_options(dir);
	struct fail_told told = {0};
	struct life l = {.told = &told};
	struct error err;
	int code;

	if (!arena_init(&l.arena, 16 << 20, 1 << 20))
		return 1;
	if (!spool_open(&l.spool, &options, &err))
		return life_tell(&err);
	code = life_audit_records(&l, acknowledged, released);
	if (code == 0)
		code = life_write(&l);
	spool_close(&l.spool);
	arena_fini(&l.arena);
	return code != 0 ? code : life_audit_folder(dir);
}
