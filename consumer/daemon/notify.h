#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/*
 * The protocol of sd_notify(3), by which a service tells systemd, or what stands in for it, how it
 * is: one datagram of lines NAME=value to the socket in $NOTIFY_SOCKET. systemd promises to keep
 * it, and it takes less code than to link libsystemd, which would bring libraries for compression
 * and encryption into every image.
 *
 * Without that variable all of this does nothing. Embedded in the caller's memory; one thread.
 */
struct notify {
	int fd; /* -1 = there is nobody to be notified */
	struct sockaddr_un to;
	socklen_t to_size;
};

/* Before threads: it reads the environment. An address that cannot be used is logged. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/*
 * One datagram. Never waits: false if it was not taken, which may be different the next time.
 * True also if there is nobody to be notified.
 */
bool notify_send(const struct notify *n, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Within what time the watchdog wants to hear WATCHDOG=1 from this process; 0 = there is none. */
int64_t notify_watchdog_us(void);

#endif
