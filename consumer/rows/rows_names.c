#include "rows/rows_private.h"

/*
 * An answer belongs to the call with its message id, and has that call's action. An envelope names
 * the action, an OCPP-J array does not, yet the two are one message and one row. Whoever knows the
 * action names the row: a copy, the call if it passed through here just before
 * (rows/recent_calls.h), or else pairing in the database, for which both leave a half.
 */

bool rows_is_answer(const struct message *m)
{
	return m->type == MESSAGE_RESULT || m->type == MESSAGE_ERROR ||
	       m->type == MESSAGE_RESULT_ERROR;
}

/* Whether the CSMS made the call: a result or an error goes the other way, CALLRESULTERROR the same
 * way. */
static bool message_is_of_csms(const struct message *m)
{
	bool out = m->direction == DIRECTION_OUT;

	return m->type == MESSAGE_CALL || m->type == MESSAGE_RESULT_ERROR ? out : !out;
}

static struct exchange_id message_exchange(const struct message *m)
{
	return (struct exchange_id){
		.station = m->station,
		.id = m->id,
		.trace = m->trace,
		.by_csms = message_is_of_csms(m),
		.received_us = m->received_us,
	};
}

static bool message_is_unnamed(const struct message *m)
{
	return rows_is_answer(m) && m->action.size == 0 && m->id.size > 0;
}

/* One shape of a message omits what is empty in another: a request, a response, error details. */
bool rows_settle_payload(struct rows_work *w)
{
	struct message *m = w->message;

	w->was_absent = m->payload == NULL;
	if (!w->was_absent)
		return true;
	m->payload = arena_alloc(w->arena, sizeof(*m->payload));
	if (m->payload == NULL)
		return false;
	*m->payload = (struct value){.kind = VALUE_MAP};
	return true;
}

bool rows_settle_name(struct rows_work *w)
{
	const struct message *m = w->message;
	struct exchange_id exchange = message_exchange(m);
	struct slice action;

	w->named = (struct slice){NULL, 0};
	if (w->builder->calls == NULL || !message_is_unnamed(m))
		return true;
	action = recent_calls_find(w->builder->calls, &exchange);
	if (slice_is_absent(action))
		return true;
	w->named = arena_copy(w->arena, action);
	return !slice_is_absent(w->named);
}

/* A call that is not stored still names its answer, which must not be stored either. */
void rows_note_skipped(struct rows_work *w)
{
	struct exchange_id exchange = message_exchange(w->message);

	if (w->builder->calls != NULL && w->message->type == MESSAGE_CALL &&
		w->message->id.size > 0)
		(void)recent_calls_add(w->builder->calls, &exchange, w->message->action);
}

static bool rows_has_half(const struct rows_work *w, char kind)
{
	for (const struct row *half = w->out->halves; half != NULL; half = half->next) {
		if (half->cells[TABLE_exchange_halves_half].number == kind)
			return true;
	}
	return false;
}

/* A half that exists only for its name is not worth a dead letter. */
static bool rows_half_has_room(const struct message *m)
{
	enum { HALF_MORE_BYTES = 64 };

	return m->station.size + m->id.size + HALF_MORE_BYTES <= ROWS_INDEX_BYTES_MAX;
}

static bool rows_add_name_half(struct rows_work *w, char kind)
{
	if (rows_has_half(w, kind) || !rows_half_has_room(w->message))
		return true;
	return rows_add_half(w, kind, w->message->action);
}

/* For a call, and for an answer without a name so far. */
bool rows_name_answer(struct rows_work *w)
{
	const struct message *m = w->message;
	struct exchange_id exchange = message_exchange(m);
	struct recent_calls *calls = w->builder->calls;

	if (m->id.size == 0 || (m->type != MESSAGE_CALL && !message_is_unnamed(m)))
		return true;
	if (m->type == MESSAGE_CALL)
		return calls == NULL || !recent_calls_add(calls, &exchange, m->action) ||
		       rows_add_name_half(w, exchange.by_csms ? 'C' : 'c');
	if (!slice_is_absent(w->named))
		return true;
	if (calls != NULL)
		recent_calls_miss(calls, &exchange);
	return rows_add_name_half(w, exchange.by_csms ? 'R' : 'r');
}

/* ---- rows of answers ---- */

bool row_is_answer(const struct row *row)
{
	struct slice kind;

	if (row->table->id != TABLE_ocpp_events)
		return false;
	kind = cell_text(row, TABLE_ocpp_events_kind);
	return slice_equal_cstr(kind, "result") || slice_equal_cstr(kind, "error") ||
	       slice_equal_cstr(kind, "result_error");
}

struct slice row_own_name(const struct row *row)
{
	if (!row_is_answer(row) || row->named_by_call)
		return slice_from_cstr("");
	return cell_text(row, TABLE_ocpp_events_action);
}

bool row_names_differ(const struct row *a, const struct row *b)
{
	struct slice x = row_own_name(a), y = row_own_name(b);

	return x.size > 0 && y.size > 0 && !slice_equal(x, y);
}

void row_adopt(struct row *row, const struct row *copy)
{
	struct slice name = cell_text(copy, TABLE_ocpp_events_action);

	if (!row_is_answer(row) || !row_is_answer(copy))
		return;
	if (name.size > 0 && (cell_text(row, TABLE_ocpp_events_action).size == 0 ||
				     (row->named_by_call && !copy->named_by_call))) {
		row->cells[TABLE_ocpp_events_action] = copy->cells[TABLE_ocpp_events_action];
		row->named_by_call = copy->named_by_call;
	}
	if (!row->cells[TABLE_ocpp_events_request].present)
		row->cells[TABLE_ocpp_events_request] = copy->cells[TABLE_ocpp_events_request];
}
