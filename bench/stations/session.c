#include "stations/session.h"

#include "base/clock.h"
#include "stations/digits.h"

#include <string.h>

/*
 * Meter values of a session in the meter mix. Beside them a session has Authorize, start, stop and
 * about four StatusNotifications; 63 values make 90 % of all messages.
 */
enum { METER_VALUES_MIN = 53, METER_VALUES_MAX = 73 };

int64_t session_pause_us(struct station *s)
{
	if (s->mix == STATION_MIX_METER)
		return rng_between(&s->rng, 5, 15) * US_PER_SECOND;
	return rng_between(&s->rng, 20, 240) * US_PER_SECOND;
}

bool session_is_refused(const struct station *s, const struct evse *e)
{
	const struct token *t = e->session.token;

	return strcmp(s->version == OCPP_16 ? t->status_16 : t->status_201, "Accepted") != 0;
}

void session_prepare(struct station *s, struct evse *e, int64_t now_us)
{
	static const int32_t powers_w[] = {3680, 7360, 11040, 22080, 50000, 150000};
	int32_t seq = s->continues_seq ? e->session.seq : 0;

	e->read_us = now_us;
	e->draw_w = 0;
	e->power_w = powers_w[s->lines == 1 ? rng_below(&s->rng, 2) : 2 + rng_below(&s->rng, 4)];
	e->soc = (int32_t)rng_between(&s->rng, 8, 70);
	e->session = (struct session){
		.token = &s->tokens[rng_below(&s->rng, STATION_TOKENS)],
		.seq = seq,
		.values_left =
			s->mix == STATION_MIX_METER
				? (uint32_t)rng_between(&s->rng, METER_VALUES_MIN, METER_VALUES_MAX)
				: (uint32_t)rng_between(&s->rng, 4, 40),
	};
}

void session_resume(struct station *s, struct evse *e, int64_t now_us)
{
	struct session *session = &e->session;

	session_prepare(s, e, now_us);
	e->draw_w = e->power_w;
	session->values_left = 1 + rng_below(&s->rng, session->values_left);
	session->started =
		station_stamp(s, e, now_us - rng_between(&s->rng, 10, 900) * US_PER_SECOND);
	session->started_mwh = e->register_mwh;
	session->number = 1 + rng_below(&s->rng, INT32_MAX);
	if (s->version == OCPP_16)
		*put_signed((uint8_t *)session->transaction, session->number) = '\0';
	else
		post_uuid(&s->rng, session->transaction);
	session->seq += 3; /* started, authorized, charging */
	e->phase = EVSE_CHARGING;
}

static void session_close_meter(struct writer *w, const char *key, struct amount wh)
{
	uint8_t text[AMOUNT_BYTES];

	writer_key_bytes(w, key, strlen(key));
	writer_text(w, slice_of(text, amount_text(wh, text)));
}

void session_close(struct station *s, struct evse *e, const struct session_end *end)
{
	struct content c = {.station = s};
	uint8_t text[RECORD_TEXT_BYTES];
	struct writer w;

	if (e->session.record == NULL)
		return;
	writer_init(&w, text, sizeof(text), WRITER_JSON);
	fact_begin(&w, "transactions", &c);
	writer_pair_text(&w, "transaction", e->session.transaction);
	fact_place(&w, e->id, s->version == OCPP_16 ? e->id : 1);
	writer_pair_text(&w, "token", e->session.token->id);
	writer_key(&w, "started");
	writer_text(&w, stamp_slice(&e->session.started));
	writer_key(&w, "stopped");
	writer_text(&w, stamp_slice(&end->stopped));
	if (end->has_meter) {
		session_close_meter(&w, "meter_start", end->meter_start_wh);
		session_close_meter(&w, "meter_stop", end->meter_stop_wh);
	}
	if (end->reason != NULL)
		writer_pair_text(&w, "reason", end->reason);
	/* Left open: the ledger adds "needs" and closes it. */
	CHECK(!w.full);
	record_close(e->session.record, writer_slice(&w));
	e->session.record = NULL;
}
