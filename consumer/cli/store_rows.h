#ifndef CLI_STORE_ROWS_H
#define CLI_STORE_ROWS_H

#include "base/arena.h"
#include "decode/value.h"
#include "store/shapes.h"

#include <stdio.h>

/* Rows of the store in text form, for people and programs: a JSON object per line, or a table.
 * Times are RFC 3339. One thread. */

/* Prints one row as a JSON object without NULLs. entity: added as the first member, unless NULL.
 * False with err if it is not all there. */
MUST_CHECK bool store_rows_json(FILE *out, const struct store_shape *shape, const void *row,
	const char *entity, struct error *err);

/* Prints a table with a header; long texts are cut. */
void store_rows_table(FILE *out, const struct store_shape *shape, const void *rows, size_t count);

/* A time that was given, for a struct of the store, where 0 means that none was. */
int64_t store_rows_time(int64_t us);

/* Makes all fields absent. */
void store_rows_clear(const struct store_shape *shape, void *row);

/* Sets a field from text ("valid=false"), or all fields from a JSON object; text lives in the
 * arena. POISON if there is no such field, or the value is not valid for it. */
MUST_CHECK bool store_rows_set_text(const struct store_shape *shape, void *row, struct slice name,
	struct slice text, struct arena *arena, struct error *err);
MUST_CHECK bool store_rows_set_object(const struct store_shape *shape, void *row,
	const struct value *object, struct arena *arena, struct error *err);

#endif
