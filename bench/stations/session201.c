#include "base/clock.h"
#include "stations/ocpp201.h"
#include "stations/session.h"

static void session201_status(struct post *p, struct station *s, struct evse *e, const char *status,
	int64_t now_us)
{
	int64_t at_us = station_turn_us(s, now_us);
	struct content c = {.evse = e, .status = status, .time = station_stamp(s, e, at_us)};

	post_exchange(p, s, &ocpp201_status_notification, &c, at_us);
}

static void session201_authorize(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	struct content c = {.evse = e, .token = e->session.token};

	post_exchange(p, s, &ocpp201_authorize, &c, station_turn_us(s, now_us));
}

/* c says what kind of event; what all have in common is filled in here. */
static void session201_event(struct post *p, struct station *s, struct evse *e, struct content *c,
	int64_t at_us)
{
	c->evse = e;
	c->session = &e->session;
	c->seq = e->session.seq++;
	c->states_evse = c->states_evse || s->states_evse;
	if (c->time.size == 0)
		c->time = station_stamp(s, e, at_us);
	post_exchange(p, s, &ocpp201_transaction_event, c, at_us);
}

static void session201_started(struct post *p, struct station *s, struct evse *e,
	bool is_authorized, int64_t now_us)
{
	struct session *session = &e->session;
	int64_t at_us = station_turn_us(s, now_us);
	struct reading reading;
	struct content c = {.event = "Started",
		.trigger = is_authorized ? "Authorized" : "CablePluggedIn",
		.state = is_authorized ? "Charging" : "EVConnected",
		.token = is_authorized ? session->token : NULL,
		.states_evse = true,
		.offline = rng_permille(&s->rng, 30),
		.time = station_stamp(s, e, at_us)};

	post_uuid(&s->rng, session->transaction);
	session->started = c.time;
	session->started_mwh = e->register_mwh;
	if (rng_permille(&s->rng, 50))
		c.reservation = 1 + (int32_t)rng_below(&s->rng, 999);
	if (rng_permille(&s->rng, 300))
		c.lines_used = s->lines;
	if (rng_permille(&s->rng, 200))
		c.cable_max = rng_permille(&s->rng, 500)
				      ? (struct amount){.units = 32}
				      : (struct amount){.units = 160, .decimals = 1};
	if (is_authorized && rng_permille(&s->rng, 150)) {
		c.trigger = "RemoteStart";
		c.remote_start = 1 + (int32_t)rng_below(&s->rng, 99999);
	}
	if (s->states_begin) {
		reading_register(&reading, s, session->started_mwh, "Transaction.Begin", c.time);
		c.readings = &reading;
		c.readings_count = 1;
	}
	if (p->o.facts)
		session->record = c.record = record_new(&p->records);
	session201_event(p, s, e, &c, at_us);
}

/* Who charges was not known when the cable was plugged in. */
static void session201_authorized(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	struct content c = {.event = "Updated",
		.trigger = "Authorized",
		.state = "EVConnected",
		.token = e->session.token,
		.record = e->session.record};

	session201_event(p, s, e, &c, station_turn_us(s, now_us));
}

static void session201_state(struct post *p, struct station *s, struct evse *e, const char *state,
	int64_t now_us)
{
	struct content c = {.event = "Updated", .trigger = "ChargingStateChanged", .state = state};

	session201_event(p, s, e, &c, station_turn_us(s, now_us));
}

static int64_t session201_arrive(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	bool is_authorized = rng_permille(&s->rng, 500);

	session_prepare(s, e, now_us);
	session201_status(p, s, e, "Occupied", now_us);
	if (s->authorizes) {
		session201_authorize(p, s, e, now_us);
		if (session_is_refused(s, e)) {
			session201_status(p, s, e, "Available", now_us + 5 * US_PER_SECOND);
			return now_us + session_pause_us(s);
		}
	}
	session201_started(p, s, e, is_authorized, now_us);
	if (!is_authorized)
		session201_authorized(p, s, e, now_us);
	if (session_is_refused(s, e)) {
		e->phase = EVSE_REFUSED;
		return now_us + rng_between(&s->rng, 5, 20) * US_PER_SECOND;
	}
	if (!is_authorized)
		session201_state(p, s, e, "Charging", now_us);
	e->draw_w = e->power_w;
	e->read_us = station_turn_us(s, now_us);
	e->phase = EVSE_CHARGING;
	return now_us + s->interval_us;
}

/* MeterValues names the EVSE but no transaction. */
static void session201_meter_values(struct post *p, struct station *s, struct evse *e,
	const char *context, int64_t now_us)
{
	int64_t at_us = station_turn_us(s, now_us);
	struct reading reading;
	struct content c = {.evse = e,
		.time = station_stamp(s, e, at_us),
		.readings = &reading,
		.readings_count = 1};

	reading_advance(s, e, at_us);
	reading_all(&reading, s, e, c.time);
	if (context != NULL)
		reading.context = context;
	post_exchange(p, s, &ocpp201_meter_values, &c, at_us);
}

static void session201_update(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	int64_t at_us = station_turn_us(s, now_us);
	struct reading reading;
	struct content c = {.event = "Updated",
		.trigger = "MeterValuePeriodic",
		.time = station_stamp(s, e, at_us),
		.readings = &reading,
		.readings_count = 1};

	reading_advance(s, e, at_us);
	reading_all(&reading, s, e, c.time);
	if (rng_permille(&s->rng, 300))
		c.state = "Charging";
	session201_event(p, s, e, &c, at_us);
}

static int64_t session201_charge(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	if (s->mix == STATION_MIX_METER) {
		session201_meter_values(p, s, e, NULL, now_us);
	} else {
		session201_update(p, s, e, now_us);
		if (s->meters_apart && e->session.values_left % 3 == 0)
			session201_meter_values(p, s, e, "Sample.Clock", now_us);
	}
	if (--e->session.values_left == 0)
		e->phase = EVSE_STOPPING;
	return now_us + s->interval_us;
}

static void session201_ended(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	static const char *const ends[][2] = {{"StopAuthorized", "Local"}, {"StopAuthorized", NULL},
		{"EVCommunicationLost", "EVDisconnected"}, {"EVDeparted", "EVDisconnected"},
		{"RemoteStop", "Remote"}, {"EnergyLimitReached", "EnergyLimitReached"},
		{"TimeLimitReached", "TimeLimitReached"}};
	const char *const *end = ends[rng_below(&s->rng, sizeof(ends) / sizeof(ends[0]))];
	struct session *session = &e->session;
	int64_t at_us = station_turn_us(s, now_us);
	struct reading reading;
	struct content c = {.event = "Ended",
		.trigger = end[0],
		.reason = end[1],
		.record = session->record,
		.time = station_stamp(s, e, at_us)};

	reading_advance(s, e, at_us);
	e->draw_w = 0;
	if (e->phase == EVSE_REFUSED) {
		c.trigger = "Deauthorized";
		c.reason = "DeAuthorized";
	} else if (s->states_stop_token && end[0][0] == 'S') {
		c.token = session->token;
	}
	if (rng_permille(&s->rng, 300))
		c.seconds_charging = (int32_t)rng_between(&s->rng, 1, 3600);
	if (rng_permille(&s->rng, 500))
		c.cost = (struct amount){rng_between(&s->rng, 1, 99999999), 6, 0};
	if (s->states_begin) {
		reading_register(&reading, s, e->register_mwh, "Transaction.End", c.time);
		c.readings = &reading;
		c.readings_count = 1;
	}
	session201_event(p, s, e, &c, at_us);
	session_close(s, e,
		&(struct session_end){
			.reason = c.reason,
			.stopped = c.time,
			.has_meter = s->states_begin,
			.meter_start_wh = reading_register_wh(s, session->started_mwh),
			.meter_stop_wh = reading_register_wh(s, e->register_mwh),
		});
}

static int64_t session201_stop(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	if (e->phase == EVSE_STOPPING && rng_permille(&s->rng, 300))
		session201_state(p, s, e, "SuspendedEV", now_us);
	session201_ended(p, s, e, now_us);
	session201_status(p, s, e, "Available", now_us + 3 * US_PER_SECOND);
	e->phase = EVSE_FREE;
	return now_us + session_pause_us(s);
}

const struct session_steps session201_steps = {session201_arrive, session201_charge,
	session201_stop};
