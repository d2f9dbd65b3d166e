#include "fuzz.h"

#include "base/check.h"
#include "stations/packet.h"

/* What a broker sends to a publisher: a first byte says which version was asked for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum mqtt_version version = size > 0 && (data[0] & 1) != 0 ? MQTT_5 : MQTT_311;
	struct slice in = slice_of(data + (size > 0), size - (size > 0)), before = in;
	struct packet packet;

	while (packet_next(&in, &packet) == PACKET_NEXT_OK) {
		struct packet_ack ack;
		struct packet_connack connack;

		/* It takes bytes from the front, and its body is within them. */
		CHECK(in.size < before.size && in.data == before.data + (before.size - in.size));
		CHECK(packet.body.size < before.size - in.size);
		CHECK(packet.body.data + packet.body.size == in.data);
		before = in;
		if (packet_parse_ack(&packet, &ack))
			CHECK(packet.body.size >= sizeof(ack.id));
		if (packet_parse_connack(&packet, version, &connack))
			CHECK(packet.body.size >= 2 && connack.receive_max > 0 &&
				connack.qos_max <= 2);
	}
	return 0;
}
