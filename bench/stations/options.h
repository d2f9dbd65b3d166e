#ifndef STATIONS_OPTIONS_H
#define STATIONS_OPTIONS_H

#include "base/error.h"
#include "stations/fleet.h"
#include "stations/packet.h"
#include "stations/writer.h"

/* The words of --mix. */
enum options_mix { OPTIONS_MIX_DEFAULT, OPTIONS_MIX_METER, OPTIONS_MIX_VALUES };

/*
 * The command line of ocpp-stations: one table in options.c gives names, ranges and help.
 */
struct options {
	/* where to */
	const char *broker;
	const char *user, *password; /* NULL = none */
	const char *client_id;
	const char *topic_prefix;
	int64_t mqtt; /* enum mqtt_version */
	int64_t qos;
	int64_t connections;
	int64_t in_flight;

	/* what */
	int64_t stations;
	const char *prefix;
	int64_t ocpp;   /* enum fleet_versions */
	int64_t format; /* enum fleet_formats */
	int64_t shape;
	int64_t mix;        /* enum options_mix */
	int64_t seed;       /* -1 = choose one */
	int64_t start_us;   /* -1 = see options_settle() */
	int64_t duplicates; /* thousandths */
	int64_t reorder_us;

	/* how much, how fast */
	int64_t rate;    /* messages/s; 0 = no limit, -1 = not given */
	int64_t speedup; /* thousandths; 0 = no limit, -1 = not given */
	int64_t seconds_us;
	int64_t messages;

	/* how patient */
	int64_t republish_us;
	int64_t republish_mib;
	int64_t connect_us;
	int64_t drain_us;
	bool accept_unrouted;

	const char *ledger; /* NULL = none */
	bool quiet;
	bool help;
	bool version;

	char own_client_id[32]; /* what client_id points to unless it is given */
	bool waits_for_clock; /* set by options_settle(): never publish what has not happened yet */
};

/* Defaults, then the arguments. o must stay where it is. False with err if they make no sense. */
bool options_parse(struct options *o, int argc, char **argv, struct error *err);

/* Choose what was left open: seed, start, pace. */
bool options_settle(struct options *o, int64_t wall_us, struct error *err);

/* Everything that decides what is published, for the ledger: an object. */
void options_put(const struct options *o, struct writer *w);

void options_help(void);

#endif
