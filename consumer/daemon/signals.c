#include "daemon/signals.h"

#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

static const int signals_all[SIGNALS_COUNT] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};

static void signals_mask(int how)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < SIGNALS_COUNT; i++)
		sigaddset(&set, signals_all[i]);
	(void)pthread_sigmask(how, &set, NULL);
}

void signals_hold(void)
{
	signals_mask(SIG_BLOCK);
}

static void signals_on_signal(struct ev_loop *loop, ev_signal *w, int events)
{
	struct signals *s = w->data;

	(void)loop;
	(void)events;
	switch (w->signum) {
	case SIGTERM:
	case SIGINT:
		log_info("stopping", "", "signal=%d", w->signum);
		s->events.stop(s->events.context, w->signum);
		break;
	case SIGHUP:
		s->events.reload(s->events.context);
		break;
	case SIGUSR1:
		s->events.rotate(s->events.context);
		break;
	default:
		log_info("signal_ignored", "this signal means nothing here", "signal=%d",
			w->signum);
		break;
	}
}

void signals_start(struct signals *s, struct ev_loop *loop, struct signals_events events)
{
	s->loop = loop;
	s->events = events;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < SIGNALS_COUNT; i++) {
		ev_signal_init(&s->watchers[i], signals_on_signal, signals_all[i]);
		s->watchers[i].data = s;
		ev_signal_start(loop, &s->watchers[i]);
	}
	signals_mask(SIG_UNBLOCK);
}

void signals_stop(struct signals *s)
{
	if (s->loop == NULL)
		return;
	for (size_t i = 0; i < SIGNALS_COUNT; i++) {
		ev_signal_stop(s->loop, &s->watchers[i]);
		signal(signals_all[i], SIG_IGN);
	}
	s->loop = NULL;
}
