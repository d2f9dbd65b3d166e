#include "pg/run.h"

#include "base/check.h"
#include "pg/pg_error.h"

enum { PG_RUN_REQUESTS_MAX = 64, PG_RUN_PARAMS_MAX = 64 };

static bool run_is_prepared(const struct pg_run *r, const struct pg_statement *statement)
{
	for (size_t i = 0; i < r->prepared_count; i++) {
		if (r->prepared[i] == statement)
			return true;
	}
	return false;
}

static void run_note_commit(struct pg_run *r, const struct pg_request *request, size_t index)
{
	if (!request->commits)
		return;
	r->commit_sent = true;
	r->commit_at = index;
}

/* Adds one statement to the pipeline, and before it its preparation if this connection lacks it. */
static bool run_send_statement(struct pg_run *r, const struct pg_request *request, size_t index)
{
	int formats[PG_RUN_PARAMS_MAX];

	CHECK(request->params.count <= PG_RUN_PARAMS_MAX && index < PG_RUN_REQUESTS_MAX);
	for (int i = 0; i < request->params.count; i++)
		formats[i] = 1;
	/* Otherwise the server holds back answers until the end of the pipeline. */
	if (r->pipeline > 0 &&
		(request->marked || request->commits || r->requests[index - 1].marked) &&
		PQsendFlushRequest(r->conn) != 1)
		return false;
	if (!run_is_prepared(r, request->statement)) {
		CHECK(r->prepared_count < PG_RUN_STATEMENTS_MAX);
		if (PQsendPrepare(r->conn, request->statement->name, request->statement->sql, 0,
			    NULL) != 1)
			return false;
		r->prepares |= UINT64_C(1) << index;
		r->prepared[r->prepared_count++] = request->statement;
	}
	run_note_commit(r, request, index);
	return PQsendQueryPrepared(r->conn, request->statement->name, request->params.count,
		       request->params.values, request->params.lengths, formats, 1) == 1;
}

/* The next result is that of preparing the request, or of the request itself. */
static void run_expect(struct pg_run *r)
{
	r->preparing = (r->prepares >> r->at & 1) != 0;
	r->result_number = 0;
}

/* All requests from here on that are statements, together. */
static bool run_send_pipeline(struct pg_run *r)
{
	if (PQenterPipelineMode(r->conn) != 1)
		return false;
	for (; r->at + r->pipeline < r->count; r->pipeline++) {
		const struct pg_request *request = &r->requests[r->at + r->pipeline];

		if (request->statement == NULL)
			break;
		if (!run_send_statement(r, request, r->at + r->pipeline))
			return false;
	}
	run_expect(r);
	return PQpipelineSync(r->conn) == 1;
}

/* The next request, or pipeline. */
static bool run_send(struct pg_run *r)
{
	const struct pg_request *request = &r->requests[r->at];

	r->preparing = false; /* a lost connection may have left it set */
	r->result_number = 0;
	r->pipeline = 0;
	if (request->statement != NULL)
		return run_send_pipeline(r);
	run_note_commit(r, request, r->at);
	return PQsendQuery(r->conn, request->sql) == 1;
}

enum run_copy { COPY_BLOCKED, COPY_ENDED, COPY_LOST };

/* Feed COPY data until the socket is full or the data ends. */
static enum run_copy run_copy(struct pg_run *r)
{
	const struct pg_request *request = &r->requests[r->at];
	struct slice chunk;

	for (;;) {
		int unsent = PQflush(r->conn);

		if (unsent != 0)
			return unsent > 0 ? COPY_BLOCKED : COPY_LOST;
		if (!request->copy_next(request->copy_context, &chunk)) {
			r->copying = false;
			return PQputCopyEnd(r->conn, NULL) == 1 ? COPY_ENDED : COPY_LOST;
		}
		if (PQputCopyData(r->conn, (const char *)chunk.data, (int)chunk.size) != 1)
			return COPY_LOST;
	}
}

static void run_fail(struct pg_run *r, const PGresult *result)
{
	if (r->failed)
		return; /* the first failure counts */
	r->failed = true;
	pg_error_from_result(&r->failure, result);
	r->failed_request = r->at;
	r->failed_row = pg_error_copy_row(result);
}

static void run_take_result(struct pg_run *r, PGresult *result)
{
	const struct pg_request *request = &r->requests[r->at];

	switch (PQresultStatus(result)) {
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_EMPTY_QUERY:
		if (!r->preparing && request->on_result != NULL && !r->failed &&
			!request->on_result(request->context, result, r->result_number,
				&r->failure)) {
			r->failed = true;
			r->failed_request = r->at;
		}
		r->result_number++;
		break;
	case PGRES_COPY_IN:
		CHECK(request->copy_next != NULL);
		/* on_result() may have refused an earlier result. */
		if (r->failed)
			(void)PQputCopyEnd(r->conn, "cancelled");
		else
			r->copying = true;
		break;
	case PGRES_PIPELINE_ABORTED:
		break; /* after a failure */
	case PGRES_BAD_RESPONSE:
	case PGRES_NONFATAL_ERROR:
	case PGRES_FATAL_ERROR:
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
	case PGRES_PIPELINE_SYNC:
		run_fail(r, result);
		break;
	}
}

/* The end of one command's results. */
static void run_end_command(struct pg_run *r)
{
	if (r->preparing) {
		r->preparing = false;
		r->result_number = 0;
		return;
	}
	r->at++;
	run_expect(r);
}

/* True when the current query or pipeline is over. */
static bool run_read(struct pg_run *r)
{
	while (!r->copying && !PQisBusy(r->conn)) {
		PGresult *result = PQgetResult(r->conn);

		if (result == NULL && PQpipelineStatus(r->conn) == PQ_PIPELINE_OFF) {
			r->at++;
			return true;
		}
		if (result == NULL) {
			run_end_command(r);
			continue;
		}
		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
			PQclear(result);
			(void)PQexitPipelineMode(r->conn);
			return true;
		}
		run_take_result(r, result);
		PQclear(result);
	}
	return false;
}

/* ENDED: the current query or pipeline is over. */
static enum pg_run_next run_progress(struct pg_run *r)
{
	bool over = false;
	int unsent;

	for (;;) {
		enum run_copy copy = r->copying ? run_copy(r) : COPY_ENDED;

		if (copy == COPY_LOST)
			return PG_RUN_LOST;
		if (copy == COPY_BLOCKED)
			break;
		over = run_read(r);
		if (over || !r->copying)
			break;
	}
	if (PQstatus(r->conn) == CONNECTION_BAD)
		return PG_RUN_LOST;
	if (over)
		return PG_RUN_ENDED;
	unsent = PQflush(r->conn);
	if (unsent < 0)
		return PG_RUN_LOST;
	return unsent > 0 || r->copying ? PG_RUN_WAIT_BOTH : PG_RUN_WAIT_READ;
}

enum pg_run_next pg_run_go_on(struct pg_run *r)
{
	for (;;) {
		enum pg_run_next next = run_progress(r);

		if (next != PG_RUN_ENDED || r->at == r->count || r->failed)
			return next;
		if (!run_send(r))
			return PG_RUN_LOST;
	}
}

enum pg_run_next pg_run_start(struct pg_run *r, PGconn *conn, const struct pg_request *requests,
	size_t count)
{
	CHECK(count > 0);
	r->conn = conn;
	r->requests = requests;
	r->count = count;
	r->at = 0;
	r->prepares = 0;
	r->failed = r->copying = r->commit_sent = false;
	r->failed_request = 0;
	r->failed_row = 0;
	return run_send(r) ? pg_run_go_on(r) : PG_RUN_LOST;
}

void pg_run_read_last(struct pg_run *r)
{
	bool answered = false;

	while (r->pipeline > 0 && r->at < r->count && !PQisBusy(r->conn)) {
		PGresult *result = PQgetResult(r->conn);
		ExecStatusType status = PQresultStatus(result);
		bool none = result == NULL;

		PQclear(result);
		if (none && answered)
			run_end_command(r);
		else if (none || (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK))
			return;
		answered = !none;
	}
}

void pg_run_forget_statements(struct pg_run *r)
{
	r->prepared_count = 0;
}
