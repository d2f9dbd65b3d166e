#ifndef STATIONS_LINK_PRIVATE_H
#define STATIONS_LINK_PRIVATE_H

#include "base/backoff.h"
#include "stations/link.h"
#include "stations/window.h"

#include <sys/uio.h>

/* Shared by link.c (the connection) and link_flow.c (what flows through it), nobody else. */

enum link_state {
	LINK_DOWN,       /* waits for retry_us */
	LINK_CONNECTING, /* connect(2) in progress */
	LINK_GREETING,   /* CONNECT written, CONNACK awaited */
	LINK_UP,
};

/* writev(2) takes up to 1024 pieces; more than this would not make the calls any cheaper. */
enum { LINK_PIECES_MAX = 256, LINK_INPUT_BYTES = 65536 };

struct link {
	struct link_options o;
	struct link_stats stats;
	struct window window;
	enum link_state state;
	int fd;
	const struct addrinfo *address;
	struct backoff backoff;
	int64_t retry_us;    /* DOWN: when to connect */
	int64_t deadline_us; /* CONNECTING, GREETING: when to give up */
	int64_t received_us; /* UP: when we last heard from the broker */
	int64_t written_us;  /* UP: when we last wrote */
	bool ping_awaited;
	int64_t keep_alive_us;
	uint32_t packet_bytes_max; /* 0 = no limit */

	/* Flow: entries from cursor on may be WAITING. */
	uint64_t cursor;
	uint64_t waiting;  /* entries in this state */
	uint64_t unrouted; /* entries in this state */
	uint32_t in_flight;
	uint32_t in_flight_max; /* what the broker allows, too */
	uint16_t *ids_free;     /* a stack */
	uint32_t ids_free_count;
	uint64_t *id_entries; /* packet id -> entry number + 1, 0 = not in use */

	/* The time without subscribers: since when, when to try again, when it was last over. */
	int64_t unrouted_since_us; /* 0 = not now */
	int64_t resend_us;
	struct backoff resend_backoff;
	int64_t recovered_us;

	/* What is being written: pieces[piece] ... ; entry number, or LINK_CONTROL. */
	struct iovec pieces[LINK_PIECES_MAX];
	uint64_t piece_entries[LINK_PIECES_MAX];
	size_t piece, pieces_count;
	uint8_t *control[2]; /* small packets: one being filled, one being written */
	size_t control_size[2], control_bytes;
	unsigned filling;

	uint8_t input[LINK_INPUT_BYTES];
	size_t input_size;
};

#define LINK_CONTROL UINT64_MAX

/* link_flow.c */
bool link_flow_init(struct link *l);
void link_flow_fini(struct link *l);

/* After CONNACK. */
void link_flow_start(struct link *l, uint16_t receive_max);

/* After a broken connection: everything that may be lost waits again. */
void link_flow_lost(struct link *l, int64_t now_us);

/* Write what there is. False with errno if the connection is broken. */
bool link_flow_write(struct link *l, int64_t now_us);

/* PUBACK, PUBREC, PUBCOMP. False if it is not an answer to anything of ours. */
bool link_flow_ack(struct link *l, enum packet_type type, const struct packet_ack *ack,
	int64_t now_us);

/* The time without subscribers: try again when it is due. */
void link_flow_resend(struct link *l, int64_t now_us);

/* Room for a small packet; sent before all that waits. */
void link_flow_control(struct link *l, struct slice packet);

#endif
