#ifndef DECODE_TOPIC_H
#define DECODE_TOPIC_H

#include "base/error.h"
#include "base/slice.h"

/*
 * What the levels of a topic mean, given by patterns such as
 *
 *	+/{direction}/{version}/{station}
 *	+/store/{entity}
 *
 * where + stands for any one level, # at the end for the rest, and other text for itself. Patterns
 * are compiled once; matching allocates nothing. Pure; any thread.
 */
enum { TOPIC_PATTERNS_MAX = 8, TOPIC_LEVELS_MAX = 16 };

enum topic_level {
	TOPIC_TEXT,
	TOPIC_ANY,
	TOPIC_REST,
	TOPIC_DIRECTION,
	TOPIC_VERSION,
	TOPIC_STATION,
	TOPIC_ENTITY,
};

struct topic_pattern {
	struct {
		enum topic_level kind;
		struct slice text; /* for TOPIC_TEXT; borrowed from the pattern's text */
	} levels[TOPIC_LEVELS_MAX];
	size_t count;
};

struct topic_patterns {
	struct topic_pattern patterns[TOPIC_PATTERNS_MAX];
	size_t count;
};

/* IN if the topic does not say. */
enum topic_direction { TOPIC_IN, TOPIC_OUT, TOPIC_NEITHER };

/* The parts of a topic; absent if it does not have them. Borrows from the topic. */
struct topic {
	enum topic_direction direction;
	struct slice version;
	struct slice station;
	struct slice entity; /* of the store */
};

/* text must outlive the patterns. */
MUST_CHECK bool topic_patterns_add(struct topic_patterns *p, const char *text, struct error *err);

/* Whether a pattern matches what a subscription brings: a topic filter of MQTT, without
 * $share/<group>/. False also if only few of its topics match, as cs/store/x of cs/+/x. */
bool topic_patterns_fit(const struct topic_patterns *p, struct slice filter);

/* Whether the last pattern that was added names a station, but no {version}. */
bool topic_pattern_lacks_version(const struct topic_patterns *p);

/* By the first pattern that matches. */
bool topic_match(const struct topic_patterns *p, struct slice topic, struct topic *out);

#endif
