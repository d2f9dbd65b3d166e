#include "base/clock.h"
#include "base/log.h"
#include "base/say.h"
#include "stations/run.h"

#include <stdio.h>

/*
 * ocpp-stations: a fleet of simulated charge stations behind a gateway. bench/stations/README.md
 * explains it.
 */
enum {
	EXIT_CODE_OK = 0,
	EXIT_CODE_UNACKED = 1, /* not all that was published was acknowledged */
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_FAILED = 3, /* broker out of reach or refusing, ledger not writable */
};

static volatile sig_atomic_t main_stop;

static void main_on_signal(int signal_number)
{
	(void)signal_number;
	main_stop = 1;
}

static void main_catch_signals(void)
{
	struct sigaction stop = {.sa_handler = main_on_signal};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	(void)sigaction(SIGINT, &stop, NULL);
	(void)sigaction(SIGTERM, &stop, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

static int main_fail(int code, const struct error *err)
{
	say_line("error", err->message);
	if (code == EXIT_CODE_USAGE)
		fprintf(stderr, "hint: ocpp-stations --help\n");
	return code;
}

int main(int argc, char **argv)
{
	struct options options;
	struct error err;

	log_open();
	if (!options_parse(&options, argc, argv, &err))
		return main_fail(EXIT_CODE_USAGE, &err);
	if (options.help) {
		options_help();
		return EXIT_CODE_OK;
	}
	if (options.version) {
		printf("ocpp-stations %s\n", OCPP_PERSISTER_VERSION);
		return EXIT_CODE_OK;
	}
	if (!options_settle(&options, clock_wall_us(), &err))
		return main_fail(EXIT_CODE_USAGE, &err);
	if (options.quiet)
		log_set_level(LOG_LEVEL_ERROR);
	else
		fprintf(stderr, "seed %lld\n", (long long)options.seed);
	main_catch_signals();
	switch (run(&options, &main_stop, &err)) {
	case RUN_OK:
		return EXIT_CODE_OK;
	case RUN_UNACKED:
		fprintf(stderr, "error: the broker did not acknowledge everything\n");
		return EXIT_CODE_UNACKED;
	case RUN_FAILED:
		return main_fail(EXIT_CODE_FAILED, &err);
	}
	return EXIT_CODE_FAILED;
}
