#include "base/iso8601.h"
#include "copy/writer_private.h"

#include <stdio.h>

/* Partitions that a batch needs and that do not exist, or tables that become them
 * (writer_loading.c): each is created in a short transaction of its own, before the batch's. */
enum { PARTITIONS_IN_RUN = 16 };

static bool partition_on_answer(void *context, const PGresult *result, int number,
	struct error *err)
{
	struct writer_asked *asked = context;

	(void)err;
	if (number == 2) /* the one after BEGIN and SET */
		asked->loading = asked->loading && *PQgetvalue(result, 0, 0) == 't';
	if (number == 3)
		asked->renamed = *PQgetvalue(result, 0, 0) == 'f';
	return true;
}

/* In PostgreSQL's notation. */
static void partition_time_text(struct partition p, char out[static ISO8601_BYTES])
{
	if (p.number == PARTITION_UNDATED)
		snprintf(out, ISO8601_BYTES, "-infinity");
	else
		iso8601_format(partition_time(p), out);
}

static bool plan_partition(struct writer *w, const struct batch_need *need, struct error *err)
{
	struct writer_asked *asked = &w->work.asked[w->work.asked_count++];
	struct partition p = need->partition;
	/* The attacher moves the rows loaded for it there. */
	bool gives_up = partitions_is_loading(w->partitions, p);
	char time[ISO8601_BYTES], name[PARTITION_NAME_BYTES], loading_name[PARTITION_NAME_BYTES];
	const char *sql;

	*asked = (struct writer_asked){.partition = p,
		.loading = !need->at_once && writer_loads(w, p)};
	partition_time_text(p, time);
	partition_name(p, name);
	partition_loading_name(p, loading_name);
	if (gives_up)
		partitions_enter(w->partitions, p, PARTITION_ENDING);
	sql = request_sql(&w->work.batch->arena,
		"BEGIN; SET LOCAL lock_timeout = '%s'; SELECT %s('%s', '%s'); "
		"SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('%s')); "
		"COMMIT%s%s%s",
		asked->loading ? "10s" : "2s",
		asked->loading ? "load_partition" : "ensure_partition", tables[p.table].name, time,
		name, gives_up ? "; SELECT end_loading('" : "", gives_up ? loading_name : "",
		gives_up ? "')" : "");
	return requests_add_sql(&w->requests, sql, partition_on_answer, asked, err);
}

bool writer_plan_partitions(struct writer *w, struct error *err)
{
	struct writer_work *work = &w->work;
	struct batch *b = work->batch;

	work->asked_count = 0;
	if (work->asked == NULL) {
		work->asked = arena_alloc(&b->arena, PARTITIONS_IN_RUN * sizeof(*work->asked));
		if (work->asked == NULL)
			return request_arena_full(err);
	}
	for (; work->partitions_next < b->needs_count; work->partitions_next++) {
		const struct batch_need *need = &b->needs[work->partitions_next];

		if (partitions_has(w->partitions, need->partition) ||
			(!need->at_once && partitions_is_loading(w->partitions, need->partition)))
			continue;
		if (work->asked_count == PARTITIONS_IN_RUN) {
			work->full = true;
			return true;
		}
		if (!plan_partition(w, need, err))
			return false;
	}
	return true;
}

/* A message of the batch that needs the partition; -1 if none is known. */
static int64_t partition_message_of(const struct batch *b, struct partition p)
{
	enum table_id table = p.table;

	/* The partition of a start also needs those of transactions and of their links. */
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

		if (partition_is_same(need->partition, p) && need->message != BATCH_NO_MESSAGE)
			return need->message;
	}
	return -1;
}

void writer_partition_failed(struct writer *w)
{
	size_t request = pg_session_failed_request(w->session);
	struct partition p;

	if (w->work.failure.kind != ERROR_POISON || request >= w->work.asked_count)
		return;
	p = w->work.asked[request].partition;
	partitions_enter(w->partitions, p, PARTITION_DETACHED);
	w->work.poison_message = partition_message_of(w->work.batch, p);
}

void writer_partitions_made(struct writer *w)
{
	for (size_t i = 0; i < w->work.asked_count; i++) {
		const struct writer_asked *asked = &w->work.asked[i];

		if (asked->loading)
			partitions_enter(w->partitions, asked->partition, PARTITION_LOADING);
		else if (asked->renamed)
			partitions_add_renamed(w->partitions, asked->partition);
		else
			partitions_add(w->partitions, asked->partition);
	}
	w->work.asked_count = 0;
	attacher_wake(w->attacher);
}

bool writer_plan_attached(struct writer *w, struct error *err)
{
	static const struct column column = {"name", COLUMN_TEXT};
	static const struct table table = {.name = "names",
		.columns = &column,
		.columns_count = 1,
		.id = TABLE_COUNT};
	struct batch *b = w->work.batch;
	struct row **rows = arena_alloc(&b->arena, (b->needs_count + 1) * sizeof(*rows));
	struct slice param;
	size_t count = 0;

	if (rows == NULL)
		return request_arena_full(err);
	for (size_t i = 0; i < b->needs_count; i++) {
		struct partition p = b->needs[i].partition;
		char name[PARTITION_NAME_BYTES];
		struct slice copy;

		/* PostgreSQL routes rows only to attached partitions. */
		if (partitions_is_loading(w->partitions, p) ||
			partitions_is_renamed(w->partitions, p))
			continue;
		partition_name(p, name);
		copy = arena_copy(&b->arena, slice_from_cstr(name));
		rows[count] = arena_zalloc(&b->arena, sizeof(struct row) + sizeof(struct cell));
		if (rows[count] == NULL || slice_is_absent(copy))
			return request_arena_full(err);
		cell_set_text(rows[count++], 0, copy);
	}
	if (count == 0)
		return true;
	if (!encode_params(&b->arena, &table, 1, rows, count, &param))
		return request_arena_full(err);
	return requests_add(&w->requests, &b->arena, &statements.all[STATEMENT_ATTACHED], &param, 1,
		NULL, NULL, err);
}
