#include "base/clock.h"
#include "daemon/pipeline_private.h"

#include <stdlib.h>

/* Waiting for the next attempt, or ending. */

/* FAILPOINT_HASTE=20: pauses are a twentieth as long, for tests of what comes after many of
 * them. */
static double pipeline_pause_s(int64_t us)
{
	long haste = 1;
#ifdef FAILPOINTS
	const char *text =
		getenv("FAILPOINT_HASTE"); /* NOLINT(concurrency-mt-unsafe): as in fs.c */

	if (text != NULL)
		haste = strtol(text, NULL, 10);
#endif
	return (double)us / (double)US_PER_SECOND / (double)(haste > 1 ? haste : 1);
}

void pipeline_retry_in(struct pipeline *p, int64_t us)
{
	ev_timer_stop(p->loop, &p->retry);
	ev_timer_set(&p->retry, pipeline_pause_s(us), 0.);
	ev_timer_start(p->loop, &p->retry);
}

void pipeline_wait(struct pipeline *p, enum pipeline_state state, int64_t us)
{
	pipeline_enter(p, state);
	pipeline_retry_in(p, us);
}

static void pipeline_end(struct pipeline *p)
{
	pipeline_enter(p, PIPELINE_ENDED);
	ev_timer_stop(p->loop, &p->retry);
}

void pipeline_drained(struct pipeline *p)
{
	pipeline_end(p);
	p->events.on_drained(p->events.context);
}

void pipeline_fatal(struct pipeline *p, const struct error *err)
{
	bool awaited = p->state == PIPELINE_LAST;

	pipeline_end(p);
	p->events.on_fatal(p->events.context, err);
	if (awaited)
		p->events.on_drained(p->events.context);
}

void pipeline_log_trouble(struct pipeline *p, enum pipeline_trouble trouble, const char *event,
	const struct error *err, int64_t wait_us)
{
	uint64_t suppressed;

	p->troubled = trouble;
	p->troubled_why = err->code;
	if (!log_repeat_due(&p->trouble, err, &suppressed))
		return;
	log_failure(LOG_LEVEL_ERROR, event, err);
	log_will_retry(err, "database", wait_us, suppressed);
}
