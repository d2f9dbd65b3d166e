#include "fuzz.h"
#include "fuzz_file.h"

#include "spool/archive.h"

/* A file as an archive: its summary, the segment that is made of it, and the records in that. */
enum { ARENA_BYTES = 64 << 20 };

static int64_t archive_bytes;

static void on_damage(void *context, int64_t offset, int64_t bytes, const char *why)
{
	(void)context;
	CHECK(offset >= 0 && offset <= archive_bytes && bytes >= 0 && why != NULL);
}

static void read_segment(int fd)
{
	static struct arena arena;
	struct segment_reader r;
	struct record found;
	struct error err;
	uint64_t last;

	if (arena.base == NULL)
		CHECK(arena_init(&arena, ARENA_BYTES, 1 << 20));
	if (!segment_reader_init(&r, fd, "unpacked", &err))
		return;
	last = r.last_seq;
	for (enum segment_next next;;) {
		segment_reader_drop_window(&r);
		arena_reset(&arena);
		next = segment_reader_next(&r, UINT64_MAX, &arena, &found, &err);
		CHECK(next != SEGMENT_ERROR);
		if (next == SEGMENT_END)
			break;
		CHECK(found.seq > last);
		last = found.seq;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_file packed = {.fd = -1}, unpacked = {.fd = -1};
	struct archive_events events = {on_damage, NULL};
	struct archive_summary summary;
	struct error err;

	archive_bytes = (int64_t)size;
	fuzz_file_set(&packed, data, size);
	fuzz_file_set(&unpacked, "", 0);
	if (archive_summary_read(packed.fd, "fuzz", &summary, &err) && summary.whole)
		CHECK(summary.offset > 0 && summary.offset < archive_bytes);
	if (!archive_unpack(packed.fd, "fuzz", unpacked.fd, "unpacked", events, &err))
		return 0;
	CHECK(lseek(unpacked.fd, 0, SEEK_END) >= SEGMENT_HEADER_BYTES);
	read_segment(unpacked.fd);
	return 0;
}
