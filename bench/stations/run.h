#ifndef STATIONS_RUN_H
#define STATIONS_RUN_H

#include "stations/options.h"

#include <signal.h>

/*
 * A run: connect, publish at the pace asked for, wait for acknowledgements, say what was done. The
 * result goes to stdout as one line of JSON. *stop is set by a signal handler: from then on nothing
 * new is started. One thread.
 */
enum run_result {
	RUN_OK,      /* everything published was acknowledged */
	RUN_UNACKED, /* the broker did not acknowledge all of it in time */
	RUN_FAILED,  /* err says why */
};

enum run_result run(const struct options *o, const volatile sig_atomic_t *stop, struct error *err);

#endif
