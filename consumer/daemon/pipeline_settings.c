#include "daemon/pipeline_private.h"

/* Settings for the pipeline's parts: at creation, and when they change. */

struct writer_options pipeline_writer_options(const struct pipeline *p, const struct pg_options *pg)
{
	const struct config *c = p->config;

	return (struct writer_options){
		.pg = *pg,
		.spool = p->log->identity,
		.begin = p->log->begin,
		.client_id = p->options.client_id,
		.commit_sync = p->options.commit_sync || c->storage_commit == CONFIG_COMMIT_SYNC,
		.timeout_us = c->storage_postgres_timeout,
		.dedupe_window_us = c->dedupe_window,
		.pairing_window_us = c->pairing_window,
		.pairing_keep_us = c->pairing_keep,
		.energy_refresh_us = c->energy_refresh,
		.dead_letters_bytes_max = c->dead_letters_bytes_max,
		.dead_letters_rows_max = c->dead_letters_rows_max,
		.dead_letters_topic_bytes_max = c->dead_letters_topic_bytes_max,
		.schema_version = p->options.schema_version,
		.missing_only = p->options.missing_only,
		.secret_keys = (const char *const *)c->secrets_keys.items,
		.secret_keys_count = c->secrets_keys.count,
		.loads = p->options.loads,
	};
}

static bool pipeline_renew(struct pipeline *p, bool reconnect, struct error *err)
{
	const struct config *c = p->next.config;
	struct writer_options options;

	p->config = c;
	p->next.config = NULL;
	p->next.reconnect = false;
	options = pipeline_writer_options(p, &p->next.pg);
	if (!row_maker_reload(&p->maker, c, err) ||
		!writer_reload(p->writer, &options, reconnect, err))
		return false;
	recent_calls_set_window(p->calls, c->pairing_window);
	partitions_set_outside_max(p->partitions, (uint32_t)c->partitions_outside_max);
	p->batches[0].dedupe_window_us = p->batches[1].dedupe_window_us = c->dedupe_window;
	/* Now another message may be at fault, or none: as after a start. */
	pipeline_enter_search(p, SEARCH_NONE);
	p->probe = (struct pipeline_probe){.seq = 0};
	poison_forget(&p->poison, UINT64_MAX);
	p->patience_us = c->storage_postgres_timeout;
	p->partitions_made_us = p->pruned_us = INT64_MIN / 2; /* due */
	backoff_reset(&p->backoff);
	return true;
}

/* What is too old to be stored is gone for good, so of our clock and the database's only the
 * earlier one counts. */
void pipeline_set_now(struct pipeline *p)
{
	int64_t now_us = clock_cautious_us(&p->begun);
	int64_t database_ahead_us = writer_clock_offset_us(p->writer);

	rows_set_now(&p->maker.builder,
		database_ahead_us < 0 ? now_us + database_ahead_us : now_us);
}

/* Nothing of what was filled is left; whatever waits continues immediately. */
static bool pipeline_resume(struct pipeline *p, bool reconnect, struct error *err)
{
	if (p->state == PIPELINE_NEW || p->state == PIPELINE_MIGRATING)
		return true;
	if (p->state == PIPELINE_LOST) {
		pipeline_retry_in(p, 0);
		return true;
	}
	if (reconnect) {
		pipeline_wait(p, PIPELINE_LOST, 0);
		return true;
	}
	layouts_forget(p->maker.layouts); /* some count as known but will not be written */
	if (!pipeline_rewind(p, p->stored_seq, err))
		return false;
	if (p->state != PIPELINE_READY)
		pipeline_retry_in(p, 0);
	return true;
}

/* Switches to waiting settings, unless a batch is being stored. */
void pipeline_take_settings(struct pipeline *p)
{
	bool reconnect = p->next.reconnect || p->state == PIPELINE_CONNECTING;
	struct error err;

	if (p->next.config == NULL || p->storing != NULL || p->state == PIPELINE_ENDED)
		return;
	if (!pipeline_renew(p, reconnect, &err) || !pipeline_resume(p, reconnect, &err)) {
		pipeline_fatal(p, &err);
		return;
	}
	pipeline_set_now(p);
	p->events.on_reloaded(p->events.context);
}
