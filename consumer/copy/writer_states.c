#include "base/log.h"
#include "copy/writer_private.h"

#include <inttypes.h>

/* Rows that a single statement merges: layouts of meter values, and the last known state of a
 * station or connector. */

static bool states_add(struct writer *w, const struct pg_statement *statement, enum table_id table,
	request_on_result *on_result, struct error *err)
{
	const struct batch_rows *rows = &w->work.batch->rows[table];

	return writer_add_rows(w,
		&(struct request_rows){
			.statement = statement,
			.table = table,
			.rows = rows->rows,
			.count = rows->count,
			.on_result = on_result,
			.context = w,
		},
		err);
}

/* The row has the id of another layout and must not be read with it: it has to describe itself. */
static bool layouts_on_differ(void *context, const PGresult *result, int number, struct error *err)
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
	return error_set(err, ERROR_TRANSIENT, REASON_layout_differs,
		"a layout of meter values has the id of another one; the batch is made again "
		"without it");
}

bool writer_plan_layouts(struct writer *w, struct error *err)
{
	const struct pg_statement *all = statements.all;

	return states_add(w, &all[STATEMENT_LAYOUTS], TABLE_meter_value_layouts, NULL, err) &&
	       states_add(w, &all[STATEMENT_LAYOUTS_DIFFER], TABLE_meter_value_layouts,
		       layouts_on_differ, err);
}

/* A retained message that was already stored says nothing new about a state. */
static void states_drop_retained(struct batch *b, struct batch_rows *rows)
{
	size_t kept = 0;

	for (size_t i = 0; i < rows->count; i++) {
		struct row *row = rows->rows[i];

		if (!row->retained || b->messages[row->message].outcome != OUTCOME_DUPLICATE)
			rows->rows[kept++] = row;
	}
	rows->count = kept;
}

bool writer_plan_states(struct writer *w, struct error *err)
{
	for (int t = 0; t < TABLE_COUNT; t++) {
		if (tables[t].merge != MERGE_STATE)
			continue;
		states_drop_retained(w->work.batch, &w->work.batch->rows[t]);
		if (!states_add(w, &statements.states[t], (enum table_id)t, NULL, err))
			return false;
	}
	return true;
}
