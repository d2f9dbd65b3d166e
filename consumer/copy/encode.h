#ifndef COPY_ENCODE_H
#define COPY_ENCODE_H

#include "base/arena.h"
#include "pg/session.h"
#include "rows/table.h"

#include <stdbool.h>

/*
 * Rows in PostgreSQL's binary formats: as COPY data for large tables, as array parameters
 * (unnest($1::text[], ...)) for merges. A field is the same in both: its length, then its bytes in
 * the format of the type's receive function. Pure; one thread.
 */

/* Maximum encoded size of a field, including its length. */
size_t encode_field_bytes_max(const struct cell *c, enum column_type type);

/* Write a field; returns the address after it. */
uint8_t *encode_field(uint8_t *at, const struct cell *c, enum column_type type);

/*
 * COPY data of rows, chunk by chunk (PostgreSQL 15 documentation, COPY, "Binary Format"). The
 * buffer is reused for every chunk.
 */
struct encode_stream {
	struct row *const *rows;
	size_t count;
	size_t next;
	uint8_t *buffer;
	size_t buffer_size;
	bool begun;
	bool ended;
	bool follows; /* adds a column: true for a row that is not the first of its message */
};

enum { ENCODE_CHUNK_BYTES = 64 * 1024 };

/* buffer must hold ENCODE_CHUNK_BYTES plus the largest row. For struct pg_request.copy_next, with
 * the stream as its context. */
void encode_stream_init(struct encode_stream *s, struct row *const *rows, size_t count,
	uint8_t *buffer, size_t buffer_size);
bool encode_stream_next(void *stream, struct slice *chunk_out);

/* A row's maximum size in COPY; it is cached in row.copy_bytes. */
uint32_t encode_row_bytes_max(const struct row *row);

/* The buffer size that encode_stream needs for these rows. */
size_t encode_buffer_bytes(struct row *const *rows, size_t count);

/* The first columns of rows as an array parameter each, from the arena. out has room for
 * columns_count. False if the arena is full. */
MUST_CHECK bool encode_params(struct arena *arena, const struct table *table, size_t columns_count,
	struct row *const *rows, size_t count, struct slice *out);

#endif
