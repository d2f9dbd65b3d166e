#ifndef MQTT_PROPERTIES_H
#define MQTT_PROPERTIES_H

#include "mqtt/mqtt.h"

#include <MQTTAsync.h>

/*
 * The properties of a message in MQTT 5 that we know: its content type, and the trace id in MaEVE's
 * correlation data, {"traceparent":"00-<32 hex>-<16 hex>-01"}. Read and written here. Any thread.
 */

/* Sets content and trace, to UNKNOWN and "" if there is none. The trace is borrowed from the
 * properties. */
void properties_read(MQTTProperties *from, struct mqtt_message *to);

/* If only the trace id is known, the span gets an id made from it. The caller frees the properties,
 * whatever is returned. False: no memory. */
MUST_CHECK bool properties_write(MQTTProperties *to, const struct mqtt_message *from);

#endif
