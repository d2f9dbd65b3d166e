#ifndef STORE_STORE_PRIVATE_H
#define STORE_STORE_PRIVATE_H

#include "store/bind.h"
#include "store/store.h"

#include <libpq-fe.h>

/*
 * How the calls of the store reach the database. Shared by the files of store/.
 */

/* A query and its parameters: count structs of its params shape (1 for ARITY_ONE). */
struct store_request {
	enum store_query_id query;
	const void *rows;
	size_t count;
};

/* Do requests[0 .. count), in one transaction if there are several. out and count_out: the rows of
 * the last one, if it has any; NULL = not wanted. */
MUST_CHECK bool store_run(struct ocpp_store *s, const struct store_request *requests, size_t count,
	const void **out, size_t *count_out, struct error *err);

/* The building blocks of calls. A set of 0 rows is fine. */
MUST_CHECK bool store_set(struct ocpp_store *s, enum store_query_id query, const void *rows,
	size_t count, struct error *err);
MUST_CHECK enum ocpp_outcome store_lookup(struct ocpp_store *s, enum store_query_id query,
	const void *key, const void **out, size_t *count_out, struct error *err);
MUST_CHECK bool store_list(struct ocpp_store *s, enum store_query_id query,
	const struct ocpp_page *page, const void **out, size_t *count_out, struct error *err);
MUST_CHECK bool store_delete(struct ocpp_store *s, enum store_query_id query, const char *id,
	int64_t last_updated, struct error *err);

/* given: the caller's limit; POISON if it is out of range. */
MUST_CHECK bool store_limit(int32_t given, int32_t *out, struct error *err);

/* The server's description of a prepared query; NULL with err. PQclear() it. */
PGresult *store_describe(struct ocpp_store *s, enum store_query_id query, struct error *err);

/* Runs a query without parameters, with results as text; NULL with err. PQclear() it. */
PGresult *store_ask(struct ocpp_store *s, const char *sql, struct error *err);

#endif
