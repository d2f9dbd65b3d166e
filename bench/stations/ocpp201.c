#include "stations/ocpp201.h"

/* Payloads in the order in which MaEVE's examples list their members. */

static void ocpp201_put_token(struct writer *w, const struct content *c)
{
	writer_key(w, "idToken");
	writer_map(w);
	writer_pair_text(w, "idToken", c->token->id);
	writer_pair_text(w, "type", c->token->type);
	writer_end(w);
}

static void ocpp201_put_token_info(struct writer *w, const struct content *c)
{
	writer_key(w, "idTokenInfo");
	writer_map(w);
	writer_pair_text(w, "status", c->token->status_201);
	if (c->token->group != NULL) {
		writer_key(w, "groupIdToken");
		writer_map(w);
		writer_pair_text(w, "idToken", c->token->group);
		writer_pair_text(w, "type", "Central");
		writer_end(w);
	}
	writer_end(w);
}

static void ocpp201_put_boot(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "reason", c->reason);
	writer_key(w, "chargingStation");
	writer_map(w);
	writer_pair_text(w, "model", c->station->maker->model);
	writer_pair_text(w, "vendorName", c->station->maker->vendor);
	writer_pair_text(w, "serialNumber", c->station->serial);
	writer_pair_text(w, "firmwareVersion", c->station->maker->firmware);
	writer_end(w);
}

static void ocpp201_put_boot_result(struct writer *w, const struct content *c)
{
	content_put_current_time(w, c);
	writer_pair_int(w, "interval", 300);
	writer_pair_text(w, "status", "Accepted");
}

/* Unlike in 1.6, "data" may be anything. */
static void ocpp201_put_data_transfer(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "vendorId", "org.example.loadshare");
	writer_pair_text(w, "messageId", "GridLimit");
	writer_key(w, "data");
	writer_map(w);
	writer_pair_text(w, "site", c->text);
	writer_key(w, "limit");
	writer_amount(w, (struct amount){.units = 3250, .decimals = 2});
	writer_key(w, "strict");
	writer_bool(w, true);
	writer_end(w);
}

static void ocpp201_put_meter_values(struct writer *w, const struct content *c)
{
	writer_pair_int(w, "evseId", c->evse->id);
	writer_key(w, "meterValue");
	reading_put(w, OCPP_201, c->readings, c->readings_count);
}

static void ocpp201_put_security_event(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "type", c->status);
	content_put_time(w, c);
	if (c->text != NULL)
		writer_pair_text(w, "techInfo", c->text);
}

static void ocpp201_put_variable(struct writer *w, const struct content *c)
{
	writer_key(w, "component");
	writer_map(w);
	writer_pair_text(w, "name", c->text);
	writer_end(w);
	writer_key(w, "variable");
	writer_map(w);
	writer_pair_text(w, "name", c->reason);
	writer_end(w);
}

static void ocpp201_put_set_variables(struct writer *w, const struct content *c)
{
	writer_key(w, "setVariableData");
	writer_array(w);
	writer_map(w);
	writer_pair_text(w, "attributeValue", c->event);
	ocpp201_put_variable(w, c);
	writer_end(w);
	writer_end(w);
}

static void ocpp201_put_set_variables_result(struct writer *w, const struct content *c)
{
	writer_key(w, "setVariableResult");
	writer_array(w);
	writer_map(w);
	writer_pair_text(w, "attributeStatus", c->status);
	ocpp201_put_variable(w, c);
	writer_end(w);
	writer_end(w);
}

static void ocpp201_put_status_notification(struct writer *w, const struct content *c)
{
	content_put_time(w, c);
	writer_pair_text(w, "connectorStatus", c->status);
	writer_pair_int(w, "evseId", c->evse->id);
	writer_pair_int(w, "connectorId", 1);
}

static void ocpp201_put_transaction_info(struct writer *w, const struct content *c)
{
	writer_key(w, "transactionInfo");
	writer_map(w);
	writer_pair_text(w, "transactionId", c->session->transaction);
	if (c->state != NULL)
		writer_pair_text(w, "chargingState", c->state);
	if (c->seconds_charging > 0)
		writer_pair_int(w, "timeSpentCharging", c->seconds_charging);
	if (c->reason != NULL)
		writer_pair_text(w, "stoppedReason", c->reason);
	if (c->remote_start > 0)
		writer_pair_int(w, "remoteStartId", c->remote_start);
	writer_end(w);
}

static void ocpp201_put_event(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "eventType", c->event);
	content_put_time(w, c);
	writer_pair_text(w, "triggerReason", c->trigger);
	writer_pair_int(w, "seqNo", c->seq);
	if (c->offline) {
		writer_key(w, "offline");
		writer_bool(w, true);
	}
	if (c->lines_used > 0)
		writer_pair_int(w, "numberOfPhasesUsed", c->lines_used);
	if (c->cable_max.units > 0) {
		writer_key(w, "cableMaxCurrent");
		writer_amount(w, c->cable_max);
	}
	if (c->reservation > 0)
		writer_pair_int(w, "reservationId", c->reservation);
	ocpp201_put_transaction_info(w, c);
	if (c->states_evse) {
		writer_key(w, "evse");
		writer_map(w);
		writer_pair_int(w, "id", c->evse->id);
		writer_pair_int(w, "connectorId", 1);
		writer_end(w);
	}
	if (c->token != NULL)
		ocpp201_put_token(w, c);
	if (c->readings_count > 0) {
		writer_key(w, "meterValue");
		reading_put(w, OCPP_201, c->readings, c->readings_count);
	}
}

static void ocpp201_put_event_result(struct writer *w, const struct content *c)
{
	if (c->token != NULL)
		ocpp201_put_token_info(w, c);
	if (c->cost.units > 0) {
		writer_key(w, "totalCost");
		writer_amount(w, c->cost);
	}
}

/* Facts. */

static void ocpp201_fact_authorize(struct writer *w, const struct content *c)
{
	fact_begin(w, "authorizations", c);
	fact_message_id(w, c);
	writer_pair_text(w, "token", c->token->id);
	writer_pair_text(w, "token_type", c->token->type);
	writer_end(w);
}

static void ocpp201_fact_authorize_result(struct writer *w, const struct content *c)
{
	fact_begin(w, "authorization_results", c);
	fact_message_id(w, c);
	writer_pair_text(w, "token", c->token->id);
	writer_pair_text(w, "status", c->token->status_201);
	if (c->token->group != NULL)
		writer_pair_text(w, "group", c->token->group);
	writer_end(w);
}

static void ocpp201_fact_optional(struct writer *w, const struct content *c)
{
	if (c->token != NULL) {
		writer_pair_text(w, "token", c->token->id);
		writer_pair_text(w, "token_type", c->token->type);
	}
	if (c->state != NULL)
		writer_pair_text(w, "state", c->state);
	if (c->reason != NULL)
		writer_pair_text(w, "reason", c->reason);
	if (c->offline) {
		writer_key(w, "offline");
		writer_bool(w, true);
	}
	if (c->reservation > 0)
		writer_pair_int(w, "reservation_id", c->reservation);
	if (c->remote_start > 0)
		writer_pair_int(w, "remote_start_id", c->remote_start);
	if (c->lines_used > 0)
		writer_pair_int(w, "number_of_phases_used", c->lines_used);
	if (c->seconds_charging > 0)
		writer_pair_int(w, "time_spent_charging", c->seconds_charging);
	if (c->cable_max.units > 0) {
		uint8_t text[AMOUNT_BYTES];
		size_t size = w->format == WRITER_JSON_OF_MSGPACK
				      ? amount_shortest(c->cable_max, text)
				      : amount_text(c->cable_max, text);

		writer_key(w, "cable_max_current");
		writer_text(w, slice_of(text, size));
	}
}

static void ocpp201_fact_event(struct writer *w, const struct content *c)
{
	fact_begin(w, "transaction_events", c);
	fact_time(w, c);
	fact_place(w, c->states_evse ? c->evse->id : -1, c->states_evse ? 1 : -1);
	writer_pair_text(w, "event", c->event);
	writer_pair_text(w, "transaction", c->session->transaction);
	writer_pair_int(w, "seq", c->seq);
	writer_pair_text(w, "trigger", c->trigger);
	ocpp201_fact_optional(w, c);
	writer_end(w);
	fact_readings(w, c, "TransactionEvent", c->states_evse, true);
}

const struct exchange ocpp201_authorize = {
	.action = ACTION_AUTHORIZE,
	.request = ocpp201_put_token,
	.response = ocpp201_put_token_info,
	.request_facts = ocpp201_fact_authorize,
	.response_facts = ocpp201_fact_authorize_result,
};
const struct exchange ocpp201_boot_notification = {
	.action = ACTION_BOOT_NOTIFICATION,
	.request = ocpp201_put_boot,
	.response = ocpp201_put_boot_result,
};
const struct exchange ocpp201_data_transfer = {
	.action = ACTION_DATA_TRANSFER,
	.request = ocpp201_put_data_transfer,
	.response = content_put_accepted,
};
const struct exchange ocpp201_firmware_status_notification = {
	.action = ACTION_FIRMWARE_STATUS_NOTIFICATION,
	.request = content_put_status,
};
const struct exchange ocpp201_heartbeat = {
	.action = ACTION_HEARTBEAT,
	.response = content_put_current_time,
};
const struct exchange ocpp201_meter_values = {
	.action = ACTION_METER_VALUES,
	.request = ocpp201_put_meter_values,
	.request_facts = fact_meter_values,
};
const struct exchange ocpp201_security_event_notification = {
	.action = ACTION_SECURITY_EVENT_NOTIFICATION,
	.request = ocpp201_put_security_event,
};
const struct exchange ocpp201_set_variables = {
	.action = ACTION_SET_VARIABLES,
	.from_csms = true,
	.request = ocpp201_put_set_variables,
	.response = ocpp201_put_set_variables_result,
};
const struct exchange ocpp201_status_notification = {
	.action = ACTION_STATUS_NOTIFICATION,
	.states_place = true,
	.request = ocpp201_put_status_notification,
};
const struct exchange ocpp201_transaction_event = {
	.action = ACTION_TRANSACTION_EVENT,
	.request = ocpp201_put_event,
	.response = ocpp201_put_event_result,
	.request_facts = ocpp201_fact_event,
};
const struct exchange ocpp201_trigger_message = {
	.action = ACTION_TRIGGER_MESSAGE,
	.from_csms = true,
	.request = content_put_trigger,
	.response = content_put_status,
};
