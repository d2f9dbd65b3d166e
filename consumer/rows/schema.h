#ifndef ROWS_SCHEMA_H
#define ROWS_SCHEMA_H

#include "base/arena.h"
#include "base/embedded.h"
#include "base/error.h"
#include "decode/message.h"
#include "rows/table.h"

#include <stdbool.h>

/*
 * The files of schemas/ as tables: which field of which message goes into which column. They are
 * compiled into the program as text and read once at start; read-only after that. Their syntax is
 * in schemas/README.md.
 */
enum { SCHEMA_PATH_MAX = 5, SCHEMA_FIELDS_MAX = 32, SCHEMA_BLOCKS_MAX = 4 };

/* The parts of a sample; the first seven make up its position in a layout. */
enum sample_part {
	SAMPLE_MEASURAND,
	SAMPLE_PHASE,
	SAMPLE_CONTEXT,
	SAMPLE_LOCATION,
	SAMPLE_UNIT,
	SAMPLE_MULTIPLIER,
	SAMPLE_FORMAT,
	SAMPLE_LAYOUT_PARTS,
	SAMPLE_VALUE = SAMPLE_LAYOUT_PARTS,
	SAMPLE_SIGNED,
	SAMPLE_PARTS,
};

struct schema_path {
	struct slice names[SCHEMA_PATH_MAX];
	size_t count;
	bool from_root; /* starts at the payload, not at the current element */
};

struct schema_field {
	int column; /* of the block's table */
	enum column_type type;
	bool required;
	struct slice constant; /* instead of a path */
	struct schema_path path;
	struct slice ocpp_type;
	struct slice default_text;
};

enum schema_block_kind {
	SCHEMA_ROW,  /* one row */
	SCHEMA_ROWS, /* one row per element of an array, with samples */
	SCHEMA_HALF, /* fields of a result that its call is waiting for */
	SCHEMA_FACT, /* what a message says about a transaction without being its event */
};

struct schema_block {
	enum schema_block_kind kind;
	const struct table *table;
	struct schema_path each;                       /* ROWS: the array */
	struct schema_path samples;                    /* ROWS: the array within an element */
	struct schema_path sample_parts[SAMPLE_PARTS]; /* count 0 = not in this version */
	struct schema_field fields[SCHEMA_FIELDS_MAX];
	size_t fields_count;
};

struct schema_message {
	struct slice action;
	enum message_version version;
	enum message_type type;
	bool paired; /* a call whose result completes its row */
	const char *file;
	struct schema_block blocks[SCHEMA_BLOCKS_MAX];
	size_t blocks_count;
};

struct schemas;

/* Read the files; an error names file and line. */
MUST_CHECK bool schemas_new(struct schemas **out, const struct embedded_file *files, size_t count,
	struct error *err);
void schemas_free(struct schemas **schemas);

/* The embedded files. */
extern const struct embedded_file schema_files[];
extern const size_t schema_count;

/* NULL if the message has no schema: it is stored unchanged. */
const struct schema_message *schemas_find(const struct schemas *s, enum message_version version,
	enum message_type type, struct slice action);

/* For listings and tests: all of them; NULL after the last. */
const struct schema_message *schemas_at(const struct schemas *s, size_t index);

/* Follow a path; NULL if it leads nowhere. */
struct value *schema_get(const struct schema_path *path, struct value *element, struct value *root);

#endif
