#include "base/clock.h"
#include "base/text.h"
#include "copy/writer_checks.h"
#include "copy/writer_private.h"
#include "pg/wait.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * What a connection needs before anything is stored, checked and reported together: the rights of
 * its role, and the words that identify secrets. Part of setting up the connection
 * (writer_setup.c).
 */

/* Missing rights, in words, and the statements that grant them. The schema is named explicitly:
 * without USAGE it is not the current one. A missing schema is reported elsewhere. */
static const char rights_sql[] =
	"WITH ours AS (SELECT oid, quote_ident(nspname) AS name FROM pg_namespace WHERE nspname = "
	"%s), "
	"tables (name, rights) AS ("
	"SELECT t, 'SELECT,INSERT,UPDATE,DELETE' FROM unnest(ARRAY['meter_values', "
	"'meter_value_layouts', 'transaction_events', 'authorizations', 'ocpp_events', "
	"'transactions', 'transaction_keys', 'transaction_starts', 'transaction_costs', "
	"'transaction_flags', 'exchange_halves', "
	"'charge_station_status', 'connector_status', 'operation_status', 'ingest_progress', "
	"'station_activity', 'station_changes', 'energy_hours', 'energy_pending', "
	"'dead_letters', 'dead_letters_beyond', 'tokens', 'charge_stations', "
	"'charge_station_settings', "
	"'charge_station_runtime', 'charge_station_certificates', 'charge_station_triggers', "
	"'certificates', 'ocpi_registrations', 'ocpi_parties', 'locations']) t "
	"UNION ALL SELECT t, 'SELECT' FROM unnest(ARRAY['partitioned_tables', "
	"'loading_partitions', 'schema_migrations', 'forgotten_tokens', 'forgotten_salt']) t "
	"UNION ALL SELECT 'secret_keys', 'SELECT,INSERT'), "
	"missing (rank, what, remedy) AS ("
	"SELECT 1, 'USAGE on schema ' || o.name, format('GRANT USAGE ON SCHEMA %%s TO %%I', "
	"o.name, "
	"current_user) FROM ours o WHERE NOT has_schema_privilege(o.oid, 'USAGE') "
	"UNION ALL SELECT 2, string_agg(p, ', ') || ' on ' || o.name || '.' || t.name, "
	"format('GRANT %%s ON %%s.%%I TO %%I', string_agg(p, ', '), o.name, t.name, current_user) "
	"FROM ours o, tables t JOIN pg_class c ON c.relname = t.name, "
	"string_to_table(t.rights, ',') p "
	"WHERE c.relnamespace = o.oid AND NOT has_table_privilege(c.oid, p) GROUP BY o.name, "
	"t.name "
	"UNION ALL SELECT 3, 'EXECUTE on ' || o.name || '.' || f.proname, "
	"format('GRANT EXECUTE ON FUNCTION %%s.%%I TO %%I', o.name, f.proname, current_user) "
	"FROM ours o, pg_proc f WHERE f.pronamespace = o.oid AND f.proname IN ('ensure_partition', "
	"'forbid_loading', 'load_partition', 'end_loading', 'finish_loading', "
	/* Everybody has this one, unless it was revoked from PUBLIC. */
	"'partition_of', 'partition_exists', 'partitions_at', 'has_partition', 'check_attached', "
	"'merged_setting', 'setting_after', 'variable_key', 'json_items', 'json_int', "
	"'prune_transaction_keys', 'has_transactions', 'partition_list', 'partition_states', "
	"'partition_bytes', 'prune_tombstones', "
	"'store_tables', 'fold_station_changes', 'refresh_energy', 'compute_energy', "
	"'recompute_energy', 'is_energy') "
	"AND NOT has_function_privilege(f.oid, 'EXECUTE')) "
	/* One grant for everything, if the role made for it exists. */
	"SELECT current_user, concat_ws(', ', CASE WHEN t.lacks THEN t.what END, "
	"nullif(array_to_string(m.what[1:5], ', '), ''), "
	"CASE WHEN m.count > 5 THEN format('and %%s more', m.count - 5) END), "
	/* `migrate roles` grants nothing on the database. */
	"concat_ws('; ', CASE WHEN t.lacks THEN t.remedy END, "
	"CASE WHEN m.count > 0 AND NOT pg_has_role(r.oid, 'MEMBER') "
	"THEN format('GRANT ocpp_writer TO %%I; or is storage.postgres.user the wrong role?', "
	"current_user) "
	/* A role that we are a member of lacks it: one command grants everything. */
	"WHEN m.count > 0 AND pg_has_role(r.oid, 'MEMBER') "
	"THEN '`ocpp-persister migrate roles`, as the owner, or: ' "
	"|| array_to_string(m.remedy[1:3], '; ') "
	"ELSE nullif(array_to_string(m.remedy[1:3], '; '), '') END) "
	"FROM (SELECT NOT has_database_privilege(current_database(), 'TEMPORARY') AS lacks, "
	"'TEMPORARY on database ' || quote_ident(current_database()) AS what, "
	"format('GRANT TEMPORARY ON DATABASE %%I TO %%I', current_database(), current_user) AS "
	"remedy) t "
	"CROSS JOIN (SELECT count(*), array_agg(what ORDER BY rank, what) AS what, "
	"array_agg(remedy ORDER BY rank, what) AS remedy FROM missing) m "
	"LEFT JOIN pg_roles r ON r.rolname = 'ocpp_writer' "
	"WHERE t.lacks OR m.count > 0";

static bool rights_on_missing(void *context, const PGresult *result, int number, struct error *err)
{
	(void)context;
	(void)number;
	if (PQntuples(result) == 0)
		return true;
	/* After they are granted, no restart is needed. */
	error_set(err, ERROR_REFUSED, REASON_refused, "role \"%s\" lacks rights that it needs: %s",
		PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
	error_needs_person(err);
	return error_hint(err, "%s", PQgetvalue(result, 0, 2));
}

/* A literal, whatever standard_conforming_strings is. */
static void rights_put_literal(struct text *t, const char *value)
{
	text_put_cstr(t, " E'");
	for (; *value != '\0'; value++) {
		if (*value == '\'' || *value == '\\')
			text_put_char(t, *value);
		text_put_char(t, *value);
	}
	text_put_char(t, '\'');
}

static const char *rights_literal(struct writer *w, const char *value)
{
	struct text t;

	text_begin(&t, &w->setup_arena);
	rights_put_literal(&t, value);
	text_put_char(&t, '\0');
	return (const char *)text_end(&t).data;
}

enum { SECRET_WORD_BYTES_MIN = 3, SECRET_WORD_BYTES_MAX = 64 }; /* the table's limits */

/* Only its letters, in lower case, and digits. */
static void rights_put_word(struct text *t, const char *word)
{
	for (const char *at = word; *at != '\0'; at++) {
		char c = (char)(*at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'))
			text_put_char(t, c);
	}
}

bool writer_check_secret_key(const char *word, struct error *err)
{
	size_t size = 0;

	for (const char *at = word; *at != '\0'; at++)
		size += isascii((unsigned char)*at) && isalnum((unsigned char)*at);
	if (size >= SECRET_WORD_BYTES_MIN && size <= SECRET_WORD_BYTES_MAX)
		return true;
	return error_set(err, ERROR_FATAL, REASON_bad_setting,
		"secrets.keys: \"%.60s\" does not have %d to %d letters and digits", word,
		SECRET_WORD_BYTES_MIN, SECRET_WORD_BYTES_MAX);
}

/* All of them in the table's format: {portalcode,totpseed}. */
static const char *rights_words(struct writer *w, struct error *err)
{
	struct slice made;
	struct text t;

	text_begin(&t, &w->setup_arena);
	text_put_char(&t, '{');
	for (size_t i = 0; i < w->options.secret_keys_count; i++) {
		const char *word = w->options.secret_keys[i];

		if (!writer_check_secret_key(word, err))
			return NULL;
		if (i > 0)
			text_put_char(&t, ',');
		rights_put_word(&t, word);
	}
	text_put(&t, "}", 2); /* including its terminator */
	made = text_end(&t);
	if (slice_is_absent(made))
		(void)request_arena_full(err);
	return (const char *)made.data;
}

bool writer_plan_rights(struct writer *w, struct error *err)
{
	const char *schema = rights_literal(w, w->options.pg.schema);
	const char *sql = schema == NULL ? NULL : request_sql(&w->setup_arena, rights_sql, schema);

	return requests_add_sql(&w->requests, sql, rights_on_missing, w, err);
}

bool writer_check_rights(PGconn *conn, const char *schema, int64_t timeout_us, struct error *err)
{
	char *literal = PQescapeLiteral(conn, schema, strlen(schema)), *sql = NULL;
	PGresult *result = NULL;
	bool ok;

	if (literal == NULL || asprintf(&sql, rights_sql, literal) < 0) {
		PQfreemem(literal);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	PQfreemem(literal);
	result = pg_wait_query(conn, sql, clock_mono_us() + timeout_us, err);
	free(sql);
	ok = result != NULL && rights_on_missing(NULL, result, 0, err);
	PQclear(result);
	return ok;
}

bool writer_plan_secret_keys(struct writer *w, struct error *err)
{
	const char *words;

	if (w->options.secret_keys_count == 0)
		return true;
	words = rights_words(w, err);
	if (words == NULL)
		return false;
	return requests_add_sql(&w->requests,
		request_sql(&w->setup_arena,
			"INSERT INTO secret_keys (word) SELECT unnest('%s'::text[]) "
			"ON CONFLICT DO NOTHING",
			words),
		NULL, NULL, err);
}
