#ifndef SPOOL_TAIL_H
#define SPOOL_TAIL_H

#include "spool/spool.h"

/*
 * Remembers the last records of the log, to recognise a message that the broker delivers again
 * because our acknowledgement did not reach it. MQTT sends such a message under its old packet id,
 * with the DUP flag; but the flag only says that it was sent before, not that it arrived. So a
 * message is a redelivery if the newest record with its packet id has the same content. Two equal
 * messages have different packet ids, and a packet id is reused only after its message is
 * acknowledged.
 *
 * Records of an earlier run are compared by content and the low byte of the packet id (a record has
 * no more of it), and each matches only once.
 *
 * Memory is bounded: the newest record for each packet id, and `window` records of the previous
 * run. One thread.
 */
struct spool_tail;

/* window: how many messages the broker may have in flight to us; older ones have been acknowledged.
 * Reads that many records from the end of the log. False with err (FATAL) if that fails. */
MUST_CHECK bool spool_tail_open(struct spool_tail **out, struct spool *spool, size_t window,
	struct error *err);

/* NULL is fine. */
void spool_tail_close(struct spool_tail **tail);

/* From now on the broker may have that many in flight; earlier records stay known. */
void spool_tail_widen(struct spool_tail *tail, size_t window);

/* The broker began a new session: packet ids of the old one are meaningless. */
void spool_tail_forget(struct spool_tail *tail);

/* A record with a QoS above 0 was appended. packet: its packet id. */
void spool_tail_add(struct spool_tail *tail, const struct record *r, uint16_t packet);

/* Whether this message, which came with the DUP flag, is already in the log. */
bool spool_tail_has(struct spool_tail *tail, const struct record *r, uint16_t packet);

#endif
