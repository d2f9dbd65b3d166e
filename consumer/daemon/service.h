#ifndef DAEMON_SERVICE_H
#define DAEMON_SERVICE_H

#include "base/clock.h"
#include "daemon/notify.h"

#include <ev.h>

/*
 * Our reports to the service manager (systemd.service(5), Type=notify): when we are ready, what we
 * are doing, that settings are being read again, that we are stopping, how long that may take, and,
 * for its watchdog, that the loop runs. The loop itself sends that last message, twice in the
 * watchdog's time: a stuck loop is silent.
 *
 * Embedded in the caller's memory. On the loop; before service_open(), and without a service
 * manager, everything does nothing.
 */
enum { SERVICE_STATUS_BYTES = 512 };

enum service_state {
	SERVICE_NEW, /* or settings were read again: the next state is always sent */
	SERVICE_STARTING,
	SERVICE_MIGRATING,
	SERVICE_WAITING,
	SERVICE_WORKING,
	SERVICE_STOPPING,
};

struct service {
	struct notify notify;
	struct ev_loop *loop;
	ev_timer watchdog;
	int64_t watchdog_us; /* 0 = none */
	bool ready;          /* it has been notified of that */
	enum service_state state;
	char status[SERVICE_STATUS_BYTES]; /* the last one sent */
	int64_t status_us;
};

/* Before threads. */
void service_open(struct service *s, struct ev_loop *loop);
void service_close(struct service *s);

/* Whether there is a service manager to notify. */
bool service_is_watched(const struct service *s);

/* Report the state, and a line about it for people. While the state stays the same, a changed line
 * is sent at most every 10 s. */
void service_status(struct service *s, enum service_state state, const char *text);

/* May be called repeatedly: it is sent once, and once more after service_reloading(). */
void service_ready(struct service *s);

/* Settings are being read again, until service_ready(). */
void service_reloading(struct service *s);

/* We will end within this time. why: a line for people. */
void service_stopping(struct service *s, int64_t within_us, const char *why);

/* The time that a start may still take after a slow step. */
#define SERVICE_START_US (60 * US_PER_SECOND)

/* From now on, the start takes at most this long. */
void service_starts_within(struct service *s, int64_t at_most_us);

/* From here to service_goes_on() the loop does not run, for at most this long. */
void service_is_busy(struct service *s, int64_t at_most_us, enum service_state state,
	const char *line);
void service_goes_on(struct service *s);

#endif
