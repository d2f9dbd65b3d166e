#include "copy/writer_private.h"
#include "store/roaming.h"

/*
 * A station's answers to the CSMS concern the store, too: a setting was accepted or refused, a
 * message was triggered, a certificate installed. answers.sql finds what belongs together; then
 * rows are made as if the CSMS had sent them to the store at the time the answer was received, and
 * they are handled the same way.
 */
enum { ANSWERS_KEY_BYTES_MAX = 255 };

/* Columns of answers.sql. */
enum answer_column {
	ANSWER_KIND,
	ANSWER_STATION,
	ANSWER_TIME,
	ANSWER_NAME,
	ANSWER_VALUE,
	ANSWER_STATUS,
	ANSWER_CONNECTOR,
};

struct answer {
	struct arena *arena;
	struct slice station, name, value, status;
	int64_t received_us;
	int64_t connector; /* OCPP_NONE = not stated */
};

static bool answer_read(struct answer *a, const PGresult *result, int i)
{
	struct slice *const fields[] = {&a->station, &a->name, &a->value, &a->status};
	static const int columns[] = {ANSWER_STATION, ANSWER_NAME, ANSWER_VALUE, ANSWER_STATUS};

	for (size_t f = 0; f < sizeof(columns) / sizeof(*columns); f++) {
		struct slice text = result_text(result, i, columns[f]);

		*fields[f] = slice_is_absent(text) ? text : arena_copy(a->arena, text);
		if (slice_is_absent(*fields[f]) != slice_is_absent(text))
			return false;
	}
	a->received_us = result_time(result, i, ANSWER_TIME);
	a->connector = OCPP_NONE;
	if (!PQgetisnull(result, i, ANSWER_CONNECTOR))
		a->connector = result_int8(result, i, ANSWER_CONNECTOR);
	if (a->connector < 0 || a->connector > INT32_MAX)
		a->connector = OCPP_NONE;
	return true;
}

static struct row *answer_row(const struct answer *a, enum table_id table)
{
	struct row *row = row_new(a->arena, table);

	if (row != NULL) {
		row->message = ROW_OF_NO_MESSAGE;
		cell_set_text(row, 0, a->station);
	}
	return row;
}

static struct row *answer_setting(const struct answer *a)
{
	struct row *row = answer_row(a, TABLE_store_setting);

	if (row == NULL)
		return NULL;
	cell_set_text(row, TABLE_store_setting_key, a->name);
	cell_set_text(row, TABLE_store_setting_value, a->value);
	cell_set_text(row, TABLE_store_setting_status, a->status);
	cell_set_number(row, TABLE_store_setting_last_updated, a->received_us);
	cell_set_number(row, TABLE_store_setting_deleted, false);
	return row;
}

/* An accepted trigger is done. */
static struct row *answer_trigger(const struct answer *a)
{
	struct row *row = answer_row(a, TABLE_store_trigger);
	bool done = slice_equal_cstr(a->status, "Accepted");

	if (row == NULL)
		return NULL;
	cell_set_text(row, TABLE_store_trigger_message_type, done ? slice_from_cstr("") : a->name);
	cell_set_text(row, TABLE_store_trigger_status, done ? slice_from_cstr("") : a->status);
	if (!done && a->connector != OCPP_NONE)
		cell_set_number(row, TABLE_store_trigger_connector_id, a->connector);
	cell_set_number(row, TABLE_store_trigger_last_updated, a->received_us);
	cell_set_number(row, TABLE_store_trigger_deleted, done);
	return row;
}

/* False if the arena is full. Without a certificate it makes no row. */
static bool answer_certificate(const struct answer *a, struct row **out)
{
	char *pem = (char *)arena_bytes(a->arena, a->value.size + 1);
	char text[OCPP_CERTIFICATE_ID_BYTES];
	struct row *row;
	struct slice id;

	*out = NULL;
	if (pem == NULL)
		return false;
	if (a->value.size > 0)
		memcpy(pem, a->value.data, a->value.size);
	pem[a->value.size] = '\0';
	if (!ocpp_certificate_id(pem, text, NULL))
		return true;
	id = arena_copy(a->arena, slice_from_cstr(text));
	row = answer_row(a, TABLE_store_install_certificate);
	if (slice_is_absent(id) || row == NULL)
		return false;
	cell_set_text(row, TABLE_store_install_certificate_certificate_id, id);
	cell_set_text(row, TABLE_store_install_certificate_certificate_type, a->name);
	cell_set_text(row, TABLE_store_install_certificate_certificate, a->value);
	cell_set_text(row, TABLE_store_install_certificate_status, a->status);
	cell_set_number(row, TABLE_store_install_certificate_last_updated, a->received_us);
	cell_set_number(row, TABLE_store_install_certificate_deleted, false);
	*out = row;
	return true;
}

/* An answer that OCPP does not allow changes nothing. */
static bool answer_says_something(const struct answer *a)
{
	return a->name.size > 0 && a->name.size <= ANSWERS_KEY_BYTES_MAX && a->status.size > 0;
}

static bool answers_on_result(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	struct batch *b = w->work.batch;

	(void)number;
	for (int i = 0; i < PQntuples(result); i++) {
		struct answer a = {.arena = &b->arena};
		struct row *row = NULL;
		bool ok = answer_read(&a, result, i);

		if (ok && answer_says_something(&a)) {
			switch (*PQgetvalue(result, i, ANSWER_KIND)) {
			case 's':
				row = answer_setting(&a);
				ok = row != NULL;
				break;
			case 't':
				row = answer_trigger(&a);
				ok = row != NULL;
				break;
			default:
				ok = answer_certificate(&a, &row);
			}
		}
		if (!ok || (row != NULL && !batch_add_row(b, row)))
			return request_arena_full(err);
	}
	return true;
}

/* Drops rows made in an earlier attempt to store this batch. */
static void answers_forget(struct batch_rows *rows)
{
	size_t kept = 0;

	for (size_t i = 0; i < rows->count; i++) {
		if (rows->rows[i]->message != ROW_OF_NO_MESSAGE)
			rows->rows[kept++] = rows->rows[i];
	}
	rows->count = kept;
}

bool writer_plan_answers(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct writer_pairs *pairs = w->work.pairs;

	if (pairs == NULL)
		return true;
	answers_forget(&b->rows[TABLE_store_setting]);
	answers_forget(&b->rows[TABLE_store_trigger]);
	answers_forget(&b->rows[TABLE_store_install_certificate]);
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[STATEMENT_ANSWERS],
			.table = TABLE_exchange_pairs,
			.rows = pairs->answers,
			.count = pairs->answers_count,
			.on_result = answers_on_result,
			.context = w,
		},
		err);
}
