#ifndef COPY_WRITER_PRIVATE_H
#define COPY_WRITER_PRIVATE_H

#include "base/log.h"
#include "copy/encode.h"
#include "copy/pairing.h"
#include "copy/writer.h"
#include "pg/pooler.h"

/* Shared by writer*.c only. */

struct sorted_pairs; /* writer_pairs.c */

enum {
	WRITER_REQUESTS_MAX = 48,
	WRITER_COPIES_MAX = 16,    /* leaves in one run; more are done in further runs */
	WRITER_DURABLE_MAX = 1024, /* commits whose place in the database's log is remembered */
	WRITER_PRUNE_ROWS = 20000, /* removed at once: some 50 ms */
	WRITER_REASONS_MAX = 64,
	WRITER_LOADINGS_MAX = 32, /* tables that are loaded at the same time */
};

/*
 * How far the work on a batch is. A run of requests extends as far as no answer is needed; each
 * phase begins where one is.
 */
enum writer_phase {
	PHASE_PARTITIONS, /* make what the batch needs and is not there */
	PHASE_EVENTS,     /* claim; copy what has a time of its own; look up what has none */
	PHASE_TIMELESS,   /* pair calls and results; copy what has none and was not seen; halves */
	PHASE_PAIRS,      /* what follows from the pairs */
	PHASE_STORE,      /* messages to the store, and answers that it learns from */
	PHASE_KEYS,       /* lock and read transactions */
	PHASE_MERGE,      /* merge them; read all events of ids that were used again */
	PHASE_FINISH,     /* merged state, totals, COMMIT */
	PHASE_COMMITTED,
};

/* Rows of one table under way: a COPY into one leaf, or into the table of the careful path. */
struct writer_copy {
	struct encode_stream stream;
	struct writer *writer;
	size_t request; /* of the run */
	int table;
	bool careful;
};

struct writer_durable {
	uint64_t lsn;
	uint64_t seq;
};

/* A table that takes the rows of a day which has no partition. */
struct writer_loading {
	struct partition partition;
	uint32_t idle_batches; /* stored since it got a row */
	bool used;             /* by the current batch */
	bool ending;           /* with the current batch */
};

/* A partition made for the batch, or a table that is to become one. */
struct writer_made {
	struct partition partition;
	bool loading;
	bool gives_up; /* a table of ours that was loaded for it */
};

struct writer_reason {
	char name[64];
	int64_t count;
};

/* What the work on one batch needs to remember between runs. */
struct writer_work {
	struct batch *batch; /* NULL = idle */
	enum writer_phase phase;
	bool claimed;
	bool gaps_asked; /* gaps_only: which meter values fill none */
	bool committed;
	struct position after; /* of the database, once it is */
	size_t partitions_next;
	struct writer_made *made; /* by the current run */
	size_t made_count;

	/* Copying continues at this row of this table; timeless: of the rows without a time. */
	int copy_table;
	size_t copy_row;
	bool copy_begun;
	/* In the current run: its results say which messages are duplicates. */
	bool copied_carefully;
	bool store_planned; /* the same, of messages to the store */

	/* Halves of exchanges near those of this batch, read in PHASE_EVENTS. */
	struct row **near;
	size_t near_count;
	size_t near_room;
	struct sorted_pairs *pairs; /* found in PHASE_TIMELESS; NULL = no halves */
	struct row **halves;        /* of the batch: by what was read, those that were not there */
	size_t halves_new;
	bool halves_asked;                /* the current run asks which were there */
	bool pairs_differ;                /* by what was stored they are others */
	struct batch_rows names;          /* of answers, found with the pairs */
	struct row **starts, **authorize; /* pairs as they were asked for in PHASE_PAIRS */

	struct transaction **known; /* per transaction of the batch: as read, or NULL */
	struct slice *known_states; /* merge_state as read */
	bool *split;                /* per transaction: its id is known to have several sessions */
	struct writer_merged *merged;
	struct writer_splits *splits;

	bool careful[EVENT_TABLES];
	bool dead_letters_copied;
	struct error failure; /* kept while rolling back */
	int64_t poison_message;
	uint64_t loaded; /* rows of the batch that went into tables without an index */
	bool owner_lost;
	bool accepted; /* a trial, which is rolled back */
	bool try_again;
};

/* Messages by what became of them, since the log began; they commit with the rows. */
struct writer_totals {
	int64_t received;
	int64_t stored;
	int64_t duplicate;
	int64_t dead_lettered;
	int64_t skipped;
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): what belongs together is together */
struct writer {
	struct ev_loop *loop;
	struct writer_options options;
	struct writer_events events;
	struct pg_session *session;
	struct statements *statements;
	struct partitions *partitions;
	struct layouts *layouts;
	char spool_text[UUID_TEXT_BYTES];
	char owner_text[UUID_TEXT_BYTES];
	struct pg_pooler *pooler;
	struct arena setup_arena; /* parameters outside of batches */

	bool idle;          /* connected, set up, nothing under way */
	struct position at; /* last record that the database has */
	uint64_t row_seq;   /* what ingest_progress says; another number only if somebody set it */
	uint64_t sent_seq;  /* last record that the database had, or that we claimed; if known */
	bool sent_known;
	struct writer_totals totals;
	struct writer_reason reasons[WRITER_REASONS_MAX];
	size_t reasons_count;

	/* How many batches still take the careful path at once. */
	uint32_t careful_left[EVENT_TABLES];
	uint32_t halves_careful_left;
	bool careful_made[EVENT_TABLES]; /* its temporary table exists in this session */
	bool dead_table_made;            /* likewise */
	int64_t dead_letters_room;       /* rows that there is room for, as far as is known */

	struct writer_loading loadings[WRITER_LOADINGS_MAX];
	size_t loadings_count;
	struct attacher *attacher; /* NULL = nothing is loaded so */

	struct writer_work work;
	struct pg_request requests[WRITER_REQUESTS_MAX];
	size_t requests_count;
	struct writer_copy copies[WRITER_COPIES_MAX];
	size_t copies_count;
	uint8_t *copy_buffer;
	size_t copy_buffer_size;

	/* Commits whose LSN is not yet known to be on disk, oldest first. */
	struct writer_durable durable[WRITER_DURABLE_MAX];
	size_t durable_count;
	bool undated; /* the commits after them are not among them: their LSN could not be asked */
	struct log_repeat durable_trouble;
	uint64_t lsn_insert, lsn_flush; /* as read last */
	bool schema_seen;

	int64_t clock_asked_us; /* ours, before the database was asked for its own */
	/* the database's clock is ahead by at least this much; below 0: behind */
	int64_t clock_offset_us;
	bool clock_differs;
};

/* Fill w->requests from where the work stands, and say where it stands after them. */
MUST_CHECK bool writer_plan(struct writer *w, struct error *err);

/* A request at the end of the run. */
struct pg_request *writer_request(struct writer *w);

/* A statement with parameters; they must live as long as the run. */
MUST_CHECK bool writer_statement(struct writer *w, const struct pg_statement *statement,
	const struct slice *params, size_t count, struct arena *arena, struct error *err);

/* The first columns of rows as parameters, then count more. No rows: no statement. */
MUST_CHECK bool writer_rows(struct writer *w, const struct pg_statement *statement,
	enum table_id table, size_t columns_count, struct row *const *rows, size_t rows_count,
	const struct slice *more, size_t more_count, struct error *err);

/* Ask where the database's log is. */
MUST_CHECK bool writer_plan_positions(struct writer *w, struct arena *arena, struct error *err);

/* writer_plan.c: a partition that the batch needs could not be made. */
void writer_partition_failed(struct writer *w);

/* writer_claim.c: the progress as the database has it (take_over.sql), and the claim of a batch. */
bool writer_on_progress(void *context, const PGresult *result, int number, struct error *err);
MUST_CHECK bool writer_plan_claim(struct writer *w, struct error *err);

/* writer_durable.c: a commit whose place was read just now ... */
void writer_durable_add(struct writer *w, uint64_t seq);
/* ... those before it whose place could not be read ... */
void writer_durable_date(struct writer *w);
void writer_durable_failed(struct writer *w, const struct error *err);
/* ... and what of them is on disk. */
void writer_durable_report(struct writer *w);

/* writer.c: the end of maintenance between two batches. */
void writer_maintenance_over(void *context, const struct error *err);
void writer_maintenance_failed(struct writer *w);

/* writer_copy.c: rows into tables. False in *done_out if the run is full. */
MUST_CHECK bool writer_copy_rows(struct writer *w, struct batch_rows *rows, bool *done_out,
	struct error *err);
MUST_CHECK bool writer_copy_dead_letters(struct writer *w, bool *done_out, struct error *err);
/* Halves of exchanges, none of which is there. */
MUST_CHECK bool writer_copy_halves(struct writer *w, struct row *const *rows, size_t count,
	struct error *err);
MUST_CHECK bool writer_make_careful_tables(struct writer *w, struct error *err);
void writer_copy_failed(struct writer *w);

/* writer_loading.c: whether the rows of a partition that is not there are to be loaded first. */
bool writer_loads(const struct writer *w, struct partition p);
void writer_loading_made(struct writer *w, struct partition p);
/* Rows of the current batch go into that table. */
void writer_loading_used(struct writer *w, struct partition p, size_t rows);
/* A table that gets no more rows is ended with the current batch ... */
MUST_CHECK bool writer_plan_loading(struct writer *w, struct error *err);
/* ... which is stored. */
void writer_loading_stored(struct writer *w);
/* Somebody has made a partition of it, or will: what to do has to be asked again. */
void writer_loading_lost(struct writer *w, struct partition p);
/* The connection is a new one: what is being loaded is unknown. */
void writer_loading_forget(struct writer *w);
void writer_loading_begin_batch(struct writer *w);

/* writer_pairs.c: the halves of exchanges near those of the batch are read; then pairs are made, of
 * which rows that are to be copied take what they say; the halves are stored; what else follows
 * from the pairs is asked for. A batch without halves plans nothing. */
MUST_CHECK bool writer_plan_near(struct writer *w, struct error *err);
MUST_CHECK bool writer_pair_halves(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_halves(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_pairs(struct writer *w, struct error *err);

/* writer_names.c: names of answers that came without one. From stored copies ... */
MUST_CHECK bool writer_plan_copies(struct writer *w, struct error *err);
/* ... and from their calls. */
MUST_CHECK bool writer_note_names(struct writer *w, const struct pairs *pairs);
MUST_CHECK bool writer_plan_names(struct writer *w, struct error *err);

/* Message ids of events of transactions that were there already. */
MUST_CHECK bool writer_plan_resent(struct writer *w, struct error *err);

/* A row of starts.sql: false with err if what follows from it has no partition to go to. Then the
 * batch begins again and makes it, or the result is a dead letter. */
MUST_CHECK bool writer_start_has_place(struct writer *w, const PGresult *result, int row,
	struct error *err);

/* writer_answers.c: makes rows of what stations answered, for writer_plan_store() at the run's end.
 * The rows are of exchange_pairs. */
MUST_CHECK bool writer_plan_answers(struct writer *w, struct row *const *pairs, size_t count,
	struct error *err);

/* writer_store.c: merges messages to the store. Plans nothing if there are none. */
MUST_CHECK bool writer_plan_store(struct writer *w, struct error *err);

/* writer_dead.c: dead letters that were copied become rows, or are only counted. */
MUST_CHECK bool writer_plan_dead_letters(struct writer *w, struct error *err);

/* Transactions of the batch as they are to be written. */
struct writer_merged {
	struct row **updates;
	struct row **old; /* partition_time as read, in a row of its own */
	size_t updates_count;
	struct row **inserts;
	size_t inserts_count;
	struct row **all;
	size_t all_count;
};

/* writer_sessions.c: ids that were used again. Asks for what is known of those in the batch. */
MUST_CHECK bool writer_plan_splits(struct writer *w, struct error *err);
/* A transaction of the batch whose id has several sessions; earliest_us: of what is new. */
MUST_CHECK bool writer_add_split(struct writer *w, const struct transaction *t, bool shared_id);
/* Whether an event that stood for itself now belongs to the sessions of its id. */
bool writer_is_of_split(const struct writer *w, const struct transaction *t);
/* Sessions in place of the rows that were there. */
MUST_CHECK bool writer_plan_sessions(struct writer *w, struct error *err);

/* writer_transactions.c. The first is pg_request.on_result of starts.sql. */
bool writer_on_starts(void *context, const PGresult *result, int number, struct error *err);
MUST_CHECK bool writer_plan_merge(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_keys(struct writer *w, struct error *err);
MUST_CHECK bool writer_plan_transactions(struct writer *w, struct error *err);

/* writer_rights.c: a role without the rights it needs is refused, with the GRANTs. */
MUST_CHECK bool writer_plan_rights(struct writer *w, struct error *err);
/* The words from the settings by which secrets are known. */
MUST_CHECK bool writer_plan_secret_keys(struct writer *w, struct error *err);

/* writer_totals.c */
void writer_totals_of(const struct writer *w, const struct batch *b, struct writer_totals *out);
MUST_CHECK bool writer_plan_totals(struct writer *w, struct error *err);
void writer_totals_commit(struct writer *w, const struct batch *b);
void writer_totals_read(struct writer *w, const PGresult *result);

/* Binary parameters from an arena; absent if it is full. */
struct slice param_int8(struct arena *arena, int64_t value);
struct slice param_text(const char *text);

/* SQL text from an arena; NULL if it is full. */
char *writer_sql(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

bool writer_arena_full(struct error *err);

/* Fields of binary results. */
int64_t result_int8(const PGresult *result, int row, int column);
int32_t result_int4(const PGresult *result, int row, int column);
struct slice result_text(const PGresult *result, int row, int column); /* absent if NULL */
int64_t result_time(const PGresult *result, int row, int column);

#endif
