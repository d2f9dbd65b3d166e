#include "decode/decode.h"

#include "base/decimal.h"
#include "base/digest.h"
#include "base/limits.h"
#include "decode/decode_private.h"

#include <stdlib.h>
#include <strings.h>

enum {
	/* Per value: its place in an array or map, and what rows/ may remember about it. */
	NODE_BYTES_MAX = 256,
	NODES_KEEP_BYTES = 128 << 10,
};

struct decoder {
	struct arena nodes; /* the current tree: small enough to stay in the cache */
	const struct topic_patterns *patterns;
	struct decode_msgpack *msgpack;
	struct decode_json *json;

	/* The current record. */
	struct decode_input input;
	struct message common; /* what all its messages have in common */
	struct decode_tree tree;
	struct value *items;
	uint32_t items_count;
	uint32_t next;
	uint32_t raw_at; /* where the next item of a batch begins, or a separator before it */
};

static const struct {
	struct slice text; /* of the topic level; "ocpp" before it and J after it are optional */
	enum message_version version;
} decode_versions[] = {
	{SLICE("1.6"), VERSION_16},
	{SLICE("16"), VERSION_16},
	{SLICE("2.0.1"), VERSION_201},
	{SLICE("2.0"), VERSION_201},
	{SLICE("201"), VERSION_201},
	{SLICE("2.1"), VERSION_21},
	{SLICE("21"), VERSION_21},
};

const char *message_type_name(enum message_type type)
{
	switch (type) {
	case MESSAGE_CALL:
		return "call";
	case MESSAGE_RESULT:
		return "result";
	case MESSAGE_ERROR:
		return "error";
	case MESSAGE_RESULT_ERROR:
		return "result_error";
	case MESSAGE_SEND:
		return "send";
	}
	return "";
}

bool decoder_new(struct decoder **out, const struct topic_patterns *patterns,
	size_t payload_bytes_max, struct error *err)
{
	struct decoder *d = calloc(1, sizeof(*d));

	if (d == NULL ||
		!arena_init(&d->nodes, (size_t)DECODE_VALUES_MAX * NODE_BYTES_MAX,
			NODES_KEEP_BYTES) ||
		!decode_msgpack_new(&d->msgpack) || !decode_json_new(&d->json, payload_bytes_max)) {
		decoder_free(&d);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory making a decoder");
	}
	d->patterns = patterns;
	*out = d;
	return true;
}

void decoder_free(struct decoder **decoder)
{
	struct decoder *d = *decoder;

	*decoder = NULL;
	if (d == NULL)
		return;
	decode_msgpack_free(&d->msgpack);
	decode_json_free(&d->json);
	arena_fini(&d->nodes);
	free(d);
}

/* ---- the topic ---- */

static void decode_version(struct message *m, struct slice text)
{
	struct slice number;

	if (text.size > 4 && strncasecmp((const char *)text.data, "ocpp", 4) == 0)
		text = slice_of(text.data + 4, text.size - 4);
	m->version = VERSION_UNKNOWN;
	m->version_text = number = text;
	if (text.size > 0 && (text.data[text.size - 1] | 0x20) == 'j') /* 1.6J: 1.6 with JSON */
		number.size--;
	for (size_t i = 0; i < sizeof(decode_versions) / sizeof(*decode_versions); i++) {
		if (slice_equal(number, decode_versions[i].text))
			m->version = decode_versions[i].version;
	}
	if (m->version == VERSION_16)
		m->version_text = slice_from_cstr("1.6");
	else if (m->version == VERSION_201)
		m->version_text = slice_from_cstr("2.0.1");
	else if (m->version == VERSION_21)
		m->version_text = slice_from_cstr("2.1");
}

/* The topic as text that can be stored. */
static bool decode_topic(struct decoder *d, struct arena *arena, struct error *err)
{
	struct message *m = &d->common;
	bool replaced = false;
	struct topic topic;

	*m = (struct message){
		.seq = d->input.seq,
		.received_us = d->input.received_us,
		.trace = d->input.trace,
		.raw = d->input.payload,
		.retained = d->input.retained,
		.scratch = &d->nodes,
		.topic = decode_text(arena, d->input.topic, &replaced),
	};
	if (replaced)
		m->topic_raw = d->input.topic;
	if (slice_is_absent(m->topic))
		return decode_arena_full(err);
	if (m->trace.size > 0)
		m->trace = decode_text(arena, m->trace, &replaced);
	if (m->trace.size == 0 && d->input.trace.size > 0)
		return decode_arena_full(err);
	if (!topic_match(d->patterns, m->topic, &topic))
		return error_set(err, ERROR_POISON, REASON_unknown_topic,
			"the topic matches none of mqtt.topic_patterns");
	m->entity = topic.entity;
	m->station = topic.station;
	m->direction = topic.direction == TOPIC_OUT ? DIRECTION_OUT : DIRECTION_IN;
	if (topic.direction == TOPIC_NEITHER)
		return error_set(err, ERROR_POISON, REASON_unknown_topic,
			"the topic's direction is neither \"in\" nor \"out\"");
	decode_version(m, slice_is_absent(topic.version) ? slice_from_cstr("") : topic.version);
	return true;
}

bool decode_common(struct decoder *d, const struct decode_input *input, struct arena *arena,
	struct message *out, struct error *err)
{
	bool ok;

	d->input = *input;
	d->items_count = d->next = 0;
	ok = decode_topic(d, arena, err);
	*out = d->common;
	return ok;
}

/* ---- the payload ---- */

static bool decode_payload(struct decoder *d, struct arena *arena, struct error *err)
{
	struct decode_room room = {.texts = arena, .nodes = &d->nodes};
	struct slice p = d->input.payload;
	size_t at = 0;

	if (p.size >= 3 && memcmp(p.data, "\xef\xbb\xbf", 3) == 0)
		at = 3; /* a byte order mark, which JSON should not have */
	while (at < p.size && (p.data[at] == ' ' || p.data[at] == '\t' || p.data[at] == '\n' ||
				      p.data[at] == '\r'))
		at++;
	if (at == p.size)
		return error_set(err, ERROR_POISON, REASON_empty, "the message is empty");
	/* In msgpack these bytes would be the small numbers 0x7b and 0x5b, which are not
	 * messages. */
	if (p.data[at] == '{' || p.data[at] == '[') {
		d->raw_at = (uint32_t)at;
		d->input.payload = slice_of(p.data + at, p.size - at);
		return decode_json_parse(d->json, d->input.payload, room, &d->tree, err);
	}
	if ((p.data[0] & 0xc0) == 0x80 || p.data[0] >= 0xdc)
		return decode_msgpack_parse(d->msgpack, p,
			digest64(d->input.topic.data, d->input.topic.size), room, &d->tree, err);
	return error_set(err, ERROR_POISON, REASON_unknown_format,
		"the message is neither JSON nor msgpack: it begins with byte 0x%02x", p.data[0]);
}

bool decode_begin(struct decoder *d, const struct decode_input *input, struct arena *arena,
	struct error *err)
{
	struct value *root = &d->tree.root;

	d->input = *input;
	d->items_count = d->next = 0;
	d->raw_at = 0;
	d->tree = (struct decode_tree){.item_ends = NULL};
	arena_reset(&d->nodes);
	if (!decode_topic(d, arena, err) || !decode_payload(d, arena, err))
		return false;
	d->raw_at = 0;
	if (root->kind == VALUE_ARRAY && root->count > 0 &&
		(root->items[0].kind == VALUE_MAP || root->items[0].kind == VALUE_ARRAY)) {
		if (root->count > DECODE_MESSAGES_MAX)
			return error_set(err, ERROR_POISON, REASON_too_many_messages,
				"an array of %u messages; %d are taken at most", root->count,
				DECODE_MESSAGES_MAX);
		d->items = root->items;
		d->items_count = root->count;
	} else {
		root->replaced = d->tree.text_replaced;
		d->items = root;
		d->items_count = 1;
		d->tree.item_ends = NULL;
	}
	return true;
}

/* The bytes of the current item; for JSON, without the comma and blanks before it. */
static struct slice decode_raw(struct decoder *d)
{
	struct slice p = d->input.payload;
	uint32_t from = d->raw_at, to;

	if (d->tree.item_ends == NULL)
		return p;
	to = d->tree.item_ends[d->next];
	d->raw_at = to;
	if (p.data[0] == '[') {
		while (from < to && p.data[from] != '{' && !(p.data[from] == '[' && from > 0))
			from++;
	} else if (from == 0) {
		from = p.data[0] == 0xdc ? 3 : p.data[0] == 0xdd ? 5 : 1;
	}
	return slice_of(p.data + from, to - from);
}

/* A text field of the envelope; "" if it is absent. */
static bool decode_envelope_text(const struct value *v, const char *name, struct slice *out,
	struct error *err)
{
	*out = slice_from_cstr("");
	if (v == NULL || v->kind == VALUE_NULL)
		return true;
	if (v->kind != VALUE_STRING && v->kind != VALUE_NUMBER)
		return error_set(err, ERROR_POISON, REASON_bad_envelope, "\"%s\" is not text",
			name);
	*out = v->text;
	return true;
}

static bool decode_type(const struct value *v, struct message *m, struct error *err)
{
	int64_t type;

	if (v == NULL)
		return error_set(err, ERROR_POISON, REASON_bad_envelope, "there is no \"type\"");
	if (v->kind != VALUE_NUMBER || !decimal_to_int64(v->text, 2, 6, &type))
		return error_set(err, ERROR_POISON, REASON_bad_envelope,
			"\"type\" is not a message type from 2 to 6");
	m->type = (enum message_type)type;
	return true;
}

static struct value *decode_present(struct value *v)
{
	return v == NULL || v->kind == VALUE_NULL ? NULL : v;
}

/* MaEVE's envelope: see docs/messages.md. */
static bool decode_envelope(struct value *map, struct message *m, struct error *err)
{
	static const struct slice type = SLICE("type"), id = SLICE("id"), action = SLICE("action"),
				  request = SLICE("request"), response = SLICE("response"),
				  code = SLICE("error_code"),
				  description = SLICE("error_description"),
				  details = SLICE("error_details");

	if (!decode_type(value_get(map, type), m, err) ||
		!decode_envelope_text(value_get(map, id), "id", &m->id, err) ||
		!decode_envelope_text(value_get(map, action), "action", &m->action, err) ||
		!decode_envelope_text(value_get(map, code), "error_code", &m->error_code, err) ||
		!decode_envelope_text(value_get(map, description), "error_description",
			&m->error_description, err))
		return false;
	switch (m->type) {
	case MESSAGE_CALL:
	case MESSAGE_SEND:
		m->payload = decode_present(value_get(map, request));
		if (m->action.size == 0)
			return error_set(err, ERROR_POISON, REASON_bad_envelope,
				"a call without \"action\"");
		break;
	case MESSAGE_RESULT:
		m->payload = decode_present(value_get(map, response));
		m->request = decode_present(value_get(map, request));
		break;
	case MESSAGE_ERROR:
	case MESSAGE_RESULT_ERROR:
		m->payload = decode_present(value_get(map, details));
		m->request = decode_present(value_get(map, request));
		break;
	}
	return true;
}

/* OCPP-J 1.6 section 4.2, OCPP 2.1 part 4 section 4.2. */
static bool decode_frame(struct value *array, struct message *m, struct error *err)
{
	struct value *items = array->items;
	uint32_t count = array->count;

	if (count < 3)
		return error_set(err, ERROR_POISON, REASON_bad_envelope,
			"an OCPP-J frame of fewer than three elements");
	if (!decode_type(&items[0], m, err) ||
		!decode_envelope_text(&items[1], "message id", &m->id, err))
		return false;
	switch (m->type) {
	case MESSAGE_CALL:
	case MESSAGE_SEND:
		if (!decode_envelope_text(&items[2], "action", &m->action, err))
			return false;
		if (m->action.size == 0)
			return error_set(err, ERROR_POISON, REASON_bad_envelope,
				"a call without \"action\"");
		m->payload = count > 3 ? decode_present(&items[3]) : NULL;
		break;
	case MESSAGE_RESULT:
		m->payload = decode_present(&items[2]);
		break;
	case MESSAGE_ERROR:
	case MESSAGE_RESULT_ERROR:
		if (!decode_envelope_text(&items[2], "error code", &m->error_code, err) ||
			(count > 3 && !decode_envelope_text(&items[3], "error description",
					      &m->error_description, err)))
			return false;
		m->payload = count > 4 ? decode_present(&items[4]) : NULL;
		break;
	}
	return true;
}

enum decode_next decode_next(struct decoder *d, struct message *out, struct error *err)
{
	struct value *item;
	bool ok;

	if (d->next == d->items_count)
		return DECODE_END;
	item = &d->items[d->next];
	*out = d->common;
	out->index = d->next;
	out->raw = decode_raw(d);
	out->text_replaced = item->replaced;
	out->id = out->action = out->error_code = out->error_description = slice_from_cstr("");
	d->next++;
	if (!slice_is_absent(out->entity)) {
		out->payload = item;
		ok = item->kind == VALUE_MAP ||
		     error_set(err, ERROR_POISON, REASON_bad_row, "not a map of fields");
	} else if (item->kind == VALUE_MAP)
		ok = decode_envelope(item, out, err);
	else if (item->kind == VALUE_ARRAY)
		ok = decode_frame(item, out, err);
	else
		ok = error_set(err, ERROR_POISON, REASON_bad_envelope,
			"neither an envelope nor an OCPP-J frame");
	return ok ? DECODE_MESSAGE : DECODE_BAD;
}
