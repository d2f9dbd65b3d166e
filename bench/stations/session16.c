#include "base/clock.h"
#include "stations/digits.h"
#include "stations/ocpp16.h"
#include "stations/session.h"

static void session16_status(struct post *p, struct station *s, struct evse *e, const char *status,
	int64_t now_us)
{
	int64_t at_us = station_turn_us(s, now_us);
	struct content c = {.evse = e, .status = status};

	if (s->states_status_time)
		c.time = station_stamp(s, e, at_us);
	if (rng_permille(&s->rng, 5)) {
		c.reason = "OtherError";
		c.text = "fan <2> \"slow\"";
	}
	post_exchange(p, s, &ocpp16_status_notification, &c, at_us);
}

static void session16_authorize(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	struct content c = {.evse = e, .token = e->session.token};

	post_exchange(p, s, &ocpp16_authorize, &c, station_turn_us(s, now_us));
}

/* The register at the start as a meter value, which some stations send on its own. */
static void session16_begin(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	struct reading reading;
	struct content c = {.evse = e,
		.session = &e->session,
		.time = e->session.started,
		.readings = &reading,
		.readings_count = 1};

	reading_register(&reading, s, e->session.started_mwh, "Transaction.Begin",
		e->session.started);
	post_exchange(p, s, &ocpp16_meter_values, &c, station_turn_us(s, now_us));
}

static void session16_start(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	struct session *session = &e->session;
	bool refused = session_is_refused(s, e);
	int64_t at_us = station_turn_us(s, now_us);
	struct content c = {.evse = e,
		.token = session->token,
		.time = station_stamp(s, e, at_us),
		.meter_wh = e->register_mwh / 1000,
		.reservation = rng_permille(&s->rng, 50) ? 1 + (int32_t)rng_below(&s->rng, 999) : 0,
		.record_answer = true};

	/* Asked twice, the CSMS gives two ids; the station goes by the last. */
	for (int i = 0; i < 2; i++)
		c.numbers[i] = refused ? -1 : 1 + (int64_t)rng_below(&s->rng, INT32_MAX);
	if (p->o.facts && !refused)
		c.record = record_new(&p->records);
	post_exchange(p, s, &ocpp16_start_transaction, &c, at_us);
	session->record = c.record;
	session->started = c.time;
	session->started_mwh = e->register_mwh;
	session->number = c.numbers[c.retried ? 1 : 0];
	*put_signed((uint8_t *)session->transaction, session->number) = '\0';
}

static int64_t session16_arrive(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	session_prepare(s, e, now_us);
	if (rng_permille(&s->rng, 700))
		session16_status(p, s, e, "Preparing", now_us);
	if (s->authorizes) {
		session16_authorize(p, s, e, now_us);
		if (session_is_refused(s, e)) {
			session16_status(p, s, e, "Available", now_us + 5 * US_PER_SECOND);
			return now_us + session_pause_us(s);
		}
	}
	session16_start(p, s, e, now_us);
	if (session_is_refused(s, e)) {
		e->phase = EVSE_REFUSED;
		return now_us + rng_between(&s->rng, 5, 20) * US_PER_SECOND;
	}
	session16_status(p, s, e, "Charging", now_us);
	if (s->states_begin)
		session16_begin(p, s, e, now_us);
	e->draw_w = e->power_w;
	e->read_us = station_turn_us(s, now_us);
	e->phase = EVSE_CHARGING;
	return now_us + s->interval_us;
}

static int64_t session16_charge(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	int64_t at_us = station_turn_us(s, now_us);
	struct reading reading;
	struct content c = {.evse = e,
		.session = &e->session,
		.time = station_stamp(s, e, at_us),
		.readings = &reading,
		.readings_count = 1};

	reading_advance(s, e, at_us);
	reading_all(&reading, s, e, c.time);
	post_exchange(p, s, &ocpp16_meter_values, &c, at_us);
	if (--e->session.values_left == 0)
		e->phase = EVSE_STOPPING;
	return now_us + s->interval_us;
}

static const char *session16_reason(struct station *s)
{
	static const char *const reasons[] = {NULL, NULL, NULL, "Local", "EVDisconnected",
		"EVDisconnected", "Remote", "PowerLoss", "UnlockCommand", "Other"};

	return reasons[rng_below(&s->rng, sizeof(reasons) / sizeof(reasons[0]))];
}

static int64_t session16_stop(struct post *p, struct station *s, struct evse *e, int64_t now_us)
{
	struct session *session = &e->session;
	int64_t at_us = station_turn_us(s, now_us);
	struct reading readings[2];
	bool refused = e->phase == EVSE_REFUSED;
	struct content c = {.evse = e,
		.session = session,
		.time = station_stamp(s, e, at_us),
		.reason = refused ? "DeAuthorized" : session16_reason(s),
		.record = session->record};

	reading_advance(s, e, at_us);
	e->draw_w = 0;
	c.meter_wh = e->register_mwh / 1000;
	if (s->states_stop_token)
		c.token = session->token;
	if (s->states_transaction_data && !refused) {
		reading_register(&readings[0], s, session->started_mwh, "Transaction.Begin",
			session->started);
		reading_register(&readings[1], s, e->register_mwh, "Transaction.End", c.time);
		c.readings = readings;
		c.readings_count = 2;
	}
	if (rng_permille(&s->rng, 10)) {
		c.error_code = "InternalError";
		c.error_description = "transaction not found";
	}
	post_exchange(p, s, &ocpp16_stop_transaction, &c, at_us);
	session_close(s, e,
		&(struct session_end){
			.reason = c.reason,
			.stopped = c.time,
			.has_meter = true,
			.meter_start_wh = {.units = session->started_mwh / 1000},
			.meter_stop_wh = {.units = c.meter_wh},
		});
	if (!refused)
		session16_status(p, s, e, "Finishing", now_us);
	session16_status(p, s, e, "Available", now_us + 3 * US_PER_SECOND);
	e->phase = EVSE_FREE;
	return now_us + session_pause_us(s);
}

const struct session_steps session16_steps = {session16_arrive, session16_charge, session16_stop};
