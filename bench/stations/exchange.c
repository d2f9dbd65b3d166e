#include "stations/exchange.h"

static const char *const action_names[ACTIONS_COUNT] = {
	[ACTION_AUTHORIZE] = "Authorize",
	[ACTION_BOOT_NOTIFICATION] = "BootNotification",
	[ACTION_CHANGE_CONFIGURATION] = "ChangeConfiguration",
	[ACTION_DATA_TRANSFER] = "DataTransfer",
	[ACTION_FIRMWARE_STATUS_NOTIFICATION] = "FirmwareStatusNotification",
	[ACTION_HEARTBEAT] = "Heartbeat",
	[ACTION_METER_VALUES] = "MeterValues",
	[ACTION_SECURITY_EVENT_NOTIFICATION] = "SecurityEventNotification",
	[ACTION_SET_VARIABLES] = "SetVariables",
	[ACTION_START_TRANSACTION] = "StartTransaction",
	[ACTION_STATUS_NOTIFICATION] = "StatusNotification",
	[ACTION_STOP_TRANSACTION] = "StopTransaction",
	[ACTION_TRANSACTION_EVENT] = "TransactionEvent",
	[ACTION_TRIGGER_MESSAGE] = "TriggerMessage",
};

const char *action_name(enum action action)
{
	return action_names[action];
}

static bool exchange_put_map(struct writer *w, content_put put, const struct content *c)
{
	bool empty;

	writer_map(w);
	if (put != NULL)
		put(w, c);
	empty = writer_count(w) == 0;
	writer_end(w);
	return empty;
}

/* MaEVE's map, in the order of its fields. Its gateway repeats the request beside a station's
 * answer to the CSMS, its manager does not repeat it beside the CSMS's answer to a station. */
static void exchange_put_envelope(struct writer *w, const struct envelope *e, bool *empty_out)
{
	const struct exchange *x = e->exchange;
	const struct content *c = e->content;

	writer_map(w);
	writer_pair_int(w, "type", e->kind);
	writer_key(w, "action");
	writer_word(w, action_name(x->action));
	writer_key(w, "id");
	writer_text(w, c->id);
	if (e->kind == MESSAGE_CALL || x->from_csms) {
		writer_key(w, "request");
		exchange_put_map(w, x->request, c);
	}
	if (e->kind == MESSAGE_RESULT) {
		writer_key(w, "response");
		*empty_out = exchange_put_map(w, x->response, c);
	}
	if (e->kind == MESSAGE_ERROR) {
		writer_key(w, "error_code");
		writer_word(w, c->error_code);
		writer_pair_text(w, "error_description", c->error_description);
	}
	writer_end(w);
}

static void exchange_put_frame(struct writer *w, const struct envelope *e, bool *empty_out)
{
	const struct exchange *x = e->exchange;
	const struct content *c = e->content;

	writer_array(w);
	writer_int(w, e->kind);
	writer_text(w, c->id);
	switch (e->kind) {
	case MESSAGE_CALL:
		writer_word(w, action_name(x->action));
		exchange_put_map(w, x->request, c);
		break;
	case MESSAGE_RESULT:
		*empty_out = exchange_put_map(w, x->response, c);
		break;
	case MESSAGE_ERROR:
		writer_word(w, c->error_code);
		writer_text(w, slice_from_cstr(c->error_description));
		exchange_put_map(w, NULL, c);
		break;
	}
	writer_end(w);
}

void exchange_put(struct writer *w, const struct envelope *e, bool *empty_out)
{
	*empty_out = false;
	if (e->shape == SHAPE_FRAME)
		exchange_put_frame(w, e, empty_out);
	else
		exchange_put_envelope(w, e, empty_out);
}

static const char *exchange_kind_name(enum message_kind kind)
{
	switch (kind) {
	case MESSAGE_CALL:
		return "call";
	case MESSAGE_RESULT:
		return "result";
	case MESSAGE_ERROR:
		return "error";
	}
	return "";
}

static void exchange_put_said(struct writer *w, const struct envelope *e)
{
	const struct exchange *x = e->exchange;
	const struct content *c = e->content;
	bool is_call = e->kind == MESSAGE_CALL;

	if (e->kind == MESSAGE_ERROR) {
		writer_pair_text(w, "error_code", c->error_code);
		writer_pair_text(w, "error_description", c->error_description);
	} else {
		writer_key(w, "payload");
		exchange_put_map(w, is_call ? x->request : x->response, c);
	}
	if (!is_call && x->from_csms && e->shape != SHAPE_FRAME) {
		writer_key(w, "request");
		exchange_put_map(w, x->request, c);
	}
}

static void exchange_put_event(struct writer *w, const struct envelope *e)
{
	const struct exchange *x = e->exchange;
	const struct content *c = e->content;
	bool is_call = e->kind == MESSAGE_CALL;

	fact_begin(w, "ocpp_events", c);
	if (is_call && c->time.size > 0)
		fact_time(w, c);
	writer_pair_text(w, "direction", is_call == x->from_csms ? "out" : "in");
	writer_pair_text(w, "kind", exchange_kind_name(e->kind));
	/* An OCPP-J answer does not name its action. */
	if (is_call || e->shape != SHAPE_FRAME)
		writer_pair_text(w, "action", action_name(x->action));
	fact_message_id(w, c);
	if (is_call && x->states_place) {
		int64_t evse = c->evse == NULL ? 0 : c->evse->id;

		fact_place(w, evse,
			c->station->version == OCPP_16 ? evse : (c->evse == NULL ? 0 : 1));
	}
	exchange_put_said(w, e);
	writer_end(w);
}

void exchange_put_facts(struct writer *w, const struct envelope *e, bool empty)
{
	content_put put = NULL;

	if (e->kind == MESSAGE_CALL)
		put = e->exchange->request_facts;
	else if (e->kind == MESSAGE_RESULT)
		put = e->exchange->response_facts;
	writer_array(w);
	if (put != NULL)
		put(w, e->content);
	else if (!empty)
		exchange_put_event(w, e);
	writer_end(w);
}

void content_put_time(struct writer *w, const struct content *c)
{
	writer_key(w, "timestamp");
	writer_text(w, stamp_slice(&c->time));
}

void content_put_current_time(struct writer *w, const struct content *c)
{
	struct stamp now;

	stamp_format(&now, c->answered_us, (struct stamp_style){.zulu = true});
	writer_key(w, "currentTime");
	writer_text(w, stamp_slice(&now));
}

void content_put_status(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "status", c->status);
}

void content_put_accepted(struct writer *w, const struct content *c)
{
	(void)c;
	writer_pair_text(w, "status", "Accepted");
}

void content_put_trigger(struct writer *w, const struct content *c)
{
	writer_pair_text(w, "requestedMessage", c->text);
}

void fact_time(struct writer *w, const struct content *c)
{
	writer_key(w, "time");
	writer_text(w, stamp_slice(&c->time));
}

void fact_message_id(struct writer *w, const struct content *c)
{
	writer_key(w, "message_id");
	writer_text(w, c->id);
}

void fact_begin(struct writer *w, const char *table, const struct content *c)
{
	writer_map(w);
	writer_pair_text(w, "t", table);
	writer_key(w, "station");
	writer_text(w, station_id(c->station));
}

void fact_place(struct writer *w, int64_t evse, int64_t connector)
{
	writer_pair_int(w, "evse", evse);
	writer_key(w, "connector");
	if (connector < 0)
		writer_null(w);
	else
		writer_int(w, connector);
}

void fact_readings(struct writer *w, const struct content *c, const char *source, bool states_place,
	bool states_seq)
{
	enum ocpp_version version = c->station->version;

	for (size_t i = 0; i < c->readings_count; i++) {
		int64_t evse = states_place ? c->evse->id : -1;
		bool is_event = version == OCPP_201 && states_seq;

		fact_begin(w, "meter_values", c);
		writer_key(w, "time");
		writer_text(w, stamp_slice(&c->readings[i].time));
		if (version == OCPP_16)
			fact_place(w, evse, evse);
		else
			fact_place(w, evse, is_event && states_place ? 1 : -1);
		if (c->session != NULL)
			writer_pair_text(w, "transaction", c->session->transaction);
		writer_pair_text(w, "source", source);
		if (states_seq)
			writer_pair_int(w, "seq", c->seq);
		writer_key(w, "samples");
		reading_put_fact(w, version, &c->readings[i]);
		writer_end(w);
	}
}

void fact_meter_values(struct writer *w, const struct content *c)
{
	fact_readings(w, c, "MeterValues", true, false);
}
