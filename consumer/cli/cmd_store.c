#include "cli/cli.h"

#include "base/clock.h"
#include "base/escape.h"
#include "cli/arguments.h"
#include "cli/store_rows.h"
#include "decode/document.h"
#include "pg/conninfo.h"
#include "store/generic.h"
#include "store/store.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The store on the command line, row by row or by JSON lines. Import is safe to repeat: rows carry
 * their last_updated, so what is stored is newer or the same. */
enum {
	STORE_LINE_BYTES_MAX = 1 << 20,
	STORE_ROWS_AT_ONCE = 500,
	/* Trees and texts of one batch: the tree of a line may be forty times its size. */
	STORE_ARENA_BYTES = 256 << 20,
	STORE_ARENA_KEEP_BYTES = 4 << 20,
	STORE_PAGE_ROWS = 500,
};

/* Room for a row of any entity. */
union store_row {
#define ENTITY(entity) struct ocpp_##entity entity;
#define FIELD(entity, type, field, null)
#define ENTITY_END(entity)
#include "store/entities.def"
#undef ENTITY
#undef FIELD
#undef ENTITY_END
};

struct store_tool {
	struct ocpp_store *store;
	struct arena arena;
	struct document_reader *reader;
	char *line;
	/* Rows read but not stored yet, all of the same entity. */
	const struct store_entity *entity;
	uint8_t *rows;
	size_t count;
	size_t stored;
	bool json;
	int64_t at; /* OCPP_TIME_INVALID = none */
	const char *after;
	int64_t limit; /* 0 = none */
};

/* ---- connecting ---- */

static char *tool_keyword(char *at, const char *end, const char *name, const char *value)
{
	int size = 0;

	if (value == NULL || value[0] == '\0')
		return at;
	size = snprintf(at, (size_t)(end - at), "%s='", name);
	at += size < end - at ? size : end - at;
	for (; *value != '\0' && end - at > 4; value++) {
		if (*value == '\'' || *value == '\\')
			*at++ = '\\';
		*at++ = *value;
	}
	if (end - at > 2)
		at = (char *)mempcpy(at, "' ", 2);
	*at = '\0';
	return at;
}

/* The settings as a connection string, which the library expects. */
static void tool_conninfo(const struct pg_options *o, char *out, size_t size)
{
	const char *end = out + size - 1;
	char port[16], timeout[32], *at = out;

	snprintf(port, sizeof(port), "%lld", (long long)o->port);
	snprintf(timeout, sizeof(timeout), "%lldms",
		(long long)(o->connect_timeout_us / US_PER_MS));
	at = tool_keyword(at, end, "host", o->host);
	at = tool_keyword(at, end, "port", port);
	at = tool_keyword(at, end, "dbname", o->database);
	at = tool_keyword(at, end, "user", o->user);
	at = tool_keyword(at, end, "password", o->password);
	at = tool_keyword(at, end, "sslmode", o->ssl_mode);
	at = tool_keyword(at, end, "sslrootcert", o->ssl_root_cert);
	at = tool_keyword(at, end, "sslcert", o->ssl_cert);
	at = tool_keyword(at, end, "sslkey", o->ssl_key);
	at = tool_keyword(at, end, "pool_max_conns", "1");
	(void)tool_keyword(at, end, "connect_timeout", timeout);
}

static bool tool_open(struct store_tool *t, const struct config *config, struct error *err)
{
	struct pg_options pg = cli_pg_options(config);
	char conninfo[PG_CONNINFO_BYTES_MAX];
	struct ocpp_store_options options = {
		.url = conninfo,
		.schema = pg.schema,
		.application = pg.application,
		.deadline_us = config->storage_postgres_timeout,
	};
	bool ok;

	if (pg.url == NULL || pg.url[0] == '\0')
		tool_conninfo(&pg, conninfo, sizeof(conninfo));
	else
		snprintf(conninfo, sizeof(conninfo), "%s%spool_max_conns=1", pg.url,
			strstr(pg.url, "://") == NULL ? " "
			: strchr(pg.url, '?') == NULL ? "?"
						      : "&");
	ok = ocpp_store_open(&t->store, &options, err);
	explicit_bzero(conninfo, sizeof(conninfo));
	if (ok && !arena_init(&t->arena, STORE_ARENA_BYTES, STORE_ARENA_KEEP_BYTES))
		ok = error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	return ok;
}

static void tool_close(struct store_tool *t)
{
	document_reader_free(&t->reader);
	free(t->line);
	free(t->rows);
	if (t->arena.base != NULL)
		arena_fini(&t->arena);
	ocpp_store_close(&t->store);
}

/* ---- set ---- */

static bool tool_flush(struct store_tool *t, struct error *err)
{
	if (t->count > 0 && !store_entity_set(t->store, t->entity, t->rows, t->count, err))
		return false;
	t->stored += t->count;
	t->count = 0;
	arena_reset(&t->arena);
	return true;
}

static const struct store_entity *tool_line_entity(const struct store_entity *given,
	const struct value *object, struct error *err)
{
	const struct store_entity *e = given;
	char name[64];
	const struct value *v =
		object->kind == VALUE_MAP ? value_get(object, (struct slice)SLICE("entity")) : NULL;

	if (v != NULL) {
		snprintf(name, sizeof(name), "%.*s", SLICE_ARG(value_text(v)));
		e = store_entity_by_name(name);
	}
	if (e == NULL || (given != NULL && e != given) || e->set < 0) {
		error_set(err, ERROR_POISON, REASON_bad_row,
			"\"entity\" is missing, or not one that "
			"can be stored here");
		return NULL;
	}
	return e;
}

/* The line lives in the arena: numbers and plain strings of its tree borrow from it. */
static bool tool_document(struct store_tool *t, struct slice line, struct value *out,
	struct error *err)
{
	line = arena_copy(&t->arena, line);
	if (slice_is_absent(line))
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	return document_read(t->reader, line, &t->arena, out, err);
}

static bool tool_line(struct store_tool *t, const struct store_entity *given, struct slice line,
	struct error *err)
{
	const struct store_entity *e;
	struct value object;
	uint8_t *row;

	if (!tool_document(t, line, &object, err))
		return false;
	e = tool_line_entity(given, &object, err);
	if (e == NULL)
		return false;
	/* The tree of a line has to live as long as its row, so after storing, the line is read
	 * again. */
	if (t->count == STORE_ROWS_AT_ONCE || (t->count > 0 && e != t->entity) ||
		t->arena.used > STORE_ARENA_BYTES / 2) {
		if (!tool_flush(t, err) || !tool_document(t, line, &object, err))
			return false;
	}
	t->entity = e;
	row = t->rows + t->count * e->shape->bytes;
	store_rows_clear(e->shape, row);
	if (!store_rows_set_object(e->shape, row, &object, &t->arena, err))
		return false;
	t->count++;
	return true;
}

static bool tool_lines(struct store_tool *t, const struct store_entity *given, FILE *in,
	struct error *err)
{
	unsigned long number = 0;

	while (fgets(t->line, STORE_LINE_BYTES_MAX + 2, in) != NULL) {
		struct slice line = slice_from_cstr(t->line);

		number++;
		if (line.size > STORE_LINE_BYTES_MAX && line.data[line.size - 1] != '\n')
			return error_set(err, ERROR_POISON, REASON_bad_row,
				"line %lu is longer than %d bytes", number, STORE_LINE_BYTES_MAX);
		if (strspn(t->line, " \t\r\n") == line.size)
			continue;
		if (!tool_line(t, given, line, err))
			return error_prefix(err, "line %lu", number);
	}
	if (ferror(in))
		return error_set_errno(err, ERROR_FATAL, REASON_io, "could not read the input");
	return tool_flush(t, err);
}

static bool tool_read(struct store_tool *t, const struct store_entity *given, struct error *err)
{
	size_t bytes = 1;
	bool ok;

	for (size_t i = 0; i < store_entities_count; i++) {
		size_t one = store_entities[i].shape->bytes;

		bytes = one > bytes ? one : bytes;
	}
	t->line = malloc(STORE_LINE_BYTES_MAX + 2);
	t->rows = calloc(STORE_ROWS_AT_ONCE, bytes);
	if (t->line == NULL || t->rows == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	ok = document_reader_new(&t->reader, STORE_LINE_BYTES_MAX, err) &&
	     tool_lines(t, given, stdin, err);
	fprintf(stderr, "stored %zu\n", t->stored);
	return ok;
}

/* FIELD=VALUE ... */
static bool tool_set_arguments(struct store_tool *t, const struct store_entity *e, int argc,
	char **argv, struct error *err)
{
	uint64_t given = 0;

	t->rows = calloc(1, e->shape->bytes);
	if (t->rows == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	store_rows_clear(e->shape, t->rows);
	for (int i = 0; i < argc; i++) {
		const char *equals = strchr(argv[i], '=');
		size_t size = equals == NULL ? strlen(argv[i]) : (size_t)(equals - argv[i]);

		if (equals == NULL)
			return error_set(err, ERROR_POISON, REASON_bad_row,
				"\"%s\" is not FIELD=VALUE", argv[i]);
		if (!store_rows_set_text(e->shape, t->rows, slice_of(argv[i], size),
			    slice_from_cstr(equals + 1), &t->arena, err))
			return false;
		for (size_t f = 0; f < e->shape->count; f++) {
			if (slice_equal_cstr(slice_of(argv[i], size), e->shape->fields[f].name))
				given |= UINT64_C(1) << f;
		}
	}
	for (size_t f = 0; f < e->shape->count; f++) {
		if (e->shape->fields[f].type == STORE_BOOL && !(given >> f & 1))
			return error_set(err, ERROR_POISON, REASON_bad_row, "%s is missing",
				e->shape->fields[f].name);
	}
	return store_entity_set(t->store, e, t->rows, 1, err);
}

/* ---- get, list, delete ---- */

static bool tool_print(const struct store_tool *t, const struct store_entity *e, const void *rows,
	size_t count, const char *entity, struct error *err)
{
	bool ok = true;

	for (size_t i = 0; ok && t->json && i < count; i++)
		ok = store_rows_json(stdout, e->shape, (const uint8_t *)rows + i * e->shape->bytes,
			entity, err);
	if (!t->json)
		store_rows_table(stdout, e->shape, rows, count);
	return ok;
}

static enum exit_code tool_absent(const struct store_entity *e, const char *key)
{
	fprintf(stderr, "there is no %s \"", e->name);
	(void)escape_print(stderr, slice_from_cstr(key));
	fprintf(stderr, "\"\n");
	return EXIT_CODE_FAILED;
}

static enum exit_code tool_get(struct store_tool *t, const struct store_entity *e, char **keys,
	struct error *err)
{
	const char *const wanted[STORE_KEYS_MAX] = {keys[0], keys[0] == NULL ? NULL : keys[1],
		keys[0] == NULL || keys[1] == NULL ? NULL : keys[2]};
	const void *rows;
	size_t count;
	bool ok;

	switch (store_entity_lookup(t->store, e, wanted, &rows, &count, err)) {
	case OCPP_FOUND:
		ok = tool_print(t, e, rows, count, NULL, err);
		ocpp_free(rows);
		if (ok)
			return EXIT_CODE_OK;
		break;
	case OCPP_ABSENT:
		return tool_absent(e, wanted[0]);
	case OCPP_ERROR:
		break;
	}
	return cli_fail_database(err);
}

/* Takes --after, a key, into a row that is otherwise empty. */
static bool tool_after(struct store_tool *t, const struct store_entity *e, void *row,
	struct error *err)
{
	const char *from = t->after;

	store_rows_clear(e->shape, row);
	for (size_t i = 0; i < e->page_keys; i++) {
		bool last = i + 1 == e->page_keys;
		size_t size = last ? strlen(from) : strcspn(from, ",");

		if (!last && from[size] == '\0')
			return error_set(err, ERROR_POISON, REASON_bad_row,
				"--after \"%.60s\" is not the whole key of a %s: that is "
				"role,country_code,party_id",
				t->after, e->name);
		if (!store_rows_set_text(e->shape, row, slice_from_cstr(e->shape->fields[i].name),
			    slice_of(from, size), &t->arena, err))
			return false;
		from += size + !last;
	}
	return true;
}

/* Lists all rows, page by page; a table has a head per page. entity: written in each line; NULL =
 * not. */
static bool tool_list(struct store_tool *t, const struct store_entity *e, const char *entity,
	struct error *err)
{
	const void *rows = NULL, *before = NULL, *after = NULL;
	union store_row first;
	int64_t left = t->limit;
	size_t count = 1;
	bool ok = true;

	if (t->after != NULL) {
		if (!tool_after(t, e, &first, err))
			return false;
		after = &first;
	}
	while (ok && count > 0 && (t->limit == 0 || left > 0)) {
		int32_t some =
			t->limit != 0 && left < STORE_PAGE_ROWS ? (int32_t)left : STORE_PAGE_ROWS;

		ok = store_entity_list(t->store, e, after, some, &rows, &count, err);
		if (!ok)
			break;
		if (count > 0 || (before == NULL && entity == NULL))
			ok = tool_print(t, e, rows, count, entity, err);
		ocpp_free(before);
		before = rows;
		left -= some;
		if (count > 0)
			after = (const uint8_t *)rows + (count - 1) * e->shape->bytes;
	}
	ocpp_free(before);
	return ok;
}

static bool tool_export(struct store_tool *t, struct error *err)
{
	bool ok = true;

	t->json = true;
	for (size_t i = 0; ok && i < store_entities_count; i++) {
		if (store_entities[i].set >= 0)
			ok = tool_list(t, &store_entities[i], store_entities[i].name, err);
	}
	return ok;
}

/* words: the whole key, and NULL. */
static bool tool_delete(struct store_tool *t, const struct store_entity *e, char **words,
	struct error *err)
{
	const char *keys[STORE_KEYS_MAX] = {NULL};

	for (size_t i = 0; i < e->keys; i++)
		keys[i] = words[i];
	return store_entity_delete(t->store, e, keys,
		t->at == OCPP_TIME_INVALID ? 0 : store_rows_time(t->at), err);
}

/* ---- the command ---- */

static bool tool_takes_after(const struct store_tool *t, const struct store_entity *e)
{
	if (t->after == NULL || e->page_keys > 0)
		return true;
	(void)cli_usage("store",
		"--after does not go with %s: they are listed by time, newest first; take "
		"--limit, or sessions --from T --to T",
		e->name);
	return false;
}

enum { STORE_GET, STORE_LIST, STORE_SET, STORE_DELETE };
static const char *const tool_entity_words[] = {"get", "list", "set", "delete", NULL};

/* How many words follow; -1: the entity knows no such thing. `set` takes any number. */
static int tool_words(const struct store_entity *e, int what)
{
	switch (what) {
	case STORE_GET:
		return (int)e->lookup_keys;
	case STORE_LIST:
		return 0;
	case STORE_DELETE:
		return e->remove >= 0 ? (int)e->keys : -1;
	default:
		return -1;
	}
}

static bool tool_takes_words(const struct store_entity *e, int argc, char **argv)
{
	int what = arguments_place(tool_entity_words, argv[0]), words = tool_words(e, what);

	if (what == STORE_SET && e->set >= 0)
		return true;
	if (words == argc - 1)
		return true;
	if (words < 0)
		(void)cli_usage("store", "there is no \"%s %s\"", e->name, argv[0]);
	else
		(void)cli_usage("store", "\"%s %s\" takes %d %s, not %d", e->name, argv[0], words,
			words == 1 ? "key" : "keys", argc - 1);
	return false;
}

static enum exit_code tool_entity(struct store_tool *t, const struct store_entity *e, int argc,
	char **argv, struct error *err)
{
	bool ok = false;

	switch (arguments_place(tool_entity_words, argv[0])) {
	case STORE_GET:
		return tool_get(t, e, argv + 1, err);
	case STORE_LIST:
		ok = tool_list(t, e, NULL, err);
		break;
	case STORE_SET:
		ok = argc == 1 ? tool_read(t, e, err)
			       : tool_set_arguments(t, e, argc - 1, argv + 1, err);
		break;
	case STORE_DELETE:
		ok = tool_delete(t, e, argv + 1, err);
		break;
	}
	return ok ? EXIT_CODE_OK : cli_fail_database(err);
}

enum { STORE_CHECK, STORE_EXPORT };
static const char *const tool_whole_words[] = {"check", "export", "import", NULL};

static enum exit_code tool_whole(struct store_tool *t, int what, struct error *err)
{
	if (what == STORE_CHECK)
		return ocpp_store_check(t->store, err) ? EXIT_CODE_OK
						       : cli_fail(EXIT_CODE_SCHEMA, err);
	return (what == STORE_EXPORT ? tool_export(t, err) : tool_read(t, NULL, err))
		       ? EXIT_CODE_OK
		       : cli_fail_database(err);
}

/* The store would retry until its deadline; a person wants to know immediately. */
static bool tool_reaches(const struct config *config, struct error *err)
{
	struct pg_options pg = cli_pg_options(config);
	PGconn *conn = cli_connect(config, &pg, err);

	PQfinish(conn);
	return conn != NULL;
}

enum exit_code cmd_store(const struct config *config, int argc, char **argv)
{
	struct store_tool t = {.at = OCPP_TIME_INVALID};
	const struct argument arguments[] = {
		{.name = "--json", .given = &t.json, .with = "get list set export import"},
		{.name = "--after", .text = &t.after, .with = "list"},
		{.name = "--limit",
			.number = &t.limit,
			.low = 1,
			.high = INT32_MAX,
			.with = "list"},
		{.name = "--at", .time = &t.at, .with = "delete"},
	};
	const struct store_entity *e;
	enum exit_code code;
	struct error err;
	int what;

	if (!arguments_take("store", arguments, 4, INT_MAX, &argc, argv))
		return EXIT_CODE_USAGE;
	e = argc > 0 ? store_entity_by_name(argv[0]) : NULL;
	what = arguments_place(tool_whole_words, argc > 0 ? argv[0] : NULL);
	if (e == NULL ? argc != 1 || what < 0 : argc < 2)
		return arguments_unknown("store", e == NULL ? argv[0] : NULL,
			"say ENTITY and what to do, or check, export, import");
	if (e != NULL && !(tool_takes_after(&t, e) && tool_takes_words(e, argc - 1, argv + 1)))
		return EXIT_CODE_USAGE;
	if (!tool_reaches(config, &err))
		return cli_fail_connect(&err);
	if (!tool_open(&t, config, &err))
		code = cli_fail(EXIT_CODE_CONFIG, &err);
	else if (e != NULL)
		code = tool_entity(&t, e, argc - 1, argv + 1, &err);
	else
		code = tool_whole(&t, what, &err);
	tool_close(&t);
	return code;
}
