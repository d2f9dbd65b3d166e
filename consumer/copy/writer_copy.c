#include "copy/writer_private.h"

#include "pg/pg_error.h"

#include <stdlib.h>

/*
 * Copies rows into the event tables. Normally by COPY straight into the partition: nothing is
 * looked up, and a row that already exists makes the whole batch fail. Then, and for some batches
 * after that, it takes the careful path: COPY into a temporary table, and from there whatever is
 * not stored yet. Rows for a partition that does not exist yet may be loaded instead
 * (writer_loading.c).
 */
enum { CAREFUL_BATCHES = 100 };

static bool copy_reserve_buffer(struct writer *w, size_t size, struct error *err)
{
	uint8_t *grown;

	if (size <= w->copy_buffer_size)
		return true;
	grown = realloc(w->copy_buffer, size);
	if (grown == NULL)
		return error_set(err, ERROR_TRANSIENT, REASON_memory,
			"out of memory encoding rows");
	/* Earlier streams of this run point into it. */
	for (size_t i = 0; i < w->copies_count; i++)
		w->copies[i].stream.buffer = grown;
	w->copy_buffer = grown;
	w->copy_buffer_size = size;
	for (size_t i = 0; i < w->copies_count; i++)
		w->copies[i].stream.buffer_size = size;
	return true;
}

struct copy_key {
	struct slice station;
	int64_t time_us, evse_id, digest;
};

static int copy_order_keys(const void *a, const void *b)
{
	const struct copy_key *x = a, *y = b;

	if (x->digest != y->digest)
		return x->digest < y->digest ? -1 : 1;
	if (x->time_us != y->time_us)
		return x->time_us < y->time_us ? -1 : 1;
	if (x->evse_id != y->evse_id)
		return x->evse_id < y->evse_id ? -1 : 1;
	return slice_compare(x->station, y->station);
}

/* The careful path returns the keys that it stored; the missing ones were already there. */
static bool copy_careful_result(void *context, const PGresult *result, int number,
	struct error *err)
{
	struct writer_copy *c = context;
	struct batch *b = c->writer->work.batch;
	size_t count = (size_t)PQntuples(result);
	struct copy_key *keys = arena_alloc(&b->arena, count * sizeof(*keys));

	(void)number;
	if (keys == NULL)
		return request_arena_full(err);
	for (size_t i = 0; i < count; i++)
		keys[i] = (struct copy_key){result_text(result, (int)i, KEY_STATION),
			result_time(result, (int)i, KEY_TIME),
			result_int4(result, (int)i, KEY_EVSE),
			result_int8(result, (int)i, KEY_DIGEST)};
	if (count > 1)
		qsort(keys, count, sizeof(*keys), copy_order_keys);
	for (size_t i = 0; i < c->stream.count; i++) {
		struct row *row = c->stream.rows[i];
		struct copy_key key = {row->cells[KEY_STATION].text, row->cells[KEY_TIME].number,
			row->cells[KEY_EVSE].number, row->cells[KEY_DIGEST].number};

		if (count == 0 ||
			bsearch(&key, keys, count, sizeof(*keys), copy_order_keys) == NULL)
			batch_note_duplicate(b, row);
	}
	return true;
}

bool writer_plan_copy_tables(struct writer *w, struct error *err)
{
	for (int t = 0; t < EVENT_TABLES; t++) {
		const char *sql;

		w->work.careful[t] |= w->careful_left[t] > 0 ||
				      (w->options.missing_only && t == TABLE_meter_values &&
					      w->work.batch->timeless[t].count > 0);
		if (!w->work.careful[t] || w->careful_made[t])
			continue;
		sql = request_sql(&w->work.batch->arena,
			"CREATE TEMPORARY TABLE IF NOT EXISTS careful_%s (LIKE %s) "
			"ON COMMIT DELETE ROWS",
			tables[t].name, tables[t].name);
		if (!requests_add_sql(&w->requests, sql, NULL, NULL, err))
			return false;
		w->careful_made[t] = true; /* undone if the run fails */
	}
	if (w->work.batch->rows[TABLE_dead_letters].count > 0 && !w->dead_table_made) {
		requests_add_literal(&w->requests, statements.dead_table);
		w->dead_table_made = true;
	}
	return true;
}

static struct writer_copy *copy_begin(struct writer *w, int table, struct row *const *rows,
	size_t count, struct error *err)
{
	struct writer_copy *c = &w->copies[w->copies_count];

	if (!copy_reserve_buffer(w, encode_buffer_bytes(rows, count), err))
		return NULL;
	*c = (struct writer_copy){.writer = w, .table = table};
	encode_stream_init(&c->stream, rows, count, w->copy_buffer, w->copy_buffer_size);
	w->copies_count++;
	return c;
}

static const char *copy_columns(const struct writer_copy *c)
{
	if (c->table == TABLE_dead_letters)
		return statements.dead_columns;
	if (c->table == TABLE_exchange_halves)
		return statements.halves_columns;
	return c->stream.follows ? statements.load_columns[c->table]
				 : statements.copy_columns[c->table];
}

static bool copy_request(struct writer *w, struct writer_copy *c, const char *target,
	struct error *err)
{
	return requests_add_copy(&w->requests, &w->work.batch->arena, target, copy_columns(c),
		encode_stream_next, &c->stream, &c->request, err);
}

/* The rows [from, to), some of which may already be stored. */
static bool copy_careful(struct writer *w, int table, struct batch_rows *rows, size_t from,
	size_t to, struct error *err)
{
	struct writer_copy *c = copy_begin(w, table, rows->rows + from, to - from, err);
	const struct pg_statement *statement = &statements.careful[table];
	char target[PARTITION_NAME_BYTES + 16];

	if (c == NULL)
		return false;
	snprintf(target, sizeof(target), "pg_temp.careful_%s", tables[table].name);
	if (!copy_request(w, c, target, err))
		return false;
	c->careful = true;
	if (w->options.missing_only && table == TABLE_meter_values)
		statement = &statements.missing;
	return requests_add(&w->requests, &w->work.batch->arena, statement, NULL, 0,
		copy_careful_result, c, err);
}

/* The rows [from, to), all for one partition, which exists or is loaded. */
static bool copy_leaf(struct writer *w, int table, struct batch_rows *rows, size_t from, size_t to,
	struct error *err)
{
	struct partition leaf = {(enum table_id)table, rows->rows[from]->partition};
	struct writer_copy *c = copy_begin(w, table, rows->rows + from, to - from, err);
	char target[PARTITION_NAME_BYTES];

	if (c == NULL)
		return false;
	if (partitions_is_loading(w->partitions, leaf)) {
		partition_loading_name(leaf, target);
		c->stream.follows = true;
		writer_loading_used(w, leaf, to - from);
	} else if (partitions_is_renamed(w->partitions, leaf)) {
		snprintf(target, sizeof(target), "%s", tables[table].name);
	} else {
		partition_name(leaf, target);
	}
	return copy_request(w, c, target, err);
}

/* For a copy and, on the careful path, the statement after it. */
static bool copy_has_room(const struct writer *w)
{
	return w->copies_count < WRITER_COPIES_MAX && requests_have_room(&w->requests, 2);
}

/* The rows from one on that go to the same place: one partition, or on the careful path all
 * existing ones. A table being loaded has no key that could refuse them. */
static bool copy_some(struct writer *w, int table, struct batch_rows *rows, struct error *err)
{
	size_t from = w->work.copy_row, to = from + 1;
	struct partition p = {(enum table_id)table, rows->rows[from]->partition};
	bool careful = w->work.careful[table] && !partitions_is_loading(w->partitions, p);

	while (to < rows->count) {
		struct partition next = {(enum table_id)table, rows->rows[to]->partition};

		if (next.number != p.number &&
			(!careful || partitions_is_loading(w->partitions, next)))
			break;
		to++;
	}
	w->work.copy_row = to;
	return careful ? copy_careful(w, table, rows, from, to, err)
		       : copy_leaf(w, table, rows, from, to, err);
}

/*
 * COPY locks partitions, and later steps read the tables as a whole; COPY itself does at times, to
 * check a partition's bounds. Others who lock a table (ALTER TABLE, DETACH PARTITION) lock it
 * before its partitions: in that order here too, or each would wait for the other.
 */
bool writer_lock_tables(struct writer *w, struct error *err)
{
	const struct batch *b = w->work.batch;
	char names[EVENT_TABLES * PARTITION_NAME_BYTES] = "";
	size_t size = 0;

	for (int t = 0; t < EVENT_TABLES; t++) {
		if (b->rows[t].count > 0 || b->timeless[t].count > 0)
			size += (size_t)snprintf(names + size, sizeof(names) - size, "%sONLY %s",
				size > 0 ? ", " : "", tables[t].name);
	}
	if (size == 0)
		return true;
	return requests_add_sql(&w->requests,
		request_sql(&w->work.batch->arena, "LOCK TABLE %s IN ACCESS SHARE MODE", names),
		NULL, NULL, err);
}

/* The rows of all event tables, as far as the run has room. */
static bool copy_rows(struct writer *w, struct batch_rows *all, struct error *err)
{
	struct writer_work *work = &w->work;

	for (; work->copy_table < EVENT_TABLES; work->copy_table++, work->copy_row = 0) {
		struct batch_rows *rows = &all[work->copy_table];

		while (work->copy_row < rows->count) {
			if (!copy_has_room(w)) {
				work->full = true;
				return true;
			}
			if (!copy_some(w, work->copy_table, rows, err))
				return false;
		}
	}
	work->copy_table = 0;
	return true;
}

bool writer_copy_events(struct writer *w, struct error *err)
{
	return copy_rows(w, w->work.batch->rows, err);
}

bool writer_copy_timeless(struct writer *w, struct error *err)
{
	return copy_rows(w, w->work.batch->timeless, err);
}

/* They are merged at the end of the batch, so that others wait less for their rows. */
bool writer_copy_dead_letters(struct writer *w, struct error *err)
{
	struct batch_rows *rows = &w->work.batch->rows[TABLE_dead_letters];
	struct writer_copy *c;

	if (rows->count == 0)
		return true;
	w->work.full = !copy_has_room(w);
	if (w->work.full)
		return true;
	c = copy_begin(w, TABLE_dead_letters, rows->rows, rows->count, err);
	if (c == NULL)
		return false;
	c->careful = true;
	return copy_request(w, c, "pg_temp.new_dead_letters", err);
}

bool writer_copy_halves(struct writer *w, struct error *err)
{
	struct writer_copy *c;

	if (w->work.halves_asked || w->work.halves_new == 0)
		return true;
	c = copy_begin(w, TABLE_exchange_halves, w->work.halves, w->work.halves_new, err);
	return c != NULL && copy_request(w, c, tables[TABLE_exchange_halves].name, err);
}

void writer_copy_begin_run(struct writer *w)
{
	w->copies_count = 0;
}

/* What the failed run says about rows: which message failed, or that a row already existed. */
void writer_copy_failed(struct writer *w)
{
	size_t request = pg_session_failed_request(w->session);
	int64_t row = pg_session_failed_row(w->session);
	bool there = pg_error_is_duplicate(&w->work.failure);

	for (size_t i = 0; i < w->copies_count; i++) {
		struct writer_copy *c = &w->copies[i];
		struct partition p = {(enum table_id)c->table, c->stream.rows[0]->partition};

		if (c->request != request)
			continue;
		/* Somebody indexed or dropped its table: ask again what to do. */
		if (c->stream.follows && (there || w->work.failure.kind == ERROR_ROUTE))
			partitions_enter(w->partitions, p, PARTITION_ADMITTED);
		if (there && !c->careful) {
			if (c->table == TABLE_exchange_halves)
				w->halves_careful_left = CAREFUL_BATCHES;
			else if (!c->stream.follows)
				w->careful_left[c->table] = CAREFUL_BATCHES;
			w->work.rollback = ROLLBACK_RETRIED;
		} else if (row > 0 && (size_t)row <= c->stream.count) {
			writer_blame(w, c->stream.rows[row - 1]);
		}
	}
}
