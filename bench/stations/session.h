#ifndef STATIONS_SESSION_H
#define STATIONS_SESSION_H

#include "stations/post.h"

/*
 * What a station does with its time: sessions at its EVSEs, one step at a time, and the rest of
 * its life. Each step hands messages to the post and says when the next one is. A step makes at
 * most SESSION_EXCHANGES_MAX exchanges. One thread.
 */
enum { SESSION_EXCHANGES_MAX = 8 };

typedef int64_t session_step(struct post *p, struct station *s, struct evse *e, int64_t now_us);
struct session_steps {
	session_step *arrive, *charge, *stop; /* stop: of one that was refused, too */
};
extern const struct session_steps session16_steps, session201_steps;

/* For a fleet that is found running: a session whose start was before our time. */
void session_resume(struct station *s, struct evse *e, int64_t now_us);

/* Boot, heartbeats, calls of the CSMS. */
int64_t life_step(struct post *p, struct station *s, int64_t now_us);

/* Shared by session16.c and session201.c. */
int64_t session_pause_us(struct station *s); /* until the next vehicle comes */
void session_prepare(struct station *s, struct evse *e, int64_t now_us);
bool session_is_refused(const struct station *s, const struct evse *e);

/* The ledger's line about the session that has just ended; nothing if it is not kept. */
struct session_end {
	const char *reason; /* NULL = not stated */
	struct stamp stopped;
	struct amount meter_start_wh, meter_stop_wh;
	bool has_meter;
};

void session_close(struct station *s, struct evse *e, const struct session_end *end);

#endif
