#ifndef REPLAY_PUBLISH_H
#define REPLAY_PUBLISH_H

#include "replay/replay.h"

/*
 * Old messages to a broker, as if stations said them now: for staging systems and demonstrations.
 * Topics, payloads, QoS, content type and trace id are those of the source. No database. Blocking,
 * until all is acknowledged or a signal (SIGINT, SIGTERM) ends it.
 */
struct replay_publish_options {
	char *broker;  /* its address */
	int64_t after; /* records up to this number are left out */
	double speed;  /* as fast as it was = 1; 0 = as fast as it goes */
};

struct replay_published {
	uint64_t records, published, acknowledged, resent;
	uint64_t unwanted, unreadable;
	uint64_t settled; /* up to this record nothing is missing: to continue after it */
	double seconds;
};

/* False with err: STOPPED, or as of mqtt_publisher_open() and replay_source_open(). *out says what
 * was done, also then. */
MUST_CHECK bool replay_publish(const struct config *config, const struct replay_request *request,
	const struct replay_publish_options *options, struct replay_published *out,
	struct error *err);

#endif
