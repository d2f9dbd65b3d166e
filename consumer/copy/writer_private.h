#ifndef COPY_WRITER_PRIVATE_H
#define COPY_WRITER_PRIVATE_H

#include "base/log.h"
#include "base/state.h"
#include "copy/collector.h"
#include "copy/encode.h"
#include "copy/pairing.h"
#include "copy/requests.h"
#include "copy/splits.h"
#include "copy/writer.h"
#include "pg/pooler.h"

/*
 * Shared by writer*.c only. The files form layers; a file uses only those below its own
 * (tests/lint/circles.py):
 *
 *	writer.c                                  batches begin, end and fail
 *	writer_setup.c, writer_maintenance.c      a new connection; between batches
 *	writer_plan.c                             the steps of a batch, in order: a table
 *	all other writer_*.c                      the steps, which do not know each other
 *	writer_claim.c, _durable.c, _loading.c    what they stand on
 *	requests.h                                one run of requests
 */

/* copy/writer.h has the transitions. */
enum writer_state {
	WRITER_LOST,
	WRITER_CONNECTING, /* also while setting up, and while reading the progress again */
	WRITER_READY,
	WRITER_STORING,
	WRITER_COMMITTED, /* stored, whatever else fails */
	WRITER_ROLLING_BACK,
	WRITER_MAINTAINING,
};

enum {
	WRITER_COPIES_MAX = 16,    /* leaves in one run; the others follow in further runs */
	WRITER_DURABLE_MAX = 1024, /* commits whose place in the WAL is remembered */
	WRITER_REASONS_MAX = 64,
};

/* A COPY in progress: rows of one table into one leaf, or into the table of the careful path. */
struct writer_copy {
	struct encode_stream stream;
	struct writer *writer;
	size_t request; /* its request in the run */
	int table;
	bool careful;
};

struct writer_durable {
	uint64_t lsn;
	uint64_t seq;
};

/* A partition that the current run asks for, and the answer: valid once the run has succeeded. */
struct writer_asked {
	struct partition partition;
	bool loading; /* it is a table that will become one, and we fill it */
	bool renamed; /* a partition with another name covers its time */
};

struct writer_reason {
	char name[64];
	int64_t count;
};

/* Pairs of calls and results, by what they are used for. */
struct writer_pairs {
	struct row **starts, **lost_starts, **authorize, **lost_authorize, **answers;
	size_t starts_count, lost_starts_count, authorize_count, lost_authorize_count;
	size_t answers_count;
	struct pairs *named; /* for each id with answers that do not name their action */
	size_t named_count;
	bool fill; /* rows of the batch are not copied yet, so they can include their outcome */
};

/* Transactions of the batch, ready to be written. */
struct writer_merged {
	struct row **updates;
	struct row **old; /* partition_time as read, each in a row of its own */
	size_t updates_count;
	struct row **inserts;
	size_t inserts_count;
	struct row **all;
	size_t all_count;
};

/* Why a batch is rolled back. */
enum writer_rollback {
	ROLLBACK_FAILED,   /* see work.failure */
	ROLLBACK_ACCEPTED, /* it was a trial */
	ROLLBACK_RETRIED,  /* it is retried another way */
	ROLLBACK_FOREIGN,  /* another process has the log */
};

/* Partitions that are being made ahead: those that are missing, table by table. */
enum {
	WRITER_AHEAD_IN_RUN = 16,
	WRITER_AHEAD_MAX = TABLE_COUNT * 64, /* partitions.ahead_days is at most 60 */
};
struct writer_ahead {
	struct partition missing[WRITER_AHEAD_MAX];
	size_t missing_count;
	size_t next;        /* of them, to ask for */
	size_t asked_count; /* in the current run, one a request: those before `next` */
};

/* What the work on one batch has to remember between runs. Above each group: the file that sets it,
 * and which others read it. */
struct writer_work {
	/* writer.c. For all steps. */
	struct batch *batch; /* NULL = none */

	/* writer_plan.c. The name is for writer.c, which logs it. */
	size_t step;           /* index of the next step */
	const char *step_name; /* name of the last step planned */
	/* writer_copy.c, writer_partitions.c. For writer_plan.c. */
	bool full; /* the run had no room for all of the step: it continues in the next */

	/* writer_claim.c. For writer.c, once it is committed. */
	struct position after; /* the database's position after the commit */

	/* writer_partitions.c. The count is for writer_plan.c and writer_loading.c. */
	size_t partitions_next;
	struct writer_asked *asked; /* in the current run, in the order of its requests */
	size_t asked_count;

	/* writer_copy.c: continues at this row of this table; timeless: among the rows without a
	 * time. careful is for writer_seen.c and writer_pairs.c. */
	int copy_table;
	size_t copy_row;
	bool careful[EVENT_TABLES];

	/* writer_near.c. For writer_pairs.c. */
	struct row **near; /* stored halves of exchanges near those of this batch */
	size_t near_count;
	size_t near_room;

	/* writer_pairs.c. Pairs are for the steps that follow from them, halves for
	 * writer_copy.c. */
	struct writer_pairs *pairs; /* NULL = no halves */
	struct row **halves; /* halves of the batch; by what was read, those not stored yet */
	size_t halves_new;
	bool halves_asked; /* they are not copied: the database says which already existed */
	bool pairs_differ; /* stored halves changed the pairs */

	/* writer_transactions.c. Splits are for writer_sessions.c. */
	struct transaction **known; /* for each transaction of the batch: as read, or NULL */
	struct slice *known_states; /* merge_state as read */
	bool *split;     /* for each transaction: its id is known to have several sessions */
	int64_t *begins; /* if so: when the known one began, the last; TIME_UNDATED: the only one */
	struct writer_merged *merged;
	struct splits *splits; /* NULL = none */

	/* writer_loading.c */
	uint64_t loaded; /* rows of the batch in tables without an index */

	/* writer.c, and the step that knows what failed: writer_blame(), writer_partitions.c; for
	 * the rollback writer_claim.c, writer_copy.c, writer_starts.c. For writer.c. */
	struct error failure; /* kept while rolling back */
	int64_t poison_message;
	enum writer_rollback rollback;
};

/* Messages by outcome, since the log began; they commit with the rows. */
struct writer_totals {
	int64_t received;
	int64_t stored;
	int64_t duplicate;
	int64_t dead_lettered;
	int64_t skipped;
};

/* Above each group: the file that sets it, and which others read it. */
/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): grouped by meaning */
struct writer {
	/* writer.c, when the writer is made or reloaded. For all. */
	struct ev_loop *loop;
	struct writer_options options;
	struct writer_events events;
	struct pg_session *session;
	struct partitions *partitions;
	struct layouts *layouts;
	struct pseudonyms *pseudonyms; /* writer_setup.c reads them along with the progress */
	struct collector *collector;   /* of station_changes */
	struct attacher *attacher;     /* NULL = no day is loaded before it is a partition */
	char spool_text[UUID_TEXT_BYTES];
	char owner_text[UUID_TEXT_BYTES];
	bool had_log;             /* this process has fed it; set when its progress is read */
	int64_t foreign_since_us; /* another one has it since then, as seen at a setup; 0 = none */
	struct pg_pooler *pooler;
	char session_sql[PG_SETUP_BYTES]; /* run once it is known to be a session */
	struct arena setup_arena;         /* for parameters outside of batches */

	enum writer_state state; /* only writer_enter() changes it */

	/* writer_claim.c as read, writer.c when a batch is stored. For writer_durable.c. */
	struct position at; /* the last record that the database has */
	uint64_t row_seq;   /* from ingest_progress; differs from at.seq only if somebody set it */

	/* writer_claim.c. sent_known is for writer_setup.c. */
	int64_t forgotten; /* ingest_progress.forgotten when the pseudonyms were read */
	uint64_t sent_seq; /* last record of the last batch sent; otherwise the same as at */
	bool sent_known;

	/* writer_totals.c */
	struct writer_totals totals;
	struct writer_reason reasons[WRITER_REASONS_MAX];
	size_t reasons_count;

	/* writer_copy.c; writer.c counts down, writer_setup.c starts again. For writer_pairs.c. */
	uint32_t careful_left[EVENT_TABLES]; /* batches that take the careful path right away */
	uint32_t halves_careful_left;
	bool careful_made[EVENT_TABLES]; /* its temporary table exists in this session */
	bool dead_table_made;            /* likewise */

	/* writer_dead.c; writer_setup.c starts again. */
	int64_t dead_letters_room; /* how many more rows fit, as far as is known */

	/* writer_maintenance.c. */
	struct writer_ahead ahead;

	struct writer_work work;
	struct requests requests; /* the current run: each step adds to it */

	/* writer_copy.c: what the current run copies. */
	struct writer_copy copies[WRITER_COPIES_MAX];
	size_t copies_count;
	uint8_t *copy_buffer;
	size_t copy_buffer_size;

	/* writer_durable.c; writer_setup.c starts again. For writer_maintenance.c. Commits whose
	 * LSN is not yet known to be on disk, oldest first. */
	struct writer_durable durable[WRITER_DURABLE_MAX];
	size_t durable_count;
	bool undated; /* later commits are missing here: writer.c could not read their LSN */
	struct log_repeat durable_trouble;
	uint64_t lsn_insert, lsn_flush; /* as last read */

	/* writer_setup.c. For the pipeline, through calls of writer.h. */
	struct writer_patience patience;
	int64_t clock_asked_us; /* our clock before the database was asked for its own */
	/* the database's clock is ahead by at least this much; it lags if negative */
	int64_t clock_offset_us;
	bool clock_differs;
};

static inline unsigned writer_next(enum writer_state state)
{
	switch (state) {
	case WRITER_LOST:
		return STATE(WRITER_CONNECTING);
	case WRITER_CONNECTING:
	case WRITER_MAINTAINING:
	case WRITER_COMMITTED:
		return STATE(WRITER_READY) | STATE(WRITER_LOST);
	case WRITER_READY:
		return STATE(WRITER_STORING) | STATE(WRITER_MAINTAINING) |
		       STATE(WRITER_CONNECTING) | STATE(WRITER_LOST);
	case WRITER_STORING:
		return STATE(WRITER_COMMITTED) | STATE(WRITER_ROLLING_BACK) | STATE(WRITER_LOST);
	case WRITER_ROLLING_BACK:
		return STATE(WRITER_READY) | STATE(WRITER_STORING) | STATE(WRITER_LOST);
	}
	return 0;
}

static inline void writer_enter(struct writer *w, enum writer_state state)
{
	CHECK((writer_next(w->state) & STATE(state)) != 0);
	w->state = state;
}

/* The database refused the message of this row; none if the row was already stored. */
static inline void writer_blame(struct writer *w, const struct row *row)
{
	w->work.poison_message = row->message == ROW_OF_NO_MESSAGE ? -1 : (int64_t)row->message;
}

/* Add a statement with rows of the batch, or made for it, as parameters. Without rows it adds
 * nothing. */
MUST_CHECK static inline bool writer_add_rows(struct writer *w, const struct request_rows *rows,
	struct error *err)
{
	return requests_add_rows(&w->requests, &w->work.batch->arena, rows, err);
}

/* The same for pairs. */
MUST_CHECK static inline bool writer_add_pairs(struct writer *w, enum statement_id statement,
	struct row *const *rows, size_t count, request_on_result *on_result, struct error *err)
{
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[statement],
			.table = TABLE_exchange_pairs,
			.rows = rows,
			.count = count,
			.on_result = on_result,
			.context = w,
		},
		err);
}

/* ---- what the steps are built on ---- */

/* writer_claim.c: the progress in the database (take_over.sql) ... */
MUST_CHECK bool writer_read_progress(struct writer *w, const PGresult *result, struct error *err);
/* ... how a batch advances it ... */
MUST_CHECK bool writer_plan_claim(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_constraints(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_commit(struct writer *w, struct error *err);
/* ... and the rollback. Its results say whether another process has the log (work.rollback). */
void writer_plan_rollback(struct writer *w);
/* At a setup: if another process has taken the log over from this one, the setup fails: TRANSIENT,
 * and FATAL when that has lasted. */
MUST_CHECK bool writer_plan_foreign(struct writer *w, struct error *err);
/* False, with the err for that. */
bool writer_used_elsewhere(const struct writer *w, struct error *err);

/* writer_durable.c: ask how far the WAL is on disk ... */
MUST_CHECK bool writer_plan_positions(struct writer *w, struct arena *arena, struct error *err);
/* ... in the batch's own run, after its commit ... */
MUST_CHECK bool writer_plan_commit_position(struct writer *w, struct error *err);
/* ... a commit whose LSN was just read ... */
void writer_durable_add(struct writer *w, uint64_t seq);
/* ... earlier ones whose LSN could not be read ... */
void writer_durable_date(struct writer *w);
void writer_durable_failed(struct writer *w, const struct error *err);
/* ... and report which of them are on disk. */
void writer_durable_report(struct writer *w);

/* writer_loading.c: whether rows of a partition that does not exist yet are loaded first. */
bool writer_loads(const struct writer *w, struct partition p);
/* Rows of the current batch go into that table. */
void writer_loading_used(struct writer *w, struct partition p, size_t rows);
/* A table that gets no more rows ends with the current batch ... */
MUST_CHECK bool writer_plan_loading(struct writer *w, struct error *err);
/* ... which is now stored. */
void writer_loading_stored(struct writer *w);

/* ---- steps: each adds requests to the run, or none ---- */

/* writer_partitions.c: partitions that the batch needs and that do not exist, each in a short
 * transaction. */
MUST_CHECK bool writer_plan_partitions(struct writer *w, struct error *err);
/* They are created; or one of them could not be. */
void writer_partitions_made(struct writer *w);
void writer_partition_failed(struct writer *w);
/* At the end: nobody reads rows in a table that is no longer a partition. */
MUST_CHECK bool writer_plan_attached(struct writer *w, struct error *err);

/* writer_copy.c: rows into tables. Before the batch's transaction: the tables of the careful
 * path. */
MUST_CHECK bool writer_plan_copy_tables(struct writer *w, struct error *err);
/* Before any row: locks the tables. */
MUST_CHECK bool writer_lock_tables(struct writer *w, struct error *err);
MUST_CHECK bool writer_copy_events(struct writer *w, struct error *err);
MUST_CHECK bool writer_copy_dead_letters(struct writer *w, struct error *err);
/* Rows without a time of their own that are not stored yet. */
MUST_CHECK bool writer_copy_timeless(struct writer *w, struct error *err);
/* Halves of exchanges, none of which is stored yet. */
MUST_CHECK bool writer_copy_halves(struct writer *w, struct error *err);
void writer_copy_begin_run(struct writer *w);
void writer_copy_failed(struct writer *w);

/* writer_seen.c: locks against other workers; which rows are already stored. */
MUST_CHECK bool writer_plan_missing(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_seen(struct writer *w, struct error *err);
MUST_CHECK bool writer_drop_seen(struct writer *w, struct error *err);

/* writer_near.c: reads the halves of exchanges near those of the batch. */
MUST_CHECK bool writer_plan_near(struct writer *w, struct error *err);

/*
 * writer_pairs.c: makes pairs, whose outcome goes into rows that are not copied yet; stores the
 * halves, unless they will be copied; and makes pairs again with those that turned out to be
 * stored. Plans nothing for a batch without halves.
 */
MUST_CHECK bool writer_pair_halves(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_halves(struct writer *w, struct error *err);
MUST_CHECK bool writer_pair_again(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_authorize(struct writer *w, struct error *err);

/* writer_names.c: names for answers that came without one. From stored copies ... */
MUST_CHECK bool writer_plan_copies(struct writer *w, struct error *err);
/* ... and from their calls. */
MUST_CHECK bool writer_plan_names(struct writer *w, struct error *err);
/* Message ids of transaction events that were already stored. */
MUST_CHECK bool writer_plan_resent(struct writer *w, struct error *err);

/* writer_starts.c: 1.6 transactions, which begin with a pair. */
MUST_CHECK bool writer_plan_starts(struct writer *w, struct error *err);

/* writer_answers.c: makes rows from stations' answers, which writer_plan_store() merges. */
MUST_CHECK bool writer_plan_answers(struct writer *w, struct error *err);

/* writer_store.c: merges messages to the store. */
MUST_CHECK bool writer_plan_store(struct writer *w, struct error *err);

/* writer_states.c: rows that a single statement merges. Layouts are compared before they are
 * used. */
MUST_CHECK bool writer_plan_layouts(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_states(struct writer *w, struct error *err);

/* writer_stations.c: when each station was heard from, and how much it has sent. */
MUST_CHECK bool writer_plan_stations(struct writer *w, struct error *err);

/* writer_transactions.c: locked and read, merged, written. */
MUST_CHECK bool writer_plan_keys(struct writer *w, struct error *err);
MUST_CHECK bool writer_merge_transactions(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_transactions(struct writer *w, struct error *err);

/* writer_sessions.c: reused ids. Reads what is known about those in the batch ... */
MUST_CHECK bool writer_plan_splits(struct writer *w, struct error *err);
/* ... and replaces the stored rows by sessions. */
MUST_CHECK bool writer_plan_sessions(struct writer *w, struct error *err);

/* writer_dead.c: copied dead letters become rows, or are only counted. */
MUST_CHECK bool writer_plan_dead_letters(struct writer *w, struct error *err);
/* The run failed, or the connection was lost during it: were dead letters the reason? */
void writer_dead_letters_failed(struct writer *w);

/* writer_totals.c */
MUST_CHECK bool writer_plan_totals(struct writer *w, struct error *err);
void writer_totals_commit(struct writer *w, const struct batch *b);
void writer_totals_read(struct writer *w, const PGresult *result);

/* writer_rights.c: refuses a role without the rights it needs, with the GRANTs as a hint. */
MUST_CHECK bool writer_plan_rights(struct writer *w, struct error *err);
/* The words from the settings that identify secrets. */
MUST_CHECK bool writer_plan_secret_keys(struct writer *w, struct error *err);

/* ---- writer_plan.c ---- */

/* Plans the next run of the batch: as much as can be sent without waiting for an answer. */
MUST_CHECK bool writer_plan(struct writer *w, struct error *err);
/* All of its steps are planned, the last of which is COMMIT. */
bool writer_is_planned(const struct writer *w);
/* The run succeeded, or failed (work.failure). */
void writer_run_done(struct writer *w);
void writer_run_failed(struct writer *w);

/* ---- above the plan ---- */

/* writer_setup.c: prepares the connection and reads the progress; ends in on_ready or on_lost. */
void writer_set_up(struct writer *w);
/* Reads the list of partitions, and how far the clocks differ. */
MUST_CHECK bool writer_plan_partition_list(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_clock(struct writer *w, struct error *err);

#endif
