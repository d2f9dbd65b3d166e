/*
 * Messages decoded with forms give the rows that a decoder gives which has never seen one: over
 * generated messages, most of which repeat what was sent before, with all that a station could do
 * to a sample. TEST_SEED=n repeats a run.
 */
#include "unit.h"

#include "base/bytes.h"
#include "copy/encode.h"
#include "decode/decode.h"
#include "rows/rows.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>

enum {
	PAYLOAD_MAX = 1 << 20,
	ARENA_BYTES = 64 << 20,
	MESSAGES = 1500,
	TEMPLATES = 24,
	LAYOUTS_PER_STATION = 40,
	FORMS_MORE_THAN_FIT = 2500,
};

/* One way from bytes to what comes of them. */
struct way {
	struct decoder *decoder;
	struct rows_builder builder;
	struct arena arena;
	struct arena seen_arena;
	struct text seen;
	size_t maps_with_form;
};

static struct topic_patterns patterns;
static struct schemas *schemas;
static uint64_t random_state;

/* xorshift64*: the same on every machine. */
static uint32_t below(uint32_t n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 32) % n;
}

static bool one_in(uint32_t n)
{
	return below(n) == 0;
}

/* ---- writing msgpack ---- */

static uint8_t payload[PAYLOAD_MAX];
static uint8_t *at;

static void put_head(uint8_t fix, uint8_t fix_max, uint8_t wide, size_t count)
{
	if (count <= fix_max && !one_in(50))
		at = put_u8(at, (uint8_t)(fix | count));
	else
		at = put_be16(put_u8(at, wide), (uint16_t)count);
}

static void put_map(size_t count)
{
	put_head(0x80, 15, 0xde, count);
}

static void put_array(size_t count)
{
	put_head(0x90, 15, 0xdc, count);
}

static void put_text_bytes(const void *data, size_t size)
{
	if (size < 256 && (size > 31 || one_in(100)))
		at = put_u8(put_u8(at, 0xd9), (uint8_t)size);
	else
		put_head(0xa0, 31, 0xda, size);
	at = put_bytes(at, data, size);
}

static void put_str(const char *text)
{
	put_text_bytes(text, strlen(text));
}

static void put_double(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	at = put_be64(put_u8(at, 0xcb), bits);
}

static void put_float(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	at = put_be32(put_u8(at, 0xca), bits);
}

static void put_strange(void)
{
	static const char *const texts[] = {"", "-0", "0.00", "1e5", "+5.10", "007", ".5", " 5",
		"5.", "NaN", "12,5", "1e99999", "\xff\xfe", "caf\xc3\xa9", "\xed\xa0\x80",
		"99999999999999999999999999999999999999999.5", "\"quoted\\", "true"};
	static uint8_t long_text[400];

	memset(long_text, '7', sizeof(long_text));
	switch (below(16)) {
	case 0:
		at = put_u8(at, 0xc0);
		break;
	case 1:
		at = put_u8(at, (uint8_t)(0xc2 + below(2)));
		break;
	case 2:
		put_map(0);
		break;
	case 3:
		put_map(1);
		put_str("value");
		put_str("3");
		break;
	case 4:
		put_array(2);
		put_str("1");
		put_str("2");
		break;
	case 5:
		put_text_bytes(long_text, below(sizeof(long_text)));
		break;
	case 6:
		at = put_bytes(at,
			"\xc4\x02"
			"12",
			4);
		break;
	case 7:
		at = put_bytes(at, "\xd4\x00\x00", 3);
		break;
	case 8:
		at = put_bytes(at, "\xd6\xff\x00\x00\x00\x07", 6);
		break;
	case 9:
		put_text_bytes("1\0002", 3);
		break;
	case 10:
		put_double(one_in(2) ? (double)NAN : one_in(2) ? (double)INFINITY : -0.0);
		break;
	default:
		put_str(texts[below(sizeof(texts) / sizeof(*texts))]);
	}
}

static void put_plain(void)
{
	char text[32];

	switch (below(8)) {
	case 0:
		put_double((double)below(1000000) / 1000);
		break;
	case 1:
		put_float((float)below(10000) / 16);
		break;
	case 2:
		at = put_u8(at, (uint8_t)below(128));
		break;
	case 3:
		at = put_be32(put_u8(at, 0xd2), 0U - below(100000));
		break;
	case 4:
		put_double((double)below(1000000) / 7e9);
		break;
	case 5:
		at = put_be64(put_u8(at, 0xcf), UINT64_MAX - below(10));
		break;
	default:
		snprintf(text, sizeof(text), "%u.%u", below(100000), below(1000));
		put_str(text);
	}
}

/* ---- messages ---- */

static void put_member(uint32_t kind, bool flat, uint32_t choice)
{
	static const char *const contexts[] = {"Sample.Periodic", "Transaction.Begin",
		"Transaction.End", "Other"};
	static const char *const measurands[] = {"Energy.Active.Import.Register", "Voltage",
		"Current.Import", "SoC"};
	static const char *const units[] = {"Wh", "kWh", "V", "Mega\xc3\x9fVolt"};
	static const char *const formats[] = {"Raw", "Raw", "Raw", "SignedData"};
	static const char *const phases[] = {"L1", "L2", "L3-N", "x"};

	switch (kind) {
	case 0:
		put_str("context");
		put_str(contexts[choice]);
		break;
	case 1:
		put_str("measurand");
		put_str(measurands[choice]);
		break;
	case 2:
		put_str("phase");
		put_str(phases[choice]);
		break;
	case 3:
		put_str("location");
		put_str(choice == 0 ? "Inlet" : "Outlet");
		break;
	case 4:
		put_str(flat ? "unit" : "unitOfMeasure");
		if (!flat) {
			put_map(2);
			put_str("multiplier");
			at = put_u8(at, choice == 1 ? 0x63 : (uint8_t)choice);
			put_str("unit");
		}
		put_str(units[choice]);
		break;
	case 5:
		put_str(choice == 0 ? "customData" : "format");
		put_str(formats[choice]);
		break;
	default:
		put_str("signedMeterValue");
		put_map(1);
		put_str("publicKey");
		put_str("abc");
	}
}

/* What was done to this sample and to no other of its template. */
static void put_hostile_member(void)
{
	switch (below(4)) {
	case 0:
		put_str("value");
		put_plain();
		break;
	case 1:
		put_strange();
		put_strange();
		break;
	case 2:
		put_str("extra");
		put_strange();
		break;
	default:
		at = put_bytes(at, "\xd4\x00\x00", 3);
		put_plain();
	}
}

static void put_sample(uint32_t template, bool flat)
{
	uint64_t kept = random_state;
	uint32_t members, value_at, first, choices;
	bool hostile, missing;

	random_state = (template + 1) * UINT64_C(0x9e3779b97f4a7c15);
	members = below(6);
	value_at = one_in(2) ? 0 : below(members + 1);
	first = below(6);
	choices = below(1000000);
	random_state = kept;
	hostile = one_in(40);
	missing = one_in(60);
	put_map(members + (missing ? 0U : 1U) + (hostile ? 1U : 0U));
	for (uint32_t i = 0; i <= members; i++) {
		if (i == value_at && !missing) {
			put_str("value");
			if (one_in(15))
				put_strange();
			else
				put_plain();
		}
		if (i < members)
			put_member((first + i) % 7, flat != one_in(200), choices >> (2 * i) & 3);
	}
	if (hostile)
		put_hostile_member();
}

static void put_samples(bool flat)
{
	uint32_t first = below(TEMPLATES), count = one_in(20) ? below(60) : below(8);

	put_array(count);
	for (uint32_t i = 0; i < count; i++)
		put_sample((first + i) % TEMPLATES, flat);
}

static void put_meter_values(bool flat)
{
	uint32_t count = one_in(4) ? below(4) : 1;

	put_str("meterValue");
	put_array(count);
	for (uint32_t i = 0; i < count; i++) {
		put_map(2);
		put_str("timestamp");
		if (one_in(20))
			put_strange();
		else
			put_str("2026-03-06T08:05:43.3Z");
		put_str("sampledValue");
		put_samples(flat);
	}
}

static void put_request(bool flat, bool event)
{
	static const char *const types[] = {"Started", "Updated", "Ended"};
	uint32_t deep = one_in(30) ? below(34) : 0;

	put_map((event ? 4U : 2U) + (deep > 0 ? 1U : 0U));
	if (deep > 0) {
		put_str("deep");
		for (uint32_t i = 0; i < deep; i++)
			put_array(1);
		put_sample(below(TEMPLATES), flat);
	}
	if (event) {
		put_str("eventType");
		put_str(types[below(3)]);
		put_str("timestamp");
		put_str("2026-03-06T08:05:43.3Z");
		put_str("transactionInfo");
		put_map(1);
		put_str("transactionId");
		put_str("t1");
	} else {
		put_str(flat ? "connectorId" : "evseId");
		at = put_u8(at, (uint8_t)below(4));
	}
	put_meter_values(flat);
}

static void put_message(bool flat)
{
	bool event = !flat && one_in(3);

	if (one_in(3)) {
		put_array(4);
		at = put_u8(at, 2);
		put_str("id");
		put_str(event ? "TransactionEvent" : "MeterValues");
	} else {
		put_map(4);
		put_str("type");
		at = put_u8(at, 2);
		put_str("action");
		put_str(event ? "TransactionEvent" : "MeterValues");
		put_str("id");
		put_str("id");
		put_str("request");
	}
	put_request(flat, event);
}

static size_t make_payload(bool flat)
{
	size_t size;

	at = payload;
	if (one_in(10)) {
		uint32_t count = below(5) + 1;

		put_array(count);
		for (uint32_t i = 0; i < count; i++)
			put_message(flat);
	} else {
		put_message(flat);
	}
	size = (size_t)(at - payload);
	if (one_in(30))
		size = below((uint32_t)size) + 1;
	if (one_in(30))
		payload[below((uint32_t)size)] ^= (uint8_t)(1U << below(8));
	return size;
}

/* ---- what comes of them ---- */

static size_t count_forms(const struct value *v)
{
	size_t count = v->kind == VALUE_MAP && v->form != 0;

	for (uint32_t i = 0; (v->kind == VALUE_MAP || v->kind == VALUE_ARRAY) && i < v->count; i++)
		count += count_forms(v->kind == VALUE_MAP ? &v->members[i].value : &v->items[i]);
	return count;
}

static void see_error(struct way *w, const struct error *err)
{
	text_put_cstr(&w->seen, err->reason);
	text_put_cstr(&w->seen, err->message);
	text_put_int(&w->seen, err->offset);
}

static void see_rows(struct way *w, const struct row *row)
{
	for (; row != NULL; row = row->next) {
		text_put_cstr(&w->seen, row->table->name);
		for (size_t i = 0; i < row->table->columns_count; i++) {
			enum column_type type = row->table->columns[i].type;
			uint8_t *to = text_reserve(&w->seen,
				encode_field_bytes_max(&row->cells[i], type));

			assert_non_null(to);
			w->seen.at = encode_field(to, &row->cells[i], type);
		}
	}
}

static void see_message(struct way *w, struct message *m)
{
	struct rows_result rows;
	struct error err;

	text_put_slice(&w->seen, m->raw);
	text_put_slice(&w->seen, m->action);
	text_put_char(&w->seen, m->text_replaced ? 'r' : '-');
	if (m->payload != NULL) {
		w->maps_with_form += count_forms(m->payload);
		value_put_json(&w->seen, m->payload);
		value_put_canonical(&w->seen, m->payload);
	}
	if (!rows_from_message(&w->builder, m, &w->arena, &rows, &err)) {
		see_error(w, &err);
		return;
	}
	see_rows(w, rows.first);
	if (rows.transaction != NULL) {
		assert_true(transaction_pack(rows.transaction, &w->arena));
		see_rows(w, rows.transaction->row);
	}
}

static struct slice see(struct way *w, const char *topic, size_t size)
{
	struct decode_input input = {.seq = 5,
		.received_us = INT64_C(1772784000000000),
		.topic = slice_from_cstr(topic),
		.trace = SLICE("trace")};
	struct message m;
	struct error err;

	arena_reset(&w->arena);
	arena_reset(&w->seen_arena);
	input.payload = arena_copy(&w->arena, slice_of(payload, size));
	text_begin(&w->seen, &w->seen_arena);
	if (!decode_begin(w->decoder, &input, &w->arena, &err)) {
		see_error(w, &err);
		return text_end(&w->seen);
	}
	for (enum decode_next next; (next = decode_next(w->decoder, &m, &err)) != DECODE_END;) {
		if (next == DECODE_BAD)
			see_error(w, &err);
		else
			see_message(w, &m);
	}
	return text_end(&w->seen);
}

static void make_way(struct way *w)
{
	struct error err;

	*w = (struct way){.builder = {.schemas = schemas}};
	assert_true(decoder_new(&w->decoder, &patterns, PAYLOAD_MAX, &err));
	assert_true(layouts_new(&w->builder.layouts, LAYOUTS_PER_STATION, &err));
	assert_true(arena_init(&w->arena, ARENA_BYTES, 1 << 20));
	assert_true(arena_init(&w->seen_arena, ARENA_BYTES, 1 << 20));
}

static void free_way(struct way *w)
{
	sequences_free(&w->builder.sequences);
	decoder_free(&w->decoder);
	layouts_free(&w->builder.layouts);
	arena_fini(&w->arena);
	arena_fini(&w->seen_arena);
}

static void compare(struct way *learned, struct way *fresh, const char *topic, size_t size)
{
	struct slice a, b;
	struct error err;

	decoder_free(&fresh->decoder);
	assert_true(decoder_new(&fresh->decoder, &patterns, PAYLOAD_MAX, &err));
	a = see(learned, topic, size);
	b = see(fresh, topic, size);
	assert_int_equal(a.size, b.size);
	assert_memory_equal(a.data, b.data, a.size);
}

static void forms_change_no_row(void **state)
{
	static const char *const topics[] = {"cs/in/ocpp1.6/cs1", "cs/in/ocpp2.0.1/cs1",
		"cs/in/ocpp1.6/cs2", "cs/in/ocpp2.1/cs2"};
	struct way learned, fresh;

	(void)state;
	make_way(&learned);
	make_way(&fresh);
	assert_true(sequences_new(&learned.builder.sequences, NULL));
	for (int i = 0; i < MESSAGES; i++) {
		uint32_t topic = below(4);

		if (one_in(100)) {
			layouts_forget(learned.builder.layouts);
			layouts_forget(fresh.builder.layouts);
		}
		compare(&learned, &fresh, topics[topic], make_payload(topic % 2 == 0));
	}
	assert_true(learned.maps_with_form > MESSAGES);
	free_way(&learned);
	free_way(&fresh);
}

/* Samples of a message, each of another unit. */
static void make_many(int from, int to)
{
	char unit[16];

	at = payload;
	put_map(3);
	put_str("type");
	at = put_u8(at, 2);
	put_str("action");
	put_str("Unknown");
	put_str("request");
	put_array((size_t)(to - from));
	for (; from < to; from++) {
		snprintf(unit, sizeof(unit), "unit%08d", from);
		at = put_bytes(at, "\x82\xa5value", 7);
		put_plain();
		at = put_bytes(at, "\xa4unit\xac", 6);
		at = put_bytes(at, unit, strlen(unit));
	}
}

/* The second time is when a map is learned. */
static void a_full_store_learns_nothing_and_keeps_what_it_has(void **state)
{
	struct way learned, fresh;

	(void)state;
	make_way(&learned);
	make_way(&fresh);
	assert_true(sequences_new(&learned.builder.sequences, NULL));
	for (int round = 0; round < 4; round++) {
		size_t before = learned.maps_with_form;

		for (int i = 0; i < FORMS_MORE_THAN_FIT; i += 50) {
			make_many(i, i + 50);
			compare(&learned, &fresh, "cs/in/ocpp1.6/cs1", (size_t)(at - payload));
		}
		if (round == 3) {
			assert_true(learned.maps_with_form > before);
			assert_true(learned.maps_with_form < before + FORMS_MORE_THAN_FIT);
		}
	}
	free_way(&learned);
	free_way(&fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_change_no_row),
		cmocka_unit_test(a_full_store_learns_nothing_and_keeps_what_it_has),
	};
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet */
	const char *text = getenv("TEST_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
	struct error err;
	int failed;

	random_state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	printf("TEST_SEED=%" PRIu64 "\n", seed);
	if (!topic_patterns_add(&patterns, "+/{direction}/{version}/{station}", &err) ||
		!schemas_new(&schemas, schema_files, schema_count, &err))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	schemas_free(&schemas);
	return failed;
}
