#include "base/clock.h"
#include "base/digest.h"
#include "copy/metered.h"
#include "copy/writer_private.h"

/*
 * What a batch says about each station: when it was heard from, how many of its messages are
 * stored, how far its clock is off, for which hours there are meter values. All of it becomes one
 * row of arrays: updating a row for each station would cost more than storing the messages, since a
 * batch has messages from thousands of stations, and few from each.
 *
 * The result does not depend on the order and batches in which messages come: the earliest and the
 * latest receipt over all copies of a message, the number of stored messages, and for each hour the
 * maximum by which a message's own time was after its receipt. Delays only reduce that, so late
 * messages do not count if one came without delay.
 */
static const int64_t HOUR_US = 3600 * US_PER_SECOND;

/* The same as for event rows: a longer name does not fit into the index. */
enum { STATION_BYTES_MAX = ROWS_INDEX_BYTES_MAX - 64 };

struct changes {
	const struct batch *batch;
	struct arena *arena;
	struct row **rows; /* for station_changes */
	size_t count;
	struct row **firmware; /* of station_firmware */
	size_t firmware_count;
	uint32_t *slots; /* hash table: number of a row + 1; 0 = free */
	size_t slots_count;
};

static bool changes_init(struct changes *c, struct batch *b)
{
	*c = (struct changes){.batch = b, .arena = &b->arena, .slots_count = 64};
	while (c->slots_count < b->messages_count * 2)
		c->slots_count *= 2;
	c->slots = arena_zalloc(c->arena, c->slots_count * sizeof(*c->slots));
	c->rows = arena_alloc(c->arena, (b->messages_count + 1) * sizeof(struct row *));
	c->firmware = arena_alloc(c->arena,
		(b->rows[TABLE_station_boots].count + 1) * sizeof(struct row *));
	return c->slots != NULL && c->rows != NULL && c->firmware != NULL;
}

/* Whether the message shows that its station was online at the time. */
static bool changes_has(const struct changes *c, const struct batch_message *m)
{
	if (m->station.size == 0 || m->station.size > STATION_BYTES_MAX)
		return false;
	switch (m->outcome) {
	case OUTCOME_STORED:
		return true;
	case OUTCOME_DUPLICATE:
		return !m->retained;
	case OUTCOME_SKIPPED:
		return c->batch->live; /* otherwise a replay leaves it out */
	case OUTCOME_DEAD_LETTERED:
		break;
	}
	return false;
}

/* Each hour gets a row of its own, where that is useful. */
static int64_t changes_hour(const struct changes *c, int64_t received_us)
{
	return c->batch->live ? received_us / HOUR_US : 0;
}

static bool changes_is_of(const struct changes *c, const struct row *row,
	const struct batch_message *m)
{
	return slice_equal(row->cells[TABLE_station_changes_charge_station_id].text, m->station) &&
	       changes_hour(c, row->cells[TABLE_station_changes_last_at].number) ==
		       changes_hour(c, m->received_us);
}

/* The row that a message belongs to; NULL if the arena is full. */
static struct row *changes_row(struct changes *c, const struct batch_message *m)
{
	uint64_t hash = digest64(m->station.data, m->station.size) +
			(uint64_t)changes_hour(c, m->received_us);
	size_t slot = hash & (c->slots_count - 1);
	struct row *row;

	for (; c->slots[slot] != 0; slot = (slot + 1) & (c->slots_count - 1)) {
		if (changes_is_of(c, c->rows[c->slots[slot] - 1], m))
			return c->rows[c->slots[slot] - 1];
	}
	row = row_new(c->arena, TABLE_station_changes);
	if (row == NULL)
		return NULL;
	row->message = ROW_OF_NO_MESSAGE;
	cell_set_text(row, TABLE_station_changes_charge_station_id, m->station);
	cell_set_number(row, TABLE_station_changes_first_at, m->received_us);
	cell_set_number(row, TABLE_station_changes_last_at, m->received_us);
	cell_set_number(row, TABLE_station_changes_messages, 0);
	cell_set_number(row, TABLE_station_changes_transactions, 0);
	c->rows[c->count++] = row;
	c->slots[slot] = (uint32_t)c->count;
	return row;
}

static void changes_note_clock(struct row *row, const struct batch_message *m)
{
	struct cell *offset = &row->cells[TABLE_station_changes_clock_offset_us];
	int64_t offset_us = m->own_us - m->received_us;

	if (m->own_us != TIME_UNDATED && (!offset->present || offset_us > offset->number))
		cell_set_number(row, TABLE_station_changes_clock_offset_us, offset_us);
}

static bool changes_add(struct changes *c, const struct batch_message *m)
{
	struct row *row = changes_row(c, m);

	if (row == NULL)
		return false;
	if (m->received_us < row->cells[TABLE_station_changes_first_at].number)
		row->cells[TABLE_station_changes_first_at].number = m->received_us;
	if (m->received_us > row->cells[TABLE_station_changes_last_at].number)
		row->cells[TABLE_station_changes_last_at].number = m->received_us;
	if (m->outcome == OUTCOME_STORED) {
		row->cells[TABLE_station_changes_messages].number++;
		row->cells[TABLE_station_changes_transactions].number += m->begins;
	}
	changes_note_clock(row, m);
	return true;
}

/* Boots are few: which of them is the newest is found when they are folded. False if the arena is
 * full. */
static bool changes_add_firmware(struct changes *c, const struct row *boot)
{
	const struct batch_message *m = &c->batch->messages[boot->message];
	struct slice version = cell_text(boot, TABLE_station_boots_firmware_version);
	struct row *row;

	if (version.size == 0 || !changes_has(c, m))
		return true;
	row = row_new(c->arena, TABLE_station_firmware);
	if (row == NULL)
		return false;
	cell_set_text(row, TABLE_station_firmware_booted, m->station);
	cell_set_text(row, TABLE_station_firmware_firmware_version, version);
	cell_set_number(row, TABLE_station_firmware_firmware_at, m->received_us);
	c->firmware[c->firmware_count++] = row;
	return true;
}

static bool changes_of_batch(struct changes *c)
{
	const struct batch *b = c->batch;
	const struct batch_rows *boots = &b->rows[TABLE_station_boots];

	for (size_t i = 0; i < b->messages_count; i++) {
		if (changes_has(c, &b->messages[i]) && !changes_add(c, &b->messages[i]))
			return false;
	}
	for (size_t i = 0; i < boots->count; i++) {
		if (!changes_add_firmware(c, boots->rows[i]))
			return false;
	}
	return true;
}

/* Without energy per hour the list is empty. False if the arena is full. */
static bool changes_metered(const struct writer *w, struct metered *out)
{
	const struct writer_pairs *pairs = w->work.pairs;
	struct metered_pairs starts = {.rows = NULL}, lost_starts = {.rows = NULL};

	if (pairs != NULL) {
		starts = (struct metered_pairs){pairs->starts, pairs->starts_count};
		lost_starts = (struct metered_pairs){pairs->lost_starts, pairs->lost_starts_count};
	}
	*out = (struct metered){.rows = NULL};
	return w->options.energy_refresh_us == 0 ||
	       metered_of_batch(w->work.batch, &starts, &lost_starts, out);
}

bool writer_plan_stations(struct writer *w, struct error *err)
{
	enum {
		STATIONS = TABLE_station_changes_columns,
		FIRMWARE = TABLE_station_firmware_columns,
		HOURS = TABLE_station_hours_columns,
	};
	struct batch *b = w->work.batch;
	struct slice params[STATIONS + FIRMWARE + HOURS];
	struct metered hours;
	struct changes c;

	if (!changes_init(&c, b) || !changes_of_batch(&c) || !changes_metered(w, &hours))
		return request_arena_full(err);
	/* An answer to a station says nothing about it, but may give its meter values an EVSE. */
	if (c.count + hours.count == 0)
		return true;
	if (!encode_params(&b->arena, &tables[TABLE_station_changes], STATIONS, c.rows, c.count,
		    params) ||
		!encode_params(&b->arena, &tables[TABLE_station_firmware], FIRMWARE, c.firmware,
			c.firmware_count, params + STATIONS) ||
		!encode_params(&b->arena, &tables[TABLE_station_hours], HOURS, hours.rows,
			hours.count, params + STATIONS + FIRMWARE))
		return request_arena_full(err);
	return requests_add(&w->requests, &b->arena, &statements.all[STATEMENT_STATION_CHANGES],
		params, STATIONS + FIRMWARE + HOURS, NULL, NULL, err);
}
