#ifndef UNIT_SURVIVES_H
#define UNIT_SURVIVES_H

#include "unit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether a process survives that step, which another process takes; else CHECK ended it. */
static inline bool survives(void (*step)(void *context, unsigned to), void *context, unsigned to)
{
	static const struct rlimit no_core = {0, 0};
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(2);
		step(context, to);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGABRT);
	return WIFEXITED(status);
}

#endif
