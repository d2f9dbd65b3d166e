#include "mqtt/answers.h"

#include <stddef.h>
#include <stdio.h>

const char *answer_name(int code)
{
	static _Thread_local char unknown[32];
	const char *text = MQTTReasonCode_toString((enum MQTTReasonCodes)code);

	if (text != NULL)
		return text;
	snprintf(unknown, sizeof(unknown), "unknown reason code 0x%02x", (unsigned)code & 0xff);
	return unknown;
}

bool answer_is_refusal(const MQTTAsync_failureData5 *data)
{
	return (int)data->reasonCode >= ANSWER_FAILURE;
}

const char *answer_why(const MQTTAsync_failureData5 *data)
{
	if (answer_is_refusal(data))
		return answer_name((int)data->reasonCode);
	return data->message != NULL ? data->message : MQTTAsync_strerror(data->code);
}

const char *answer_why_311(const MQTTAsync_failureData *data)
{
	return data->message != NULL ? data->message : MQTTAsync_strerror(data->code);
}

int answer_first_refusal(int filters, const enum MQTTReasonCodes *codes, int codes_count,
	enum MQTTReasonCodes only, int *code_out)
{
	for (int i = 0; i < filters; i++) {
		/* With a single filter paho returns the code in another place. */
		*code_out = (int)(codes_count > 1 && i < codes_count ? codes[i] : only);
		if (*code_out >= ANSWER_FAILURE)
			return i;
	}
	return -1;
}

int answer_to_connect(const MQTTAsync_failureData5 *data)
{
	return answer_is_refusal(data) ? (int)data->reasonCode : data->code;
}

bool answer_refuses_connect(bool v5, int code)
{
	return v5 ? code >= ANSWER_FAILURE
		  : code >= ANSWER_311_BAD_VERSION && code <= ANSWER_311_NOT_AUTHORIZED;
}

bool answer_refuses_version(int code)
{
	return code == ANSWER_BAD_VERSION || code == ANSWER_311_BAD_VERSION;
}

/* paho's own text is only "CONNACK return code". */
const char *answer_to_connect_text(bool v5, int code, const char *message)
{
	static const char *const v3[] = {
		[ANSWER_311_BAD_VERSION] = "unacceptable protocol version",
		[ANSWER_311_BAD_CLIENT_ID] = "client id rejected",
		[ANSWER_311_UNAVAILABLE] = "server unavailable",
		[ANSWER_311_BAD_CREDENTIALS] = "bad user name or password",
		[ANSWER_311_NOT_AUTHORIZED] = "not authorized",
	};

	if (v5 && code >= ANSWER_FAILURE)
		return answer_name(code);
	if (code > 0 && code < (int)(sizeof(v3) / sizeof(*v3)))
		return v3[code];
	return message != NULL ? message : MQTTAsync_strerror(code);
}
