#ifndef BASE_POSITION_H
#define BASE_POSITION_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A place in a log: after the record with the number seq, or before the first one (0). A number
 * alone does not identify the record: if a log was copied and both were written to, each has its
 * own record with that number. So a position also has the count of records that the log took up to
 * there, and the sum of their checksums: in another history at least one of them differs.
 *
 * What is unknown is marked as unknown; no value stands for it. Older logs and databases have
 * neither; damage that takes a record with its checksum leaves the sum unknown, and a new sum
 * begins.
 *
 * Where the record itself is gone, neither can be compared. So the database also keeps when the
 * segment that held it was begun: each run of the program begins its own segments.
 */
struct position {
	uint64_t seq;
	uint64_t records;     /* up to here; if counted */
	uint64_t digest_from; /* number of the first record that is part of the sum; if digested */
	uint64_t digest;      /* sum of the checksums, modulo 2^64; if digested */
	int64_t segment_us;   /* when the segment with record seq was begun; 0 = unknown */
	bool counted;
	bool digested;
};

/* How a record follows the one that was read before it. */
struct position_link {
	uint64_t follows;    /* number of that one, or where reading began */
	uint64_t missing;    /* records between the two that are gone: damaged, or removed */
	uint64_t checksum;   /* of this record */
	struct position log; /* after this record, by the log's own count */
};

/* After the next record. */
static inline void position_add(struct position *p, uint64_t seq, uint64_t checksum)
{
	p->seq = seq;
	p->records++;
	p->digest += checksum;
}

/* Past records whose checksums are not known. */
static inline void position_skip(struct position *p, uint64_t count)
{
	p->records += count;
	p->digested &= count == 0;
}

/* Whether two positions with the same number are known to be of different histories. */
static inline bool position_differs(const struct position *a, const struct position *b)
{
	if (a->counted && b->counted && a->records != b->records)
		return true;
	return a->digested && b->digested && a->digest_from == b->digest_from &&
	       a->digest != b->digest;
}

#endif
