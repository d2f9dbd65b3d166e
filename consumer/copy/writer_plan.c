#include "base/bytes.h"
#include "base/digest.h"
#include "base/iso8601.h"
#include "base/log.h"
#include "copy/writer_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	PLAN_PARTITIONS_MAX = 16, /* made in one run */
	PLAN_PARAMS_MAX = 40,
	PLAN_LOCKS = 512,             /* buckets; each is one of the server's lock table */
	PLAN_LOCK_CLASS = 0x6f637070, /* "ocpp" */
};

/* ---- helpers ---- */

bool writer_arena_full(struct error *err)
{
	return error_set(err, ERROR_TRANSIENT, "arena_full", "no room to store the batch");
}

struct pg_request *writer_request(struct writer *w)
{
	CHECK(w->requests_count < WRITER_REQUESTS_MAX);
	w->requests[w->requests_count] = (struct pg_request){.sql = NULL};
	return &w->requests[w->requests_count++];
}

char *writer_sql(struct arena *arena, const char *format, ...)
{
	va_list args, again;
	char *sql;
	int size;

	va_start(args, format);
	va_copy(again, args);
	size = vsnprintf(NULL, 0, format, args);
	va_end(args);
	sql = size < 0 ? NULL : (char *)arena_bytes(arena, (size_t)size + 1);
	if (sql != NULL)
		vsnprintf(sql, (size_t)size + 1, format, again);
	va_end(again);
	return sql;
}

struct slice param_int8(struct arena *arena, int64_t value)
{
	uint8_t *at = arena_bytes(arena, sizeof(value));

	if (at == NULL)
		return (struct slice){NULL, 0};
	put_be64(at, (uint64_t)value);
	return slice_of(at, sizeof(value));
}

struct slice param_text(const char *text)
{
	return slice_from_cstr(text);
}

int64_t result_int8(const PGresult *result, int row, int column)
{
	return (int64_t)get_be64((const uint8_t *)PQgetvalue(result, row, column));
}

int32_t result_int4(const PGresult *result, int row, int column)
{
	return (int32_t)get_be32((const uint8_t *)PQgetvalue(result, row, column));
}

struct slice result_text(const PGresult *result, int row, int column)
{
	if (PQgetisnull(result, row, column))
		return (struct slice){NULL, 0};
	return slice_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

int64_t result_time(const PGresult *result, int row, int column)
{
	int64_t us = result_int8(result, row, column);

	return us == INT64_MIN ? TIME_UNDATED
			       : us + iso8601_days(2000, 1, 1) * INT64_C(86400000000);
}

bool writer_statement(struct writer *w, const struct pg_statement *statement,
	const struct slice *params, size_t count, struct arena *arena, struct error *err)
{
	const char **values = arena_alloc(arena, (count + 1) * sizeof(*values));
	int *lengths = arena_alloc(arena, (count + 1) * sizeof(*lengths));
	struct pg_request *r;

	if (values == NULL || lengths == NULL)
		return writer_arena_full(err);
	for (size_t i = 0; i < count; i++) {
		values[i] = (const char *)params[i].data;
		lengths[i] = (int)params[i].size;
	}
	r = writer_request(w);
	r->statement = statement;
	r->params = (struct pg_params){values, lengths, (int)count};
	return true;
}

bool writer_rows(struct writer *w, const struct pg_statement *statement, enum table_id table,
	size_t columns_count, struct row *const *rows, size_t rows_count, const struct slice *more,
	size_t more_count, struct error *err)
{
	struct slice params[PLAN_PARAMS_MAX];
	struct batch *b = w->work.batch;

	if (rows_count == 0)
		return true;
	CHECK(columns_count + more_count <= PLAN_PARAMS_MAX);
	if (!encode_params(&b->arena, &tables[table], columns_count, rows, rows_count, params))
		return writer_arena_full(err);
	for (size_t i = 0; i < more_count; i++)
		params[columns_count + i] = more[i];
	return writer_statement(w, statement, params, columns_count + more_count, &b->arena, err);
}

/* ---- partitions ---- */

static bool plan_on_partition(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer_made *made = context;

	(void)err;
	if (number == 2) /* after BEGIN and SET */
		made->loading = made->loading && *PQgetvalue(result, 0, 0) == 't';
	return true;
}

/* gives_up: the rows loaded for it are moved there by the attacher. */
static bool plan_partition(struct writer *w, const struct batch_need *need, bool gives_up,
	struct error *err)
{
	struct writer_made *made = &w->work.made[w->work.made_count++];
	struct pg_request *r = writer_request(w);
	struct partition p = need->partition;
	char time[ISO8601_BYTES], loading_name[PARTITION_NAME_BYTES];

	*made = (struct writer_made){.partition = p,
		.loading = !need->at_once && writer_loads(w, p),
		.gives_up = gives_up};
	iso8601_format(partition_time(p), time);
	partition_loading_name(p, loading_name);
	/* From here on: if this run fails, what was done is unknown. */
	if (gives_up)
		writer_loading_lost(w, p);
	r->sql = writer_sql(&w->work.batch->arena,
		"BEGIN; SET LOCAL lock_timeout = '%s'; SELECT %s('%s', '%s'); COMMIT%s%s%s",
		made->loading ? "10s" : "2s", made->loading ? "load_partition" : "ensure_partition",
		tables[p.table].name, time, gives_up ? "; SELECT end_loading('" : "",
		gives_up ? loading_name : "", gives_up ? "')" : "");
	r->on_result = plan_on_partition;
	r->context = made;
	return r->sql != NULL || writer_arena_full(err);
}

/* Each in a short transaction of its own, before the batch's. */
static bool plan_partitions(struct writer *w, struct error *err)
{
	struct writer_work *work = &w->work;
	struct batch *b = work->batch;

	work->made_count = 0;
	if (work->made == NULL) {
		work->made = arena_alloc(&b->arena, PLAN_PARTITIONS_MAX * sizeof(*work->made));
		if (work->made == NULL)
			return writer_arena_full(err);
	}
	for (; work->partitions_next < b->needs_count; work->partitions_next++) {
		const struct batch_need *need = &b->needs[work->partitions_next];
		bool loading = partitions_is_loading(w->partitions, need->partition);

		if (partitions_has(w->partitions, need->partition) || (loading && !need->at_once))
			continue;
		if (work->made_count == PLAN_PARTITIONS_MAX)
			return true;
		if (!plan_partition(w, need, loading, err))
			return false;
	}
	if (!writer_make_careful_tables(w, err))
		return false;
	work->phase = PHASE_EVENTS;
	return true;
}

/* A message of the batch that needs the partition; -1 if none says so itself. */
static int64_t plan_message_of(const struct batch *b, struct partition p)
{
	enum table_id table = p.table;

	/* A start may be needed where transactions and their links go. */
	if (table == TABLE_transactions || table == TABLE_transaction_starts)
		table = TABLE_transaction_events;
	for (int timeless = 0; timeless < 2; timeless++) {
		const struct batch_rows *rows = timeless ? &b->timeless[table] : &b->rows[table];

		for (size_t i = 0; i < rows->count; i++) {
			if (partition_of(p.table, rows->rows[i]->cells[KEY_TIME].number).number ==
				p.number)
				return rows->rows[i]->message;
		}
	}
	for (size_t i = 0; i < b->needs_count; i++) {
		const struct batch_need *need = &b->needs[i];

		if (need->partition.table == p.table && need->partition.number == p.number &&
			need->message != BATCH_NO_MESSAGE)
			return need->message;
	}
	return -1;
}

void writer_partition_failed(struct writer *w)
{
	size_t request = pg_session_failed_request(w->session);

	if (w->work.failure.kind != ERROR_POISON || request >= w->work.made_count)
		return;
	partitions_add_detached(w->partitions, w->work.made[request].partition);
	w->work.poison_message = plan_message_of(w->work.batch, w->work.made[request].partition);
}

/* Nobody reads rows in a table that is no longer a partition. */
static bool plan_attached(struct writer *w, struct error *err)
{
	static const struct column column = {"name", COLUMN_TEXT};
	static const struct table table = {"names", &column, 1, STEP_NONE, TABLE_COUNT};
	struct batch *b = w->work.batch;
	struct row **rows = arena_alloc(&b->arena, (b->needs_count + 1) * sizeof(*rows));
	struct slice param;
	size_t count = 0;

	if (rows == NULL)
		return writer_arena_full(err);
	for (size_t i = 0; i < b->needs_count; i++) {
		char name[PARTITION_NAME_BYTES];
		struct slice copy;

		if (partitions_is_loading(w->partitions, b->needs[i].partition))
			continue;
		partition_name(b->needs[i].partition, name);
		copy = arena_copy(&b->arena, slice_from_cstr(name));
		rows[count] = arena_zalloc(&b->arena, sizeof(struct row) + sizeof(struct cell));
		if (rows[count] == NULL || slice_is_absent(copy))
			return writer_arena_full(err);
		cell_set_text(rows[count++], 0, copy);
	}
	if (count == 0)
		return true;
	if (!encode_params(&b->arena, &table, 1, rows, count, &param))
		return writer_arena_full(err);
	return writer_statement(w, &w->statements->all[STATEMENT_ATTACHED], &param, 1, &b->arena,
		err);
}

/* ---- rows without a time of their own ---- */

static size_t plan_timeless_count(const struct batch *b)
{
	size_t count = 0;

	for (int t = 0; t < EVENT_TABLES; t++)
		count += b->timeless[t].count;
	return count;
}

static void plan_lock(bool *buckets, struct slice station, uint64_t what)
{
	buckets[(digest64(station.data, station.size) ^ what) % PLAN_LOCKS] = true;
}

/*
 * Copies of one message at two workers, and the two halves of an exchange at two workers, wait for
 * each other from here on, so that each sees what the other has stored. In buckets, because the
 * server's lock table is small.
 */
static bool plan_locks(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	struct batch_rows *halves = &b->rows[TABLE_exchange_halves];
	bool buckets[PLAN_LOCKS] = {false};
	static const struct column column = {"bucket", COLUMN_INT4};
	static const struct table table = {"locks", &column, 1, STEP_NONE, TABLE_COUNT};
	struct slice params[2];
	struct row **rows = arena_alloc(&b->arena, PLAN_LOCKS * sizeof(*rows));
	uint8_t *lock_class = arena_bytes(&b->arena, 4);
	size_t count = 0;

	for (int t = 0; t < EVENT_TABLES; t++) {
		for (size_t i = 0; i < b->timeless[t].count; i++)
			plan_lock(buckets, b->timeless[t].rows[i]->cells[KEY_STATION].text,
				(uint64_t)row_content(b->timeless[t].rows[i], b->dedupe_window_us));
	}
	/* Nor may two of us find the same value missing. */
	for (size_t i = 0; w->options.gaps_only && i < b->rows[TABLE_meter_values].count; i++)
		plan_lock(buckets, b->rows[TABLE_meter_values].rows[i]->cells[KEY_STATION].text, 0);
	for (size_t i = 0; i < halves->count; i++) {
		struct slice id = cell_text(halves->rows[i], TABLE_exchange_halves_message_id);

		plan_lock(buckets,
			cell_text(halves->rows[i], TABLE_exchange_halves_charge_station_id),
			digest64(id.data, id.size));
	}
	if (rows == NULL || lock_class == NULL)
		return writer_arena_full(err);
	for (int bucket = 0; bucket < PLAN_LOCKS; bucket++) {
		if (!buckets[bucket])
			continue;
		rows[count] = arena_zalloc(&b->arena, sizeof(struct row) + sizeof(struct cell));
		if (rows[count] == NULL)
			return writer_arena_full(err);
		cell_set_number(rows[count++], 0, bucket);
	}
	put_be32(lock_class, PLAN_LOCK_CLASS);
	params[0] = slice_of(lock_class, 4);
	if (!encode_params(&b->arena, &table, 1, rows, count, &params[1]))
		return writer_arena_full(err);
	return writer_statement(w, &w->statements->all[STATEMENT_LOCK], params, 2, &b->arena, err);
}

/* seen.sql, seen_odd.sql: rows that are stored already, by number, and their stored keys. */
static bool plan_on_seen(void *context, const PGresult *result, int number, struct error *err)
{
	struct batch_rows *rows = context;

	(void)number;
	(void)err;
	for (int i = 0; i < PQntuples(result); i++) {
		int32_t n = result_int4(result, i, 0);

		CHECK(n >= 0 && (size_t)n < rows->count);
		rows->rows[n]->dropped = true;
		/* References to this row mean the stored one. */
		cell_set_number(rows->rows[n], KEY_TIME, result_time(result, i, 1));
		cell_set_number(rows->rows[n], KEY_DIGEST, result_int8(result, i, 2));
	}
	return true;
}

/* What seen.sql and seen_odd.sql need beside the keys of rows. */
static bool plan_beside(struct batch *b, const struct batch_rows *rows, bool all,
	struct slice *params)
{
	enum {
		ODD_FORMER,
		ODD_ACTION,
		SEEN_COLUMNS,
		ODD_RECEIVED_AT = SEEN_COLUMNS,
		ODD_CONTENT,
		ODD_RETAINED,
		ODD_COLUMNS
	};
	static const struct column columns[] = {{"former", COLUMN_INT8}, {"action", COLUMN_TEXT},
		{"received_at", COLUMN_TIME}, {"content", COLUMN_INT8}, {"retained", COLUMN_BOOL}};
	static const struct table table = {"odd", columns, ODD_COLUMNS, STEP_NONE, TABLE_COUNT};
	struct row **odd = arena_alloc(&b->arena, rows->count * sizeof(struct row *));

	for (size_t i = 0; odd != NULL && i < rows->count; i++) {
		const struct row *row = rows->rows[i];

		odd[i] = arena_zalloc(&b->arena,
			sizeof(struct row) + ODD_COLUMNS * sizeof(struct cell));
		if (odd[i] == NULL)
			return false;
		cell_set_number(odd[i], ODD_FORMER,
			row->former_digest != 0 ? row->former_digest
						: row->cells[KEY_DIGEST].number);
		cell_set_text(odd[i], ODD_ACTION, row_own_name(row));
		cell_set_number(odd[i], ODD_RECEIVED_AT, row_received_us(row));
		cell_set_number(odd[i], ODD_CONTENT, row_content(row, b->dedupe_window_us));
		cell_set_number(odd[i], ODD_RETAINED, row->retained);
	}
	return odd != NULL && encode_params(&b->arena, &table, all ? ODD_COLUMNS : SEEN_COLUMNS,
				      odd, rows->count, params);
}

static bool plan_has_odd(const struct batch_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		if (rows->rows[i]->retained || row_is_undated(rows->rows[i]))
			return true;
	}
	return false;
}

static bool plan_seen(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	struct slice more[6] = {param_int8(&b->arena, w->options.dedupe_window_us)};

	for (int t = 0; t < EVENT_TABLES; t++) {
		struct batch_rows *rows = &b->timeless[t];
		bool odd = plan_has_odd(rows);

		if (rows->count == 0)
			continue;
		if (!plan_beside(b, rows, odd, &more[1]))
			return writer_arena_full(err);
		if (!writer_rows(w, odd ? &w->statements->seen_odd[t] : &w->statements->seen[t],
			    (enum table_id)t, KEY_COLUMNS, rows->rows, rows->count, more,
			    odd ? 6 : 3, err))
			return false;
		w->requests[w->requests_count - 1].on_result = plan_on_seen;
		w->requests[w->requests_count - 1].context = rows;
	}
	return true;
}

/* Drop the rows that are stored already. */
static void plan_drop_seen(struct batch *b)
{
	for (int t = 0; t < EVENT_TABLES; t++) {
		struct batch_rows *rows = &b->timeless[t];
		size_t kept = 0;

		for (size_t i = 0; i < rows->count; i++) {
			if (rows->rows[i]->dropped)
				batch_note_duplicate(b, rows->rows[i]);
			else
				rows->rows[kept++] = rows->rows[i];
		}
		rows->count = kept;
	}
}

/* ---- rows that fill gaps ---- */

static bool plan_on_gaps_filled(void *context, const PGresult *result, int number,
	struct error *err)
{
	struct batch *b = context;
	struct batch_rows *rows = &b->rows[TABLE_meter_values];
	size_t kept = 0;

	(void)number;
	(void)err;
	for (int i = 0; i < PQntuples(result); i++) {
		int32_t n = result_int4(result, i, 0);

		CHECK(n >= 0 && (size_t)n < rows->count);
		batch_note_duplicate(b, rows->rows[n]);
	}
	for (size_t i = 0; i < rows->count; i++) {
		if (!rows->rows[i]->dropped)
			rows->rows[kept++] = rows->rows[i];
	}
	rows->count = kept;
	return true;
}

/* Known before they are copied, so that the others need not go the careful way, which has a
 * statement of its own for it. */
static bool plan_gaps(struct writer *w, struct error *err)
{
	enum { GAP_COLUMNS = KEY_DIGEST };
	struct batch *b = w->work.batch;
	const struct batch_rows *rows = &b->rows[TABLE_meter_values];

	if (!plan_locks(w, err))
		return false;
	if (w->work.careful[TABLE_meter_values] || rows->count == 0)
		return true;
	if (!writer_rows(w, &w->statements->gaps_filled, TABLE_meter_values, GAP_COLUMNS,
		    rows->rows, rows->count, NULL, 0, err))
		return false;
	w->requests[w->requests_count - 1].on_result = plan_on_gaps_filled;
	w->requests[w->requests_count - 1].context = b;
	w->work.gaps_asked = true;
	return true;
}

/* ---- phases ---- */

static bool plan_events(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	bool done;

	if (!w->work.claimed) {
		if (!writer_plan_claim(w, err) || (w->options.gaps_only && !plan_gaps(w, err)))
			return false;
		if (w->work.gaps_asked)
			return true;
	}
	if (!writer_copy_rows(w, b->rows, &done, err))
		return false;
	if (done && !writer_copy_dead_letters(w, &done, err))
		return false;
	if (!done)
		return true;
	w->work.copy_table = 0;
	w->work.copy_row = 0;
	w->work.phase = PHASE_TIMELESS;
	if (plan_timeless_count(b) == 0 && b->rows[TABLE_exchange_halves].count == 0)
		return true;
	return plan_locks(w, err) && plan_seen(w, err) && writer_plan_near(w, err);
}

static bool plan_timeless(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	bool done;

	if (w->work.copy_table == 0 && w->work.copy_row == 0) {
		if (!writer_plan_copies(w, err))
			return false;
		plan_drop_seen(b);
		if (!writer_pair_halves(w, err) || !writer_plan_halves(w, err))
			return false;
	}
	if (!writer_copy_rows(w, b->timeless, &done, err))
		return false;
	if (!done)
		return true;
	w->work.phase = PHASE_PAIRS;
	return true;
}

static bool plan_state(struct writer *w, enum statement_id statement, enum table_id table,
	const struct slice *more, size_t more_count, struct error *err)
{
	struct batch_rows *rows = &w->work.batch->rows[table];

	return writer_rows(w, &w->statements->all[statement], table, tables[table].columns_count,
		rows->rows, rows->count, more, more_count, err);
}

/* The row has the id of another layout and must not be read by it: it has to describe itself. */
static bool plan_on_layouts(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)number;
	if (PQntuples(result) == 0)
		return true;
	for (int i = 0; i < PQntuples(result); i++) {
		int64_t id = result_int8(result, i, 0);

		if (layouts_differ(w->layouts, (uint64_t)id, result_text(result, i, 1)))
			log_warn("layout_differs",
				"two sets of samples have one digest; rows of the one that is not "
				"stored describe themselves",
				"layout_id=%" PRId64, id);
	}
	return error_set(err, ERROR_TRANSIENT, "layout_differs",
		"a layout of meter values has the id of another one; the batch is made again "
		"without it");
}

/* Compared before they are used: nothing may be committed that has to be made again. */
static bool plan_layouts(struct writer *w, struct error *err)
{
	if (w->work.batch->rows[TABLE_meter_value_layouts].count == 0)
		return true;
	if (!plan_state(w, STATEMENT_LAYOUTS, TABLE_meter_value_layouts, NULL, 0, err) ||
		!plan_state(w, STATEMENT_LAYOUTS_DIFFER, TABLE_meter_value_layouts, NULL, 0, err))
		return false;
	w->requests[w->requests_count - 1].on_result = plan_on_layouts;
	w->requests[w->requests_count - 1].context = w;
	return true;
}

static bool plan_on_positions(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)number;
	(void)err;
	/* numeric, sent as text by the cast in the statement */
	w->lsn_insert = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
	w->lsn_flush = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
	return true;
}

bool writer_plan_positions(struct writer *w, struct arena *arena, struct error *err)
{
	if (!writer_statement(w, &w->statements->all[STATEMENT_POSITIONS], NULL, 0, arena, err))
		return false;
	w->requests[w->requests_count - 1].on_result = plan_on_positions;
	w->requests[w->requests_count - 1].context = w;
	return true;
}

/* A retained message says nothing new about a state if it was stored before. */
static void plan_drop_retained(struct batch *b)
{
	static const enum table_id states[] = {TABLE_connector_status, TABLE_station_operations,
		TABLE_station_boots, TABLE_station_heartbeats};

	for (size_t t = 0; t < sizeof(states) / sizeof(*states); t++) {
		struct batch_rows *rows = &b->rows[states[t]];
		size_t kept = 0;

		for (size_t i = 0; i < rows->count; i++) {
			struct row *row = rows->rows[i];

			if (!row->retained ||
				b->messages[row->message].outcome != OUTCOME_DUPLICATE)
				rows->rows[kept++] = row;
		}
		rows->count = kept;
	}
}

/* From here on the batch is stored, whatever else fails. */
static bool plan_on_commit(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;

	(void)number;
	w->work.committed = strcmp(PQcmdStatus((PGresult *)(uintptr_t)result), "COMMIT") == 0;
	return w->work.committed || error_set(err, ERROR_TRANSIENT, "rolled_back",
					    "the database rolled the batch back at its COMMIT");
}

static bool plan_finish(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;

	plan_drop_retained(b);
	if (!writer_plan_transactions(w, err) || !writer_plan_resent(w, err) ||
		!plan_state(w, STATEMENT_CONNECTOR_STATUS, TABLE_connector_status, NULL, 0, err) ||
		!plan_state(w, STATEMENT_OPERATION_STATUS, TABLE_station_operations, NULL, 0,
			err) ||
		!plan_state(w, STATEMENT_STATION_BOOTS, TABLE_station_boots, NULL, 0, err) ||
		!plan_state(w, STATEMENT_STATION_HEARTBEATS, TABLE_station_heartbeats, NULL, 0,
			err) ||
		!writer_plan_dead_letters(w, err) || !writer_plan_totals(w, err) ||
		!plan_attached(w, err) || !writer_plan_loading(w, err))
		return false;
	w->work.phase = PHASE_COMMITTED;
	if (b->trial) {
		writer_request(w)->sql = "SET CONSTRAINTS ALL IMMEDIATE"; /* as COMMIT would */
		return true;
	}
	if (!writer_statement(w, &w->statements->all[STATEMENT_COMMIT], NULL, 0, &b->arena, err))
		return false;
	w->requests[w->requests_count - 1].commits = true;
	w->requests[w->requests_count - 1].on_result = plan_on_commit;
	w->requests[w->requests_count - 1].context = w;
	return writer_plan_positions(w, &b->arena, err);
}

/* What follows once all rows of events are written. */
static bool plan_after_events(struct writer *w, struct error *err)
{
	struct writer_work *work = &w->work;
	struct batch *b = work->batch;

	if (work->phase == PHASE_PAIRS) {
		if (!writer_plan_pairs(w, err))
			return false;
		work->phase = PHASE_STORE;
		if (w->requests_count > 0)
			return true;
	}
	if (work->phase == PHASE_STORE) {
		if (!writer_plan_store(w, err))
			return false;
		work->phase = PHASE_KEYS;
		if (work->store_planned)
			return true;
	}
	if (work->phase == PHASE_KEYS) {
		work->phase = b->transactions_count > 0 ? PHASE_MERGE : PHASE_FINISH;
		if (!plan_layouts(w, err) ||
			(b->transactions_count > 0 && !writer_plan_keys(w, err)))
			return false;
		if (w->requests_count > 0)
			return true;
	}
	if (work->phase == PHASE_MERGE) {
		work->phase = PHASE_FINISH;
		if (!writer_plan_merge(w, err))
			return false;
		if (w->requests_count > 0)
			return true;
	}
	return plan_finish(w, err);
}

/*
 * As much as can be sent without waiting for an answer: a phase that needs none shares a run with
 * the next one.
 */
bool writer_plan(struct writer *w, struct error *err)
{
	struct writer_work *work = &w->work;
	struct batch *b = work->batch;

	w->requests_count = w->copies_count = 0;
	work->copied_carefully = work->halves_asked = work->store_planned = false;
	if (work->phase == PHASE_PARTITIONS) {
		if (!plan_partitions(w, err))
			return false;
		if (w->requests_count > 0)
			return true;
	}
	if (work->phase == PHASE_EVENTS) {
		if (!plan_events(w, err))
			return false;
		if (work->phase == PHASE_EVENTS || plan_timeless_count(b) > 0 ||
			b->rows[TABLE_exchange_halves].count > 0 || work->copied_carefully)
			return true;
	}
	if (work->phase == PHASE_TIMELESS) {
		if (!plan_timeless(w, err))
			return false;
		if (work->phase == PHASE_TIMELESS || work->copied_carefully || work->halves_asked)
			return true;
	}
	return plan_after_events(w, err);
}
