#include "copy/metered.h"

#include "base/clock.h"

static const int64_t HOUR_US = 3600 * US_PER_SECOND;

/* Rows of event tables and pairs begin with the same key. */
_Static_assert((int)TABLE_exchange_pairs_charge_station_id == (int)KEY_STATION &&
		       (int)TABLE_exchange_pairs_event_time == (int)KEY_TIME &&
		       (int)TABLE_exchange_pairs_evse_id == (int)KEY_EVSE,
	"the key is elsewhere");

static bool metered_is_same(const struct row *last, struct slice station, int64_t day_us)
{
	return last->cells[TABLE_station_hours_metered_day].number == day_us &&
	       slice_equal(last->cells[TABLE_station_hours_metered].text, station);
}

/* The bits of its hour are added. False if the arena is full. */
static bool metered_add(struct arena *arena, struct metered *m, struct slice station,
	int64_t time_us, int64_t bits)
{
	int64_t day_us;
	struct row *row;

	if (time_us == TIME_UNDATED)
		return true;
	day_us = time_us - time_us % US_PER_DAY; /* not before 2010 */
	bits |= INT64_C(1) << (time_us % US_PER_DAY / HOUR_US);
	if (m->count > 0 && metered_is_same(m->rows[m->count - 1], station, day_us)) {
		m->rows[m->count - 1]->cells[TABLE_station_hours_metered_hours].number |= bits;
		return true;
	}
	row = row_new(arena, TABLE_station_hours);
	if (row == NULL)
		return false;
	row->message = ROW_OF_NO_MESSAGE;
	cell_set_text(row, TABLE_station_hours_metered, station);
	cell_set_number(row, TABLE_station_hours_metered_day, day_us);
	cell_set_number(row, TABLE_station_hours_metered_hours, bits);
	m->rows[m->count++] = row;
	return true;
}

/* Rows that were already stored change nothing. */
static bool metered_add_values(struct batch *b, const struct batch_rows *values, struct metered *m)
{
	for (size_t i = 0; i < values->count; i++) {
		const struct row *value = values->rows[i];

		if (!value->dropped && !metered_add(&b->arena, m, value->cells[KEY_STATION].text,
					       value->cells[KEY_TIME].number, 0))
			return false;
	}
	return true;
}

/* The time of an event, or of its receipt if it has none of its own. */
static int64_t metered_time(const struct row *event)
{
	int received = event->table->id == TABLE_exchange_pairs
			       ? (int)TABLE_exchange_pairs_received_at
			       : (int)TABLE_transaction_events_received_at;

	return event->cells[KEY_TIME].number != TIME_UNDATED ? event->cells[KEY_TIME].number
							     : event->cells[received].number;
}

static bool metered_add_events(struct batch *b, struct row *const *events, size_t count,
	int64_t bits, struct metered *m)
{
	for (size_t i = 0; i < count; i++) {
		const struct row *event = events[i];

		if (!event->dropped && event->cells[KEY_EVSE].number >= 0 &&
			!metered_add(&b->arena, m, event->cells[KEY_STATION].text,
				metered_time(event), bits))
			return false;
	}
	return true;
}

bool metered_of_batch(struct batch *b, const struct metered_pairs *starts,
	const struct metered_pairs *lost_starts, struct metered *out)
{
	const struct batch_rows *values = &b->rows[TABLE_meter_values];
	const struct batch_rows *timeless = &b->timeless[TABLE_meter_values];
	const struct batch_rows *events = &b->rows[TABLE_transaction_events];
	size_t room = values->count + timeless->count + events->count + starts->count +
		      lost_starts->count;

	out->count = 0;
	out->rows = arena_alloc(&b->arena, (room + 1) * sizeof(struct row *));
	return out->rows != NULL && metered_add_values(b, values, out) &&
	       metered_add_values(b, timeless, out) &&
	       metered_add_events(b, events->rows, events->count, METERED_EVSE_NAMED, out) &&
	       metered_add_events(b, starts->rows, starts->count, METERED_EVSE_NAMED, out) &&
	       metered_add_events(b, lost_starts->rows, lost_starts->count, METERED_EVSE_LOST, out);
}
