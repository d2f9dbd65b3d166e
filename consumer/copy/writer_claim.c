#include "copy/writer_private.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * What the database knows about the log, and how a batch advances it: the first statement of a
 * batch and the last, or the rollback. Two counts meet here: the log's, which comes with its
 * records, and the database's, which adds up the batches; each is written to the row separately.
 */

static void progress_read(struct position *at, const PGresult *result)
{
	*at = (struct position){.seq = (uint64_t)result_int8(result, 0, 0),
		.counted = !PQgetisnull(result, 0, 7),
		.digested = !PQgetisnull(result, 0, 8)};
	if (at->counted)
		at->records = (uint64_t)result_int8(result, 0, 7);
	if (!PQgetisnull(result, 0, 10))
		at->segment_us = result_int8(result, 0, 10);
	if (at->digested) {
		at->digest = (uint64_t)result_int8(result, 0, 8);
		at->digest_from = (uint64_t)result_int8(result, 0, 9);
	}
}

static void progress_log_ahead(const struct writer *w, uint64_t seq)
{
	log_warn("progress_ahead",
		"ingest_progress named a record that nobody has claimed: somebody changed it. The "
		"log feeds what follows the last record that was claimed",
		"log=%s seq=%" PRIu64 " claimed=%" PRIu64, w->spool_text, seq, w->at.seq);
}

/*
 * The database can be ahead of us only by the last batch that we sent, and then by all of it:
 * nobody else claims records of this log. Anything else it says is either checked against the log,
 * by its counts, or treated as unknown.
 */
bool writer_read_progress(struct writer *w, const PGresult *result, struct error *err)
{
	struct position at;
	uint64_t was;

	if (PQntuples(result) != 1)
		return error_set(err, ERROR_TRANSIENT, REASON_unexpected,
			"no row of ingest_progress");
	w->forgotten = result_int8(result, 0, 12);
	progress_read(&at, result);
	w->row_seq = at.seq;
	was = PQgetisnull(result, 0, 11) ? at.seq : (uint64_t)result_int8(result, 0, 11);
	if (w->sent_known && at.seq > w->at.seq && at.seq != w->sent_seq &&
		!(at.counted && at.digested))
		was = at.seq; /* keep our position */
	else
		w->at = at;
	if (was > w->at.seq)
		progress_log_ahead(w, was);
	w->sent_seq = w->at.seq; /* whatever was in progress has ended, one way or the other */
	w->sent_known = true;
	return true;
}

void writer_recognised(struct writer *w, const struct position *log)
{
	/* Those numbers were skipped: their records are no longer in the log. */
	bool left_out = log->seq < w->at.seq;

	if (log->seq > w->at.seq)
		return; /* what lies between will be a gap */
	if (log->counted && (left_out || !w->at.counted)) {
		w->at.counted = true;
		w->at.records = log->records;
	}
	if (log->digested &&
		(left_out || !w->at.digested || w->at.digest_from != log->digest_from)) {
		w->at.digested = true;
		w->at.digest_from = log->digest_from;
		w->at.digest = log->digest;
	}
}

/* Rows made before a token was forgotten still have it. `forget` waits for the batches in progress,
 * and changes this number; then it searches the tables. */
static bool claim_is_current(struct writer *w, const PGresult *result, struct error *err)
{
	if (strtoll(PQgetvalue(result, 0, 0), NULL, 10) == w->forgotten)
		return true;
	return error_set(err, ERROR_STALE, REASON_tokens_forgotten,
		"tokens were forgotten meanwhile: the batch is made again without them");
}

static bool claim_on_result(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	/* BEGIN; UPDATE */
	if (number != 1)
		return true;
	if (PQntuples(result) == 1)
		return claim_is_current(w, result, err);
	error_set(err, ERROR_MOVED, REASON_claim_refused,
		"the progress of log %s in the database is not at record %" PRIu64
		", where this process left it: the database was restored, or ingest_progress was "
		"changed",
		w->spool_text, w->row_seq);
	return error_hint(err, "nothing to do: the progress is read again, and the log feeds what "
			       "the database lacks. If it happens again and again, look for what "
			       "changes ingest_progress (a trigger?)");
}

/* The batch must be exactly what follows the stored records in the log. Nothing else may be
 * claimed: records in between would count as stored. */
static bool claim_follows(const struct writer *w, const struct batch *b, struct error *err)
{
	if (!b->torn && b->follows == w->at.seq)
		return true;
	error_set(err, ERROR_FATAL, REASON_claim_order,
		"the batch of records %" PRIu64 " to %" PRIu64
		" (%zu of them) follows record %" PRIu64 ", but the database has record %" PRIu64,
		b->first_seq, b->last_seq, b->records, b->follows, w->at.seq);
	return error_hint(err,
		"this is a fault of ocpp-persister; nothing of the batch is stored, and nothing is "
		"lost: the log has it. Start it again, and please report this");
}

/* The database's position after the batch, by its own count. What it does not know is taken from
 * the log as soon as the log knows it. */
static struct position claim_after(const struct writer *w, const struct batch *b)
{
	const struct position *log = &b->link.log;
	struct position p = *log;

	p.seq = b->last_seq;
	if (w->at.counted) {
		p.counted = true;
		p.records = w->at.records + b->records + b->missing;
	}
	if (w->at.digested && b->missing == 0 &&
		(!log->digested || log->digest_from == w->at.digest_from)) {
		p.digested = true;
		p.digest_from = w->at.digest_from;
		p.digest = w->at.digest + b->digest;
	}
	return p;
}

struct claim_number {
	char text[24];
};

/* NULL if unknown; 64-bit sums are signed in PostgreSQL. */
static struct claim_number claim_number(bool known, uint64_t number)
{
	struct claim_number n = {"NULL"};

	if (known)
		snprintf(n.text, sizeof(n.text), "%" PRId64, (int64_t)number);
	return n;
}

bool writer_plan_claim(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct position *log = &b->link.log;
	struct position after = claim_after(w, b);
	const char *sql;

	if (b->apart) {
		CHECK(b->trial);
		requests_add_literal(&w->requests, "BEGIN ISOLATION LEVEL READ COMMITTED");
		return true;
	}
	if (!claim_follows(w, b, err))
		return false;
	w->work.after = after;
	w->sent_seq = after.seq;
	sql = request_sql(&b->arena,
		"BEGIN ISOLATION LEVEL READ COMMITTED; "
		"UPDATE ingest_progress SET seq = %" PRIu64 ", updated_at = now(), "
		"counted_seq = %" PRIu64 ", records = %s, digest = %s, digest_from = %s, "
		"log_records = %s, log_digest = %s, segment_begun_us = %s "
		"WHERE spool = '%s' AND seq = %" PRIu64 " AND owner = '%s' RETURNING forgotten",
		after.seq, after.seq, claim_number(after.counted, after.records).text,
		claim_number(after.digested, after.digest).text,
		claim_number(after.digested, after.digest_from).text,
		claim_number(log->counted, log->records).text,
		claim_number(after.digested && log->digested, log->digest).text,
		claim_number(after.segment_us != 0, (uint64_t)after.segment_us).text, w->spool_text,
		w->row_seq, w->owner_text);
	return requests_add_sql(&w->requests, sql, claim_on_result, w, err);
}

/* ---- commit ---- */

/* From here on the batch is stored, whatever else fails. */
static bool commit_on_result(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)number;
	if (strcmp(PQcmdStatus((PGresult *)(uintptr_t)result), "COMMIT") != 0)
		return error_set(err, ERROR_TRANSIENT, REASON_rolled_back,
			"the database rolled the batch back at its COMMIT");
	writer_enter(w, WRITER_COMMITTED);
	return true;
}

/* Deferred constraint triggers run here rather than in COMMIT, so that their errors and their time
 * are not mistaken for those of COMMIT. Those of later statements run with their statement. */
bool writer_plan_constraints(struct writer *w, struct error *err)
{
	return requests_add(&w->requests, &w->work.batch->arena,
		&statements.all[STATEMENT_CONSTRAINTS], NULL, 0, NULL, NULL, err);
}

bool writer_plan_commit(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;

	return b->trial || requests_add_commit(&w->requests, &b->arena,
				   &statements.all[STATEMENT_COMMIT], commit_on_result, w, err);
}

/* ---- another process ---- */

/* How long another process may have the log that is about to be refused. */
static const int64_t FOREIGN_PATIENCE_US = 15 * US_PER_SECOND;

static bool foreign_is(const PGresult *result)
{
	return PQntuples(result) == 1 && *PQgetvalue(result, 0, 0) == 't';
}

bool writer_used_elsewhere(const struct writer *w, struct error *err)
{
	error_set(err, ERROR_FATAL, REASON_log_used_elsewhere,
		"another process feeds a copy of this log (%s) into the same database",
		w->spool_text);
	return error_hint(err, "`ocpp-persister spool new-identity` makes one of the copies a log "
			       "of its own");
}

static bool foreign_on_owner(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)number;
	if (!foreign_is(result)) {
		w->foreign_since_us = 0;
		return true;
	}
	if (w->foreign_since_us == 0)
		w->foreign_since_us = clock_mono_us();
	if (clock_mono_us() - w->foreign_since_us > FOREIGN_PATIENCE_US)
		return writer_used_elsewhere(w, err);
	return error_set(err, ERROR_TRANSIENT, REASON_log_used_elsewhere,
		"another process has begun to feed this log (%s): if it does so from a copy that "
		"is out of date, it is about to end",
		w->spool_text);
}

/*
 * Processes that feed copies of one log would end each other's connections forever. A new one
 * takes over; the one that had the log before finds that out here, when it connects again. It waits
 * a while: a copy that is out of date takes over, too, before it is refused.
 *
 * A process of another role cannot end our connection (setup_plan_terminate()): it is noticed when
 * a batch is claimed.
 */
bool writer_plan_foreign(struct writer *w, struct error *err)
{
	return !w->had_log ||
	       requests_add_sql(&w->requests,
		       request_sql(&w->setup_arena,
			       "SELECT p.owner IS DISTINCT FROM '%s' AND EXISTS (SELECT FROM "
			       "pg_stat_activity a WHERE a.pid = p.backend_pid "
			       "AND a.backend_start = p.backend_start) "
			       "FROM ingest_progress p WHERE p.spool = '%s'",
			       w->owner_text, w->spool_text),
		       foreign_on_owner, w, err);
}

/* ---- rollback ---- */

static bool rollback_on_owner(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)err;
	if (number == 2 && foreign_is(result) && w->work.rollback != ROLLBACK_RETRIED)
		w->work.rollback = ROLLBACK_FOREIGN;
	return true;
}

void writer_plan_rollback(struct writer *w)
{
	struct error err;
	const char *sql;

	arena_reset(&w->setup_arena);
	/* Another process has the log only if it is alive: a restore brings back the names of dead
	 * ones. We cannot see when another role's connection began. */
	sql = request_sql(&w->setup_arena,
		PG_RECOVER_SQL "; SELECT p.owner IS DISTINCT FROM '%s' AND EXISTS (SELECT FROM "
			       "pg_stat_activity a WHERE a.pid = p.backend_pid "
			       "AND coalesce(a.backend_start = p.backend_start, "
			       "a.datname = current_database()) AND a.pid <> pg_backend_pid()) "
			       "FROM ingest_progress p WHERE p.spool = '%s'",
		w->owner_text, w->spool_text);
	requests_begin(&w->requests);
	/* The arena is otherwise empty. */
	CHECK(requests_add_sql(&w->requests, sql, rollback_on_owner, w, &err));
}
