#include "rows/schema.h"

#include "base/digest.h"

#include <stdlib.h>

enum {
	SCHEMA_MESSAGES_MAX = 256,
	SCHEMA_SLOTS = 1024, /* of the hash table; a power of two */
	SCHEMA_WORDS_MAX = 8,
};

struct schemas {
	struct schema_message *messages;
	size_t count;
	uint16_t slots[SCHEMA_SLOTS]; /* index + 1; 0 = empty */
};

/* The current file. */
struct schema_reader {
	struct schemas *schemas;
	const struct embedded_file *file;
	int line;
	size_t first_message; /* the first message of this file's header */
	struct schema_block *block;
	bool in_samples;
	struct slice words[SCHEMA_WORDS_MAX];
	size_t words_count;
};

static const char *const schema_sample_names[SAMPLE_PARTS] = {
	[SAMPLE_MEASURAND] = "measurand",
	[SAMPLE_PHASE] = "phase",
	[SAMPLE_CONTEXT] = "context",
	[SAMPLE_LOCATION] = "location",
	[SAMPLE_UNIT] = "unit",
	[SAMPLE_MULTIPLIER] = "multiplier",
	[SAMPLE_FORMAT] = "format",
	[SAMPLE_VALUE] = "value",
	[SAMPLE_SIGNED] = "signed",
};

static bool schema_error(const struct schema_reader *r, struct error *err, const char *what)
{
	return error_set(err, ERROR_FATAL, REASON_bad_schema, "%s:%d: %s", r->file->name, r->line,
		what);
}

/* Words are separated by blanks; # begins a comment. */
static bool schema_split(struct schema_reader *r, struct slice line, struct error *err)
{
	size_t at = 0;

	r->words_count = 0;
	while (at < line.size) {
		size_t from;

		while (at < line.size && line.data[at] == ' ')
			at++;
		if (at == line.size || line.data[at] == '#')
			break;
		from = at;
		while (at < line.size && line.data[at] != ' ')
			at++;
		if (r->words_count == SCHEMA_WORDS_MAX)
			return schema_error(r, err, "too many words");
		r->words[r->words_count++] = slice_of(line.data + from, at - from);
	}
	return true;
}

static bool schema_path_parse(struct schema_reader *r, struct slice text, struct schema_path *out,
	struct error *err)
{
	*out = (struct schema_path){.count = 0};
	if (text.size > 0 && text.data[0] == '/') {
		out->from_root = true;
		text = slice_of(text.data + 1, text.size - 1);
	}
	while (text.size > 0) {
		const uint8_t *dot = memchr(text.data, '.', text.size);
		size_t size = dot == NULL ? text.size : (size_t)(dot - text.data);

		if (size == 0 || out->count == SCHEMA_PATH_MAX)
			return schema_error(r, err, "a path is empty or too long");
		out->names[out->count++] = slice_of(text.data, size);
		text = dot == NULL ? slice_of("", 0) : slice_of(dot + 1, text.size - size - 1);
	}
	return out->count > 0 || schema_error(r, err, "a path is empty");
}

/* message NAME VERSION[,VERSION] call|result|send [paired] */
static enum message_version schema_version(struct slice word)
{
	static const struct {
		const char *word;
		enum message_version version;
	} versions[] = {{"1.6", VERSION_16}, {"2.0.1", VERSION_201}, {"2.1", VERSION_21}};

	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		if (slice_equal_cstr(word, versions[i].word))
			return versions[i].version;
	}
	return VERSION_UNKNOWN;
}

static bool schema_message_line(struct schema_reader *r, struct error *err)
{
	struct schema_message m = {.file = r->file->name};
	struct slice rest;

	if (r->schemas->count != r->first_message)
		return schema_error(r, err, "a file has one message line");
	if (r->words_count < 4)
		return schema_error(r, err, "a message line has a name, versions and a type");
	m.action = r->words[1];
	for (int t = MESSAGE_CALL; t <= MESSAGE_SEND; t++) {
		if (slice_equal_cstr(r->words[3], message_type_name((enum message_type)t)))
			m.type = (enum message_type)t;
	}
	m.paired = r->words_count > 4 && slice_equal_cstr(r->words[4], "paired");
	if (m.type == 0 || (r->words_count > 4 && !m.paired))
		return schema_error(r, err, "call, result, send or paired was expected");
	r->first_message = r->schemas->count;
	for (rest = r->words[2]; rest.size > 0;) {
		const uint8_t *comma = memchr(rest.data, ',', rest.size);
		size_t size = comma == NULL ? rest.size : (size_t)(comma - rest.data);

		m.version = schema_version(slice_of(rest.data, size));
		if (m.version == VERSION_UNKNOWN)
			return schema_error(r, err, "a version that is not known");
		if (r->schemas->count == SCHEMA_MESSAGES_MAX)
			return schema_error(r, err, "too many messages");
		r->schemas->messages[r->schemas->count++] = m;
		rest = comma == NULL ? slice_of("", 0) : slice_of(comma + 1, rest.size - size - 1);
	}
	return true;
}

/* row TABLE, rows TABLE each PATH, half */
static bool schema_block_line(struct schema_reader *r, enum schema_block_kind kind,
	struct error *err)
{
	struct schema_message *m = &r->schemas->messages[r->first_message];
	struct slice table = kind == SCHEMA_HALF  ? slice_from_cstr("exchange_halves")
			     : r->words_count > 1 ? r->words[1]
						  : slice_from_cstr("");

	if (r->schemas->count == r->first_message)
		return schema_error(r, err, "the message line must come first");
	if (m->blocks_count == SCHEMA_BLOCKS_MAX)
		return schema_error(r, err, "too many blocks");
	r->block = &m->blocks[m->blocks_count++];
	*r->block = (struct schema_block){.kind = kind, .table = table_by_name(table)};
	r->in_samples = false;
	if (r->block->table == NULL)
		return schema_error(r, err, "a table that is not known");
	if (kind != SCHEMA_ROWS)
		return true;
	if (r->words_count != 4 || !slice_equal_cstr(r->words[2], "each"))
		return schema_error(r, err, "rows TABLE each PATH was expected");
	return schema_path_parse(r, r->words[3], &r->block->each, err);
}

static bool schema_sample_line(struct schema_reader *r, struct error *err)
{
	for (int part = 0; part < SAMPLE_PARTS; part++) {
		if (slice_equal_cstr(r->words[0], schema_sample_names[part]))
			return schema_path_parse(r, r->words[1], &r->block->sample_parts[part],
				err);
	}
	return schema_error(r, err, "an unknown part of a sample");
}

/* COLUMN = CONSTANT, or COLUMN PATH TYPE [required] [default TEXT] */
static bool schema_field_line(struct schema_reader *r, struct error *err)
{
	struct schema_field f = {.column = -1};
	size_t w = 3;

	if (r->block == NULL)
		return schema_error(r, err, "a field outside of a block");
	if (r->words_count < 3)
		return schema_error(r, err, "COLUMN PATH TYPE or COLUMN = CONSTANT was expected");
	if (r->in_samples)
		return schema_sample_line(r, err);
	f.column = table_column(r->block->table, r->words[0]);
	if (f.column < 0)
		return schema_error(r, err, "a column that the table does not have");
	f.type = r->block->table->columns[f.column].type;
	if (slice_equal_cstr(r->words[1], "=")) {
		f.constant = r->words[2];
	} else {
		if (!schema_path_parse(r, r->words[1], &f.path, err))
			return false;
		f.ocpp_type = r->words[2];
		if (w < r->words_count && slice_equal_cstr(r->words[w], "required")) {
			f.required = true;
			w++;
		}
		if (w + 1 < r->words_count && slice_equal_cstr(r->words[w], "default")) {
			f.default_text = r->words[w + 1];
			w += 2;
		}
	}
	if (w != r->words_count)
		return schema_error(r, err, "unknown words at the end of the line");
	if (r->block->fields_count == SCHEMA_FIELDS_MAX)
		return schema_error(r, err, "too many fields");
	r->block->fields[r->block->fields_count++] = f;
	return true;
}

static bool schema_line(struct schema_reader *r, struct slice line, struct error *err)
{
	bool indented = line.size > 0 && line.data[0] == ' ';

	if (!schema_split(r, line, err))
		return false;
	if (r->words_count == 0)
		return true;
	if (indented)
		return schema_field_line(r, err);
	if (slice_equal_cstr(r->words[0], "message"))
		return schema_message_line(r, err);
	if (slice_equal_cstr(r->words[0], "row"))
		return schema_block_line(r, SCHEMA_ROW, err);
	if (slice_equal_cstr(r->words[0], "rows"))
		return schema_block_line(r, SCHEMA_ROWS, err);
	if (slice_equal_cstr(r->words[0], "half"))
		return schema_block_line(r, SCHEMA_HALF, err);
	if (slice_equal_cstr(r->words[0], "fact"))
		return schema_block_line(r, SCHEMA_FACT, err);
	if (slice_equal_cstr(r->words[0], "samples")) {
		if (r->block == NULL || r->block->kind != SCHEMA_ROWS || r->words_count != 2)
			return schema_error(r, err, "samples PATH goes into a block of rows");
		r->in_samples = true;
		return schema_path_parse(r, r->words[1], &r->block->samples, err);
	}
	return schema_error(r, err, "an unknown word at the beginning of a line");
}

static size_t schema_slot(enum message_version version, enum message_type type, struct slice action)
{
	return (digest64(action.data, action.size) + (size_t)version * 7 + (size_t)type) &
	       (SCHEMA_SLOTS - 1);
}

static bool schema_index(struct schema_reader *r, size_t index, struct error *err)
{
	struct schemas *s = r->schemas;
	struct schema_message *m = &s->messages[index];
	size_t slot = schema_slot(m->version, m->type, m->action);

	if (schemas_find(s, m->version, m->type, m->action) != NULL)
		return schema_error(r, err, "this message is described twice");
	while (s->slots[slot] != 0)
		slot = (slot + 1) & (SCHEMA_SLOTS - 1);
	s->slots[slot] = (uint16_t)(index + 1);
	return true;
}

static bool schema_file(struct schemas *s, const struct embedded_file *file, struct error *err)
{
	struct schema_reader r = {.schemas = s, .file = file, .first_message = s->count};
	struct slice rest = slice_of(file->text, file->size);

	while (rest.size > 0) {
		const uint8_t *end = memchr(rest.data, '\n', rest.size);
		size_t size = end == NULL ? rest.size : (size_t)(end - rest.data);

		r.line++;
		if (!schema_line(&r, slice_of(rest.data, size), err))
			return false;
		rest = end == NULL ? slice_of("", 0) : slice_of(end + 1, rest.size - size - 1);
	}
	if (s->count == r.first_message)
		return schema_error(&r, err, "there is no message line");
	/* Every version of the message line gets the same blocks. */
	for (size_t i = r.first_message; i < s->count; i++) {
		enum message_version version = s->messages[i].version;

		s->messages[i] = s->messages[r.first_message];
		s->messages[i].version = version;
		if (!schema_index(&r, i, err))
			return false;
	}
	return true;
}

bool schemas_new(struct schemas **out, const struct embedded_file *files, size_t count,
	struct error *err)
{
	struct schemas *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->messages = calloc(SCHEMA_MESSAGES_MAX, sizeof(*s->messages));
	if (s == NULL || s->messages == NULL) {
		schemas_free(&s);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading schemas");
	}
	for (size_t i = 0; i < count; i++) {
		if (!schema_file(s, &files[i], err)) {
			schemas_free(&s);
			return false;
		}
	}
	*out = s;
	return true;
}

void schemas_free(struct schemas **schemas)
{
	if (*schemas != NULL)
		free((*schemas)->messages);
	free(*schemas);
	*schemas = NULL;
}

const struct schema_message *schemas_find(const struct schemas *s, enum message_version version,
	enum message_type type, struct slice action)
{
	size_t slot = schema_slot(version, type, action);

	for (; s->slots[slot] != 0; slot = (slot + 1) & (SCHEMA_SLOTS - 1)) {
		const struct schema_message *m = &s->messages[s->slots[slot] - 1];

		if (m->version == version && m->type == type && slice_equal(m->action, action))
			return m;
	}
	return NULL;
}

const struct schema_message *schemas_at(const struct schemas *s, size_t index)
{
	return index < s->count ? &s->messages[index] : NULL;
}

struct value *schema_get(const struct schema_path *path, struct value *element, struct value *root)
{
	struct value *v = path->from_root ? root : element;

	for (size_t i = 0; i < path->count; i++)
		v = value_get(v, path->names[i]);
	return v;
}
