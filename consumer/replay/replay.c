#include "replay/replay_private.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* One job here, or several processes. */
struct replay {
	struct replay_events events;
	struct replay_reports *reports;
	int pipe_fds[2]; /* for the reports of processes */
};

/* ---- reports ---- */

static void replay_take(void *context, const struct replay_report *r)
{
	struct replay *replay = context;

	replay->reports->jobs[r->job] = *r;
	replay->events.on_progress(replay->events.context, replay->reports);
}

/* A pipe transfers a report atomically. */
_Static_assert(sizeof(struct replay_report) <= 4096, "a report does not fit into a pipe");

static void replay_send(void *context, const struct replay_report *r)
{
	const struct replay *replay = context;
	ssize_t sent;

	do
		sent = write(replay->pipe_fds[1], r, sizeof(*r));
	while (sent < 0 && errno == EINTR);
}

static void replay_receive(struct replay *replay)
{
	struct replay_report report;

	for (;;) {
		ssize_t got = read(replay->pipe_fds[0], &report, sizeof(report));

		if (got == (ssize_t)sizeof(report))
			replay_take(replay, &report);
		else if (got >= 0 || errno != EINTR)
			return;
	}
}

/* ---- processes ---- */

enum { REPLAY_SIGNALS = 2 };

static const int replay_signals[REPLAY_SIGNALS] = {SIGINT, SIGTERM};

/* For the handler. */
static pid_t replay_children[REPLAY_JOBS_MAX];
static volatile sig_atomic_t replay_children_count;

/* The jobs end; what they did is then reported as always. */
static void replay_on_signal(int number)
{
	(void)number;
	for (int i = 0; i < replay_children_count; i++)
		kill(replay_children[i], SIGTERM);
}

/* Signals wait until all jobs are started, so that none is missed. */
static void replay_hold_signals(sigset_t *before)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < REPLAY_SIGNALS; i++)
		sigaddset(&set, replay_signals[i]);
	pthread_sigmask(SIG_BLOCK, &set, before);
}

static void replay_handle_signals(struct sigaction before[static REPLAY_SIGNALS])
{
	static const struct sigaction forward = {.sa_handler = replay_on_signal};

	for (int i = 0; i < REPLAY_SIGNALS; i++)
		sigaction(replay_signals[i], &forward, &before[i]);
}

static void replay_leave_signals(const struct sigaction before[static REPLAY_SIGNALS])
{
	for (int i = 0; i < REPLAY_SIGNALS; i++)
		sigaction(replay_signals[i], &before[i], NULL);
}

static pid_t replay_start(struct replay *replay, struct replay_job *job, const sigset_t *signals)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	/* A killed parent takes its jobs with it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	pthread_sigmask(SIG_SETMASK, signals, NULL);
	close(replay->pipe_fds[0]);
	job->send = replay_send;
	replay_job_run(job);
	_exit(0);
}

/* A job whose process ended without a final report, or could not be started, has failed. */
static void replay_reap(struct replay *replay, size_t started)
{
	for (size_t i = 0; i < replay->reports->count; i++) {
		struct replay_report *r = &replay->reports->jobs[i];
		int status = 0;

		if (i < started)
			waitpid(replay_children[i], &status, 0);
		if (r->over)
			continue;
		if (i < started)
			r->ok = error_set(&r->failure, ERROR_FATAL, REASON_job,
				"job %zu ended with status %d", i + 1, status);
		else
			r->ok = error_set(&r->failure, ERROR_FATAL, REASON_job,
				"could not start job %zu", i + 1);
	}
}

static bool replay_fork(struct replay *replay, struct replay_job *jobs, struct error *err)
{
	struct sigaction before[REPLAY_SIGNALS];
	size_t started = 0;
	sigset_t signals;

	if (pipe(replay->pipe_fds) != 0)
		return error_set_errno(err, ERROR_FATAL, REASON_pipe, "could not make a pipe");
	replay_hold_signals(&signals);
	for (; started < replay->reports->count; started++) {
		replay_children[started] = replay_start(replay, &jobs[started], &signals);
		if (replay_children[started] < 0)
			break;
	}
	close(replay->pipe_fds[1]);
	replay_children_count = (sig_atomic_t)started;
	replay_handle_signals(before);
	pthread_sigmask(SIG_SETMASK, &signals, NULL);
	replay_receive(replay);
	close(replay->pipe_fds[0]);
	replay_leave_signals(before);
	replay_reap(replay, started);
	return true;
}

/* ---- the whole replay ---- */

/* Files are dealt out in turn: job 2 of 3 gets the second, the fifth and so on. */
static bool replay_share(const struct replay_files *all, struct replay_job *job)
{
	struct replay_files *share = &job->request.files;

	*share = (struct replay_files){.paths = calloc(all->count + 1, sizeof(char *))};
	if (share->paths == NULL)
		return false;
	for (size_t i = job->number; i < all->count; i += job->of)
		share->paths[share->count++] = all->paths[i];
	return true;
}

/* Makes loaded rows visible, unless the same command has to continue. The first report has the
 * result. */
static void replay_finish(const struct pg_options *pg, struct replay_reports *reports)
{
	struct replay_report *first = &reports->jobs[0];

	for (size_t i = 0; i < reports->count; i++) {
		if (!reports->jobs[i].ok)
			return;
	}
	first->ok = replay_attach(pg, &first->loads, &first->failure) &&
		    replay_position_forget(pg, reports, &first->failure);
}

static bool replay_jobs(struct replay *replay, struct replay_job *jobs, struct error *err)
{
	if (replay->reports->count > 1)
		return replay_fork(replay, jobs, err);
	replay_job_run(&jobs[0]);
	return true;
}

bool replay_run(const struct config *config, const struct pg_options *pg,
	const struct replay_request *request, struct replay_events events,
	struct replay_reports *out, struct error *err)
{
	struct replay replay = {.events = events, .reports = out};
	size_t count = request->files.count;
	struct replay_job *jobs;
	bool ok;

	if ((size_t)request->jobs < count)
		count = (size_t)request->jobs;
	*out = (struct replay_reports){.count = count,
		.bytes = request->files.bytes,
		.begun_us = clock_mono_us()};
	jobs = calloc(count, sizeof(*jobs));
	ok = jobs != NULL || error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	for (size_t i = 0; ok && i < count; i++) {
		jobs[i] = (struct replay_job){.config = config,
			.pg = pg,
			.request = *request,
			.number = (uint32_t)i,
			.of = (uint32_t)count,
			.report.job = (uint32_t)i,
			.send = replay_take,
			.context = &replay};
		if (!replay_share(&request->files, &jobs[i]))
			ok = error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	if (ok)
		jobs[0].report.loads.tables = replay_attach_left(pg);
	ok = ok && replay_jobs(&replay, jobs, err);
	if (ok)
		replay_finish(pg, out);
	for (size_t i = 0; jobs != NULL && i < count; i++)
		free(jobs[i].request.files.paths);
	free(jobs);
	return ok;
}
