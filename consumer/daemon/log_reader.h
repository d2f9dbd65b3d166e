#ifndef DAEMON_LOG_READER_H
#define DAEMON_LOG_READER_H

#include "base/arena.h"
#include "base/error.h"
#include "base/sha256.h"
#include "spool/spool.h"

#include <stdbool.h>
#include <stdint.h>

/* What comes next: a record; none yet, but maybe later; none any more; or an error. */
enum log_next { LOG_RECORD, LOG_NOTHING_YET, LOG_END, LOG_ERROR };

/* The source that the pipeline reads: numbered records that can be read again from any number on.
 * The service reads its own log, a replay reads old files. Called on the loop. */
struct log_reader {
	void *context;
	struct uuid identity;  /* the key of its progress in the database */
	struct position begin; /* before the first record */

	/* The same as in spool/spool.h. recognise: NULL = the identity alone identifies the
	 * content. */
	bool (*recognise)(void *context, const struct position *at, struct position *out,
		struct error *err);
	bool (*seek)(void *context, uint64_t seq, uint64_t *lost_out, struct error *err);
	enum log_next (
		*next)(void *context, struct arena *arena, struct record *out, struct error *err);
	void (*drop_window)(void *context);
	void (*release)(void *context, uint64_t seq);     /* or NULL */
	bool (*failed)(void *context, struct error *err); /* or NULL */

	/* Digest of all records up to seq, stored with the progress; called when seq was the last
	 * one read. False: unknown. NULL: the log's identity stands for its content. */
	bool (*content)(void *context, uint64_t seq, uint8_t out[SHA256_BYTES]);

	void (*close)(void *context);
};

/* Reads a log of our own; spool is borrowed. after_last: what comes after its last record: LOG_END
 * if nobody appends any more, otherwise LOG_NOTHING_YET. */
MUST_CHECK bool log_reader_of_spool(struct log_reader *out, struct spool *spool,
	enum log_next after_last, struct error *err);

void log_reader_close(struct log_reader *log);

#endif
