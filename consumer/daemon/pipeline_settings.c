#include "daemon/pipeline_private.h"

/* What the settings say of the pipeline's parts: when they are made, and when others come. */

struct writer_options pipeline_writer_options(const struct pipeline *p, const struct pg_options *pg)
{
	const struct config *c = p->config;

	return (struct writer_options){
		.pg = *pg,
		.spool = p->log->identity,
		.begin = p->log->begin,
		.client_id = p->options.client_id,
		.commit_sync = c->storage_commit == CONFIG_COMMIT_SYNC,
		.timeout_us = c->storage_postgres_timeout,
		.dedupe_window_us = c->dedupe_window,
		.pairing_window_us = c->pairing_window,
		.pairing_keep_us = c->pairing_keep,
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

bool pipeline_renew(struct pipeline *p, bool reconnect, struct error *err)
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
	/* What is at fault may be another message now, or none: as after a start. */
	pipeline_enter_search(p, SEARCH_NONE);
	p->probe = (struct pipeline_probe){.seq = 0};
	poison_forget(&p->poison, UINT64_MAX);
	p->patience_us = c->storage_postgres_timeout;
	p->partitions_made_us = p->pruned_us = INT64_MIN / 2; /* due */
	backoff_reset(&p->backoff);
	return true;
}
