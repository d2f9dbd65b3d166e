#ifndef STATIONS_FLEET_H
#define STATIONS_FLEET_H

#include "stations/post.h"

/*
 * All stations of a run, on one simulated clock: who acts next, and which message is to be
 * published next. The messages and their order depend on the options alone. One thread.
 */
enum fleet_versions { FLEET_16, FLEET_201, FLEET_BOTH };
enum fleet_formats { FLEET_JSON, FLEET_MSGPACK, FLEET_MIXED };

struct fleet_options {
	uint32_t stations;
	const char *prefix; /* at most STATION_PREFIX_BYTES_MAX bytes */
	uint64_t seed;
	int64_t start_us; /* of the simulated clock */
	enum fleet_versions versions;
	enum fleet_formats formats;
	enum station_mix mix;
	struct post_options post; /* messages_max is set here */
};

struct fleet;

/* NULL only if memory cannot be had. */
struct fleet *fleet_new(const struct fleet_options *o);
void fleet_free(struct fleet **fleet);

/* The message whose turn is next: always the same one until it is taken. Never NULL. */
const struct message *fleet_peek(struct fleet *f);
struct message *fleet_take(struct fleet *f);

/*
 * A taken message is published under this number: tells its duplicate, and its session. Returns
 * the session if the ledger can now write its line; to be given back by fleet_record_done().
 */
struct record *fleet_number(struct message *m, uint64_t number);
void fleet_record_done(struct fleet *f, struct record *r);

/* A taken message is no longer needed. */
void fleet_give_back(struct fleet *f, struct message *m);

#endif
