#include "cli/export.h"
#include "cli/spool.h"

#include "cli/arguments.h"
#include "daemon/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Exports the messages of a log for other programs, in order of receipt. */
enum { EXPORT_STATIONS_MAX = 64 };

struct export
{
	struct exporter to;
	int64_t from_us, to_us; /* received in [from, to) */
	const char *stations[EXPORT_STATIONS_MAX];
	size_t stations_count;
	struct topic_patterns patterns;
	export_format *write;
};

static bool export_wants(const struct export *e, const struct record *r)
{
	struct topic topic;

	if (r->received_us < e->from_us || r->received_us >= e->to_us)
		return false;
	if (e->stations_count == 0)
		return true;
	if (!topic_match(&e->patterns, r->topic, &topic))
		return false;
	for (size_t i = 0; i < e->stations_count; i++) {
		if (slice_equal_cstr(topic.station, e->stations[i]))
			return true;
	}
	return false;
}

static bool export_record(void *context, const struct record *r, const struct folder_reader *from,
	struct arena *arena, struct error *err)
{
	struct export *e = context;

	return !export_wants(e, r) ||
	       e->write(&e->to, r, from->reader.header.first_seq, arena, err);
}

static export_format *export_format_named(const char *name)
{
	static const struct {
		const char *name;
		export_format *write;
	} formats[] = {{"cat", export_json}, {"json", export_json}, {"maeve", export_maeve},
		{"msgpack", export_msgpack}};

	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
		if (strcmp(name, formats[i].name) == 0)
			return formats[i].write;
	}
	return NULL;
}

static bool export_take_station(void *context, char *value)
{
	struct export *e = context;

	if (*value == '\0' || e->stations_count == EXPORT_STATIONS_MAX)
		return false;
	e->stations[e->stations_count++] = value;
	return true;
}

enum exit_code spool_export(const struct config *config, int argc, char **argv)
{
	struct export e = {.to.out = stdout, .from_us = INT64_MIN, .to_us = INT64_MAX};
	struct spool_walk walk = {.record = export_record, .context = &e};
	const struct argument arguments[] = {
		{.name = "--from", .time = &e.from_us},
		{.name = "--to", .time = &e.to_us},
		{.name = "--station", .take = export_take_station, .context = &e},
	};
	struct error err;
	bool ok;

	if (!arguments_take("spool", arguments, 3, 1, &argc, argv))
		return EXIT_CODE_USAGE;
	if (e.from_us != INT64_MIN && e.to_us != INT64_MAX && e.from_us >= e.to_us)
		return cli_usage("spool", "--from is not before --to");
	e.write = argc == 1 ? export_format_named(argv[0]) : NULL;
	if (e.write == NULL)
		return cli_usage("spool", "say json, msgpack or maeve");
	if (e.write == export_msgpack && isatty(STDOUT_FILENO))
		return cli_usage("spool", "msgpack is not text: send it to a file or a pipe");
	ok = options_topics(config, &e.patterns, &err) &&
	     decoder_new(&e.to.decoder, &e.patterns, (size_t)config->mqtt_message_bytes_max,
		     &err) &&
	     spool_walk(config->spool_dir, &walk, &err);
	decoder_free(&e.to.decoder);
	if (ok && fflush(stdout) != 0)
		ok = error_set_errno(&err, ERROR_FATAL, REASON_output, "could not write a message");
	if (!ok)
		return cli_fail(EXIT_CODE_SPOOL, &err);
	return walk.damaged ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
