#ifndef CLI_STORE_ROWS_H
#define CLI_STORE_ROWS_H

#include "base/arena.h"
#include "decode/value.h"
#include "store/shapes.h"

#include <stdio.h>

/*
 * Rows of the store as people and programs write and read them: a JSON object per line, or a table.
 * Times are RFC 3339. One thread.
 */

/* One row as a JSON object; what is NULL is left out. entity: also as its first member, or NULL. */
void store_rows_json(FILE *out, const struct store_shape *shape, const void *row,
	const char *entity);

/* A table with a head; long texts are cut. */
void store_rows_table(FILE *out, const struct store_shape *shape, const void *rows, size_t count);

/* All fields absent. */
void store_rows_clear(const struct store_shape *shape, void *row);

/*
 * A field from text ("valid=false"), or all from a JSON object; text lives in the arena. POISON if
 * there is no such field or it does not take the value.
 */
MUST_CHECK bool store_rows_set_text(const struct store_shape *shape, void *row, struct slice name,
	struct slice text, struct arena *arena, struct error *err);
MUST_CHECK bool store_rows_set_object(const struct store_shape *shape, void *row,
	const struct value *object, struct arena *arena, struct error *err);

#endif
