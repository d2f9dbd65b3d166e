#ifndef STATIONS_POST_H
#define STATIONS_POST_H

#include "stations/exchange.h"

/*
 * Where stations hand in what they and the CSMS say: makes the messages, decides which of them
 * come twice and how late each comes, and keeps them until it is their turn. All of it is drawn
 * from the station's own numbers, so the same seed gives the same messages in the same order,
 * whatever the network does. One thread.
 */
struct post_options {
	enum shape shape;
	uint32_t duplicates_permille;
	int64_t reorder_us; /* simulated: how late a message may be */
	bool values_only;   /* MeterValues, nothing else and no answers */
	bool facts;         /* for a ledger */
	size_t messages_max;
};

enum { POST_BYTES_MAX = 64 * 1024, POST_PER_EXCHANGE = 6 };

struct post {
	struct post_options o;
	struct outbox outbox;
	struct message_pools pools;
	struct record_pool records;
	uint8_t payload[POST_BYTES_MAX]; /* the message being made */
	uint8_t facts[POST_BYTES_MAX];
};

MUST_CHECK
bool post_init(struct post *p, const struct post_options *o);
void post_fini(struct post *p);

/*
 * A call at this moment, its answer, and what duplicates of both there are: at most
 * POST_PER_EXCHANGE messages. Keeps the station busy until the answer. c->attempt, id,
 * answered_us and retried are set here.
 */
void post_exchange(struct post *p, struct station *s, const struct exchange *x, struct content *c,
	int64_t at_us);

/* A UUID (version 4) as text, terminated. */
void post_uuid(struct rng *r, char out[static STATION_TRANSACTION_BYTES]);

#endif
