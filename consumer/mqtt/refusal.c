#include "mqtt/refusal.h"

#include "mqtt/address.h"
#include "mqtt/answers.h"
#include "mqtt/tls_check.h"

#include <stdio.h>

enum {
	CONNACK_BYTE = 0x20, /* OASIS MQTT 5.0 and 3.1.1, section 3.2.1 */

	/* RFC 8446, section 5.1 */
	TLS_ALERT = 21,
	TLS_VERSION_MAJOR = 3,
};

/*
 * Down for this reason, which is about the host that was reached last. With several hosts, one that
 * is merely away can come back by itself, and so can one that was not tried yet: then nobody is
 * asked for, whatever is wrong with the others.
 */
static void refusal_set_down(struct mqtt *m, struct error *err)
{
	struct gate_fault fault;
	size_t used = strlen(err->message);

	gate_fault(m->gate, &fault);
	if (fault.hosts < m->hosts || (fault.text[0] != '\0' && !fault.unknown_host))
		err->needs_person = false;
	if (fault.text[0] != '\0')
		snprintf(err->message + used, sizeof(err->message) - used, "; and %s", fault.text);
	mqtt_set_down(m, err);
}

static bool refusal_by_nobody(struct mqtt *m)
{
	struct gate_fault fault;
	struct error err;

	gate_fault(m->gate, &fault);
	if (fault.text[0] == '\0' || fault.reached)
		return false;
	error_set(&err, ERROR_TRANSIENT, REASON_broker, "could not connect to the broker: %s",
		fault.text);
	if (fault.unknown_host && fault.hosts >= m->hosts) {
		error_hint(&err, "see mqtt.url: no such host is known");
		error_needs_person(&err);
	} else {
		error_hint(&err, "%s", mqtt_hint_no_answer);
	}
	mqtt_set_down(m, &err);
	return true;
}

/* Without TLS: what answers is no MQTT broker, or nothing does. False: neither is certain. */
static bool refusal_by_stranger(struct mqtt *m, int code, const char *where)
{
	uint8_t beginning[GATE_BEGINNING_BYTES];
	struct error err;
	size_t size = gate_broker_began(m->gate, beginning);

	if (answer_refuses_connect(m->version == MQTTVERSION_5, code) || tls_check_took_part())
		return false;
	if (size == GATE_BEGINNING_BYTES && beginning[0] == TLS_ALERT &&
		beginning[1] == TLS_VERSION_MAJOR) {
		error_set(&err, ERROR_TRANSIENT, REASON_broker, "what listens at %s expects TLS",
			where);
		error_hint(&err, "see mqtt.url: with TLS it begins with mqtts://");
		error_needs_person(&err);
	} else if (size > 0 && beginning[0] != CONNACK_BYTE) {
		error_set(&err, ERROR_TRANSIENT, REASON_broker,
			"what listens at %s does not answer as an MQTT broker does", where);
		error_hint(&err, "%s", mqtt_hint_no_answer);
	} else if (size == 0 && gate_broker_ended(m->gate)) {
		error_set(&err, ERROR_TRANSIENT, REASON_broker,
			"the broker at %s closed the connection before answering", where);
		error_hint(&err,
			"does it expect TLS (mqtts://)? If not, see mqtt.url, mqtt.version and the "
			"broker's logging");
	} else {
		return false;
	}
	refusal_set_down(m, &err);
	return true;
}

/* paho gave up before TLS began: one of our files is unusable. */
static bool refusal_by_our_file(struct mqtt *m)
{
	const struct mqtt_options *o = &m->options;
	struct tls_files files = {o->tls_ca, o->tls_certificate, o->tls_key, o->tls_key_password};
	struct error err;
	bool tls = false;

	for (size_t i = 0; i < o->urls_count; i++)
		tls |= address_is_tls(m->uris[i]);
	if (!tls || tls_check_took_part() || tls_check_files(&files, &err))
		return false;
	mqtt_set_down(m, &err);
	return true;
}

static void refusal_hint_tls(struct mqtt *m, struct error *err)
{
	uint8_t beginning[GATE_BEGINNING_BYTES];

	error_hint(err, "see mqtt.tls_*, and the broker's certificate%s",
		gate_broker_began(m->gate, beginning) > 0
			? ""
			: "; and mqtt.url: without TLS it begins with mqtt://");
	error_needs_person(err);
}

/* A hint that fits the answer; also decides whether an older version is tried next. */
static void refusal_hint(struct mqtt *m, int code, struct error *err)
{
	bool v5 = m->version == MQTTVERSION_5;

	if (answer_refuses_version(code)) {
		if (v5 && m->options.version == MQTT_VERSION_AUTO) {
			m->fall_back = true;
			error_hint(err, "the broker does not speak MQTT 5: 3.1.1 is tried");
		} else {
			error_hint(err, "see mqtt.version");
			error_needs_person(err);
		}
	} else if (code == ANSWER_BAD_CREDENTIALS || code == ANSWER_NOT_AUTHORIZED ||
		   code == ANSWER_311_BAD_CREDENTIALS || code == ANSWER_311_NOT_AUTHORIZED) {
		error_hint(err, "see mqtt.user and mqtt.password, and the broker's access rules");
		error_needs_person(err);
	} else if (code == ANSWER_BAD_CLIENT_ID || code == ANSWER_311_BAD_CLIENT_ID) {
		error_hint(err, "see mqtt.client_id");
		error_needs_person(err);
	} else if (m->tls_error[0] != '\0') {
		refusal_hint_tls(m, err);
	} else if (!answer_refuses_connect(v5, code) && tls_check_took_part()) {
		/* Its alert comes after our side of the handshake is over, and paho drops it. */
		error_hint(err, "the broker ended the connection after the TLS handshake: %s",
			m->options.tls_certificate[0] == '\0'
				? "if it asks for a client certificate, set mqtt.tls_certificate"
				: "if mqtt.tls_certificate has expired, was revoked or is of an "
				  "authority that the broker does not know, renew it");
	}
}

void refusal_report(struct mqtt *m, int code, const char *message)
{
	bool v5 = m->version == MQTTVERSION_5;
	char fault[TLS_CHECK_TEXT_BYTES], where[GATE_TARGET_BYTES];
	struct error err;

	tls_check_fault(fault);
	gate_last_target(m->gate, where);
	if (fault[0] != '\0') {
		error_set(&err, ERROR_TRANSIENT, REASON_broker,
			"the certificate of the broker at %s is refused (certificate verify "
			"failed): %s",
			m->hosts == 1 ? where : "one of the addresses in mqtt.url", fault);
		error_hint(&err, "see mqtt.url, mqtt.tls_ca and mqtt.tls_crl, and the broker's "
				 "certificate; trying again does not help");
		error_needs_person(&err);
		refusal_set_down(m, &err);
		return;
	}
	if (refusal_by_nobody(m) || refusal_by_our_file(m) || refusal_by_stranger(m, code, where))
		return;
	pthread_mutex_lock(&m->lock);
	error_set(&err, ERROR_TRANSIENT, REASON_broker,
		"could not connect to the broker at %s: %s%s%s", where,
		answer_to_connect_text(v5, code, message), m->tls_error[0] != '\0' ? ": " : "",
		m->tls_error);
	pthread_mutex_unlock(&m->lock);
	refusal_hint(m, code, &err);
	if (err.hint[0] == '\0' && !answer_refuses_connect(v5, code))
		error_hint(&err, "%s", mqtt_hint_no_answer);
	refusal_set_down(m, &err);
}
