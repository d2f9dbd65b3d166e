#include "daemon/samples.h"

#include "base/check.h"
#include "base/clock.h"

/* A timer of a second may be early. */
static const int64_t SAMPLES_EARLY_US = US_PER_SECOND / 2;

bool samples_due(const struct samples *s, int64_t mono_us)
{
	return s->count == 0 || mono_us - samples_get(s, s->count - 1)->mono_us >=
					SAMPLES_SECONDS * US_PER_SECOND - SAMPLES_EARLY_US;
}

struct sample sample_of(const struct metrics *m, int64_t mono_us)
{
	return (struct sample){
		.mono_us = mono_us,
		.received = metrics_sum(m, "mqtt_messages_received_total"),
		.rows = metrics_sum(m, "rows_total"),
		.dead_lettered = m->messages_dead_lettered,
		.qos0 = m->received_qos0,
		.gap = m->gap_records,
	};
}

void samples_add(struct samples *s, const struct metrics *m, int64_t mono_us)
{
	s->ring[s->next] = sample_of(m, mono_us);
	s->next = (s->next + 1) % SAMPLES_COUNT;
	if (s->count < SAMPLES_COUNT)
		s->count++;
}

const struct sample *samples_get(const struct samples *s, size_t number)
{
	CHECK(number < s->count);
	return &s->ring[(s->next + SAMPLES_COUNT - s->count + number) % SAMPLES_COUNT];
}
