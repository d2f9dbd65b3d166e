#ifndef DECODE_MESSAGE_H
#define DECODE_MESSAGE_H

#include "base/slice.h"
#include "decode/value.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * One decoded OCPP message. Texts borrow from the record or the batch's arena; the trees payload
 * and request last until the next record is decoded.
 *
 * It comes in three shapes, as msgpack or JSON: MaEVE's envelope (a map with type, action, id,
 * request, response, ...), an OCPP-J frame (OCPP-J 1.6 section 4.2: [2, id, action, payload]), and
 * an array of either. A message to the store is a map (docs/store.md), or an array of maps.
 */
enum message_type { /* OCPP-J message type numbers */
	MESSAGE_CALL = 2,
	MESSAGE_RESULT = 3,
	MESSAGE_ERROR = 4,
	MESSAGE_RESULT_ERROR = 5, /* 2.1 */
	MESSAGE_SEND = 6,         /* 2.1 */
};

enum message_version { VERSION_UNKNOWN, VERSION_16, VERSION_201, VERSION_21 };

enum message_direction { DIRECTION_IN, DIRECTION_OUT };

struct message {
	/* From the record. */
	uint64_t seq;
	uint32_t index; /* position within the record */
	int64_t received_us;
	struct slice topic;
	struct slice topic_raw; /* as received, if topic is only a readable copy; or absent */
	struct slice trace;
	struct slice raw;  /* the bytes of this message, as received */
	struct slice kept; /* the bytes to store instead (base/pseudonyms.h); absent: raw */
	bool retained;     /* RETAIN: it may have been delivered before, at any time */

	/* From the topic. */
	struct slice entity;       /* set for a message to the store; absent for an OCPP message */
	struct slice station;      /* absent for the store */
	struct slice version_text; /* "1.6", "2.0.1", "2.1", or whatever the topic says */
	enum message_version version;
	enum message_direction direction;

	/* From the payload. */
	enum message_type type;
	struct slice id;     /* "" if it has no id */
	struct slice action; /* "" if a result does not say */
	/* The request of a call, the response of a result, the details of an error; or NULL. For
	 * the store the whole map. */
	struct value *payload;
	struct value *request; /* of a result or error, if the gateway repeated it; or NULL */
	struct slice error_code;
	struct slice error_description;

	bool text_replaced; /* some text could not be kept; raw has it */

	struct arena *scratch; /* lives as long as payload and request */
};

/* The bytes to store. */
static inline struct slice message_kept(const struct message *m)
{
	return slice_is_absent(m->kept) ? m->raw : m->kept;
}

/* "call", "result", "error", "result_error", "send". */
const char *message_type_name(enum message_type type);

#endif
