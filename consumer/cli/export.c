#include "cli/export.h"

#include "base/escape.h"
#include "base/hex.h"
#include "base/iso8601.h"
#include "base/text.h"
#include "base/utf8.h"

#include <inttypes.h>

static bool export_failed(struct error *err)
{
	return error_set_errno(err, ERROR_FATAL, REASON_output, "could not write a message");
}

/* ---- msgpack: the records themselves ---- */

bool export_msgpack(struct exporter *e, const struct record *r, uint64_t generation,
	struct arena *arena, struct error *err)
{
	size_t size = record_bytes(r);
	uint8_t *bytes = arena_bytes(arena, size);

	if (bytes == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "no room for a message");
	record_put(bytes, r, generation);
	return fwrite(bytes, 1, size, e->out) == size || export_failed(err);
}

/* ---- lines ---- */

/* Only a broker that breaks MQTT's rules passes on text that is not UTF-8. */
static void export_text(struct text *t, struct slice s, struct slice replaced)
{
	text_put_json_string(t, slice_is_absent(replaced) ? s : replaced);
}

static struct slice export_replaced(struct slice s, struct arena *arena)
{
	return utf8_is_storable(s) ? (struct slice){NULL, 0} : utf8_replace(arena, s);
}

static void export_line_begin(struct text *t, const struct record *r, struct arena *arena)
{
	/* Once the text has begun, nothing else may be allocated from the arena. */
	struct slice topic = export_replaced(r->topic, arena);
	struct slice trace = export_replaced(r->trace, arena);
	char time[ISO8601_BYTES];

	iso8601_format(r->received_us, time);
	text_begin(t, arena);
	text_put_cstr(t, "{\"received_at\":\"");
	text_put_cstr(t, time);
	text_put_cstr(t, "\",\"topic\":");
	export_text(t, r->topic, topic);
	text_put_cstr(t, ",\"qos\":");
	text_put_int(t, r->flags & RECORD_QOS_MASK);
	if ((r->flags & RECORD_RETAIN) != 0)
		text_put_cstr(t, ",\"retain\":true");
	if ((r->flags & RECORD_OVERSIZED) != 0)
		text_put_cstr(t, ",\"oversized\":true");
	if (r->trace.size > 0) {
		text_put_cstr(t, ",\"trace\":");
		export_text(t, r->trace, trace);
	}
}

static bool export_line_end(struct exporter *e, struct text *t, struct error *err)
{
	struct slice line;

	text_put_cstr(t, "}\n");
	line = text_end(t);
	if (slice_is_absent(line))
		return error_set(err, ERROR_FATAL, REASON_memory, "no room for a message");
	return escape_print_json(e->out, line) || export_failed(err);
}

static bool export_line_hex(struct exporter *e, const struct record *r, struct arena *arena,
	struct error *err)
{
	struct text t;

	export_line_begin(&t, r, arena);
	text_put_cstr(&t, ",\"payload_hex\":\"");
	for (size_t i = 0; i < r->payload.size; i++) {
		char two[2];

		(void)hex_put(two, r->payload.data + i, 1);
		text_put(&t, two, sizeof(two));
	}
	text_put_char(&t, '"');
	return export_line_end(e, &t, err);
}

/* ---- maeve: each OCPP message in MaEVE's envelope, as JSON ---- */

static void export_member(struct text *t, const char *key, const struct value *v)
{
	if (v == NULL)
		return;
	text_put_cstr(t, ",\"");
	text_put_cstr(t, key);
	text_put_cstr(t, "\":");
	value_put_json(t, v);
}

static void export_member_text(struct text *t, const char *key, struct slice s)
{
	if (s.size == 0)
		return;
	text_put_cstr(t, ",\"");
	text_put_cstr(t, key);
	text_put_cstr(t, "\":");
	text_put_json_string(t, s);
}

static const char *export_payload_key(enum message_type type)
{
	switch (type) {
	case MESSAGE_CALL:
	case MESSAGE_SEND:
		return "request";
	case MESSAGE_RESULT:
		return "response";
	case MESSAGE_ERROR:
	case MESSAGE_RESULT_ERROR:
		return "error_details";
	}
	CHECK(false && "a message type that decoding knows");
	return "";
}

static bool export_envelope(struct exporter *e, const struct record *r, const struct message *m,
	struct arena *arena, struct error *err)
{
	struct text t;

	export_line_begin(&t, r, arena);
	text_put_cstr(&t, ",\"payload\":{\"type\":");
	text_put_int(&t, m->type);
	export_member_text(&t, "action", m->action);
	export_member_text(&t, "id", m->id);
	export_member(&t, "request", m->request);
	export_member_text(&t, "error_code", m->error_code);
	export_member_text(&t, "error_description", m->error_description);
	export_member(&t, export_payload_key(m->type), m->payload);
	text_put_char(&t, '}');
	return export_line_end(e, &t, err);
}

/* A message to the store has neither type nor id: the payload is all there is. */
static bool export_store(struct exporter *e, const struct record *r, const struct message *m,
	struct arena *arena, struct error *err)
{
	struct text t;

	export_line_begin(&t, r, arena);
	export_member(&t, "payload", m->payload);
	return export_line_end(e, &t, err);
}

static bool export_message(struct exporter *e, const struct record *r, const struct message *m,
	struct arena *arena, struct error *err)
{
	struct record raw = *r;

	raw.payload = m->raw;
	if (m->text_replaced)
		return export_line_hex(e, &raw, arena, err);
	if (!slice_is_absent(m->entity))
		return export_store(e, r, m, arena, err);
	return export_envelope(e, r, m, arena, err);
}

bool export_maeve(struct exporter *e, const struct record *r, uint64_t generation,
	struct arena *arena, struct error *err)
{
	struct decode_input input = {.seq = r->seq,
		.received_us = r->received_us,
		.topic = r->topic,
		.trace = r->trace,
		.payload = r->payload};
	struct message m;

	(void)generation;
	if ((r->flags & RECORD_OVERSIZED) != 0 || !decode_begin(e->decoder, &input, arena, err))
		return export_line_hex(e, r, arena, err);
	for (;;) {
		struct record raw = *r;

		switch (decode_next(e->decoder, &m, err)) {
		case DECODE_END:
			return true;
		case DECODE_BAD:
			raw.payload = m.raw;
			if (!export_line_hex(e, &raw, arena, err))
				return false;
			break;
		case DECODE_MESSAGE:
			if (!export_message(e, r, &m, arena, err))
				return false;
			break;
		}
	}
}

/* ---- json: unchanged payloads ---- */

/* Whether the text is one JSON value. */
static bool export_is_json(struct exporter *e, const struct record *r, struct slice json,
	struct arena *arena)
{
	struct decode_input input = {.topic = r->topic, .trace = r->trace, .payload = json};
	struct error why;

	return json.size > 0 && (*json.data == '{' || *json.data == '[') &&
	       utf8_is_storable(json) && (r->flags & RECORD_OVERSIZED) == 0 &&
	       decode_begin(e->decoder, &input, arena, &why);
}

static bool export_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without what may surround a JSON text, as in decoding. */
static struct slice export_trim(struct slice s)
{
	if (s.size >= 3 && memcmp(s.data, "\xef\xbb\xbf", 3) == 0)
		s = slice_skip(s, 3);
	while (s.size > 0 && export_is_blank(s.data[0]))
		s = slice_skip(s, 1);
	while (s.size > 0 && export_is_blank(s.data[s.size - 1]))
		s.size--;
	return s;
}

/* On one line: a newline in JSON is white space, since strings cannot contain one. */
static void export_put_json(struct text *t, struct slice json)
{
	for (size_t i = 0; i < json.size; i++) {
		uint8_t c = json.data[i];

		text_put_char(t, c == '\n' || c == '\r' ? ' ' : (char)c);
	}
}

bool export_json(struct exporter *e, const struct record *r, uint64_t generation,
	struct arena *arena, struct error *err)
{
	struct slice json = export_trim(r->payload);
	struct text t;

	(void)generation;
	if (!export_is_json(e, r, json, arena))
		return export_line_hex(e, r, arena, err);
	export_line_begin(&t, r, arena);
	text_put_cstr(&t, ",\"payload\":");
	export_put_json(&t, json);
	return export_line_end(e, &t, err);
}
