#include "daemon/neighbours.h"

#include "pg/session.h"

#include <stdio.h>
#include <stdlib.h>

struct neighbours {
	struct pg_session *session;
	struct pg_request request;
	char sql[PG_SETUP_BYTES + 256];
	bool asking; /* also while connecting */
	enum neighbours_answer answer;
};

static bool neighbours_on_result(void *context, const PGresult *result, int number,
	struct error *err)
{
	struct neighbours *n = context;

	(void)number;
	(void)err;
	n->answer = PQntuples(result) > 0 ? NEIGHBOURS_SEEN : NEIGHBOURS_NONE;
	return true;
}

static void neighbours_on_done(void *context, const struct error *err)
{
	struct neighbours *n = context;

	n->asking = false;
	if (err != NULL)
		n->answer = NEIGHBOURS_NONE;
}

static void neighbours_on_ready(void *context)
{
	struct neighbours *n = context;

	pg_session_run(n->session, &n->request, 1, neighbours_on_done, n);
}

static void neighbours_on_lost(void *context, const struct error *err)
{
	neighbours_on_done(context, err);
}

bool neighbours_new(struct neighbours **out, struct ev_loop *loop, const struct pg_options *pg,
	struct error *err)
{
	struct neighbours *n = calloc(1, sizeof(*n));
	struct pg_options bare = *pg;
	char quoted[PG_SCHEMA_BYTES];

	if (n == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	/* One query is one transaction: it leaves nothing behind in a session, even a pooler's. */
	snprintf(n->sql, sizeof(n->sql),
		"SELECT FROM %s.ingest_progress WHERE updated_at > now() - interval "
		"'3 seconds' AND asked IS NULL LIMIT 1",
		pg_schema_quoted(pg, quoted));
	n->request =
		(struct pg_request){.sql = n->sql, .on_result = neighbours_on_result, .context = n};
	bare.bare = true;
	if (!pg_session_new(&n->session, loop, &bare,
		    (struct pg_session_events){neighbours_on_ready, neighbours_on_lost, n}, err)) {
		free(n);
		return false;
	}
	*out = n;
	return true;
}

void neighbours_free(struct neighbours **neighbours)
{
	struct neighbours *n = *neighbours;

	*neighbours = NULL;
	if (n == NULL)
		return;
	pg_session_free(&n->session);
	free(n);
}

void neighbours_ask(struct neighbours *n)
{
	if (n->asking)
		return;
	n->asking = true;
	if (pg_session_is_ready(n->session))
		neighbours_on_ready(n);
	else
		pg_session_open(n->session);
}

enum neighbours_answer neighbours_answer(const struct neighbours *n)
{
	return n->answer;
}
