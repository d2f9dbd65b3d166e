#include "stations/options.h"

#include "base/clock.h"
#include "base/iso8601.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Thousandths are how numbers with decimals are kept. */
enum option_kind {
	OPTION_TEXT,
	OPTION_NUMBER,
	OPTION_DECIMAL,
	OPTION_SECONDS,
	OPTION_TIME,
	OPTION_WORD,
	OPTION_FLAG
};

struct option {
	const char *name;
	enum option_kind kind;
	size_t offset;
	int64_t low, high;    /* as stored; of texts: bytes */
	const char *words[3]; /* 0, 1, 2 */
	const char *what;     /* the argument, in the help */
	const char *help;
};

#define AT(member) offsetof(struct options, member)
#define SECONDS_MAX (INT64_C(1000000) * US_PER_SECOND)
#define NUMBER_MAX INT64_C(1000000000000)

static const struct option options_table[] = {
	{"broker", OPTION_TEXT, AT(broker), 1, 255, {0}, "URL",
		"where to publish, mqtt://host:port (mqtt://127.0.0.1:1883)"},
	{"user", OPTION_TEXT, AT(user), 1, PACKET_TEXT_BYTES_MAX, {0}, "NAME", "for the broker"},
	{"password", OPTION_TEXT, AT(password), 0, PACKET_TEXT_BYTES_MAX, {0}, "TEXT",
		"for the broker; or in the environment, OCPP_STATIONS_PASSWORD"},
	{"client-id", OPTION_TEXT, AT(client_id), 1, 64, {0}, "TEXT",
		"beginning of the MQTT client ids (ocpp-stations-PID)"},
	{"topic-prefix", OPTION_TEXT, AT(topic_prefix), 1, 64, {0}, "TEXT",
		"beginning of the topics (cs)"},
	{"mqtt", OPTION_WORD, AT(mqtt), 0, 0, {"5", "3.1.1"}, "5|3.1.1", "version of MQTT (5)"},
	{"qos", OPTION_NUMBER, AT(qos), 0, 2, {0}, "0|1|2", "of all messages (1)"},
	{"connections", OPTION_NUMBER, AT(connections), 1, 64, {0}, "N",
		"MQTT connections; stations are spread over them (1)"},
	{"inflight", OPTION_NUMBER, AT(in_flight), 1, 65535, {0}, "N",
		"unacknowledged messages a connection, if the broker allows (1000)"},

	{"stations", OPTION_NUMBER, AT(stations), 1, 1000000, {0}, "N", "in the fleet (200)"},
	{"prefix", OPTION_TEXT, AT(prefix), 1, STATION_PREFIX_BYTES_MAX, {0}, "TEXT",
		"beginning of station ids (cs, as in cs0001)"},
	{"ocpp", OPTION_WORD, AT(ocpp), 0, 0, {"1.6", "2.0.1", "mixed"}, "1.6|2.0.1|mixed",
		"version of the stations (mixed: half and half)"},
	{"format", OPTION_WORD, AT(format), 0, 0, {"json", "msgpack", "mixed"},
		"json|msgpack|mixed", "of payloads (mixed: by station)"},
	{"shape", OPTION_WORD, AT(shape), 0, 0, {"envelope", "frame", "batch"},
		"envelope|frame|batch",
		"MaEVE's map, the array of OCPP-J, or arrays of 1 to 8 envelopes (envelope)"},
	{"mix", OPTION_WORD, AT(mix), 0, 0, {"default", "meter", "values"}, "default|meter|values",
		"meter: 90 % MeterValues of six samples and their results; values: only "
		"MeterValues, without results (default)"},
	{"seed", OPTION_NUMBER, AT(seed), 0, INT64_MAX, {0}, "N",
		"same seed and start, same messages (a random one, which is printed)"},
	{"start", OPTION_TIME, AT(start_us), 0, 0, {0}, "TIME",
		"when the simulated clock starts, RFC 3339 (so that the run ends now, or a day "
		"ago)"},
	{"duplicates", OPTION_DECIMAL, AT(duplicates), 0, 100 * 1000, {0}, "PERCENT",
		"messages that come again later: unchanged, or retried under a new id (0)"},
	{"reorder", OPTION_SECONDS, AT(reorder_us), 0, 86400 * US_PER_SECOND, {0}, "SECONDS",
		"shuffle messages within so many simulated seconds (0)"},

	{"rate", OPTION_NUMBER, AT(rate), 0, 10000000, {0}, "N",
		"OCPP messages a second at most; 0 = as fast as possible (no limit)"},
	{"speedup", OPTION_DECIMAL, AT(speedup), 0, 1000000 * INT64_C(1000), {0}, "X",
		"simulated seconds a second at most; 0 = no limit (20, or 0 with --rate)"},
	{"seconds", OPTION_SECONDS, AT(seconds_us), 0, SECONDS_MAX, {0}, "N",
		"stop after this time (0 = never)"},
	{"messages", OPTION_NUMBER, AT(messages), 0, NUMBER_MAX, {0}, "N",
		"stop after so many OCPP messages (0 = never)"},

	{"republish-seconds", OPTION_SECONDS, AT(republish_us), 0, 3600 * US_PER_SECOND, {0}, "N",
		"after a broken connection publish again what went out in the last N s (30)"},
	{"republish-mib", OPTION_NUMBER, AT(republish_mib), 1, 16384, {0}, "N",
		"memory a connection may use for that (64)"},
	{"accept-unrouted", OPTION_FLAG, AT(accept_unrouted), 0, 0, {0}, "",
		"a message without subscribers counts as acknowledged (to measure a broker)"},
	{"connect-seconds", OPTION_SECONDS, AT(connect_us), 0, SECONDS_MAX, {0}, "N",
		"give up if the broker cannot be reached at first (30)"},
	{"drain-seconds", OPTION_SECONDS, AT(drain_us), 0, SECONDS_MAX, {0}, "N",
		"wait this long for acknowledgements at the end (30)"},

	{"ledger", OPTION_TEXT, AT(ledger), 1, 4096, {0}, "FILE", "write what was published"},
	{"quiet", OPTION_FLAG, AT(quiet), 0, 0, {0}, "", "no status lines on stderr"},
	{"version", OPTION_FLAG, AT(version), 0, 0, {0}, "", "print the version"},
	{"help", OPTION_FLAG, AT(help), 0, 0, {0}, "", "print this"},
};

enum { OPTIONS_COUNT = sizeof(options_table) / sizeof(options_table[0]) };

static const struct options options_defaults = {
	.broker = "mqtt://127.0.0.1:1883",
	.topic_prefix = "cs",
	.qos = 1,
	.connections = 1,
	.in_flight = 1000,
	.stations = 200,
	.prefix = "cs",
	.ocpp = FLEET_BOTH,
	.format = FLEET_MIXED,
	.shape = SHAPE_ENVELOPE,
	.seed = -1,
	.start_us = -1,
	.rate = -1,
	.speedup = -1,
	.republish_us = 30 * US_PER_SECOND,
	.republish_mib = 64,
	.connect_us = 30 * US_PER_SECOND,
	.drain_us = 30 * US_PER_SECOND,
};

static const int64_t SPEEDUP_DEFAULT = 20 * 1000;

/* A number with up to three decimals as thousandths. */
static bool options_parse_decimal(const char *text, int64_t *thousandths_out)
{
	char *end;
	double number;

	errno = 0;
	number = strtod(text, &end);
	if (end == text || *end != '\0' || errno != 0 || !(number >= 0 && number < 1e12))
		return false;
	*thousandths_out = (int64_t)(number * 1000 + 0.5);
	return true;
}

static bool options_parse_word(const struct option *option, const char *text, int64_t *value_out)
{
	for (int i = 0; i < 3 && option->words[i] != NULL; i++) {
		if (strcmp(option->words[i], text) == 0) {
			*value_out = i;
			return true;
		}
	}
	return false;
}

static bool options_parse_number(const char *text, int64_t *value_out)
{
	char *end;

	errno = 0;
	*value_out = strtoll(text, &end, 10);
	return end != text && *end == '\0' && errno == 0;
}

/* The value as it is stored. */
static bool options_parse_value(const struct option *option, const char *text, int64_t *value_out)
{
	switch (option->kind) {
	case OPTION_NUMBER:
		return options_parse_number(text, value_out);
	case OPTION_DECIMAL:
		return options_parse_decimal(text, value_out);
	case OPTION_SECONDS:
		if (!options_parse_decimal(text, value_out))
			return false;
		*value_out *= US_PER_MS;
		return true;
	case OPTION_TIME:
		return iso8601_parse(slice_from_cstr(text), value_out) == ISO8601_EXACT;
	case OPTION_WORD:
		return options_parse_word(option, text, value_out);
	case OPTION_TEXT:
		*value_out = (int64_t)strlen(text);
		return true;
	case OPTION_FLAG:
		break;
	}
	return false;
}

static bool options_set(struct options *o, const struct option *option, const char *text,
	struct error *err)
{
	char *at = (char *)o + option->offset;
	bool is_ranged = option->kind != OPTION_WORD && option->kind != OPTION_TIME;
	int64_t value;

	if (!options_parse_value(option, text, &value) ||
		(is_ranged && (value < option->low || value > option->high)))
		return error_set(err, ERROR_FATAL, REASON_usage, "--%s does not take \"%s\"",
			option->name, text);
	if (option->kind == OPTION_TEXT)
		memcpy(at, &text, sizeof(text));
	else
		memcpy(at, &value, sizeof(value));
	return true;
}

static const struct option *options_find(const char *name, size_t size)
{
	for (size_t i = 0; i < OPTIONS_COUNT; i++) {
		const char *known = options_table[i].name;

		if (strlen(known) == size && memcmp(known, name, size) == 0)
			return &options_table[i];
	}
	return NULL;
}

/* --name VALUE or --name=VALUE; *at is moved on to the last argument used. */
static bool options_take(struct options *o, int argc, char **argv, int *at, struct error *err)
{
	const char *name = argv[*at] + 2, *equals = strchr(argv[*at], '=');
	const struct option *option = NULL;

	if (strncmp(argv[*at], "--", 2) == 0)
		option =
			options_find(name, equals == NULL ? strlen(name) : (size_t)(equals - name));
	if (option == NULL)
		return error_set(err, ERROR_FATAL, REASON_usage, "there is no option \"%s\"",
			argv[*at]);
	if (option->kind == OPTION_FLAG) {
		if (equals != NULL)
			return error_set(err, ERROR_FATAL, REASON_usage, "--%s takes no value",
				option->name);
		*((bool *)((char *)o + option->offset)) = true;
		return true;
	}
	if (equals != NULL)
		return options_set(o, option, equals + 1, err);
	if (++*at == argc)
		return error_set(err, ERROR_FATAL, REASON_usage, "--%s needs a value",
			option->name);
	return options_set(o, option, argv[*at], err);
}

bool options_parse(struct options *o, int argc, char **argv, struct error *err)
{
	*o = options_defaults;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads */
	o->password = getenv("OCPP_STATIONS_PASSWORD");
	snprintf(o->own_client_id, sizeof(o->own_client_id), "ocpp-stations-%ld", (long)getpid());
	o->client_id = o->own_client_id;
	for (int i = 1; i < argc; i++) {
		if (!options_take(o, argc, argv, &i, err))
			return false;
	}
	/* Both need the messages that are left out. */
	if (o->mix == OPTIONS_MIX_VALUES && (o->duplicates > 0 || o->ledger != NULL))
		return error_set(err, ERROR_FATAL, REASON_usage,
			"--mix values goes with neither --duplicates nor --ledger");
	if (o->password != NULL && strlen(o->password) > PACKET_TEXT_BYTES_MAX)
		return error_set(err, ERROR_FATAL, REASON_usage, "the password is too long");
	return true;
}

/* Names that go into topics and into the ledger as they are. */
static bool options_is_name(const char *text, bool may_have_levels)
{
	for (; *text != '\0'; text++) {
		if (*text <= ' ' || *text > '~' || strchr("+#\"\\", *text) != NULL ||
			(*text == '/' && !may_have_levels))
			return false;
	}
	return true;
}

bool options_settle(struct options *o, int64_t wall_us, struct error *err)
{
	int64_t back_us = US_PER_DAY;

	if (!options_is_name(o->prefix, false) || !options_is_name(o->topic_prefix, true))
		return error_set(err, ERROR_FATAL, REASON_usage,
			"a prefix takes printable ASCII without blanks, quotes, + and #");
	/* The words "5" and "3.1.1" are numbers 0 and 1 of the table. */
	o->mqtt = o->mqtt == 0 ? MQTT_5 : MQTT_311;
	if (o->speedup < 0)
		o->speedup = o->rate < 0 ? SPEEDUP_DEFAULT : 0;
	if (o->rate < 0)
		o->rate = 0;
	if (o->seed < 0) {
		uint32_t seed; /* short enough to be typed again */

		if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
			return error_set_errno(err, ERROR_FATAL, REASON_random,
				"could not get a seed");
		o->seed = seed;
	}
	if (o->start_us < 0) {
		if (o->speedup > 0) {
			o->waits_for_clock = true;
			if (o->seconds_us > 0 && o->seconds_us / 1000 * o->speedup < back_us)
				back_us = o->seconds_us / 1000 * o->speedup;
		}
		o->start_us = (wall_us - back_us) / US_PER_SECOND * US_PER_SECOND;
	}
	if (o->start_us < 2 * US_PER_DAY)
		return error_set(err, ERROR_FATAL, REASON_usage, "--start is too long ago");
	return true;
}

static void options_put_value(const struct options *o, const struct option *option,
	struct writer *w)
{
	const char *at = (const char *)o + option->offset;
	int64_t value;

	memcpy(&value, at, sizeof(value));
	switch (option->kind) {
	case OPTION_NUMBER:
		writer_int(w, value);
		break;
	case OPTION_DECIMAL:
		writer_amount(w, amount_scale((struct amount){.units = value}, -3));
		break;
	case OPTION_SECONDS:
		writer_amount(w, amount_scale((struct amount){.units = value / US_PER_MS}, -3));
		break;
	case OPTION_TIME: {
		char text[ISO8601_BYTES];

		writer_text(w, slice_of(text, iso8601_format(value, text)));
		break;
	}
	case OPTION_WORD:
		writer_word(w, option->words[value]);
		break;
	case OPTION_TEXT: {
		const char *text;

		memcpy(&text, at, sizeof(text));
		writer_text(w, slice_from_cstr(text));
		break;
	}
	case OPTION_FLAG:
		break;
	}
}

void options_put(const struct options *o, struct writer *w)
{
	static const char *const names[] = {"topic-prefix", "qos", "stations", "prefix", "ocpp",
		"format", "shape", "mix", "start", "duplicates", "reorder", "rate", "speedup",
		"seconds", "messages", "republish-seconds"};

	writer_map(w);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct option *option = options_find(names[i], strlen(names[i]));

		CHECK(option != NULL);
		writer_key_bytes(w, names[i], strlen(names[i]));
		options_put_value(o, option, w);
	}
	writer_end(w);
}

void options_help(void)
{
	printf("usage: ocpp-stations [OPTION ...]\n\n"
	       "A fleet of simulated charge stations behind a gateway, publishing to an MQTT\n"
	       "broker what MaEVE publishes. Stops on SIGINT and SIGTERM. Defaults in "
	       "brackets.\n\n");
	for (size_t i = 0; i < OPTIONS_COUNT; i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s %s", options_table[i].name,
			options_table[i].what);
		printf("  %-30s  %s\n", left, options_table[i].help);
	}
}
