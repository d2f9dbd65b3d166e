#include "unit.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/iso8601.h"
#include "stations/fleet.h"
#include "stations/ocpp16.h"
#include "stations/ocpp201.h"

enum { MESSAGES = 20000 };

static struct fleet_options options(uint64_t seed)
{
	return (struct fleet_options){
		.stations = 40,
		.prefix = "cs",
		.seed = seed,
		.start_us = INT64_C(1767225600) * US_PER_SECOND,
		.versions = FLEET_BOTH,
		.formats = FLEET_MIXED,
		.post = {.facts = true},
	};
}

/* Digests of the first messages in their order: topic and bytes. */
static uint64_t *digests_of(struct fleet_options o)
{
	struct fleet *f = fleet_new(&o);
	uint64_t *digests = malloc(MESSAGES * sizeof(*digests));

	assert_non_null(f);
	assert_non_null(digests);
	for (uint64_t i = 0; i < MESSAGES; i++) {
		struct message *m = fleet_take(f);
		struct slice payload = message_payload(m), facts = message_facts(m);
		struct record *record = fleet_number(m, i + 1);

		digests[i] = digest64(payload.data, payload.size) ^
			     digest64(facts.data, facts.size) * 3 ^
			     digest64(m->station->id, m->station->id_size) * 5 ^ m->direction;
		if (record != NULL)
			fleet_record_done(f, record);
		fleet_give_back(f, m);
	}
	fleet_free(&f);
	return digests;
}

static void fleet_says_the_same_for_the_same_seed(void **state)
{
	uint64_t *a = digests_of(options(1)), *b = digests_of(options(1)),
		 *c = digests_of(options(2));
	size_t equal = 0;

	(void)state;
	assert_memory_equal(a, b, MESSAGES * sizeof(*a));
	for (size_t i = 0; i < MESSAGES; i++)
		equal += a[i] == c[i];
	assert_true(equal < MESSAGES / 100);
	free(a);
	free(b);
	free(c);
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

/* A window of a minute moves messages, but at most by what a minute holds. */
static void fleet_reorders_within_the_window(void **state)
{
	struct fleet_options o = options(3);
	struct fleet *f;
	int64_t last_us = 0;
	size_t answers_first = 0;

	(void)state;
	o.post.reorder_us = 60 * US_PER_SECOND;
	f = fleet_new(&o);
	assert_non_null(f);
	for (int i = 0; i < MESSAGES; i++) {
		struct message *m = fleet_take(f);

		assert_true(m->due_us >= last_us);
		last_us = m->due_us;
		fleet_give_back(f, m);
	}
	fleet_free(&f);

	/* Heartbeats answer with the time of the answer: of an unshuffled fleet in order. */
	f = fleet_new(&o);
	assert_non_null(f);
	last_us = 0;
	for (int i = 0; i < MESSAGES; i++) {
		struct message *m = fleet_take(f);
		struct slice p = message_payload(m);
		const uint8_t *at = memmem(p.data, p.size, "currentTime\":\"", 14);
		int64_t us;

		if (at != NULL) {
			assert_int_equal(iso8601_parse(slice_of(at + 14, 20), &us), ISO8601_EXACT);
			assert_true(m->due_us - us >= 0);
			assert_true(m->due_us - us <= 61 * US_PER_SECOND);
			answers_first += us < last_us;
			last_us = us;
		}
		fleet_give_back(f, m);
	}
	assert_true(answers_first > 50);
	fleet_free(&f);
}

struct original {
	uint64_t payload, facts;
	uint64_t id;
};

static uint64_t digest_slice(struct slice s)
{
	return digest64(s.data, s.size);
}

/* For every duplicate we know which message it repeats, and it does. */
static void fleet_duplicates_name_what_they_repeat(void **state)
{
	struct fleet_options o = options(4);
	struct original *originals = calloc(MESSAGES + 1, sizeof(*originals));
	size_t copies = 0, retries = 0;
	struct fleet *f;

	(void)state;
	assert_non_null(originals);
	o.post.duplicates_permille = 100;
	f = fleet_new(&o);
	assert_non_null(f);
	for (uint64_t number = 1; number <= MESSAGES; number++) {
		struct message *m = fleet_take(f);
		struct record *record = fleet_number(m, number);
		struct original is = {digest_slice(message_payload(m)),
			digest_slice(message_facts(m)), digest64(m->id, m->id_size)};

		originals[number] = is;
		if (m->duplicate_of > 0) {
			const struct original *was = &originals[m->duplicate_of];

			assert_true(m->duplicate_of < number);
			if (is.id == was->id) {
				assert_int_equal(is.payload, was->payload);
				copies++;
			} else {
				assert_int_not_equal(is.payload, was->payload);
				assert_int_equal(m->kind, MESSAGE_CALL);
				retries++;
			}
		}
		if (record != NULL)
			fleet_record_done(f, record);
		fleet_give_back(f, m);
	}
	assert_true(copies > MESSAGES / 20);
	assert_true(retries > MESSAGES / 100);
	assert_true(copies + retries < MESSAGES / 8);
	fleet_free(&f);
	free(originals);
}

/* No two messages state the same fact unless one is a duplicate of the other. */
static void fleet_facts_are_all_different(void **state)
{
	struct fleet_options o = options(5);
	uint64_t *facts = calloc(MESSAGES, sizeof(*facts));
	size_t count = 0;
	struct fleet *f;

	(void)state;
	assert_non_null(facts);
	o.post.duplicates_permille = 50;
	f = fleet_new(&o);
	assert_non_null(f);
	for (uint64_t number = 1; number <= MESSAGES; number++) {
		struct message *m = fleet_take(f);
		struct record *record = fleet_number(m, number);
		struct slice text = message_facts(m);

		/* What has a time of its own is the same under another message id. */
		if (m->duplicate_of == 0 && text.size > 2 &&
			memmem(text.data, text.size, "\"time\":", 7) != NULL &&
			memmem(text.data, text.size, "message_id", 10) == NULL)
			facts[count++] = digest_slice(text);
		if (record != NULL)
			fleet_record_done(f, record);
		fleet_give_back(f, m);
	}
	assert_true(count > MESSAGES / 5);
	qsort(facts, count, sizeof(*facts), compare_numbers);
	for (size_t i = 1; i < count; i++)
		assert_int_not_equal(facts[i - 1], facts[i]);
	fleet_free(&f);
	free(facts);
}

static void fleet_meter_mix_is_nine_tenths_meter_values(void **state)
{
	struct fleet_options o = options(6);
	size_t meter_values = 0, samples = 0, calls = 0;
	struct fleet *f;

	(void)state;
	o.mix = STATION_MIX_METER;
	o.formats = FLEET_JSON;
	f = fleet_new(&o);
	assert_non_null(f);
	for (int i = 0; i < 4 * MESSAGES; i++) {
		struct message *m = fleet_take(f);
		struct slice p = message_payload(m);

		meter_values += m->action == ACTION_METER_VALUES;
		if (m->action == ACTION_METER_VALUES && m->kind == MESSAGE_CALL &&
			memmem(p.data, p.size, "Transaction.", 12) == NULL) {
			calls++;
			for (size_t at = 0; at + 9 < p.size; at++)
				samples += memcmp(p.data + at, "{\"value\":", 9) == 0;
		}
		fleet_give_back(f, m);
	}
	assert_in_range(meter_values, 4 * MESSAGES * 88 / 100, 4 * MESSAGES * 92 / 100);
	assert_int_equal(samples, 6 * calls);
	fleet_free(&f);
}

/* A session is reported once all messages that it rests on have numbers, and not before. */
static void fleet_tells_sessions_with_what_they_need(void **state)
{
	struct fleet_options o = options(7);
	size_t sessions = 0;
	struct fleet *f;

	(void)state;
	o.post.duplicates_permille = 100;
	o.post.reorder_us = 30 * US_PER_SECOND;
	f = fleet_new(&o);
	assert_non_null(f);
	for (uint64_t number = 1; number <= MESSAGES; number++) {
		struct message *m = fleet_take(f);
		struct record *record = fleet_number(m, number);
		bool is_last = false;

		if (record != NULL) {
			struct slice text = slice_of(record->text, record->text_size);

			assert_true(record->needs_count >= 2);
			for (uint32_t i = 0; i < record->needs_count; i++) {
				assert_in_range(record->needs[i], 1, number);
				is_last = is_last || record->needs[i] == number;
			}
			assert_true(is_last);
			assert_non_null(memmem(text.data, text.size, "\"transactions\"", 14));
			fleet_record_done(f, record);
			sessions++;
		}
		fleet_give_back(f, m);
	}
	assert_true(sessions > 50);
	fleet_free(&f);
}

/* A station of our own making, to compare with the examples of MaEVE's wire. */
static struct station station_for_examples(enum ocpp_version version)
{
	struct station s = {.version = version, .evses_count = 1, .evses[0].id = 1};

	s.id_size = (size_t)snprintf(s.id, sizeof(s.id), "cs001");
	return s;
}

static struct stamp stamp_of(const char *text)
{
	struct stamp s = {.size = (uint8_t)strlen(text)};

	memcpy(s.text, text, s.size);
	return s;
}

static void assert_message(const struct envelope *e, const char *text, const char *facts)
{
	uint8_t bytes[4096];
	struct writer w;
	bool empty;

	writer_init(&w, bytes, sizeof(bytes), WRITER_JSON);
	exchange_put(&w, e, &empty);
	assert_false(w.full);
	assert_slice_equal(writer_slice(&w), text);
	writer_init(&w, bytes, sizeof(bytes), WRITER_JSON);
	exchange_put_facts(&w, e, empty);
	assert_false(w.full);
	assert_slice_equal(writer_slice(&w), facts);
}

static void exchange_start_transaction_is_what_maeve_publishes(void **state)
{
	struct station s = station_for_examples(OCPP_16);
	struct token token = {.id = "38748383L7337848H823", .status_16 = "Accepted"};
	struct content c = {
		.station = &s,
		.evse = &s.evses[0],
		.token = &token,
		.id = SLICE("8"),
		.time = stamp_of("2023-09-18T08:25:40.20Z"),
		.meter_wh = 3,
		.reservation = 5,
		.numbers = {1298498081, 77},
	};
	struct envelope e = {SHAPE_ENVELOPE, MESSAGE_CALL, &ocpp16_start_transaction, &c};

	(void)state;
	assert_message(&e,
		"{\"type\":2,\"action\":\"StartTransaction\",\"id\":\"8\",\"request\":{"
		"\"connectorId\":1,"
		"\"idTag\":\"38748383L7337848H823\",\"meterStart\":3,\"reservationId\":5,"
		"\"timestamp\":\"2023-09-18T08:25:40.20Z\"}}",
		"[{\"t\":\"transaction_events\",\"station\":\"cs001\","
		"\"time\":\"2023-09-18T08:25:40.20Z\",\"evse\":1,\"connector\":1,"
		"\"event\":\"Started\",\"token\":\"38748383L7337848H823\",\"meter_start\":\"3\","
		"\"reservation_id\":5}]");
	e.kind = MESSAGE_RESULT;
	assert_message(&e,
		"{\"type\":3,\"action\":\"StartTransaction\",\"id\":\"8\",\"response\":"
		"{\"idTagInfo\":{\"status\":\"Accepted\"},\"transactionId\":1298498081}}",
		"[{\"t\":\"transaction_starts\",\"station\":\"cs001\","
		"\"time\":\"2023-09-18T08:25:40.20Z\",\"evse\":1,"
		"\"transaction\":\"1298498081\",\"status\":\"Accepted\"}]");
	e.shape = SHAPE_FRAME;
	c.attempt = 1;
	assert_message(&e,
		"[3,\"8\",{\"idTagInfo\":{\"status\":\"Accepted\"},\"transactionId\":77}]",
		"[{\"t\":\"transaction_starts\",\"station\":\"cs001\","
		"\"time\":\"2023-09-18T08:25:40.20Z\",\"evse\":1,\"transaction\":\"77\","
		"\"status\":\"Accepted\"}]");
}

static void exchange_meter_values_are_what_maeve_publishes(void **state)
{
	static const struct sample samples[] = {
		{.measurand = "Energy.Active.Import.Register",
			.location = "Outlet",
			.unit = "Wh",
			.multiplier = SAMPLE_NO_MULTIPLIER},
	};
	struct station s = station_for_examples(OCPP_16);
	struct reading reading = {.time = stamp_of("2023-09-18T08:40:00Z"),
		.context = "Sample.Periodic",
		.samples = samples,
		.count = 1,
		.amounts = {{.units = 1532}}};
	struct content c = {
		.station = &s,
		.evse = &s.evses[0],
		.session = &s.evses[0].session,
		.id = SLICE("12"),
		.readings = &reading,
		.readings_count = 1,
	};
	struct envelope e = {SHAPE_ENVELOPE, MESSAGE_CALL, &ocpp16_meter_values, &c};

	(void)state;
	s.evses[0].session.number = 1298498081;
	snprintf(s.evses[0].session.transaction, STATION_TRANSACTION_BYTES, "1298498081");
	assert_message(&e,
		"{\"type\":2,\"action\":\"MeterValues\",\"id\":\"12\",\"request\":{\"connectorId\":"
		"1,"
		"\"transactionId\":1298498081,\"meterValue\":[{\"timestamp\":"
		"\"2023-09-18T08:40:00Z\",\"sampledValue\":[{\"value\":\"1532\",\"context\":"
		"\"Sample.Periodic\",\"measurand\":\"Energy.Active.Import.Register\","
		"\"location\":\"Outlet\",\"unit\":\"Wh\"}]}]}}",
		"[{\"t\":\"meter_values\",\"station\":\"cs001\",\"time\":\"2023-09-18T08:40:00Z\","
		"\"evse\":1,\"connector\":1,\"transaction\":\"1298498081\","
		"\"source\":\"MeterValues\",\"samples\":[{\"context\":\"Sample.Periodic\","
		"\"measurand\":\"Energy.Active.Import.Register\",\"location\":\"Outlet\","
		"\"unit\":\"Wh\",\"value\":\"1532\"}]}]");
	e.kind = MESSAGE_RESULT;
	assert_message(&e, "{\"type\":3,\"action\":\"MeterValues\",\"id\":\"12\",\"response\":{}}",
		"[]");
	e.shape = SHAPE_FRAME;
	assert_message(&e, "[3,\"12\",{}]", "[]");
}

static void exchange_transaction_event_is_what_maeve_publishes(void **state)
{
	static const struct sample samples[] = {
		{.measurand = "Energy.Active.Import.Register", .location = "Outlet", .unit = "Wh"},
	};
	struct station s = station_for_examples(OCPP_201);
	struct token token = {.id = "DEADBEEF", .type = "ISO14443", .status_201 = "Accepted"};
	struct reading reading = {.time = stamp_of("2026-02-28T10:19:59Z"),
		.context = "Transaction.End",
		.samples = samples,
		.count = 1,
		.amounts = {{.units = 153205, .decimals = 1}}};
	struct content c = {
		.station = &s,
		.evse = &s.evses[0],
		.session = &s.evses[0].session,
		.token = &token,
		.id = SLICE("5f0c2c1e"),
		.time = stamp_of("2026-02-28T10:20:00Z"),
		.event = "Ended",
		.trigger = "StopAuthorized",
		.reason = "Local",
		.seq = 7,
		.states_evse = true,
		.readings = &reading,
		.readings_count = 1,
		.cost = {.units = 8426275, .decimals = 6},
	};
	struct envelope e = {SHAPE_ENVELOPE, MESSAGE_CALL, &ocpp201_transaction_event, &c};

	(void)state;
	snprintf(s.evses[0].session.transaction, STATION_TRANSACTION_BYTES, "a2f4c6d0");
	assert_message(&e,
		"{\"type\":2,\"action\":\"TransactionEvent\",\"id\":\"5f0c2c1e\",\"request\":"
		"{\"eventType\":\"Ended\",\"timestamp\":\"2026-02-28T10:20:00Z\","
		"\"triggerReason\":\"StopAuthorized\",\"seqNo\":7,\"transactionInfo\":"
		"{\"transactionId\":\"a2f4c6d0\",\"stoppedReason\":\"Local\"},\"evse\":{\"id\":1,"
		"\"connectorId\":1},\"idToken\":{\"idToken\":\"DEADBEEF\",\"type\":\"ISO14443\"},"
		"\"meterValue\":[{\"timestamp\":\"2026-02-28T10:19:59Z\",\"sampledValue\":[{"
		"\"value\":15320.5,\"context\":\"Transaction.End\",\"measurand\":"
		"\"Energy.Active.Import.Register\",\"location\":\"Outlet\",\"unitOfMeasure\":"
		"{\"unit\":\"Wh\",\"multiplier\":0}}]}]}}",
		"[{\"t\":\"transaction_events\",\"station\":\"cs001\","
		"\"time\":\"2026-02-28T10:20:00Z\",\"evse\":1,\"connector\":1,\"event\":\"Ended\","
		"\"transaction\":\"a2f4c6d0\",\"seq\":7,\"trigger\":\"StopAuthorized\","
		"\"token\":\"DEADBEEF\",\"token_type\":\"ISO14443\",\"reason\":\"Local\"},"
		"{\"t\":\"meter_values\",\"station\":\"cs001\",\"time\":\"2026-02-28T10:19:59Z\","
		"\"evse\":1,\"connector\":1,\"transaction\":\"a2f4c6d0\","
		"\"source\":\"TransactionEvent\",\"seq\":7,\"samples\":[{\"context\":"
		"\"Transaction.End\",\"measurand\":\"Energy.Active.Import.Register\","
		"\"location\":\"Outlet\",\"unit\":\"Wh\",\"multiplier\":0,\"value\":\"15320.5\"}]}"
		"]");
	e.kind = MESSAGE_RESULT;
	assert_message(&e,
		"{\"type\":3,\"action\":\"TransactionEvent\",\"id\":\"5f0c2c1e\",\"response\":"
		"{\"idTokenInfo\":{\"status\":\"Accepted\"},\"totalCost\":8.426275}}",
		"[{\"t\":\"ocpp_events\",\"station\":\"cs001\",\"direction\":\"out\","
		"\"kind\":\"result\",\"action\":\"TransactionEvent\",\"message_id\":\"5f0c2c1e\","
		"\"payload\":{\"idTokenInfo\":{\"status\":\"Accepted\"},\"totalCost\":8.426275}}]");
}

static void exchange_csms_call_is_what_maeve_publishes(void **state)
{
	struct station s = station_for_examples(OCPP_16);
	struct content c = {
		.station = &s,
		.id = SLICE("0b0c6f4e"),
		.text = "HeartbeatInterval",
		.reason = "10",
		.status = "Accepted",
		.error_code = "NotSupported",
		.error_description = "nope",
	};
	struct envelope e = {SHAPE_ENVELOPE, MESSAGE_CALL, &ocpp16_change_configuration, &c};

	(void)state;
	assert_message(&e,
		"{\"type\":2,\"action\":\"ChangeConfiguration\",\"id\":\"0b0c6f4e\",\"request\":"
		"{\"key\":\"HeartbeatInterval\",\"value\":\"10\"}}",
		"[{\"t\":\"ocpp_events\",\"station\":\"cs001\",\"direction\":\"out\",\"kind\":"
		"\"call\","
		"\"action\":\"ChangeConfiguration\",\"message_id\":\"0b0c6f4e\",\"payload\":"
		"{\"key\":\"HeartbeatInterval\",\"value\":\"10\"}}]");
	e.kind = MESSAGE_RESULT;
	assert_message(&e,
		"{\"type\":3,\"action\":\"ChangeConfiguration\",\"id\":\"0b0c6f4e\",\"request\":"
		"{\"key\":\"HeartbeatInterval\",\"value\":\"10\"},\"response\":{\"status\":"
		"\"Accepted\"}}",
		"[{\"t\":\"ocpp_events\",\"station\":\"cs001\",\"direction\":\"in\",\"kind\":"
		"\"result\","
		"\"action\":\"ChangeConfiguration\",\"message_id\":\"0b0c6f4e\",\"payload\":"
		"{\"status\":\"Accepted\"},\"request\":{\"key\":\"HeartbeatInterval\","
		"\"value\":\"10\"}}]");
	e.kind = MESSAGE_ERROR;
	assert_message(&e,
		"{\"type\":4,\"action\":\"ChangeConfiguration\",\"id\":\"0b0c6f4e\",\"request\":"
		"{\"key\":\"HeartbeatInterval\",\"value\":\"10\"},\"error_code\":\"NotSupported\","
		"\"error_description\":\"nope\"}",
		"[{\"t\":\"ocpp_events\",\"station\":\"cs001\",\"direction\":\"in\",\"kind\":"
		"\"error\","
		"\"action\":\"ChangeConfiguration\",\"message_id\":\"0b0c6f4e\",\"error_code\":"
		"\"NotSupported\",\"error_description\":\"nope\",\"request\":{\"key\":"
		"\"HeartbeatInterval\",\"value\":\"10\"}}]");
	e.shape = SHAPE_FRAME;
	assert_message(&e, "[4,\"0b0c6f4e\",\"NotSupported\",\"nope\",{}]",
		"[{\"t\":\"ocpp_events\",\"station\":\"cs001\",\"direction\":\"in\",\"kind\":"
		"\"error\","
		"\"message_id\":\"0b0c6f4e\",\"error_code\":\"NotSupported\","
		"\"error_description\":\"nope\"}]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fleet_says_the_same_for_the_same_seed),
		cmocka_unit_test(fleet_reorders_within_the_window),
		cmocka_unit_test(fleet_duplicates_name_what_they_repeat),
		cmocka_unit_test(fleet_facts_are_all_different),
		cmocka_unit_test(fleet_meter_mix_is_nine_tenths_meter_values),
		cmocka_unit_test(fleet_tells_sessions_with_what_they_need),
		cmocka_unit_test(exchange_start_transaction_is_what_maeve_publishes),
		cmocka_unit_test(exchange_meter_values_are_what_maeve_publishes),
		cmocka_unit_test(exchange_transaction_event_is_what_maeve_publishes),
		cmocka_unit_test(exchange_csms_call_is_what_maeve_publishes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
