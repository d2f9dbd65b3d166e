#include "cli/export.h"
#include "cli/spool.h"

#include "base/iso8601.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The messages of a log for other programs, in the order they came. */
enum { EXPORT_STATIONS_MAX = 64 };

struct export
{
	struct exporter to;
	int64_t from_us, to_us; /* received in [from, to) */
	const char *stations[EXPORT_STATIONS_MAX];
	size_t stations_count;
	struct topic_patterns patterns;
	export_form *write;
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

static bool export_parse(struct export *e, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		struct slice value =
			i + 1 < argc ? slice_from_cstr(argv[i + 1]) : slice_of(NULL, 0);
		int64_t *time = strcmp(argv[i], "--from") == 0 ? &e->from_us
				: strcmp(argv[i], "--to") == 0 ? &e->to_us
							       : NULL;

		if ((strcmp(argv[i], "json") == 0 || strcmp(argv[i], "cat") == 0) &&
			e->write == NULL)
			e->write = export_json;
		else if (strcmp(argv[i], "maeve") == 0 && e->write == NULL)
			e->write = export_maeve;
		else if (strcmp(argv[i], "msgpack") == 0 && e->write == NULL)
			e->write = export_msgpack;
		else if (time != NULL && value.size > 0 &&
			 iso8601_parse(value, time) != ISO8601_INVALID)
			i++;
		else if (strcmp(argv[i], "--station") == 0 && value.size > 0 &&
			 e->stations_count < EXPORT_STATIONS_MAX)
			e->stations[e->stations_count++] = argv[++i];
		else
			return false;
	}
	return e->write != NULL;
}

enum exit_code spool_export(const struct config *config, int argc, char **argv)
{
	struct export e = {.to.out = stdout, .from_us = INT64_MIN, .to_us = INT64_MAX};
	struct spool_walk walk = {.record = export_record, .context = &e};
	struct error err;
	bool ok = true;

	if (!export_parse(&e, argc, argv))
		return cli_usage("spool", "say json, msgpack or maeve");
	if (e.write == export_msgpack && isatty(STDOUT_FILENO))
		return cli_usage("spool", "msgpack is no text: send it to a file or a pipe");
	for (size_t i = 0; ok && i < config->mqtt_topic_patterns.count; i++)
		ok = topic_patterns_add(&e.patterns, config->mqtt_topic_patterns.items[i], &err);
	ok = ok &&
	     decoder_new(&e.to.decoder, &e.patterns, (size_t)config->mqtt_message_bytes_max,
		     &err) &&
	     spool_walk(config->spool_dir, &walk, &err);
	decoder_free(&e.to.decoder);
	if (ok && fflush(stdout) != 0)
		ok = error_set_errno(&err, ERROR_FATAL, "output", "could not write a message");
	if (!ok)
		return cli_fail(EXIT_CODE_SPOOL, &err);
	return walk.damaged ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
