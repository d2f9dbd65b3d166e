#include "copy/writer_private.h"

/*
 * Days of meter values that have no partition yet: their rows go into a table without an index,
 * which becomes the partition when the log has moved on to other days. Like all rows they are
 * stored in the transaction that claims their records. The server's part, and what it promises to
 * others, is in migrations/000012_loading.up.sql.
 */
enum {
	/* A day is over when so many batches had no row of it. One that comes later finds the
	 * partition there, and takes the way of all rows. */
	LOADING_IDLE_BATCHES = 16,
};

static struct writer_loading *loading_find(struct writer *w, struct partition p)
{
	for (size_t i = 0; i < w->loadings_count; i++) {
		struct writer_loading *l = &w->loadings[i];

		if (l->partition.table == p.table && l->partition.number == p.number)
			return l;
	}
	return NULL;
}

bool writer_is_attaching(const struct writer *w)
{
	return attacher_is_busy(w->attacher);
}

bool writer_loads(const struct writer *w, struct partition p)
{
	return w->attacher != NULL && p.table == TABLE_meter_values &&
	       p.number != PARTITION_UNDATED &&
	       w->loadings_count + w->work.made_count <= WRITER_LOADINGS_MAX;
}

void writer_loading_made(struct writer *w, struct partition p)
{
	CHECK(w->loadings_count < WRITER_LOADINGS_MAX || loading_find(w, p) != NULL);
	if (loading_find(w, p) == NULL)
		w->loadings[w->loadings_count++] = (struct writer_loading){.partition = p};
	partitions_add_loading(w->partitions, p);
}

void writer_loading_used(struct writer *w, struct partition p, size_t rows)
{
	struct writer_loading *l = loading_find(w, p);

	CHECK(l != NULL);
	l->used = true;
	w->work.loaded += rows;
}

void writer_loading_lost(struct writer *w, struct partition p)
{
	struct writer_loading *l = loading_find(w, p);

	partitions_end_loading(w->partitions, p);
	if (l != NULL)
		*l = w->loadings[--w->loadings_count];
}

void writer_loading_begin_batch(struct writer *w)
{
	for (size_t i = w->loadings_count; i-- > 0;) {
		w->loadings[i].used = false;
		/* It was given up, and then the batch failed. */
		if (w->loadings[i].ending)
			writer_loading_lost(w, w->loadings[i].partition);
	}
}

bool writer_plan_loading(struct writer *w, struct error *err)
{
	for (size_t i = 0; i < w->loadings_count; i++) {
		struct writer_loading *l = &w->loadings[i];
		char name[PARTITION_NAME_BYTES];
		const char *sql;

		if (l->used || l->idle_batches < LOADING_IDLE_BATCHES)
			continue;
		partition_loading_name(l->partition, name);
		sql = request_sql(&w->work.batch->arena, "SELECT end_loading('%s')", name);
		l->ending = true;
		/* One at a time will do. */
		return requests_add_sql(&w->requests, sql, NULL, NULL, err);
	}
	return true;
}

void writer_loading_stored(struct writer *w)
{
	if (w->options.loads != NULL)
		w->options.loads->rows += w->work.loaded;
	for (size_t i = w->loadings_count; i-- > 0;) {
		struct writer_loading *l = &w->loadings[i];

		l->idle_batches = l->used ? 0 : l->idle_batches + 1;
		if (!l->ending)
			continue;
		partitions_end_loading(w->partitions, l->partition);
		attacher_add(w->attacher, l->partition);
		*l = w->loadings[--w->loadings_count];
	}
}

void writer_loading_forget(struct writer *w)
{
	w->loadings_count = 0;
}
