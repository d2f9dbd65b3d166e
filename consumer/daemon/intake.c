#include "daemon/intake.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/sha256.h"

#include <unistd.h>

/* The message is never acknowledged: the connection ends with the process. */
static _Noreturn void intake_park(struct intake *in)
{
	in->parked = true;
	in->wake(in->context);
	for (;;)
		pause();
}

/* The first failure counts. */
static void intake_set_failure(struct intake *in, const struct error *err)
{
	if (atomic_exchange(&in->failing, true))
		return;
	in->failure = *err;
	in->failed = true;
	in->wake(in->context);
}

static _Noreturn void intake_fail(struct intake *in, const struct error *err)
{
	intake_set_failure(in, err);
	intake_park(in);
}

void intake_show(struct intake *in)
{
	uint64_t readable = spool_last_seq(in->spool);

	if (atomic_exchange(&in->shown_seq, readable) != readable)
		in->wake(in->context);
}

static uint16_t intake_flags(const struct mqtt_message *m)
{
	return (uint16_t)((m->qos & RECORD_QOS_MASK) | (m->dup ? RECORD_DUP : 0) |
			  (m->retain ? RECORD_RETAIN : 0) |
			  (m->content == MQTT_CONTENT_JSON ? RECORD_JSON : 0) |
			  (m->content == MQTT_CONTENT_MSGPACK ? RECORD_MSGPACK : 0) |
			  (m->qos > 0 ? RECORD_PACKET_KNOWN : 0) |
			  (m->packet & 0xff) << RECORD_PACKET_SHIFT);
}

static void intake_count(struct intake *in, const struct mqtt_message *m)
{
	struct metrics *metrics = in->metrics;

	metrics_add(m->qos == 0   ? &metrics->received_qos0
		    : m->qos == 1 ? &metrics->received_qos1
				  : &metrics->received_qos2,
		1);
	metrics_add(&metrics->received_bytes, m->payload.size);
	if (m->dup)
		metrics_add(&metrics->received_dup, 1);
}

static void intake_append(struct intake *in, struct record *r)
{
	bool durable = (r->flags & RECORD_QOS_MASK) > 0;
	struct error err;

	for (;;) {
		switch (spool_append(in->spool, r, durable, &err)) {
		case SPOOL_APPENDED:
			if (spool_last_seq(in->spool) >= r->seq)
				intake_show(in);
			return;
		case SPOOL_FAILED:
			intake_fail(in, &err);
		case SPOOL_FULL:
			metrics_add(&in->metrics->intake_waits, 1);
			metrics_set(&in->metrics->intake_waiting, 1);
			if (!spool_wait_for_space(in->spool))
				intake_park(in);
			metrics_set(&in->metrics->intake_waiting, 0);
			break;
		}
	}
}

void intake_cut(struct record *r, uint8_t out[static INTAKE_CUT_BYTES])
{
	struct slice payload = r->payload;
	uint8_t *at = out;

	at = put_be64(at, payload.size);
	sha256_once(payload, at);
	at += SHA256_BYTES;
	at = put_bytes(at, payload.data,
		payload.size < OVERSIZED_KEPT_BYTES ? payload.size : OVERSIZED_KEPT_BYTES);
	r->flags |= RECORD_OVERSIZED;
	r->payload = slice_of(out, (size_t)(at - out));
}

/* Whether the log already has it, because our acknowledgement was lost. */
static bool intake_is_known(struct intake *in, const struct mqtt_message *m, const struct record *r)
{
	if (m->session != in->session) {
		in->session = m->session;
		spool_tail_forget(in->tail);
	}
	if (!m->dup || !spool_tail_has(in->tail, r, m->packet))
		return false;
	metrics_add(&in->metrics->redelivered, 1);
	return true;
}

void intake_message(struct intake *in, const struct mqtt_message *m)
{
	uint8_t cut[INTAKE_CUT_BYTES];
	struct record r = {
		.received_us = clock_wall_us(),
		.flags = intake_flags(m),
		.topic = m->topic,
		.trace = m->trace,
		.payload = m->payload,
	};

	intake_count(in, m);
	if (!m->retain) /* a retained one comes from the broker */
		heard_note(in->heard, m->topic, clock_mono_us());
	if ((int64_t)m->payload.size > in->message_bytes_max)
		intake_cut(&r, cut);
	if (m->qos == 0) {
		intake_append(in, &r);
	} else if (!intake_is_known(in, m, &r)) {
		intake_append(in, &r);
		spool_tail_add(in->tail, &r, m->packet);
	}
}

bool intake_sync(struct intake *in)
{
	struct error err;

	if (!spool_sync(in->spool, &err)) {
		intake_set_failure(in, &err);
		return false;
	}
	intake_show(in);
	return true;
}
