#ifndef STATIONS_STATION_H
#define STATIONS_STATION_H

#include "stations/amount.h"
#include "stations/rng.h"
#include "stations/stamp.h"

#include "base/slice.h"

#include <stdint.h>

/*
 * A charge station: what it is (made once from the seed, never changed) and where it stands in its
 * sessions. Two stations of one fleet differ the way products of different makers do: what they
 * measure, in which units, what they state and what they leave to OCPP's defaults, how they write
 * times. One thread.
 */
enum ocpp_version { OCPP_16, OCPP_201 };
enum station_mix { STATION_MIX_DEFAULT, STATION_MIX_METER };

enum {
	STATION_ID_BYTES = 48,
	STATION_PREFIX_BYTES_MAX = 32,
	STATION_EVSES_MAX = 4,
	STATION_SAMPLES_MAX = 12,
	STATION_TRANSACTION_BYTES = 37,
	STATION_TOKENS = 512,
};

/* Who charges. What the CSMS says about a token does not change. */
struct token {
	char id[24];
	const char *type;      /* 2.0.1 */
	const char *status_16; /* the CSMS's answer */
	const char *status_201;
	const char *group; /* NULL = none */
};

void station_make_tokens(struct token tokens[static STATION_TOKENS], uint64_t seed);

enum quantity {
	QUANTITY_ENERGY,
	QUANTITY_POWER,
	QUANTITY_CURRENT,
	QUANTITY_VOLTAGE,
	QUANTITY_SOC,
	QUANTITY_TEMPERATURE,
	QUANTITY_FREQUENCY,
	QUANTITY_CURRENT_OFFERED,
	QUANTITY_POWER_OFFERED,
};

#define SAMPLE_NO_MULTIPLIER INT8_MIN

/* One position of a meter value. NULL = not stated. */
struct sample {
	const char *measurand, *phase, *location, *unit;
	int8_t multiplier; /* 2.0.1, or SAMPLE_NO_MULTIPLIER */
	uint8_t quantity;  /* enum quantity */
	uint8_t line;      /* 0, 1, 2: which of three phases */
	uint8_t decimals;
	uint8_t exponent;
	uint8_t kilo; /* ten to this is the unit written: 3 for kWh or a multiplier of 3 */
};

/* What goes on at an EVSE between plugging in and out. */
struct session {
	const struct token *token;
	struct record *record; /* NULL if the ledger is not wanted, or its start was not seen */
	struct stamp started;
	int64_t started_mwh;
	int64_t number;                              /* 1.6: transaction id */
	char transaction[STATION_TRANSACTION_BYTES]; /* the id as text, terminated */
	int32_t seq;                                 /* 2.0.1: of the next event */
	uint32_t values_left;                        /* meter values to come */
};

enum evse_phase { EVSE_FREE, EVSE_CHARGING, EVSE_STOPPING, EVSE_REFUSED };

struct evse {
	uint8_t id; /* from 1; its connector is 1 in 2.0.1 and has this number in 1.6 */
	enum evse_phase phase;
	int64_t register_mwh; /* thousandths of a Wh; never goes back */
	int64_t read_us;      /* when the register was brought up to date */
	int64_t stamp_us;     /* last time stated */
	int32_t power_w;      /* what the vehicle may draw */
	int32_t draw_w;       /* what it draws now */
	int32_t soc;
	struct session session;
};

struct station {
	uint32_t index;
	enum ocpp_version version;
	enum station_mix mix;
	bool msgpack;
	char id[STATION_ID_BYTES];
	size_t id_size;
	struct rng rng;
	uint64_t message_ids; /* 1.6: the last one used */
	int64_t busy_us;      /* one call at a time: when the next may go out */
	int64_t stamp_us;     /* last time stated for the station as a whole */

	const struct token *tokens;
	const struct maker *maker;
	char serial[16];
	struct stamp_style style;
	bool states_context; /* Sample.Periodic, although it is the default */
	bool states_begin;   /* sends the register at the start of a transaction */
	bool states_status_time;
	bool states_stop_token;
	bool states_transaction_data; /* 1.6 */
	bool states_evse;             /* 2.0.1: in every event, not only the first */
	bool authorizes;
	bool continues_seq; /* 2.0.1: seqNo does not begin again with each transaction */
	bool meters_apart;  /* 2.0.1: sends MeterValues beside TransactionEvents */
	bool booted;
	uint8_t lines; /* phases: 1 or 3 */
	int64_t interval_us;
	struct sample samples[STATION_SAMPLES_MAX]; /* [0] is the energy register */
	size_t samples_count;
	size_t evses_count;
	struct evse evses[STATION_EVSES_MAX];
};

struct maker {
	const char *vendor, *model, *firmware;
};

struct station_options {
	const char *prefix;
	uint64_t seed;
	uint32_t index; /* from 0 */
	enum ocpp_version version;
	enum station_mix mix;
	bool msgpack;
	const struct token *tokens;
};

void station_init(struct station *s, const struct station_options *o);

/* The station's text for a moment; each one it states is later than the last of this EVSE (NULL =
 * of the whole station), so that no two facts are the same by accident. */
struct stamp station_stamp(struct station *s, struct evse *e, int64_t at_us);

/* When its next call can go out: now, or after the answer to the last one. */
static inline int64_t station_turn_us(const struct station *s, int64_t now_us)
{
	return s->busy_us > now_us ? s->busy_us : now_us;
}

static inline struct slice station_id(const struct station *s)
{
	return slice_of(s->id, s->id_size);
}

#endif
