#ifndef DECODE_DECODE_PRIVATE_H
#define DECODE_DECODE_PRIVATE_H

#include "base/arena.h"
#include "base/error.h"
#include "decode/value.h"

#include <stddef.h>

/* Shared by the files of decode/ only. */

/* The result of parsing a payload. */
struct decode_tree {
	struct value root;
	/* If root is an array of containers (a batch): where each item ends in the payload.
	 * Otherwise NULL. */
	uint32_t *item_ends;
	bool text_replaced; /* anywhere; in a batch, value.replaced says in which items */
};

/* Memory for a tree: nodes last until the next record, texts as long as the batch, since rows
 * borrow them. */
struct decode_room {
	struct arena *texts;
	struct arena *nodes;
};

/* Both: false with err POISON, or FULL. */
struct decode_msgpack;
bool decode_msgpack_new(struct decode_msgpack **out);
void decode_msgpack_free(struct decode_msgpack **parser);
/* sender: the same value for payloads that are probably alike. */
MUST_CHECK bool decode_msgpack_parse(struct decode_msgpack *parser, struct slice payload,
	uint64_t sender, struct decode_room room, struct decode_tree *out, struct error *err);

struct decode_json;
bool decode_json_new(struct decode_json **out, size_t payload_bytes_max);
void decode_json_free(struct decode_json **parser);
MUST_CHECK bool decode_json_parse(struct decode_json *parser, struct slice payload,
	struct decode_room room, struct decode_tree *out, struct error *err);

/* settle.c: text that can be stored: s itself, or a readable copy from the arena with *replaced
 * set. Absent if the arena is full. */
struct slice decode_text(struct arena *arena, struct slice s, bool *replaced);

/*
 * What PostgreSQL's jsonb would alter or refuse sets *replaced, so that the message is also kept as
 * it came: a number beyond its range becomes text, and of a repeated key only the last value is
 * kept.
 */
void decode_settle_number(struct value *v, bool *replaced);
void decode_settle_map(const struct value *map, bool *replaced);

bool decode_arena_full(struct error *err);

#endif
