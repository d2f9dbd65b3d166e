#include "fuzz.h"
#include "fuzz_file.h"

#include "replay/readers/source.h"

/* Any file as a source of a replay: segment, stream of records, capture or CSV. The number of a
 * message is a position to come back to. */
enum { ARENA_BYTES = 64 << 20, MESSAGES_SEEN = 64 };

static struct arena arena;

static void on_unreadable(void *context, const char *path, const char *unit, int64_t position,
	uint64_t count, const char *why)
{
	(void)context;
	CHECK(path != NULL && unit != NULL && position >= 0 && count > 0 && why[0] != '\0');
}

static uint64_t fingerprint(const struct record *r)
{
	uint64_t sum = (uint64_t)r->received_us * 31 + r->flags;

	for (size_t i = 0; i < r->topic.size; i++)
		sum = sum * 31 + r->topic.data[i];
	for (size_t i = 0; i < r->payload.size; i++)
		sum = sum * 31 + r->payload.data[i];
	return sum;
}

static bool next(struct replay_source *s, struct record *out)
{
	struct error err;
	enum replay_next got;

	replay_source_drop_window(s);
	arena_reset(&arena);
	got = replay_source_next(s, &arena, out, &err);
	CHECK(got != REPLAY_ERROR);
	return got == REPLAY_RECORD;
}

static void fuzz_source(char *path, const struct csv_map *csv)
{
	struct replay_files files = {&path, 1, 0};
	struct replay_source_events events = {on_unreadable, NULL};
	struct lines_pattern none = {.count = 0};
	uint64_t seen[MESSAGES_SEEN], count = 0;
	struct replay_source *s;
	struct record r;
	struct error err;

	CHECK(replay_source_open(&s, &files, &none, csv, events, &err));
	for (; next(s, &r); count++) {
		CHECK(r.seq == count + 1);
		if (count < MESSAGES_SEEN)
			seen[count] = fingerprint(&r);
	}
	for (uint64_t back = count < MESSAGES_SEEN ? count : MESSAGES_SEEN; back-- > 0;) {
		CHECK(replay_source_seek(s, back, &err));
		CHECK(next(s, &r) && r.seq == back + 1 && fingerprint(&r) == seen[back]);
	}
	replay_source_close(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_file file = {.fd = -1};
	struct csv_map map;
	struct error err;

	if (arena.base == NULL)
		CHECK(arena_init(&arena, ARENA_BYTES, 1 << 20));
	fuzz_file_set(&file, data, size);
	fuzz_source(file.path, NULL);
	CHECK(csv_map_parse("station=s,time=t,value=v,evse=e", &map, &err));
	fuzz_source(file.path, &map);
	return 0;
}
