#include "stations/publish.h"

#include "base/bytes.h"
#include "stations/digits.h"

#include <stdio.h>

/* {"traceparent":"00-<32 hex>-<16 hex>-01"} */
enum { TRACE_BYTES = 73 };

void publisher_init(struct publisher *p, const struct options *o)
{
	static const char *const versions[] = {"ocpp1.6", "ocpp2.0.1"};
	static const char *const directions[] = {"in", "out"};

	*p = (struct publisher){
		.qos = (uint8_t)o->qos,
		.version = (enum mqtt_version)o->mqtt,
		.shape = (enum shape)o->shape,
	};
	for (int version = 0; version < 2; version++) {
		for (int direction = 0; direction < 2; direction++)
			snprintf(p->prefixes[version][direction], PUBLISHER_PREFIX_BYTES,
				"%s/%s/%s/", o->topic_prefix, directions[direction],
				versions[version]);
	}
	for (int i = 0; i < PUBLISHER_LINKS_MAX; i++)
		snprintf(p->client_ids[i], PUBLISHER_CLIENT_ID_BYTES, "%s-%d", o->client_id, i);
}

static void publisher_topic(const struct publisher *p, const struct message *m,
	enum message_direction direction, struct slice topic_out[static 2])
{
	topic_out[0] = slice_from_cstr(p->prefixes[m->station->version][direction]);
	topic_out[1] = station_id(m->station);
}

static struct slice publisher_trace(const struct message *m, uint8_t out[static TRACE_BYTES])
{
	uint8_t *at = put_bytes(out, "{\"traceparent\":\"00-", 19);

	at = put_hex(put_hex(at, m->trace[0], 16), m->trace[1], 16);
	*at++ = '-';
	at = put_bytes(put_hex(at, m->span, 16), "-01\"}", 5);
	return slice_of(out, (size_t)(at - out));
}

/* An array of the bundle's messages; head is where its first bytes go. Returns the parts. */
static size_t publisher_array(const struct bundle *b, uint8_t *head,
	struct slice parts[static 2 * BUNDLE_MESSAGES_MAX + 1])
{
	bool is_msgpack = b->messages[0]->station->msgpack;
	size_t count = 0;

	*head = is_msgpack ? (uint8_t)(0x90 | b->count) : '[';
	parts[count++] = slice_of(head, 1);
	for (size_t i = 0; i < b->count; i++) {
		if (i > 0 && !is_msgpack)
			parts[count++] = (struct slice)SLICE(",");
		parts[count++] = message_payload(b->messages[i]);
	}
	if (!is_msgpack)
		parts[count++] = (struct slice)SLICE("]");
	return count;
}

bool publisher_publish(const struct publisher *p, struct link *l, const struct bundle *b,
	uint64_t first, int64_t now_us)
{
	const struct message *m = b->messages[0];
	struct slice parts[2 * BUNDLE_MESSAGES_MAX + 1];
	uint8_t trace[TRACE_BYTES], head;
	struct packet_publish packet = {
		.version = p->version,
		.qos = p->qos,
		.payload = parts,
		.payload_count = 1,
	};

	publisher_topic(p, m, (enum message_direction)m->direction, packet.topic);
	if (m->direction == MESSAGE_IN) {
		packet.content_type = m->station->msgpack
					      ? (struct slice)SLICE("application/msgpack")
					      : (struct slice)SLICE("application/json");
		publisher_topic(p, m, MESSAGE_OUT, packet.response_topic);
	}
	if (p->shape == SHAPE_BATCH) {
		/* No correlation data: one trace cannot stand for several exchanges. */
		packet.payload_count = publisher_array(b, &head, parts);
	} else {
		parts[0] = message_payload(m);
		packet.correlation = publisher_trace(m, trace);
	}
	return link_publish(l, &packet, first, (uint32_t)b->count, now_us);
}

void publisher_tell(const struct publisher *p, struct ledger *ledger, uint64_t number,
	const struct message *m)
{
	struct slice topic[2];

	publisher_topic(p, m, (enum message_direction)m->direction, topic);
	ledger_message(ledger, number, m, topic, p->qos);
}
