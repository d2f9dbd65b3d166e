#include "stations/station.h"

#include "base/check.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

static const struct maker station_makers[] = {
	{"Haller & Söhne", "HS-3", "1.8.2"},
	{"Voltwerk", "VW-22 \"Duo\"", "4.11.0-rc1"},
	{"Northbay", "NB Wall 11", "2023.09"},
	{"Lumen", "L150-DC", "7.0.3"},
	{"Kaltenbach", "KB/50", "0.9.14"},
};

void station_make_tokens(struct token tokens[static STATION_TOKENS], uint64_t seed)
{
	static const char *const types[] = {"ISO14443", "ISO14443", "ISO15693", "KeyCode"};
	struct rng rng;

	rng_init(&rng, seed, 0);
	for (int i = 0; i < STATION_TOKENS; i++) {
		struct token *t = &tokens[i];
		uint64_t number = rng_next(&rng);
		uint32_t luck = rng_below(&rng, 100);

		*t = (struct token){.type = types[rng_below(&rng, 4)],
			.status_16 = "Accepted",
			.status_201 = "Accepted"};
		if (i % 3 == 0)
			snprintf(t->id, sizeof(t->id), "%08X", (uint32_t)(number >> 32));
		else if (i % 3 == 1)
			snprintf(t->id, sizeof(t->id), "04%012" PRIx64, number >> 16);
		else
			snprintf(t->id, sizeof(t->id), "DE*SIM*%09" PRIu64, number % 1000000000);
		if (luck < 4)
			t->status_16 = t->status_201 = "Invalid";
		else if (luck < 6)
			t->status_16 = t->status_201 = "Blocked";
		else if (luck < 7)
			t->status_16 = t->status_201 = "Expired";
		else if (luck < 8)
			t->status_16 = "Invalid", t->status_201 = "Unknown";
		else if (luck < 30)
			t->group = "FLEET-07";
	}
}

static struct sample *station_sample(struct station *s, enum quantity quantity,
	const char *measurand, const char *unit, uint8_t decimals)
{
	struct sample *sample = &s->samples[s->samples_count++];

	CHECK(s->samples_count <= STATION_SAMPLES_MAX);
	*sample = (struct sample){
		.measurand = measurand,
		.unit = unit,
		.quantity = (uint8_t)quantity,
		.decimals = decimals,
		.multiplier = SAMPLE_NO_MULTIPLIER,
	};
	return sample;
}

static void station_sample_energy(struct station *s)
{
	struct sample *e =
		station_sample(s, QUANTITY_ENERGY, "Energy.Active.Import.Register", "Wh", 0);

	switch (rng_below(&s->rng, 8)) {
	case 0:
	case 1:
		e->unit = "kWh";
		e->kilo = 3;
		e->decimals = 3;
		break;
	case 2:
		e->decimals = 1;
		break;
	case 3:
		e->decimals = 2;
		break;
	case 4:
		e->unit = NULL; /* Wh by default */
		break;
	case 5:
		if (s->version == OCPP_201) {
			e->multiplier = 3;
			e->kilo = 3;
			e->decimals = 3;
		}
		break;
	default:
		if (s->version == OCPP_201 && rng_permille(&s->rng, 500))
			e->multiplier = 0;
	}
}

static void station_sample_power(struct station *s)
{
	bool kilo = rng_permille(&s->rng, 300);
	struct sample *p = station_sample(s, QUANTITY_POWER, "Power.Active.Import",
		kilo ? "kW" : "W", kilo ? 3 : (uint8_t)rng_below(&s->rng, 2));

	p->kilo = kilo ? 3 : 0;
}

/* A quantity that each line has of its own. */
static void station_sample_lines(struct station *s, enum quantity quantity, const char *measurand,
	const char *unit, uint8_t decimals)
{
	static const char *const currents[] = {"L1", "L2", "L3"};
	static const char *const voltages[] = {"L1-N", "L2-N", "L3-N"};
	bool states_line = s->lines > 1 || rng_permille(&s->rng, 500);

	for (uint8_t i = 0; i < s->lines; i++) {
		struct sample *sample = station_sample(s, quantity, measurand, unit, decimals);

		sample->line = i;
		if (states_line)
			sample->phase = quantity == QUANTITY_VOLTAGE ? voltages[i] : currents[i];
	}
}

static void station_sample_soc(struct station *s)
{
	station_sample(s, QUANTITY_SOC, "SoC", "Percent", 0)->location = "EV";
}

/* 2.0.1 no longer knows a temperature. */
static void station_sample_surroundings(struct station *s)
{
	bool is_16 = s->version == OCPP_16;
	struct sample *sample =
		is_16 ? station_sample(s, QUANTITY_TEMPERATURE, "Temperature", "Celsius", 1)
		      : station_sample(s, QUANTITY_FREQUENCY, "Frequency", "Hz", 1);

	sample->location = is_16 ? "Body" : "Inlet";
	if (rng_permille(&s->rng, 100))
		sample->exponent = 1; /* 2.5e1: a number all the same */
}

static void station_make_samples(struct station *s)
{
	bool states_location = rng_permille(&s->rng, 500);
	uint8_t decimals = (uint8_t)rng_below(&s->rng, 4);

	station_sample_energy(s);
	if (s->mix == STATION_MIX_METER) { /* six, whatever the number of lines */
		station_sample_power(s);
		station_sample_lines(s, QUANTITY_CURRENT, "Current.Import", "A", decimals);
		if (s->lines == 3)
			station_sample(s, QUANTITY_VOLTAGE, "Voltage", "V", 1)->phase = "L1-N";
		else
			station_sample_lines(s, QUANTITY_VOLTAGE, "Voltage", "V", 1);
		if (s->lines == 1) {
			station_sample_soc(s);
			station_sample_surroundings(s);
		}
	} else {
		if (rng_permille(&s->rng, 800))
			station_sample_power(s);
		if (rng_permille(&s->rng, 600))
			station_sample_lines(s, QUANTITY_CURRENT, "Current.Import", "A", decimals);
		if (rng_permille(&s->rng, 400))
			station_sample_lines(s, QUANTITY_VOLTAGE, "Voltage", "V", decimals % 2);
		if (rng_permille(&s->rng, 400))
			station_sample_soc(s);
		if (rng_permille(&s->rng, 300))
			station_sample_surroundings(s);
		if (rng_permille(&s->rng, 200))
			station_sample(s, QUANTITY_CURRENT_OFFERED, "Current.Offered", "A", 1);
		if (rng_permille(&s->rng, 200))
			station_sample(s, QUANTITY_POWER_OFFERED, "Power.Offered", "W", 0);
	}
	if (rng_permille(&s->rng, 80))
		s->samples[0].measurand = NULL; /* the energy register by default */
	for (size_t i = 0; i < s->samples_count; i++) {
		if (states_location && s->samples[i].location == NULL)
			s->samples[i].location = "Outlet";
	}
}

static void station_make_habits(struct station *s)
{
	static const int16_t offsets[] = {0, 60, 120, -300, 330};
	struct rng *r = &s->rng;

	s->style.zulu = rng_permille(r, 700);
	s->style.decimals = (uint8_t)rng_below(r, 4);
	if (!s->style.zulu)
		s->style.offset_minutes = offsets[rng_below(r, 5)];
	s->states_context = rng_permille(r, 600);
	s->states_begin = rng_permille(r, 800);
	s->states_status_time = s->version == OCPP_201 || rng_permille(r, 700);
	s->states_stop_token = rng_permille(r, 600);
	s->states_transaction_data = rng_permille(r, 500);
	s->states_evse = rng_permille(r, 700);
	s->authorizes = rng_permille(r, 800);
	s->continues_seq = rng_permille(r, 300);
	s->meters_apart = s->mix == STATION_MIX_METER || rng_permille(r, 400);
	s->lines = rng_permille(r, 600) ? 3 : 1;
	s->interval_us = rng_between(r, 5, 15) * US_PER_SECOND;
}

void station_init(struct station *s, const struct station_options *o)
{
	*s = (struct station){
		.index = o->index,
		.version = o->version,
		.mix = o->mix,
		.msgpack = o->msgpack,
		.tokens = o->tokens,
	};
	rng_init(&s->rng, o->seed, (uint64_t)o->index + 1);
	s->id_size = (size_t)snprintf(s->id, sizeof(s->id), "%s%04u", o->prefix, o->index + 1);
	CHECK(s->id_size < sizeof(s->id));
	s->maker = &station_makers[rng_below(&s->rng, 5)];
	snprintf(s->serial, sizeof(s->serial), "%c%09u", 'A' + (int)rng_below(&s->rng, 26),
		rng_below(&s->rng, 1000000000));
	s->message_ids = rng_below(&s->rng, 1000);
	station_make_habits(s);
	station_make_samples(s);
	s->evses_count = 1 + rng_below(&s->rng, STATION_EVSES_MAX);
	for (size_t i = 0; i < s->evses_count; i++) {
		s->evses[i].id = (uint8_t)(i + 1);
		s->evses[i].register_mwh = rng_between(&s->rng, 0, INT64_C(90000000000));
	}
}

struct stamp station_stamp(struct station *s, struct evse *e, int64_t at_us)
{
	int64_t *last_us = e == NULL ? &s->stamp_us : &e->stamp_us;
	int64_t step_us = stamp_step_us(s->style);
	struct stamp stamp;

	at_us -= at_us % step_us;
	if (at_us <= *last_us)
		at_us = *last_us + step_us;
	*last_us = at_us;
	stamp_format(&stamp, at_us, s->style);
	return stamp;
}
