#include "copy/collector.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A step handles at most a million elements, or a day of STATIONS_MAX stations, which takes some
 * seconds. */
static const int64_t COLLECTOR_TIMEOUT_US = 600 * US_PER_SECOND;

enum {
	STATIONS_MAX = 200,
	/* Much energy may be pending, as after a replay: what batches have added does not wait. */
	STEPS_BEFORE_FOLD = 16,
};

/* Both say whether there may be more. A limit of the role's would stop each step, however often. */
static const char fold_sql[] =
	"SET statement_timeout = 0; SELECT fold_station_changes(1000000) >= 1000000";
#define ENERGY_SQL                                                                                 \
	"SET statement_timeout = 0; "                                                              \
	"SELECT more FROM refresh_energy(now() - %" PRId64 " * interval '1 microsecond', %d)"

enum { ENERGY_SQL_BYTES = sizeof(ENERGY_SQL) + 30 };

struct collector {
	struct pg_session *session;
	struct pg_request request;
	struct log_repeat trouble;
	char energy_sql[ENERGY_SQL_BYTES];
	int64_t energy_after_us; /* 0 = no energy per hour */
	int stations_max;        /* less after a step has failed: it may have taken too long */
	int steps;               /* of energy since the last fold */
	bool busy;
	bool computing; /* energy, rather than folding */
	bool more;
};

static void collector_rest(struct collector *c)
{
	pg_session_close(c->session);
	c->busy = false;
}

static void collector_failed(struct collector *c, const struct error *err)
{
	uint64_t suppressed;

	if (c->computing && c->stations_max > 1)
		c->stations_max /= 2;
	if (log_repeat_due(&c->trouble, err, &suppressed))
		log_failure(LOG_LEVEL_WARN, "maintenance_failed", err);
	collector_rest(c);
}

static bool collector_on_result(void *context, const PGresult *result, int number,
	struct error *err)
{
	struct collector *c = context;

	(void)err;
	if (number == 1)
		c->more = *PQgetvalue(result, 0, 0) == 't';
	return true;
}

static void collector_step(struct collector *c);

/* What comes after a step that succeeded: all is folded before energy is computed, and again after
 * some steps of that. */
static void collector_choose(struct collector *c)
{
	if (!c->computing) {
		if (c->more || c->energy_after_us == 0)
			return;
		c->computing = c->more = true;
		c->steps = 0;
		return;
	}
	if (c->stations_max < STATIONS_MAX)
		c->stations_max++;
	if (c->more && ++c->steps >= STEPS_BEFORE_FOLD)
		c->computing = false;
}

static void collector_on_done(void *context, const struct error *err)
{
	struct collector *c = context;

	if (err != NULL) {
		collector_failed(c, err);
		return;
	}
	(void)log_repeat_over(&c->trouble);
	collector_choose(c);
	if (c->more)
		collector_step(c);
	else
		collector_rest(c);
}

static void collector_step(struct collector *c)
{
	snprintf(c->energy_sql, sizeof(c->energy_sql), ENERGY_SQL, c->energy_after_us,
		c->stations_max);
	c->request = (struct pg_request){.sql = c->computing ? c->energy_sql : fold_sql,
		.on_result = collector_on_result,
		.context = c};
	pg_session_run(c->session, &c->request, 1, collector_on_done, c);
}

static void collector_on_ready(void *context)
{
	collector_step(context);
}

static void collector_on_lost(void *context, const struct error *err)
{
	collector_failed(context, err);
}

bool collector_new(struct collector **out, struct ev_loop *loop, const struct pg_options *pg,
	int64_t energy_after_us, struct error *err)
{
	struct collector *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	if (!pg_session_new(&c->session, loop, pg,
		    (struct pg_session_events){collector_on_ready, collector_on_lost, c}, err)) {
		free(c);
		return false;
	}
	pg_session_set_timeout(c->session, COLLECTOR_TIMEOUT_US);
	c->energy_after_us = energy_after_us;
	c->stations_max = STATIONS_MAX;
	*out = c;
	return true;
}

void collector_free(struct collector **collector)
{
	struct collector *c = *collector;

	*collector = NULL;
	if (c == NULL)
		return;
	pg_session_free(&c->session);
	free(c);
}

bool collector_reload(struct collector *c, const struct pg_options *pg, int64_t energy_after_us,
	struct error *err)
{
	collector_rest(c);
	c->energy_after_us = energy_after_us;
	return pg_session_reload(c->session, pg, err);
}

void collector_wake(struct collector *c)
{
	if (c->busy)
		return;
	c->busy = true;
	c->computing = false;
	pg_session_open(c->session);
}
