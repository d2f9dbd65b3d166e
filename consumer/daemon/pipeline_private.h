#ifndef DAEMON_PIPELINE_PRIVATE_H
#define DAEMON_PIPELINE_PRIVATE_H

#include "base/backoff.h"
#include "base/log.h"
#include "copy/writer.h"
#include "daemon/pipeline.h"
#include "decode/decode.h"

/* Shared by pipeline*.c only. */

enum {
	/* Address space of a batch; what is used of it follows the load. */
	PIPELINE_ARENA_BYTES = 96 << 20,
	/* A batch is closed when its rows have taken this much. */
	PIPELINE_ARENA_FILLED = 18 << 20,
	PIPELINE_POISON_MAX = 4096,
	/* Records taken between two looks at the connection while a batch is written: 0.5 ms. */
	PIPELINE_SLICE_RECORDS = 32,
};

/* A message, or a whole record, that is to become a dead letter whatever it holds. */
struct pipeline_poison {
	uint64_t seq;
	uint32_t index; /* PIPELINE_WHOLE_RECORD = all of it, undecoded */
	struct error why;
};

#define PIPELINE_WHOLE_RECORD UINT32_MAX

struct pipeline {
	struct ev_loop *loop;
	const struct config *config;
	struct pipeline_events events;
	const struct log_reader *log;
	struct metrics *metrics;

	struct topic_patterns patterns;
	struct decoder *decoder;
	struct schemas *schemas;
	struct layouts *layouts;
	struct sequences *sequences;
	struct slice *skip_actions;
	struct rows_builder builder;
	struct partitions *partitions;
	struct writer *writer;

	/* One is filled while the other is written. */
	struct batch batches[2];
	struct batch *filling;
	struct batch *storing;  /* NULL = none */
	bool closed;            /* filling takes no more */
	bool caught_up;         /* everything in the log is taken */
	int64_t stored_mono_us; /* when storing began */

	bool positioned; /* the cursor stands where the database says */
	bool stopping;
	bool stopped;
	uint64_t stored_seq;

	/* After a failure that one message may have caused: smaller batches until behind it. */
	size_t records_max; /* 0 = no limit */
	uint64_t trouble_seq;
	struct pipeline_poison *poison;
	size_t poison_count;

	ev_timer retry;
	ev_timer tick;
	ev_idle slack; /* fills while the connection has nothing for us */
	struct backoff backoff;
	bool waiting;   /* for the retry timer */
	bool reconnect; /* what the timer is for */
	struct log_repeat trouble;
	uint64_t waits_seq; /* what follows this one waits since then; 0 = not looked at */
	int64_t waits_since_us;
	int64_t partitions_made_us;
	int64_t pruned_us;
};

/* pipeline_fill.c: take up to so many records into the batch that is filled, within its limits:
 * fewer if it is closed or the log has no more (caught_up). False with err FATAL if the log cannot
 * be read. */
MUST_CHECK bool pipeline_fill(struct pipeline *p, size_t records, struct error *err);

/* The batch at hand is over; the next begins. */
void pipeline_take_batch(struct pipeline *p);

/* Forget what is filled and stand behind seq again. */
MUST_CHECK bool pipeline_rewind(struct pipeline *p, uint64_t seq, struct error *err);

/* What is wrong with a message for which even a batch of its own has no room. */
void pipeline_too_large(struct error *err);

/* From here on this message becomes a dead letter. */
void pipeline_poison(struct pipeline *p, uint64_t seq, uint32_t index, const struct error *why);

#endif
