#include "cli/session_signatures.h"

#include "base/clock.h"
#include "base/decimal.h"
#include "signatures/check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SIGNATURES_ARENA_BYTES = 64 << 20,
	SIGNATURES_READING_BYTES_MAX = 16 << 20,
	SIGNATURES_TEXT_BYTES = 512,
	SIGNATURES_NUMBER_BYTES = 64,
	SIGNATURES_WHAT_BYTES = 64,
	SIGNATURES_KEY_BYTES_MAX = 16384,
};

/* How far the clocks of meter and station may differ. Times show that a reading is that of another
 * session. */
static const int64_t SIGNATURES_CLOCKS_US = 15 * 60 * US_PER_SECOND;

/* The columns of sql/signatures.sql. */
enum {
	IN_STATION,
	IN_TRANSACTION,
	IN_START_KEY,
	IN_PARTITION_TIME,
	IN_EVSE,
	IN_STARTED_SHOWN,
	IN_STARTED_AT,
	IN_BEGAN_US,
	IN_ENDED_US,
	IN_OVER,
	IN_ENERGY,
	IN_SIGNED,
	IN_CONTEXT,
	IN_REGISTER,
	IN_KEY,
};

enum {
	OUT_STARTED,
	OUT_STATION,
	OUT_EVSE,
	OUT_TRANSACTION,
	OUT_START_KEY,
	OUT_READINGS,
	OUT_FORMAT,
	OUT_BEGIN,
	OUT_END,
	OUT_SIGNATURES,
	OUT_KEY,
	OUT_SIGNED_WH,
	OUT_ENERGY,
	OUT_RESULT,
	OUT_COLUMNS,
};

static const struct report_column signatures_columns[OUT_COLUMNS] = {
	[OUT_STARTED] = {"started_at", false},
	[OUT_STATION] = {"charge_station_id", false},
	[OUT_EVSE] = {"evse_id", true},
	[OUT_TRANSACTION] = {"transaction_id", false},
	[OUT_START_KEY] = {"start_key", false},
	[OUT_READINGS] = {"readings", true},
	[OUT_FORMAT] = {"format", false},
	[OUT_BEGIN] = {"begin", false},
	[OUT_END] = {"end", false},
	[OUT_SIGNATURES] = {"signatures", false},
	[OUT_KEY] = {"key", false},
	[OUT_SIGNED_WH] = {"signed_wh", true},
	[OUT_ENERGY] = {"energy_wh", true},
	[OUT_RESULT] = {"result", false},
};

/* An energy that outlives the reading it came from. */
struct signatures_energy {
	struct check_energy energy;
	char what[SIGNATURES_WHAT_BYTES];
};

struct signatures_session {
	PGresult *row; /* its first */
	int64_t readings;
	int64_t counts[CHECK_VERDICTS];
	int64_t vouched;    /* valid, with a key that did not come with the reading */
	const char *format; /* of the first reading that has one */
	bool mixed;         /* formats differ */
	enum check_source source;
	bool begins, ends;
	bool differs, contradicts, other_meter, other_time, energy_unusable, meter_faulty;
	struct signatures_energy begin, end;
	double plain_step_wh; /* of the readings beside them */
	char meter[SIGNATURES_WHAT_BYTES];
	char *key; /* that came with a reading, for those that come without */
};

struct session_signatures {
	struct report report;
	struct report_rows *rows;
	struct key_list *keys;
	struct document_reader *reader;
	struct arena arena;
	struct signatures_session session;
	bool only_wrong;
	int64_t total, ok, wrong;
};

static void signatures_clear(struct signatures_session *session)
{
	PQclear(session->row);
	free(session->key);
	*session = (struct signatures_session){.row = NULL};
}

bool session_signatures_new(struct session_signatures **out,
	const struct session_signatures_options *options, struct error *err)
{
	struct session_signatures *s = calloc(1, sizeof(*s));

	if (s == NULL || !arena_init(&s->arena, SIGNATURES_ARENA_BYTES, 1 << 20)) {
		free(s);
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	s->report = report_to_stdout(options->form);
	s->only_wrong = options->only_wrong;
	if ((options->keys_path != NULL && !key_list_read(options->keys_path, &s->keys, err)) ||
		!document_reader_new(&s->reader, SIGNATURES_READING_BYTES_MAX, err) ||
		!report_rows_new(&s->rows, &s->report, signatures_columns, OUT_COLUMNS, err)) {
		session_signatures_free(&s);
		return false;
	}
	*out = s;
	return true;
}

void session_signatures_free(struct session_signatures **sessions)
{
	struct session_signatures *s = *sessions;

	if (s == NULL)
		return;
	report_rows_free(&s->rows);
	document_reader_free(&s->reader);
	key_list_free(&s->keys);
	signatures_clear(&s->session);
	arena_fini(&s->arena);
	free(s);
	*sessions = NULL;
}

/* ---- a reading ---- */

static struct slice signatures_cell(const PGresult *row, int column)
{
	if (PQgetisnull(row, 0, column))
		return (struct slice){NULL, 0};
	return slice_of(PQgetvalue(row, 0, column), (size_t)PQgetlength(row, 0, column));
}

static void signatures_keep(struct signatures_session *session, struct signatures_energy *kept,
	const struct check_energy *energy)
{
	char what[SIGNATURES_WHAT_BYTES];

	if (!energy->known)
		return;
	snprintf(what, sizeof(what), "%.*s", SLICE_ARG(energy->what));
	if (!kept->energy.known) {
		kept->energy = *energy;
		kept->energy.what = (struct slice){NULL, 0};
		memcpy(kept->what, what, sizeof(what));
	} else if (strcmp(kept->what, what) == 0 && !check_energy_equal(&kept->energy, energy)) {
		session->contradicts = true;
	}
}

/* Compares a begin or an end with what the station says beside it without a signature. Readings in
 * between are taken at moments of their own. */
static void signatures_compare(struct signatures_session *session, const PGresult *row,
	const struct check_energy *with)
{
	struct check_energy plain = check_energy_of(signatures_cell(row, IN_REGISTER));

	if (!plain.known)
		return;
	session->plain_step_wh = fmax(session->plain_step_wh, plain.step_wh);
	if (with->known && !check_energy_equal(&plain, with))
		session->differs = true;
}

static void signatures_time(struct signatures_session *session, const PGresult *row, int column,
	bool timed, int64_t us)
{
	struct slice at = signatures_cell(row, column);
	int64_t session_us;

	if (timed && decimal_to_int64(at, INT64_MIN / 2, INT64_MAX / 2, &session_us) &&
		llabs(us - session_us) > SIGNATURES_CLOCKS_US)
		session->other_time = true;
}

static void signatures_meter(struct signatures_session *session, struct slice meter)
{
	char name[SIGNATURES_WHAT_BYTES];

	snprintf(name, sizeof(name), "%.*s", SLICE_ARG(meter));
	if (session->meter[0] == '\0')
		memcpy(session->meter, name, sizeof(name));
	else if (strcmp(session->meter, name) != 0)
		session->other_meter = true;
}

/* Begin and end. What the meter says about its readings counts more than what OCPP says. */
static void signatures_ends(struct signatures_session *session, const PGresult *row,
	const struct check_result *result)
{
	struct slice context = signatures_cell(row, IN_CONTEXT);
	bool is_begin = slice_equal_cstr(context, "Transaction.Begin");
	bool is_end = slice_equal_cstr(context, "Transaction.End");
	bool begins = !result->has_reasons && is_begin, ends = !result->has_reasons && is_end;

	session->begins |= result->begins || begins;
	session->ends |= result->ends || ends;
	if (is_begin)
		signatures_compare(session, row, begins ? &result->last : &result->begin);
	if (is_end)
		signatures_compare(session, row, ends ? &result->last : &result->end);
	signatures_keep(session, &session->begin, begins ? &result->last : &result->begin);
	signatures_keep(session, &session->end, ends ? &result->last : &result->end);
	signatures_time(session, row, IN_BEGAN_US, result->begin_timed, result->begin_us);
	signatures_time(session, row, IN_ENDED_US, result->end_timed, result->end_us);
}

static bool signatures_keep_key(struct signatures_session *session, struct slice key,
	struct error *err)
{
	if (slice_is_absent(key) || session->key != NULL || key.size > SIGNATURES_KEY_BYTES_MAX)
		return true;
	session->key = strndup((const char *)key.data, key.size);
	return session->key != NULL || error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
}

static void signatures_add(struct session_signatures *s, const PGresult *row,
	const struct check_result *result)
{
	struct signatures_session *session = &s->session;

	session->counts[result->verdict]++;
	session->vouched += result->verdict == CHECK_VALID &&
			    (result->source == CHECK_FROM_LIST ||
				    (result->source == CHECK_FROM_STATION && s->keys == NULL));
	if (session->readings++ == 0)
		session->format = result->format;
	else if (session->format != result->format)
		session->mixed = true;
	if (result->source > session->source)
		session->source = result->source;
	session->contradicts |= result->contradicts;
	session->energy_unusable |= result->energy_unusable;
	session->meter_faulty |= result->meter_faulty;
	if (result->has_reasons || result->last.known)
		signatures_meter(session, result->meter);
	signatures_ends(session, row, result);
}

static bool signatures_check(struct session_signatures *s, const PGresult *row, struct error *err)
{
	const struct checker checker = {
		.reader = s->reader,
		.keys = s->keys,
		.arena = &s->arena,
	};
	const struct check_input input = {
		.sent = signatures_cell(row, IN_SIGNED),
		.station = signatures_cell(row, IN_STATION),
		.evse = signatures_cell(row, IN_EVSE),
		.station_key = signatures_cell(row, IN_KEY),
		.earlier_key = slice_from_cstr(s->session.key),
	};
	struct check_result result;

	arena_reset(&s->arena);
	if (slice_is_absent(input.sent))
		return true;
	if (!check_reading(&checker, &input, &result, err))
		return false;
	signatures_add(s, row, &result);
	return signatures_keep_key(&s->session, result.public_key, err);
}

/* ---- a session ---- */

/* Several texts, separated; what does not fit is cut. */
struct signatures_text {
	char text[SIGNATURES_TEXT_BYTES];
	size_t size;
};

static void signatures_say(struct signatures_text *t, const char *separator, const char *format,
	...) __attribute__((format(printf, 3, 4)));

static void signatures_say(struct signatures_text *t, const char *separator, const char *format,
	...)
{
	va_list args;
	int more;

	if (t->size + strlen(separator) + 1 >= sizeof(t->text))
		return;
	if (t->size > 0)
		t->size += (size_t)snprintf(t->text + t->size, sizeof(t->text) - t->size, "%s",
			separator);
	va_start(args, format);
	more = vsnprintf(t->text + t->size, sizeof(t->text) - t->size, format, args);
	va_end(args);
	t->size += more > 0 ? (size_t)more : 0;
	if (t->size > sizeof(t->text) - 1)
		t->size = sizeof(t->text) - 1;
}

static bool signatures_is(const PGresult *row, int column)
{
	return strcmp(PQgetvalue(row, 0, column), "t") == 0;
}

/* The energy between begin and end, if both are of one register. */
static bool signatures_energy(const struct signatures_session *session, double *wh)
{
	const struct check_energy *begin = &session->begin.energy, *end = &session->end.energy;

	*wh = end->wh - begin->wh;
	return begin->known && end->known && strcmp(session->begin.what, session->end.what) == 0;
}

/* A register may count the session alone, so energies are compared and not readings, each of which
 * may be rounded. */
static void signatures_say_energy(const struct signatures_session *session,
	struct signatures_text *t)
{
	struct check_energy plain = check_energy_of(signatures_cell(session->row, IN_ENERGY));
	double wh, step = session->begin.energy.step_wh + session->end.energy.step_wh;

	if (!signatures_energy(session, &wh)) {
		signatures_say(t, "; ", "%s",
			session->begin.energy.known && session->end.energy.known
				? "begin and end are of different registers"
				: "no signed energy");
		return;
	}
	if (wh < 0)
		signatures_say(t, "; ", "the signed energy is negative");
	step += 2 * fmax(plain.step_wh, session->plain_step_wh);
	if (plain.known && fabs(wh - plain.wh) >= step)
		signatures_say(t, "; ", "signed energy is %.10g Wh, energy_wh %.10g", wh, plain.wh);
}

static void signatures_say_readings(const struct signatures_session *session,
	struct signatures_text *t)
{
	static const enum check_verdict wrong[] = {CHECK_INVALID, CHECK_UNREADABLE, CHECK_BAD_KEY};
	bool over = signatures_is(session->row, IN_OVER);

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (session->counts[wrong[i]] > 0)
			signatures_say(t, "; ", "%s", check_verdict_name(wrong[i]));
	}
	if (session->counts[CHECK_UNSUPPORTED] > 0 || session->counts[CHECK_UNREADABLE] > 0)
		return; /* what is in them is not known */
	if (!session->begins)
		signatures_say(t, "; ", "no signed reading at the beginning");
	if (!session->ends && over)
		signatures_say(t, "; ", "no signed reading at the end");
	if (session->begins && session->ends)
		signatures_say_energy(session, t);
}

/* What is wrong; nothing if all is well, or if nobody can tell. */
static void signatures_wrong(const struct signatures_session *session, struct signatures_text *t)
{
	const struct {
		bool is;
		const char *what;
	} wrong[] = {
		{session->other_meter, "readings of different meters"},
		{session->other_time, "signed at another time than that of the session"},
		{session->contradicts, "signed readings contradict each other"},
		{session->differs, "a signed reading differs from the one beside it"},
		{session->energy_unusable, "the meter says that its energy is not to be used"},
		{session->meter_faulty, "the meter reports a fault"},
	};

	if (session->readings == 0) {
		if (signatures_is(session->row, IN_OVER))
			signatures_say(t, "; ", "no signed readings");
		return;
	}
	signatures_say_readings(session, t);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (wrong[i].is)
			signatures_say(t, "; ", "%s", wrong[i].what);
	}
}

/* "valid", or "valid 2, no key 1". */
static void signatures_verdicts(const struct signatures_session *session, struct signatures_text *t)
{
	for (int v = 0; v < CHECK_VERDICTS; v++) {
		if (session->counts[v] == session->readings && session->readings > 0)
			signatures_say(t, ", ", "%s", check_verdict_name(v));
		else if (session->counts[v] > 0)
			signatures_say(t, ", ", "%s %" PRId64, check_verdict_name(v),
				session->counts[v]);
	}
}

/* With the decimals that both readings have. False if it is not known. */
static bool signatures_format_energy(const struct signatures_session *session,
	char out[static SIGNATURES_NUMBER_BYTES])
{
	double wh, step = fmin(session->begin.energy.step_wh, session->end.energy.step_wh);
	bool known = signatures_energy(session, &wh);

	snprintf(out, SIGNATURES_NUMBER_BYTES, "%.*f",
		step < 1 ? (int)lround(fmin(9, -log10(fmax(step, 1e-9)))) : 0, wh);
	return known;
}

static const char *signatures_at(bool there, bool unknown)
{
	return there ? "signed" : unknown ? NULL : "missing";
}

static const char *signatures_value(const PGresult *row, int column)
{
	return PQgetisnull(row, 0, column) ? NULL : PQgetvalue(row, 0, column);
}

static bool signatures_put(struct session_signatures *s, const char *result, struct error *err)
{
	const struct signatures_session *session = &s->session;
	struct signatures_text verdicts = {.size = 0};
	char readings[SIGNATURES_NUMBER_BYTES], energy[SIGNATURES_NUMBER_BYTES];
	bool unknown = session->readings == 0 || session->counts[CHECK_UNSUPPORTED] > 0;
	bool table = s->report.form == REPORT_TABLE;
	const PGresult *row = session->row;

	signatures_verdicts(session, &verdicts);
	snprintf(readings, sizeof(readings), "%" PRId64, session->readings);
	return report_rows_put(s->rows,
		(const char *const[OUT_COLUMNS]){
			[OUT_STARTED] =
				signatures_value(row, table ? IN_STARTED_SHOWN : IN_STARTED_AT),
			[OUT_STATION] = signatures_value(row, IN_STATION),
			[OUT_EVSE] = signatures_value(row, IN_EVSE),
			[OUT_TRANSACTION] = signatures_value(row, IN_TRANSACTION),
			[OUT_START_KEY] = signatures_value(row, IN_START_KEY),
			[OUT_READINGS] = readings,
			[OUT_FORMAT] = session->mixed ? "several" : session->format,
			[OUT_BEGIN] = signatures_at(session->begins, unknown),
			[OUT_END] = signatures_at(session->ends, unknown),
			[OUT_SIGNATURES] = verdicts.size == 0 ? NULL : verdicts.text,
			[OUT_KEY] = check_source_name(session->source),
			[OUT_SIGNED_WH] = signatures_format_energy(session, energy) ? energy : NULL,
			[OUT_ENERGY] = signatures_value(row, IN_ENERGY),
			[OUT_RESULT] = result,
		},
		err);
}

static bool signatures_finish(struct session_signatures *s, struct error *err)
{
	struct signatures_session *session = &s->session;
	struct signatures_text wrong = {.size = 0};
	bool ok = session->readings > 0 && session->vouched == session->readings, printed = true;

	if (session->row == NULL)
		return true;
	signatures_wrong(session, &wrong);
	s->total++;
	s->wrong += wrong.size > 0;
	s->ok += wrong.size == 0 && ok;
	if (wrong.size > 0 || !s->only_wrong)
		printed = signatures_put(s,
			wrong.size > 0 ? wrong.text
			: ok           ? "ok"
			: session->readings > 0 && session->counts[CHECK_VALID] == session->readings
				? "not verified: nobody vouches for the key"
				: "not verified",
			err);
	signatures_clear(session);
	return printed;
}

static bool signatures_same(const PGresult *a, const PGresult *b)
{
	for (int c = IN_STATION; c <= IN_PARTITION_TIME; c++) {
		if (strcmp(PQgetvalue(a, 0, c), PQgetvalue(b, 0, c)) != 0)
			return false;
	}
	return true;
}

bool session_signatures_take(struct session_signatures *s, PGresult *row, struct error *err)
{
	bool ok;

	if (s->session.row != NULL && signatures_same(s->session.row, row)) {
		ok = signatures_check(s, row, err);
		PQclear(row);
		return ok;
	}
	ok = signatures_finish(s, err);
	s->session.row = row;
	return ok && signatures_check(s, row, err);
}

bool session_signatures_end(struct session_signatures *s, struct error *err)
{
	if (!signatures_finish(s, err) || !report_rows_end(s->rows, err))
		return false;
	if (s->report.form == REPORT_TABLE)
		printf("\ntotal: sessions %" PRId64 ", ok %" PRId64 ", not verified %" PRId64
		       ", wrong %" PRId64 "\n",
			s->total, s->ok, s->total - s->ok - s->wrong, s->wrong);
	return true;
}

bool session_signatures_found_wrong(const struct session_signatures *s)
{
	return s->wrong > 0;
}
