#include "retention/retire.h"

#include "base/clock.h"
#include "base/say.h"
#include "pg/connect.h"
#include "pg/pg_error.h"
#include "pg/wait.h"
#include "retention/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const int64_t RETIRE_AGAIN_US = 200 * US_PER_MS;
static const int64_t RETIRE_AGAIN_MAX_US = 2 * US_PER_SECOND;
static const int64_t RETIRE_SAY_US = 10 * US_PER_SECOND;
/* Partitions cover at least a day; clocks that are set at all differ by less. */
static const int64_t RETIRE_CLOCK_US = 3600 * US_PER_SECOND;

const struct pg_statement retire_statements[RETIRE_STATEMENTS] = {
	[RETIRE_LOCK] = {"retire_lock",
		"SELECT pg_try_advisory_lock(hashtext('ocpp-persister retention'), 0)::text"},
	[RETIRE_FIND_OLD] = {"retire_find_old",
		"SELECT o.parent, o.name, o.state, o.estimated_rows::text, b::text, "
		"coalesce(pg_size_pretty(b), 'size unknown: locked'), o.from_time::text, "
		"o.to_time::text, o.id::text FROM (SELECT l.* FROM partition_states() l "
		"JOIN unnest($1::text::text[], $2::text::bigint[]) k (parent, us) "
		"ON coalesce(k.parent, l.parent) = l.parent "
		"WHERE l.state IN ('retired', 'attached') AND l.id <> ALL ($6::text::oid[]) AND "
		"(l.state = 'retired' AND $4::text::boolean OR l.to_time <= "
		"least(now(), timestamptz 'epoch' + $3::text::bigint * interval '1 microsecond') "
		"- k.us * interval '1 microsecond') ORDER BY l.state DESC, l.from_time, l.parent, "
		"l.name LIMIT $5::text::bigint) o, partition_bytes(o.id) b "
		"ORDER BY o.state DESC, o.from_time, o.parent, o.name"},
	[RETIRE_PARTITION] = {"retire_partition",
		"SELECT retire_partition($1::text, $2::text)::text"},
	[RETIRE_DROP] = {"retire_drop", "SELECT drop_retired($1::text)::text"},
};

static bool retire_say_is_due(struct retire *r)
{
	if (r->said_us != 0 && clock_mono_us() - r->said_us < RETIRE_SAY_US)
		return false;
	r->said_us = clock_mono_us();
	return true;
}

/* Who is in the way, and with which table: the oldest transaction. If it has ended meanwhile, what
 * the database said. */
static void retire_say_waiting(struct retire *r, const char *parent, const char *name,
	const struct error *err)
{
	const char *params[] = {parent, name};
	struct error ignored;
	char text[512];
	PGresult *found;

	if (!retire_say_is_due(r))
		return;
	found = retention_query(r->conn, "retire_waiting.sql", 2, params, &ignored);
	if (found != NULL && PQntuples(found) == 1) {
		snprintf(text, sizeof(text),
			"for process %s of \"%s\", whose transaction has %s, since %s UTC: %s",
			PQgetvalue(found, 0, 0), PQgetvalue(found, 0, 1), PQgetvalue(found, 0, 2),
			PQgetvalue(found, 0, 3), PQgetvalue(found, 0, 4));
	} else {
		snprintf(text, sizeof(text), "for %s: %s", name, err->message);
	}
	say_line("waiting", text);
	PQclear(found);
}

static void retire_pause(struct retire *r)
{
	int64_t us = backoff_next_us(&r->backoff);
	struct timespec t = {us / US_PER_SECOND, us % US_PER_SECOND * 1000};

	(void)nanosleep(&t, NULL);
}

bool retire_was_retired(const PGresult *old, int row)
{
	return strcmp(PQgetvalue(old, row, OLD_STATE), "retired") == 0;
}

bool retire_check_rights(PGconn *conn, const char *schema, int64_t timeout_us, struct error *err)
{
	static const char sql[] =
		"SELECT string_agg(format('%%I.%%I(%%s)', n.nspname, f.proname, "
		"oidvectortypes(f.proargtypes)), ', '), quote_ident(current_user), "
		"current_user "
		"FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace WHERE n.nspname = %s "
		"AND f.proname IN ('partition_states', 'partition_bytes', "
		"'retire_partition', 'drop_retired') "
		"AND NOT has_function_privilege(f.oid, 'EXECUTE')";
	char *literal = PQescapeLiteral(conn, schema, strlen(schema)), *text = NULL;
	PGresult *found = NULL;
	const char *missing, *role;
	bool ok;

	if (literal == NULL || asprintf(&text, sql, literal) < 0) {
		PQfreemem(literal);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	PQfreemem(literal);
	found = pg_wait_query(conn, text, clock_mono_us() + timeout_us, err);
	free(text);
	if (found == NULL)
		return false;
	ok = PQgetisnull(found, 0, 0);
	missing = PQgetvalue(found, 0, 0);
	role = PQgetvalue(found, 0, 1);
	if (!ok) {
		error_set(err, ERROR_REFUSED, REASON_refused,
			"role \"%s\" lacks rights that it needs for [retention]: EXECUTE on %s",
			PQgetvalue(found, 0, 2), missing);
		error_hint(err,
			"`ocpp-persister migrate roles`, as the owner, or: GRANT EXECUTE ON "
			"FUNCTION %s TO %s",
			missing, role);
		error_needs_person(err);
	}
	PQclear(found);
	return ok;
}

bool retire_check_clock(PGconn *conn, int64_t older_us, struct error *err)
{
	PGresult *r = pg_query(conn,
		"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, "
		"(SELECT (extract(epoch FROM max(updated_at)) * 1000000)::bigint "
		"FROM ingest_progress), (SELECT max(updated_at)::text FROM ingest_progress)",
		0, NULL, err);
	int64_t ahead_us, now_us;
	bool ok = true;

	if (r == NULL)
		return false;
	now_us = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
	ahead_us = now_us - clock_wall_us();
	if (ahead_us > RETIRE_CLOCK_US || ahead_us < -RETIRE_CLOCK_US) {
		ok = error_set(err, ERROR_REFUSED, REASON_clock,
			"the database's clock is %" PRId64 " minutes %s ours: which partitions are "
			"too old is not certain",
			(ahead_us < 0 ? -ahead_us : ahead_us) / (60 * US_PER_SECOND),
			ahead_us < 0 ? "behind" : "ahead of");
		error_hint(err, "set the clocks by NTP; --trust-clock goes by the earlier one");
	} else if (!PQgetisnull(r, 0, 1) &&
		   now_us - strtoll(PQgetvalue(r, 0, 1), NULL, 10) > older_us) {
		ok = error_set(err, ERROR_REFUSED, REASON_clock,
			"nothing was stored since %s, by the database's clock: then all there is "
			"is too old, or the clock is far ahead",
			PQgetvalue(r, 0, 2));
		error_hint(err, "if the clock is right, use --trust-clock");
	}
	PQclear(r);
	return ok;
}

/* Asks for a lock until it is ours; says what it waits for. */
static bool retire_wait(struct retire *r, const char *sql, const char *waits_for, struct error *err)
{
	for (;;) {
		PGresult *asked = pg_query(r->conn, sql, 0, NULL, err);
		bool got = asked != NULL && *PQgetvalue(asked, 0, 0) == 't';

		PQclear(asked);
		if (got || asked == NULL)
			return got;
		if (retire_say_is_due(r))
			say_line("waiting", waits_for);
		retire_pause(r);
	}
}

bool retire_begin(struct retire *r, PGconn *conn, struct error *err)
{
	*r = (struct retire){.conn = conn};
	backoff_init(&r->backoff, RETIRE_AGAIN_US, RETIRE_AGAIN_MAX_US, (uint64_t)clock_mono_us());
	return retire_wait(r, retire_statements[RETIRE_LOCK].sql,
		"another process drops or archives partitions", err);
}

/* The lock of privacy/forget.c. A try fails while somebody waits for all of it. */
bool retire_keep_tokens(struct retire *r, struct error *err)
{
	backoff_reset(&r->backoff);
	return retire_wait(r,
		"SELECT pg_try_advisory_lock_shared(hashtext('ocpp-persister forget'), 0)",
		"another process forgets a token", err);
}

void retire_let_tokens_go(struct retire *r)
{
	/* A connection that is lost has released it; one that still has the rest of a partition to
	 * receive is closed next, which is faster. */
	if (PQtransactionStatus(r->conn) == PQTRANS_ACTIVE)
		return;
	PQclear(PQexec(r->conn,
		"SELECT pg_advisory_unlock_shared(hashtext('ocpp-persister forget'), 0)"));
}

/* Retries until nobody is in the way: every transaction ends, and a line names the one to wait
 * for. */
static PGresult *retire_insist(struct retire *r, enum retire_statement statement,
	const char *parent, const char *name, int count, const char *const *params,
	struct error *err)
{
	backoff_reset(&r->backoff);
	for (;;) {
		PGresult *done =
			pg_query(r->conn, retire_statements[statement].sql, count, params, err);

		if (done != NULL || !pg_error_is_lock(err))
			return done;
		retire_say_waiting(r, parent, name, err);
		retire_pause(r);
	}
}

bool retire_partition(struct retire *r, const char *parent, const char *name, PGresult **out,
	struct error *err)
{
	const char *params[] = {parent, name};

	*out = retire_insist(r, RETIRE_PARTITION, parent, name, 2, params, err);
	return *out != NULL;
}

bool retire_drop(struct retire *r, const char *parent, const char *retired, struct error *err)
{
	const char *params[] = {retired};
	PGresult *done = retire_insist(r, RETIRE_DROP, parent, retired, 1, params, err);

	PQclear(done);
	return done != NULL;
}
