#include "base/bytes.h"
#include "base/digest.h"
#include "copy/writer_private.h"

/* Which rows are already stored: among those without a time of their own, which may be stored with
 * a different one, and among meter values that are not missing. */
enum {
	SEEN_LOCKS = 512,             /* buckets; each takes an entry in the server's lock table */
	SEEN_LOCK_CLASS = 0x6f637070, /* "ocpp" */
};

static bool seen_has_timeless(const struct batch *b)
{
	for (int t = 0; t < EVENT_TABLES; t++) {
		if (b->timeless[t].count > 0)
			return true;
	}
	return false;
}

static void seen_bucket(bool *buckets, struct slice station, uint64_t what)
{
	buckets[(digest64(station.data, station.size) ^ what) % SEEN_LOCKS] = true;
}

/*
 * From here on, copies of one message at two workers, and the two halves of an exchange at two
 * workers, wait for each other, so that each sees what the other has stored. By bucket, because the
 * server's lock table is small.
 */
static bool seen_lock(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	struct batch_rows *halves = &b->rows[TABLE_exchange_halves];
	bool buckets[SEEN_LOCKS] = {false};
	static const struct column column = {"bucket", COLUMN_INT4};
	static const struct table table = {.name = "locks",
		.columns = &column,
		.columns_count = 1,
		.id = TABLE_COUNT};
	struct slice params[2];
	struct row **rows = arena_alloc(&b->arena, SEEN_LOCKS * sizeof(*rows));
	uint8_t *lock_class = arena_bytes(&b->arena, 4);
	size_t count = 0;

	for (int t = 0; t < EVENT_TABLES; t++) {
		for (size_t i = 0; i < b->timeless[t].count; i++)
			seen_bucket(buckets, b->timeless[t].rows[i]->cells[KEY_STATION].text,
				(uint64_t)row_content(b->timeless[t].rows[i], b->dedupe_window_us));
	}
	/* Nor may two workers find the same value missing. */
	for (size_t i = 0; w->options.missing_only && i < b->rows[TABLE_meter_values].count; i++)
		seen_bucket(buckets, b->rows[TABLE_meter_values].rows[i]->cells[KEY_STATION].text,
			0);
	for (size_t i = 0; i < halves->count; i++) {
		struct slice id = cell_text(halves->rows[i], TABLE_exchange_halves_message_id);

		seen_bucket(buckets,
			cell_text(halves->rows[i], TABLE_exchange_halves_charge_station_id),
			digest64(id.data, id.size));
	}
	if (rows == NULL || lock_class == NULL)
		return request_arena_full(err);
	for (int bucket = 0; bucket < SEEN_LOCKS; bucket++) {
		if (!buckets[bucket])
			continue;
		rows[count] = arena_zalloc(&b->arena, sizeof(struct row) + sizeof(struct cell));
		if (rows[count] == NULL)
			return request_arena_full(err);
		cell_set_number(rows[count++], 0, bucket);
	}
	put_be32(lock_class, SEEN_LOCK_CLASS);
	params[0] = slice_of(lock_class, 4);
	if (!encode_params(&b->arena, &table, 1, rows, count, &params[1]))
		return request_arena_full(err);
	return requests_add(&w->requests, &b->arena, &statements.all[STATEMENT_LOCK], params, 2,
		NULL, NULL, err);
}

/* seen.sql, seen_odd.sql: numbers of rows that are already stored, and their stored keys. */
static bool seen_on_result(void *context, const PGresult *result, int number, struct error *err)
{
	struct batch_rows *rows = context;

	(void)number;
	(void)err;
	for (int i = 0; i < PQntuples(result); i++) {
		int32_t n = result_int4(result, i, 0);

		CHECK(n >= 0 && (size_t)n < rows->count);
		rows->rows[n]->dropped = true;
		/* References to this row now mean the stored one. */
		cell_set_number(rows->rows[n], KEY_TIME, result_time(result, i, 1));
		cell_set_number(rows->rows[n], KEY_DIGEST, result_int8(result, i, 2));
	}
	return true;
}

/* What seen.sql and seen_odd.sql need besides the keys of rows. */
static bool seen_beside(struct batch *b, const struct batch_rows *rows, bool all,
	struct slice *params)
{
	enum {
		ODD_FORMER,
		ODD_ACTION,
		SEEN_COLUMNS,
		ODD_RECEIVED_AT = SEEN_COLUMNS,
		ODD_CONTENT,
		ODD_RETAINED,
		ODD_COLUMNS
	};
	static const struct column columns[] = {{"former", COLUMN_INT8}, {"action", COLUMN_TEXT},
		{"received_at", COLUMN_TIME}, {"content", COLUMN_INT8}, {"retained", COLUMN_BOOL}};
	static const struct table table = {.name = "odd",
		.columns = columns,
		.columns_count = ODD_COLUMNS,
		.id = TABLE_COUNT};
	struct row **odd = arena_alloc(&b->arena, rows->count * sizeof(struct row *));

	for (size_t i = 0; odd != NULL && i < rows->count; i++) {
		const struct row *row = rows->rows[i];

		odd[i] = arena_zalloc(&b->arena,
			sizeof(struct row) + ODD_COLUMNS * sizeof(struct cell));
		if (odd[i] == NULL)
			return false;
		cell_set_number(odd[i], ODD_FORMER,
			row->former_digest != 0 ? row->former_digest
						: row->cells[KEY_DIGEST].number);
		cell_set_text(odd[i], ODD_ACTION, row_own_name(row));
		cell_set_number(odd[i], ODD_RECEIVED_AT, row_received_us(row));
		cell_set_number(odd[i], ODD_CONTENT, row_content(row, b->dedupe_window_us));
		cell_set_number(odd[i], ODD_RETAINED, row->retained);
	}
	return odd != NULL && encode_params(&b->arena, &table, all ? ODD_COLUMNS : SEEN_COLUMNS,
				      odd, rows->count, params);
}

static bool seen_has_odd(const struct batch_rows *rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		if (rows->rows[i]->retained || row_is_undated(rows->rows[i]))
			return true;
	}
	return false;
}

bool writer_plan_seen(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	struct slice more[6] = {param_int8(&b->arena, w->options.dedupe_window_us)};

	if (!seen_has_timeless(b) && b->rows[TABLE_exchange_halves].count == 0)
		return true;
	if (!seen_lock(w, err))
		return false;
	for (int t = 0; t < EVENT_TABLES; t++) {
		struct batch_rows *rows = &b->timeless[t];
		bool odd = seen_has_odd(rows);
		struct request_rows request = {
			.statement = odd ? &statements.seen_odd[t] : &statements.seen[t],
			.table = (enum table_id)t,
			.columns = KEY_COLUMNS,
			.rows = rows->rows,
			.count = rows->count,
			.more = more,
			.more_count = odd ? 6 : 3,
			.on_result = seen_on_result,
			.context = rows,
		};

		if (rows->count == 0)
			continue;
		if (!seen_beside(b, rows, odd, &more[1]))
			return request_arena_full(err);
		if (!writer_add_rows(w, &request, err))
			return false;
	}
	return true;
}

/* Drop rows that are already stored. */
bool writer_drop_seen(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;

	(void)err;
	for (int t = 0; t < EVENT_TABLES; t++) {
		struct batch_rows *rows = &b->timeless[t];
		size_t kept = 0;

		for (size_t i = 0; i < rows->count; i++) {
			if (rows->rows[i]->dropped)
				batch_note_duplicate(b, rows->rows[i]);
			else
				rows->rows[kept++] = rows->rows[i];
		}
		rows->count = kept;
	}
	return true;
}

/* ---- missing meter values ---- */

static bool missing_on_found(void *context, const PGresult *result, int number, struct error *err)
{
	struct batch *b = context;
	struct batch_rows *rows = &b->rows[TABLE_meter_values];
	size_t kept = 0;

	(void)number;
	(void)err;
	for (int i = 0; i < PQntuples(result); i++) {
		int32_t n = result_int4(result, i, 0);

		CHECK(n >= 0 && (size_t)n < rows->count);
		batch_note_duplicate(b, rows->rows[n]);
	}
	for (size_t i = 0; i < rows->count; i++) {
		if (!rows->rows[i]->dropped)
			rows->rows[kept++] = rows->rows[i];
	}
	rows->count = kept;
	return true;
}

/* Decided before copying, so that the other rows need not take the careful path, which has its own
 * statement for this. */
bool writer_plan_missing(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	const struct batch_rows *rows = &b->rows[TABLE_meter_values];

	if (!w->options.missing_only)
		return true;
	if (!seen_lock(w, err))
		return false;
	return w->work.careful[TABLE_meter_values] ||
	       writer_add_rows(w,
		       &(struct request_rows){
			       .statement = &statements.not_missing,
			       .table = TABLE_meter_values,
			       .columns = KEY_DIGEST,
			       .rows = rows->rows,
			       .count = rows->count,
			       .on_result = missing_on_found,
			       .context = b,
		       },
		       err);
}
