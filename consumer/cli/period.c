#include "cli/period.h"

#include "base/clock.h"
#include "base/iso8601.h"
#include "pg/connect.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool period_bad_time(const char *name, const char *text, struct error *err)
{
	error_set(err, ERROR_FATAL, REASON_bad_time, "%s \"%.80s\" is not a time", name, text);
	return error_hint(err, "a month, day or time (2026-01, 2026-01-31, "
			       "2026-01-31T10:00), or with a zone of its own "
			       "(2026-01-31T10:00:00Z)");
}

/* *us_out: in UTC, as if --zone were UTC. */
static bool period_time(const char *name, const char *text, char out[static PERIOD_TIME_BYTES],
	int64_t *us_out, struct error *err)
{
	/* The part that a month or a day leaves out. */
	static const char least[] = "0001-01-01T00:00:00";
	char whole[PERIOD_TIME_BYTES], formatted[ISO8601_BYTES];
	size_t size = strlen(text);
	enum iso8601_kind form;
	int64_t us;

	if (size >= sizeof(whole))
		return period_bad_time(name, text, err);
	snprintf(whole, sizeof(whole), "%s%s", text, size == 7 || size == 10 ? least + size : "");
	form = iso8601_parse(slice_from_cstr(whole), &us);
	/* PostgreSQL has no year 0. */
	if (form == ISO8601_INVALID || us < iso8601_days(1, 1, 2) * US_PER_DAY)
		return period_bad_time(name, text, err);
	size = iso8601_format(us, formatted);
	if (form == ISO8601_ZONELESS)
		formatted[size - 1] = '\0'; /* remove the Z: the session's zone decides */
	snprintf(out, PERIOD_TIME_BYTES, "%s", formatted);
	*us_out = us;
	return true;
}

/* Whether it has no length. If only one of the two has a zone of its own, they may be as far
 * from each other as zones are. */
static bool period_is_empty(const struct period *p, int64_t from_us, int64_t to_us)
{
	bool alike = (strchr(p->from, 'Z') != NULL) == (strchr(p->to, 'Z') != NULL);

	return from_us - (alike ? 0 : US_PER_DAY) >= to_us;
}

bool period_read(struct period *p, struct error *err)
{
	int64_t from_us = INT64_MIN, to_us = INT64_MAX;

	if (p->given_from != NULL && !period_time("--from", p->given_from, p->from, &from_us, err))
		return false;
	if (p->given_to != NULL && !period_time("--to", p->given_to, p->to, &to_us, err))
		return false;
	if (p->given_from != NULL && p->given_to != NULL && period_is_empty(p, from_us, to_us))
		return error_set(err, ERROR_FATAL, REASON_bad_time,
			"--from \"%.80s\" is not before --to \"%.80s\"", p->given_from,
			p->given_to);
	return p->given_zone == NULL || zone_parse(&p->zone, p->given_zone, err);
}

bool period_set_zone(const struct period *p, PGconn *conn, struct error *err)
{
	int64_t minutes = llabs(p->zone.offset_us) / US_PER_SECOND / 60;
	char sql[128];

	/* No name needs quoting: zone_parse() makes sure of that. */
	if (p->zone.named)
		snprintf(sql, sizeof(sql), "SET TIME ZONE '%s'", p->zone.name);
	else
		snprintf(sql, sizeof(sql),
			"SET TIME ZONE INTERVAL '%c%02" PRId64 ":%02" PRId64 "' HOUR TO MINUTE",
			p->zone.offset_us < 0 ? '-' : '+', minutes / 60, minutes % 60);
	return pg_exec(conn, sql, err);
}

const char *period_parameter(const char *time)
{
	return *time == '\0' ? NULL : time;
}
