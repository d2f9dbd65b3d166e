#include "copy/writer_private.h"

#include <inttypes.h>

/*
 * What is committed need not be on the database's disk yet: where each commit is in the WAL, and
 * how far that is on disk, says what the log may let go of.
 */

void writer_durable_add(struct writer *w, uint64_t seq)
{
	/* Full: the last two become one, which is on disk no earlier than either. */
	if (w->durable_count == WRITER_DURABLE_MAX)
		w->durable_count--;
	w->durable[w->durable_count++] = (struct writer_durable){w->lsn_insert, seq};
}

/* Commits whose place was not known come before the place that is known now. */
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

	if (!log_repeat_due(&w->durable_trouble, &suppressed))
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

static void durable_on_done(void *context, const struct error *err)
{
	struct writer *w = context;

	if (err != NULL) {
		writer_durable_failed(w, err);
		writer_maintenance_failed(w);
		return;
	}
	(void)log_repeat_over(&w->durable_trouble);
	writer_durable_date(w);
	writer_durable_report(w);
	writer_maintenance_over(w, NULL);
}

void writer_poll_durable(struct writer *w)
{
	struct error err;

	CHECK(w->idle);
	if (w->durable_count == 0 && !w->undated)
		return;
	arena_reset(&w->setup_arena);
	w->requests_count = w->copies_count = 0;
	if (!writer_plan_positions(w, &w->setup_arena, &err))
		return;
	w->idle = false;
	pg_session_run(w->session, w->requests, w->requests_count, durable_on_done, w);
}
