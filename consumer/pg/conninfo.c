#include "pg/conninfo.h"

#include "base/clock.h"
#include "base/slice.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Far more than one PostgreSQL serves; probably a typing error. */
enum { POOL_CONNS_LIMIT = 10000 };

struct pg_pool_settings pg_pool_settings_default(void)
{
	return (struct pg_pool_settings){
		.conns_max = 25,
		.conns_min = 5,
		.connect_timeout_us = 30 * US_PER_SECOND,
		.idle_timeout_us = 600 * US_PER_SECOND,
	};
}

bool pg_pool_settings_check(const struct pg_pool_settings *s, struct error *err)
{
	if (s->conns_max < 1 || s->conns_max > POOL_CONNS_LIMIT)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"pool_max_conns must be 1 to %d", POOL_CONNS_LIMIT);
	if (s->conns_min < 0 || s->conns_min > s->conns_max)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"pool_min_conns must be 0 to pool_max_conns");
	if (s->connect_timeout_us <= 0 || s->idle_timeout_us <= 0)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"connect_timeout and idle_timeout must be more than 0");
	return true;
}

static bool conninfo_number(const char *value, int64_t *out, const char **end_out)
{
	char *end;

	if (!isdigit((unsigned char)value[0]) || strspn(value, "0123456789") > 9)
		return false;
	*out = strtoll(value, &end, 10);
	*end_out = end;
	return true;
}

static bool conninfo_duration(const char *value, int64_t *out)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {{"", US_PER_SECOND}, {"ms", US_PER_MS}, {"s", US_PER_SECOND},
		{"m", 60 * US_PER_SECOND}, {"min", 60 * US_PER_SECOND},
		{"h", 3600 * US_PER_SECOND}};
	const char *unit;
	int64_t number;

	if (!conninfo_number(value, &number, &unit))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].unit) == 0) {
			*out = number * units[i].us;
			return true;
		}
	}
	return false;
}

enum conninfo_take { TAKE_OURS, TAKE_NOT_OURS, TAKE_BAD };

static enum conninfo_take conninfo_take(struct slice key, struct slice value,
	struct pg_pool_settings *io, struct error *err)
{
	const struct {
		const char *key;
		int64_t *number;
		int64_t *duration;
	} ours[] = {{"pool_max_conns", &io->conns_max, NULL},
		{"pool_min_conns", &io->conns_min, NULL},
		{"connect_timeout", NULL, &io->connect_timeout_us},
		{"idle_timeout", NULL, &io->idle_timeout_us},
		{"pool_max_conn_idle_time", NULL, &io->idle_timeout_us}};
	char text[32];
	const char *end = "";
	bool ok;

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (!slice_equal_cstr(key, ours[i].key))
			continue;
		ok = value.size < sizeof(text);
		if (ok) {
			memcpy(text, value.data, value.size);
			text[value.size] = '\0';
			ok = ours[i].number != NULL
				     ? conninfo_number(text, ours[i].number, &end) && *end == '\0'
				     : conninfo_duration(text, ours[i].duration);
		}
		if (ok)
			return TAKE_OURS;
		error_set(err, ERROR_FATAL, REASON_bad_setting, "\"%s\" has no value that fits",
			ours[i].key);
		error_hint(err, "%s",
			ours[i].number != NULL ? "a number" : "seconds, or 500ms, 30s, 10m, 1h");
		return TAKE_BAD;
	}
	if (key.size >= 5 && memcmp(key.data, "pool_", 5) == 0) {
		error_set(err, ERROR_FATAL, REASON_bad_setting, "there is no setting \"%.*s\"",
			SLICE_ARG(key));
		return TAKE_BAD;
	}
	return TAKE_NOT_OURS;
}

/* ---- postgres://host/database?key=value&key=value ---- */

static bool conninfo_split_url(const char *text, char *out, struct pg_pool_settings *io,
	struct error *err)
{
	const char *at = strchr(text, '?');
	char *to = out;
	char before = '?';

	if (at == NULL)
		at = text + strlen(text);
	to = (char *)mempcpy(to, text, (size_t)(at - text));
	while (*at != '\0') {
		const char *key = at + 1;
		size_t size = strcspn(key, "&"), key_size = strcspn(key, "=&");
		bool has_value = key_size < size;
		struct slice value = has_value ? slice_of(key + key_size + 1, size - key_size - 1)
					       : slice_of("", 0);
		enum conninfo_take took = conninfo_take(slice_of(key, key_size), value, io, err);

		if (took == TAKE_BAD)
			return false;
		if (took == TAKE_NOT_OURS) {
			*to++ = before;
			to = (char *)mempcpy(to, key, size);
			before = '&';
		}
		at = key + size;
	}
	*to = '\0';
	return true;
}

/* ---- key = value key = 'a value' ---- */

static const char *conninfo_spaces(const char *at)
{
	while (isspace((unsigned char)*at))
		at++;
	return at;
}

/* The end of a value by libpq's rules; *inner_out is the text between the quotes. NULL: no closing
 * quote. */
static const char *conninfo_value_end(const char *at, struct slice *inner_out)
{
	const char *start = at;
	bool quoted = *at == '\'';

	if (quoted)
		start = ++at;
	while (*at != '\0' && (quoted ? *at != '\'' : !isspace((unsigned char)*at)))
		at += at[0] == '\\' && at[1] != '\0' ? 2 : 1;
	*inner_out = slice_of(start, (size_t)(at - start));
	if (!quoted)
		return at;
	return *at == '\'' ? at + 1 : NULL;
}

static bool conninfo_split_words(const char *text, char *out, struct pg_pool_settings *io,
	struct error *err)
{
	const char *at = conninfo_spaces(text);
	char *to = out;

	while (*at != '\0') {
		const char *key = at, *end;
		size_t key_size = strcspn(at, "= \t\r\n\f\v");
		struct slice value;
		enum conninfo_take took;

		at = conninfo_spaces(at + key_size);
		if (*at != '=')
			/* Not quoted: it may be the second word of a password. */
			return error_set(err, ERROR_FATAL, REASON_bad_setting,
				"missing \"=\" after a word of the connection string");
		end = conninfo_value_end(conninfo_spaces(at + 1), &value);
		if (end == NULL)
			return error_set(err, ERROR_FATAL, REASON_bad_setting,
				"unterminated quoted string in the connection string");
		took = conninfo_take(slice_of(key, key_size), value, io, err);
		if (took == TAKE_BAD)
			return false;
		if (took == TAKE_NOT_OURS) {
			if (to > out)
				*to++ = ' ';
			to = (char *)mempcpy(to, key, (size_t)(end - key));
		}
		at = conninfo_spaces(end);
	}
	*to = '\0';
	return true;
}

bool pg_conninfo_split(const char *text, char out[static PG_CONNINFO_BYTES_MAX],
	struct pg_pool_settings *io, struct error *err)
{
	/* Neither format makes it longer. */
	if (strlen(text) >= PG_CONNINFO_BYTES_MAX)
		return error_set(err, ERROR_FATAL, REASON_bad_setting,
			"the connection string is longer than %d bytes", PG_CONNINFO_BYTES_MAX - 1);
	if (strncmp(text, "postgres://", 11) == 0 || strncmp(text, "postgresql://", 13) == 0)
		return conninfo_split_url(text, out, io, err);
	return conninfo_split_words(text, out, io, err);
}
