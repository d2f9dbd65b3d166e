#include "daemon/notify.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NOTIFY_BYTES_MAX = 1024 };

/* The path of a socket, or @ and the name of one without a file (unix(7), "abstract"). */
static bool notify_address(struct notify *n, const char *name)
{
	size_t size = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || size < 2 || size >= sizeof(n->to.sun_path))
		return false;
	n->to.sun_family = AF_UNIX;
	memcpy(n->to.sun_path, name, size);
	if (name[0] == '@')
		n->to.sun_path[0] = '\0';
	n->to_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
	return true;
}

void notify_open(struct notify *n)
{
	const char *name = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe) */

	memset(n, 0, sizeof(*n));
	n->fd = -1;
	if (name == NULL || name[0] == '\0')
		return;
	if (notify_address(n, name))
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (n->fd < 0)
		log_warn("notify_unusable",
			"NOTIFY_SOCKET is not a usable socket: the service manager hears nothing "
			"from us",
			"socket=%s", LOG_VALUE(name));
}

void notify_close(struct notify *n)
{
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}

bool notify_send(const struct notify *n, const char *format, ...)
{
	char text[NOTIFY_BYTES_MAX];
	va_list args;
	int size;

	if (n->fd < 0)
		return true;
	va_start(args, format);
	size = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (size < 0 || (size_t)size >= sizeof(text))
		return false;
	return sendto(n->fd, text, (size_t)size, MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
		       n->to_size) == size;
}

/* A number from the environment; 0 if absent. */
static int64_t notify_number(const char *name)
{
	const char *text = getenv(name); /* NOLINT(concurrency-mt-unsafe): before threads */
	char *end;
	long long value;

	if (text == NULL)
		return 0;
	errno = 0;
	value = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && value > 0 ? value : 0;
}

int64_t notify_watchdog_us(void)
{
	int64_t pid = notify_number("WATCHDOG_PID");

	/* It may have been meant for the process that started us. */
	return pid == 0 || pid == getpid() ? notify_number("WATCHDOG_USEC") : 0;
}
