#ifndef MQTT_ANSWERS_H
#define MQTT_ANSWERS_H

#include <MQTTAsync.h>
#include <stdbool.h>

/*
 * The broker's answers, as far as paho passes them on: whether one is a refusal, of what, and why,
 * in words. Other codes are paho's own: negative, or 0.
 *
 * Any thread. Texts are constant, or paho's during its callback, unless a function says otherwise.
 */

enum {
	/* OASIS MQTT 5.0, section 2.4. Failures are from the first on, as in 3.1.1's answer to a
	 * subscription. */
	ANSWER_FAILURE = 0x80,
	ANSWER_BAD_VERSION = 0x84,
	ANSWER_BAD_CLIENT_ID = 0x85,
	ANSWER_BAD_CREDENTIALS = 0x86,
	ANSWER_NOT_AUTHORIZED = 0x87,
	ANSWER_TAKEN_OVER = 0x8e,
	/* OASIS MQTT 3.1.1, section 3.2.2.3: of CONNECT only */
	ANSWER_311_BAD_VERSION = 1,
	ANSWER_311_BAD_CLIENT_ID = 2,
	ANSWER_311_UNAVAILABLE = 3,
	ANSWER_311_BAD_CREDENTIALS = 4,
	ANSWER_311_NOT_AUTHORIZED = 5,
};

/* The name of a reason code of MQTT 5, or its number if it has none. Valid until this thread calls
 * it again. */
const char *answer_name(int code);

/* Whether the broker answered with a refusal; and in words why there is no better answer. */
bool answer_is_refusal(const MQTTAsync_failureData5 *data);
const char *answer_why(const MQTTAsync_failureData5 *data);
const char *answer_why_311(const MQTTAsync_failureData *data);

/*
 * The first of the refusals in an answer to a request with several filters, for which paho has
 * these codes: its place, or -1. *code_out: which refusal.
 */
int answer_first_refusal(int filters, const enum MQTTReasonCodes *codes, int codes_count,
	enum MQTTReasonCodes only, int *code_out);

/* Why an attempt to connect failed: the code of the broker's answer, or paho's own. */
int answer_to_connect(const MQTTAsync_failureData5 *data);

/* By that code: did the broker answer, with a refusal; is it that it does not speak the version;
 * and in words why. message: paho's, or NULL. mosquitto answers as in 3.1.1 that it does not speak
 * MQTT 5, so v5 makes no difference to that. */
bool answer_refuses_connect(bool v5, int code);
bool answer_refuses_version(int code);
const char *answer_to_connect_text(bool v5, int code, const char *message);

#endif
