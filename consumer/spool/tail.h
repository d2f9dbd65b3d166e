#ifndef SPOOL_TAIL_H
#define SPOOL_TAIL_H

#include "spool/spool.h"

/*
 * What the log got last, to recognise a message that the broker hands over again because our
 * acknowledgement did not reach it. MQTT sends such a message under the packet id it had, with the
 * DUP flag; but the flag alone says only that it was sent before, not that it arrived. So it is a
 * redelivery if the newest record under its packet id has the same content. Two equal messages have
 * packet ids of their own, and a packet id is used again only once its message is acknowledged.
 *
 * Records of an earlier run are compared by content and the low byte of the packet id, which is all
 * that a record keeps of it, and each is used once.
 *
 * Memory is bounded: the newest record of each packet id, and window records of the run before. One
 * thread.
 */
struct spool_tail;

/*
 * window: how many messages the broker may have under way to us; what is older was acknowledged.
 * That many records are read from the end of the log. False with err (FATAL) if that fails.
 */
MUST_CHECK bool spool_tail_open(struct spool_tail **out, struct spool *spool, size_t window,
	struct error *err);

/* NULL is fine. */
void spool_tail_close(struct spool_tail **tail);

/* The broker may have so many under way from here on; what it had before stays known. */
void spool_tail_widen(struct spool_tail *tail, size_t window);

/* The broker began a new session: packet ids of the old one mean nothing any more. */
void spool_tail_forget(struct spool_tail *tail);

/* A record with a QoS above 0 is in the log. packet: its packet id. */
void spool_tail_add(struct spool_tail *tail, const struct record *r, uint16_t packet);

/* Whether this message, which came with the DUP flag, is in the log already. */
bool spool_tail_has(struct spool_tail *tail, const struct record *r, uint16_t packet);

#endif
