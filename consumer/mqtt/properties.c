#include "mqtt/properties.h"

#include "base/traceparent.h"

#include <stdio.h>
#include <string.h>

enum { PROPERTIES_SPAN_BYTES = 16, PROPERTIES_CORRELATION_BYTES = 96 };

static struct slice properties_find(MQTTProperties *from, enum MQTTPropertyCodes code)
{
	MQTTProperty *p = MQTTProperties_getProperty(from, code);

	if (p == NULL)
		return slice_from_cstr("");
	return slice_of(p->value.data.data, (size_t)p->value.data.len);
}

static enum mqtt_content properties_content(struct slice type)
{
	if (slice_equal_cstr(type, "application/json"))
		return MQTT_CONTENT_JSON;
	if (slice_equal_cstr(type, "application/msgpack") ||
		slice_equal_cstr(type, "application/x-msgpack"))
		return MQTT_CONTENT_MSGPACK;
	return MQTT_CONTENT_UNKNOWN;
}

void properties_read(MQTTProperties *from, struct mqtt_message *to)
{
	to->content = properties_content(properties_find(from, MQTTPROPERTY_CODE_CONTENT_TYPE));
	to->trace = traceparent_id(properties_find(from, MQTTPROPERTY_CODE_CORRELATION_DATA));
}

static bool properties_add(MQTTProperties *properties, enum MQTTPropertyCodes code,
	const char *text)
{
	union {
		const char *text;
		char *data;
	} borrowed = {text}; /* paho copies it */
	MQTTProperty p = {.identifier = code};

	p.value.data.data = borrowed.data;
	p.value.data.len = (int)strlen(text);
	return MQTTProperties_add(properties, &p) == 0;
}

bool properties_write(MQTTProperties *to, const struct mqtt_message *from)
{
	static const char *const types[] = {
		[MQTT_CONTENT_UNKNOWN] = NULL,
		[MQTT_CONTENT_JSON] = "application/json",
		[MQTT_CONTENT_MSGPACK] = "application/msgpack",
	};
	char correlation[PROPERTIES_CORRELATION_BYTES];
	bool ok = true;

	if (types[from->content] != NULL)
		ok = properties_add(to, MQTTPROPERTY_CODE_CONTENT_TYPE, types[from->content]);
	if (!ok || from->trace.size < PROPERTIES_SPAN_BYTES)
		return ok;
	snprintf(correlation, sizeof(correlation), "{\"traceparent\":\"00-%.*s-%.*s-01\"}",
		SLICE_ARG(from->trace), PROPERTIES_SPAN_BYTES, (const char *)from->trace.data);
	return properties_add(to, MQTTPROPERTY_CODE_CORRELATION_DATA, correlation);
}
