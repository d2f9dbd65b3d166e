#include "unit.h"

#include "base/iso8601.h"
#include "replay/readers/csv.h"
#include "replay/readers/source.h"

#include <unistd.h>

static struct arena arena;
static struct csv_row row;

static int setup_group(void **state)
{
	(void)state;
	return arena_init(&arena, 8 << 20, 0) ? 0 : -1;
}

static int teardown_group(void **state)
{
	(void)state;
	arena_fini(&arena);
	return 0;
}

/* ---- rows ---- */

static enum csv_status read_row(const char *text, const char **why)
{
	return csv_row(slice_from_cstr(text), true, ',', &row, why);
}

static void assert_bad(const char *text, const char *reason)
{
	const char *why = NULL;

	assert_int_equal(read_row(text, &why), CSV_BAD);
	assert_non_null(strstr(why, reason));
	assert_int_equal(row.bytes, 0);
}

static void rows_are_those_of_rfc_4180(void **state)
{
	const char *why;

	(void)state;
	assert_int_equal(read_row("a,,\"b\",c d\r\nnext", &why), CSV_OK);
	assert_int_equal(row.count, 4);
	assert_slice_equal(row.cells[0], "a");
	assert_slice_equal(row.cells[1], "");
	assert_slice_equal(row.cells[2], "b");
	assert_slice_equal(row.cells[3], "c d");
	assert_int_equal(row.bytes, strlen("a,,\"b\",c d\r\n"));
	assert_int_equal(row.lines, 1);

	assert_int_equal(read_row("\"a,\"\"b\"\"\r\nc\nd\",\"\"\n", &why), CSV_OK);
	assert_int_equal(row.count, 2);
	assert_slice_equal(row.cells[0], "a,\"\"b\"\"\r\nc\nd"); /* still doubled */
	assert_slice_equal(row.cells[1], "");
	assert_int_equal(row.lines, 3);

	/* The last row may have no line end, or half of one. */
	assert_int_equal(read_row("a,b", &why), CSV_OK);
	assert_slice_equal(row.cells[1], "b");
	assert_int_equal(read_row("a,b\r", &why), CSV_OK);
	assert_slice_equal(row.cells[1], "b");
	assert_int_equal(row.bytes, 4);
	assert_int_equal(read_row("a,\"b\"\r", &why), CSV_OK);
	assert_int_equal(read_row("a,", &why), CSV_OK);
	assert_int_equal(row.count, 2);
	/* A CR elsewhere is a part of its cell. */
	assert_int_equal(read_row("a\rb,c\n", &why), CSV_OK);
	assert_slice_equal(row.cells[0], "a\rb");

	assert_int_equal(read_row("\r\na", &why), CSV_BLANK);
	assert_int_equal(row.bytes, 2);
	assert_int_equal(read_row("\"\"\n", &why), CSV_OK);
	assert_int_equal(csv_row(slice_from_cstr("a;\"b;c\"\td\n"), true, ';', &row, &why),
		CSV_BAD);
	assert_int_equal(csv_row(slice_from_cstr("a;\"b;c\"\n"), true, ';', &row, &why), CSV_OK);
	assert_slice_equal(row.cells[1], "b;c");
}

static void rows_that_are_none_say_why(void **state)
{
	size_t size = CSV_ROW_BYTES_MAX + 2;
	char *text = malloc(size + 1);
	const char *why = NULL;

	(void)state;
	assert_bad("a\"b,c\n", "inside a cell");
	assert_bad("\"a\"b,c\n", "follows a closing quote");
	assert_bad("\"a\"\rb\n", "follows a closing quote");
	assert_bad("\"a,b\nc,d\n", "not closed");

	assert_non_null(text);
	memset(text, ',', size);
	text[size] = '\0';
	assert_bad(text, "1024 columns");
	text[CSV_COLUMNS_MAX - 1] = '\n';
	assert_int_equal(read_row(text, &why), CSV_OK);
	assert_int_equal(row.count, CSV_COLUMNS_MAX);
	memset(text, 'a', size);
	assert_bad(text, "64 KiB");
	text[CSV_ROW_BYTES_MAX - 1] = '\n';
	assert_int_equal(read_row(text, &why), CSV_OK);
	free(text);
}

/* However the bytes of a row come in, it is the same row. */
static void a_row_may_come_in_any_pieces(void **state)
{
	static const char text[] = "a,\"b\"\"\r\nc\",d\r\nx";
	const char *why;

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++) {
		uint8_t *copy = malloc(size + 1);
		enum csv_status status;

		assert_non_null(copy);
		memcpy(copy, text, size);
		status = csv_row(slice_of(copy, size), false, ',', &row, &why);
		assert_int_equal(status, size < sizeof(text) - 2 ? CSV_PARTIAL : CSV_OK);
		if (status == CSV_OK)
			assert_int_equal(row.bytes, sizeof(text) - 2);
		free(copy);
	}
}

/* ---- files ---- */

static char path[] = "/tmp/test_csv.XXXXXX";

struct reported {
	char text[1024];
	size_t count;
};

static void on_unreadable(void *context, const char *file, const char *unit, int64_t position,
	uint64_t count, const char *why)
{
	struct reported *r = context;
	size_t used = strlen(r->text);

	(void)count;
	assert_string_equal(file, path);
	r->count++;
	snprintf(r->text + used, sizeof(r->text) - used, "%s %d: %s\n", unit, (int)position, why);
}

/* The payloads of a file, one in a line, in the arena. */
static const char *read_file(const char *map_text, const char *text, size_t size,
	struct reported *reported)
{
	char *paths[] = {path};
	struct replay_files files = {paths, 1, (int64_t)size};
	struct replay_source_events events = {on_unreadable, reported};
	struct lines_pattern no_pattern = {.count = 0};
	struct replay_source *source;
	struct csv_map map;
	struct record r;
	struct error err;
	size_t room = 1 << 20, used = 0;
	char *out = calloc(1, room);
	FILE *f = fopen(path, "w");

	assert_non_null(out);
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
	*reported = (struct reported){.count = 0};
	if (!csv_map_parse(map_text, &map, &err))
		fail_msg("%s", err.message);
	assert_true(replay_source_open(&source, &files, &no_pattern, &map, events, &err));
	for (enum replay_next next;;) {
		char time[ISO8601_BYTES];

		arena_reset(&arena);
		next = replay_source_next(source, &arena, &r, &err);
		if (next == REPLAY_END)
			break;
		assert_int_equal(next, REPLAY_RECORD);
		iso8601_format(r.received_us, time);
		used += (size_t)snprintf(out + used, room - used, "%.*s %s %.*s\n",
			SLICE_ARG(r.topic), time, SLICE_ARG(r.payload));
	}
	replay_source_close(&source);
	return out;
}

static void assert_messages(const char *map, const char *text, const char *messages,
	const char *reports)
{
	struct reported reported;
	const char *found = read_file(map, text, strlen(text), &reported);

	assert_string_equal(found, messages);
	assert_string_equal(reported.text, reports);
	free((void *)(uintptr_t)found);
}

#define HEAD "[2,\"csv\",\"MeterValues\",{"
#define CS1 "cs/in/ocpp1.6/cs1 2026-01-31T10:00:00Z " HEAD
#define AT10 "\"meterValue\":[{\"timestamp\":\"2026-01-31T10:00:00Z\",\"sampledValue\":["

static void columns_are_found_by_name(void **state)
{
	(void)state;
	assert_messages("station=id,time=ts,value=kwh,unit='kWh',evse=evse",
		"\xef\xbb\xbfother,kwh,evse,id,ts\r\n"
		",1.10,2,cs1,2026-01-31T10:00:00Z\r\n\r\n"
		"\"a\"\"b\r\n\",+1e3,,\"c\"\"s\",\"2026-01-31T10:00:00Z\"",
		CS1 "\"connectorId\":2," AT10 "{\"value\":\"1.10\",\"unit\":\"kWh\"}]}]}]\n"
		    "cs/in/ocpp1.6/c\"s 2026-01-31T10:00:00Z " HEAD AT10
		    "{\"value\":\"+1e3\",\"unit\":\"kWh\"}]}]}]\n",
		"");
	/* Semicolons and tabs are seen from the first row; a name may have the comma. */
	assert_messages("station='cs1',time=\"the, time\",value=v,decimal=comma",
		"the, time;v\n2026-01-31T10:00:00Z;1,5\n", CS1 AT10 "{\"value\":\"1.5\"}]}]}]\n",
		"");
	assert_messages("station='cs1',time=t,value=v,version=2.0.1,evse=e,unit=u",
		"t\tv\te\tu\n2026-01-31T10:00:00Z\t1.50\t3\tV\n",
		"cs/in/ocpp2.0.1/cs1 2026-01-31T10:00:00Z " HEAD "\"evseId\":3," AT10
		"{\"value\":1.50,\"unitOfMeasure\":{\"unit\":\"V\"}}]}]}]\n",
		"");
	assert_messages("station=a,time=b,value=c", "", "", "");
	assert_messages("station=a,time=b,value=c", "a,b\n1,2\n", "",
		"line 1: the first row names no column \"c\"; it has: a, b; the file is left "
		"out\n");
	assert_messages("station=a,time=b,value='1',unit=kWh", "a;c;d,e\n1;2;3\n", "",
		"line 1: the first row names no column \"b\", the first row names no column "
		"\"kWh\"; "
		"it has: a, c, d,e; the file is left out\n");
	assert_messages("station=a,time=b,value=b", "a,b,b\n", "",
		"line 1: the first row names more than one column \"b\", the first row names more "
		"than one column \"b\"; it has: a, b, b; the file is left out\n");
}

#define MAP "station=s,time=t,evse=e,value=v,measurand=m,transaction=x"
#define NAMES "s,t,e,v,m,x\n"

static void rows_of_one_instant_are_one_meter_value(void **state)
{
	(void)state;
	assert_messages(MAP,
		NAMES "cs1,2026-01-31T10:00:00Z,1,1.0,A,7\n"
		      "cs1,2026-01-31T11:00:00+01:00,1,2.0,B,7\n"
		      "cs1,2026-01-31T10:00:00Z,1,3.0,C,8\n"
		      "cs1,2026-01-31T10:00:00Z,2,4.0,,u-1\n"
		      "cs1,2026-01-31T10:00:00Z,1,5.0,,\n",
		CS1 "\"connectorId\":1,\"transactionId\":7," AT10
		    "{\"value\":\"1.0\",\"measurand\":\"A\"},"
		    "{\"value\":\"2.0\",\"measurand\":\"B\"}]}]}]\n" CS1
		    "\"connectorId\":2,\"transactionId\":\"u-1\"," AT10
		    "{\"value\":\"4.0\"}]}]}]\n" CS1 "\"connectorId\":1," AT10
		    "{\"value\":\"5.0\"}]}]}]\n",
		"line 4: another transaction at the same station, time and EVSE\n");
}

static void samples_of_a_meter_value_are_limited(void **state)
{
	char text[2 * CSV_SAMPLES_MAX + 7] = "v\n";
	struct reported reported;
	const char *found;

	(void)state;
	for (size_t i = 2; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "1\n", 2);
	found = read_file("station='cs1',time='2026-01-31T10:00:00Z',value=v", text, strlen(text),
		&reported);
	assert_int_equal(reported.count, 2);
	assert_non_null(strchr(found, '\n'));
	assert_string_equal(strchr(found, '\n'), "\n");
	free((void *)(uintptr_t)found);
}

static void bad_rows_cost_nothing_but_themselves(void **state)
{
#define GOOD "cs1,2026-01-31T10:00:00Z,1,5,,\n"
	(void)state;
	assert_messages(MAP,
		NAMES "cs1,2026-01-31T10:00:00Z,1,1,5,,\n"     /* 2 */
		      "cs1,2026-01-31T10:00:00Z,1,\"1,5\",,\n" /* 3 */
		      ",2026-01-31T10:00:00Z,1,5,,\n"          /* 4 */
		      "cs/1,2026-01-31T10:00:00Z,1,5,,\n"      /* 5 */
		      "cs1,,1,5,,\n"                           /* 6 */
		      "cs1,31.01.2026 10:00,1,5,,\n"           /* 7 */
		      "cs1,2026-01-31T10:00:00,1,5,,\n"        /* 8 */
		      "cs1,1970-01-01T00:00:00Z,1,5,,\n"       /* 9 */
		      "cs1,2026-01-31T10:00:00Z,A,5,,\n"       /* 10 */
		      "cs1,2026-01-31T10:00:00Z,1,,,\n"        /* 11 */
		      "cs1,2026-01-31T10:00:00Z,1,5,\xfc,\n"   /* 12 */
		      "cs1,2026-01-31T10:00:00Z,1,5,\",\n"     /* 13 */
		GOOD,
		CS1 "\"connectorId\":1," AT10 "{\"value\":\"5\"}]}]}]\n",
		"line 2: it has more or fewer cells than the first row\n"
		"line 3: its value is not a number\n"
		"line 4: it has no station\n"
		"line 5: its station has a /, which no topic allows\n"
		"line 6: it has no time\n"
		"line 7: its time is invalid\n"
		"line 8: its time has no zone, and --csv gives none (zone=+01:00 or "
		"zone=Europe/Berlin)\n"
		"line 9: its time is before 2010 or after 2099\n"
		"line 10: its EVSE is not a number\n"
		"line 11: it has no value\n"
		"line 12: it is not UTF-8, or has a NUL byte\n"
		"line 13: a quote is not closed\n");
}

static void times_are_instants(void **state)
{
	static const struct {
		const char *zone, *text, *time;
	} cases[] = {
		{"", "2026-01-31T10:00:00.5+05:30", "2026-01-31T04:30:00.5Z"},
		{",zone=+01:00", "2026-01-31 10:00:00", "2026-01-31T09:00:00Z"},
		{",zone=+01:00", "2026-01-31T10:00Z", "2026-01-31T10:00:00Z"},
		{",zone=Europe/Berlin", "2026-01-31 10:00", "2026-01-31T09:00:00Z"},
		{",zone=Europe/Berlin", "2026-07-31 10:00", "2026-07-31T08:00:00Z"},
		{",zone=Europe/Berlin", "2026-03-29 02:30", NULL},
		{",zone=UTC", "2026-01-31 10:00", "2026-01-31T10:00:00Z"},
		{"", "1769853600", "2026-01-31T10:00:00Z"},
		{"", "1769853600.04", "2026-01-31T10:00:00.04Z"},
		{"", "1769853600.1234560", "2026-01-31T10:00:00.123456Z"},
		{"", "1769853600040", "2026-01-31T10:00:00.04Z"},
		{"", "1769853600040.5", "2026-01-31T10:00:00.0405Z"},
		{"", "1769853600040123", "2026-01-31T10:00:00.040123Z"},
		{"", "1769853600.1234567", NULL}, {"", "1769853600.", NULL},
		{"", "-1769853600", NULL}, {"", "99", NULL}, {"", "17698536000401230", NULL},
		{"", "4102444800", NULL}, /* 2100; as milliseconds, 1970 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct reported reported;
		char map[128], text[128];
		const char *found;

		snprintf(map, sizeof(map), "station='cs1',time=t,value=v%s", cases[i].zone);
		snprintf(text, sizeof(text), "t,v\n%s,1\n", cases[i].text);
		found = read_file(map, text, strlen(text), &reported);
		if (cases[i].time == NULL)
			assert_string_equal(found, "");
		else
			assert_non_null(strstr(found, cases[i].time));
		assert_int_equal(reported.count, cases[i].time == NULL);
		free((void *)(uintptr_t)found);
	}
}

static void a_comma_for_the_point_must_be_said(void **state)
{
	(void)state;
	assert_messages("station='cs1',time='2026-01-31T10:00:00Z',value=v,decimal=comma",
		"v;o\n-0,50;\n1.234,5;\n1,2,3;\n", CS1 AT10 "{\"value\":\"-0.50\"}]}]}]\n",
		"line 3: its value has a point, though decimal=comma\n"
		"line 4: its value is not a number\n");
}

/* A message is found again after any other, also where bad rows lie between. */
static void numbers_of_messages_are_positions(void **state)
{
	char *paths[] = {path};
	struct replay_files files = {paths, 1, 0};
	struct reported reported = {.count = 0};
	struct replay_source_events events = {on_unreadable, &reported};
	struct lines_pattern no_pattern = {.count = 0};
	struct replay_source *source;
	struct csv_map map;
	struct record r;
	struct error err;
	FILE *f = fopen(path, "w");

	(void)state;
	assert_non_null(f);
	fprintf(f, "s,t,v\n");
	for (int i = 0; i < 20000; i++) {
		fprintf(f, "cs%d,2026-01-31T10:00:00Z,%d\n", i, i);
		if (i % 100 == 0)
			fprintf(f, "cs%d,2026-01-31T10:00:00Z,\"%d\"\n", i, i);
		if (i % 5000 == 0)
			fprintf(f, "cs,\"2026\n,1\n");
	}
	assert_int_equal(fclose(f), 0);
	assert_true(csv_map_parse("station=s,time=t,value=v", &map, &err));
	assert_true(replay_source_open(&source, &files, &no_pattern, &map, events, &err));
	for (uint64_t after = 19999; after > 1000; after -= 997) {
		char topic[64];

		arena_reset(&arena);
		assert_true(replay_source_seek(source, after, &err));
		assert_int_equal(replay_source_next(source, &arena, &r, &err), REPLAY_RECORD);
		snprintf(topic, sizeof(topic), "cs/in/ocpp1.6/cs%d", (int)after);
		assert_slice_equal(r.topic, topic);
		assert_int_equal(r.seq, after + 1);
	}
	/* Each is said once, however often it was passed: two lines in four places. */
	assert_int_equal(reported.count, 8);
	replay_source_close(&source);
}

/* Nothing is lost when the arena is full in the middle of a meter value. */
static void a_full_arena_is_tried_again(void **state)
{
	char *paths[] = {path};
	struct replay_files files = {paths, 1, 0};
	struct reported reported = {.count = 0};
	struct replay_source_events events = {on_unreadable, &reported};
	struct lines_pattern no_pattern = {.count = 0};
	struct replay_source *source;
	struct csv_map map;
	struct record r;
	struct error err;
	struct arena small;
	FILE *f = fopen(path, "w");
	size_t payload;

	(void)state;
	assert_non_null(f);
	fprintf(f, "s,t,v\nbad\n");
	for (int i = 0; i < 200; i++)
		fprintf(f, "cs1,2026-01-31T10:00:00Z,%d\n", i);
	assert_int_equal(fclose(f), 0);
	assert_true(csv_map_parse("station=s,time=t,value=v", &map, &err));
	assert_true(replay_source_open(&source, &files, &no_pattern, &map, events, &err));
	assert_true(arena_init(&small, 2048, 0));
	assert_int_equal(replay_source_next(source, &small, &r, &err), REPLAY_ERROR);
	assert_int_equal(err.kind, ERROR_FULL);
	assert_int_equal(small.used, 0);
	arena_reset(&arena);
	assert_int_equal(replay_source_next(source, &arena, &r, &err), REPLAY_RECORD);
	payload = r.payload.size;
	assert_memory_equal(r.payload.data + payload - 20, "{\"value\":\"199\"}]}]}]", 20);
	assert_int_equal(reported.count, 1);
	arena_fini(&small);
	replay_source_close(&source);
}

static void maps_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = {"", "station", "station=a", "station=a,time=b",
		"station=a,time=b,value=", "station=a,time=b,value=c,", "station=a,time=b,value='c",
		"station=a,time=b,value='c'd", "station=a,time=b,value=c,station=d",
		"station=a,time=b,value=c,what=d", "station=a,time=b,value=c,zone=Berlin",
		"station=a,time=b,value=c,zone=+25:00", "station=a,time=b,value=c,version=3",
		"station=a,time=b,value=c,decimal=dot",
		"station=a,time=b,value=c,version=2.1,transaction=x"};
	struct csv_map map;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(csv_map_parse(bad[i], &map, &err));
		assert_int_equal(err.kind, ERROR_FATAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_those_of_rfc_4180),
		cmocka_unit_test(rows_that_are_none_say_why),
		cmocka_unit_test(a_row_may_come_in_any_pieces),
		cmocka_unit_test(columns_are_found_by_name),
		cmocka_unit_test(rows_of_one_instant_are_one_meter_value),
		cmocka_unit_test(samples_of_a_meter_value_are_limited),
		cmocka_unit_test(bad_rows_cost_nothing_but_themselves),
		cmocka_unit_test(times_are_instants),
		cmocka_unit_test(a_comma_for_the_point_must_be_said),
		cmocka_unit_test(numbers_of_messages_are_positions),
		cmocka_unit_test(a_full_arena_is_tried_again),
		cmocka_unit_test(maps_that_are_none_are_refused),
	};
	int fd = mkstemp(path), failed;

	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests(tests, setup_group, teardown_group);
	unlink(path);
	return failed;
}
