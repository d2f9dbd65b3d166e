#include "cli/store_rows.h"

#include "base/escape.h"
#include "base/iso8601.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Columns of a table are no wider than this: a certificate would push everything else off the
 * screen. */
enum { CELL_WIDTH_MAX = 40, CELL_BYTES = CELL_WIDTH_MAX + ESCAPE_BYTES + 2, COLUMNS_MAX = 24 };

/* ---- writing ---- */

static const char *rows_text(const struct store_field *f, const void *row)
{
	const char *text;

	memcpy(&text, (const uint8_t *)row + f->offset, sizeof(text));
	return text;
}

static int64_t rows_time(const struct store_field *f, const void *row)
{
	int64_t time;

	memcpy(&time, (const uint8_t *)row + f->offset, sizeof(time));
	return time;
}

static int32_t rows_int(const struct store_field *f, const void *row)
{
	int32_t number;

	memcpy(&number, (const uint8_t *)row + f->offset, sizeof(number));
	return number;
}

static bool rows_bool(const struct store_field *f, const void *row)
{
	bool boolean;

	memcpy(&boolean, (const uint8_t *)row + f->offset, sizeof(boolean));
	return boolean;
}

static void rows_format_time(int64_t us, char out[static ISO8601_BYTES])
{
	if (us == OCPP_TIME_INVALID)
		snprintf(out, ISO8601_BYTES, "-infinity");
	else
		iso8601_format(us == OCPP_TIME_EPOCH ? 0 : us, out);
}

static void rows_put_string(FILE *out, const char *text)
{
	putc('"', out);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p == '\n')
			fprintf(out, "\\n");
		else if ((unsigned char)*p < 0x20)
			fprintf(out, "\\u%04x", *p);
		else
			putc(*p, out);
	}
	putc('"', out);
}

/* False if the field is NULL, so nothing was written. */
static bool rows_put_member(FILE *out, const struct store_field *f, const void *row,
	const char *before)
{
	char time[ISO8601_BYTES];

	switch (f->type) {
	case STORE_TEXT:
	case STORE_JSON:
		if (rows_text(f, row) == NULL)
			return false;
		fprintf(out, "%s\"%s\": ", before, f->name);
		if (f->type == STORE_JSON)
			fprintf(out, "%s", rows_text(f, row));
		else
			rows_put_string(out, rows_text(f, row));
		return true;
	case STORE_INT:
		if (rows_int(f, row) == OCPP_NONE)
			return false;
		fprintf(out, "%s\"%s\": %" PRId32, before, f->name, rows_int(f, row));
		return true;
	case STORE_BOOL:
		fprintf(out, "%s\"%s\": %s", before, f->name, rows_bool(f, row) ? "true" : "false");
		return true;
	case STORE_TIME:
		if (rows_time(f, row) == 0)
			return false;
		rows_format_time(rows_time(f, row), time);
		fprintf(out, "%s\"%s\": \"%s\"", before, f->name, time);
		return true;
	case STORE_TYPES:
		break;
	}
	return false;
}

bool store_rows_json(FILE *out, const struct store_shape *shape, const void *row,
	const char *entity, struct error *err)
{
	const char *before = "{";
	char *json = NULL;
	size_t size = 0;
	FILE *made = open_memstream(&json, &size);
	bool ok;

	if (made == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	if (entity != NULL) {
		fprintf(made, "{\"entity\": \"%s\"", entity);
		before = ", ";
	}
	for (size_t i = 0; i < shape->count; i++) {
		if (rows_put_member(made, &shape->fields[i], row, before))
			before = ", ";
	}
	fprintf(made, "}\n");
	ok = !ferror(made);
	ok = fclose(made) == 0 && ok;
	if (!ok)
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	else if (!escape_print_json(out, slice_of(json, size)))
		ok = error_set_errno(err, ERROR_FATAL, REASON_output, "could not write a row");
	free(json);
	return ok;
}

/* Text for one line, cut between characters; returns its width on a screen. */
static size_t rows_cell(char out[static CELL_BYTES], const struct store_field *f, const void *row)
{
	char time[ISO8601_BYTES], number[16], one[ESCAPE_BYTES];
	const char *text = NULL;
	struct slice left;
	size_t width = 0;
	char *to = out;

	*to = '\0';

	if (f->type == STORE_TEXT || f->type == STORE_JSON) {
		text = rows_text(f, row);
	} else if (f->type == STORE_TIME && rows_time(f, row) != 0) {
		rows_format_time(rows_time(f, row), time);
		text = time;
	} else if (f->type == STORE_INT && rows_int(f, row) != OCPP_NONE) {
		snprintf(number, sizeof(number), "%" PRId32, rows_int(f, row));
		text = number;
	} else if (f->type == STORE_BOOL) {
		text = rows_bool(f, row) ? "yes" : "no";
	}
	if (text == NULL)
		text = "-";
	for (left = slice_from_cstr(text); left.size > 0 && to < out + CELL_WIDTH_MAX;) {
		size_t n = escape_first(left, one);

		to = stpcpy(to, one);
		width += strlen(one) == n ? 1 : strlen(one); /* the character, or its escape */
		left = slice_skip(left, n);
	}
	if (left.size > 0) {
		memcpy(to, "~", 2);
		width++;
	}
	return width;
}

static void rows_pad(FILE *out, size_t width, size_t to)
{
	for (; width < to + 2; width++)
		putc(' ', out);
}

void store_rows_table(FILE *out, const struct store_shape *shape, const void *rows, size_t count)
{
	size_t widths[COLUMNS_MAX];
	char cell[CELL_BYTES];

	CHECK(shape->count <= COLUMNS_MAX);
	for (size_t i = 0; i < shape->count; i++) {
		widths[i] = strlen(shape->fields[i].name);
		for (size_t r = 0; r < count; r++) {
			size_t width = rows_cell(cell, &shape->fields[i],
				(const uint8_t *)rows + r * shape->bytes);

			widths[i] = width > widths[i] ? width : widths[i];
		}
	}
	for (size_t i = 0; i < shape->count; i++) {
		fprintf(out, "%s", shape->fields[i].name);
		if (i + 1 < shape->count)
			rows_pad(out, strlen(shape->fields[i].name), widths[i]);
	}
	fprintf(out, "\n");
	for (size_t r = 0; r < count; r++) {
		for (size_t i = 0; i < shape->count; i++) {
			size_t width = rows_cell(cell, &shape->fields[i],
				(const uint8_t *)rows + r * shape->bytes);

			fprintf(out, "%s", cell);
			if (i + 1 < shape->count)
				rows_pad(out, width, widths[i]);
		}
		fprintf(out, "\n");
	}
}

/* ---- reading ---- */

int64_t store_rows_time(int64_t us)
{
	return us == 0 ? OCPP_TIME_EPOCH : us;
}

void store_rows_clear(const struct store_shape *shape, void *row)
{
	static const int32_t none = OCPP_NONE;

	memset(row, 0, shape->bytes);
	for (size_t i = 0; i < shape->count; i++) {
		if (shape->fields[i].type == STORE_INT)
			memcpy((uint8_t *)row + shape->fields[i].offset, &none, sizeof(none));
	}
}

static bool rows_parse_int(struct slice s, int32_t *out)
{
	int64_t number = 0;
	bool negative = s.size > 0 && s.data[0] == '-';

	if (negative)
		s = slice_skip(s, 1);
	if (s.size == 0 || s.size > 10)
		return false;
	for (size_t i = 0; i < s.size; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		number = number * 10 + (s.data[i] - '0');
	}
	number = negative ? -number : number;
	if (number <= INT32_MIN || number > INT32_MAX) /* the lowest means "not given" */
		return false;
	*out = (int32_t)number;
	return true;
}

static bool rows_parse_bool(struct slice s, bool *out)
{
	*out = slice_equal_cstr(s, "true") || slice_equal_cstr(s, "yes");
	return *out || slice_equal_cstr(s, "false") || slice_equal_cstr(s, "no");
}

/* Terminated, in the arena; NULL if the arena is full or the text has a NUL. */
static const char *rows_copy(struct slice s, struct arena *arena)
{
	uint8_t *copy = arena_bytes(arena, s.size + 1);

	if (copy == NULL || (s.size > 0 && memchr(s.data, '\0', s.size) != NULL))
		return NULL;
	if (s.size > 0)
		memcpy(copy, s.data, s.size);
	copy[s.size] = '\0';
	return (const char *)copy;
}

static bool rows_set_field(const struct store_field *f, void *row, struct slice text,
	struct arena *arena)
{
	uint8_t *at = (uint8_t *)row + f->offset;
	const char *copy;
	int32_t number;
	int64_t time;
	bool boolean;

	switch (f->type) {
	case STORE_TEXT:
	case STORE_JSON:
		copy = rows_copy(text, arena);
		if (copy != NULL)
			memcpy(at, &copy, sizeof(copy));
		return copy != NULL;
	case STORE_INT:
		if (!rows_parse_int(text, &number))
			return false;
		memcpy(at, &number, sizeof(number));
		return true;
	case STORE_BOOL:
		if (!rows_parse_bool(text, &boolean))
			return false;
		memcpy(at, &boolean, sizeof(boolean));
		return true;
	case STORE_TIME:
		if (iso8601_parse(text, &time) == ISO8601_INVALID)
			return false;
		time = store_rows_time(time);
		memcpy(at, &time, sizeof(time));
		return true;
	case STORE_TYPES:
		break;
	}
	return false;
}

static const struct store_field *rows_field(const struct store_shape *shape, struct slice name,
	struct error *err)
{
	for (size_t i = 0; i < shape->count; i++) {
		if (slice_equal_cstr(name, shape->fields[i].name))
			return &shape->fields[i];
	}
	error_set(err, ERROR_POISON, REASON_bad_row, "there is no field \"%.*s\"",
		(int)(name.size > 60 ? 60 : name.size), (const char *)name.data);
	return NULL;
}

static bool rows_misfit(const struct store_field *f, struct error *err)
{
	return error_set(err, ERROR_POISON, REASON_bad_row,
		"\"%s\" takes another kind of value (%s)", f->name, store_type_name(f->type));
}

bool store_rows_set_text(const struct store_shape *shape, void *row, struct slice name,
	struct slice text, struct arena *arena, struct error *err)
{
	const struct store_field *f = rows_field(shape, name, err);

	if (f == NULL)
		return false;
	return rows_set_field(f, row, text, arena) || rows_misfit(f, err);
}

/* The value as text; absent if the field does not accept that kind of value. */
static struct slice rows_member_text(const struct store_field *f, const struct value *v,
	struct arena *arena)
{
	struct text t;
	bool string = v->kind == VALUE_STRING, number = v->kind == VALUE_NUMBER;

	if (f->type == STORE_JSON) {
		text_begin(&t, arena);
		value_put_json(&t, v);
		return text_end(&t);
	}
	if (f->type == STORE_BOOL && v->kind == VALUE_BOOLEAN)
		return slice_from_cstr(v->boolean ? "true" : "false");
	if ((f->type == STORE_TEXT && (string || number)) || (f->type == STORE_INT && number) ||
		(f->type == STORE_TIME && string))
		return v->text;
	return (struct slice){NULL, 0};
}

/* A bool cannot represent "not given", so that is checked here. */
static bool rows_has_bools(const struct store_shape *shape, const struct value *object,
	struct error *err)
{
	for (size_t i = 0; i < shape->count; i++) {
		const char *name = shape->fields[i].name;
		const struct value *v;

		if (shape->fields[i].type != STORE_BOOL)
			continue;
		v = value_get(object, slice_from_cstr(name));
		if (v == NULL || v->kind == VALUE_NULL)
			return error_set(err, ERROR_POISON, REASON_bad_row, "%s is missing", name);
	}
	return true;
}

bool store_rows_set_object(const struct store_shape *shape, void *row, const struct value *object,
	struct arena *arena, struct error *err)
{
	if (object->kind != VALUE_MAP)
		return error_set(err, ERROR_POISON, REASON_bad_row, "no JSON object");
	for (uint32_t i = 0; i < object->count; i++) {
		const struct member *m = &object->members[i];
		const struct store_field *f;
		struct slice text;

		if (slice_equal_cstr(m->key, "entity"))
			continue;
		f = rows_field(shape, m->key, err);
		if (f == NULL)
			return false;
		if (m->value.kind == VALUE_NULL)
			continue;
		text = rows_member_text(f, &m->value, arena);
		if (slice_is_absent(text) || !rows_set_field(f, row, text, arena))
			return rows_misfit(f, err);
	}
	return rows_has_bools(shape, object, err);
}
