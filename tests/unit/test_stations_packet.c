#include "unit.h"

#include "stations/packet.h"

/* Expected bytes are composed by hand from the tables of the OASIS texts. */
#define assert_bytes(start, end, literal)                                                          \
	do {                                                                                       \
		assert_int_equal((end) - (start), sizeof(literal) - 1);                            \
		assert_memory_equal(start, literal, sizeof(literal) - 1);                          \
	} while (0)

static void packet_connect_of_both_versions(void **state)
{
	uint8_t out[PACKET_CONNECT_BYTES];
	struct packet_connect c = {.version = MQTT_5, .client_id = "ab", .keep_alive_s = 20};
	uint8_t *end = packet_put_connect(out, &c);

	(void)state;
	assert_bytes(out, end,
		"\x10\x0f\x00\x04MQTT\x05\x02\x00\x14\x00\x00\x02"
		"ab");
	c.version = MQTT_311;
	c.user = "u";
	c.password = "pw";
	end = packet_put_connect(out, &c);
	assert_bytes(out, end,
		"\x10\x15\x00\x04MQTT\x04\xc2\x00\x14\x00\x02"
		"ab\x00\x01u\x00\x02pw");
}

static const struct slice payload[] = {SLICE("{\"a\""), SLICE(":1}")};

static struct packet_publish example(enum mqtt_version version, uint8_t qos)
{
	return (struct packet_publish){
		.version = version,
		.qos = qos,
		.topic = {SLICE("cs/in/"), SLICE("x")},
		.content_type = SLICE("j"),
		.response_topic = {SLICE("cs/out/"), SLICE("x")},
		.correlation = SLICE("{}"),
		.payload = payload,
		.payload_count = 2,
	};
}

static void packet_publish_carries_topic_properties_and_payload(void **state)
{
	uint8_t out[256];
	struct packet_publish p = example(MQTT_5, 1);
	size_t id_at;
	uint8_t *end = packet_put_publish(out, &p, &id_at);

	(void)state;
	packet_set_id(out, id_at, 0x1234);
	assert_bytes(out, end,
		"\x32\x27\x00\x07"
		"cs/in/x\x12\x34\x14"
		"\x03\x00\x01j\x08\x00\x08"
		"cs/out/x\x09\x00\x02{}{\"a\":1}");
	assert_int_equal(end - out, packet_publish_bytes(&p));

	p = example(MQTT_311, 0);
	end = packet_put_publish(out, &p, &id_at);
	assert_bytes(out, end,
		"\x30\x10\x00\x07"
		"cs/in/x{\"a\":1}");
	assert_int_equal(end - out, packet_publish_bytes(&p));

	p = example(MQTT_5, 2);
	p.content_type = p.correlation = p.response_topic[0] = (struct slice){NULL, 0};
	end = packet_put_publish(out, &p, &id_at);
	assert_bytes(out, end,
		"\x34\x13\x00\x07"
		"cs/in/x\x00\x00\x00{\"a\":1}");
	assert_int_equal(end - out, packet_publish_bytes(&p));
}

static void packet_publish_length_takes_as_many_bytes_as_it_needs(void **state)
{
	static const struct {
		size_t payload, head; /* 9 bytes of topic, then */
	} cases[] = {{118, 2}, {119, 3}, {16374, 3}, {16375, 4}, {2097142, 4}, {2097143, 5}};
	uint8_t *bytes = calloc(1, 2200000), *out = malloc(2200000);

	(void)state;
	assert_non_null(bytes);
	assert_non_null(out);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice one = slice_of(bytes, cases[i].payload);
		struct packet_publish p = example(MQTT_311, 0);
		struct slice in;
		struct packet read;
		size_t id_at;

		p.payload = &one;
		p.payload_count = 1;
		in = slice_of(out, (size_t)(packet_put_publish(out, &p, &id_at) - out));
		assert_int_equal(in.size, cases[i].head + 9 + cases[i].payload);
		assert_int_equal(packet_next(&in, &read), PACKET_NEXT_OK);
		assert_int_equal(read.type, PACKET_PUBLISH);
		assert_int_equal(read.body.size, 9 + cases[i].payload);
		assert_int_equal(in.size, 0);
	}
	free(bytes);
	free(out);
}

static void packet_small_ones_are_fixed(void **state)
{
	uint8_t out[PACKET_SMALL_BYTES];

	(void)state;
	assert_bytes(out, packet_put_pubrel(out, 0x0102), "\x62\x02\x01\x02");
	assert_bytes(out, packet_put_pingreq(out), "\xc0\x00");
	assert_bytes(out, packet_put_disconnect(out), "\xe0\x00");
}

static void packet_next_waits_for_the_whole_packet(void **state)
{
	static const char stream[] = "\x40\x02\x00\x07\x40\x04\x00\x08\x10\x00\xd0\x00\x20\x80";
	struct slice in;
	struct packet p;
	struct packet_ack ack;

	(void)state;
	for (size_t size = 0; size < 4; size++) {
		in = slice_of(stream, size);
		assert_int_equal(packet_next(&in, &p), PACKET_NEXT_MORE);
		assert_int_equal(in.size, size);
	}
	in = slice_of(stream, sizeof(stream) - 1);
	assert_int_equal(packet_next(&in, &p), PACKET_NEXT_OK);
	assert_int_equal(p.type, PACKET_PUBACK);
	assert_true(packet_parse_ack(&p, &ack));
	assert_int_equal(ack.id, 7);
	assert_int_equal(ack.reason, REASON_SUCCESS);
	assert_int_equal(packet_next(&in, &p), PACKET_NEXT_OK);
	assert_true(packet_parse_ack(&p, &ack));
	assert_int_equal(ack.id, 8);
	assert_int_equal(ack.reason, REASON_NO_SUBSCRIBERS);
	assert_int_equal(packet_next(&in, &p), PACKET_NEXT_OK);
	assert_int_equal(p.type, PACKET_PINGRESP);
	assert_false(packet_parse_ack(&p, &ack));
	assert_int_equal(packet_next(&in, &p), PACKET_NEXT_MORE);
	in = slice_of("\x30\xff\xff\xff\xff\x01", 6);
	assert_int_equal(packet_next(&in, &p), PACKET_NEXT_BAD);
}

static bool parse_connack(const char *body, size_t size, enum mqtt_version version,
	struct packet_connack *out)
{
	struct packet p = {PACKET_CONNACK, slice_of(body, size)};

	return packet_parse_connack(&p, version, out);
}

static void packet_connack_tells_the_brokers_limits(void **state)
{
	/* Every kind of property, those that matter among them. */
	static const char body[] = "\x00\x00\x2f"
				   "\x11\x00\x00\x00\x0a\x12\x00\x02id\x1f\x00\x03why"
				   "\x26\x00\x01k\x00\x01v\x21\x00\x14\x22\x00\x0a\x24\x01\x25\x00"
				   "\x27\x00\x10\x00\x00\x28\x01\x29\x01\x2a\x01\x13\x00\x3c";
	struct packet_connack c;

	(void)state;
	assert_int_equal(sizeof(body) - 1 - 3, 0x2f);
	assert_true(parse_connack(body, sizeof(body) - 1, MQTT_5, &c));
	assert_int_equal(c.reason, 0);
	assert_int_equal(c.receive_max, 20);
	assert_int_equal(c.qos_max, 1);
	assert_int_equal(c.packet_bytes_max, 0x100000);
	assert_int_equal(c.keep_alive_s, 60);
	for (size_t size = 3; size < sizeof(body) - 1; size++)
		assert_false(parse_connack(body, size, MQTT_5, &c));
	assert_true(parse_connack("\x00\x05", 2, MQTT_311, &c));
	assert_int_equal(c.reason, 5);
	assert_int_equal(c.receive_max, 65535);
	assert_int_equal(c.qos_max, 2);
	assert_false(parse_connack("\x00\x00\x02\x03\x00", 5, MQTT_5, &c));
	assert_false(parse_connack("\x00", 1, MQTT_5, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packet_connect_of_both_versions),
		cmocka_unit_test(packet_publish_carries_topic_properties_and_payload),
		cmocka_unit_test(packet_publish_length_takes_as_many_bytes_as_it_needs),
		cmocka_unit_test(packet_small_ones_are_fixed),
		cmocka_unit_test(packet_next_waits_for_the_whole_packet),
		cmocka_unit_test(packet_connack_tells_the_brokers_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
