#include "copy/writer_private.h"

/* Locks the rows of transactions that the batch touches, and reads, merges and writes them. */

/* ---- keys ---- */

/* Columns of transactions_read.sql before those of the table. */
enum read_column {
	READ_NUMBER,
	READ_SPLIT,
	READ_BEGINS,
	READ_COST,
	READ_COST_TIME,
	READ_COST_DIGEST,
	READ_FLAGS,
	READ_COLUMNS,
};

static struct transaction *keys_read(struct arena *arena, const PGresult *result, int i,
	struct error *err)
{
	struct transaction *t = arena_zalloc(arena, sizeof(*t));
	const struct table *table = &tables[TABLE_transactions];

	if (t != NULL)
		t->row = row_new(arena, TABLE_transactions);
	if (t != NULL)
		t->earliest_us = TIME_UNDATED; /* everything it has */
	if (t == NULL || t->row == NULL) {
		request_arena_full(err);
		return NULL;
	}
	for (size_t c = 0; c < table->columns_count; c++) {
		int column = (int)c + READ_COLUMNS;
		struct slice text;

		if (PQgetisnull(result, i, column))
			continue;
		switch (table->columns[c].type) {
		case COLUMN_TIME:
			cell_set_number(t->row, (int)c, result_time(result, i, column));
			break;
		case COLUMN_INT4:
			cell_set_number(t->row, (int)c, result_int4(result, i, column));
			break;
		case COLUMN_BOOL:
			cell_set_number(t->row, (int)c, *PQgetvalue(result, i, column) != 0);
			break;
		case COLUMN_TEXT:
		case COLUMN_NUMERIC: /* read as text */
		case COLUMN_BYTEA:
			text = arena_copy(arena, result_text(result, i, column));
			if (slice_is_absent(text)) {
				request_arena_full(err);
				return NULL;
			}
			cell_set_text(t->row, (int)c, text);
			break;
		case COLUMN_INT8:
		case COLUMN_CHAR:
		case COLUMN_NUMERICS:
		case COLUMN_JSONB:
			CHECK(false && "a type that transactions do not have");
		}
	}
	return transaction_unpack(t, arena, err) ? t : NULL;
}

/* Adds a cost that came before its transaction. */
static bool keys_take_cost(struct batch *b, struct transaction *t, const PGresult *result, int i)
{
	struct slice cost;
	struct transaction *cost_only;

	if (PQgetisnull(result, i, READ_COST))
		return true;
	cost = arena_copy(&b->arena, result_text(result, i, READ_COST));
	cost_only =
		transaction_new(&b->arena, t->row->cells[TABLE_transactions_charge_station_id].text,
			cell_text(t->row, TABLE_transactions_transaction_id));
	if (slice_is_absent(cost) || cost_only == NULL)
		return false;
	transaction_add_cost(cost_only, cost, result_time(result, i, READ_COST_TIME),
		(uint64_t)result_int8(result, i, READ_COST_DIGEST));
	return transaction_merge(t, cost_only, &b->arena) && transaction_pack(t, &b->arena);
}

/* The same for the flags of meter values. */
static bool keys_take_flags(struct batch *b, struct transaction *t, const PGresult *result, int i)
{
	if (PQgetisnull(result, i, READ_FLAGS))
		return true;
	t->row->cells[TABLE_transactions_flags].number |= result_int4(result, i, READ_FLAGS);
	return transaction_pack(t, &b->arena);
}

static bool keys_on_read(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	struct batch *b = w->work.batch;

	(void)number;
	for (int i = 0; i < PQntuples(result); i++) {
		int32_t n = result_int4(result, i, READ_NUMBER);
		struct transaction *t;

		CHECK(n >= 0 && (size_t)n < b->transactions_count);
		w->work.split[n] = *PQgetvalue(result, i, READ_SPLIT) != 0;
		w->work.begins[n] = PQgetisnull(result, i, READ_BEGINS)
					    ? TIME_UNDATED
					    : result_time(result, i, READ_BEGINS);
		if (!keys_take_cost(b, b->transactions[n], result, i) ||
			!keys_take_flags(b, b->transactions[n], result, i))
			return request_arena_full(err);
		if (PQgetisnull(result, i, READ_COLUMNS))
			continue;
		t = keys_read(&b->arena, result, i, err);
		if (t == NULL)
			return false;
		w->work.known[n] = t;
		w->work.known_states[n] = cell_text(t->row, TABLE_transactions_merge_state);
	}
	return true;
}

/* Facts for sessions that are not events. */
static bool keys_plan_facts(struct writer *w, struct error *err)
{
	static const struct {
		enum statement_id statement;
		enum table_id table;
	} facts[] = {{STATEMENT_TRANSACTION_COSTS, TABLE_reported_costs},
		{STATEMENT_TRANSACTION_FLAGS, TABLE_reported_flags},
		{STATEMENT_TRANSACTION_STARTS, TABLE_transaction_starts}};

	for (size_t i = 0; i < sizeof(facts) / sizeof(*facts); i++) {
		const struct batch_rows *rows = &w->work.batch->rows[facts[i].table];

		if (!writer_add_rows(w,
			    &(struct request_rows){
				    .statement = &statements.all[facts[i].statement],
				    .table = facts[i].table,
				    .rows = rows->rows,
				    .count = rows->count,
			    },
			    err))
			return false;
	}
	return true;
}

/* The first columns of all transactions of the batch. */
static bool keys_add(struct writer *w, enum statement_id statement, size_t columns,
	struct row *const *rows, request_on_result *on_result, struct error *err)
{
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[statement],
			.table = TABLE_transactions,
			.columns = columns,
			.rows = rows,
			.count = w->work.batch->transactions_count,
			.on_result = on_result,
			.context = w,
		},
		err);
}

bool writer_plan_keys(struct writer *w, struct error *err)
{
	struct writer_work *work = &w->work;
	struct batch *b = work->batch;
	struct row **rows;

	if (b->transactions_count == 0)
		return true;
	rows = arena_alloc(&b->arena, b->transactions_count * sizeof(*rows));
	work->known = arena_zalloc(&b->arena, b->transactions_count * sizeof(*work->known));
	work->known_states =
		arena_zalloc(&b->arena, b->transactions_count * sizeof(*work->known_states));
	work->split = arena_zalloc(&b->arena, b->transactions_count * sizeof(*work->split));
	work->begins = arena_zalloc(&b->arena, b->transactions_count * sizeof(*work->begins));
	if (rows == NULL || work->known == NULL || work->known_states == NULL ||
		work->split == NULL || work->begins == NULL)
		return request_arena_full(err);
	batch_sort_transactions(b); /* pairs may have added transactions */
	for (size_t i = 0; i < b->transactions_count; i++) {
		if (!transaction_pack(b->transactions[i], &b->arena))
			return request_arena_full(err);
		rows[i] = b->transactions[i]->row;
	}
	return keys_add(w, STATEMENT_TRANSACTIONS_LOCK, 2, rows, NULL, err) &&
	       keys_add(w, STATEMENT_TRANSACTIONS_KEYS, 3, rows, NULL, err) &&
	       keys_plan_facts(w, err) &&
	       keys_add(w, STATEMENT_TRANSACTIONS_READ, 2, rows, keys_on_read, err);
}

/* ---- merged rows ---- */

/* Nothing new: the row stays, with its updated_at. */
static bool merged_is_same(const struct transaction *t, int64_t flags, struct slice state)
{
	return t->row->cells[TABLE_transactions_flags].number == flags &&
	       slice_equal(cell_text(t->row, TABLE_transactions_merge_state), state);
}

static bool merge_split(struct writer *w, const struct transaction *t, bool shared_id,
	struct transaction *merged, struct row *old)
{
	struct batch *b = w->work.batch;
	struct split *split;

	if (!splits_add(&w->work.splits, &b->arena, b->transactions_count, t, shared_id))
		return false;
	split = &w->work.splits->all[w->work.splits->count - 1];
	split->merged = merged;
	split->old = old;
	return true;
}

/* Its key as it is in the database; NULL if the arena is full. */
static struct row *known_key(const struct transaction *known, struct arena *arena)
{
	struct row *key = row_new(arena, TABLE_transactions);

	if (key != NULL)
		key->cells[0] = known->row->cells[TABLE_transactions_partition_time];
	return key;
}

/* An id that takes all of its events to say what belongs where. */
static bool merge_apart(struct writer *w, size_t i)
{
	struct batch *b = w->work.batch;
	struct transaction *t = b->transactions[i], *known = w->work.known[i];
	struct row *old = NULL;

	/* One of several sessions, or none. */
	if (w->work.split[i] && (known == NULL || w->work.begins[i] != TIME_UNDATED))
		return merge_split(w, t, t->shared, NULL, NULL);
	if (known == NULL)
		return merge_split(w, t, t->shared, transaction_has_events(t) ? t : NULL, NULL);
	old = known_key(known, &b->arena);
	return old != NULL && transaction_merge(known, t, &b->arena) &&
	       merge_split(w, t, t->shared, known, old);
}

static bool merge_known(struct writer *w, size_t i, struct error *err)
{
	struct writer_merged *m = w->work.merged;
	struct batch *b = w->work.batch;
	struct transaction *known = w->work.known[i];
	struct row *old = known_key(known, &b->arena);
	int64_t flags = known->row->cells[TABLE_transactions_flags].number;
	int64_t first = known->row->cells[TABLE_transactions_first_event_at].number;
	int64_t last = known->row->cells[TABLE_transactions_last_event_at].number;

	if (old == NULL)
		return request_arena_full(err);
	if (!transaction_merge(known, b->transactions[i], &b->arena))
		return request_arena_full(err);
	if (known->resplit)
		return merge_split(w, known, false, known, old) || request_arena_full(err);
	if (!transaction_pack(known, &b->arena))
		return request_arena_full(err);
	/* The key of one of several sessions stays: it has the time of its start. */
	if (cell_text(known->row, TABLE_transactions_start_key).size == 0)
		m->all[m->all_count++] = known->row;
	if (merged_is_same(known, flags, w->work.known_states[i]) &&
		known->row->cells[TABLE_transactions_first_event_at].number == first &&
		known->row->cells[TABLE_transactions_last_event_at].number == last)
		return true;
	m->old[m->updates_count] = old;
	m->updates[m->updates_count++] = known->row;
	return true;
}

static bool merge_one(struct writer *w, size_t i, struct error *err)
{
	struct writer_merged *m = w->work.merged;
	struct batch *b = w->work.batch;
	struct transaction *t = b->transactions[i];

	/* An event that stands for itself has nothing to split. */
	if (slice_is_absent(t->shared_id) &&
		(t->resplit || (w->work.split[i] &&
				       !sessions_leave(w->work.known[i], w->work.begins[i], t))))
		return merge_apart(w, i) || request_arena_full(err);
	if (w->work.known[i] != NULL)
		return merge_known(w, i, err);
	/* Costs and flags wait for their transaction. */
	if (!transaction_has_events(t))
		return true;
	m->inserts[m->inserts_count++] = t->row;
	m->all[m->all_count++] = t->row;
	return true;
}

static struct writer_merged *merged_new(struct arena *arena, size_t count)
{
	struct writer_merged *m = arena_zalloc(arena, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->updates = arena_alloc(arena, count * sizeof(*m->updates));
	m->old = arena_alloc(arena, count * sizeof(*m->old));
	m->inserts = arena_alloc(arena, count * sizeof(*m->inserts));
	m->all = arena_alloc(arena, count * sizeof(*m->all));
	return m->updates == NULL || m->old == NULL || m->inserts == NULL || m->all == NULL ? NULL
											    : m;
}

bool writer_merge_transactions(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;

	if (b->transactions_count == 0)
		return true;
	w->work.merged = merged_new(&b->arena, b->transactions_count);
	if (w->work.merged == NULL)
		return request_arena_full(err);
	/* First the ids that may be reused: events that stand for themselves depend on them. */
	for (int shared = 1; shared >= 0; shared--) {
		for (size_t i = 0; i < b->transactions_count; i++) {
			const struct transaction *t = b->transactions[i];

			if (slice_is_absent(t->shared_id) != (shared == 1) ||
				splits_take(w->work.splits, t))
				continue;
			if (!merge_one(w, i, err))
				return false;
		}
	}
	return true;
}

/* partition_time of each row as a separate array parameter. */
static bool old_times_param(struct batch *b, const struct writer_merged *m, struct slice *out)
{
	static const struct column column = {"partition_time", COLUMN_TIME};
	static const struct table old_table = {.name = "old",
		.columns = &column,
		.columns_count = 1,
		.id = TABLE_transactions};

	return encode_params(&b->arena, &old_table, 1, m->old, m->updates_count, out);
}

static bool transactions_add(struct writer *w, enum statement_id statement, size_t columns,
	struct row *const *rows, size_t count, const struct slice *more, struct error *err)
{
	return writer_add_rows(w,
		&(struct request_rows){
			.statement = &statements.all[statement],
			.table = TABLE_transactions,
			.columns = columns,
			.rows = rows,
			.count = count,
			.more = more,
			.more_count = more == NULL ? 0 : 1,
		},
		err);
}

/* The rows of ids with too many facts to tell them apart. */
static bool merge_left(struct writer *w)
{
	const struct splits *splits = w->work.splits;
	struct writer_merged *m = w->work.merged;

	for (size_t i = 0; splits != NULL && i < splits->count; i++) {
		const struct split *split = &splits->all[i];

		if (!split->left || split->merged == NULL)
			continue;
		if (!transaction_pack(split->merged, &w->work.batch->arena))
			return false;
		m->all[m->all_count++] = split->merged->row;
		if (split->old == NULL) {
			m->inserts[m->inserts_count++] = split->merged->row;
			continue;
		}
		m->old[m->updates_count] = split->old;
		m->updates[m->updates_count++] = split->merged->row;
	}
	return true;
}

bool writer_plan_transactions(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct writer_merged *m = w->work.merged;
	size_t columns = tables[TABLE_transactions].columns_count;
	struct slice old_times;

	if (b->transactions_count == 0)
		return true;
	if (!merge_left(w))
		return request_arena_full(err);
	b->inserts_transactions = m->inserts_count > 0;
	b->updates_transactions = m->updates_count > 0;
	if (m->updates_count > 0 && !old_times_param(b, m, &old_times))
		return request_arena_full(err);
	return transactions_add(w, STATEMENT_TRANSACTIONS_UPDATE, columns, m->updates,
		       m->updates_count, &old_times, err) &&
	       transactions_add(w, STATEMENT_TRANSACTIONS_INSERT, columns, m->inserts,
		       m->inserts_count, NULL, err) &&
	       transactions_add(w, STATEMENT_TRANSACTIONS_MOVE, 3, m->all, m->all_count, NULL, err);
}
