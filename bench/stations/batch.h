#ifndef STATIONS_BATCH_H
#define STATIONS_BATCH_H

#include "stations/message.h"

/*
 * Several OCPP messages in one MQTT message, for --shape batch: those of one topic that come
 * within a short simulated time. In the other shapes every message is a bundle of its own. Which
 * messages go together depends on the messages only. One thread.
 */
enum { BUNDLE_MESSAGES_MAX = 8 };

struct bundle {
	struct message *messages[BUNDLE_MESSAGES_MAX]; /* of one topic, in order */
	size_t count;
};

struct batch;

/* NULL only if memory cannot be had. */
struct batch *batch_new(uint32_t stations, bool is_batching);
void batch_free(struct batch **batch);

/* Takes over the message. Call batch_next() until it says no before adding another. */
void batch_add(struct batch *b, struct message *m);

/* A bundle that is complete; in all: also those that wait for more. False if there is none. */
bool batch_next(struct batch *b, bool all, struct bundle *out);

#endif
