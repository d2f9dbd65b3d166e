#include "base/clock.h"
#include "stations/link_private.h"

#include <errno.h>
#include <stdlib.h>

/* Bounds the entries held; with packets of 250 bytes that is 64 MiB of them. */
enum { LINK_ENTRIES_MAX = 1 << 18 };

static const int64_t LINK_RESEND_BASE_US = 100 * US_PER_MS;
static const int64_t LINK_RESEND_CAP_US = 2 * US_PER_SECOND;

bool link_flow_init(struct link *l)
{
	uint32_t ids = l->o.in_flight_max;

	l->recovered_us = INT64_MIN / 2; /* long ago */
	backoff_init(&l->resend_backoff, LINK_RESEND_BASE_US, LINK_RESEND_CAP_US, l->o.seed);
	/* Every id may have a PUBREL to be sent, and there is one PINGREQ at a time. */
	l->control_bytes = (ids + 1) * PACKET_SMALL_BYTES;
	l->control[0] = malloc(l->control_bytes);
	l->control[1] = malloc(l->control_bytes);
	l->ids_free = malloc(ids * sizeof(*l->ids_free));
	l->id_entries = calloc(ids + 1, sizeof(*l->id_entries));
	return window_init(&l->window, l->o.window_bytes, LINK_ENTRIES_MAX) &&
	       l->control[0] != NULL && l->control[1] != NULL && l->ids_free != NULL &&
	       l->id_entries != NULL;
}

void link_flow_fini(struct link *l)
{
	window_fini(&l->window);
	free(l->control[0]);
	free(l->control[1]);
	free(l->ids_free);
	free(l->id_entries);
}

void link_flow_start(struct link *l, uint16_t receive_max)
{
	uint32_t ids = l->o.in_flight_max;

	l->in_flight = 0;
	l->in_flight_max = receive_max < ids ? receive_max : ids;
	l->ids_free_count = ids;
	for (uint32_t i = 0; i < ids; i++) {
		l->ids_free[i] = (uint16_t)(ids - i);
		l->id_entries[i + 1] = 0;
	}
	l->control_size[0] = l->control_size[1] = 0;
}

/* Let everything in [from_us, until_us] wait again that went out then, acknowledged or not. */
static void link_flow_again(struct link *l, int64_t from_us, int64_t until_us)
{
	for (uint64_t i = l->window.first; i < l->window.next; i++) {
		struct window_entry *e = window_at(&l->window, i);

		if (e->state == WINDOW_DONE && e->acknowledged && e->sent_us >= from_us &&
			e->sent_us <= until_us) {
			e->state = WINDOW_WAITING;
			l->waiting++;
		}
	}
	l->cursor = l->window.first;
}

void link_flow_lost(struct link *l, int64_t now_us)
{
	for (uint64_t i = l->window.first; i < l->window.next; i++) {
		struct window_entry *e = window_at(&l->window, i);

		if (e->state == WINDOW_SENT || e->state == WINDOW_RELEASED ||
			e->state == WINDOW_UNROUTED) {
			e->state = WINDOW_WAITING;
			l->waiting++;
		}
	}
	l->cursor = l->window.first;
	l->in_flight = 0;
	l->piece = l->pieces_count = 0;
	l->unrouted = 0;
	l->unrouted_since_us = 0;
	l->resend_us = 0;
	if (l->o.republish_us > 0)
		link_flow_again(l, now_us - l->o.republish_us, now_us);
}

static void link_flow_done(struct link *l, struct window_entry *e)
{
	e->state = WINDOW_DONE;
	if (!e->acknowledged) {
		e->acknowledged = true;
		l->o.acknowledged(l->o.context, e->first, e->count);
	}
}

/* The broker will never take it: it stays unacknowledged, and is not sent again. */
static void link_flow_refused(struct link *l, struct window_entry *e)
{
	e->state = WINDOW_DONE;
	l->stats.refused += e->count;
}

static void link_flow_unrouted(struct link *l, struct window_entry *e, int64_t now_us)
{
	e->state = WINDOW_UNROUTED;
	l->unrouted++;
	if (l->unrouted_since_us == 0) {
		l->unrouted_since_us = now_us;
		backoff_reset(&l->resend_backoff);
	}
	if (l->resend_us == 0)
		l->resend_us = now_us + backoff_next_us(&l->resend_backoff);
}

void link_flow_resend(struct link *l, int64_t now_us)
{
	if (l->resend_us == 0 || now_us < l->resend_us)
		return;
	for (uint64_t i = l->window.first; i < l->window.next && l->unrouted > 0; i++) {
		struct window_entry *e = window_at(&l->window, i);

		if (e->state == WINDOW_UNROUTED) {
			e->state = WINDOW_WAITING;
			l->unrouted--;
			l->waiting++;
		}
	}
	l->cursor = l->window.first;
	l->resend_us = 0;
}

/*
 * Somebody subscribes again. What was acknowledged shortly before the subscription was found
 * missing may have gone with it. Where only some topics have subscribers this would never end, so
 * it is done once in a while only.
 */
static void link_flow_recovered(struct link *l, int64_t now_us)
{
	int64_t since_us = l->unrouted_since_us;

	l->unrouted_since_us = 0;
	if (l->o.republish_us == 0 || now_us - l->recovered_us < l->o.republish_us)
		return;
	l->recovered_us = now_us;
	link_flow_again(l, since_us - l->o.republish_us, since_us);
}

static void link_flow_settled(struct link *l, struct window_entry *e, uint8_t reason,
	int64_t now_us)
{
	l->id_entries[e->id] = 0;
	l->ids_free[l->ids_free_count++] = e->id;
	l->in_flight--;
	if (reason >= REASON_REFUSED && reason != REASON_QUOTA_EXCEEDED) {
		link_flow_refused(l, e);
	} else if (reason >= REASON_REFUSED ||
		   (reason == REASON_NO_SUBSCRIBERS && !l->o.accept_unrouted)) {
		link_flow_unrouted(l, e, now_us);
	} else {
		link_flow_done(l, e);
		if (l->unrouted_since_us != 0)
			link_flow_recovered(l, now_us);
	}
}

bool link_flow_ack(struct link *l, enum packet_type type, const struct packet_ack *ack,
	int64_t now_us)
{
	struct window_entry *e;
	uint8_t packet[PACKET_SMALL_BYTES];

	if (ack->id == 0 || ack->id > l->o.in_flight_max || l->id_entries[ack->id] == 0)
		return false;
	e = window_at(&l->window, l->id_entries[ack->id] - 1);
	if (type == PACKET_PUBCOMP) {
		if (e->state != WINDOW_RELEASED)
			return false;
		link_flow_settled(l, e, e->unrouted ? REASON_NO_SUBSCRIBERS : ack->reason, now_us);
		return true;
	}
	if (e->state != WINDOW_SENT || (type == PACKET_PUBREC) != (l->o.qos == 2))
		return false;
	if (ack->reason == REASON_NO_SUBSCRIBERS)
		l->stats.unrouted++;
	if (type == PACKET_PUBREC && ack->reason < REASON_REFUSED) {
		e->state = WINDOW_RELEASED;
		e->unrouted = ack->reason == REASON_NO_SUBSCRIBERS;
		packet_put_pubrel(packet, ack->id);
		link_flow_control(l, slice_of(packet, sizeof(packet)));
	} else {
		link_flow_settled(l, e, ack->reason, now_us);
	}
	return true;
}

void link_flow_control(struct link *l, struct slice packet)
{
	size_t *used = &l->control_size[l->filling];

	CHECK(packet.size <= l->control_bytes - *used);
	memcpy(l->control[l->filling] + *used, packet.data, packet.size);
	*used += packet.size;
}

static void link_flow_piece(struct link *l, uint8_t *at, size_t size, uint64_t entry)
{
	l->pieces[l->pieces_count] = (struct iovec){.iov_base = at, .iov_len = size};
	l->piece_entries[l->pieces_count++] = entry;
}

static void link_flow_send(struct link *l, struct window_entry *e, uint64_t number, int64_t now_us)
{
	uint8_t *packet = window_packet(&l->window, e);

	l->waiting--;
	if (l->packet_bytes_max > 0 && e->size > l->packet_bytes_max) {
		link_flow_refused(l, e);
		return;
	}
	if (l->o.qos > 0) {
		e->id = l->ids_free[--l->ids_free_count];
		l->id_entries[e->id] = number + 1;
		l->in_flight++;
		packet_set_id(packet, e->id_at, e->id);
	}
	if (e->sent_us != 0)
		l->stats.republished += e->count;
	l->stats.packets++;
	e->state = WINDOW_SENT;
	e->sent_us = now_us;
	link_flow_piece(l, packet, e->size, number);
}

/* Collect the next pieces to write; everything before was written. */
static void link_flow_fill(struct link *l, int64_t now_us)
{
	l->piece = l->pieces_count = 0;
	if (l->control_size[l->filling] > 0) {
		unsigned full = l->filling;

		l->filling = 1 - full;
		l->control_size[l->filling] = 0;
		link_flow_piece(l, l->control[full], l->control_size[full], LINK_CONTROL);
	}
	if (l->cursor < l->window.first) /* what lay between is done and gone */
		l->cursor = l->window.first;
	for (; l->waiting > 0 && l->pieces_count < LINK_PIECES_MAX; l->cursor++) {
		struct window_entry *e = window_at(&l->window, l->cursor);

		CHECK(l->cursor < l->window.next);
		if (l->o.qos > 0 && l->in_flight >= l->in_flight_max)
			return;
		if (e->state == WINDOW_WAITING)
			link_flow_send(l, e, l->cursor, now_us);
	}
}

/* So many bytes are out. */
static void link_flow_written(struct link *l, size_t size)
{
	while (size > 0) {
		struct iovec *piece = &l->pieces[l->piece];
		uint64_t number = l->piece_entries[l->piece];

		if (size < piece->iov_len) {
			piece->iov_base = (uint8_t *)piece->iov_base + size;
			piece->iov_len -= size;
			return;
		}
		size -= piece->iov_len;
		l->piece++;
		if (l->o.qos == 0 && number != LINK_CONTROL)
			link_flow_done(l, window_at(&l->window, number));
	}
}

bool link_flow_write(struct link *l, int64_t now_us)
{
	for (;;) {
		ssize_t n;

		if (l->piece == l->pieces_count)
			link_flow_fill(l, now_us);
		if (l->piece == l->pieces_count)
			return true;
		n = writev(l->fd, l->pieces + l->piece, (int)(l->pieces_count - l->piece));
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		l->written_us = now_us;
		link_flow_written(l, (size_t)n);
	}
}
