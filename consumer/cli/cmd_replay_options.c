#include "cli/cmd_replay.h"

#include "base/iso8601.h"
#include "config/broker_url.h"
#include "config/config_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool replay_time(const char *text, int64_t *out)
{
	return iso8601_parse(slice_from_cstr(text), out) != ISO8601_INVALID;
}

static bool replay_add(const char **list, size_t *count, const char *text)
{
	if (*count == MESSAGE_FILTER_MAX)
		return false;
	list[(*count)++] = text;
	return true;
}

/* A factor, or "max". */
static bool replay_speed(const char *text, double *out)
{
	char *end = NULL;

	if (strcmp(text, "max") == 0) {
		*out = 0;
		return true;
	}
	*out = strtod(text, &end);
	return *end == '\0' && *out > 0 && *out <= REPLAY_SPEED_MAX;
}

/* An option with a value: false if there is no such option, or the value is invalid. */
static bool replay_option(struct cmd_replay *o, const char *name, char *value)
{
	const struct {
		const char *name;
		int64_t *number; /* from low to high */
		int64_t low, high;
		const char **text;
	} plain[] = {
		{"--jobs", &o->request.jobs, 1, REPLAY_JOBS_MAX, NULL},
		{"--rate", &o->request.rate, 1, INT64_MAX, NULL},
		{"--after", &o->publish.after, 0, INT64_MAX, NULL},
		{"--lines", NULL, 0, 0, &o->lines},
		{"--zone", NULL, 0, 0, &o->zone_name},
		{"--csv", NULL, 0, 0, &o->csv},
	};
	struct message_filter *f = &o->request.filter;

	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
		if (strcmp(name, plain[i].name) != 0)
			continue;
		if (plain[i].number != NULL)
			return config_parse_number(value, plain[i].number) &&
			       *plain[i].number >= plain[i].low &&
			       *plain[i].number <= plain[i].high;
		*plain[i].text = value;
		return true;
	}
	if (strcmp(name, "--from") == 0)
		return replay_time(value, &f->from_us);
	if (strcmp(name, "--to") == 0)
		return replay_time(value, &f->to_us);
	if (strcmp(name, "--station") == 0)
		return replay_add(f->stations, &f->stations_count, value);
	if (strcmp(name, "--action") == 0)
		return replay_add(f->actions, &f->actions_count, value);
	if (strcmp(name, "--speed") == 0)
		return replay_speed(value, &o->publish.speed);
	if (strcmp(name, "--publish") != 0)
		return false;
	o->publish.broker = value;
	return true;
}

/* The sources are moved to the front of argv. */
static bool replay_arguments(struct cmd_replay *o, int argc, char **argv, const char **bad_out)
{
	*o = (struct cmd_replay){.request = {.filter = {.from_us = INT64_MIN, .to_us = INT64_MAX},
					 .sources = o->names,
					 .jobs = 1},
		.publish.speed = 1};
	o->sources = argv;
	for (int i = 0; i < argc; i++) {
		*bad_out = argv[i];
		if (strcmp(argv[i], "--dry-run") == 0) {
			o->dry_run = true;
		} else if (strcmp(argv[i], "--json") == 0) {
			o->json = true;
		} else if (strcmp(argv[i], "--no-bulk") == 0) {
			o->request.no_bulk = true;
		} else if (argv[i][0] != '-' || argv[i][1] == '\0') {
			o->sources[o->sources_count++] = argv[i];
		} else {
			if (i + 1 == argc || !replay_option(o, argv[i], argv[i + 1]))
				return false;
			i++;
		}
	}
	return true;
}

/* What goes together. NULL if all does. */
static const char *replay_contradiction(const struct cmd_replay *o)
{
	if (o->sources_count == 0)
		return "say what to replay";
	if (o->publish.broker == NULL && o->publish.after > 0)
		return "--after goes with --publish; else a replay knows";
	if (o->publish.broker != NULL && (o->dry_run || o->request.jobs > 1))
		return "--publish goes with neither --jobs nor --dry-run";
	if (o->lines != NULL && o->csv != NULL)
		return "--lines and --csv are two forms of one file";
	return NULL;
}

/* For people: the names as they were given. */
static void replay_name_sources(struct cmd_replay *o)
{
	size_t used = 0;

	for (size_t i = 0; i < o->sources_count && used + 1 < sizeof(o->names); i++)
		used += (size_t)snprintf(o->names + used, sizeof(o->names) - used, "%s%s",
			i > 0 ? " " : "", o->sources[i]);
}

/* What texts among the options mean. False with err. */
static bool replay_options_parse(struct cmd_replay *o, struct error *err)
{
	if ((o->publish.broker != NULL && !broker_url_check("--publish", o->publish.broker, err)) ||
		(o->lines != NULL && !lines_pattern_parse(o->lines, &o->request.pattern, err)) ||
		(o->zone_name != NULL && !zone_parse(&o->zone, o->zone_name, err)) ||
		(o->csv != NULL && !csv_map_parse(o->csv, &o->csv_map, err)))
		return false;
	if (o->zone_name != NULL)
		o->request.pattern.zone = &o->zone;
	if (o->csv != NULL)
		o->request.csv = &o->csv_map;
	replay_name_sources(o);
	return true;
}

bool cmd_replay_read(struct cmd_replay *o, int argc, char **argv, enum exit_code *code_out)
{
	const char *bad = "", *contradiction;
	struct error err;

	if (!replay_arguments(o, argc, argv, &bad)) {
		*code_out =
			cli_usage("replay", "\"%s\" is not understood, or its value is not", bad);
		return false;
	}
	contradiction = replay_contradiction(o);
	if (contradiction != NULL) {
		*code_out = cli_usage("replay", "%s", contradiction);
		return false;
	}
	if (!replay_options_parse(o, &err)) {
		*code_out = cli_fail(EXIT_CODE_USAGE, &err);
		return false;
	}
	if (o->zone_name == NULL)
		return true;
	if (o->csv_map.has_zone) {
		*code_out = cli_usage("replay",
			"the zone is said twice, by --zone and by zone= of --csv");
		return false;
	}
	o->csv_map.has_zone = true;
	o->csv_map.zone = o->zone;
	return true;
}
