#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

#include "base/arena.h"
#include "daemon/samples.h"
#include "metrics/metrics.h"

/*
 * What the status page says (status_page.h): whether all is well, what is wrong and what to do
 * about it (status_rules.def), and the figures. Everything is in memory: looking at it asks nothing
 * of the database, and costs what /metrics costs. Its texts are ours, and name no station and no
 * address.
 *
 * Embedded in the caller's memory, which begins as zeros. On the loop.
 */

enum status_phase {
	STATUS_STARTING,
	STATUS_NO_ROOM, /* for a log, so it is not open yet */
	STATUS_WORKING,
	STATUS_MIGRATING,
	STATUS_DRAINING,
	STATUS_STOPPING,
};

/* What is the case now. */
struct status_facts {
	int64_t wall_us, mono_us;
	const struct metrics *metrics; /* measured just now */
	enum status_phase phase;
	bool broker_up, database_up;
	bool broker_silent; /* connected, but it has not answered our subscription */
	bool batch_refused;
	const char *broker_why, *database_why; /* words of base/reasons.def; NULL: not known */
	bool not_reloaded;                     /* the last reload of the settings failed */
	int64_t spool_bytes_max;
};

/* The order is that of the page: what matters most comes first. */
enum status_rule {
#define RULE(name, level, why, text, todo) STATUS_RULE_##name,
#include "daemon/status_rules.def"
#undef RULE
	STATUS_RULES
};

/* A connection, and since when it has been like that. */
struct status_link {
	bool up;
	int64_t since_us; /* wall clock */
};

struct status {
	struct samples samples;
	struct status_link broker, database;
	int64_t since_us[STATUS_RULES]; /* wall clock; 0: the rule does not hold */
};

/* Call it every second or so, and before status_json(): notes what has changed. */
void status_note(struct status *s, const struct status_facts *f);

/* From the arena; absent if it is full. */
MUST_CHECK struct slice status_json(const struct status *s, const struct status_facts *f,
	struct arena *arena);

#endif
