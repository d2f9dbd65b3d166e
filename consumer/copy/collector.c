#include "copy/collector.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A step handles at most a million elements, or a day of 200 stations, which takes some seconds. */
static const int64_t COLLECTOR_TIMEOUT_US = 600 * US_PER_SECOND;

/* Both say whether there may be more. A limit of the role's would stop each step, however often. */
static const char fold_sql[] =
	"SET statement_timeout = 0; SELECT fold_station_changes(1000000) >= 1000000";
#define ENERGY_SQL                                                                                 \
	"SET statement_timeout = 0; "                                                              \
	"SELECT stations > 0 FROM refresh_energy(now() - %" PRId64 " * interval '1 microsecond')"

enum { ENERGY_SQL_BYTES = sizeof(ENERGY_SQL) + 20 };

struct collector {
	struct pg_session *session;
	struct pg_request request;
	struct log_repeat trouble;
	char energy_sql[ENERGY_SQL_BYTES]; /* "" = no energy per hour */
	bool busy;
	bool computing; /* energy: all is folded */
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

static void collector_on_done(void *context, const struct error *err)
{
	struct collector *c = context;

	if (err != NULL) {
		collector_failed(c, err);
		return;
	}
	(void)log_repeat_over(&c->trouble);
	if (!c->more && !c->computing && c->energy_sql[0] != '\0')
		c->computing = c->more = true;
	if (c->more)
		collector_step(c);
	else
		collector_rest(c);
}

static void collector_step(struct collector *c)
{
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

static void collector_set_energy(struct collector *c, int64_t after_us)
{
	c->energy_sql[0] = '\0';
	if (after_us > 0)
		snprintf(c->energy_sql, sizeof(c->energy_sql), ENERGY_SQL, after_us);
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
	collector_set_energy(c, energy_after_us);
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
	collector_set_energy(c, energy_after_us);
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
