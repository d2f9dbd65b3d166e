#include "stations/packet.h"

#include "base/bytes.h"
#include "base/check.h"

/* Property identifiers of 2.2.2.2 that we write or read. */
enum {
	PROPERTY_CONTENT_TYPE = 0x03,
	PROPERTY_RESPONSE_TOPIC = 0x08,
	PROPERTY_CORRELATION = 0x09,
	PROPERTY_SERVER_KEEP_ALIVE = 0x13,
	PROPERTY_RECEIVE_MAX = 0x21,
	PROPERTY_QOS_MAX = 0x24,
	PROPERTY_PACKET_BYTES_MAX = 0x27,
};

enum { PACKET_REMAINING_MAX = 268435455 }; /* 1.5.5: four bytes of seven bits */

static size_t packet_varint_bytes(size_t value)
{
	return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

static uint8_t *packet_put_varint(uint8_t *at, size_t value)
{
	CHECK(value <= PACKET_REMAINING_MAX);
	while (value >= 128) {
		*at++ = (uint8_t)(0x80 | (value & 0x7f));
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static uint8_t *packet_put_text(uint8_t *at, const char *text)
{
	size_t size = strlen(text);

	CHECK(size <= PACKET_TEXT_BYTES_MAX);
	return put_bytes(put_be16(at, (uint16_t)size), text, size);
}

uint8_t *packet_put_connect(uint8_t *at, const struct packet_connect *c)
{
	size_t size = (c->version == MQTT_5 ? 11U : 10U) + 2 + strlen(c->client_id);
	uint8_t flags = 0x02; /* clean start, as MaEVE's gateway: what counts we keep ourselves */

	if (c->user != NULL) {
		flags |= 0x80;
		size += 2 + strlen(c->user);
	}
	if (c->password != NULL) {
		flags |= 0x40;
		size += 2 + strlen(c->password);
	}
	at = put_u8(at, PACKET_CONNECT << 4);
	at = packet_put_varint(at, size);
	at = packet_put_text(at, "MQTT");
	at = put_u8(at, (uint8_t)c->version);
	at = put_u8(at, flags);
	at = put_be16(at, c->keep_alive_s);
	if (c->version == MQTT_5)
		at = put_u8(at, 0); /* no properties */
	at = packet_put_text(at, c->client_id);
	if (c->user != NULL)
		at = packet_put_text(at, c->user);
	if (c->password != NULL)
		at = packet_put_text(at, c->password);
	return at;
}

static size_t packet_properties_bytes(const struct packet_publish *p)
{
	size_t size = 0;

	if (!slice_is_absent(p->content_type))
		size += 3 + p->content_type.size;
	if (!slice_is_absent(p->response_topic[0]))
		size += 3 + p->response_topic[0].size + p->response_topic[1].size;
	if (!slice_is_absent(p->correlation))
		size += 3 + p->correlation.size;
	return size;
}

static size_t packet_publish_remaining(const struct packet_publish *p)
{
	size_t size = 2 + p->topic[0].size + p->topic[1].size + (p->qos > 0 ? 2U : 0U);

	if (p->version == MQTT_5) {
		size_t properties = packet_properties_bytes(p);

		size += packet_varint_bytes(properties) + properties;
	}
	for (size_t i = 0; i < p->payload_count; i++)
		size += p->payload[i].size;
	return size;
}

size_t packet_publish_bytes(const struct packet_publish *p)
{
	size_t remaining = packet_publish_remaining(p);

	return 1 + packet_varint_bytes(remaining) + remaining;
}

static uint8_t *packet_put_pair(uint8_t *at, const struct slice parts[static 2])
{
	at = put_be16(at, (uint16_t)(parts[0].size + parts[1].size));
	at = put_bytes(at, parts[0].data, parts[0].size);
	return put_bytes(at, parts[1].data, parts[1].size);
}

static uint8_t *packet_put_property(uint8_t *at, uint8_t id, struct slice value)
{
	const struct slice parts[2] = {value, {NULL, 0}};

	return packet_put_pair(put_u8(at, id), parts);
}

uint8_t *packet_put_publish(uint8_t *at, const struct packet_publish *p, size_t *id_at_out)
{
	uint8_t *start = at;

	at = put_u8(at, (uint8_t)(PACKET_PUBLISH << 4 | p->qos << 1));
	at = packet_put_varint(at, packet_publish_remaining(p));
	at = packet_put_pair(at, p->topic);
	*id_at_out = (size_t)(at - start);
	if (p->qos > 0)
		at = put_be16(at, 0);
	if (p->version == MQTT_5) {
		at = packet_put_varint(at, packet_properties_bytes(p));
		if (!slice_is_absent(p->content_type))
			at = packet_put_property(at, PROPERTY_CONTENT_TYPE, p->content_type);
		if (!slice_is_absent(p->response_topic[0]))
			at = packet_put_pair(put_u8(at, PROPERTY_RESPONSE_TOPIC),
				p->response_topic);
		if (!slice_is_absent(p->correlation))
			at = packet_put_property(at, PROPERTY_CORRELATION, p->correlation);
	}
	for (size_t i = 0; i < p->payload_count; i++)
		at = put_bytes(at, p->payload[i].data, p->payload[i].size);
	return at;
}

void packet_set_id(uint8_t *packet, size_t id_at, uint16_t id)
{
	put_be16(packet + id_at, id);
}

uint8_t *packet_put_pubrel(uint8_t *at, uint16_t id)
{
	at = put_u8(at, PACKET_PUBREL << 4 | 0x02); /* 3.6.1: the flags are fixed */
	return put_be16(put_u8(at, 2), id);
}

uint8_t *packet_put_pingreq(uint8_t *at)
{
	return put_u8(put_u8(at, PACKET_PINGREQ << 4), 0);
}

uint8_t *packet_put_disconnect(uint8_t *at)
{
	return put_u8(put_u8(at, PACKET_DISCONNECT << 4), 0);
}

/* False if it is cut off or too long; *in is moved on. */
static bool packet_take_varint(struct slice *in, size_t *value_out)
{
	size_t value = 0;

	for (size_t i = 0; i < 4 && i < in->size; i++) {
		value |= (size_t)(in->data[i] & 0x7f) << (7 * i);
		if ((in->data[i] & 0x80) == 0) {
			*in = slice_of(in->data + i + 1, in->size - i - 1);
			*value_out = value;
			return true;
		}
	}
	return false;
}

enum packet_next packet_next(struct slice *in, struct packet *out)
{
	struct slice rest;
	size_t size;

	if (in->size < 2)
		return PACKET_NEXT_MORE;
	rest = slice_of(in->data + 1, in->size - 1);
	if (!packet_take_varint(&rest, &size))
		return in->size > 4 ? PACKET_NEXT_BAD : PACKET_NEXT_MORE;
	if (rest.size < size)
		return PACKET_NEXT_MORE;
	out->type = (enum packet_type)(in->data[0] >> 4);
	out->body = slice_of(rest.data, size);
	*in = slice_of(rest.data + size, rest.size - size);
	return PACKET_NEXT_OK;
}

bool packet_parse_ack(const struct packet *p, struct packet_ack *out)
{
	if (p->body.size < 2)
		return false;
	out->id = get_be16(p->body.data);
	out->reason = p->body.size > 2 ? p->body.data[2] : REASON_SUCCESS; /* 3.4.2.1 */
	return true;
}

/*
 * Size of a property's value by its identifier (2.2.2.2), of those that a CONNACK may have. -1 =
 * two bytes of length and as many bytes, -2 = two of these, 0 = not a property of CONNACK.
 */
static int packet_property_size(uint8_t id)
{
	switch (id) {
	case 0x11: /* session expiry interval */
	case PROPERTY_PACKET_BYTES_MAX:
		return 4;
	case PROPERTY_SERVER_KEEP_ALIVE:
	case PROPERTY_RECEIVE_MAX:
	case 0x22: /* topic alias maximum */
		return 2;
	case PROPERTY_QOS_MAX:
	case 0x25: /* retain available */
	case 0x28: /* wildcard subscription available */
	case 0x29: /* subscription identifiers available */
	case 0x2a: /* shared subscription available */
		return 1;
	case 0x12: /* assigned client identifier */
	case 0x15: /* authentication method */
	case 0x16: /* authentication data */
	case 0x1a: /* response information */
	case 0x1c: /* server reference */
	case 0x1f: /* reason string */
		return -1;
	case 0x26: /* user property */
		return -2;
	default:
		return 0;
	}
}

/* Size of the value at the start of in, or 0 if it is cut off or unknown. */
static size_t packet_property_measure(uint8_t id, struct slice in)
{
	int size = packet_property_size(id);
	size_t used = 0;

	if (size > 0)
		return (size_t)size <= in.size ? (size_t)size : 0;
	for (; size < 0; size++) {
		if (in.size - used < 2)
			return 0;
		used += 2 + (size_t)get_be16(in.data + used);
		if (used > in.size)
			return 0;
	}
	return used;
}

static bool packet_parse_connack_properties(struct slice in, struct packet_connack *out)
{
	while (in.size > 0) {
		uint8_t id = in.data[0];
		struct slice value = slice_of(in.data + 1, in.size - 1);
		size_t size = packet_property_measure(id, value);

		if (size == 0)
			return false;
		if (id == PROPERTY_RECEIVE_MAX)
			out->receive_max = get_be16(value.data);
		else if (id == PROPERTY_SERVER_KEEP_ALIVE)
			out->keep_alive_s = get_be16(value.data);
		else if (id == PROPERTY_QOS_MAX)
			out->qos_max = value.data[0];
		else if (id == PROPERTY_PACKET_BYTES_MAX)
			out->packet_bytes_max = get_be32(value.data);
		in = slice_of(value.data + size, value.size - size);
	}
	return out->receive_max > 0 && out->qos_max <= 2; /* 3.2.2.3.3, 3.2.2.3.4 */
}

bool packet_parse_connack(const struct packet *p, enum mqtt_version version,
	struct packet_connack *out)
{
	struct slice rest;
	size_t size;

	if (p->body.size < 2)
		return false;
	*out = (struct packet_connack){
		.reason = p->body.data[1],
		.receive_max = UINT16_MAX,
		.qos_max = 2,
	};
	rest = slice_of(p->body.data + 2, p->body.size - 2);
	if (version == MQTT_311 || rest.size == 0)
		return true;
	if (!packet_take_varint(&rest, &size) || size > rest.size)
		return false;
	return packet_parse_connack_properties(slice_of(rest.data, size), out);
}
