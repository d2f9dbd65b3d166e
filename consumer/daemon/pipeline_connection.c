#include "daemon/pipeline_private.h"

#include <inttypes.h>

/* The connection comes and goes, and the database says where to continue in the log. */

/* Whether this is the log that the database has read up to there. lost: records that neither has
 * any more, without skipped numbers. */
static bool pipeline_position(struct pipeline *p, const struct position *at, uint64_t *lost_out,
	struct error *err)
{
	struct position log = *at;

	if ((p->log->recognise != NULL && !p->log->recognise(p->log->context, at, &log, err)) ||
		!p->log->seek(p->log->context, at->seq, lost_out, err))
		return false;
	if (*lost_out > 0 && log.counted && at->counted && log.records >= at->records)
		*lost_out = log.records - at->records;
	writer_recognised(p->writer, &log);
	return true;
}

/* The database reports its position, and we continue from there: ahead of what we knew (an
 * unanswered COMMIT), behind it (restored to an earlier point), or the same. */
void pipeline_on_ready(void *context, const struct position *at)
{
	struct pipeline *p = context;
	struct error err;
	uint64_t lost = 0, seq = at->seq;

	if (p->state == PIPELINE_ENDED)
		return;
	metrics_add(&p->metrics->database_connects, 1);
	if (p->stored_known && p->stored_seq > seq)
		log_warn("database_went_back",
			"the database is behind what it had confirmed: it was restored or failed "
			"over; "
			"the log feeds it again",
			"had=%" PRIu64 " has=%" PRIu64, p->stored_seq, seq);
	batch_reset(&p->batches[0]);
	batch_reset(&p->batches[1]);
	p->log->drop_window(p->log->context);
	p->supply = SUPPLY_OPEN;
	if (!pipeline_position(p, at, &lost, &err)) {
		pipeline_fatal(p, &err);
		return;
	}
	if (lost > 0) {
		log_error("gap", "records are neither in the database nor in the log any more",
			"first_seq=%" PRIu64 " records=%" PRIu64, seq + 1, lost);
		metrics_add(&p->metrics->gap_records, lost);
	}
	if (!p->stored_known || p->stored_seq != seq || lost > 0) {
		pipeline_enter_search(p, SEARCH_NONE);
		p->probe = (struct pipeline_probe){.seq = 0};
	}
	p->stored_seq = seq;
	p->stored_known = true;
	p->refusals = 0;
	pipeline_set_now(p);
	pipeline_enter(p, PIPELINE_READY);
	log_info("database_connected", "", "seq=%" PRIu64, seq);
	p->partitions_made_us = p->pruned_us = INT64_MIN / 2; /* due */
	pipeline_wake(p);
}

/* The connection was lost with a batch, which may be what ends the server's process. */
static void pipeline_lost_with(struct pipeline *p, const struct batch *b, const struct error *err)
{
	bool suspect = pipeline_probe_suspects(p, b, err);

	if (suspect && pipeline_is_probing(p) && b->trial)
		pipeline_probe_answered(p, b, false);
	else if (suspect && b->records == 1)
		(void)pipeline_probe_failed(p, b, err);
	else
		pipeline_trouble_failed(p, b, err);
}

static bool pipeline_is_shut_out(const struct pipeline *p)
{
	return p->options.refusals_max > 0 && p->refusals >= p->options.refusals_max;
}

/* records: those of the batch that was lost with the connection; refused: as in struct batch. */
static void pipeline_wait_for_database(struct pipeline *p, struct error *err, size_t records,
	bool refused)
{
	enum pipeline_trouble trouble = PIPELINE_NO_DATABASE;
	int64_t wait_us;

	/* Where there are several hosts, another one may come back. */
	p->refusals = err->kind == ERROR_REFUSED && err->needs_person ? p->refusals + 1 : 0;
	if (err->kind == ERROR_FATAL || err->kind == ERROR_OUTDATED || pipeline_is_shut_out(p)) {
		pipeline_fatal(p, err);
		return;
	}
	wait_us = err->kind == ERROR_REFUSED ? PIPELINE_REFUSED_US : backoff_next_us(&p->backoff);
	if (records > 0 && pipeline_trouble_dead_letters(p, refused, records, wait_us, err))
		trouble = PIPELINE_BATCH_REFUSED;
	pipeline_log_trouble(p, trouble, "database_lost", err, wait_us);
	pipeline_wait(p, PIPELINE_LOST, wait_us);
}

static void pipeline_connect(struct pipeline *p)
{
	pipeline_enter(p, PIPELINE_CONNECTING);
	writer_open(p->writer);
}

static void pipeline_migrate(struct pipeline *p)
{
	pipeline_enter(p, PIPELINE_MIGRATING);
	p->events.migrate(p->events.context);
}

void pipeline_migrated(struct pipeline *p, const struct error *err)
{
	struct error copy;

	if (p->state != PIPELINE_MIGRATING) /* it ended meanwhile */
		return;
	if (err == NULL) {
		pipeline_connect(p);
		return;
	}
	copy = *err;
	pipeline_wait_for_database(p, &copy, 0, false);
}

void pipeline_on_lost(void *context, const struct error *lost)
{
	struct pipeline *p = context;
	struct error err = *lost;
	bool dead_letters = p->storing != NULL && p->storing->dead_letters_refused;
	size_t records = p->storing != NULL ? p->storing->records : 0;

	if (p->state == PIPELINE_ENDED)
		return;
	if (p->storing != NULL)
		pipeline_lost_with(p, p->storing, &err);
	p->storing = NULL;
	if (p->state == PIPELINE_LAST)
		pipeline_drained(p);
	else if (err.kind == ERROR_OUTDATED && p->events.migrate != NULL)
		pipeline_migrate(p);
	else
		pipeline_wait_for_database(p, &err, records, dead_letters);
	pipeline_take_settings(p);
}

void pipeline_on_retry(struct ev_loop *loop, ev_timer *w, int events)
{
	struct pipeline *p = w->data;

	(void)loop;
	(void)events;
	if (p->state == PIPELINE_LOST) {
		pipeline_connect(p);
	} else if (p->state == PIPELINE_UNSURE) {
		pipeline_enter(p, PIPELINE_CONNECTING);
		writer_reposition(p->writer);
	} else {
		pipeline_enter(p, PIPELINE_READY);
		pipeline_wake(p);
	}
}
