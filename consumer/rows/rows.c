#include "rows/rows.h"

#include "rows/flags.h"
#include "rows/rows_private.h"

/* The station and transaction names of reported flags: as much as fits into an index beside time,
 * EVSE and flags. */
enum { FLAGS_NAMES_MAX = ROWS_INDEX_BYTES_MAX - 64 };

static bool rows_full(struct error *err)
{
	return error_set(err, ERROR_FULL, REASON_arena_full, "no room for the rows of a message");
}

/* An empty answer belongs to its call, which is stored. */
static bool rows_is_empty_result(const struct message *m)
{
	return m->type == MESSAGE_RESULT &&
	       (m->payload == NULL || (m->payload->kind == VALUE_MAP && m->payload->count == 0));
}

static const char *rows_skip(const struct rows_work *w)
{
	const struct rows_builder *b = w->builder;
	const struct message *m = w->message;
	struct slice action = slice_is_absent(w->named) ? m->action : w->named;

	for (size_t i = 0; i < b->options.skip_actions_count; i++) {
		if (slice_equal(action, b->options.skip_actions[i]))
			return "action";
	}
	/* A request repeated by the gateway is content: we may not have seen it. */
	if (!b->options.results_all && rows_is_empty_result(m) && m->request == NULL)
		return "empty_result";
	return NULL;
}

/* ---- identity ---- */

/* former: as in earlier versions, in which an answer's digest included its action. */
static void rows_put_identity(struct text *t, const struct row *row, const struct rows_work *w,
	bool former)
{
	const struct message *m = w->message;

	text_put_cstr(t, row->table->name);
	text_put_char(t, '|');
	text_put_cstr(t, message_type_name(m->type));
	text_put_char(t, '|');
	if (former || !rows_is_answer(m))
		text_put_slice(t, m->action);
	text_put_char(t, '|');
	if (row_is_timeless(row)) {
		text_put_cstr(t, m->direction == DIRECTION_IN ? "in|" : "out|");
		text_put_json_string(t, m->id);
		text_put_char(t, '|');
		text_put_slice(t, m->trace);
		text_put_char(t, '|');
	}
	if (!former || !w->was_absent)
		value_put_canonical(t, m->payload);
	if (m->error_code.size > 0 || m->error_description.size > 0) {
		text_put_char(t, '|');
		text_put_json_string(t, m->error_code);
		text_put_json_string(t, m->error_description);
	}
}

static bool rows_set_digest_of(struct rows_work *w, struct row *row, bool former)
{
	struct arena_mark mark = arena_mark(w->arena);
	struct slice content;
	struct text t;

	text_begin(&t, w->arena);
	rows_put_identity(&t, row, w, former);
	content = text_end(&t);
	if (slice_is_absent(content))
		return false;
	row_set_digest(w, row, content);
	arena_rewind(w->arena, mark);
	return true;
}

/* The digests of earlier versions are recognised, too, because a log that they stored may be
 * replayed. */
static bool rows_set_digest(struct rows_work *w, struct row *row)
{
	const struct message *m = w->message;

	if ((rows_is_answer(m) && m->action.size > 0) || w->was_absent) {
		if (!rows_set_digest_of(w, row, true))
			return false;
		row->former_digest = row->cells[KEY_DIGEST].number;
	}
	return rows_set_digest_of(w, row, false);
}

/* ---- rows ---- */

static bool rows_set_json(struct rows_work *w, struct row *row, int column, const struct value *v)
{
	struct slice json;
	struct text t;

	if (v == NULL)
		return true;
	text_begin(&t, w->arena);
	value_put_json(&t, v);
	json = text_end(&t);
	cell_set_text(row, column, json);
	return !slice_is_absent(json);
}

static bool rows_lacks_details(const struct message *m)
{
	return (m->type == MESSAGE_ERROR || m->type == MESSAGE_RESULT_ERROR) &&
	       m->payload->kind == VALUE_MAP && m->payload->count == 0;
}

/* Lists of messages without a table of their own that views or the store read. An object in place
 * of a list counts as a list of one (json_items()); the payload stays as it was sent. */
static bool rows_has_object_for_list(const struct message *m, const struct value *payload)
{
	static const struct {
		struct slice field;
		const char *action; /* if others have an object of that name; or NULL */
	} lists[] = {
		{SLICE("configurationKey"), NULL},
		{SLICE("setVariableData"), NULL},
		{SLICE("setVariableResult"), NULL},
		{SLICE("getVariableData"), NULL},
		{SLICE("getVariableResult"), NULL},
		{SLICE("localAuthorizationList"), NULL},
		{SLICE("setMonitoringData"), NULL},
		{SLICE("setMonitoringResult"), NULL},
		{SLICE("clearMonitoringResult"), NULL},
		{SLICE("eventData"), NULL},
		{SLICE("messageInfo"), NULL},
		{SLICE("monitor"), NULL},
		{SLICE("reportData"), NULL},
		{SLICE("chargingProfile"), "ReportChargingProfiles"},
		{SLICE("data"), "NotifyPeriodicEventStream"},
	};

	for (size_t i = 0; payload != NULL && i < sizeof(lists) / sizeof(*lists); i++) {
		const struct value *v = value_get(payload, lists[i].field);

		if (v != NULL && v->kind == VALUE_MAP &&
			(lists[i].action == NULL || slice_equal_cstr(m->action, lists[i].action)))
			return true;
	}
	return false;
}

static bool rows_set_event_columns(struct rows_work *w, struct row *row)
{
	const struct message *m = w->message;

	if (rows_has_object_for_list(m, m->payload) || rows_has_object_for_list(m, m->request))
		rows_set_flag(row, FLAG_shape);

	cell_set_text(row, TABLE_ocpp_events_direction,
		slice_from_cstr(m->direction == DIRECTION_IN ? "in" : "out"));
	cell_set_text(row, TABLE_ocpp_events_kind, slice_from_cstr(message_type_name(m->type)));
	cell_set_text(row, TABLE_ocpp_events_action,
		slice_is_absent(w->named) ? m->action : w->named);
	row->named_by_call = !slice_is_absent(w->named);
	/* Copies of a message with its own time may differ in their trace. */
	if (m->trace.size > 0 && row_is_timeless(row))
		cell_set_text(row, TABLE_ocpp_events_trace_id, m->trace);
	if (m->error_code.size > 0)
		cell_set_text(row, TABLE_ocpp_events_error_code, m->error_code);
	if (m->error_description.size > 0)
		cell_set_text(row, TABLE_ocpp_events_error_description, m->error_description);
	/* Empty error details ({}) count as none. */
	return rows_set_json(w, row, TABLE_ocpp_events_payload,
		       rows_lacks_details(m) ? NULL : m->payload) &&
	       rows_set_json(w, row, TABLE_ocpp_events_request, m->request);
}

/* A message without a schema, or one that yielded no row. */
static bool rows_generic(struct rows_work *w)
{
	struct row *row = rows_add(w, TABLE_ocpp_events);

	return row != NULL && rows_set_event_columns(w, row) && rows_set_digest(w, row);
}

/* One row from the payload itself. */
static bool rows_single(struct rows_work *w, const struct schema_block *block)
{
	struct row *row = rows_add(w, block->table->id);

	if (row == NULL)
		return false;
	rows_fill(w, row, block, w->message->payload);
	if (row->table->id == TABLE_ocpp_events && !rows_set_event_columns(w, row))
		return false;
	/* State tables have the digest of their event, to decide between equal times. */
	if (row != w->out->first) {
		row->cells[KEY_DIGEST] = w->out->first->cells[KEY_DIGEST];
		return true;
	}
	return rows_set_digest(w, row);
}

/* Everything that no column took, for rows that do not keep the whole payload. */
static bool rows_set_extra(struct rows_work *w)
{
	struct row *row = w->out->first;
	struct text t;
	int column;

	if (row == NULL || value_is_spent(w->message->payload) ||
		(w->message->payload->kind == VALUE_MAP && w->message->payload->count == 0))
		return true;
	if (row->table->id == TABLE_transaction_events)
		column = TABLE_transaction_events_extra;
	else if (row->table->id == TABLE_authorizations)
		column = TABLE_authorizations_extra;
	else
		return true;
	text_begin(&t, w->arena);
	value_put_json_unused(&t, w->message->payload);
	cell_set_text(row, column, text_end(&t));
	return row->cells[column].present;
}

static bool rows_events(struct rows_work *w)
{
	const struct value *payload = w->message->payload;

	if (w->schema == NULL || payload == NULL || payload->kind != VALUE_MAP)
		return true;
	for (size_t i = 0; i < w->schema->blocks_count; i++) {
		const struct schema_block *block = &w->schema->blocks[i];

		if (block->kind == SCHEMA_ROW && !rows_single(w, block))
			return false;
		if (block->kind == SCHEMA_ROWS && !rows_meter_values(w, block))
			return false;
	}
	return rows_set_extra(w);
}

/* ---- halves ---- */

/* For an answer that does not name its action: among the possible messages, the one whose required
 * fields match best. */
static const struct schema_message *rows_guess_result(struct rows_work *w)
{
	const struct message *m = w->message;
	const struct schema_message *best = NULL;
	size_t best_present = 0, best_missing = 0;

	for (size_t i = 0;; i++) {
		const struct schema_message *s = schemas_at(w->builder->schemas, i);
		size_t missing = 0, present = 0;

		if (s == NULL)
			return best;
		if (s->version != m->version || s->type != MESSAGE_RESULT || s->blocks_count == 0)
			continue;
		for (size_t f = 0; f < s->blocks[0].fields_count; f++) {
			const struct schema_field *field = &s->blocks[0].fields[f];

			if (!field->required)
				continue;
			if (schema_get(&field->path, m->payload, m->payload) != NULL)
				present++;
			else
				missing++;
		}
		if (present > best_present ||
			(present > 0 && present == best_present && missing < best_missing)) {
			best = s;
			best_present = present;
			best_missing = missing;
		}
	}
}

void row_settle_half(struct row *half)
{
	if (half->refers == NULL)
		return;
	half->cells[TABLE_exchange_halves_event_time] = half->refers->cells[KEY_TIME];
	half->cells[TABLE_exchange_halves_evse_id] = half->refers->cells[KEY_EVSE];
	half->cells[TABLE_exchange_halves_digest] = half->refers->cells[KEY_DIGEST];
}

/* A call whose result matters, or could be mistaken for the result of another call with the same
 * message id. */
static bool rows_is_paired(const struct rows_work *w)
{
	const struct row *first = w->out->first;

	if (!w->schema->paired || first->table->id == TABLE_ocpp_events)
		return false;
	/* 2.x: the answer matters only if the event has a token. */
	return first->table->id != TABLE_transaction_events || w->message->version == VERSION_16 ||
	       first->cells[TABLE_transaction_events_id_token].present;
}

/* The schema by which a result has something for its call, or NULL. */
static const struct schema_message *rows_half_of_result(struct rows_work *w)
{
	const struct message *m = w->message;
	const struct schema_message *schema = w->schema;

	if (m->payload == NULL)
		return NULL;
	if (m->action.size == 0)
		schema = rows_guess_result(w);
	return schema != NULL && schema->blocks_count > 0 ? schema : NULL;
}

/* A half for a call whose result matters, or for a result that a call may wait for. A result that
 * does not name its action may be either. */
static bool rows_half(struct rows_work *w)
{
	const struct message *m = w->message;
	const struct schema_message *schema;

	if (m->id.size == 0)
		return true;
	if (m->type != MESSAGE_RESULT)
		return w->schema == NULL || !rows_is_paired(w) ||
		       rows_add_half(w, 'c', w->schema->action);
	schema = rows_half_of_result(w);
	if (schema == NULL)
		return true;
	if (!rows_add_half(w, 'r', m->action))
		return false;
	rows_fill(w, w->out->halves, &schema->blocks[0], m->payload);
	/* Without the field that its call waits for, a half is useless. */
	if (!w->out->halves->cells[TABLE_exchange_halves_transaction_id].present &&
		!w->out->halves->cells[TABLE_exchange_halves_id_token_status].present)
		w->out->halves = w->out->halves->next;
	return true;
}

/* ---- answers that change the store ---- */

/* Calls from the CSMS that change the store; for the last two, the answer has all the data. */
static bool rows_tells_store(struct slice action)
{
	static const char *const actions[] = {"ChangeConfiguration", "SetVariables",
		"TriggerMessage", "ExtendedTriggerMessage", "InstallCertificate",
		"CertificateSigned", "GetConfiguration", "GetVariables"};

	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (slice_equal_cstr(action, actions[i]))
			return true;
	}
	return false;
}

/* An answer that does not name its action. */
static bool rows_may_tell_store(const struct value *payload)
{
	static const struct slice fields[] = {SLICE("status"), SLICE("setVariableResult"),
		SLICE("getVariableResult"), SLICE("configurationKey")};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (value_get(payload, fields[i]) != NULL)
			return true;
	}
	return false;
}

/* Keep the call or the answer of such an exchange. */
static bool rows_answer(struct rows_work *w)
{
	const struct message *m = w->message;
	const struct row *first = w->out->first;
	bool call = m->direction == DIRECTION_OUT && m->type == MESSAGE_CALL;
	bool result = m->direction == DIRECTION_IN && m->type == MESSAGE_RESULT;

	if ((!call && !result) || first->table->id != TABLE_ocpp_events || m->id.size == 0 ||
		w->out->halves != NULL ||
		!(rows_tells_store(m->action) ||
			(result && m->action.size == 0 && rows_may_tell_store(m->payload))))
		return true;
	return rows_add_half(w, result ? 'R' : 'C', m->action);
}

/* ---- transactions ---- */

/* What a message that is not an event of a transaction says about it. */
static bool rows_fact(struct rows_work *w, const struct schema_block *block)
{
	struct row *row = row_new(w->arena, TABLE_transactions), *waiting;
	struct transaction *t;
	struct slice id, cost;

	if (row == NULL)
		return false;
	rows_fill(w, row, block, w->message->payload);
	id = cell_text(row, TABLE_transactions_transaction_id);
	cost = cell_text(row, TABLE_transactions_total_cost);
	if (id.size == 0 || slice_is_absent(cost))
		return true;
	t = transaction_new(w->arena, w->message->station, id);
	waiting = rows_add(w, TABLE_reported_costs);
	if (t == NULL || waiting == NULL)
		return false;
	for (int key = 0; key < KEY_COLUMNS; key++)
		waiting->cells[key] = w->out->first->cells[key];
	cell_set_text(waiting, TABLE_reported_costs_transaction_id, id);
	cell_set_text(waiting, TABLE_reported_costs_total_cost, cost);
	t->earliest_us = w->message->received_us;
	transaction_add_cost(t, cost, w->message->received_us,
		(uint64_t)w->out->first->cells[KEY_DIGEST].number);
	w->out->transaction = t;
	return true;
}

static void rows_put_reading(struct text *t, const char *name, const struct reading *r)
{
	text_put_char(t, '"');
	text_put_cstr(t, name);
	text_put_cstr(t, "\":[");
	text_put_int(t, r->kind);
	text_put_char(t, ',');
	text_put_int(t, r->place);
	text_put_char(t, ',');
	text_put_int(t, r->time_us);
	text_put_char(t, ',');
	if (slice_is_absent(r->wh))
		text_put_cstr(t, "null");
	else
		text_put_json_string(t, r->wh);
	text_put_char(t, ']');
}

/* What the samples say about start and end, and what is odd about them, for sessions that are
 * rebuilt from their events. */
static bool rows_set_readings(struct rows_work *w, struct row *event, int64_t flags)
{
	struct text t;

	if (w->reading_start.kind == 0 && w->reading_stop.kind == 0 && flags == 0)
		return true;
	text_begin(&t, w->arena);
	text_put_char(&t, '{');
	if (w->reading_start.kind > 0)
		rows_put_reading(&t, "start", &w->reading_start);
	if (w->reading_start.kind > 0 && w->reading_stop.kind > 0)
		text_put_char(&t, ',');
	if (w->reading_stop.kind > 0)
		rows_put_reading(&t, "stop", &w->reading_stop);
	if (flags != 0) {
		if (w->reading_start.kind > 0 || w->reading_stop.kind > 0)
			text_put_char(&t, ',');
		text_put_cstr(&t, "\"flags\":");
		text_put_int(&t, flags);
	}
	text_put_char(&t, '}');
	cell_set_text(event, TABLE_transaction_events_readings, text_end(&t));
	return event->cells[TABLE_transaction_events_readings].present;
}

/* What is odd about a row of meter values, without the program's own layout_in_row. */
static int64_t rows_value_flags(const struct row *row)
{
	return row->table->id != TABLE_meter_values
		       ? 0
		       : row->cells[TABLE_meter_values_flags].number & ~(int64_t)FLAG_layout_in_row;
}

/*
 * Flags of meter values that name a transaction without being an event of it. Most have none. Names
 * that are too long belong to no transaction (rows_limits.c).
 */
static bool rows_reported_flags(struct rows_work *w)
{
	struct row *values = w->out->first;
	struct slice id = cell_text(values, TABLE_meter_values_transaction_id);

	if (id.size == 0 || id.size + w->message->station.size > FLAGS_NAMES_MAX)
		return true;
	for (struct row *v = values; v != NULL; v = v->next) {
		int64_t flags = rows_value_flags(v);
		int64_t at_us =
			row_is_undated(v) ? w->message->received_us : v->cells[KEY_TIME].number;
		struct transaction *t;
		struct row *reported;

		if (flags == 0)
			continue;
		t = transaction_new_flags(w->arena, w->message->station, id, flags, at_us);
		reported = rows_add(w, TABLE_reported_flags);
		if (t == NULL || reported == NULL)
			return false;
		cell_set_text(reported, TABLE_reported_flags_transaction_id, id);
		cell_set_number(reported, TABLE_reported_flags_event_time, at_us);
		reported->cells[TABLE_reported_flags_evse_id] = v->cells[KEY_EVSE];
		cell_set_number(reported, TABLE_reported_flags_flags, flags);
		if (w->out->transaction == NULL)
			w->out->transaction = t;
		else if (!transaction_merge(w->out->transaction, t, w->arena))
			return false;
	}
	return true;
}

static bool rows_transaction(struct rows_work *w)
{
	struct row *event = w->out->first;
	int64_t flags = 0;
	uint64_t digest = (uint64_t)event->cells[KEY_DIGEST].number;
	struct transaction *t;
	struct slice id;

	for (size_t i = 0; w->schema != NULL && i < w->schema->blocks_count; i++) {
		if (w->schema->blocks[i].kind == SCHEMA_FACT && w->message->payload != NULL)
			return rows_fact(w, &w->schema->blocks[i]);
	}
	if (event->table->id == TABLE_meter_values)
		return rows_reported_flags(w);
	if (event->table->id != TABLE_transaction_events)
		return true;
	id = cell_text(event, TABLE_transaction_events_transaction_id);
	if (id.size == 0)
		return true;
	t = w->message->version == VERSION_16
		    ? transaction_new_16(w->arena, w->message->station, id, digest)
		    : transaction_new(w->arena, w->message->station, id);
	if (t == NULL || !transaction_add_event(t, event, NULL, w->arena))
		return false;
	if (w->reading_start.kind > 0)
		transaction_add_reading(t, true, &w->reading_start, digest);
	if (w->reading_stop.kind > 0)
		transaction_add_reading(t, false, &w->reading_stop, digest);
	for (const struct row *row = event; row != NULL; row = row->next)
		flags |= rows_value_flags(row);
	flags &= ~event->cells[TABLE_transaction_events_flags].number;
	t->row->cells[TABLE_transactions_flags].number |= flags;
	w->out->transaction = t;
	return rows_set_readings(w, event, flags);
}

bool rows_from_message(struct rows_builder *b, struct message *m, struct arena *arena,
	struct rows_result *out, struct error *err)
{
	struct rows_work w = {.builder = b, .message = m, .arena = arena, .out = out};

	*out = (struct rows_result){.first = NULL};
	if (!rows_use_pseudonyms(&w))
		return rows_full(err);
	if (!slice_is_absent(m->entity))
		return rows_store(&w, err);
	if (!rows_settle_payload(&w) || !rows_settle_name(&w))
		return rows_full(err);
	out->skipped = rows_skip(&w);
	if (out->skipped != NULL) {
		rows_note_skipped(&w);
		return true;
	}
	w.schema = schemas_find(b->schemas, m->version, m->type, m->action);
	if (!rows_events(&w))
		return rows_full(err);
	/* No schema, or it yielded no row: store the message as it is. */
	if (out->first == NULL && !rows_generic(&w))
		return rows_full(err);
	if (!rows_transaction(&w) || !rows_half(&w) || !rows_answer(&w) || !rows_name_answer(&w) ||
		w.full)
		return rows_full(err);
	rows_expire(b, out);
	return rows_fit_indexes(out, err);
}
