#ifndef MQTT_GATE_PRIVATE_H
#define MQTT_GATE_PRIVATE_H

#include "mqtt/gate.h"

#include "base/slice.h"

#include <stddef.h>

/* Shared by the gate's files only. */

enum { GATE_HOST_BYTES = 256, GATE_PORT_BYTES = 6 };

struct gate_target {
	char host[GATE_HOST_BYTES]; /* without brackets */
	char port[GATE_PORT_BYTES];
};

/* gate_dial.c: the target of a request, if it has the secret: "CONNECT host:port ...\r\n" with
 * "Proxy-authorization: Basic <authorization>". */
bool gate_parse(struct slice head, const char *authorization, struct gate_target *out);

/* Connect to one of its addresses, for no longer than client, the connection that it is for, stays
 * open. A socket, or -1 with why. */
int gate_dial(const struct gate_target *target, int64_t timeout_us, int client,
	struct gate_fault *why);

/* Send small packets without delay. */
void gate_no_delay(int fd);

#endif
