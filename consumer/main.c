#include "cli/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* Memory holds passwords and what stations sent: neither a core file nor a debugger of the same
 * user gets it. Failing at that is not a reason not to run. */
static void hide_memory(void)
{
	static const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
}

/*
 * A descriptor 0, 1 or 2 that is not open would become the next file or connection, which output
 * would then go to: to the database, or into the log. Reading and writing it fails instead; nobody
 * checks that of stderr.
 */
static void keep_standard_descriptors(void)
{
	static const int modes[] = {O_WRONLY, O_RDONLY, O_RDWR};

	for (int fd = 0; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd]) != fd)
			_exit(EXIT_CODE_FAILED);
	}
}

static void end_on_signal(int number)
{
	_exit(128 + number);
}

/* The kernel ignores signals for process 1 that it does not handle, and in a container that is us:
 * a command could only be killed. `run` has handlers of its own. */
static void end_as_others_do(void)
{
	static const struct sigaction end = {.sa_handler = end_on_signal};

	if (getpid() != 1)
		return;
	(void)sigaction(SIGINT, &end, NULL);
	(void)sigaction(SIGTERM, &end, NULL);
}

int main(int argc, char **argv)
{
	keep_standard_descriptors();
	end_as_others_do();
	hide_memory();
	return (int)cli_main(argc, argv);
}
