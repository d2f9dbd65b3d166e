#ifndef STATIONS_READING_H
#define STATIONS_READING_H

#include "stations/station.h"
#include "stations/writer.h"

/*
 * Meter values: what an EVSE measures at a moment, and how the two versions of OCPP write it.
 * The register only ever grows; power, current and voltage follow from what the vehicle draws.
 * One thread.
 */
struct reading {
	struct stamp time;
	const char *context; /* NULL = not stated */
	const struct sample *samples;
	size_t count;
	struct amount amounts[STATION_SAMPLES_MAX];
};

/* Count what was drawn until now, then let the vehicle draw what it will from here on. */
void reading_advance(struct station *s, struct evse *e, int64_t now_us);

/* Everything the station measures, as of reading_advance(). */
void reading_all(struct reading *out, struct station *s, const struct evse *e, struct stamp time);

/* The energy register alone, for a begin or end of a transaction. */
void reading_register(struct reading *out, const struct station *s, int64_t register_mwh,
	const char *context, struct stamp time);

/* The register as the station writes it, in Wh. */
struct amount reading_register_wh(const struct station *s, int64_t register_mwh);

/* The array of "meterValue" or "transactionData". */
void reading_put(struct writer *w, enum ocpp_version version, const struct reading *readings,
	size_t count);

/* The array "samples" of a fact; the text of each value as w's format sends it. */
void reading_put_fact(struct writer *w, enum ocpp_version version, const struct reading *r);

#endif
