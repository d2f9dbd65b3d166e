#ifndef REPLAY_READERS_LINES_H
#define REPLAY_READERS_LINES_H

#include "base/arena.h"
#include "base/error.h"
#include "base/zone.h"
#include "replay/readers/lines_direction.h"
#include "spool/record.h"

/*
 * One line of a capture -> one MQTT message. The kind of line is recognised by the line itself:
 *
 *	{"topic":..,"payload":..,..}    mosquitto_sub -F '%j', or `spool export json`
 *	1769853600.04 1 cs/in/.. 7b7d   mosquitto_sub -F '%U\t%q\t%r\t%t\t%D\t%x' (with tabs);
 *					'%U %q %t %x' and '%U %q %t %D %x' as long as nobody has to
 *					guess where the topic ends
 *	whatever the pattern says       frames of OCPP-J as a gateway logs them
 *
 * '%J' is read, too, but mosquitto_sub has parsed its payloads and written them again.
 *
 * Correlation data (%D, or properties in '%j' with MQTT 5) has the trace id, which is part of the
 * identity of messages without a time of their own: without it they are not recognised as those
 * received live.
 *
 * Times: seconds since 1970 (%U), RFC 3339, also with a blank, a comma or slashes in it, or
 * mosquitto's tst, which is a number before version 2.0, and since then local time with a false Z
 * before the real offset. A time without a zone needs one (lines_pattern.zone): nothing is guessed.
 *
 * A pattern is text with {time}, {station}, {direction}, {version}, {skip} and {frame} in it, each
 * extending to the text that follows it; {frame} comes last, and begins at its bracket: blanks and
 * words before that are ignored. {time} may have blanks in it. Without {direction} the frame
 * decides (lines_direction.h). Without {version} and lines_pattern.version, frames are of OCPP 1.6,
 * and one of an action that only 2.x has is refused. Pure except for lines_memory; one thread.
 */
enum { LINES_FIELDS_MAX = 12 };

enum lines_field {
	LINES_TIME,
	LINES_STATION,
	LINES_DIRECTION,
	LINES_VERSION,
	LINES_FRAME,
	LINES_SKIP,
};

/* State from earlier lines; belongs to the reader. */
struct lines_memory {
	int64_t time_us; /* of the last line; INT64_MIN = none yet */
	struct lines_calls calls;
	bool rewritten; /* a payload of '%J' is shown not to be what was received */
};

struct lines_pattern {
	const struct zone *zone;     /* for times without one; NULL = those are refused */
	struct lines_memory *memory; /* NULL = each line on its own */
	bool has_direction, has_version;
	struct slice version; /* of OCPP, where lines do not say: "2.0.1"; absent = unknown */
	struct slice before;  /* the first field */
	struct {
		enum lines_field field;
		struct slice after; /* text up to the next field */
	} fields[LINES_FIELDS_MAX];
	size_t count; /* 0 = no pattern */
};

/* out borrows from text. FATAL "bad_pattern". */
MUST_CHECK bool lines_pattern_parse(const char *text, struct lines_pattern *out, struct error *err);

/*
 * A record from the arena; received_us, topic, trace, flags and payload are set. False with err:
 * POISON with what is wrong with the line, FULL, or FATAL: its time has no zone ("no_zone"), or its
 * frame is of a version that nobody named ("bad_pattern"), as all of that file will.
 */
MUST_CHECK bool lines_record(struct slice line, const struct lines_pattern *pattern,
	struct arena *arena, struct record *out, struct error *err);

#endif
