#include "copy/writer_private.h"

#include <inttypes.h>

/* A commit need not be on the database's disk yet: each commit's place in the WAL, and how far the
 * WAL is on disk, say what the log may release. */

static bool durable_on_positions(void *context, const PGresult *result, int number,
	struct error *err)
{
	struct writer *w = context;

	(void)number;
	(void)err;
	/* numeric; the statement casts it to text */
	w->lsn_insert = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
	w->lsn_flush = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
	return true;
}

bool writer_plan_positions(struct writer *w, struct arena *arena, struct error *err)
{
	return requests_add(&w->requests, arena, &statements.all[STATEMENT_POSITIONS], NULL, 0,
		durable_on_positions, w, err);
}

bool writer_plan_commit_position(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;

	return b->trial || writer_plan_positions(w, &b->arena, err);
}

void writer_durable_add(struct writer *w, uint64_t seq)
{
	/* Full: merge the last two into one that is on disk when both are. */
	if (w->durable_count == WRITER_DURABLE_MAX)
		w->durable_count--;
	w->durable[w->durable_count++] = (struct writer_durable){w->lsn_insert, seq};
}

/* Commits without a known place precede the place just read. */
void writer_durable_date(struct writer *w)
{
	if (w->undated)
		writer_durable_add(w, w->at.seq);
	w->undated = false;
}

void writer_durable_failed(struct writer *w, const struct error *err)
{
	struct error failure;
	uint64_t suppressed;

	if (!log_repeat_due(&w->durable_trouble, err, &suppressed))
		return;
	failure = *err;
	error_hint(&failure, "the log keeps what is stored until the database says how far it is "
			     "on its disk, and grows meanwhile");
	log_failure(LOG_LEVEL_WARN, "durable_unknown", &failure);
}

void writer_durable_report(struct writer *w)
{
	size_t done = 0;

	while (done < w->durable_count && w->durable[done].lsn <= w->lsn_flush)
		done++;
	if (done == 0)
		return;
	w->events.on_durable(w->events.context, w->durable[done - 1].seq);
	w->durable_count -= done;
	memmove(w->durable, w->durable + done, w->durable_count * sizeof(*w->durable));
}
