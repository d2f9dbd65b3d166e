#ifndef UNIT_SPOOL_H
#define UNIT_SPOOL_H

#include "unit.h"

#include "base/clock.h"
#include "base/fs.h"
#include "spool/spool.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * A log in a folder of its own for each test, and records whose payloads say their number. Small
 * segments, so that a few hundred records fill several.
 */
enum { SEGMENT = 64 * 1024, PAYLOAD = 600 };

static char dir[128];
static struct arena arena;

static inline struct spool_options options(void)
{
	return (struct spool_options){.dir = dir,
		.sync = SPOOL_SYNC_MESSAGE,
		.sync_interval_us = 1000,
		.segment_bytes = SEGMENT,
		.bytes_max = 100 * SEGMENT,
		.retain_us = US_PER_DAY};
}

static inline void remove_dir(const char *path)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	assert_int_equal(system(command), 0);
}

static inline int setup(void **state)
{
	(void)state;
	/* In memory, where there is such a place: some tests sync a hundred thousand times. */
	snprintf(dir, sizeof(dir), "%s/test_spool.XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(dir) == NULL || !arena_init(&arena, 64 << 20, 1 << 20);
}

static inline int teardown(void **state)
{
	(void)state;
	fs_fail_at(0, NULL);
	remove_dir(dir);
	arena_fini(&arena);
	return 0;
}

static inline struct spool *open_with(struct spool_options o)
{
	struct spool *s = NULL;
	struct error err;

	if (!spool_open(&s, &o, &err))
		fail_msg("%s", err.message);
	return s;
}

/* The payload of record i says i, and has bytes that look like the format's own. */
static inline size_t make_payload(uint64_t i, uint8_t *out)
{
	size_t size = PAYLOAD + (size_t)(i % 97);

	memset(out, 0x9a, size);
	memcpy(out, &i, sizeof(i));
	return size;
}

/* What spool_append() says, or SPOOL_FAILED if it could not be synced. */
static inline enum spool_append append(struct spool *s, uint64_t i, uint64_t *seq_out)
{
	uint8_t payload[PAYLOAD + 100];
	struct record r = {.received_us = clock_wall_us(),
		.flags = 1,
		.topic = SLICE("cs/in/ocpp1.6/cs001"),
		.trace = SLICE("")};
	struct error err;
	enum spool_append result;

	r.payload = slice_of(payload, make_payload(i, payload));
	result = spool_append(s, &r, true, &err);
	if (result == SPOOL_APPENDED && !spool_sync(s, &err))
		result = SPOOL_FAILED;
	if (seq_out != NULL)
		*seq_out = r.seq;
	return result;
}

static inline uint64_t payload_number(const struct record *r)
{
	uint64_t i;

	assert_true(r->payload.size >= sizeof(i));
	memcpy(&i, r->payload.data, sizeof(i));
	return i;
}

static inline bool new_identity(const char *where, struct uuid *out, struct error *err)
{
	struct spool_renewal renewal = {.keep_session = false};
	bool done = spool_new_identity(where, &renewal, err);

	*out = renewal.identity;
	return done;
}

/* Reads everything newer than seq; the payloads must say first, first + 1, ... Returns how many. */
static inline uint64_t read_from(struct spool *s, uint64_t seq, uint64_t first,
	uint64_t *last_seq_out)
{
	struct spool_cursor *c;
	struct error err;
	struct record r;
	uint64_t lost, count = 0;
	enum spool_next next;

	assert_true(spool_cursor_open(&c, s, &err));
	assert_true(spool_cursor_seek(c, seq, &lost, &err));
	while ((next = spool_cursor_next(c, &arena, &r, &err)) == SPOOL_RECORD) {
		assert_int_equal(payload_number(&r), first + count);
		count++;
		if (last_seq_out != NULL)
			*last_seq_out = r.seq;
		if (arena_left(&arena) < 32 << 20) {
			spool_cursor_drop_window(c);
			arena_reset(&arena);
		}
	}
	if (next == SPOOL_ERROR)
		fail_msg("%s", err.message);
	spool_cursor_close(&c);
	arena_reset(&arena);
	return count;
}

/* Appends in a child that is killed; the pipe says what was reported to it as durable. */
static inline uint64_t append_until_killed(uint64_t first, uint64_t count)
{
	int pipe_fds[2];
	uint64_t done = 0, number;
	pid_t child;

	assert_int_equal(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		struct spool *s = open_with(options());

		for (uint64_t i = first; i < first + count; i++) {
			if (append(s, i, NULL) != SPOOL_APPENDED || write(pipe_fds[1], &i, 8) != 8)
				_exit(1);
		}
		raise(SIGKILL);
	}
	close(pipe_fds[1]);
	while (read(pipe_fds[0], &number, 8) == 8)
		done++;
	close(pipe_fds[0]);
	waitpid(child, NULL, 0);
	return done;
}

#define SPOOL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
