#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/*
 * The protocol of sd_notify(3), with which a service reports its state to systemd or a replacement:
 * one datagram of lines NAME=value to the socket in $NOTIFY_SOCKET. systemd promises to keep it
 * stable, and linking libsystemd would bring compression and encryption libraries into every image.
 *
 * Without that variable nothing happens. Embedded in the caller's memory; one thread.
 */
struct notify {
	int fd; /* -1 = nobody to notify */
	struct sockaddr_un to;
	socklen_t to_size;
};

/* Before threads: it reads the environment. An unusable address is logged. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);

/* Sends one datagram. Never waits: false if it was not accepted; the next one may be. True if there
 * is nobody to notify. */
bool notify_send(const struct notify *n, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* How often the watchdog expects WATCHDOG=1 from this process; 0 = no watchdog. */
int64_t notify_watchdog_us(void);

#endif
