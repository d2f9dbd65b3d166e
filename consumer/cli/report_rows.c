#include "cli/report_private.h"

#include "base/arena.h"
#include "base/escape.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* PostgreSQL's type OIDs. */
enum { REPORT_TYPE_TEXT = 25, REPORT_TYPE_NUMERIC = 1700, REPORT_ARENA_BYTES = 16 << 20 };

struct report_rows {
	struct report_run run;
	const struct report_column *columns;
	int count;
	PGresAttDesc shapes[REPORT_COLUMNS_MAX + 1];
	struct arena arena; /* of one JSON object */
};

/* libpq wants to be able to change what it only copies. */
static char *report_rows_text(const char *text)
{
	char *same;

	memcpy(&same, &text, sizeof(same));
	return same;
}

bool report_rows_new(struct report_rows **out, const struct report *r,
	const struct report_column *columns, int count, struct error *err)
{
	struct report_rows *rows = calloc(1, sizeof(*rows));

	CHECK(count > 0 && count <= REPORT_COLUMNS_MAX + 1);
	if (rows == NULL || !arena_init(&rows->arena, REPORT_ARENA_BYTES, 0)) {
		free(rows);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	rows->run.report = r;
	rows->columns = columns;
	rows->count = count;
	for (int c = 0; c < count; c++)
		rows->shapes[c] = (PGresAttDesc){
			.name = report_rows_text(columns[c].name),
			.typid = columns[c].number ? REPORT_TYPE_NUMERIC : REPORT_TYPE_TEXT,
		};
	*out = rows;
	return true;
}

/* NULL: out of memory. */
static PGresult *report_rows_result(struct report_rows *rows, const char *const *values)
{
	PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	bool ok = r != NULL && PQsetResultAttrs(r, rows->count, rows->shapes) == 1;

	for (int c = 0; ok && values != NULL && c < rows->count; c++)
		ok = PQsetvalue(r, 0, c, report_rows_text(values[c]),
			     values[c] == NULL ? -1 : (int)strlen(values[c])) == 1;
	if (ok)
		return r;
	PQclear(r);
	return NULL;
}

static bool report_rows_put_json(struct report_rows *rows, const char *const *values,
	struct error *err)
{
	FILE *out = rows->run.report->out;
	const char *before = "{";
	struct slice object;
	struct text t;

	arena_reset(&rows->arena);
	text_begin(&t, &rows->arena);
	for (int c = 0; c < rows->count; c++) {
		if (values[c] == NULL)
			continue;
		text_put_cstr(&t, before);
		before = ",";
		text_put_json_string(&t, slice_from_cstr(rows->columns[c].name));
		text_put_char(&t, ':');
		if (rows->columns[c].number)
			text_put_cstr(&t, values[c]);
		else
			text_put_json_string(&t, slice_from_cstr(values[c]));
	}
	text_put_cstr(&t, *before == '{' ? "{}" : "}");
	object = text_end(&t);
	if (slice_is_absent(object))
		return error_set(err, ERROR_FATAL, REASON_memory, "a row larger than a report has");
	(void)escape_print_json(out, object);
	putc('\n', out);
	return !ferror(out) || report_no_output(err);
}

bool report_rows_put(struct report_rows *rows, const char *const *values, struct error *err)
{
	PGresult *r;

	if (rows->run.report->form == REPORT_JSON)
		return report_rows_put_json(rows, values, err);
	r = report_rows_result(rows, values);
	if (r == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	return report_on_row(&rows->run, r, err);
}

bool report_rows_end(struct report_rows *rows, struct error *err)
{
	if (rows->run.report->form != REPORT_JSON) {
		PGresult *r = report_rows_result(rows, NULL);

		if (r == NULL)
			return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		if (!report_on_row(&rows->run, r, err))
			return false;
	}
	return fflush(rows->run.report->out) == 0 || report_no_output(err);
}

void report_rows_free(struct report_rows **rows)
{
	if (*rows != NULL) {
		report_table_drop(&(*rows)->run.table);
		arena_fini(&(*rows)->arena);
	}
	free(*rows);
	*rows = NULL;
}
