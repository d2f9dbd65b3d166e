#include "stations/reading.h"

#include "base/check.h"
#include "base/clock.h"

static const int64_t MWH_PER_W_DIVISOR = 3600 * US_PER_MS; /* W x us to thousandths of a Wh */

void reading_advance(struct station *s, struct evse *e, int64_t now_us)
{
	CHECK(now_us >= e->read_us);
	e->register_mwh += e->draw_w * (now_us - e->read_us) / MWH_PER_W_DIVISOR;
	e->read_us = now_us;
	if (rng_permille(&s->rng, 50))
		e->draw_w = 0; /* the vehicle pauses */
	else
		e->draw_w = e->power_w - (int32_t)rng_below(&s->rng, (uint32_t)e->power_w / 20 + 1);
	if (e->soc < 100 && rng_permille(&s->rng, 300))
		e->soc++;
}

/* In thousandths of the quantity's unit. */
static int64_t reading_measure(struct station *s, const struct evse *e, const struct sample *sample)
{
	switch ((enum quantity)sample->quantity) {
	case QUANTITY_ENERGY:
		return e->register_mwh;
	case QUANTITY_POWER:
		return (int64_t)e->draw_w * 1000 - (e->draw_w > 0 ? rng_below(&s->rng, 1000) : 0);
	case QUANTITY_CURRENT:
		return (int64_t)e->draw_w * 1000 / (230 * s->lines) +
		       (e->draw_w > 0 ? rng_below(&s->rng, 300) : 0);
	case QUANTITY_VOLTAGE:
		return rng_between(&s->rng, 226000, 234000);
	case QUANTITY_SOC:
		return (int64_t)e->soc * 1000;
	case QUANTITY_TEMPERATURE:
		return rng_between(&s->rng, 15000, 62000);
	case QUANTITY_FREQUENCY:
		return rng_between(&s->rng, 49900, 50100);
	case QUANTITY_CURRENT_OFFERED:
		return (int64_t)e->power_w * 1000 / (230 * s->lines);
	case QUANTITY_POWER_OFFERED:
		return (int64_t)e->power_w * 1000;
	}
	return 0;
}

/* Thousandths cut to the digits that the station shows. */
static struct amount reading_amount(const struct sample *sample, int64_t thousandths)
{
	int cut = 3 + sample->kilo + sample->exponent - sample->decimals;

	CHECK(cut >= 0);
	for (; cut > 0; cut--)
		thousandths /= 10;
	return (struct amount){
		.units = thousandths,
		.decimals = sample->decimals,
		.exponent = sample->exponent,
	};
}

void reading_all(struct reading *out, struct station *s, const struct evse *e, struct stamp time)
{
	out->time = time;
	out->context = s->states_context ? "Sample.Periodic" : NULL;
	out->samples = s->samples;
	out->count = s->samples_count;
	for (size_t i = 0; i < s->samples_count; i++)
		out->amounts[i] =
			reading_amount(&s->samples[i], reading_measure(s, e, &s->samples[i]));
}

void reading_register(struct reading *out, const struct station *s, int64_t register_mwh,
	const char *context, struct stamp time)
{
	out->time = time;
	out->context = context;
	out->samples = s->samples;
	out->count = 1;
	out->amounts[0] = reading_amount(&s->samples[0], register_mwh);
}

struct amount reading_register_wh(const struct station *s, int64_t register_mwh)
{
	return amount_scale(reading_amount(&s->samples[0], register_mwh), s->samples[0].kilo);
}

static void reading_put_words(struct writer *w, const struct reading *r, const struct sample *s)
{
	if (r->context != NULL) {
		writer_key(w, "context");
		writer_word(w, r->context);
	}
	if (s->measurand != NULL) {
		writer_key(w, "measurand");
		writer_word(w, s->measurand);
	}
	if (s->phase != NULL) {
		writer_key(w, "phase");
		writer_word(w, s->phase);
	}
	if (s->location != NULL) {
		writer_key(w, "location");
		writer_word(w, s->location);
	}
}

static void reading_put_unit(struct writer *w, const struct sample *s)
{
	if (s->unit != NULL) {
		writer_key(w, "unit");
		writer_word(w, s->unit);
	}
	if (s->multiplier != SAMPLE_NO_MULTIPLIER) {
		writer_pair_int(w, "multiplier", s->multiplier);
	}
}

static void reading_put_sample(struct writer *w, enum ocpp_version version, const struct reading *r,
	size_t i)
{
	const struct sample *s = &r->samples[i];

	writer_map(w);
	writer_key(w, "value");
	if (version == OCPP_16) {
		writer_amount_text(w, r->amounts[i]);
		reading_put_words(w, r, s);
		reading_put_unit(w, s);
	} else {
		writer_amount(w, r->amounts[i]);
		reading_put_words(w, r, s);
		if (s->unit != NULL || s->multiplier != SAMPLE_NO_MULTIPLIER) {
			writer_key(w, "unitOfMeasure");
			writer_map(w);
			reading_put_unit(w, s);
			writer_end(w);
		}
	}
	writer_end(w);
}

void reading_put(struct writer *w, enum ocpp_version version, const struct reading *readings,
	size_t count)
{
	writer_array(w);
	for (size_t i = 0; i < count; i++) {
		writer_map(w);
		writer_key(w, "timestamp");
		writer_text(w, stamp_slice(&readings[i].time));
		writer_key(w, "sampledValue");
		writer_array(w);
		for (size_t j = 0; j < readings[i].count; j++)
			reading_put_sample(w, version, &readings[i], j);
		writer_end(w);
		writer_end(w);
	}
	writer_end(w);
}

void reading_put_fact(struct writer *w, enum ocpp_version version, const struct reading *r)
{
	writer_array(w);
	for (size_t i = 0; i < r->count; i++) {
		struct amount amount = r->amounts[i];
		uint8_t text[AMOUNT_BYTES];
		size_t size;

		/* 1.6 sends text, which no format changes. */
		if (version == OCPP_201 && w->format == WRITER_JSON_OF_MSGPACK)
			size = amount_shortest(amount, text);
		else
			size = amount_text(amount, text);
		writer_map(w);
		reading_put_words(w, r, &r->samples[i]);
		reading_put_unit(w, &r->samples[i]);
		writer_key(w, "value");
		writer_text(w, slice_of(text, size));
		writer_end(w);
	}
	writer_end(w);
}
