#include "store/store_private.h"

#include <stdlib.h>
#include <string.h>

/* Do the declarations in the .def files fit the database? A code generator would find out at
 * compile time; this finds out when asked, and a test asks on every build. */

/* Is a column of a table NOT NULL? Columns of views and expressions are not listed. */
static const char check_columns_sql[] =
	"SELECT a.attrelid::bigint, a.attnum, a.attnotnull FROM pg_attribute a "
	"JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p') "
	"WHERE c.relnamespace = current_schema()::regnamespace AND a.attnum > 0";

/* 't', 'f', or '\0' if the database does not say. */
static char check_not_null(const PGresult *columns, Oid table, int column)
{
	for (int i = 0; table != InvalidOid && i < PQntuples(columns); i++) {
		if (strtoul(PQgetvalue(columns, i, 0), NULL, 10) == table &&
			strtol(PQgetvalue(columns, i, 1), NULL, 10) == column)
			return PQgetvalue(columns, i, 2)[0];
	}
	return '\0';
}

static bool check_params(const struct store_query *q, const PGresult *d, struct error *err)
{
	if (PQnparams(d) != (int)q->params->count)
		return error_set(err, ERROR_FATAL, REASON_schema, "%s takes %d parameters, not %zu",
			q->name, PQnparams(d), q->params->count);
	for (int i = 0; i < PQnparams(d); i++) {
		const struct store_field *f = &q->params->fields[i];
		bool rows = q->arity == ARITY_ROWS;

		if (PQparamtype(d, i) !=
			(rows ? store_type_array_oid(f->type) : store_type_oid(f->type)))
			return error_set(err, ERROR_FATAL, REASON_schema,
				"%s: parameter $%d is not %s%s, as %s.%s is declared", q->name,
				i + 1, store_type_name(f->type), rows ? "[]" : "", q->params->name,
				f->name);
	}
	return true;
}

static bool check_column(const struct store_query *q, const PGresult *d, int i,
	const PGresult *columns, struct error *err)
{
	const struct store_field *f = &q->result->fields[i];
	char not_null = check_not_null(columns, PQftable(d, i), PQftablecol(d, i));

	if (strcmp(PQfname(d, i), f->name) != 0)
		return error_set(err, ERROR_FATAL, REASON_schema,
			"%s: column %d is \"%s\", not \"%s\"", q->name, i + 1, PQfname(d, i),
			f->name);
	if (PQftype(d, i) != store_type_oid(f->type))
		return error_set(err, ERROR_FATAL, REASON_schema,
			"%s: column \"%s\" is not %s, as it is declared", q->name, f->name,
			store_type_name(f->type));
	if (not_null == 't' && f->null == STORE_NULLABLE)
		return error_set(err, ERROR_FATAL, REASON_schema,
			"%s: column \"%s\" is NOT NULL, unlike its declaration", q->name, f->name);
	if (not_null == 'f' && f->null != STORE_NULLABLE)
		return error_set(err, ERROR_FATAL, REASON_schema,
			"%s: column \"%s\" may be NULL, unlike its declaration", q->name, f->name);
	return true;
}

static bool check_query(const struct store_query *q, const PGresult *d, const PGresult *columns,
	struct error *err)
{
	if (!check_params(q, d, err))
		return false;
	if (q->result->count == 0)
		return true; /* its results are ignored */
	if (PQnfields(d) != (int)q->result->count)
		return error_set(err, ERROR_FATAL, REASON_schema, "%s gives %d columns, not %zu",
			q->name, PQnfields(d), q->result->count);
	for (int i = 0; i < PQnfields(d); i++) {
		if (!check_column(q, d, i, columns, err))
			return false;
	}
	return true;
}

bool ocpp_store_check(struct ocpp_store *store, struct error *err)
{
	PGresult *columns = store_ask(store, check_columns_sql, err);
	bool ok = columns != NULL;

	for (int i = 0; ok && i < QUERY_COUNT; i++) {
		PGresult *d = store_describe(store, (enum store_query_id)i, err);

		ok = d != NULL ? check_query(&store_queries[i], d, columns, err)
			       : error_prefix(err, "%s", store_queries[i].name);
		PQclear(d);
	}
	PQclear(columns);
	return ok;
}
