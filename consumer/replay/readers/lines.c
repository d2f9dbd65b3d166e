#include "replay/readers/lines.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "base/hex.h"
#include "base/iso8601.h"
#include "base/traceparent.h"
#include "replay/readers/json_scan.h"
#include "replay/readers/lines_zone.h"

#include <ctype.h>
#include <stdio.h>

enum { LINES_TIME_BYTES = 64 };

static bool lines_bad(struct error *err, const char *what)
{
	return error_set(err, ERROR_POISON, REASON_bad_line, "%s", what);
}

static bool lines_full(struct error *err)
{
	return error_set(err, ERROR_FULL, REASON_arena_full, "no room for a line of a capture");
}

/* ---- times ---- */

/* mosquitto's tst: "2026-01-31T06:32:25.038207Z+0100" is half past five UTC. */
static bool lines_time_tst(struct slice text, int64_t *us_out)
{
	const uint8_t *z = memchr(text.data, 'Z', text.size);
	char fixed[LINES_TIME_BYTES];
	size_t head;

	if (z == NULL || text.size + 1 > sizeof(fixed))
		return false;
	head = (size_t)(z - text.data);
	if (text.size - head != sizeof("Z+0100") - 1)
		return false;
	snprintf(fixed, sizeof(fixed), "%.*s%.3s:%.2s", (int)head, (const char *)text.data,
		(const char *)z + 1, (const char *)z + 4);
	return iso8601_parse(slice_from_cstr(fixed), us_out) != ISO8601_INVALID;
}

/* Seconds since 1970, with or without a fraction. */
static bool lines_time_seconds(struct slice text, int64_t *us_out)
{
	const uint8_t *point = memchr(text.data, '.', text.size);
	size_t whole = point == NULL ? text.size : (size_t)(point - text.data);
	int64_t seconds, us = 0, unit = 100000;

	if (!decimal_to_int64(slice_of(text.data, whole), 0, INT64_MAX / US_PER_SECOND - 1,
		    &seconds))
		return false;
	for (size_t i = whole + 1; i < text.size; i++, unit /= 10) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		us += unit * (text.data[i] - '0');
	}
	*us_out = seconds * US_PER_SECOND + us;
	return true;
}

/* Size of a trailing word for Z, including the blank before it. */
static size_t lines_utc_size(struct slice text)
{
	static const char *const words[] = {" UTC", " GMT"};
	size_t size = sizeof(" UTC") - 1;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words) && text.size > size; i++) {
		if (memcmp(text.data + text.size - size, words[i], size) == 0)
			return size;
	}
	return 0;
}

/* RFC 3339 in the way logs write it: 2026/01/31 06:32:25,038 +01:00, or with UTC for Z. */
static enum iso8601_kind lines_time_iso(struct slice text, int64_t *us_out)
{
	enum { DATE = 10, SLASH1 = 4, SLASH2 = 7 };
	char fixed[LINES_TIME_BYTES];
	size_t size = 0, utc = lines_utc_size(text);

	if (text.size >= sizeof(fixed))
		return ISO8601_INVALID;
	text.size -= utc;
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == ' ' && i != DATE)
			continue; /* the blank before the zone */
		fixed[size++] = text.data[i] == '/' && (i == SLASH1 || i == SLASH2)
					? '-'
					: (char)text.data[i];
	}
	if (utc > 0)
		fixed[size++] = 'Z';
	return iso8601_parse(slice_of(fixed, size), us_out);
}

/* Whether a record can hold the time. */
static bool lines_time_fits(int64_t us)
{
	return us >= 0 && us < iso8601_days(10000, 1, 1) * US_PER_DAY;
}

/* Any notation of a time; *kind_out says whether it has a zone. */
static bool lines_is_time(struct slice text, enum iso8601_kind *kind_out, int64_t *us_out)
{
	*kind_out = lines_time_iso(text, us_out);
	if (*kind_out == ISO8601_INVALID && text.size > 0 &&
		(lines_time_tst(text, us_out) || lines_time_seconds(text, us_out)))
		*kind_out = ISO8601_EXACT;
	return *kind_out != ISO8601_INVALID && lines_time_fits(*us_out);
}

/* Splits a time and a word for its zone: the time, its kind, and the word. */
static bool lines_split_zone(struct slice text, struct slice *time_out, enum iso8601_kind *kind_out,
	int64_t *us_out, char word[static LINES_ZONE_WORD_BYTES])
{
	const uint8_t *blank = memrchr(text.data, ' ', text.size);

	if (blank == NULL)
		return false;
	*time_out = slice_of(text.data, (size_t)(blank - text.data));
	return lines_is_time(*time_out, kind_out, us_out) &&
	       memchr(time_out->data, ':', time_out->size) != NULL &&
	       lines_zone_word(slice_skip(text, time_out->size + 1), word);
}

/* "CST" is UTC minus six hours, or plus eight: a word for a zone counts only beside an offset,
 * which decides, or if it is what the zone of --zone calls itself at that time. */
static bool lines_time_of_word(struct slice text, const struct lines_pattern *p, int64_t *us_out,
	struct error *err)
{
	char word[LINES_ZONE_WORD_BYTES];
	enum iso8601_kind kind;
	struct slice time;

	if (!lines_split_zone(text, &time, &kind, us_out, word))
		return lines_bad(err, "its time of receipt is invalid");
	if (kind != ISO8601_ZONELESS)
		return true;
	if (p->zone != NULL &&
		zone_word_to_utc(p->zone, *us_out,
			p->memory != NULL ? p->memory->time_us : INT64_MIN, word, us_out))
		return true;
	if (p->zone != NULL)
		return error_set(err, ERROR_POISON, REASON_bad_line,
			"its time names a zone, \"%s\", which is not what clocks in that of --zone "
			"show then",
			word);
	error_set(err, ERROR_FATAL, REASON_no_zone,
		"the time \"%.*s\" names a zone, \"%s\", which can be several: say with --zone "
		"where it was written (--zone Europe/Berlin)",
		SLICE_ARG(time), word);
	return error_hint(err,
		"if \"%s\" is not a zone, say so in the pattern: \"{time} %s {station}\"", word,
		word);
}

static bool lines_time(struct slice text, const struct lines_pattern *p, int64_t *us_out,
	struct error *err)
{
	enum iso8601_kind kind;

	if (!lines_is_time(text, &kind, us_out)) {
		if (!lines_time_of_word(text, p, us_out, err))
			return false;
		kind = ISO8601_EXACT;
	}
	if (kind == ISO8601_ZONELESS && p->zone == NULL)
		return error_set(err, ERROR_FATAL, REASON_no_zone,
			"the time \"%.*s\" has no zone: say with --zone where it was written "
			"(--zone +01:00, --zone Europe/Berlin)",
			SLICE_ARG(text));
	if (kind == ISO8601_ZONELESS &&
		!zone_to_utc(p->zone, *us_out, p->memory != NULL ? p->memory->time_us : INT64_MIN,
			us_out))
		return lines_bad(err, "clocks of its zone never showed its time of receipt");
	if (!lines_time_fits(*us_out))
		return lines_bad(err, "its time of receipt is invalid");
	if (p->memory != NULL)
		p->memory->time_us = *us_out;
	return true;
}

/* ---- mosquitto_sub -F '%U\t%q\t%r\t%t\t%D\t%x' and '%U %q %t %x' ---- */

static bool lines_hex(struct slice text, struct arena *arena, struct slice *out, struct error *err)
{
	uint8_t *bytes = arena_bytes(arena, text.size / 2 + 1);

	if (bytes == NULL)
		return lines_full(err);
	if (text.size % 2 != 0)
		return lines_bad(err, "its payload has half a byte too many");
	for (size_t i = 0; i < text.size; i += 2) {
		int32_t byte = hex_get(text.data + i, 2);

		if (byte < 0)
			return lines_bad(err, "its payload is not hexadecimal");
		bytes[i / 2] = (uint8_t)byte;
	}
	*out = slice_of(bytes, text.size / 2);
	return true;
}

/* A line of mosquitto_sub, not interpreted. */
struct lines_plain {
	struct slice time, qos, retain, topic, correlation, payload;
};

/* The text before the first separator; *rest is what follows. */
static struct slice lines_word(struct slice *rest, char separator)
{
	const uint8_t *end = memchr(rest->data, separator, rest->size);
	size_t size = end == NULL ? rest->size : (size_t)(end - rest->data);
	struct slice word = slice_of(rest->data, size);

	size += end != NULL;
	*rest = slice_of(rest->data + size, rest->size - size);
	return word;
}

/* The text after the last separator, which payloads in hexadecimal do not have; *rest is what comes
 * before it. */
static struct slice lines_last_word(struct slice *rest, char separator)
{
	const uint8_t *begin = memrchr(rest->data, separator, rest->size);
	size_t size = begin == NULL ? 0 : (size_t)(begin - rest->data);
	struct slice word = slice_skip(*rest, size + (begin != NULL));

	*rest = slice_of(rest->data, size);
	return word;
}

/* "time qos topic payload" or "time qos topic correlation payload". A topic may have blanks, and
 * correlation data may be anything: unless it is JSON and the topic has no blank, where one ends
 * and the other begins would be a guess. */
static bool lines_split_blanks(struct slice line, struct lines_plain *out, struct error *err)
{
	struct slice c;

	out->time = lines_word(&line, ' ');
	out->qos = lines_word(&line, ' ');
	out->payload = lines_last_word(&line, ' ');
	out->topic = lines_word(&line, ' ');
	out->correlation = c = line; /* empty: from %D of a message without any */
	if (c.size > 0 && (*c.data != '{' || c.data[c.size - 1] != '}'))
		return lines_bad(err,
			"its topic has a blank, or its correlation data is no JSON object: "
			"capture it with tabs (docs/replay.md)");
	return true;
}

/* "time qos retain topic correlation payload". Brokers refuse topics with tabs. */
static bool lines_split_tabs(struct slice line, struct lines_plain *out, struct error *err)
{
	out->time = lines_word(&line, '\t');
	out->qos = lines_word(&line, '\t');
	out->retain = lines_word(&line, '\t');
	out->topic = lines_word(&line, '\t');
	if (memchr(line.data, '\t', line.size) == NULL ||
		!(slice_equal_cstr(out->retain, "0") || slice_equal_cstr(out->retain, "1")))
		return lines_bad(err,
			"it is not \"time qos retain topic correlation payload\", with tabs");
	out->payload = lines_last_word(&line, '\t');
	out->correlation = line;
	return true;
}

/* Times have neither blanks nor tabs: what follows the time separates all parts. */
static bool lines_has_tabs(struct slice line)
{
	struct slice rest = line, time = lines_word(&rest, '\t');

	return time.size < line.size && memchr(time.data, ' ', time.size) == NULL;
}

static bool lines_plain(struct slice line, const struct lines_pattern *p, struct arena *arena,
	struct record *out, struct error *err)
{
	struct lines_plain l = {.retain = SLICE("0")};

	if (lines_has_tabs(line) ? !lines_split_tabs(line, &l, err)
				 : !lines_split_blanks(line, &l, err))
		return false;
	if (l.qos.size != 1 || *l.qos.data < '0' || *l.qos.data > '2')
		return lines_bad(err, "it is neither JSON nor \"time qos topic payload\"");
	if (l.topic.size == 0)
		return lines_bad(err, "it has no topic");
	out->flags = (uint16_t)(*l.qos.data - '0');
	/* A retained message is not a new event in each capture. */
	if (*l.retain.data == '1')
		out->flags |= RECORD_RETAIN;
	if (!lines_hex(l.payload, arena, &out->payload, err))
		return false;
	out->trace = arena_copy(arena, traceparent_id(l.correlation));
	out->topic = arena_copy(arena, l.topic);
	if (slice_is_absent(out->topic) || slice_is_absent(out->trace))
		return lines_full(err);
	return lines_time(l.time, p, &out->received_us, err);
}

/* ---- JSON ---- */

struct lines_json {
	struct slice topic, time, trace, properties, qos, retain, oversized;
	struct slice payload, payload_hex, payload_size;
};

static bool lines_json_members(struct slice line, struct lines_json *out, struct error *err)
{
	const struct {
		const char *key;
		struct slice *value;
	} known[] = {{"\"topic\"", &out->topic}, {"\"tst\"", &out->time},
		{"\"received_at\"", &out->time}, {"\"trace\"", &out->trace},
		{"\"properties\"", &out->properties}, {"\"qos\"", &out->qos},
		{"\"retain\"", &out->retain}, {"\"oversized\"", &out->oversized},
		{"\"payload\"", &out->payload}, {"\"payload_hex\"", &out->payload_hex},
		{"\"payloadlen\"", &out->payload_size}};
	struct slice rest = line, key, value;
	bool ok;

	while (json_scan_member(&rest, &key, &value, &ok)) {
		for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
			if (slice_equal_cstr(key, known[i].key))
				*known[i].value = value;
		}
	}
	return ok || lines_bad(err, "it is not a whole JSON object");
}

static bool lines_json_text(struct slice value, struct arena *arena, const char *missing,
	struct slice *out, struct error *err)
{
	uint8_t *bytes;
	int64_t size;

	if (slice_is_absent(value))
		return lines_bad(err, missing);
	bytes = arena_bytes(arena, value.size);
	if (bytes == NULL)
		return lines_full(err);
	size = json_scan_string(value, bytes);
	if (size < 0)
		return lines_bad(err, missing);
	*out = slice_of(bytes, (size_t)size);
	return true;
}

static bool lines_json_payload(const struct lines_json *j, const struct lines_pattern *p,
	struct arena *arena, struct record *out, struct error *err)
{
	bool has_size;
	struct slice hex;
	int64_t size;

	if (!slice_is_absent(j->payload_hex))
		return lines_json_text(j->payload_hex, arena, "its payload_hex is not text", &hex,
			       err) &&
		       lines_hex(hex, arena, &out->payload, err);
	if (slice_is_absent(j->payload))
		return lines_bad(err, "it has no payload");
	has_size = !slice_is_absent(j->payload_size);
	if (has_size && !decimal_to_int64(j->payload_size, 0, INT64_MAX, &size))
		return lines_bad(err, "its payloadlen is not a number");
	if (*j->payload.data != '"') {
		/* %J: mosquitto_sub has parsed it, and written it again. */
		if (has_size && (size_t)size != j->payload.size && p->memory != NULL)
			p->memory->rewritten = true;
		out->payload = arena_copy(arena, j->payload);
		return !slice_is_absent(out->payload) || lines_full(err);
	}
	if (!lines_json_text(j->payload, arena, "its payload is not text", &out->payload, err))
		return false;
	/* %j stops at the first NUL byte of a payload. */
	if (has_size && (size_t)size != out->payload.size)
		return lines_bad(err, "capture truncated at NUL");
	return true;
}

/* The trace id in the properties of MQTT 5, as mqtt/properties.c finds it in those of a live
 * message. */
static bool lines_json_trace(struct slice properties, struct arena *arena, struct slice *out,
	struct error *err)
{
	struct slice rest = properties, key, value, text;
	bool ok;

	while (json_scan_member(&rest, &key, &value, &ok)) {
		if (!slice_equal_cstr(key, "\"correlation-data\""))
			continue;
		if (!lines_json_text(value, arena, "its correlation data is not text", &text, err))
			return false;
		*out = traceparent_id(text);
	}
	return ok || lines_bad(err, "its properties are not a JSON object");
}

/* mosquitto_sub before 2.0 writes a number. */
static bool lines_json_time(struct slice value, struct arena *arena, struct slice *out,
	struct error *err)
{
	if (!slice_is_absent(value) && *value.data >= '0' && *value.data <= '9') {
		*out = value;
		return true;
	}
	return lines_json_text(value, arena, "it has no time of receipt", out, err);
}

static bool lines_json(struct slice line, const struct lines_pattern *p, struct arena *arena,
	struct record *out, struct error *err)
{
	struct lines_json j = {.topic = {NULL, 0}};
	struct slice time;
	int64_t qos = 0;

	if (!lines_json_members(line, &j, err) ||
		!lines_json_text(j.topic, arena, "it has no topic", &out->topic, err) ||
		!lines_json_time(j.time, arena, &time, err) ||
		!lines_time(time, p, &out->received_us, err))
		return false;
	if (!slice_is_absent(j.qos) && decimal_to_int64(j.qos, 0, 2, &qos))
		out->flags = (uint16_t)qos;
	/* mosquitto_sub writes 1. A retained message is not a new event in each capture. */
	if (slice_equal_cstr(j.retain, "1") || slice_equal_cstr(j.retain, "true"))
		out->flags |= RECORD_RETAIN;
	if (slice_equal_cstr(j.oversized, "true"))
		out->flags |= RECORD_OVERSIZED;
	if (!slice_is_absent(j.trace) &&
		!lines_json_text(j.trace, arena, "its trace is not text", &out->trace, err))
		return false;
	if (!slice_is_absent(j.properties) &&
		!lines_json_trace(j.properties, arena, &out->trace, err))
		return false;
	return lines_json_payload(&j, p, arena, out, err);
}

/* ---- patterns ---- */

bool lines_pattern_parse(const char *text, struct lines_pattern *out, struct error *err)
{
	static const char *const names[] = {
		[LINES_TIME] = "{time}",
		[LINES_STATION] = "{station}",
		[LINES_DIRECTION] = "{direction}",
		[LINES_VERSION] = "{version}",
		[LINES_FRAME] = "{frame}",
		[LINES_SKIP] = "{skip}",
	};
	const char *open = strchr(text, '{');
	bool has[LINES_SKIP + 1] = {false};

	*out = (struct lines_pattern){
		.before = slice_of(text, open == NULL ? 0 : (size_t)(open - text))};
	while (open != NULL) {
		size_t field = 0, size = 0;
		const char *next;

		for (; field <= LINES_SKIP; field++) {
			size = strlen(names[field]);
			if (strncmp(open, names[field], size) == 0)
				break;
		}
		if (field > LINES_SKIP || out->count == LINES_FIELDS_MAX || has[LINES_FRAME])
			break;
		has[field] = true;
		next = strchr(open + size, '{');
		out->fields[out->count].field = (enum lines_field)field;
		out->fields[out->count++].after =
			next == NULL ? slice_from_cstr(open + size)
				     : slice_of(open + size, (size_t)(next - open) - size);
		open = next;
	}
	out->has_direction = has[LINES_DIRECTION];
	out->has_version = has[LINES_VERSION];
	if (open == NULL && has[LINES_TIME] && has[LINES_STATION] && has[LINES_FRAME])
		return true;
	error_set(err, ERROR_FATAL, REASON_bad_pattern, "\"%s\" is not a pattern of lines", text);
	return error_hint(err, "text with {time} and {station} and, last, {frame}; also "
			       "{direction}, {version} and {skip}");
}

/* Without a character that no time has. */
static bool lines_may_be_time(struct slice text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (!isdigit(text.data[i]) &&
			(text.data[i] == '\0' || strchr("-/:., +TtZzUCGM", text.data[i]) == NULL))
			return false;
	}
	return text.size < LINES_TIME_BYTES;
}

/* Where a field ends: at the text that follows it. A time may contain that text, for example a
 * blank: it extends as far as it is a time. NULL: the text is not found. */
static const uint8_t *lines_field_end(struct slice line, enum lines_field field, struct slice after)
{
	enum { TIME_PIECES = 4 }; /* date, time, zone, and a possible word */
	const uint8_t *found, *longest = NULL, *first = NULL;
	struct slice rest = line;

	if (after.size == 0)
		return line.data + line.size;
	if (field != LINES_TIME)
		return memmem(line.data, line.size, after.data, after.size);
	for (int i = 0; i < TIME_PIECES; i++) {
		enum iso8601_kind kind;
		int64_t us;

		found = memmem(rest.data, rest.size, after.data, after.size);
		if (found == NULL)
			break;
		if (first == NULL)
			first = found;
		if (!lines_may_be_time(slice_of(rest.data, (size_t)(found - rest.data))))
			break;
		if (lines_is_time(slice_of(line.data, (size_t)(found - line.data)), &kind, &us))
			longest = found;
		rest = slice_skip(rest, (size_t)(found - rest.data) + 1);
	}
	return longest != NULL ? longest : first;
}

/* "+01:00", not Z. */
static bool lines_has_offset(struct slice time)
{
	enum { DATE = 10 };

	if (time.size <= DATE)
		return false;
	time = slice_skip(time, DATE);
	return memchr(time.data, '+', time.size) != NULL ||
	       memchr(time.data, '-', time.size) != NULL;
}

/*
 * A time that ends at a blank is followed by a word. If that word is a zone, and the time needs one
 * or has it as an offset ("+0100 CET"), it is part of the time: never a station, and never skipped.
 */
static const uint8_t *lines_zone_end(struct slice line, const uint8_t *end, struct slice after)
{
	struct slice time = slice_of(line.data, (size_t)(end - line.data)), rest, split;
	char word[LINES_ZONE_WORD_BYTES];
	enum iso8601_kind kind;
	const uint8_t *next;
	int64_t us;

	if (after.size == 0 || after.data[0] != ' ' || !lines_is_time(time, &kind, &us) ||
		memchr(time.data, ':', time.size) == NULL)
		return end;
	if (kind != ISO8601_ZONELESS && !lines_has_offset(time))
		return end;
	rest = slice_skip(line, time.size + 1);
	next = memmem(rest.data, rest.size, after.data, after.size);
	if (next == NULL || !lines_split_zone(slice_of(line.data, (size_t)(next - line.data)),
				    &split, &kind, &us, word))
		return end;
	return next;
}

static bool lines_match(struct slice line, const struct lines_pattern *p, struct slice *values,
	struct error *err)
{
	if (line.size < p->before.size || memcmp(line.data, p->before.data, p->before.size) != 0)
		return lines_bad(err, "it does not fit the pattern");
	line = slice_of(line.data + p->before.size, line.size - p->before.size);
	for (size_t i = 0; i < p->count; i++) {
		struct slice after = p->fields[i].after;
		const uint8_t *end = lines_field_end(line, p->fields[i].field, after);

		if (end == NULL)
			return lines_bad(err, "it does not fit the pattern");
		if (p->fields[i].field == LINES_TIME)
			end = lines_zone_end(line, end, after);
		values[p->fields[i].field] = slice_of(line.data, (size_t)(end - line.data));
		end += after.size;
		line = slice_of(end, line.size - (size_t)(end - line.data));
	}
	return true;
}

/* The frame begins at its bracket; text before it ("message") and blanks after it are not part of
 * it. */
static bool lines_trim_frame(struct slice *frame, struct error *err)
{
	while (frame->size > 0 && *frame->data != '[' && *frame->data != '{')
		*frame = slice_skip(*frame, 1);
	while (frame->size > 0 && isspace(frame->data[frame->size - 1]))
		frame->size--;
	return frame->size > 0 || lines_bad(err, "it has no frame");
}

static bool lines_direction(const struct lines_pattern *p, struct slice *values, struct error *err)
{
	const char *direction;

	if (p->has_direction)
		direction = lines_direction_of_word(values[LINES_DIRECTION]);
	else if (p->memory != NULL)
		direction = lines_direction_of_frame(&p->memory->calls, values[LINES_STATION],
			values[LINES_FRAME]);
	else
		direction = "in";
	if (direction == NULL)
		return lines_bad(err, "it has no known direction");
	values[LINES_DIRECTION] = slice_from_cstr(direction);
	return true;
}

/* A call that only OCPP 2.x has. Of others (MeterValues) only the fields would tell. */
static bool lines_is_2x(struct slice frame)
{
	static const char *const actions[] = {"\"TransactionEvent\"", "\"NotifyReport\"",
		"\"NotifyEvent\"", "\"GetBaseReport\"", "\"GetVariables\"", "\"SetVariables\"",
		"\"RequestStartTransaction\"", "\"RequestStopTransaction\"",
		"\"NotifyMonitoringReport\"", "\"ReportChargingProfiles\"",
		"\"NotifyEVChargingNeeds\"", "\"Get15118EVCertificate\""};
	struct slice items[3], rest = frame;

	for (size_t i = 0; i < sizeof(items) / sizeof(*items); i++) {
		if (!json_scan_item(&rest, &items[i]))
			return false;
	}
	if (!slice_equal_cstr(items[0], "2"))
		return false;
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (slice_equal_cstr(items[2], actions[i]))
			return true;
	}
	return false;
}

/* Nothing is read as OCPP 1.6 that is not: fields of 2.x have other names and units. */
static bool lines_version(const struct lines_pattern *p, struct slice frame, struct error *err)
{
	if (p->has_version || !slice_is_absent(p->version) || !lines_is_2x(frame))
		return true;
	error_set(err, ERROR_FATAL, REASON_bad_pattern,
		"there are frames of OCPP 2.x, and neither {version} in the pattern nor "
		"--ocpp-version");
	return error_hint(err,
		"say which version the stations speak: --ocpp-version 2.0.1; if "
		"not all speak the same one, replay them apart, each with --station and "
		"its --ocpp-version (1.6, too). What came before this frame may be stored "
		"as 1.6 already");
}

static uint8_t *lines_put(uint8_t *at, struct slice s)
{
	memcpy(at, s.data, s.size);
	return at + s.size;
}

static bool lines_frame(struct slice line, const struct lines_pattern *p, struct arena *arena,
	struct record *out, struct error *err)
{
	struct slice values[LINES_SKIP + 1] = {[LINES_DIRECTION] = SLICE("in"),
		[LINES_VERSION] =
			slice_is_absent(p->version) ? slice_from_cstr("1.6") : p->version};
	size_t room = sizeof("cs/out/ocpp/");
	uint8_t *topic, *at;

	if (!lines_match(line, p, values, err) || !lines_trim_frame(&values[LINES_FRAME], err) ||
		!lines_version(p, values[LINES_FRAME], err) ||
		!lines_time(values[LINES_TIME], p, &out->received_us, err))
		return false;
	/* Nothing may fail once the direction of the frame is decided: calls are remembered, and
	 * the same line would find itself when it is read again. */
	room += values[LINES_VERSION].size + values[LINES_STATION].size;
	topic = arena_bytes(arena, room);
	out->payload = arena_copy(arena, values[LINES_FRAME]);
	if (topic == NULL || slice_is_absent(out->payload))
		return lines_full(err);
	if (!lines_direction(p, values, err))
		return false;
	at = lines_put(topic, slice_from_cstr("cs/"));
	at = lines_put(at, values[LINES_DIRECTION]);
	at = lines_put(at, slice_from_cstr(p->has_version ? "/" : "/ocpp"));
	at = lines_put(at, values[LINES_VERSION]);
	at = lines_put(at, slice_from_cstr("/"));
	at = lines_put(at, values[LINES_STATION]);
	out->topic = slice_of(topic, (size_t)(at - topic));
	return true;
}

bool lines_record(struct slice line, const struct lines_pattern *pattern, struct arena *arena,
	struct record *out, struct error *err)
{
	bool ok;

	*out = (struct record){.topic = SLICE(""), .trace = SLICE(""), .payload = SLICE("")};
	if (pattern->count > 0)
		ok = lines_frame(line, pattern, arena, out, err);
	else if (line.size > 0 && *line.data == '{')
		ok = lines_json(line, pattern, arena, out, err);
	else
		ok = lines_plain(line, pattern, arena, out, err);
	if (!ok)
		return false;
	if (out->topic.size > UINT16_MAX || out->trace.size > RECORD_TRACE_BYTES_MAX)
		return lines_bad(err, "its topic or trace is too long");
	return true;
}
