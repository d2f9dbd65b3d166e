#ifndef REPLAY_READERS_CSV_H
#define REPLAY_READERS_CSV_H

#include "base/arena.h"
#include "base/error.h"
#include "base/text.h"
#include "base/zone.h"
#include "spool/record.h"

/*
 * Meter values in CSV (RFC 4180) -> MeterValues messages, as a station would have sent them. A map
 * says what the columns are; a file's first row has their names:
 *
 *	station=charger_id,time=ts,evse=connector,value=kwh,unit='kWh'
 *
 * One row is one sampled value. Adjacent rows with the same station, instant and EVSE are one meter
 * value with several samples, and so one message.
 *
 * Nothing is repaired: a row in which anything would have to be guessed is bad, and reported.
 * Numbers keep every digit. Pure; one thread.
 */
enum csv_role {
	CSV_STATION,
	CSV_TIME,
	CSV_VALUE, /* required up to here */
	CSV_EVSE,
	CSV_TRANSACTION,
	CSV_MEASURAND, /* from here on the members of OCPP's SampledValue */
	CSV_PHASE,
	CSV_CONTEXT,
	CSV_LOCATION,
	CSV_UNIT,
	CSV_ROLES,
};

enum {
	CSV_ROW_BYTES_MAX = 64 * 1024,
	CSV_COLUMNS_MAX = 1024,
	CSV_CELL_BYTES_MAX = 4096,     /* for cells that are used */
	CSV_SAMPLES_MAX = 256,         /* in one meter value: a station measures some dozens */
	CSV_MESSAGE_BYTES = 64 * 1024, /* beyond it a meter value takes no more samples */
	CSV_TIME_BYTES = 64,
	CSV_NAME_SHOWN = 40, /* of a column's name, in errors */
	CSV_WHY_BYTES = 400,
};

struct csv_map {
	struct {
		struct slice text; /* the column's name or the constant; absent = not given */
		bool is_constant;
	} roles[CSV_ROLES];
	bool has_zone;
	struct zone zone;     /* for times without one; if unset, such times are bad */
	struct slice version; /* OCPP version */
	bool decimal_comma;
};

/* *out borrows from text. FATAL "bad_map". */
MUST_CHECK bool csv_map_parse(const char *text, struct csv_map *out, struct error *err);

/* A row, not interpreted. */
struct csv_row {
	size_t bytes; /* with its line end */
	size_t lines;
	size_t count;
	struct slice cells[CSV_COLUMNS_MAX]; /* without their quotes; inner quotes still doubled */
};

enum csv_status {
	CSV_OK,
	CSV_BLANK,   /* an empty line */
	CSV_PARTIAL, /* its end is not there yet */
	CSV_BAD,     /* *why_out says what is wrong; row->bytes is 0 if its end is unknown */
};

/* The row at the beginning of bytes. last: these are the last bytes. */
enum csv_status csv_row(struct slice bytes, bool last, char separator, struct csv_row *row,
	const char **why_out);

struct csv_reader {
	const struct csv_map *map;
	char separator;
	size_t columns_count;
	size_t columns[CSV_ROLES];

	char why[CSV_WHY_BYTES]; /* what is wrong with the names */

	/* The last row read. */
	struct csv_row row;
	struct slice values[CSV_ROLES]; /* absent = not stated */
	int64_t time_us;
	int64_t evse; /* -1 = not stated */
	struct slice time;
	char time_text[CSV_TIME_BYTES];
	uint8_t scratch[(CSV_ROLES + 1) * CSV_CELL_BYTES_MAX];

	/* The meter value in progress. */
	struct text text;
	size_t samples;
	struct slice topic, station, transaction;
	int64_t begun_us, begun_evse;
};

/*
 * The first row of a file, which names the columns. The separator is the one with which the names
 * match the map: comma, semicolon or tab. PARTIAL, OK, or BAD with the names that are missing and
 * those that exist.
 */
enum csv_status csv_header(struct csv_reader *c, struct slice bytes, bool last,
	const char **why_out);

/* The next row, with its values. BAD with row.bytes: the row was read, but its content is
 * invalid. */
enum csv_status csv_read(struct csv_reader *c, struct slice bytes, bool last, const char **why_out);

/*
 * What to do with the last row read: begin a meter value; ask whether the row belongs to the one in
 * progress; add it; and, after the last one, make the message. Nothing else may be allocated from
 * the arena meanwhile. add: false with *why_out if the row cannot be part of this meter value.
 * begin and end: false if the arena is full.
 */
MUST_CHECK bool csv_begin(struct csv_reader *c, struct arena *arena);
bool csv_goes_with(const struct csv_reader *c);
bool csv_add(struct csv_reader *c, const char **why_out);
MUST_CHECK bool csv_end(struct csv_reader *c, struct record *out);

#endif
