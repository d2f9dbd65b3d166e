#ifndef REPLAY_PUBLISH_H
#define REPLAY_PUBLISH_H

#include "replay/replay.h"

/*
 * Publishes old messages to a broker as if stations sent them now: for staging systems and
 * demonstrations. Topics, payloads, QoS, content type and trace id are those of the source. No
 * database. Blocks until everything is acknowledged or a signal (SIGINT, SIGTERM) ends it.
 */
struct replay_publish_options {
	char *broker;  /* its address */
	int64_t after; /* skip records up to this number */
	double speed;  /* 1 = the original speed; 0 = as fast as possible */
};

struct replay_published {
	uint64_t records, published, acknowledged, resent;
	uint64_t unwanted, unreadable;
	uint64_t settled; /* complete up to this record: continue after it */
	double seconds;
};

/* False with err: STOPPED, or an error of mqtt_publisher_open() or replay_source_open(). *out says
 * what was done even then. */
MUST_CHECK bool replay_publish(const struct config *config, const struct replay_request *request,
	const struct replay_publish_options *options, struct replay_published *out,
	struct error *err);

#endif
