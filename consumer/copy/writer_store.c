#include "copy/writer_private.h"

/* Rows of one entity being merged. */
struct writer_store_rows {
	struct batch *batch;
	struct batch_rows *rows;
};

/* Numbers of rows that changed something; the others are no newer than what is stored. */
static bool store_on_news(void *context, const PGresult *result, int number, struct error *err)
{
	const struct writer_store_rows *sent = context;

	(void)number;
	(void)err;
	for (size_t i = 0; i < sent->rows->count; i++)
		batch_note_duplicate(sent->batch, sent->rows->rows[i]);
	for (int i = 0; i < PQntuples(result); i++) {
		int32_t n = result_int4(result, i, 0);

		CHECK(n >= 0 && (size_t)n < sent->rows->count);
		batch_note_stored(sent->batch, sent->rows->rows[n]);
	}
	return true;
}

bool writer_plan_store(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;

	for (int i = 0; i < STATEMENT_KINDS; i++) {
		enum table_id table = statements.store_tables[i];
		struct batch_rows *rows = &b->rows[table];
		struct writer_store_rows *sent;

		if (rows->count == 0)
			continue;
		sent = arena_alloc(&b->arena, sizeof(*sent));
		if (sent == NULL)
			return request_arena_full(err);
		*sent = (struct writer_store_rows){b, rows};
		if (!writer_add_rows(w,
			    &(struct request_rows){
				    .statement = &statements.store[i],
				    .table = table,
				    .rows = rows->rows,
				    .count = rows->count,
				    .on_result = store_on_news,
				    .context = sent,
			    },
			    err))
			return false;
	}
	return true;
}
