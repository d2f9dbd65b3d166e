#include "cli/session_signatures.h"

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
};

/* The columns of sql/signatures.sql. */
enum {
	IN_STATION,
	IN_TRANSACTION,
	IN_START_KEY,
	IN_PARTITION_TIME,
	IN_EVSE,
	IN_STARTED_SHOWN,
	IN_STARTED_AT,
	IN_OVER,
	IN_METER_START,
	IN_METER_STOP,
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
	const char *format; /* of the first reading that has one */
	bool mixed;         /* formats differ */
	enum check_source source;
	bool begins, ends;
	bool differs, energy_unusable, meter_faulty;
	struct signatures_energy begin, end;
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
	PQclear(s->session.row);
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

static void signatures_keep(struct signatures_energy *kept, const struct check_energy *energy)
{
	if (kept->energy.known || !energy->known)
		return;
	kept->energy = *energy;
	kept->energy.what = (struct slice){NULL, 0};
	snprintf(kept->what, sizeof(kept->what), "%.*s", SLICE_ARG(energy->what));
}

/* What the station says without a signature beside this reading. */
static bool signatures_reading_differs(const PGresult *row, const struct check_result *result)
{
	struct check_energy plain = check_energy_of(signatures_cell(row, IN_REGISTER));
	struct slice context = signatures_cell(row, IN_CONTEXT);
	bool is_begin = slice_equal_cstr(context, "Transaction.Begin");
	const struct check_energy *with =
		is_begin && result->begin.known ? &result->begin : &result->last;

	return plain.known && with->known && !check_energy_equal(&plain, with);
}

static void signatures_add(struct signatures_session *session, const PGresult *row,
	const struct check_result *result)
{
	struct slice context = signatures_cell(row, IN_CONTEXT);
	/* What the meter says of its own readings counts more than what OCPP says of them. */
	bool told = result->begins || result->ends;
	bool begins = !told && slice_equal_cstr(context, "Transaction.Begin");
	bool ends = !told && slice_equal_cstr(context, "Transaction.End");

	session->readings++;
	session->counts[result->verdict]++;
	if (session->format == NULL)
		session->format = result->format;
	else if (result->format == NULL || strcmp(session->format, result->format) != 0)
		session->mixed = true;
	if (result->source > session->source)
		session->source = result->source;
	session->begins |= result->begins || begins;
	session->ends |= result->ends || ends;
	session->energy_unusable |= result->energy_unusable;
	session->meter_faulty |= result->meter_faulty;
	session->differs |= signatures_reading_differs(row, result);
	signatures_keep(&session->begin,
		result->begin.known || !begins ? &result->begin : &result->last);
	signatures_keep(&session->end, result->end.known || !ends ? &result->end : &result->last);
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
	};
	struct check_result result;

	arena_reset(&s->arena);
	if (slice_is_absent(input.sent))
		return true;
	if (!check_reading(&checker, &input, &result, err))
		return false;
	signatures_add(&s->session, row, &result);
	return true;
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

	if (t->size > 0) {
		more = snprintf(t->text + t->size, sizeof(t->text) - t->size, "%s", separator);
		t->size += (size_t)more;
	}
	if (t->size >= sizeof(t->text) - 1)
		return;
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

static void signatures_say_meter(struct signatures_text *t, const char *which, const char *name,
	const struct signatures_energy *is, const PGresult *row, int column)
{
	struct check_energy meter = check_energy_of(signatures_cell(row, column));

	if (is->energy.known && meter.known && !check_energy_equal(&is->energy, &meter))
		signatures_say(t, "; ", "signed %s is %.10g Wh, %s %.10g", which, is->energy.wh,
			name, meter.wh);
}

/* What is wrong; nothing if all is well, or if nobody can tell. */
static void signatures_wrong(const struct signatures_session *session, struct signatures_text *t)
{
	bool unknown = session->counts[CHECK_UNSUPPORTED] > 0;
	static const enum check_verdict wrong[] = {CHECK_INVALID, CHECK_UNREADABLE, CHECK_BAD_KEY};

	if (session->readings == 0)
		signatures_say(t, "; ", "no signed readings");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (session->counts[wrong[i]] > 0)
			signatures_say(t, "; ", "%s", check_verdict_name(wrong[i]));
	}
	if (session->readings > 0 && !session->begins && !unknown)
		signatures_say(t, "; ", "no signed reading at the beginning");
	if (session->readings > 0 && !session->ends && !unknown &&
		signatures_is(session->row, IN_OVER))
		signatures_say(t, "; ", "no signed reading at the end");
	signatures_say_meter(t, "begin", "meter_start", &session->begin, session->row,
		IN_METER_START);
	signatures_say_meter(t, "end", "meter_stop", &session->end, session->row, IN_METER_STOP);
	if (session->differs)
		signatures_say(t, "; ", "a signed reading differs from the one beside it");
	if (session->energy_unusable)
		signatures_say(t, "; ", "the meter says that its energy is not to be used");
	if (session->meter_faulty)
		signatures_say(t, "; ", "the meter reports a fault");
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

/* The energy between begin and end, if both are of one register. False if it is not known. */
static bool signatures_energy(const struct signatures_session *session,
	char out[static SIGNATURES_NUMBER_BYTES])
{
	const struct check_energy *begin = &session->begin.energy, *end = &session->end.energy;
	double step = fmin(begin->step_wh, end->step_wh);
	int places;

	if (!begin->known || !end->known || strcmp(session->begin.what, session->end.what) != 0)
		return false;
	places = step < 1 ? (int)lround(fmin(9, -log10(step))) : 0;
	snprintf(out, SIGNATURES_NUMBER_BYTES, "%.*f", places, end->wh - begin->wh);
	return true;
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
			[OUT_SIGNED_WH] = signatures_energy(session, energy) ? energy : NULL,
			[OUT_ENERGY] = signatures_value(row, IN_ENERGY),
			[OUT_RESULT] = result,
		},
		err);
}

static bool signatures_finish(struct session_signatures *s, struct error *err)
{
	struct signatures_session *session = &s->session;
	struct signatures_text wrong = {.size = 0};
	bool ok = session->counts[CHECK_VALID] == session->readings, printed = true;

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
				       : "not verified",
			err);
	PQclear(session->row);
	*session = (struct signatures_session){.row = NULL};
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
