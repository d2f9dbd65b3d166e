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

static void read_segment(struct segment_reader *r)
{
	static struct arena arena;
	struct record found;
	struct error err;
	uint64_t last;

	if (arena.base == NULL)
		CHECK(arena_init(&arena, ARENA_BYTES, 1 << 20));
	last = r->last_seq;
	for (enum segment_next next;;) {
		segment_reader_drop_window(r);
		arena_reset(&arena);
		next = segment_reader_next(r, UINT64_MAX, &arena, &found, &err);
		CHECK(next != SEGMENT_ERROR);
		if (next == SEGMENT_END)
			break;
		CHECK(found.seq > last);
		last = found.seq;
	}
}

static void read_as_it_is(int fd, struct archive_events events)
{
	struct archive_reader *archive;
	struct segment_reader r;
	struct error err;

	CHECK(archive_reader_open(&archive, fd, "fuzz", events, &err));
	if (archive != NULL && segment_reader_init_packed(&r, archive, "fuzz", &err))
		read_segment(&r);
	archive_reader_close(&archive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fuzz_file packed = {.fd = -1}, unpacked = {.fd = -1};
	struct archive_events events = {on_damage, NULL};
	struct archive_summary summary;
	struct segment_reader r;
	struct error err;

	archive_bytes = (int64_t)size;
	fuzz_file_set(&packed, data, size);
	fuzz_file_set(&unpacked, "", 0);
	if (archive_summary_read(packed.fd, "fuzz", &summary, &err) && summary.whole)
		CHECK(summary.offset > 0 && summary.offset < archive_bytes);
	read_as_it_is(packed.fd, events);
	if (!archive_unpack(packed.fd, "fuzz", unpacked.fd, "unpacked", events, &err))
		return 0;
	CHECK(lseek(unpacked.fd, 0, SEEK_END) >= SEGMENT_HEADER_BYTES);
	if (segment_reader_init(&r, unpacked.fd, "unpacked", &err))
		read_segment(&r);
	return 0;
}
