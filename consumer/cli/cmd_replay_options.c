#include "cli/cmd_replay.h"

#include "cli/arguments.h"
#include "config/broker_url.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool replay_add(const char **list, size_t *count, const char *text)
{
	if (*count == MESSAGE_FILTER_MAX)
		return false;
	list[(*count)++] = text;
	return true;
}

static bool replay_take_station(void *context, char *value)
{
	struct message_filter *f = context;

	return replay_add(f->stations, &f->stations_count, value);
}

static bool replay_take_action(void *context, char *value)
{
	struct message_filter *f = context;

	return replay_add(f->actions, &f->actions_count, value);
}

/* A factor, or "max". */
static bool replay_take_speed(void *context, char *text)
{
	double *out = context;
	char *end = NULL;

	if (strcmp(text, "max") == 0) {
		*out = 0;
		return true;
	}
	*out = strtod(text, &end);
	return *end == '\0' && *out > 0 && *out <= REPLAY_SPEED_MAX;
}

static bool replay_take_broker(void *context, char *value)
{
	struct cmd_replay *o = context;

	o->publish.broker = value;
	return true;
}

/* The sources are the remaining arguments. */
static bool replay_arguments(struct cmd_replay *o, int argc, char **argv)
{
	struct message_filter *f = &o->request.filter;
	const struct argument arguments[] = {
		{.name = "--from", .time = &f->from_us},
		{.name = "--to", .time = &f->to_us},
		{.name = "--station", .take = replay_take_station, .context = f},
		{.name = "--action", .take = replay_take_action, .context = f},
		{.name = "--jobs", .number = &o->request.jobs, .low = 1, .high = REPLAY_JOBS_MAX},
		{.name = "--rate", .number = &o->request.rate, .low = 1, .high = INT64_MAX},
		{.name = "--lines", .text = &o->lines},
		{.name = "--ocpp-version", .text = &o->ocpp_version},
		{.name = "--zone", .text = &o->zone_name},
		{.name = "--csv", .text = &o->csv},
		{.name = "--no-bulk", .given = &o->request.no_bulk},
		{.name = "--dry-run", .given = &o->dry_run},
		{.name = "--json", .given = &o->json},
		{.name = "--publish", .take = replay_take_broker, .context = o},
		{.name = "--speed",
			.take = replay_take_speed,
			.context = &o->publish.speed,
			.example = "--speed 10, or --speed max"},
		{.name = "--after", .number = &o->publish.after, .high = INT64_MAX},
	};

	*o = (struct cmd_replay){.request = {.filter = {.from_us = INT64_MIN, .to_us = INT64_MAX},
					 .sources = o->names,
					 .jobs = 1},
		.publish.speed = 1};
	if (!arguments_take("replay", arguments, sizeof(arguments) / sizeof(*arguments), INT_MAX,
		    &argc, argv))
		return false;
	if (f->from_us != INT64_MIN && f->to_us != INT64_MAX && f->from_us >= f->to_us) {
		(void)cli_usage("replay", "--from is not before --to");
		return false;
	}
	o->sources = argv;
	o->sources_count = (size_t)argc;
	return true;
}

static const char *replay_version_contradiction(const struct cmd_replay *o)
{
	if (o->ocpp_version == NULL)
		return NULL;
	if (o->lines == NULL)
		return "--ocpp-version is for --lines; CSV has version= in its map";
	if (strstr(o->lines, "{version}") != NULL)
		return "the version is given twice, by --ocpp-version and by {version} of --lines";
	if (strcmp(o->ocpp_version, "1.6") != 0 && strcmp(o->ocpp_version, "2.0.1") != 0 &&
		strcmp(o->ocpp_version, "2.1") != 0)
		return "--ocpp-version is 1.6, 2.0.1 or 2.1";
	return NULL;
}

/* Which options exclude each other. NULL if none do. */
static const char *replay_contradiction(const struct cmd_replay *o)
{
	if (o->sources_count == 0)
		return "say what to replay";
	if (o->publish.broker == NULL && o->publish.after > 0)
		return "--after needs --publish; any other replay finds its position by itself";
	if (o->publish.broker != NULL && (o->dry_run || o->request.jobs > 1))
		return "--publish goes with neither --jobs nor --dry-run";
	if (o->lines != NULL && o->csv != NULL)
		return "--lines and --csv are two forms of one file";
	return replay_version_contradiction(o);
}

/* For people: the names as they were given. */
static void replay_name_sources(struct cmd_replay *o)
{
	size_t used = 0;

	for (size_t i = 0; i < o->sources_count && used + 1 < sizeof(o->names); i++)
		used += (size_t)snprintf(o->names + used, sizeof(o->names) - used, "%s%s",
			i > 0 ? " " : "", o->sources[i]);
}

/* Parses the options that are texts. False with err. */
static bool replay_options_parse(struct cmd_replay *o, struct error *err)
{
	if ((o->publish.broker != NULL && !broker_url_check("--publish", o->publish.broker, err)) ||
		(o->lines != NULL && !lines_pattern_parse(o->lines, &o->request.pattern, err)) ||
		(o->zone_name != NULL && !zone_parse(&o->zone, o->zone_name, err)) ||
		(o->csv != NULL && !csv_map_parse(o->csv, &o->csv_map, err)))
		return false;
	if (o->zone_name != NULL)
		o->request.pattern.zone = &o->zone;
	if (o->ocpp_version != NULL)
		o->request.pattern.version = slice_from_cstr(o->ocpp_version);
	if (o->csv != NULL)
		o->request.csv = &o->csv_map;
	replay_name_sources(o);
	return true;
}

bool cmd_replay_read(struct cmd_replay *o, int argc, char **argv, enum exit_code *code_out)
{
	const char *contradiction;
	struct error err;

	if (!replay_arguments(o, argc, argv)) {
		*code_out = EXIT_CODE_USAGE;
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
			"the zone is given twice, by --zone and by zone= of --csv");
		return false;
	}
	o->csv_map.has_zone = true;
	o->csv_map.zone = o->zone;
	return true;
}
