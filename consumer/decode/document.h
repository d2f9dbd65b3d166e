#ifndef DECODE_DOCUMENT_H
#define DECODE_DOCUMENT_H

#include "base/arena.h"
#include "base/error.h"
#include "decode/value.h"

/* A JSON text that is not an OCPP message: a line of the command line's input. It uses the same
 * parser, limits and exact numbers as messages. One thread. */
struct document_reader;

MUST_CHECK bool document_reader_new(struct document_reader **out, size_t bytes_max,
	struct error *err);
void document_reader_free(struct document_reader **reader);

/* The tree lives in the arena and borrows from text. POISON if it is not JSON, or has something
 * that cannot be stored as it is (\u0000, a lone surrogate, bytes that are not UTF-8). */
MUST_CHECK bool document_read(struct document_reader *reader, struct slice text,
	struct arena *arena, struct value *out, struct error *err);

#endif
