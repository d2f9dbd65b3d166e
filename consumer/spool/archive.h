#ifndef SPOOL_ARCHIVE_H
#define SPOOL_ARCHIVE_H

#include "base/error.h"
#include "spool/segment.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A packed segment that is no longer written to: <first seq>.seg.zst. It is an ordinary zstd file
 * in zstd's seekable format, so `zstd -d` restores the segment:
 *
 *	frame          the header page of the segment
 *	frame ...      records, ARCHIVE_FRAME_BYTES at most unpacked; a frame ends between two
 *	               records unless one is larger. Each has its size and a checksum, and needs
 *	               no other
 *	skippable      0x184d2a50: the summary, below
 *	skippable      0x184d2a5e: the seek table; packed and unpacked size of each of the above
 *
 * Damage costs the records of its frame, and no others. Summary, big-endian, after zstd's 8 bytes:
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
 * Blocking; any thread. Memory: two frames and what zstd needs.
 */
enum { ARCHIVE_FRAME_BYTES = 1 << 20, ARCHIVE_NAME_BYTES = SEGMENT_NAME_BYTES + 8 };

void archive_name(uint64_t first_seq, char out[static ARCHIVE_NAME_BYTES]);
bool archive_name_parse(const char *name, uint64_t *first_seq_out);

struct archive_summary {
	struct segment_header header;
	bool whole; /* otherwise only the header is known, from the first frame */
	uint64_t last_seq;
	uint64_t records;
	int64_t first_received_us, last_received_us;
	int64_t bytes;  /* unpacked */
	int64_t offset; /* of the summary's frame in the file; -1 if not whole */
};

/* False with err: DAMAGED if neither summary nor header can be read. */
MUST_CHECK bool archive_summary_read(int fd, const char *path, struct archive_summary *out,
	struct error *err);

/* Give the archive the identity of another log. The summary must be whole. */
MUST_CHECK bool archive_put_identity(int fd, const char *path,
	const struct archive_summary *summary, const struct uuid *identity, struct error *err);

/* Pack a segment that is not being written, into an empty file. False with err: DAMAGED if it is
 * not whole (keep it as it is), STOPPED once *stop, or FATAL if a file operation fails. */
MUST_CHECK bool archive_pack(int from, const char *from_path, int to, const char *to_path,
	const _Atomic bool *stop, struct archive_summary *out, struct error *err);

struct archive_events {
	/* A frame cannot be read: its offset in the archive, and its unpacked size, 0 if
	 * unknown. */
	void (*on_damage)(void *context, int64_t offset, int64_t bytes, const char *why);
	void *context;
};

/*
 * Unpack into an empty file. Damaged parts become holes of zeros, or are left out; segment_reader
 * skips either. False with err: DAMAGED if the header is lost, or FATAL if a file operation fails.
 */
MUST_CHECK bool archive_unpack(int from, const char *from_path, int to, const char *to_path,
	struct archive_events events, struct error *err);

/*
 * Reads the segment as if it were unpacked, one frame at a time and without a file. One thread.
 *
 * *out is NULL if that is impossible, because the seek table or the summary is damaged or the file
 * is not an archive; archive_unpack() then finds whatever there is. fd and path are borrowed. False
 * with err (FATAL) if a file operation fails.
 */
struct archive_reader;

MUST_CHECK bool archive_reader_open(struct archive_reader **out, int fd, const char *path,
	struct archive_events events, struct error *err);
void archive_reader_close(struct archive_reader **reader);

/* Size of the segment. */
int64_t archive_reader_size(const struct archive_reader *reader);

/* As fs_pread() on the segment. A frame is cached until another is read; a damaged one reads as
 * zeros, and is reported each time it is read. */
MUST_CHECK int64_t archive_reader_pread(struct archive_reader *reader, void *out, size_t size,
	int64_t offset, struct error *err);

#endif
