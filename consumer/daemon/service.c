#include "daemon/service.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t SERVICE_REPEAT_US = 10 * US_PER_SECOND;

static const char *const service_names[] = {
	[SERVICE_STARTING] = "starting",
	[SERVICE_MIGRATING] = "migrating",
	[SERVICE_WAITING] = "waiting",
	[SERVICE_WORKING] = "receiving and storing",
	[SERVICE_STOPPING] = "stopping",
};

bool service_is_watched(const struct service *s)
{
	return s->loop != NULL && s->notify.fd >= 0;
}

static void service_on_watchdog(struct ev_loop *loop, ev_timer *w, int events)
{
	struct service *s = w->data;

	(void)loop;
	(void)events;
	(void)notify_send(&s->notify, "WATCHDOG=1");
}

void service_open(struct service *s, struct ev_loop *loop)
{
	double half;

	memset(s, 0, sizeof(*s));
	s->loop = loop;
	notify_open(&s->notify);
	if (!service_is_watched(s))
		return;
	s->watchdog_us = notify_watchdog_us();
	if (s->watchdog_us == 0)
		return;
	half = (double)s->watchdog_us / (double)US_PER_SECOND / 2;
	ev_timer_init(&s->watchdog, service_on_watchdog, half, half);
	s->watchdog.data = s;
	ev_timer_start(loop, &s->watchdog);
}

void service_close(struct service *s)
{
	if (s->loop == NULL)
		return;
	if (s->watchdog_us > 0)
		ev_timer_stop(s->loop, &s->watchdog);
	notify_close(&s->notify);
	s->loop = NULL;
}

/* One line, whatever an error text holds; returns out. */
static const char *service_line(const char *text, char out[static SERVICE_STATUS_BYTES])
{
	snprintf(out, SERVICE_STATUS_BYTES, "%s", text);
	for (char *at = out; *at != '\0'; at++) {
		if ((unsigned char)*at < ' ')
			*at = ' ';
	}
	return out;
}

static bool service_is_news(const struct service *s, enum service_state state, const char *line)
{
	return state != s->state || (strcmp(line, s->status) != 0 &&
					    clock_mono_us() - s->status_us >= SERVICE_REPEAT_US);
}

void service_status(struct service *s, enum service_state state, const char *text)
{
	char line[SERVICE_STATUS_BYTES];

	if (!service_is_watched(s) || !service_is_news(s, state, service_line(text, line)) ||
		!notify_send(&s->notify, "STATUS=%s: %s", service_names[state], line))
		return;
	s->state = state;
	memcpy(s->status, line, sizeof(line));
	s->status_us = clock_mono_us();
}

void service_ready(struct service *s)
{
	if (service_is_watched(s) && !s->ready)
		s->ready = notify_send(&s->notify, "READY=1");
}

void service_reloading(struct service *s)
{
	if (!service_is_watched(s) || !s->ready)
		return; /* to say READY=1 after it would be to say it for the start */
	/* The time lets Type=notify-reload tell it from an earlier one. */
	s->ready =
		!notify_send(&s->notify, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, clock_mono_us());
	s->state = SERVICE_NEW;
}

void service_stopping(struct service *s, int64_t within_us, const char *why)
{
	char line[SERVICE_STATUS_BYTES];

	if (service_is_watched(s))
		(void)notify_send(&s->notify,
			"STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64 "\nSTATUS=%s: %s", within_us,
			service_names[SERVICE_STOPPING], service_line(why, line));
}

void service_starts_within(struct service *s, int64_t at_most_us)
{
	if (service_is_watched(s))
		(void)notify_send(&s->notify, "EXTEND_TIMEOUT_USEC=%" PRId64, at_most_us);
}

void service_is_busy(struct service *s, int64_t at_most_us, enum service_state state,
	const char *line)
{
	if (!service_is_watched(s))
		return;
	service_status(s, state, line);
	service_starts_within(s, at_most_us);
	if (s->watchdog_us > 0)
		(void)notify_send(&s->notify, "WATCHDOG_USEC=%" PRId64, at_most_us);
}

void service_goes_on(struct service *s)
{
	if (!service_is_watched(s))
		return;
	service_starts_within(s, SERVICE_START_US);
	if (s->watchdog_us > 0)
		(void)notify_send(&s->notify, "WATCHDOG=1\nWATCHDOG_USEC=%" PRId64, s->watchdog_us);
}
