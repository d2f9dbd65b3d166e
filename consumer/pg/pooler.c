#include "pg/pooler.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The pooler may serve others between two of our questions, so one answer proves nothing. */
enum { POOLER_ROUNDS = 5 };

/* A pooler with a free process assigns it without delay. */
static const int64_t POOLER_CONNECT_US_MAX = 5 * US_PER_SECOND;

enum { PROCESS_BYTES = 64 };

struct pg_pooler {
	struct pg_session *probe;
	struct pg_session *session;
	struct pg_request ask;
	int pid;                      /* from the last answer */
	char process[PROCESS_BYTES];  /* the same, but unique among servers */
	char expected[PROCESS_BYTES]; /* what the session had before */
	int rounds;
	void (*on_done)(void *context, const struct error *err);
	void *context;
};

static void pooler_on_session(void *context, const struct error *err);

static bool pooler_on_pid(void *context, const PGresult *result, int number, struct error *err)
{
	struct pg_pooler *p = context;

	(void)number;
	if (PQntuples(result) != 1)
		return error_set(err, ERROR_TRANSIENT, REASON_unexpected, "no process id");
	p->pid = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
	snprintf(p->process, sizeof(p->process), "%s", PQgetvalue(result, 0, 1));
	return true;
}

static void pooler_done(struct pg_pooler *p, const struct error *err)
{
	struct pg_session *session = p->session;

	pg_session_close(p->probe);
	p->session = NULL;
	if (session != NULL)
		p->on_done(p->context, err);
}

static void pooler_refuse(struct pg_pooler *p)
{
	struct error err;

	pg_pooling_error(&err);
	pooler_done(p, &err);
}

static void pooler_ask(struct pg_pooler *p, struct pg_session *whom,
	void (*on_answer)(void *context, const struct error *err))
{
	p->pid = 0;
	p->process[0] = '\0'; /* a broken connection may end without an answer */
	pg_session_run(whom, &p->ask, 1, on_answer, p);
}

static void pooler_broke(struct pg_pooler *p)
{
	struct error err;

	error_set(&err, ERROR_TRANSIENT, REASON_connection,
		"the connection broke while it was looked at");
	pooler_done(p, &err);
}

/* Silence means that no process is left for it. Any other failure answers nothing. */
static void pooler_without_probe(struct pg_pooler *p, const struct error *why)
{
	struct error unknown;

	if (!why->slow)
		pg_pooling_unknown(&unknown, why);
	pooler_done(p, why->slow ? NULL : &unknown);
}

static void pooler_on_probe(void *context, const struct error *err)
{
	struct pg_pooler *p = context;

	if (err != NULL)
		pooler_without_probe(p, err);
	else if (p->process[0] == '\0')
		pooler_broke(p);
	else if (strcmp(p->process, p->expected) == 0)
		pooler_refuse(p);
	else
		pooler_ask(p, p->session, pooler_on_session);
}

static void pooler_on_session(void *context, const struct error *err)
{
	struct pg_pooler *p = context;

	if (err != NULL) {
		pooler_done(p, err);
		return;
	}
	/* Either the server did not answer, or the connection does not know its own process. */
	if (p->process[0] == '\0' || pg_session_backend_pid(p->session) == 0) {
		pooler_broke(p);
		return;
	}
	if (p->rounds > 0 && strcmp(p->process, p->expected) != 0) {
		pooler_refuse(p);
		return;
	}
	memcpy(p->expected, p->process, sizeof(p->expected));
	if (p->pid == pg_session_backend_pid(p->session) || p->rounds++ == POOLER_ROUNDS)
		pooler_done(p, NULL);
	else if (pg_session_is_ready(p->probe))
		pooler_ask(p, p->probe, pooler_on_probe);
	else
		pg_session_open(p->probe);
}

static void pooler_on_probe_ready(void *context)
{
	struct pg_pooler *p = context;

	pooler_ask(p, p->probe, pooler_on_probe);
}

static void pooler_on_probe_lost(void *context, const struct error *err)
{
	pooler_without_probe(context, err);
}

static struct pg_options pooler_options(const struct pg_options *options)
{
	struct pg_options own = *options;

	own.bare = true;
	if (own.connect_timeout_us > POOLER_CONNECT_US_MAX)
		own.connect_timeout_us = POOLER_CONNECT_US_MAX;
	return own;
}

bool pg_pooler_reload(struct pg_pooler *p, const struct pg_options *options, struct error *err)
{
	struct pg_options own = pooler_options(options);

	pg_session_set_timeout(p->probe, own.connect_timeout_us);
	return pg_session_reload(p->probe, &own, err);
}

bool pg_pooler_new(struct pg_pooler **out, struct ev_loop *loop, const struct pg_options *options,
	struct error *err)
{
	struct pg_pooler *p = calloc(1, sizeof(*p));
	struct pg_options own = pooler_options(options);

	if (p == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	p->ask = (struct pg_request){.sql = "SELECT pg_backend_pid(), pg_backend_pid() || ' ' || "
					    "pg_postmaster_start_time()",
		.on_result = pooler_on_pid,
		.context = p};
	if (!pg_session_new(&p->probe, loop, &own,
		    (struct pg_session_events){pooler_on_probe_ready, pooler_on_probe_lost, p},
		    err)) {
		free(p);
		return false;
	}
	pg_session_set_timeout(p->probe, own.connect_timeout_us);
	*out = p;
	return true;
}

void pg_pooler_free(struct pg_pooler **pooler)
{
	if (*pooler != NULL)
		pg_session_free(&(*pooler)->probe);
	free(*pooler);
	*pooler = NULL;
}

void pg_pooler_check(struct pg_pooler *p, struct pg_session *session,
	void (*on_done)(void *context, const struct error *err), void *context)
{
	p->session = session;
	p->on_done = on_done;
	p->context = context;
	p->rounds = 0;
	pooler_ask(p, session, pooler_on_session);
}

void pg_pooler_stop(struct pg_pooler *p)
{
	p->session = NULL;
	pg_session_close(p->probe);
}
