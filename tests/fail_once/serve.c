/*
 * Runs commands of the program, each in a process of its own in which one call fails. It reads
 * lines from stdin, whose words are separated by tabs:
 *
 *	WAY CALL STILL_S OUT ERR ocpp-persister ARGUMENT ...   as main() would
 *	WAY CALL STILL_S OUT ERR live DIR FIRST crash|close    life.h
 *	WAY CALL STILL_S OUT ERR audit DIR ACKNOWLEDGED RELEASED
 *	WAY CALL STILL_S OUT ERR store URL KEY                 store_life.h
 *
 * With "begin" before these words, the process begins, and its number is the answer; calls count
 * after "count", and "end" waits for its end.
 *
 * WAY: of fail_once.h, or "none". CALL: the N-th; 0 counts only. OUT, ERR: files for its stdout and
 * stderr. A process that has not moved for STILL_S seconds, or moves for five times as long, hangs,
 * and is killed; seconds count only as far as the machine had time for it. What came of it is one
 * line with a word for each answer.
 *
 * Forking is much cheaper than starting the program, sanitizers and all.
 */
#include "life.h"
#include "store_life.h"

#include "base/log.h"
#include "cli/cli.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	SERVE_WORDS_MAX = 64,
	SERVE_FIXED = 5,
	SERVE_MOVES_MAX = 5 /* what moves so many times as long gets nowhere */
};

struct serve {
	char *words[SERVE_WORDS_MAX + 1];
	int count;
	struct fail_told *told;
	/* The process that has begun. */
	pid_t child; /* -1: none */
	char *begun; /* its line, which words are pieces of */
};

static void serve_die(const char *what)
{
	perror(what);
	exit(70); /* NOLINT(concurrency-mt-unsafe): there is one thread */
}

static void serve_redirect(const char *path, int fd)
{
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (to < 0 || dup2(to, fd) != fd)
		serve_die(path);
	close(to);
}

static int serve_run(struct serve *s)
{
	char **words = s->words + SERVE_FIXED;
	int count = s->count - SERVE_FIXED, nowhere = open("/dev/null", O_RDONLY | O_CLOEXEC);
	bool is_program = strcmp(words[0], "ocpp-persister") == 0;

	if (nowhere < 0 || dup2(nowhere, STDIN_FILENO) < 0)
		serve_die("/dev/null");
	close(nowhere);
	serve_redirect(s->words[3], STDOUT_FILENO);
	serve_redirect(s->words[4], STDERR_FILENO);
	fail_once_begin(fail_way_of(s->words[0]), strtoull(s->words[1], NULL, 10), s->told);
	if (is_program)
		return (int)cli_main(count, words);
	log_open();
	log_set_level(LOG_LEVEL_ERROR);
	if (strcmp(words[0], "live") == 0 && count == 4)
		return life_live(words[1], strtoull(words[2], NULL, 10),
			strcmp(words[3], "crash") == 0, s->told);
	if (strcmp(words[0], "audit") == 0 && count == 4)
		return life_audit(words[1], strtoull(words[2], NULL, 10),
			strtoull(words[3], NULL, 10));
	if (strcmp(words[0], "store") == 0 && count == 3)
		return store_life(words[1], words[2]);
	return EXIT_CODE_INTERNAL;
}

/* Whatever shows a movement: its CPU time, and what it has written. */
static uint64_t serve_moved(pid_t child, const char *err)
{
	char path[64], text[1024] = "";
	unsigned long user = 0, system = 0;
	const char *after;
	struct stat st = {0};
	FILE *file;

	(void)stat(err, &st);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
	file = fopen(path, "re");
	if (file != NULL && fgets(text, sizeof(text), file) != NULL) {
		after = strrchr(text, ')');
		if (after != NULL)
			(void)sscanf(after, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				&user, &system);
	}
	if (file != NULL)
		(void)fclose(file);
	return (uint64_t)st.st_size + user + system;
}

/* The share of a processor for a process that wants it now. */
static double serve_share(void)
{
	double load, processors = (double)sysconf(_SC_NPROCESSORS_ONLN);

	return getloadavg(&load, 1) == 1 && load > processors ? processors / load : 1;
}

/* The status of waitpid(). It is killed if it hangs. */
static int serve_wait(const struct serve *s, bool *hangs_out)
{
	struct pollfd end = {(int)syscall(SYS_pidfd_open, s->child, 0), POLLIN, 0};
	double still_s_max = strtod(s->words[2], NULL), still_s = 0, all_s = 0;
	uint64_t moved = 0, before = 0;
	int status;

	if (end.fd < 0)
		serve_die("pidfd_open");
	while (poll(&end, 1, 1000) == 0) {
		moved = serve_moved(s->child, s->words[4]);
		still_s = moved == before ? still_s + serve_share() : 0;
		all_s += serve_share();
		before = moved;
		*hangs_out = still_s > still_s_max || all_s > still_s_max * SERVE_MOVES_MAX;
		if (*hangs_out)
			(void)kill(s->child, SIGKILL);
	}
	close(end.fd);
	if (waitpid(s->child, &status, 0) != s->child)
		serve_die("waitpid");
	return status;
}

static void serve_begin(struct serve *s, bool waits)
{
	*s->told = (struct fail_told){.waits = waits};
	(void)fflush(stdout);
	s->child = fork();
	if (s->child < 0)
		serve_die("fork");
	if (s->child == 0)
		exit(serve_run(s)); /* NOLINT(concurrency-mt-unsafe): as main() does */
}

static void serve_end(struct serve *s)
{
	bool hangs = false;
	int status = serve_wait(s, &hangs);

	s->child = -1;
	printf("exit=%d signal=%d hangs=%d calls=%" PRIu64 " name=%s at=%" PRIx64 " by=%" PRIx64
	       " again_at=%" PRIx64 " again_by=%" PRIx64 " acknowledged=%" PRIu64
	       " released=%" PRIu64 " acted=%d\n",
		WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		WIFSIGNALED(status) ? WTERMSIG(status) : 0, hangs, s->told->calls,
		s->told->at == 0 ? "-" : s->told->name, s->told->at, s->told->by, s->told->again_at,
		s->told->again_by, s->told->acknowledged, s->told->released, s->told->acted);
}

/* line: words separated by tabs, which stay s's own. */
static void serve_split(struct serve *s, char *line)
{
	s->count = 0;
	while (s->count < SERVE_WORDS_MAX && (s->words[s->count] = strsep(&line, "\t")) != NULL)
		s->count++;
	s->words[s->count] = NULL;
}

static void serve_request(struct serve *s, const char *line)
{
	bool only_begins = strncmp(line, "begin\t", strlen("begin\t")) == 0;

	if (strcmp(line, "count") == 0) {
		s->told->waits = false;
		puts("counts");
		return;
	}
	if (strcmp(line, "end") == 0) {
		if (s->child > 0)
			serve_end(s);
		return;
	}
	free(s->begun);
	s->begun = strdup(only_begins ? line + strlen("begin\t") : line);
	if (s->begun == NULL)
		serve_die("strdup");
	serve_split(s, s->begun);
	if (s->count <= SERVE_FIXED)
		return;
	serve_begin(s, only_begins);
	if (only_begins)
		printf("pid=%d\n", (int)s->child);
	else
		serve_end(s);
}

int main(void)
{
	static struct serve s;
	char *line = NULL;
	size_t room = 0;

	s.child = -1;
	s.told = mmap(NULL, sizeof(*s.told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		0);
	if (s.told == MAP_FAILED)
		serve_die("mmap");
	while (getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		serve_request(&s, line);
		(void)fflush(stdout);
	}
	if (s.child > 0) /* nobody waits for it any more */
		(void)kill(s.child, SIGKILL);
	free(s.begun);
	free(line);
	return 0;
}
