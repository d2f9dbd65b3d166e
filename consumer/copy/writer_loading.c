#include "copy/writer_private.h"

/*
 * Days of meter values without a partition: their rows go into a table without an index, which
 * becomes the partition when the log has moved on to other days. Like all rows they are stored in
 * the transaction that claims their records. The server's part, and what it promises to others, is
 * in migrations/000012_loading.up.sql.
 */
enum {
	/* A day is over when this many batches had no row for it. A later row finds the partition,
	 * and is stored like any other. */
	LOADING_IDLE_BATCHES = 16,
};

bool writer_is_attaching(const struct writer *w)
{
	return attacher_is_busy(w->attacher);
}

bool writer_loads(const struct writer *w, struct partition p)
{
	return w->attacher != NULL && p.table == TABLE_meter_values &&
	       p.number != PARTITION_UNDATED &&
	       partitions_count_filled(w->partitions) + w->work.asked_count <=
		       PARTITIONS_LOADING_MAX;
}

void writer_loading_used(struct writer *w, struct partition p, size_t rows)
{
	partitions_use(w->partitions, p);
	w->work.loaded += rows;
}

bool writer_plan_loading(struct writer *w, struct error *err)
{
	char name[PARTITION_NAME_BYTES];
	struct partition p;

	/* One at a time is enough. */
	if (!partitions_find_idle(w->partitions, LOADING_IDLE_BATCHES, &p))
		return true;
	partition_loading_name(p, name);
	partitions_enter(w->partitions, p, PARTITION_ENDING);
	return requests_add_sql(&w->requests,
		request_sql(&w->work.batch->arena, "SELECT end_loading('%s')", name), NULL, NULL,
		err);
}

void writer_loading_stored(struct writer *w)
{
	if (w->options.loads != NULL)
		w->options.loads->rows += w->work.loaded;
	partitions_batch_stored(w->partitions);
	attacher_wake(w->attacher);
}
