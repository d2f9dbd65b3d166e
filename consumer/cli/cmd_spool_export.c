#include "cli/spool.h"

#include "base/iso8601.h"
#include "base/text.h"
#include "base/utf8.h"
#include "decode/decode.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The messages of a log for other programs, in the order they came. What has no place in a form is
 * not bent into it: it goes out as the bytes it is, so that nothing is lost on the way.
 */
enum { EXPORT_STATIONS_MAX = 64 };

struct export
{
	int64_t from_us, to_us; /* received in [from, to) */
	const char *stations[EXPORT_STATIONS_MAX];
	size_t stations_count;
	struct topic_patterns patterns;
	struct decoder *decoder; /* of the envelopes */
	bool (*write)(struct export * e, const struct record *r, const struct folder_reader *from,
		struct arena *arena, struct error *err);
};

static bool export_bytes(struct slice bytes, struct error *err)
{
	return fwrite(bytes.data, 1, bytes.size, stdout) == bytes.size ||
	       error_set_errno(err, ERROR_FATAL, "output", "could not write a message");
}

/* ---- msgpack: the records themselves, one after the other ---- */

static bool export_msgpack(struct export *e, const struct record *r,
	const struct folder_reader *from, struct arena *arena, struct error *err)
{
	size_t size = record_bytes(r);
	uint8_t *bytes = arena_bytes(arena, size);

	(void)e;
	if (bytes == NULL)
		return error_set(err, ERROR_FATAL, "memory", "no room for a message");
	record_put(bytes, r, from->reader.header.first_seq);
	return export_bytes(slice_of(bytes, size), err);
}

/* ---- lines ---- */

static void export_line_begin(struct text *t, const struct record *r, struct arena *arena)
{
	struct slice topic = r->topic;
	char time[ISO8601_BYTES];

	/* A broker that lets other topics through breaks MQTT's rules. */
	if (!utf8_is_storable(topic))
		topic = utf8_replace(arena, topic);
	iso8601_format(r->received_us, time);
	text_begin(t, arena);
	text_put_cstr(t, "{\"received_at\":\"");
	text_put_cstr(t, time);
	text_put_cstr(t, "\",\"topic\":");
	text_put_json_string(t, topic);
	text_put_cstr(t, ",\"qos\":");
	text_put_int(t, r->flags & RECORD_QOS_MASK);
	if ((r->flags & RECORD_OVERSIZED) != 0)
		text_put_cstr(t, ",\"oversized\":true");
	if (r->trace.size > 0) {
		text_put_cstr(t, ",\"trace\":");
		text_put_json_string(t, r->trace);
	}
}

static bool export_line_end(struct text *t, struct error *err)
{
	struct slice line;

	text_put_cstr(t, "}\n");
	line = text_end(t);
	if (slice_is_absent(line))
		return error_set(err, ERROR_FATAL, "memory", "no room for a message");
	return export_bytes(line, err);
}

static bool export_line_hex(const struct record *r, struct arena *arena, struct error *err)
{
	static const char digits[] = "0123456789abcdef";
	struct text t;

	export_line_begin(&t, r, arena);
	text_put_cstr(&t, ",\"payload_hex\":\"");
	for (size_t i = 0; i < r->payload.size; i++) {
		text_put_char(&t, digits[r->payload.data[i] >> 4]);
		text_put_char(&t, digits[r->payload.data[i] & 15]);
	}
	text_put_char(&t, '"');
	return export_line_end(&t, err);
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

static bool export_envelope(const struct record *r, const struct message *m, struct arena *arena,
	struct error *err)
{
	static const char *const payload_keys[] = {
		[MESSAGE_CALL] = "request",
		[MESSAGE_RESULT] = "response",
		[MESSAGE_ERROR] = "error_details",
		[MESSAGE_RESULT_ERROR] = "error_details",
		[MESSAGE_SEND] = "request",
	};
	struct text t;

	export_line_begin(&t, r, arena);
	text_put_cstr(&t, ",\"payload\":{\"type\":");
	text_put_int(&t, m->type);
	export_member_text(&t, "action", m->action);
	export_member_text(&t, "id", m->id);
	export_member(&t, "request", m->request);
	export_member_text(&t, "error_code", m->error_code);
	export_member_text(&t, "error_description", m->error_description);
	export_member(&t, payload_keys[m->type], m->payload);
	text_put_char(&t, '}');
	return export_line_end(&t, err);
}

static bool export_maeve(struct export *e, const struct record *r, const struct folder_reader *from,
	struct arena *arena, struct error *err)
{
	struct decode_input input = {.seq = r->seq,
		.received_us = r->received_us,
		.topic = r->topic,
		.trace = r->trace,
		.payload = r->payload};
	struct message m;

	(void)from;
	if ((r->flags & RECORD_OVERSIZED) != 0 || !decode_begin(e->decoder, &input, arena, err))
		return export_line_hex(r, arena, err);
	for (;;) {
		struct record raw = *r;

		switch (decode_next(e->decoder, &m, err)) {
		case DECODE_END:
			return true;
		case DECODE_BAD:
			raw.payload = m.raw;
			if (!export_line_hex(&raw, arena, err))
				return false;
			break;
		case DECODE_MESSAGE:
			raw.payload = m.raw;
			if (m.text_replaced ? !export_line_hex(&raw, arena, err)
					    : !export_envelope(r, &m, arena, err))
				return false;
			break;
		}
	}
}

/* ---- json: payloads as they came ---- */

/* Whether the text is one JSON value in one line. */
static bool export_is_json(struct export *e, const struct record *r, struct arena *arena)
{
	struct decode_input input = {.topic = r->topic, .trace = r->trace, .payload = r->payload};
	struct error why;

	return r->payload.size > 0 && (*r->payload.data == '{' || *r->payload.data == '[') &&
	       utf8_is_storable(r->payload) &&
	       memchr(r->payload.data, '\n', r->payload.size) == NULL &&
	       memchr(r->payload.data, '\r', r->payload.size) == NULL &&
	       (r->flags & RECORD_OVERSIZED) == 0 && decode_begin(e->decoder, &input, arena, &why);
}

static bool export_json(struct export *e, const struct record *r, const struct folder_reader *from,
	struct arena *arena, struct error *err)
{
	struct text t;

	(void)from;
	if (!export_is_json(e, r, arena))
		return export_line_hex(r, arena, err);
	export_line_begin(&t, r, arena);
	text_put_cstr(&t, ",\"payload\":");
	text_put_slice(&t, r->payload);
	return export_line_end(&t, err);
}

/* ---- the command ---- */

static bool export_wants(const struct export *e, const struct record *r)
{
	struct topic topic;

	if (r->received_us < e->from_us || r->received_us >= e->to_us)
		return false;
	if (e->stations_count == 0)
		return true;
	if (!topic_match(&e->patterns, r->topic, &topic))
		return false;
	for (size_t i = 0; i < e->stations_count; i++) {
		if (slice_equal_cstr(topic.station, e->stations[i]))
			return true;
	}
	return false;
}

static bool export_record(void *context, const struct record *r, const struct folder_reader *from,
	struct arena *arena, struct error *err)
{
	struct export *e = context;

	return !export_wants(e, r) || e->write(e, r, from, arena, err);
}

static bool export_parse(struct export *e, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct slice value =
			i + 1 < argc ? slice_from_cstr(argv[i + 1]) : slice_of(NULL, 0);
		int64_t *time = strcmp(argv[i], "--from") == 0 ? &e->from_us
				: strcmp(argv[i], "--to") == 0 ? &e->to_us
							       : NULL;

		if ((strcmp(argv[i], "json") == 0 || strcmp(argv[i], "cat") == 0) &&
			e->write == NULL)
			e->write = export_json;
		else if (strcmp(argv[i], "maeve") == 0 && e->write == NULL)
			e->write = export_maeve;
		else if (strcmp(argv[i], "msgpack") == 0 && e->write == NULL)
			e->write = export_msgpack;
		else if (time != NULL && value.size > 0 &&
			 iso8601_parse(value, time) != ISO8601_INVALID)
			i++;
		else if (strcmp(argv[i], "--station") == 0 && value.size > 0 &&
			 e->stations_count < EXPORT_STATIONS_MAX)
			e->stations[e->stations_count++] = argv[++i];
		else
			return false;
	}
	return e->write != NULL;
}

enum exit_code spool_export(const struct config *config, int argc, char **argv)
{
	struct export e = {.from_us = INT64_MIN, .to_us = INT64_MAX};
	struct spool_walk walk = {.record = export_record, .context = &e};
	struct error err;
	bool ok = true;

	if (!export_parse(&e, argc, argv))
		return cli_usage("spool", "say json, msgpack or maeve");
	for (size_t i = 0; ok && i < config->mqtt_topic_patterns.count; i++)
		ok = topic_patterns_add(&e.patterns, config->mqtt_topic_patterns.items[i], &err);
	ok = ok &&
	     decoder_new(&e.decoder, &e.patterns, (size_t)config->mqtt_message_bytes_max, &err) &&
	     spool_walk(config->spool_dir, &walk, &err);
	decoder_free(&e.decoder);
	if (ok && fflush(stdout) != 0)
		ok = error_set_errno(&err, ERROR_FATAL, "output", "could not write a message");
	if (!ok)
		return cli_fail(EXIT_CODE_SPOOL, &err);
	return walk.damaged ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
