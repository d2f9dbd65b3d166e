#ifndef DAEMON_INTAKE_H
#define DAEMON_INTAKE_H

#include "base/error.h"
#include "base/limits.h"
#include "daemon/heard.h"
#include "metrics/metrics.h"
#include "mqtt/mqtt.h"
#include "spool/spool.h"
#include "spool/tail.h"

#include <stdatomic.h>
#include <stdbool.h>

/*
 * Step one of a message: from the broker into the log. intake_message() runs on paho's receive
 * thread and returns once the message is in the log; only then does paho acknowledge it, and
 * intake_sync() holds that back until the log is on disk, for many messages together. So if a
 * message cannot be kept, because the disk failed or the program stops while the log is full,
 * intake_message() does not return at all: the broker delivers the message again to the next
 * connection.
 *
 * A message that is delivered again although the log has it is acknowledged and counted, but not
 * kept twice.
 */
struct intake {
	struct spool *spool;
	struct spool_tail *tail;
	uint32_t session; /* that of the last message */
	struct metrics *metrics;
	struct heard *heard;
	_Atomic int64_t message_bytes_max; /* the loop may change it */
	void (*wake)(void *context);       /* there is something to store, or a failure */
	void *context;

	_Atomic uint64_t shown_seq; /* the loop was woken up to this record */
	_Atomic bool failing, failed;
	struct error failure; /* set before failed */
	_Atomic bool parked;  /* the receive thread will never return */
};

/* Keep the message, or do not return. */
void intake_message(struct intake *in, const struct mqtt_message *m);

/*
 * Before acknowledgements leave, on the thread that sends them: everything that intake_message()
 * has returned for is on disk, if spool.sync requires it. False: that failed, and none may leave.
 */
MUST_CHECK bool intake_sync(struct intake *in);

/* Wakes the loop if more is readable than when it was last woken. Any thread. */
void intake_show(struct intake *in);

/* For a message over the limit, into out: its size, its SHA-256 and its beginning. */
enum { INTAKE_CUT_BYTES = RECORD_OVERSIZED_HEADER_BYTES + OVERSIZED_KEPT_BYTES };

void intake_cut(struct record *r, uint8_t out[static INTAKE_CUT_BYTES]);

#endif
