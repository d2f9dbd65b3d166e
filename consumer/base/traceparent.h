#ifndef BASE_TRACEPARENT_H
#define BASE_TRACEPARENT_H

#include "base/slice.h"

/*
 * The trace id in MaEVE's correlation data of MQTT 5, {"traceparent":"00-<32 hex>-<16 hex>-01"}. It
 * is part of the identity of messages without a time of their own, so live messages and captures
 * must be read by the same rule: this one. Pure; any thread.
 */

/* Borrowed from data; "" if there is none. */
struct slice traceparent_id(struct slice data);

#endif
