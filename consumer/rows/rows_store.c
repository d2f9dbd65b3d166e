#include "base/clock.h"
#include "base/decimal.h"
#include "base/iso8601.h"
#include "rows/flags.h"
#include "rows/rows_private.h"
#include "store/roaming.h"

/* A message to the store -> one row. A station's message is accepted as it is; this is an order:
 * whatever breaks the contract in docs/store.md is refused, and becomes a dead letter. */
enum { STORE_KEY_BYTES_MAX = 255 };

/* How far the sender's clock may be ahead of ours. A later time is not believed, since it would
 * outlast every later message. */
static const int64_t STORE_AHEAD_US_MAX = 60 * US_PER_SECOND;

enum store_null { STORE_NOT_NULL, STORE_NULLABLE, STORE_FILLED };

static const struct store_kind {
	const char *name;
	enum table_id table;
	int keys;
	int deleted; /* column */
	int last_updated;
	int flags;
} store_kinds[] = {
#define KIND(entity, name, target, key_count, lookup_key_count)                                    \
	{name, TABLE_store_##entity, key_count, TABLE_store_##entity##_deleted,                    \
		TABLE_store_##entity##_last_updated, TABLE_store_##entity##_flags},
#include "store/kinds.def"
#undef KIND
};

/* Types of the columns before "deleted". */
static const struct {
	enum table_id table;
	enum store_null null;
} store_nulls[] = {
#define ENTITY(entity)
#define FIELD(entity, type, field, null) {TABLE_store_##entity, STORE_##null},
#define ENTITY_END(entity)
#define ENTITIES_OF_MESSAGES
#include "store/entities.def"
#undef ENTITIES_OF_MESSAGES
#undef ENTITY_END
#undef FIELD
#undef ENTITY
};

static enum store_null store_null(enum table_id table, int column)
{
	size_t at = 0;

	while (store_nulls[at].table != table)
		at++;
	return store_nulls[at + (size_t)column].null;
}

static const struct store_kind *store_kind(struct slice name)
{
	for (size_t i = 0; i < sizeof(store_kinds) / sizeof(*store_kinds); i++) {
		if (slice_equal_cstr(name, store_kinds[i].name))
			return &store_kinds[i];
	}
	return NULL;
}

/* Years 1 to 9999: the store writes times to settings as text, and reads them back. */
static bool store_set_time(struct cell *c, const struct value *v)
{
	if (v->kind == VALUE_TIME)
		c->number = v->time_us;
	else if (v->kind != VALUE_STRING || iso8601_parse(v->text, &c->number) == ISO8601_INVALID)
		return false;
	return c->number >= iso8601_days(1, 1, 1) * US_PER_DAY &&
	       c->number < iso8601_days(10000, 1, 1) * US_PER_DAY;
}

/* False if the column needs another kind of value; also with *full if the arena is full. */
static bool store_set_cell(struct rows_work *w, struct cell *c, enum column_type type,
	const struct value *v, bool *full)
{
	struct text t;

	c->present = true;
	switch ((int)type) {
	case COLUMN_TEXT:
		c->text = value_text(v);
		return !slice_is_absent(c->text);
	case COLUMN_INT4:
		return v->kind == VALUE_NUMBER &&
		       decimal_to_int64(v->text, OCPP_NONE + 1, INT32_MAX, &c->number);
	case COLUMN_BOOL:
		c->number = v->boolean;
		return v->kind == VALUE_BOOLEAN;
	case COLUMN_TIME:
		return store_set_time(c, v);
	case COLUMN_JSONB:
		text_begin(&t, w->arena);
		value_put_json(&t, v);
		c->text = text_end(&t);
		*full = slice_is_absent(c->text);
		return !*full;
	default:
		return false;
	}
}

static bool store_full(struct error *err)
{
	return error_set(err, ERROR_FULL, REASON_arena_full, "no room for the rows of a message");
}

/* How much of a name an error shows, as a precision. */
static int store_shown(struct slice name)
{
	return (int)(name.size > 60 ? 60 : name.size);
}

/* Takes the message's fields, except those that say what it is. */
static bool store_take_fields(struct rows_work *w, const struct store_kind *kind, struct row *row,
	struct error *err)
{
	const struct value *map = w->message->payload;

	for (uint32_t i = 0; i < map->count; i++) {
		const struct member *m = &map->members[i];
		int column = table_column(row->table, m->key);
		bool full = false;

		if (slice_equal_cstr(m->key, "op") || slice_equal_cstr(m->key, "entity"))
			continue;
		if (column < 0 || column == kind->deleted || column == kind->flags)
			return error_set(err, ERROR_POISON, REASON_bad_row,
				"there is no field \"%.*s\"", store_shown(m->key),
				(const char *)m->key.data);
		if (m->value.kind == VALUE_NULL)
			continue;
		if (store_set_cell(w, &row->cells[column], row->table->columns[column].type,
			    &m->value, &full))
			continue;
		if (full)
			return store_full(err);
		return error_set(err, ERROR_POISON, REASON_bad_row,
			"field \"%.*s\" takes another kind of value", store_shown(m->key),
			(const char *)m->key.data);
	}
	return true;
}

/* Defaults of omitted fields, the same as in the library. */
static void store_fill_location(const struct message *m, struct row *row)
{
	const struct value *location = value_get(m->payload, slice_from_cstr("location"));
	struct slice country = value_text(value_get(location, slice_from_cstr("Country")));

	if (!row->cells[TABLE_store_location_country_code].present)
		cell_set_text(row, TABLE_store_location_country_code,
			slice_is_absent(country) ? slice_from_cstr("XX") : country);
	if (!row->cells[TABLE_store_location_party_id].present)
		cell_set_text(row, TABLE_store_location_party_id, slice_from_cstr("XXX"));
}

/* Its key is the digest of its DER encoding, whatever the message says. */
static bool store_fill_certificate(struct arena *arena, struct row *row, struct error *err)
{
	struct slice pem = cell_text(row, TABLE_store_certificate_pem);
	struct slice given = cell_text(row, TABLE_store_certificate_certificate_hash), hash;
	uint8_t *copy = arena_bytes(arena, pem.size + 1);
	char text[OCPP_CERTIFICATE_HASH_BYTES];

	if (!row->cells[TABLE_store_certificate_certificate_type].present)
		cell_set_text(row, TABLE_store_certificate_certificate_type,
			slice_from_cstr("PEM"));
	if (copy == NULL)
		return store_full(err);
	if (pem.size == 0)
		return true;
	memcpy(copy, pem.data, pem.size);
	copy[pem.size] = '\0';
	if (!ocpp_certificate_hash((const char *)copy, text, err))
		return false;
	if (given.size > 0 && !slice_equal_cstr(given, text))
		return error_set(err, ERROR_POISON, REASON_bad_row,
			"certificate_hash is not that of pem, which is %s", text);
	hash = arena_copy(arena, slice_from_cstr(text));
	cell_set_text(row, TABLE_store_certificate_certificate_hash, hash);
	return !slice_is_absent(hash) || store_full(err);
}

static bool store_fill(struct rows_work *w, struct row *row, struct error *err)
{
	if (row->table->id == TABLE_store_location)
		store_fill_location(w->message, row);
	return row->table->id != TABLE_store_certificate ||
	       store_fill_certificate(w->arena, row, err);
}

static bool store_check_keys(const struct store_kind *kind, const struct row *row, bool deleted,
	struct error *err)
{
	int keys = kind->table == TABLE_store_setting && !deleted ? 2 : kind->keys;

	for (int i = 0; i < keys; i++) {
		const char *name = row->table->columns[i].name;

		if (cell_text(row, i).size == 0)
			return error_set(err, ERROR_POISON, REASON_bad_row, "%s is missing", name);
		if (row->cells[i].text.size > STORE_KEY_BYTES_MAX)
			return error_set(err, ERROR_POISON, REASON_bad_row,
				"%s has more than %d bytes", name, STORE_KEY_BYTES_MAX);
	}
	return true;
}

/* A delete keeps only the key; the other columns cannot be NULL, so they are empty. */
static void store_empty(struct row *row, int from, int last_updated)
{
	for (int i = from; i < last_updated; i++) {
		enum column_type type = row->table->columns[i].type;

		row->cells[i].present = false;
		if (store_null(row->table->id, i) == STORE_NULLABLE)
			continue;
		if (type == COLUMN_TEXT || type == COLUMN_JSONB)
			cell_set_text(row, i, slice_from_cstr(type == COLUMN_TEXT ? "" : "{}"));
		else
			cell_set_number(row, i, 0);
	}
}

static bool store_check_complete(const struct row *row, int last_updated, struct error *err)
{
	for (int i = 0; i < last_updated; i++) {
		if (!row->cells[i].present && store_null(row->table->id, i) != STORE_NULLABLE)
			return error_set(err, ERROR_POISON, REASON_bad_row, "%s is missing",
				row->table->columns[i].name);
	}
	return true;
}

/* When it was said: the sender's time, but no later than the time of receipt. */
static void store_set_said(const struct message *m, const struct store_kind *kind, struct row *row)
{
	const struct cell *stated = &row->cells[kind->last_updated];

	if (stated->present && stated->number > m->received_us + STORE_AHEAD_US_MAX)
		cell_set_number(row, kind->flags, FLAG_time_future);
	else if (stated->present)
		return;
	cell_set_number(row, kind->last_updated, m->received_us);
}

bool rows_store(struct rows_work *w, struct error *err)
{
	const struct message *m = w->message;
	const struct store_kind *kind = store_kind(m->entity);
	struct slice op = value_text(value_get(m->payload, slice_from_cstr("op")));
	bool deleted = slice_equal_cstr(op, "delete");
	struct row *row;

	if (kind == NULL)
		return error_set(err, ERROR_POISON, REASON_unknown_entity,
			"the topic names nothing that the store keeps: \"%.*s\"",
			(int)(m->entity.size > 60 ? 60 : m->entity.size),
			(const char *)m->entity.data);
	if (m->text_replaced)
		return error_set(err, ERROR_POISON, REASON_bad_row,
			"it has a text, a number or a key given twice that PostgreSQL cannot hold "
			"as it is");
	if (!deleted && !slice_equal_cstr(op, "set"))
		return error_set(err, ERROR_POISON, REASON_bad_row, "op is neither set nor delete");
	row = row_new(w->arena, kind->table);
	if (row == NULL)
		return store_full(err);
	if (!store_take_fields(w, kind, row, err) || !store_fill(w, row, err) ||
		!store_check_keys(kind, row, deleted, err))
		return false;
	if (deleted)
		store_empty(row, kind->keys, kind->last_updated);
	else if (!store_check_complete(row, kind->last_updated, err))
		return false;
	store_set_said(m, kind, row);
	cell_set_number(row, kind->deleted, deleted);
	w->out->first = w->out->last = row;
	return rows_fit_indexes(w->out, err);
}
