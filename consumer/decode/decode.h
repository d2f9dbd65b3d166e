#ifndef DECODE_DECODE_H
#define DECODE_DECODE_H

#include "base/arena.h"
#include "base/error.h"
#include "decode/message.h"
#include "decode/topic.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Record -> OCPP messages. This code does not know where a record comes from or what becomes of a
 * message. A decoder keeps scratch memory between records; one thread uses it.
 *
 * Input is hostile: lengths are checked against the bytes before they are used, and depth and the
 * number of values are limited (base/limits.h).
 */
struct decoder;

/* One MQTT message to decode. Everything is borrowed and must live as long as the arena, which
 * holds the texts of its messages. Trees (message.payload) last until the next input is decoded. */
struct decode_input {
	uint64_t seq;
	int64_t received_us;
	struct slice topic;
	struct slice trace;
	struct slice payload;
	bool retained; /* delivered with the RETAIN flag */
};

/* patterns must outlive the decoder. payload_bytes_max: no larger payload is ever passed in. */
MUST_CHECK bool decoder_new(struct decoder **out, const struct topic_patterns *patterns,
	size_t payload_bytes_max, struct error *err);
void decoder_free(struct decoder **decoder);

/* Parse a record; decode_next() then returns its messages. False with err: POISON if the record is
 * not a message at all, FULL if the arena is (close the batch, continue with a new one). */
MUST_CHECK bool decode_begin(struct decoder *d, const struct decode_input *input,
	struct arena *arena, struct error *err);

/*
 * What all messages of a record have in common, without looking at the payload: for records that
 * are set aside. *out is filled as far as possible even on failure: POISON if the topic says
 * nothing, FULL (then out->topic is absent).
 */
bool decode_common(struct decoder *d, const struct decode_input *input, struct arena *arena,
	struct message *out, struct error *err);

enum decode_next { DECODE_MESSAGE, DECODE_BAD, DECODE_END };

/* The next message. BAD: this one is malformed, err says why (POISON); out->raw, ->index and what
 * the topic says are set; the other messages are not affected. */
enum decode_next decode_next(struct decoder *d, struct message *out, struct error *err);

#endif
