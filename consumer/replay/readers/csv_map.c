#include "replay/readers/csv.h"

#include <ctype.h>
#include <stdio.h>

/* station=id,time=ts,unit='kWh',zone=+01:00: a name, then a column, or a constant in single quotes.
 * Double quotes enclose a column name that has a comma. */
static const char *const map_names[CSV_ROLES] = {
	[CSV_STATION] = "station",
	[CSV_TIME] = "time",
	[CSV_VALUE] = "value",
	[CSV_EVSE] = "evse",
	[CSV_TRANSACTION] = "transaction",
	[CSV_MEASURAND] = "measurand",
	[CSV_PHASE] = "phase",
	[CSV_CONTEXT] = "context",
	[CSV_LOCATION] = "location",
	[CSV_UNIT] = "unit",
};

static bool map_bad(struct error *err, struct slice at, const char *what)
{
	error_set(err, ERROR_FATAL, REASON_bad_map, "\"%.*s\" is not a map of columns: %s",
		(int)(at.size < 100 ? at.size : 100), (const char *)at.data, what);
	return error_hint(err,
		"like station=id,time=ts,value=kwh,unit='kWh': a column, or a constant "
		"in single quotes, for station, time, value, evse, transaction, "
		"measurand, phase, context, location, unit; also zone=+01:00 "
		"or zone=Europe/Berlin, decimal=comma, version=2.0.1");
}

/* The text up to the next comma, or in quotes; *rest is what follows. */
static bool map_value(struct slice *rest, struct slice *out, char *quote_out)
{
	const uint8_t *end;
	size_t size;

	*quote_out = '\0';
	if (rest->size > 0 && (*rest->data == '\'' || *rest->data == '"')) {
		*quote_out = (char)*rest->data;
		*rest = slice_of(rest->data + 1, rest->size - 1);
		end = memchr(rest->data, *quote_out, rest->size);
		if (end == NULL)
			return false;
		size = (size_t)(end - rest->data);
		*out = slice_of(rest->data, size);
		size++;
	} else {
		end = memchr(rest->data, ',', rest->size);
		size = end == NULL ? rest->size : (size_t)(end - rest->data);
		*out = slice_of(rest->data, size);
		if (size == 0)
			return false;
	}
	*rest = slice_of(rest->data + size, rest->size - size);
	if (rest->size == 0)
		return true;
	if (*rest->data != ',')
		return false;
	*rest = slice_of(rest->data + 1, rest->size - 1);
	return rest->size > 0;
}

static bool map_zone(struct csv_map *map, struct slice zone)
{
	char text[ZONE_NAME_BYTES + 1];

	map->has_zone = true;
	snprintf(text, sizeof(text), "%.*s", SLICE_ARG(zone));
	return zone_parse(&map->zone, text, NULL);
}

/* A setting for reading, not a column. False if it is not a setting either. */
static bool map_setting(struct csv_map *map, struct slice name, struct slice value)
{
	if (slice_equal_cstr(name, "zone")) {
		return map_zone(map, value);
	}
	if (slice_equal_cstr(name, "version")) {
		map->version = value;
		return slice_equal_cstr(value, "1.6") || slice_equal_cstr(value, "2.0.1") ||
		       slice_equal_cstr(value, "2.1");
	}
	map->decimal_comma = slice_equal_cstr(value, "comma");
	return slice_equal_cstr(name, "decimal") &&
	       (map->decimal_comma || slice_equal_cstr(value, "point"));
}

static bool map_pair(struct csv_map *map, struct slice *rest, struct error *err)
{
	const uint8_t *equals;
	struct slice at, name, value;
	char quote;

	/* A map may be written over several lines. */
	while (rest->size > 1 && isspace(*rest->data))
		*rest = slice_skip(*rest, 1);
	at = *rest;
	equals = memchr(rest->data, '=', rest->size);
	if (equals == NULL)
		return map_bad(err, at, "it has no =");
	name = slice_of(rest->data, (size_t)(equals - rest->data));
	*rest = slice_of(equals + 1, rest->size - name.size - 1);
	if (!map_value(rest, &value, &quote))
		return map_bad(err, at, "it does not say which column");
	for (int role = 0; role < CSV_ROLES; role++) {
		if (!slice_equal_cstr(name, map_names[role]))
			continue;
		if (!slice_is_absent(map->roles[role].text))
			return map_bad(err, at, "it is given twice");
		map->roles[role].text = value;
		map->roles[role].is_constant = quote == '\'';
		return true;
	}
	return map_setting(map, name, value) ||
	       map_bad(err, at, "there is no such column or setting");
}

bool csv_map_parse(const char *text, struct csv_map *out, struct error *err)
{
	struct slice all = slice_from_cstr(text), rest = all;

	*out = (struct csv_map){.version = SLICE("1.6")};
	do {
		if (!map_pair(out, &rest, err))
			return false;
	} while (rest.size > 0);
	for (int role = 0; role <= CSV_VALUE; role++) {
		if (slice_is_absent(out->roles[role].text))
			return map_bad(err, all, "station, time and value are required");
	}
	/* In 2.x, MeterValues do not belong to transactions. */
	if (!slice_is_absent(out->roles[CSV_TRANSACTION].text) &&
		!slice_equal_cstr(out->version, "1.6"))
		return map_bad(err, all, "meter values have a transaction only in 1.6");
	return true;
}
