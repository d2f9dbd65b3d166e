#include "daemon/dropper.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/log.h"
#include "pg/pg_error.h"
#include "pg/session.h"
#include "retention/retire.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DROPPER_LIST_BYTES = 1024, /* list of all tables, or of how long they keep rows */
	DROPPER_NUMBER_BYTES = 24,
	DROPPER_NAME_BYTES = 64,
	DROPPER_PARAMS_MAX = 6,
	DROPPER_REFUSED_MAX = 100,
	DROPPER_OID_BYTES = 12, /* with a comma */
};

/* The server takes a while to unlink a large table. */
static const int64_t DROPPER_TIMEOUT_US = 600 * US_PER_SECOND;
static const double DROPPER_LOOK_S = 3600, DROPPER_START_S = 0.1;
static const int64_t DROPPER_AGAIN_US = US_PER_SECOND, DROPPER_AGAIN_MAX_US = 10 * US_PER_SECOND;

/* What a check of the database found. */
enum dropper_found {
	DROPPER_OTHERS, /* others are dropping */
	DROPPER_NOTHING,
	DROPPER_PARTITION, /* one to retire */
	DROPPER_RETIRED,   /* one to drop */
};

/* What is being dropped. */
struct dropper_table {
	enum table_id parent;
	char id[DROPPER_OID_BYTES];       /* its oid */
	char name[DROPPER_NAME_BYTES];    /* the partition's name */
	char retired[DROPPER_NAME_BYTES]; /* its name once retired */
	int64_t rows, bytes;
	bool bytes_known; /* nobody had locked it */
};

struct dropper {
	struct ev_loop *loop;
	struct pg_session *session;
	struct clock_cautious begun;
	ev_timer timer;
	struct backoff backoff;
	int64_t retention_us[TABLE_COUNT];
	bool held;              /* by dropper_hold() */
	bool busy[TABLE_COUNT]; /* somebody is using it, in this round */
	int refused_count;      /* in this round */
	/* Their oids, as an array. */
	char refused[DROPPER_REFUSED_MAX * DROPPER_OID_BYTES + sizeof("{}")];
	char parents[DROPPER_LIST_BYTES], ages[DROPPER_LIST_BYTES];
	char now[DROPPER_NUMBER_BYTES];
	const char *params[DROPPER_PARAMS_MAX];
	int lengths[DROPPER_PARAMS_MAX];
	struct pg_request requests[2];
	struct dropper_table table;
	enum dropper_found found;
	struct log_repeat trouble, refusal;
};

static void dropper_look(struct dropper *d);

static void dropper_begin_round(struct dropper *d)
{
	memset(d->busy, 0, sizeof(d->busy));
	d->refused_count = 0;
	memcpy(d->refused, "{}", sizeof("{}"));
}

static void dropper_rest(struct dropper *d, double seconds)
{
	pg_session_close(d->session);
	dropper_begin_round(d);
	ev_timer_stop(d->loop, &d->timer);
	ev_timer_set(&d->timer, seconds, 0);
	ev_timer_start(d->loop, &d->timer);
}

static double dropper_again_s(struct dropper *d)
{
	return (double)backoff_next_us(&d->backoff) / US_PER_SECOND;
}

static void dropper_say(struct dropper *d, const struct error *err, double again_s)
{
	uint64_t suppressed;

	if (!log_repeat_due(&d->trouble, err, &suppressed))
		return;
	log_failure(LOG_LEVEL_WARN, "retention_failed", err);
	log_will_retry(err, pg_error_is_lock(err) ? "whoever has the table" : "the database",
		(int64_t)(again_s * US_PER_SECOND), suppressed);
}

static void dropper_add_refused(struct dropper *d)
{
	size_t end = strlen(d->refused) - 1;

	CHECK(d->refused_count < DROPPER_REFUSED_MAX);
	snprintf(d->refused + end, sizeof(d->refused) - end, "%s%s}",
		d->refused_count > 0 ? "," : "", d->table.id);
	d->refused_count++;
}

/* The server refused this one, for example because a view needs it: the next round retries it. */
static bool dropper_leave_refused(struct dropper *d, const struct error *err)
{
	const struct dropper_table *t = &d->table;
	struct error named = *err;
	uint64_t suppressed;

	if (!pg_error_is_of_statement(err))
		return false;
	dropper_add_refused(d);
	error_prefix(&named, "%s", t->name);
	if (log_repeat_due(&d->refusal, err, &suppressed))
		log_failure(LOG_LEVEL_WARN, "retention_failed", &named);
	return true;
}

/* A table that somebody is using is left for later: the other tables need not wait for it. */
static bool dropper_leave(struct dropper *d, const struct error *err)
{
	if (!pg_error_is_lock(err))
		return dropper_leave_refused(d, err);
	d->busy[d->table.parent] = true;
	dropper_say(d, err, (double)DROPPER_AGAIN_US / US_PER_SECOND);
	return true;
}

static void dropper_failed(struct dropper *d, const struct error *err)
{
	double again_s = dropper_again_s(d);

	dropper_say(d, err, again_s);
	dropper_rest(d, again_s);
}

/* ---- dropping ---- */

static void dropper_say_dropped(struct dropper *d)
{
	char bytes[DROPPER_NUMBER_BYTES + sizeof(" bytes=")] = "";

	(void)log_repeat_over(&d->trouble);
	backoff_reset(&d->backoff);
	if (d->table.bytes_known)
		snprintf(bytes, sizeof(bytes), " bytes=%" PRId64, d->table.bytes);
	log_info("partition_dropped", "older than its table keeps rows",
		"table=%s partition=%s rows_estimated=%" PRId64 "%s", tables[d->table.parent].name,
		LOG_VALUE(d->table.name), d->table.rows, bytes);
}

static void dropper_on_dropped(void *context, const struct error *err)
{
	struct dropper *d = context;

	if (err != NULL && !dropper_leave(d, err)) {
		dropper_failed(d, err);
		return;
	}
	if (err == NULL)
		dropper_say_dropped(d);
	dropper_look(d);
}

/* With the first `count` of d->params. */
static struct pg_request dropper_request(struct dropper *d, enum retire_statement statement,
	int count,
	bool (*on_result)(void *context, const PGresult *result, int number, struct error *err))
{
	for (int i = 0; i < count; i++)
		d->lengths[i] = (int)strlen(d->params[i]);
	return (struct pg_request){.statement = &retire_statements[statement],
		.params = {d->params, d->lengths, count},
		.on_result = on_result,
		.context = d};
}

static void dropper_drop(struct dropper *d)
{
	d->params[0] = d->table.retired;
	d->requests[0] = dropper_request(d, RETIRE_DROP, 1, NULL);
	pg_session_run(d->session, d->requests, 1, dropper_on_dropped, d);
}

/* ---- retiring ---- */

static bool dropper_on_name(void *context, const PGresult *result, int number, struct error *err)
{
	struct dropper *d = context;

	(void)number;
	(void)err;
	snprintf(d->table.retired, sizeof(d->table.retired), "%s", PQgetvalue(result, 0, 0));
	return true;
}

static void dropper_on_retired(void *context, const struct error *err)
{
	struct dropper *d = context;

	if (err == NULL)
		dropper_drop(d);
	else if (dropper_leave(d, err))
		dropper_look(d);
	else
		dropper_failed(d, err);
}

static void dropper_retire(struct dropper *d)
{
	d->params[0] = tables[d->table.parent].name;
	d->params[1] = d->table.name;
	d->requests[0] = dropper_request(d, RETIRE_PARTITION, 2, dropper_on_name);
	pg_session_run(d->session, d->requests, 1, dropper_on_retired, d);
}

/* ---- looking ---- */

static bool dropper_on_lock(void *context, const PGresult *result, int number, struct error *err)
{
	struct dropper *d = context;

	(void)number;
	(void)err;
	d->found = *PQgetvalue(result, 0, 0) == 't' ? DROPPER_NOTHING : DROPPER_OTHERS;
	return true;
}

static bool dropper_on_found(void *context, const PGresult *result, int number, struct error *err)
{
	struct dropper *d = context;
	struct dropper_table *t = &d->table;

	(void)number;
	(void)err;
	*t = (struct dropper_table){.rows = 0};
	if (d->found == DROPPER_OTHERS || PQntuples(result) == 0)
		return true;
	while (strcmp(PQgetvalue(result, 0, OLD_PARENT), tables[t->parent].name) != 0)
		t->parent++; /* one of the tables in the list */
	snprintf(t->id, sizeof(t->id), "%s", PQgetvalue(result, 0, OLD_ID));
	snprintf(t->name, sizeof(t->name), "%s", PQgetvalue(result, 0, OLD_NAME));
	snprintf(t->retired, sizeof(t->retired), "%s", t->name);
	d->found = retire_was_retired(result, 0) ? DROPPER_RETIRED : DROPPER_PARTITION;
	t->rows = strtoll(PQgetvalue(result, 0, OLD_ROWS), NULL, 10);
	t->bytes_known = !PQgetisnull(result, 0, OLD_BYTES);
	t->bytes = strtoll(PQgetvalue(result, 0, OLD_BYTES), NULL, 10);
	return true;
}

/* Tables that nobody else is using, and how long they keep rows. False: none. */
static bool dropper_list_tables(struct dropper *d)
{
	size_t parents = 0, ages = 0;

	for (int i = 0; i < TABLE_COUNT; i++) {
		char before = parents == 0 ? '{' : ',';

		if (d->retention_us[i] == 0 || d->busy[i])
			continue;
		parents += (size_t)snprintf(d->parents + parents, sizeof(d->parents) - parents,
			"%c%s", before, tables[i].name);
		ages += (size_t)snprintf(d->ages + ages, sizeof(d->ages) - ages, "%c%" PRId64,
			before, d->retention_us[i]);
	}
	CHECK(parents + 1 < sizeof(d->parents) && ages + 1 < sizeof(d->ages));
	memcpy(d->parents + parents, "}", sizeof("}"));
	memcpy(d->ages + ages, "}", sizeof("}"));
	return parents > 0;
}

/* The rest is too young, or in use. */
static void dropper_round_over(struct dropper *d)
{
	bool busy = false;

	for (int i = 0; i < TABLE_COUNT; i++)
		busy |= d->busy[i];
	dropper_rest(d, busy ? dropper_again_s(d) : DROPPER_LOOK_S);
}

static void dropper_on_looked(void *context, const struct error *err)
{
	struct dropper *d = context;

	if (err != NULL) {
		dropper_failed(d, err);
		return;
	}
	switch (d->found) {
	case DROPPER_OTHERS:
		dropper_rest(d, dropper_again_s(d));
		break;
	case DROPPER_NOTHING:
		dropper_round_over(d);
		break;
	case DROPPER_PARTITION:
		dropper_retire(d);
		break;
	case DROPPER_RETIRED:
		dropper_drop(d);
		break;
	}
}

static void dropper_look(struct dropper *d)
{
	/* If that many are refused, the cause is a missing right rather than a view. */
	if (d->refused_count == DROPPER_REFUSED_MAX || !dropper_list_tables(d)) {
		dropper_round_over(d);
		return;
	}
	snprintf(d->now, sizeof(d->now), "%" PRId64, clock_cautious_us(&d->begun));
	memcpy(d->params, (const char *[]){d->parents, d->ages, d->now, "f", "1", d->refused},
		sizeof(d->params));
	d->requests[0] = dropper_request(d, RETIRE_LOCK, 0, dropper_on_lock);
	d->requests[1] = dropper_request(d, RETIRE_FIND_OLD, DROPPER_PARAMS_MAX, dropper_on_found);
	pg_session_run(d->session, d->requests, 2, dropper_on_looked, d);
}

static void dropper_on_ready(void *context)
{
	dropper_look(context);
}

static void dropper_on_lost(void *context, const struct error *err)
{
	dropper_failed(context, err);
}

static void dropper_on_timer(struct ev_loop *loop, ev_timer *w, int events)
{
	struct dropper *d = w->data;

	(void)loop;
	(void)events;
	pg_session_open(d->session);
}

/* Does nothing if all tables keep their rows forever. */
static void dropper_begin(struct dropper *d)
{
	dropper_begin_round(d);
	if (!d->held && dropper_list_tables(d))
		dropper_rest(d, DROPPER_START_S);
}

static void dropper_stop(struct dropper *d)
{
	pg_session_close(d->session);
	ev_timer_stop(d->loop, &d->timer);
}

void dropper_hold(struct dropper *d, bool held)
{
	d->held = held;
	dropper_stop(d);
	dropper_begin(d);
}

bool dropper_reload(struct dropper *d, const struct pg_options *pg,
	const int64_t retention_us[static TABLE_COUNT], struct error *err)
{
	dropper_stop(d);
	memcpy(d->retention_us, retention_us, sizeof(d->retention_us));
	if (!pg_session_reload(d->session, pg, err))
		return false;
	dropper_begin(d);
	return true;
}

bool dropper_new(struct dropper **out, struct ev_loop *loop, const struct pg_options *pg,
	const int64_t retention_us[static TABLE_COUNT], struct error *err)
{
	struct dropper *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	d->loop = loop;
	d->begun = clock_cautious_begin();
	memcpy(d->retention_us, retention_us, sizeof(d->retention_us));
	backoff_init(&d->backoff, DROPPER_AGAIN_US, DROPPER_AGAIN_MAX_US,
		(uint64_t)clock_mono_us());
	ev_init(&d->timer, dropper_on_timer);
	d->timer.data = d;
	if (!pg_session_new(&d->session, loop, pg,
		    (struct pg_session_events){dropper_on_ready, dropper_on_lost, d}, err)) {
		free(d);
		return false;
	}
	pg_session_set_timeout(d->session, DROPPER_TIMEOUT_US);
	dropper_begin(d);
	*out = d;
	return true;
}

void dropper_free(struct dropper **dropper)
{
	struct dropper *d = *dropper;

	*dropper = NULL;
	if (d == NULL)
		return;
	ev_timer_stop(d->loop, &d->timer);
	pg_session_free(&d->session);
	free(d);
}
