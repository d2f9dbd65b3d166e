#include "copy/attacher.h"

#include "base/clock.h"
#include "base/log.h"
#include "pg/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTACHER_SQL_BYTES = 160 };

/* The server is silent while it builds the index of a large day. */
static const int64_t ATTACHER_TIMEOUT_US = 24 * 3600 * US_PER_SECOND;

struct attacher {
	struct pg_session *session;
	struct partitions *partitions;
	struct loads *loads;
	struct partition current;
	char name[PARTITION_NAME_BYTES]; /* name of its table */
	char sql[ATTACHER_SQL_BYTES];
	enum attacher_result result; /* of the last step */
	uint64_t duplicates;
	bool opening;
	bool running;
	struct pg_request requests[2];
};

static void attacher_next(struct attacher *a);

static const struct {
	const char *name;
	enum attacher_result result;
} attacher_results[] = {{"indexed", ATTACHER_STEPPED}, {"moving", ATTACHER_STEPPED},
	{"stepping", ATTACHER_STEPPING}, {"busy", ATTACHER_BUSY}, {"attached", ATTACHER_ATTACHED},
	{"moved", ATTACHER_MOVED}, {"gone", ATTACHER_GONE}};

enum { ATTACHER_RESULTS = sizeof(attacher_results) / sizeof(attacher_results[0]) };

enum attacher_result attacher_result(const char *text)
{
	for (size_t i = 0; i < ATTACHER_RESULTS; i++) {
		if (strcmp(text, attacher_results[i].name) == 0)
			return attacher_results[i].result;
	}
	return ATTACHER_GONE;
}

const char *attacher_result_name(enum attacher_result result)
{
	size_t i = 0;

	while (attacher_results[i].result != result)
		i++;
	return attacher_results[i].name;
}

static bool attacher_on_result(void *context, const PGresult *result, int number, struct error *err)
{
	struct attacher *a = context;

	(void)number;
	if (PQntuples(result) != 1 || PQnfields(result) != 2)
		return error_set(err, ERROR_TRANSIENT, REASON_unexpected,
			"finish_loading returned nothing");
	a->result = attacher_result(PQgetvalue(result, 0, 0));
	a->duplicates += strtoull(PQgetvalue(result, 0, 1), NULL, 10);
	a->loads->duplicates += strtoull(PQgetvalue(result, 0, 1), NULL, 10);
	return true;
}

static void attacher_left(const struct attacher *a, const struct error *err)
{
	log_failure(LOG_LEVEL_WARN, "not_attached", err);
	log_info("loaded_rows_wait", "they are stored; the end of a replay attaches them",
		"table=%s", LOG_VALUE(a->name));
}

static void attacher_on_done(void *context, const struct error *err)
{
	struct attacher *a = context;

	a->running = false;
	if (err != NULL) {
		attacher_left(a, err);
	} else if (a->result != ATTACHER_STEPPED) {
		bool over = a->result == ATTACHER_ATTACHED || a->result == ATTACHER_MOVED;

		a->loads->tables += over;
		log_info(over ? "loaded" : "loaded_rows_wait", "",
			"table=%s state=%s duplicates=%" PRIu64, LOG_VALUE(a->name),
			attacher_result_name(a->result), a->duplicates);
	}
	if (err != NULL || a->result != ATTACHER_STEPPED) {
		partitions_end_attaching(a->partitions, a->current,
			err == NULL && a->result == ATTACHER_ATTACHED);
		a->duplicates = 0;
	}
	attacher_next(a);
}

static void attacher_next(struct attacher *a)
{
	struct partition p;

	if (a->running || !partitions_find_attaching(a->partitions, &p))
		return;
	if (!partition_is_same(p, a->current))
		a->duplicates = 0; /* they belong to the previous table */
	a->current = p;
	partition_loading_name(p, a->name);
	snprintf(a->sql, sizeof(a->sql), ATTACHER_STEP_SQL("'%s'"), a->name);
	a->requests[0] = (struct pg_request){.sql = ATTACHER_SETUP_SQL};
	a->requests[1] =
		(struct pg_request){.sql = a->sql, .on_result = attacher_on_result, .context = a};
	a->running = true;
	pg_session_run(a->session, a->requests, 2, attacher_on_done, a);
}

static void attacher_on_ready(void *context)
{
	struct attacher *a = context;

	a->opening = false;
	attacher_next(a);
}

static void attacher_on_lost(void *context, const struct error *err)
{
	struct attacher *a = context;
	struct partition p;

	a->opening = a->running = false;
	attacher_left(a, err);
	while (partitions_find_attaching(a->partitions, &p))
		partitions_end_attaching(a->partitions, p, false);
}

bool attacher_new(struct attacher **out, struct ev_loop *loop, const struct pg_options *pg,
	struct partitions *partitions, struct loads *loads, struct error *err)
{
	struct attacher *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	a->partitions = partitions;
	a->loads = loads;
	if (!pg_session_new(&a->session, loop, pg,
		    (struct pg_session_events){attacher_on_ready, attacher_on_lost, a}, err)) {
		free(a);
		return false;
	}
	pg_session_set_timeout(a->session, ATTACHER_TIMEOUT_US);
	*out = a;
	return true;
}

void attacher_free(struct attacher **attacher)
{
	struct attacher *a = *attacher;

	*attacher = NULL;
	if (a == NULL)
		return;
	pg_session_free(&a->session);
	free(a);
}

void attacher_wake(struct attacher *a)
{
	struct partition p;

	if (a == NULL || a->opening || a->running || !partitions_find_attaching(a->partitions, &p))
		return;
	if (pg_session_is_ready(a->session)) {
		attacher_next(a);
		return;
	}
	a->opening = true;
	pg_session_open(a->session);
}

bool attacher_is_busy(const struct attacher *a)
{
	struct partition p;

	return a != NULL && (a->running || partitions_find_attaching(a->partitions, &p));
}
