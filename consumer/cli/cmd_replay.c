#include "cli/replay.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- one job, or several processes ---- */

static struct {
	const struct replay_options *options;
	struct replay_report reports[REPLAY_JOBS_MAX];
	size_t count;
	int64_t bytes;
	int64_t begun_us;
} replay_all;

static void replay_show(const struct replay_report *r)
{
	replay_all.reports[r->job] = *r;
	replay_show_progress(replay_all.options, replay_all.reports, replay_all.count,
		replay_all.bytes, clock_mono_us() - replay_all.begun_us);
}

static void replay_send_here(struct replay_job *job)
{
	replay_show(&job->report);
}

/* A report is smaller than what a pipe takes in one piece. */
_Static_assert(sizeof(struct replay_report) <= 4096, "a report does not fit into a pipe");

static void replay_send_up(struct replay_job *job)
{
	ssize_t sent;

	do
		sent = write(job->pipe_fd, &job->report, sizeof(job->report));
	while (sent < 0 && errno == EINTR);
}

static pid_t replay_start(struct replay_job *job, int pipe_fds[2])
{
	pid_t child = fork();

	if (child != 0)
		return child;
	/* Ctrl-C reaches all of us; a killed parent takes its jobs with it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	close(pipe_fds[0]);
	job->pipe_fd = pipe_fds[1];
	job->send = replay_send_up;
	replay_job_run(job);
	_exit(0);
}

/* A job whose process ended without a word has failed. */
static void replay_reap(const pid_t *children, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct replay_report *r = &replay_all.reports[i];
		int status = 0;

		waitpid(children[i], &status, 0);
		if (!r->over) {
			r->ok = false;
			r->code = EXIT_CODE_FAILED;
			snprintf(r->failure, sizeof(r->failure), "job %zu ended with status %d",
				i + 1, status);
		}
	}
}

static void replay_fork(struct replay_job *jobs, size_t count)
{
	pid_t children[REPLAY_JOBS_MAX];
	struct replay_report report;
	int pipe_fds[2];
	size_t started = 0;

	if (pipe(pipe_fds) != 0)
		return;
	for (; started < count; started++) {
		children[started] = replay_start(&jobs[started], pipe_fds);
		if (children[started] < 0)
			break;
	}
	close(pipe_fds[1]);
	signal(SIGINT, SIG_IGN); /* until the jobs have ended by it */
	for (;;) {
		ssize_t got = read(pipe_fds[0], &report, sizeof(report));

		if (got == (ssize_t)sizeof(report))
			replay_show(&report);
		else if (got >= 0 || errno != EINTR)
			break;
	}
	close(pipe_fds[0]);
	replay_reap(children, started);
	signal(SIGINT, SIG_DFL);
}

/* Files go round: job 2 of 3 has the second, the fifth and so on. */
static bool replay_share(const struct replay_files *all, struct replay_job *job)
{
	job->files = (struct replay_files){.paths = calloc(all->count + 1, sizeof(char *))};
	if (job->files.paths == NULL)
		return false;
	for (size_t i = job->number; i < all->count; i += job->of)
		job->files.paths[job->files.count++] = all->paths[i];
	return true;
}

/* Once all is stored and visible its positions are of no use: the next run begins anew, and finds
 * duplicates. */
static bool replay_forget(const struct config *config, const struct replay_report *reports,
	size_t count, struct error *err)
{
	char list[REPLAY_JOBS_MAX * UUID_TEXT_BYTES + 2] = "{", *at = list + 1;
	struct pg_options pg = cli_pg_options(config);
	const char *params[] = {list};
	PGconn *conn = pg_connect(&pg, err);
	PGresult *result = NULL;

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			*at++ = ',';
		uuid_format(&reports[i].identity, at);
		at += strlen(at);
	}
	*at++ = '}';
	*at = '\0';
	if (conn != NULL)
		result = pg_query(conn, "DELETE FROM ingest_progress WHERE spool = ANY($1::uuid[])",
			1, params, err);
	PQclear(result);
	PQfinish(conn);
	return result != NULL;
}

/* What was loaded becomes visible, unless the same command is to go on. The first report has it. */
static void replay_finish(const struct config *config, struct replay_report *reports, size_t count)
{
	struct error err;

	for (size_t i = 0; i < count; i++) {
		if (!reports[i].ok)
			return;
	}
	reports[0].ok = replay_attach(config, &reports[0].loads, &err) &&
			replay_forget(config, reports, count, &err);
	if (!reports[0].ok)
		replay_report_failure(&reports[0], &err);
}

static enum exit_code replay_run(const struct config *config, const struct replay_options *options,
	const struct replay_files *files)
{
	static struct replay_job jobs[REPLAY_JOBS_MAX];
	size_t count = (size_t)options->jobs < files->count ? (size_t)options->jobs : files->count;
	enum exit_code code = EXIT_CODE_OK; /* of the first that failed */
	bool unreadable = false;

	replay_all.options = options;
	replay_all.count = count;
	replay_all.bytes = files->bytes;
	replay_all.begun_us = clock_mono_us();
	for (size_t i = 0; i < count; i++) {
		jobs[i] = (struct replay_job){.config = config,
			.options = options,
			.number = (uint32_t)i,
			.of = (uint32_t)count,
			.report.job = (uint32_t)i,
			.send = replay_send_here,
			.pipe_fd = -1};
		if (!replay_share(files, &jobs[i]))
			return EXIT_CODE_FAILED;
	}
	jobs[0].report.loads.tables = replay_attach_left(config);
	if (count == 1) {
		replay_job_run(&jobs[0]);
		replay_all.reports[0] = jobs[0].report;
	} else {
		replay_fork(jobs, count);
	}
	replay_finish(config, &replay_all.reports[0], count);
	replay_show_summary(options, replay_all.reports, count,
		clock_mono_us() - replay_all.begun_us);
	for (size_t i = 0; i < count; i++) {
		if (!replay_all.reports[i].ok && code == EXIT_CODE_OK)
			code = replay_all.reports[i].code;
		unreadable |= replay_all.reports[i].unreadable > 0;
		free(jobs[i].files.paths);
	}
	return code == EXIT_CODE_OK && unreadable ? EXIT_CODE_FAILED : code;
}

enum exit_code cmd_replay(const struct config *config, int argc, char **argv)
{
	static struct replay_options options;
	struct replay_files files;
	struct error err;
	enum exit_code code = EXIT_CODE_OK;

	if (!replay_options_read(&options, argc, argv, &code))
		return code;
	if (!replay_files_find(&files, options.sources, options.sources_count, &err))
		return cli_fail(EXIT_CODE_FAILED, &err);
	if (options.publish != NULL)
		code = replay_publish(config, &options, &files);
	else if (options.dry_run || files.count == 0)
		code = replay_dry_run(config, &options, &files);
	else
		code = replay_run(config, &options, &files);
	replay_files_free(&files);
	return code;
}
