#ifndef SPOOL_SEGMENT_H
#define SPOOL_SEGMENT_H

#include "base/arena.h"
#include "base/error.h"
#include "base/uuid.h"
#include "spool/record.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * One file of the log: a header page, then records with consecutive numbers. The name is the
 * number of its first record: 00000000000000000017.seg. A file becomes a segment by one rename
 * after its header is on disk, so a .seg always has one.
 *
 * Header, a msgpack array in the first SEGMENT_HEADER_BYTES, the rest of them zero; big-endian:
 *
 *	offset  bytes     content
 *	0       1         0x96         array of 6
 *	1       1 + 4     0xce uint32  SEGMENT_MAGIC; its last byte is the version of the format
 *	6       2 + 16    0xc4 bin8    identity of the log
 *	24      1 + 8     0xcf uint64  first seq, which is also the generation of its records
 *	33      1 + 8     0xcf uint64  seq that the first one follows: less than first seq - 1 if
 *	                               numbers were skipped on purpose (after a crash)
 *	42      1 + 8     0xd3 int64   when it was begun, microseconds since 1970 UTC
 *	51      1 + 8     0xcf uint64  XXH3-64 of the bytes before this field
 *
 * Then, unless an older program wrote the segment, a second array with the log's position before it
 * (base/position.h):
 *
 *	60      1         0x94         array of 4
 *	61      1 + 8     0xcf uint64  records
 *	70      1 + 8     0xcf uint64  seq that the sum of checksums begins with
 *	79      1 + 8     0xcf uint64  sum of checksums
 *	88      1 + 8     0xcf uint64  XXH3-64 of the bytes of this array before this field
 *
 * So a log knows the position of its last record even when that record and its segment are gone.
 */
#define SEGMENT_MAGIC UINT32_C(0x4f505301) /* "OPS" 1 */

enum { SEGMENT_HEADER_BYTES = 4096, SEGMENT_NAME_BYTES = 32 };

struct segment_header {
	struct uuid spool;
	uint64_t first_seq;
	struct position follows; /* seq, and the rest if the header has it */
	int64_t begun_us;
};

/* suffix: what follows the name of the segment: "", SEGMENT_PACKED and so on. */
#define SEGMENT_PACKED ".zst"
#define SEGMENT_ASIDE ".bad" /* damaged: kept for people */
void segment_name(uint64_t first_seq, char out[static SEGMENT_NAME_BYTES]);
bool segment_name_parse(const char *name, uint64_t *first_seq_out);
bool segment_name_parse_with(const char *name, const char *suffix, uint64_t *first_seq_out);

void segment_header_put(const struct segment_header *h, uint8_t out[static SEGMENT_HEADER_BYTES]);

/* False with err (FATAL) if it is not a header, is damaged, or has an unknown version. */
MUST_CHECK bool segment_header_get(const uint8_t in[static SEGMENT_HEADER_BYTES], const char *path,
	struct segment_header *out, struct error *err);

/* Reads the records of one segment in order. Damage is skipped and counted; records after it are
 * still read. Embedded in the caller's memory; one thread. */
struct segment_reader {
	int fd;                         /* borrowed */
	struct archive_reader *archive; /* borrowed; NULL = fd is the segment itself */
	const char *path;
	struct segment_header header;
	uint64_t last_seq; /* of the last record read; first_seq - 1 before the first */
	uint64_t missing;  /* numbers lost to damage */
	int64_t offset;    /* after the last record read */
	int64_t size;      /* of the file */
	/* Bytes read ahead; they belong to the arena given to segment_reader_next(). */
	struct slice window;
	int64_t window_offset;
};

enum segment_next { SEGMENT_RECORD, SEGMENT_END, SEGMENT_ERROR };

MUST_CHECK bool segment_reader_init(struct segment_reader *r, int fd, const char *path,
	struct error *err);

/* For a packed segment (spool/archive.h). */
struct archive_reader;
MUST_CHECK bool segment_reader_init_packed(struct segment_reader *r, struct archive_reader *archive,
	const char *path, struct error *err);

/* Forget what was read ahead, before its arena is reset. */
void segment_reader_drop_window(struct segment_reader *r);

/* Whoever reads many records and keeps none resets the arena once this much is used: more costs
 * memory, less reads more bytes again, at most one window in 16 here. */
enum { SEGMENT_RESET_BYTES = 2 << 20 };

/*
 * The next record, which borrows from the arena. END once record stop_seq has been read or nothing
 * follows; if the segment is being written, more may follow later. ERROR sets err: FATAL if the
 * file cannot be read, FULL if the arena is (close the batch, continue with a new one).
 */
enum segment_next segment_reader_next(struct segment_reader *r, uint64_t stop_seq,
	struct arena *arena, struct record *out, struct error *err);

/*
 * Record seq, searched from the end of the file backwards: by the next segment's header it is the
 * last. *out borrows from the arena until it is rewound; the reader is positioned after it. ABSENT
 * if it is not found.
 */
MUST_CHECK bool segment_reader_last(struct segment_reader *r, uint64_t seq, struct arena *arena,
	struct record *out, struct error *err);

/*
 * Read up to record stop_seq or the end, and count into *at, the position of the reader: initially
 * header.follows. *received_us is that of the last record, if there was one. Resets the arena on
 * the way.
 */
MUST_CHECK bool segment_reader_pass(struct segment_reader *r, uint64_t stop_seq,
	struct arena *arena, struct position *at, int64_t *received_us, struct error *err);

/* The segment had record seq, but its readable part ends before: count what is between. Numbers
 * skipped before the segment were not records. */
void segment_pass_damaged(const struct segment_header *header, uint64_t seq, struct position *at);

#endif
