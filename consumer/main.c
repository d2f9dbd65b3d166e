#include "cli/cli.h"

#include <sys/prctl.h>
#include <sys/resource.h>

/* Memory holds passwords and what stations sent: neither a core file nor a debugger of the same
 * user gets it. Failing at that is not a reason not to run. */
static void hide_memory(void)
{
	static const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	(void)prctl(PR_SET_DUMPABLE, 0);
}

int main(int argc, char **argv)
{
	hide_memory();
	return (int)cli_main(argc, argv);
}
