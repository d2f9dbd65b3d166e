#include "mqtt/gate_private.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the request ---- */

static bool gate_has_secret(struct slice head, const char *authorization)
{
	static const char name[] = "\r\nProxy-authorization: Basic ";
	size_t size = strlen(authorization);

	for (size_t i = 0; i + sizeof(name) - 1 + size <= head.size; i++) {
		const char *at = (const char *)head.data + i;

		if (strncasecmp(at, name, sizeof(name) - 1) == 0)
			return CRYPTO_memcmp(at + sizeof(name) - 1, authorization, size) == 0;
	}
	return false;
}

bool gate_parse(struct slice head, const char *authorization, struct gate_target *out)
{
	static const char method[] = "CONNECT ";
	const uint8_t *at = head.data, *end, *colon;

	if (head.size < sizeof(method) || memcmp(at, method, sizeof(method) - 1) != 0)
		return false;
	at += sizeof(method) - 1;
	end = memchr(at, ' ', head.size - (sizeof(method) - 1));
	colon = end == NULL ? NULL : memrchr(at, ':', (size_t)(end - at));
	if (colon == NULL || end - colon > GATE_PORT_BYTES)
		return false;
	snprintf(out->port, sizeof(out->port), "%.*s", (int)(end - colon - 1),
		(const char *)colon + 1);
	/* paho leaves out the second bracket of an IPv6 address. */
	at += *at == '[';
	if (colon > at && colon[-1] == ']')
		colon--;
	if (colon - at >= GATE_HOST_BYTES)
		return false;
	snprintf(out->host, sizeof(out->host), "%.*s", (int)(colon - at), (const char *)at);
	return gate_has_secret(head, authorization);
}

/* ---- the broker ---- */

void gate_no_delay(int fd)
{
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

/* 0, or an errno. */
static int gate_wait_connected(int fd, int client, int64_t until_us)
{
	struct pollfd fds[] = {{.fd = fd, .events = POLLOUT}, {.fd = client, .events = POLLRDHUP}};
	socklen_t size = sizeof(int);
	int failed = 0;

	for (;;) {
		int64_t left_us = until_us - clock_mono_us();

		if (left_us <= 0)
			return ETIMEDOUT;
		if (poll(fds, 2, (int)(left_us / 1000) + 1) < 0 && errno != EINTR)
			return errno;
		if (fds[1].revents != 0)
			return ECANCELED;
		if (fds[0].revents != 0)
			break;
	}
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) < 0 ? errno : failed;
}

static int gate_dial_address(const struct addrinfo *address, int client, int64_t until_us,
	int *failed_out)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*failed_out = errno;
	if (fd < 0)
		return -1;
	*failed_out = connect(fd, address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
	if (*failed_out == EINPROGRESS)
		*failed_out = gate_wait_connected(fd, client, until_us);
	/* From here on reads block. */
	if (*failed_out == 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0)
		return fd;
	close(fd);
	return -1;
}

static void gate_add_reason(char *why, const struct gate_target *target,
	const struct addrinfo *address, int failed)
{
	char number[64];
	size_t used = strlen(why);

	if (getnameinfo(address->ai_addr, address->ai_addrlen, number, sizeof(number), NULL, 0,
		    NI_NUMERICHOST) != 0)
		number[0] = '\0';
	if (strcmp(number, target->host) == 0)
		snprintf(why + used, GATE_FAULT_BYTES - used, "%s%s:%s: %s", used > 0 ? "; " : "",
			target->host, target->port, strerrordesc_np(failed));
	else
		snprintf(why + used, GATE_FAULT_BYTES - used, "%s%s:%s (%s): %s",
			used > 0 ? "; " : "", target->host, target->port, number,
			strerrordesc_np(failed));
}

int gate_dial(const struct gate_target *target, int64_t timeout_us, int client,
	struct gate_fault *why)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	int64_t now, end_us = clock_mono_us() + timeout_us;
	int failed = getaddrinfo(target->host, target->port, &hints, &found);
	int left = 0, fd = -1;

	*why = (struct gate_fault){.text = ""};
	if (failed != 0) {
		snprintf(why->text, sizeof(why->text), "%s:%s: %s", target->host, target->port,
			failed == EAI_SYSTEM ? strerrordesc_np(errno) : gai_strerror(failed));
		/* not EAI_AGAIN: a name server that does not answer */
		why->unknown_host = failed == EAI_NONAME || failed == EAI_NODATA;
		return -1;
	}
	for (const struct addrinfo *a = found; a != NULL; a = a->ai_next)
		left++;
	failed = 0;
	for (const struct addrinfo *a = found; a != NULL && fd < 0 && failed != ECANCELED;
		a = a->ai_next, left--) {
		/* A silent address must not use up the time of those after it. */
		now = clock_mono_us();
		fd = gate_dial_address(a, client, now + (end_us - now) / left, &failed);
		if (fd < 0 && failed != ECANCELED)
			gate_add_reason(why->text, target, a, failed);
	}
	freeaddrinfo(found);
	return fd;
}
