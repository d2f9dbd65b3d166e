#ifndef SPOOL_ARCHIVE_H
#define SPOOL_ARCHIVE_H

#include "base/error.h"
#include "spool/segment.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A segment that is done with, packed: <first seq>.seg.zst. It is a zstd file like any other, of
 * which `zstd -d` makes the segment again, in zstd's seekable format:
 *
 *	frame          the header page of the segment
 *	frame ...      records, ARCHIVE_FRAME_BYTES at most unpacked; a frame ends between two
 *	               records unless one is larger. Each has its size and a checksum, and needs
 *	               no other
 *	skippable      0x184d2a50: the summary, below
 *	skippable      0x184d2a5e: the seek table; packed and unpacked size of each of the above
 *
 * Damage costs the records of its frame and no more. Summary, big-endian, after zstd's 8 bytes:
 *
 *	offset  bytes     content
 *	0       64        the header page's beginning; it counts, not the one in the first frame,
 *	                  which alone has what was counted before it
 *	64      1         0x96         array of 6
 *	65      1 + 8     0xcf uint64  seq of the last record
 *	74      1 + 8     0xcf uint64  records
 *	83      1 + 8     0xd3 int64   earliest time of receipt, microseconds since 1970 UTC
 *	92      1 + 8     0xd3 int64   latest time of receipt
 *	101     1 + 8     0xcf uint64  bytes of the segment, unpacked
 *	110     1 + 8     0xcf uint64  XXH3-64 of the bytes before this field
 *
 * Blocking; any thread; memory is two frames and what zstd needs.
 */
enum { ARCHIVE_FRAME_BYTES = 1 << 20, ARCHIVE_NAME_BYTES = SEGMENT_NAME_BYTES + 8 };

void archive_name(uint64_t first_seq, char out[static ARCHIVE_NAME_BYTES]);
bool archive_name_parse(const char *name, uint64_t *first_seq_out);

struct archive_summary {
	struct segment_header header;
	bool whole; /* else only the header is known, from the first frame */
	uint64_t last_seq;
	uint64_t records;
	int64_t first_received_us, last_received_us;
	int64_t bytes;  /* unpacked */
	int64_t offset; /* of the summary's own frame in the file; -1 if not whole */
};

/* False with err: DAMAGED if neither summary nor header can be read. */
MUST_CHECK bool archive_summary_read(int fd, const char *path, struct archive_summary *out,
	struct error *err);

/* The same archive as of a log with another identity. The summary must be whole. */
MUST_CHECK bool archive_put_identity(int fd, const char *path,
	const struct archive_summary *summary, const struct uuid *identity, struct error *err);

/*
 * Pack a segment that nobody writes to, into an empty file. False with err: DAMAGED if it is not
 * whole (it should be kept as it is), STOPPED once *stop, or FATAL if a file operation fails.
 */
MUST_CHECK bool archive_pack(int from, const char *from_path, int to, const char *to_path,
	const _Atomic bool *stop, struct archive_summary *out, struct error *err);

struct archive_events {
	/* A frame cannot be read: where it begins in the archive, and how much it held unpacked,
	 * 0 if that is not known. */
	void (*on_damage)(void *context, int64_t offset, int64_t bytes, const char *why);
	void *context;
};

/*
 * Make the segment again, in an empty file. What was damaged is a hole of zeros in it, or left out;
 * segment_reader passes over either. False with err: DAMAGED if its header is lost, or FATAL if a
 * file operation fails.
 */
MUST_CHECK bool archive_unpack(int from, const char *from_path, int to, const char *to_path,
	struct archive_events events, struct error *err);

/*
 * The segment as if it were unpacked, one frame at a time and without a file. One thread.
 *
 * *out is NULL if that cannot be done, because the seek table or the summary is damaged or it is
 * not an archive at all: archive_unpack() finds what there is. fd and path are borrowed. False with
 * err (FATAL) if a file operation fails.
 */
struct archive_reader;

MUST_CHECK bool archive_reader_open(struct archive_reader **out, int fd, const char *path,
	struct archive_events events, struct error *err);
void archive_reader_close(struct archive_reader **reader);

/* Of the segment. */
int64_t archive_reader_size(const struct archive_reader *reader);

/* As fs_pread() on the segment. A frame is kept until another is read; one that is damaged is
 * zeros, and is said again if it is read again. */
MUST_CHECK int64_t archive_reader_pread(struct archive_reader *reader, void *out, size_t size,
	int64_t offset, struct error *err);

#endif
