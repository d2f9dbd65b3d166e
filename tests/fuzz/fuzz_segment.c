#include "fuzz.h"
#include "fuzz_file.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "spool/segment.h"

#include <stdlib.h>

/*
 * A file as a segment of the log: whatever it holds, records come in order, each is what its bytes
 * say, and the reader ends. Checksums would keep a fuzzer out, so the same once more with all of
 * them right.
 */
enum {
	ARENA_BYTES = 64 << 20,
	HEADER_USED = 51, /* spool/segment.h */
	CHECKSUM_BYTES = 9,
};

static struct arena arena;
static struct fuzz_file file = {.fd = -1};

/* The current record, made again from what was read of it. */
static void check_record(const struct segment_reader *r, const struct record *found,
	const uint8_t *data, size_t size)
{
	size_t bytes = record_bytes(found);
	uint8_t *again = malloc(bytes);

	CHECK(again != NULL);
	CHECK((size_t)r->offset <= size && bytes <= (size_t)r->offset);
	CHECK(record_put(again, found, r->header.first_seq) == again + bytes);
	CHECK(memcmp(again, data + r->offset - bytes, bytes) == 0);
	free(again);
}

static void fuzz_segment(const uint8_t *data, size_t size)
{
	struct segment_reader r;
	struct record found;
	struct error err;
	uint64_t last, count = 0, skipped;

	fuzz_file_set(&file, data, size);
	if (!segment_reader_init(&r, file.fd, "fuzz", &err))
		return;
	last = r.last_seq;
	for (enum segment_next next;; count++) {
		segment_reader_drop_window(&r);
		arena_reset(&arena);
		next = segment_reader_next(&r, UINT64_MAX, &arena, &found, &err);
		CHECK(next != SEGMENT_ERROR);
		if (next == SEGMENT_END)
			break;
		CHECK(found.seq > last);
		last = found.seq;
		check_record(&r, &found, data, size);
	}
	CHECK(count <= size / RECORD_FIXED_BYTES);
	skipped = r.last_seq - (r.header.first_seq - 1) - count;
	CHECK(r.missing == skipped);
}

/* Records in a row, of any generation. */
static void seal_records(uint8_t *data, size_t size)
{
	for (size_t at = 0; at + RECORD_FIXED_BYTES <= size;) {
		size_t bytes = get_be32(data + at + 7);

		if (bytes < RECORD_FIXED_BYTES || bytes > size - at)
			return;
		put_be64(data + at + bytes - CHECKSUM_BYTES + 1,
			digest64(data + at, bytes - CHECKSUM_BYTES));
		at += bytes;
	}
}

/* Bytes that are a record as a whole, or the beginning of one. */
static void fuzz_record(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_of(data, size);
	struct record found;
	size_t used = 0;

	if (size < RECORD_PREFIX_BYTES) {
		CHECK(record_get(bytes, 0, &found, &used) == RECORD_PARTIAL);
		CHECK(record_candidate(bytes, 0) == size);
		return;
	}
	CHECK(record_candidate(bytes, record_generation(bytes)) <= size);
	if (record_get(bytes, record_generation(bytes), &found, &used) == RECORD_OK)
		CHECK(used == record_bytes(&found) && used <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *sealed = malloc(size + 1);

	CHECK(sealed != NULL);
	if (arena.base == NULL)
		CHECK(arena_init(&arena, ARENA_BYTES, 1 << 20));
	fuzz_segment(data, size);
	fuzz_record(data, size);
	memcpy(sealed, data, size);
	if (size >= SEGMENT_HEADER_BYTES) {
		put_be64(sealed + HEADER_USED + 1, digest64(sealed, HEADER_USED));
		seal_records(sealed + SEGMENT_HEADER_BYTES, size - SEGMENT_HEADER_BYTES);
		fuzz_segment(sealed, size);
	}
	memcpy(sealed, data, size);
	seal_records(sealed, size);
	fuzz_record(sealed, size);
	free(sealed);
	return 0;
}
