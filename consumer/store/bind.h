#ifndef STORE_BIND_H
#define STORE_BIND_H

#include "store/shapes.h"

#include <libpq-fe.h>

/* Converts C structs to binary parameters, and binary results to C structs, following their shapes.
 * Pure; any thread. */
enum { STORE_PARAMS_MAX = 16 };

/* One block of memory; free it with bind_free(). */
struct store_bound {
	const char *values[STORE_PARAMS_MAX];
	int lengths[STORE_PARAMS_MAX];
	int formats[STORE_PARAMS_MAX];
	int count;
	uint8_t *memory;
};

/* rows: count structs of the query's parameters. False with err: POISON, naming the field, if a
 * required one is missing or a limit is exceeded; TRANSIENT if out of memory. */
MUST_CHECK bool bind_params(struct store_bound *out, const struct store_query *query,
	const void *rows, size_t count, struct error *err);
void bind_free(struct store_bound *bound);

/* The rows of a result, which they now own: ocpp_free(). *out is NULL if there are none. FATAL if
 * the result differs from its declaration. */
MUST_CHECK bool bind_result(const struct store_query *query, PGresult *result, const void **out,
	size_t *count_out, struct error *err);

#endif
