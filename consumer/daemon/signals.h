#ifndef DAEMON_SIGNALS_H
#define DAEMON_SIGNALS_H

#include <ev.h>

/*
 * What the process does when it is sent a signal:
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

/*
 * From here on these signals wait until signals_start(), where each would end the process by its
 * default. Before threads: they leave signals to the loop's.
 */
void signals_hold(void);

void signals_start(struct signals *s, struct ev_loop *loop, struct signals_events events);

/* They are ignored from here on: the process is about to end. */
void signals_stop(struct signals *s);

#endif
