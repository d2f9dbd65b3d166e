#ifndef STATIONS_PACKET_H
#define STATIONS_PACKET_H

#include "base/slice.h"

#include <stdint.h>

/*
 * The MQTT packets that a publisher needs, 5.0 and 3.1.1, as bytes. Written from the OASIS texts;
 * section numbers in comments are those of MQTT 5.0. Pure.
 */
enum mqtt_version { MQTT_311 = 4, MQTT_5 = 5 }; /* the protocol level on the wire */

enum packet_type {
	PACKET_CONNECT = 1,
	PACKET_CONNACK = 2,
	PACKET_PUBLISH = 3,
	PACKET_PUBACK = 4,
	PACKET_PUBREC = 5,
	PACKET_PUBREL = 6,
	PACKET_PUBCOMP = 7,
	PACKET_PINGREQ = 12,
	PACKET_PINGRESP = 13,
	PACKET_DISCONNECT = 14,
};

/* Reason codes of 2.4 that mean something to us. */
enum {
	REASON_SUCCESS = 0x00,
	REASON_NO_SUBSCRIBERS = 0x10,
	REASON_REFUSED = 0x80, /* this and above: not accepted */
	REASON_SERVER_UNAVAILABLE = 0x88,
	REASON_SERVER_BUSY = 0x89,
	REASON_QUOTA_EXCEEDED = 0x97,
};

/* Enough for packet_put_connect() with names within their limits, and for all small packets. */
enum { PACKET_TEXT_BYTES_MAX = 256, PACKET_CONNECT_BYTES = 1024, PACKET_SMALL_BYTES = 4 };

struct packet_connect {
	enum mqtt_version version;
	const char *client_id;
	const char *user;     /* NULL = none */
	const char *password; /* NULL = none */
	uint16_t keep_alive_s;
};

/* Each text has at most PACKET_TEXT_BYTES_MAX bytes. Returns the address after the packet. */
uint8_t *packet_put_connect(uint8_t *at, const struct packet_connect *c);

/*
 * A PUBLISH. Topic and response topic are given in two parts each, the payload in any number, so
 * that nothing has to be put together before. Absent properties are left out; 3.1.1 has none.
 */
struct packet_publish {
	enum mqtt_version version;
	uint8_t qos;
	struct slice topic[2];
	struct slice content_type;
	struct slice response_topic[2];
	struct slice correlation;
	const struct slice *payload;
	size_t payload_count;
};

size_t packet_publish_bytes(const struct packet_publish *p);

/* *id_at_out is where packet_set_id() puts the id: not before the packet is sent (QoS 1 and 2). */
uint8_t *packet_put_publish(uint8_t *at, const struct packet_publish *p, size_t *id_at_out);
void packet_set_id(uint8_t *packet, size_t id_at, uint16_t id);

uint8_t *packet_put_pubrel(uint8_t *at, uint16_t id);
uint8_t *packet_put_pingreq(uint8_t *at);
uint8_t *packet_put_disconnect(uint8_t *at);

struct packet {
	enum packet_type type;
	struct slice body; /* after the fixed header; borrows from the input */
};

enum packet_next { PACKET_NEXT_OK, PACKET_NEXT_MORE, PACKET_NEXT_BAD };

/* The first packet of *in, which is advanced past it. */
enum packet_next packet_next(struct slice *in, struct packet *out);

/* PUBACK, PUBREC, PUBCOMP. False if malformed. */
struct packet_ack {
	uint16_t id;
	uint8_t reason;
};

bool packet_parse_ack(const struct packet *p, struct packet_ack *out);

struct packet_connack {
	uint8_t reason;
	uint16_t receive_max;
	uint8_t qos_max;
	uint32_t packet_bytes_max; /* 0 = no limit stated */
	uint16_t keep_alive_s;     /* 0 = as asked */
};

bool packet_parse_connack(const struct packet *p, enum mqtt_version version,
	struct packet_connack *out);

#endif
