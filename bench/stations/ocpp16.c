#include "stations/ocpp16.h"

#include "stations/digits.h"

/* Payloads in the order in which MaEVE's schemas list their members. */

static void ocpp16_put_token_info(struct writer *w, const struct content *c)
{
	writer_key(w, "idTagInfo");
	writer_map(w);
	if (c->token->group != NULL)
		writer_pair_text(w, "parentIdTag", c->token->group);
	writer_pair_text(w, "status", c->token->status_16);
	writer_end(w);
}

static void ocpp16_put_authorize(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "idTag", c->token->id);
}

static void ocpp16_put_boot(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "chargePointVendor", c->station->maker->vendor);
	writer_pair_text(w, "chargePointModel", c->station->maker->model);
	writer_pair_text(w, "chargePointSerialNumber", c->station->serial);
	writer_pair_text(w, "firmwareVersion", c->station->maker->firmware);
}

static void ocpp16_put_boot_result(struct writer *w, const struct content *c)
{
	content_put_current_time(w, c);
	writer_pair_int(w, "interval", 300);
	writer_pair_text(w, "status", "Accepted");
}

static void ocpp16_put_configuration(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "key", c->text);
	writer_pair_text(w, "value", c->reason);
}

static void ocpp16_put_data_transfer(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "vendorId", "org.example.loadshare");
	writer_pair_text(w, "messageId", "GridLimit");
	writer_pair_text(w, "data", c->text);
}

static void ocpp16_put_meter_values(struct writer *w, const struct content *c)
{
	writer_pair_int(w, "connectorId", c->evse->id);
	if (c->session != NULL) {
		writer_pair_int(w, "transactionId", c->session->number);
	}
	writer_key(w, "meterValue");
	reading_put(w, OCPP_16, c->readings, c->readings_count);
}

static void ocpp16_put_start(struct writer *w, const struct content *c)
{
	writer_pair_int(w, "connectorId", c->evse->id);
	writer_pair_text(w, "idTag", c->token->id);
	writer_pair_int(w, "meterStart", c->meter_wh);
	if (c->reservation > 0) {
		writer_pair_int(w, "reservationId", c->reservation);
	}
	content_put_time(w, c);
}

static void ocpp16_put_start_result(struct writer *w, const struct content *c)
{
	ocpp16_put_token_info(w, c);
	writer_pair_int(w, "transactionId", c->numbers[c->attempt]);
}

static void ocpp16_put_status_notification(struct writer *w, const struct content *c)
{
	writer_pair_int(w, "connectorId", c->evse == NULL ? 0 : c->evse->id);
	writer_pair_text(w, "errorCode", c->reason == NULL ? "NoError" : c->reason);
	if (c->text != NULL)
		writer_pair_text(w, "info", c->text);
	writer_pair_text(w, "status", c->status);
	if (c->time.size > 0)
		content_put_time(w, c);
}

static void ocpp16_put_stop(struct writer *w, const struct content *c)
{
	if (c->token != NULL)
		writer_pair_text(w, "idTag", c->token->id);
	writer_pair_int(w, "meterStop", c->meter_wh);
	content_put_time(w, c);
	writer_pair_int(w, "transactionId", c->session->number);
	if (c->reason != NULL)
		writer_pair_text(w, "reason", c->reason);
	if (c->readings_count > 0) {
		writer_key(w, "transactionData");
		reading_put(w, OCPP_16, c->readings, c->readings_count);
	}
}

static void ocpp16_put_stop_result(struct writer *w, const struct content *c)
{
	if (c->token != NULL)
		ocpp16_put_token_info(w, c);
}

/* Facts. */

static void ocpp16_fact_int_text(struct writer *w, const char *key, int64_t value)
{
	uint8_t text[DIGITS_BYTES_MAX + 1];

	writer_key_bytes(w, key, strlen(key));
	writer_text(w, slice_of(text, (size_t)(put_signed(text, value) - text)));
}

static void ocpp16_fact_answer(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "status", c->token->status_16);
	if (c->token->group != NULL)
		writer_pair_text(w, "group", c->token->group);
	writer_end(w);
}

static void ocpp16_fact_authorize(struct writer *w, const struct content *c)
{
	fact_begin(w, "authorizations", c);
	fact_message_id(w, c);
	writer_pair_text(w, "token", c->token->id);
	writer_end(w);
}

static void ocpp16_fact_authorize_result(struct writer *w, const struct content *c)
{
	fact_begin(w, "authorization_results", c);
	fact_message_id(w, c);
	writer_pair_text(w, "token", c->token->id);
	ocpp16_fact_answer(w, c);
}

static void ocpp16_fact_start(struct writer *w, const struct content *c)
{
	fact_begin(w, "transaction_events", c);
	fact_time(w, c);
	fact_place(w, c->evse->id, c->evse->id);
	writer_pair_text(w, "event", "Started");
	writer_pair_text(w, "token", c->token->id);
	ocpp16_fact_int_text(w, "meter_start", c->meter_wh);
	if (c->reservation > 0)
		writer_pair_int(w, "reservation_id", c->reservation);
	writer_end(w);
}

static void ocpp16_fact_start_result(struct writer *w, const struct content *c)
{
	fact_begin(w, "transaction_starts", c);
	fact_time(w, c);
	writer_pair_int(w, "evse", c->evse->id);
	ocpp16_fact_int_text(w, "transaction", c->numbers[c->attempt]);
	ocpp16_fact_answer(w, c);
}

static void ocpp16_fact_stop(struct writer *w, const struct content *c)
{
	fact_begin(w, "transaction_events", c);
	fact_time(w, c);
	fact_place(w, -1, -1);
	writer_pair_text(w, "event", "Ended");
	writer_pair_text(w, "transaction", c->session->transaction);
	if (c->token != NULL)
		writer_pair_text(w, "token", c->token->id);
	ocpp16_fact_int_text(w, "meter_stop", c->meter_wh);
	if (c->reason != NULL)
		writer_pair_text(w, "reason", c->reason);
	writer_end(w);
	fact_readings(w, c, "StopTransaction", false, false);
}

const struct exchange ocpp16_authorize = {
	.action = ACTION_AUTHORIZE,
	.request = ocpp16_put_authorize,
	.response = ocpp16_put_token_info,
	.request_facts = ocpp16_fact_authorize,
	.response_facts = ocpp16_fact_authorize_result,
};
const struct exchange ocpp16_boot_notification = {
	.action = ACTION_BOOT_NOTIFICATION,
	.request = ocpp16_put_boot,
	.response = ocpp16_put_boot_result,
};
const struct exchange ocpp16_change_configuration = {
	.action = ACTION_CHANGE_CONFIGURATION,
	.from_csms = true,
	.request = ocpp16_put_configuration,
	.response = content_put_status,
};
const struct exchange ocpp16_data_transfer = {
	.action = ACTION_DATA_TRANSFER,
	.request = ocpp16_put_data_transfer,
	.response = content_put_accepted,
};
const struct exchange ocpp16_firmware_status_notification = {
	.action = ACTION_FIRMWARE_STATUS_NOTIFICATION,
	.request = content_put_status,
};
const struct exchange ocpp16_heartbeat = {
	.action = ACTION_HEARTBEAT,
	.response = content_put_current_time,
};
const struct exchange ocpp16_meter_values = {
	.action = ACTION_METER_VALUES,
	.request = ocpp16_put_meter_values,
	.request_facts = fact_meter_values,
};
const struct exchange ocpp16_start_transaction = {
	.action = ACTION_START_TRANSACTION,
	.request = ocpp16_put_start,
	.response = ocpp16_put_start_result,
	.request_facts = ocpp16_fact_start,
	.response_facts = ocpp16_fact_start_result,
};
const struct exchange ocpp16_status_notification = {
	.action = ACTION_STATUS_NOTIFICATION,
	.states_place = true,
	.request = ocpp16_put_status_notification,
};
const struct exchange ocpp16_stop_transaction = {
	.action = ACTION_STOP_TRANSACTION,
	.request = ocpp16_put_stop,
	.response = ocpp16_put_stop_result,
	.request_facts = ocpp16_fact_stop,
};
const struct exchange ocpp16_trigger_message = {
	.action = ACTION_TRIGGER_MESSAGE,
	.from_csms = true,
	.request = content_put_trigger,
	.response = content_put_status,
};
