#ifndef DAEMON_PIPELINE_PRIVATE_H
#define DAEMON_PIPELINE_PRIVATE_H

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/state.h"
#include "copy/writer.h"
#include "daemon/pipeline.h"
#include "daemon/poison.h"
#include "daemon/row_maker.h"

/*
 * Shared by pipeline*.c only. The files form layers; a file uses only those below its own
 * (tests/lint/circles.py):
 *
 *	pipeline.c             made, started, stopped; what others ask
 *	pipeline_connection.c  the connection comes and goes
 *	pipeline_outcome.c     what becomes of a batch that was sent
 *	pipeline_send.c        when a batch is sent, and made again
 *	pipeline_settings.c    other settings
 *	pipeline_measure.c     counts
 *	pipeline_probe.c       is it this record that is refused, or all?
 *	pipeline_fill.c        records into a batch
 *	pipeline_trouble.c     smaller batches; the message that is at fault
 *	pipeline_wait.c        until the next try, or for good
 */

enum {
	/* Address space of a batch; how much of it is used depends on the load. */
	PIPELINE_ARENA_BYTES = 96 << 20,
	/* A batch is closed when its rows use this much for each message that it may have: a usual
	 * one needs 0.8 to 2 KB. Within these limits, the first of which is what 5,000 messages
	 * may use. Storing a batch takes half as much again. */
	PIPELINE_MESSAGE_BYTES = 1550,
	PIPELINE_ARENA_FILLED_MIN = 7750 * 1000,
	PIPELINE_ARENA_FILLED_MAX = 18 << 20,
	/* The largest mqtt.message_bytes_max: a log may have messages from when the limit was
	 * higher. */
	PIPELINE_PAYLOAD_BYTES_MAX = 16 << 20,
	/* Records taken between two checks of the connection while a batch is written: 0.5 ms. */
	PIPELINE_SLICE_RECORDS = 32,
	/* Roughly how many batches a mean covers. */
	PIPELINE_RECENT = 8,
};

/*
 * What the pipeline does:
 *
 *	State        Until                                 Then
 *	NEW          pipeline_start()                      CONNECTING
 *	CONNECTING   the database says how far it is       READY
 *	             the schema is behind, and may be      MIGRATING
 *	             brought up to date
 *	LOST         it is time for the next try           CONNECTING
 *	MIGRATING    the schema is up to date              CONNECTING
 *	             it could not be brought there         LOST
 *	READY        a batch is sent                       STORING
 *	             a probe goes on or ends               PAUSED, UNSURE
 *	STORING      the batch is stored                   READY
 *	             it failed                             PAUSED, UNSURE
 *	             pipeline_stop()                       LAST
 *	LAST         the batch is stored or failed         ENDED
 *	PAUSED       it is time for the next try           READY
 *	UNSURE       the same, from what the database has  CONNECTING
 *	any          the connection ends, or another one   LOST; LAST: ENDED
 *	             is wanted (pipeline_reload())
 *	any          pipeline_stop(), but for STORING;     ENDED
 *	             a failure that no retry can help
 *
 * In STORING and LAST the writer has a batch, and in no other state. The log is read, and the next
 * batch made, in READY and STORING.
 *
 * Records are stored in the order of their numbers, none is left out, and none is claimed twice:
 *
 *	stored_seq  <  storing: first_seq .. last_seq  <  filling: first_seq .. last_seq
 *
 * and a batch that is sent follows stored_seq. Only trials, which are rolled back, may have other
 * records (checked where records are taken, and where a batch is sent).
 */
enum pipeline_state {
	PIPELINE_NEW,
	PIPELINE_CONNECTING, /* or reading the progress again */
	PIPELINE_LOST,       /* until the next attempt to connect */
	PIPELINE_MIGRATING,
	PIPELINE_READY, /* positioned where the database says */
	PIPELINE_STORING,
	PIPELINE_LAST,   /* like STORING, but nothing new is taken */
	PIPELINE_PAUSED, /* until the batch is built again */
	PIPELINE_UNSURE, /* until the progress is read again */
	PIPELINE_ENDED,
};

/* Whether there is more for the batch being filled. */
enum pipeline_supply {
	SUPPLY_OPEN,
	SUPPLY_CAUGHT_UP, /* everything in the log, or everything allowed, is taken */
	SUPPLY_ENDED,     /* everything, and the log gets no more */
	SUPPLY_CLOSED,    /* the batch takes no more */
};

/* Delay until the next attempt if somebody has to do something first. */
#define PIPELINE_REFUSED_US (30 * US_PER_SECOND)

/* The longest that the server may be silent about a single slow record. */
#define PIPELINE_PATIENCE_MAX_US (3600 * US_PER_SECOND)

/*
 * After a record is refused: is it the record (pipeline_probe.c), and if so, which of its messages
 * (the hunt, pipeline_trouble.c)? What is tried is rolled back.
 *
 *	State      The next batch                         Then
 *	NONE       is stored                              OTHERS: others may be refused like it
 *	                                                  BARE: it is the record
 *	OTHERS     tries a record after it                BARE: it is the record
 *	                                                  ALL_TRIED: the log has no more
 *	ALL_TRIED  there is none                          BARE: it is the record
 *	BARE       tries it without its messages          HALVING, FOUND: accepted
 *	HALVING    tries some of its first messages       FOUND: one is at fault
 *	FOUND      is stored without that one             HALVING: another one is at fault, too
 *	all                                               the same: not known yet
 *	                                                  NONE: stored, or nobody can say
 */
enum pipeline_search {
	SEARCH_NONE,
	SEARCH_OTHERS,
	SEARCH_ALL_TRIED,
	SEARCH_BARE,
	SEARCH_HALVING,
	SEARCH_FOUND,
};

/* How many records a batch may have after trouble, besides the limit in the settings. */
struct pipeline_limit {
	size_t records; /* 0 = the limit in the settings */
	bool slow;      /* it took too long, so the limit grows slowly */
	int64_t slow_us;
};

/* The search for the message at fault in a refused record (pipeline_trouble.c). */
struct pipeline_hunt {
	uint64_t seq;     /* the record */
	uint32_t good;    /* how many of its first messages are accepted, without those found */
	uint32_t bad;     /* among this many first messages, one is refused */
	bool bad_is_dead; /* the last of them is already a dead letter */
	uint32_t take;    /* how many of its first messages a trial takes */
	int tries;        /* tries of this step, if the server may be at fault */
	struct error why;
};

/* Where rows go: a table, what is done to transactions, or a partition of a table. */
enum { PROBE_INSERTED = TABLE_COUNT, PROBE_UPDATED, PROBE_TARGETS_MAX = 256 };

struct probe_target {
	int table;              /* enum table_id, or PROBE_... */
	bool leaf;              /* the partition with this number */
	int32_t number;         /* otherwise 0 */
	bool accepted, refused; /* rows of other records */
};

struct probe_targets {
	struct probe_target targets[PROBE_TARGETS_MAX];
	size_t count;
	bool too_many; /* some are missing here */
};

/* The witness: tables that accepted rows of records which were refused together with the last one
 * of them, up to `upto`, and stored without it. */
struct pipeline_witness {
	uint64_t upto; /* 0 = no batch was refused */
	bool tables[PROBE_UPDATED + 1];
};

/* Finds out whether only one record is refused (pipeline_probe.c). */
struct pipeline_probe {
	int tries;     /* tries of the record alone, since a batch was stored */
	bool outage;   /* since then, the server itself may have refused batches */
	int renewals;  /* how often another error came after that, and got patience of its own */
	uint64_t seq;  /* the record */
	uint64_t from; /* no record up to this one is informative */
	uint64_t at;   /* checked up to here */
	bool barren;   /* this search began at `from`, and has found none yet */
	int refused_count; /* in a row */
	int beyond;        /* records checked for partitions only, since the tables are known */
	int rounds;        /* rounds in which it was refused and others were accepted */
	int lonely;        /* rounds without a record to compare with ... */
	int64_t lonely_us; /* ... the time between them, and the last of them */
	int64_t lonely_mono_us;
	size_t bytes; /* size of its payload */
	struct probe_targets targets;
	uint32_t bad; /* the same as in pipeline_hunt */
	bool bad_is_dead;
	bool dead_letters_refused; /* the same as in struct batch */
	struct error why;
};

/* Settings that wait until no batch is being stored. */
struct pipeline_next {
	const struct config *config; /* NULL = none are waiting */
	struct pg_options pg;
	bool reconnect;
};

struct pipeline {
	struct ev_loop *loop;
	const struct config *config;
	struct pipeline_next next;
	struct pipeline_options options;
	struct pipeline_events events;
	const struct log_reader *log;
	struct metrics *metrics;

	struct row_maker maker;
	struct recent_calls *calls;
	struct partitions *partitions;
	struct writer *writer;

	struct clock_cautious begun; /* when the pipeline was created */

	/* One is filled while the other is being written. */
	struct batch batches[2];
	struct batch *filling;
	struct batch *storing; /* the one that the writer has; NULL = none */
	enum pipeline_supply supply;
	uint64_t taken, allowed; /* records since the start (pipeline_allow()) */
	int64_t stored_mono_us;  /* when storing began */
	int64_t storing_us;      /* how long batches take, recently */
	int64_t apart_us;        /* time between messages, recently */

	enum pipeline_state state; /* only pipeline_enter() changes it */
	bool stored_known;         /* the database has reported it in this run */
	uint64_t stored_seq;

	/* After trouble (pipeline_trouble.c). */
	enum pipeline_search search; /* only pipeline_enter_search() changes it */
	struct pipeline_limit limit;
	struct pipeline_hunt hunt;
	struct pipeline_probe probe;
	struct probe_targets probe_others;
	struct pipeline_witness witness;
	struct poison_set poison;
	int failures;        /* failed batches since one was stored */
	int refusals;        /* of connections, since the last one */
	int dead_refusals;   /* of one record, by table dead_letters, since a batch was stored */
	int64_t patience_us; /* storage.postgres.timeout or more */
	struct log_repeat refused;
	struct log_repeat dead_letters;
	struct log_repeat versions; /* those that are not known */

	ev_timer retry;
	ev_timer pace; /* until the batch is sent */
	ev_timer tick;
	ev_idle slack; /* fills the batch while the connection is idle */
	struct backoff backoff;
	struct log_repeat trouble;
	enum pipeline_trouble troubled; /* since a batch was stored */
	enum error_reason troubled_why;
	uint64_t waits_seq; /* records after this one have waited since then; 0 = not checked */
	int64_t waits_since_us;
	int64_t partitions_made_us;
	int64_t pruned_us;
};

/* The log is read from the database's position, and batches are stored. */
static inline bool pipeline_positioned(const struct pipeline *p)
{
	return p->state == PIPELINE_READY || p->state == PIPELINE_STORING ||
	       p->state == PIPELINE_LAST;
}

static inline unsigned pipeline_next(enum pipeline_state state)
{
	unsigned ends = STATE(PIPELINE_ENDED);

	switch (state) {
	case PIPELINE_NEW:
	case PIPELINE_LOST:
		return ends | STATE(PIPELINE_CONNECTING);
	case PIPELINE_CONNECTING:
		return ends | STATE(PIPELINE_READY) | STATE(PIPELINE_MIGRATING) |
		       STATE(PIPELINE_LOST);
	case PIPELINE_PAUSED:
		return ends | STATE(PIPELINE_READY) | STATE(PIPELINE_LOST);
	case PIPELINE_READY:
		return ends | STATE(PIPELINE_STORING) | STATE(PIPELINE_PAUSED) |
		       STATE(PIPELINE_UNSURE) | STATE(PIPELINE_LOST);
	case PIPELINE_STORING:
		return ends | STATE(PIPELINE_READY) | STATE(PIPELINE_PAUSED) |
		       STATE(PIPELINE_UNSURE) | STATE(PIPELINE_LOST) | STATE(PIPELINE_LAST);
	case PIPELINE_UNSURE:
	case PIPELINE_MIGRATING:
		return ends | STATE(PIPELINE_CONNECTING) | STATE(PIPELINE_LOST);
	case PIPELINE_LAST:
		return ends;
	case PIPELINE_ENDED:
		break;
	}
	return 0;
}

static inline void pipeline_enter(struct pipeline *p, enum pipeline_state state)
{
	CHECK((pipeline_next(p->state) & STATE(state)) != 0);
	p->state = state;
	/* Only in these two states does the writer have a batch; at the end it may keep the last
	 * one. */
	CHECK((p->storing != NULL) == (state == PIPELINE_STORING || state == PIPELINE_LAST) ||
		state == PIPELINE_ENDED);
}

static inline unsigned pipeline_search_next(enum pipeline_search search)
{
	unsigned over = STATE(search) | STATE(SEARCH_NONE);

	switch (search) {
	case SEARCH_NONE:
		return over | STATE(SEARCH_OTHERS) | STATE(SEARCH_BARE);
	case SEARCH_OTHERS:
		return over | STATE(SEARCH_ALL_TRIED) | STATE(SEARCH_BARE);
	case SEARCH_ALL_TRIED:
		return over | STATE(SEARCH_BARE);
	case SEARCH_BARE:
		return over | STATE(SEARCH_HALVING) | STATE(SEARCH_FOUND);
	case SEARCH_HALVING:
		return over | STATE(SEARCH_FOUND);
	case SEARCH_FOUND:
		return over | STATE(SEARCH_HALVING);
	}
	return 0;
}

static inline void pipeline_enter_search(struct pipeline *p, enum pipeline_search search)
{
	CHECK((pipeline_search_next(p->search) & STATE(search)) != 0);
	p->search = search;
}

/* Other records are being tried. */
static inline bool pipeline_is_probing(const struct pipeline *p)
{
	return p->search == SEARCH_OTHERS || p->search == SEARCH_ALL_TRIED;
}

static inline bool pipeline_is_hunting(const struct pipeline *p)
{
	return p->search != SEARCH_NONE && !pipeline_is_probing(p);
}

/* ---- pipeline_fill.c ---- */

/* Take up to that many records into the batch being filled, within its limits: fewer if it is
 * closed or the log has no more. False with err FATAL if the log cannot be read. */
MUST_CHECK bool pipeline_fill(struct pipeline *p, size_t records, struct error *err);

/* Take the next record into the empty batch; it stays empty if there is no room for it, or if the
 * log cannot be read (ERROR, err FATAL). */
MUST_CHECK enum log_next pipeline_fill_one(struct pipeline *p, uint64_t *seq_out,
	struct error *err);

/* Drop what was filled; reading continues after it. */
void pipeline_clear_filling(struct pipeline *p);

/* Hand the filled batch over for storing; the next one begins. */
void pipeline_take_batch(struct pipeline *p);

/* Drop what was filled and go back to just after seq. */
MUST_CHECK bool pipeline_rewind(struct pipeline *p, uint64_t seq, struct error *err);

/* ---- pipeline_wait.c ---- */

/* Call pipeline_on_retry() after this long, instead of any earlier plan. */
void pipeline_retry_in(struct pipeline *p, int64_t us);

/* Wait in this state until that call, which ends it. */
void pipeline_wait(struct pipeline *p, enum pipeline_state state, int64_t us);

/* Enter ENDED: everything to be stored is stored, or no retry can help. Both inform the owner. */
void pipeline_drained(struct pipeline *p);
void pipeline_fatal(struct pipeline *p, const struct error *err);

/* Something will be retried in wait_us: logged now and then, and shown by pipeline_trouble(). */
void pipeline_log_trouble(struct pipeline *p, enum pipeline_trouble trouble, const char *event,
	const struct error *err, int64_t wait_us);

/* ---- pipeline_settings.c ---- */

/* The options of the writer. */
struct writer_options pipeline_writer_options(const struct pipeline *p,
	const struct pg_options *pg);

/* Update the limit for what is too old to be stored. */
void pipeline_set_now(struct pipeline *p);

/*
 * Switch to the next settings, if there are any and no batch is being stored: the batch being
 * filled is built again with them, and whatever waits continues immediately. Call it whenever a
 * batch is over. It may end in pipeline_fatal().
 */
void pipeline_take_settings(struct pipeline *p);

/* ---- pipeline_send.c ---- */

/* Partitions and pruning, when due: true if the writer is busy with it now. */
bool pipeline_maintain(struct pipeline *p);

/* Drop the batch and, after a delay, build it again from stored_seq. unsure: from what the database
 * says then. */
void pipeline_again(struct pipeline *p, struct batch *b, int64_t wait_us, bool unsure);

/* Watchers: the connection is idle while a batch is written; a small batch has waited. */
void pipeline_on_slack(struct ev_loop *loop, ev_idle *w, int events);
void pipeline_on_pace(struct ev_loop *loop, ev_timer *w, int events);

/* ---- pipeline_outcome.c, pipeline_connection.c: called by the writer and the timer ---- */

void pipeline_on_stored(void *context, struct batch *b, const struct error *err,
	int64_t poison_message);
void pipeline_on_ready(void *context, const struct position *at);
void pipeline_on_lost(void *context, const struct error *lost);
void pipeline_on_retry(struct ev_loop *loop, ev_timer *w, int events);

/* ---- pipeline_measure.c ---- */

/* Count the content of a stored batch. */
void pipeline_measure_stored(struct pipeline *p, const struct batch *b);

/* ---- pipeline_trouble.c ---- */

/* A batch was stored, and took this long. */
void pipeline_trouble_stored(struct pipeline *p, const struct batch *b, int64_t us);

/* A trial was accepted and rolled back. */
void pipeline_trouble_accepted(struct pipeline *p, const struct batch *b);

/* A batch was not stored, and the next attempt is wait_us away. refused: table dead_letters refused
 * its rows. True if no other form of them is left to try; then err says so. */
bool pipeline_trouble_dead_letters(struct pipeline *p, bool refused, size_t records,
	int64_t wait_us, struct error *err);

/* A batch was not stored, or the connection was lost during it, and no message is at fault. */
void pipeline_trouble_failed(struct pipeline *p, const struct batch *b, const struct error *err);

/* The database refuses a message; message < 0: it does not say which. False if no attempt is left
 * that differs from the last one. */
MUST_CHECK bool pipeline_trouble_refused(struct pipeline *p, const struct batch *b,
	const struct error *err, int64_t message);

/* The next batch has half as many records, but at least one. */
void pipeline_trouble_shrink(struct pipeline *p, size_t records);

/* The batch is too large for the server to store. False as above. */
MUST_CHECK bool pipeline_trouble_too_large(struct pipeline *p, const struct batch *b);

/* The error for a message that does not fit even into a batch of its own. */
void pipeline_too_large(struct error *err);

/* The batch being filled is full. */
void pipeline_trouble_full(struct pipeline *p);

/* ---- pipeline_probe.c ---- */

/* Whether an error may be about rows of the batch, whatever it says. */
bool pipeline_probe_suspects(const struct pipeline *p, const struct batch *b,
	const struct error *err);

/* A batch was refused with this error. Returns how long to wait until the next attempt. */
int64_t pipeline_probe_failed(struct pipeline *p, const struct batch *b, const struct error *err);

/* A trial of the probe was answered. */
void pipeline_probe_answered(struct pipeline *p, const struct batch *b, bool accepted);

/* A batch was stored. */
void pipeline_probe_stored(struct pipeline *p, const struct batch *b);

/* Looks for the next record to try; the batch stays empty if none was found yet. False as for
 * pipeline_fill(). */
MUST_CHECK bool pipeline_probe_fill(struct pipeline *p, struct error *err);

/* No other record is left to try: end the probe ... */
bool pipeline_probe_is_over(const struct pipeline *p);

/* ... and begin the hunt (0), or wait this long, for what err says. */
int64_t pipeline_probe_end(struct pipeline *p, struct error *err);

#endif
