#include "store/store_private.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/embedded.h"
#include "pg/pg_error.h"
#include "pg/pool.h"
#include "pg/wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* In the order of queries.def: consumer/store/CMakeLists.txt reads the names there. */
extern const struct embedded_file store_sql_files[];
extern const size_t store_sql_count;

_Static_assert((int)QUERY_COUNT <= (int)PG_POOL_STATEMENTS_MAX,
	"a connection has no room for the queries");

/* The default size of a list's page. */
enum { STORE_LIMIT_DEFAULT = 100 };

static const int64_t store_deadline_us = 30 * US_PER_SECOND;

/* How long a list waits for the replica before it asks the primary. */
static const int64_t store_replica_patience_us = 2 * US_PER_SECOND;

struct store_end {
	struct pg_pool *pool;
	struct pg_options pg;
	char url[PG_CONNINFO_BYTES_MAX]; /* without the pool's settings */
};

struct ocpp_store {
	struct store_end primary;
	struct store_end replica; /* pool == NULL: none */
	char schema[64];
	char application[64];
	int64_t deadline_us;
};

/* ---- opening and closing ---- */

static bool store_open_end(struct ocpp_store *s, struct store_end *end, const char *url,
	struct error *err)
{
	struct pg_pool_options o = {
		.settings = pg_pool_settings_default(),
		.statement_timeout_us = s->deadline_us,
	};

	if (!pg_conninfo_split(url, end->url, &o.settings, err))
		return false;
	/* With at most four connections, the default minimum of five cannot apply. */
	if (o.settings.conns_min > o.settings.conns_max)
		o.settings.conns_min = o.settings.conns_max;
	end->pg = (struct pg_options){
		/* An empty string is valid, too: everything comes from the environment. */
		.url = end->url[0] == '\0' ? "dbname=" : end->url,
		.schema = s->schema,
		.application = s->application,
		.connect_timeout_us = o.settings.connect_timeout_us,
	};
	o.pg = end->pg;
	return pg_pool_open(&end->pool, &o, err);
}

static bool store_name(char *out, size_t size, const char *given, const char *otherwise,
	const char *what, struct error *err)
{
	const char *name = given == NULL || given[0] == '\0' ? otherwise : given;

	if (strlen(name) >= size)
		return error_set(err, ERROR_FATAL, REASON_bad_setting, "the %s is too long", what);
	memcpy(out, name, strlen(name) + 1);
	return true;
}

bool ocpp_store_open(struct ocpp_store **out, const struct ocpp_store_options *o, struct error *err)
{
	struct ocpp_store *s = calloc(1, sizeof(*s));
	bool ok;

	if (s == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	s->deadline_us = o->deadline_us > 0 ? o->deadline_us : store_deadline_us;
	ok = store_name(s->schema, sizeof(s->schema), o->schema, "ocpp", "name of the schema",
		     err) &&
	     store_name(s->application, sizeof(s->application), o->application, "ocpp-store",
		     "name of the application", err) &&
	     store_open_end(s, &s->primary, o->url == NULL ? "" : o->url, err) &&
	     (o->replica_url == NULL || o->replica_url[0] == '\0' ||
		     store_open_end(s, &s->replica, o->replica_url, err));
	if (!ok) {
		ocpp_store_close(&s);
		return false;
	}
	*out = s;
	return true;
}

void ocpp_store_close(struct ocpp_store **store)
{
	struct ocpp_store *s = *store;

	if (s == NULL)
		return;
	pg_pool_close(&s->replica.pool);
	pg_pool_close(&s->primary.pool);
	explicit_bzero(s, sizeof(*s)); /* passwords */
	free(s);
	*store = NULL;
}

void ocpp_store_get_stats(struct ocpp_store *s, struct ocpp_store_stats *out)
{
	struct pg_pool_stats p;

	pg_pool_get_stats(s->primary.pool, &p);
	*out = (struct ocpp_store_stats){
		.open = p.open,
		.idle = p.idle,
		.busy = p.busy,
		.waiting = p.waiting,
		.taken_total = p.taken_total,
		.waits_total = p.waits_total,
		.wait_us_total = p.wait_us_total,
		.timeouts_total = p.timeouts_total,
		.connects_total = p.connects_total,
		.connect_failures_total = p.connect_failures_total,
		.broken_total = p.broken_total,
		.idle_closed_total = p.idle_closed_total,
	};
}

static const char *store_sql(enum store_query_id query)
{
	CHECK((size_t)query < store_sql_count);
	return store_sql_files[query].text;
}

/* ---- one attempt on one connection ---- */

static PGresult *store_answer(struct pg_pool_conn *c, bool sent, int64_t deadline_us,
	struct error *err)
{
	if (!sent) {
		c->broken = true;
		pg_error_from_connection(err, c->conn);
		return NULL;
	}
	return pg_wait_result(c->conn, deadline_us, &c->broken, err);
}

static bool store_prepare(struct pg_pool_conn *c, enum store_query_id id, int64_t deadline_us,
	struct error *err)
{
	uint64_t bit = UINT64_C(1) << id % 64;
	PGresult *result;

	if (c->prepared[id / 64] & bit)
		return true;
	result = store_answer(c,
		PQsendPrepare(c->conn, store_queries[id].name, store_sql(id), 0, NULL) == 1,
		deadline_us, err);
	if (result == NULL)
		return false;
	PQclear(result);
	c->prepared[id / 64] |= bit;
	return true;
}

static PGresult *store_execute(struct pg_pool_conn *c, const struct store_request *r,
	const struct store_bound *b, int64_t deadline_us, struct error *err)
{
	if (!store_prepare(c, r->query, deadline_us, err))
		return NULL;
	return store_answer(c,
		PQsendQueryPrepared(c->conn, store_queries[r->query].name, b->count, b->values,
			b->lengths, b->formats, 1) == 1,
		deadline_us, err);
}

static bool store_command(struct pg_pool_conn *c, const char *sql, int64_t deadline_us,
	struct error *err)
{
	PGresult *result = store_answer(c, PQsendQuery(c->conn, sql) == 1, deadline_us, err);

	PQclear(result);
	return result != NULL;
}

/* The result of the last request. A connection left inside a transaction is not lent again. */
static PGresult *store_try(struct pg_pool_conn *c, const struct store_request *requests,
	const struct store_bound *bounds, size_t count, int64_t deadline_us, struct error *err)
{
	PGresult *result = NULL;

	if (count > 1 && !store_command(c, "BEGIN", deadline_us, err))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		PQclear(result);
		result = store_execute(c, &requests[i], &bounds[i], deadline_us, err);
		if (result == NULL)
			return NULL;
	}
	if (count > 1 && !store_command(c, "COMMIT", deadline_us, err)) {
		PQclear(result);
		return NULL;
	}
	return result;
}

/* ---- until it succeeds, or the deadline ---- */

static void store_pause(struct backoff *b, int64_t deadline_us)
{
	int64_t us = backoff_next_us(b), left = deadline_us - clock_mono_us();
	struct timespec t;

	if (us > left)
		us = left > 0 ? left : 0;
	t = (struct timespec){us / US_PER_SECOND, us % US_PER_SECOND * 1000};
	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Every call may be repeated, even after a COMMIT that was never answered. */
static PGresult *store_attempts(struct pg_pool *pool, const struct store_request *requests,
	const struct store_bound *bounds, size_t count, int64_t deadline_us, struct error *err)
{
	struct backoff backoff;

	backoff_init(&backoff, 5 * US_PER_MS, US_PER_SECOND, (uint64_t)deadline_us);
	for (;;) {
		struct pg_pool_conn *c;
		PGresult *result;

		if (!pg_pool_take(pool, deadline_us, &c, err))
			return NULL;
		result = store_try(c, requests, bounds, count, deadline_us, err);
		/* The connection's prepared statements may no longer fit the tables. */
		if (result == NULL && pg_error_is_other(err))
			c->broken = true;
		pg_pool_give(pool, c);
		if (result != NULL || !pg_error_passes(err) || clock_mono_us() >= deadline_us)
			return result;
		store_pause(&backoff, deadline_us);
	}
}

static PGresult *store_anywhere(struct ocpp_store *s, const struct store_request *requests,
	const struct store_bound *bounds, size_t count, struct error *err)
{
	int64_t now_us = clock_mono_us(), deadline_us = now_us + s->deadline_us;
	PGresult *result = NULL;

	if (s->replica.pool != NULL && count == 1 &&
		store_queries[requests[0].query].where == WHERE_REPLICA) {
		int64_t patience_us = now_us + store_replica_patience_us;

		result = store_attempts(s->replica.pool, requests, bounds, count,
			patience_us < deadline_us ? patience_us : deadline_us, err);
	}
	if (result == NULL)
		result = store_attempts(s->primary.pool, requests, bounds, count, deadline_us, err);
	if (result == NULL && err->kind == ERROR_ROUTE)
		error_hint(err, "the tables of the store are missing: ocpp-persister migrate up");
	return result;
}

bool store_run(struct ocpp_store *s, const struct store_request *requests, size_t count,
	const void **out, size_t *count_out, struct error *err)
{
	enum { REQUESTS_MAX = 4 };
	struct store_bound bounds[REQUESTS_MAX];
	struct error own;
	PGresult *result = NULL;
	size_t bound = 0, rows = 0;
	const void *first = NULL;
	bool ok = true;

	CHECK(count >= 1 && count <= REQUESTS_MAX);
	if (err == NULL)
		err = &own;
	for (; ok && bound < count; bound += ok)
		ok = bind_params(&bounds[bound], &store_queries[requests[bound].query],
			requests[bound].rows, requests[bound].count, err);
	if (ok)
		result = store_anywhere(s, requests, bounds, count, err);
	for (size_t i = 0; i < bound; i++)
		bind_free(&bounds[i]);
	if (result == NULL)
		return false;
	if (!bind_result(&store_queries[requests[count - 1].query], result, &first, &rows, err))
		return false;
	if (out == NULL) {
		ocpp_free(first);
		return true;
	}
	*out = first;
	*count_out = rows;
	return true;
}

/* ---- describing the queries ---- */

PGresult *store_describe(struct ocpp_store *s, enum store_query_id query, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + s->deadline_us;
	struct pg_pool_conn *c;
	PGresult *result = NULL;

	if (!pg_pool_take(s->primary.pool, deadline_us, &c, err))
		return NULL;
	if (store_prepare(c, query, deadline_us, err))
		result = store_answer(c,
			PQsendDescribePrepared(c->conn, store_queries[query].name) == 1,
			deadline_us, err);
	pg_pool_give(s->primary.pool, c);
	return result;
}

PGresult *store_ask(struct ocpp_store *s, const char *sql, struct error *err)
{
	int64_t deadline_us = clock_mono_us() + s->deadline_us;
	struct pg_pool_conn *c;
	PGresult *result;

	if (!pg_pool_take(s->primary.pool, deadline_us, &c, err))
		return NULL;
	result = store_answer(c, PQsendQuery(c->conn, sql) == 1, deadline_us, err);
	pg_pool_give(s->primary.pool, c);
	return result;
}

/* ---- building blocks of the calls ---- */

bool store_limit(int32_t given, int32_t *out, struct error *err)
{
	if (given < 0 || given > OCPP_ROWS_MAX)
		return error_set(err, ERROR_POISON, REASON_bad_row, "limit must be 1 to %d",
			OCPP_ROWS_MAX);
	*out = given == 0 ? STORE_LIMIT_DEFAULT : given;
	return true;
}

/* How many fields of a set's rows are the key. */
static const size_t store_keys[QUERY_COUNT] = {
#define KIND(entity, name, table, keys, lookup_keys) [QUERY_##entity##_set] = (keys),
#include "store/kinds.def"
#undef KIND
};

/* No list would have a row with an empty key: it begins after that. count: within its limit. */
static bool store_has_keys(enum store_query_id query, const void *rows, size_t count,
	struct error *err)
{
	const struct store_shape *shape = store_queries[query].params;

	for (size_t r = 0; r < count; r++) {
		for (size_t i = 0; i < store_keys[query]; i++) {
			const char *text;

			memcpy(&text,
				(const uint8_t *)rows + r * shape->bytes + shape->fields[i].offset,
				sizeof(text));
			if (text != NULL && text[0] == '\0')
				return error_set(err, ERROR_POISON, REASON_bad_row, "%s is empty",
					shape->fields[i].name);
		}
	}
	return true;
}

bool store_set(struct ocpp_store *s, enum store_query_id query, const void *rows, size_t count,
	struct error *err)
{
	struct store_request r = {query, rows, count};

	if (count == 0)
		return true;
	if (count <= OCPP_ROWS_MAX && !store_has_keys(query, rows, count, err))
		return false;
	return store_run(s, &r, 1, NULL, NULL, err);
}

enum ocpp_outcome store_lookup(struct ocpp_store *s, enum store_query_id query, const void *key,
	const void **out, size_t *count_out, struct error *err)
{
	struct store_request r = {query, key, 1};
	size_t count = 0;

	if (!store_run(s, &r, 1, out, &count, err))
		return OCPP_ERROR;
	if (count_out != NULL)
		*count_out = count;
	return count > 0 ? OCPP_FOUND : OCPP_ABSENT;
}

bool store_list(struct ocpp_store *s, enum store_query_id query, const struct ocpp_page *page,
	const void **out, size_t *count_out, struct error *err)
{
	struct store_page p = {.after = page == NULL ? NULL : page->after};
	struct store_request r = {query, &p, 1};

	return store_limit(page == NULL ? 0 : page->limit, &p.limit, err) &&
	       store_run(s, &r, 1, out, count_out, err);
}

bool store_delete(struct ocpp_store *s, enum store_query_id query, const char *id,
	int64_t last_updated, struct error *err)
{
	struct store_gone gone = {id, last_updated};
	struct store_request r = {query, &gone, 1};

	return store_run(s, &r, 1, NULL, NULL, err);
}

bool ocpp_store_forget(struct ocpp_store *s, int64_t before, struct error *err)
{
	struct store_forget forget = {before};
	struct store_request r = {QUERY_store_forget, &forget, 1};

	return store_run(s, &r, 1, NULL, NULL, err);
}
