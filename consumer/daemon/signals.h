#ifndef DAEMON_SIGNALS_H
#define DAEMON_SIGNALS_H

#include <ev.h>

/*
 * What the process does on a signal:
 *
 *	SIGTERM, SIGINT  stop properly
 *	SIGHUP           read the settings again
 *	SIGUSR1          begin a new segment of the log
 *	SIGUSR2          nothing; it is logged
 *	SIGPIPE          nothing
 *
 * Embedded in the caller's memory; the loop's thread.
 */
struct signals_events {
	void (*stop)(void *context, int signum);
	void (*reload)(void *context);
	void (*rotate)(void *context);
	void *context;
};

enum { SIGNALS_COUNT = 5 };

struct signals {
	struct ev_loop *loop;
	struct signals_events events;
	ev_signal watchers[SIGNALS_COUNT];
};

/* From here on these signals are held until signals_start(), instead of ending the process. Before
 * threads: so that they leave signals to the loop's thread. */
void signals_hold(void);

void signals_start(struct signals *s, struct ev_loop *loop, struct signals_events events);

/* From here on they are ignored: the process is about to end. */
void signals_stop(struct signals *s);

#endif
