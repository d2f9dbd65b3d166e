#include "base/clock.h"
#include "daemon/pipeline_private.h"

#include <stdlib.h>

/* The metrics about batches and the log. */

void pipeline_measure_stored(struct pipeline *p, const struct batch *b)
{
	struct metrics *m = p->metrics;

	for (size_t i = 0; i < b->messages_count; i++) {
		const struct batch_message *message = &b->messages[i];

		switch (message->outcome) {
		case OUTCOME_STORED:
			metrics_add(&m->messages_stored, 1);
			break;
		case OUTCOME_DUPLICATE:
			metrics_add(&m->messages_duplicate, 1);
			break;
		case OUTCOME_DEAD_LETTERED:
			metrics_add(&m->messages_dead_lettered, 1);
			metrics_family_add(&m->dead_lettered_reasons, message->reason, 1);
			break;
		case OUTCOME_SKIPPED:
			metrics_add(&m->messages_skipped, 1);
			metrics_family_add(&m->skipped_reasons, message->reason, 1);
			break;
		}
	}
	metrics_add(&m->rows_meter_values, b->rows[TABLE_meter_values].count);
	metrics_add(&m->rows_transaction_events, b->rows[TABLE_transaction_events].count);
	metrics_add(&m->rows_authorizations, b->timeless[TABLE_authorizations].count);
	metrics_add(&m->rows_ocpp_events,
		b->rows[TABLE_ocpp_events].count + b->timeless[TABLE_ocpp_events].count);
	metrics_add(&m->batches, 1);
	metrics_histogram_add(&m->batch_seconds, clock_mono_us() - p->stored_mono_us);
	metrics_histogram_add(&m->latency_seconds, clock_wall_us() - b->oldest_received_us);
}

/* While no batch is built (the database is down), the log is checked once per position. Until the
 * database has reported its position, it may lack everything that the log keeps. */
static void measure_backlog(struct pipeline *p, struct spool *spool,
	const struct spool_stats *stats)
{
	const struct batch *oldest = p->storing != NULL ? p->storing : p->filling;
	uint64_t seq = p->stored_known ? p->stored_seq : stats->oldest_seq - 1;
	uint64_t count = spool_count_newer(spool, seq);
	int64_t age_us = 0;

	if (p->waits_seq != seq)
		p->waits_since_us = 0;
	p->waits_seq = seq;
	if (pipeline_positioned(p) && oldest->records > 0)
		p->waits_since_us = oldest->oldest_received_us;
	else if (count > 0 && p->waits_since_us == 0 &&
		 !spool_received_newer(spool, seq, &p->waits_since_us))
		p->waits_since_us = 0;
	if (count > 0 && p->waits_since_us > 0)
		age_us = clock_wall_us() - p->waits_since_us;
	metrics_set(&p->metrics->backlog_records, count);
	metrics_set(&p->metrics->backlog_age_us, age_us > 0 ? (uint64_t)age_us : 0);
}

static void measure_partitions(const struct pipeline *p, enum table_id table,
	_Atomic uint64_t *count, _Atomic uint64_t *oldest)
{
	int64_t oldest_us = 0;

	metrics_set(count, partitions_survey(p->partitions, table, &oldest_us));
	metrics_set(oldest, oldest_us > 0 ? (uint64_t)oldest_us : 0);
}

void pipeline_measure(struct pipeline *p, struct spool *spool)
{
	struct metrics *m = p->metrics;
	struct spool_stats stats;

	spool_stats(spool, &stats);
	metrics_set(&m->spool_bytes, (uint64_t)stats.bytes);
	metrics_set(&m->spool_segments, stats.segments);
	metrics_set(&m->spool_archived, stats.archived);
	metrics_set(&m->spool_full, stats.full);
	metrics_set(&m->spool_disk_full, stats.disk_full);
	metrics_set(&m->spool_damaged, stats.damaged_records);
	metrics_set(&m->spool_syncs, stats.syncs);
	measure_backlog(p, spool, &stats);
#define MEASURE_PARTITIONS(table)                                                                  \
	measure_partitions(p, TABLE_##table, &m->partitions_##table, &m->oldest_partition_##table)
	MEASURE_PARTITIONS(meter_values);
	MEASURE_PARTITIONS(transaction_events);
	MEASURE_PARTITIONS(authorizations);
	MEASURE_PARTITIONS(ocpp_events);
	MEASURE_PARTITIONS(transaction_starts);
	MEASURE_PARTITIONS(transactions);
#undef MEASURE_PARTITIONS
	metrics_set(&m->layouts_different, layouts_others(p->maker.layouts));
	metrics_set(&m->clock_offset_us, (uint64_t)llabs(writer_clock_offset_us(p->writer)));
	metrics_set(&m->database_up, pipeline_positioned(p));
}
