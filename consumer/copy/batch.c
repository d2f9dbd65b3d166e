#include "copy/batch.h"

#include "base/check.h"
#include "base/digest.h"
#include "copy/encode.h"
#include "copy/row_order.h"

#include <stdlib.h>
#include <string.h>

enum {
	BATCH_SLOTS_MIN = 1024, /* of hash tables; powers of two */
	BATCH_SLOTS_GROWTH = 4,
	/* What filling a batch of 5,000 messages takes (daemon/pipeline_private.h). What storing it
	 * takes beyond that is given back each time, or both arenas would have it while only one
	 * batch is being stored; to fault it in again costs 0.2 us a message. */
	BATCH_ARENA_KEEP_BYTES = 7750 * 1000,
	/* Bytes. With longer names a key may exceed an index entry (2,704 bytes for all its
	 * columns), which a table without an index does not notice. */
	BATCH_STATION_LOADED_MAX = 1000,
};

bool batch_init(struct batch *b, size_t arena_bytes, int64_t dedupe_window_us, struct error *err)
{
	*b = (struct batch){.dedupe_window_us = dedupe_window_us};
	if (!arena_init(&b->arena, arena_bytes, BATCH_ARENA_KEEP_BYTES))
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory making a batch");
	/* Rows are written in the order of the log, and read in the order of their keys. */
	arena_use_large_pages(&b->arena);
	return true;
}

void batch_fini(struct batch *b)
{
	arena_fini(&b->arena);
}

void batch_reset(struct batch *b)
{
	batch_clear(b);
	arena_reset(&b->arena);
	arena_shrink(&b->arena);
}

void batch_clear(struct batch *b)
{
	struct arena arena = b->arena;
	int64_t window_us = b->dedupe_window_us;
	bool missing_only = b->missing_only, live = b->live;

	*b = (struct batch){.arena = arena,
		.dedupe_window_us = window_us,
		.missing_only = missing_only,
		.live = live};
}

/* Makes room for one more item in an array from the arena; the array moves when it grows. array:
 * the address of the pointer to it, whatever its type. */
static bool batch_grow(struct batch *b, void *array, size_t *room, size_t count, size_t item)
{
	size_t more = *room == 0 ? 64 : *room * 2;
	void *old, *grown;

	if (count < *room)
		return true;
	grown = arena_alloc(&b->arena, more * item);
	if (grown == NULL)
		return false;
	memcpy(&old, array, sizeof(old));
	if (count > 0)
		memcpy(grown, old, count * item);
	memcpy(array, &grown, sizeof(grown));
	*room = more;
	return true;
}

void batch_begin_record(struct batch *b, uint64_t seq, const struct position_link *link)
{
	if (b->records == 0) {
		b->first_seq = seq;
		b->follows = link->follows;
	} else if (link->follows != b->last_seq) {
		b->torn = true;
	}
	b->link = *link;
}

void batch_end_record(struct batch *b, uint64_t seq, size_t payload_bytes, int64_t received_us)
{
	if (b->link.missing > 0) {
		b->missing += b->link.missing;
		b->gap_first = b->link.follows + 1;
		b->gap_last = b->link.follows + b->link.missing;
	}
	b->digest += b->link.checksum;
	b->last_seq = seq;
	b->records++;
	b->payload_bytes += payload_bytes;
	if (b->records == 1 || received_us < b->oldest_received_us)
		b->oldest_received_us = received_us;
}

struct batch_message *batch_new_message(struct batch *b, const struct message *m)
{
	struct batch_message *message;

	if (!batch_grow(b, &b->messages, &b->messages_room, b->messages_count,
		    sizeof(*b->messages)))
		return NULL;
	message = &b->messages[b->messages_count++];
	*message = (struct batch_message){.seq = m->seq, .index = m->index};
	return message;
}

static bool row_is_event(const struct row *row)
{
	return row->table->merge == MERGE_COPY;
}

bool batch_add_row(struct batch *b, struct row *row)
{
	struct batch_rows *rows = row_is_event(row) && row_is_timeless(row)
					  ? &b->timeless[row->table->id]
					  : &b->rows[row->table->id];

	if (row_is_event(row))
		row->copy_bytes = encode_row_bytes_max(row); /* now, while it is in the cache */
	if (!batch_grow(b, &rows->rows, &rows->room, rows->count, sizeof(*rows->rows)))
		return false;
	rows->rows[rows->count++] = row;
	return true;
}

/* ---- partitions ---- */

static struct batch_need *batch_find_need(const struct batch *b, struct partition p)
{
	/* Most rows go to the same partition as the previous one. */
	for (size_t i = b->needs_count; i-- > 0;) {
		if (partition_is_same(b->needs[i].partition, p))
			return &b->needs[i];
	}
	return NULL;
}

static bool batch_need(struct batch *b, struct partition p, bool at_once, struct partitions *known,
	struct error *err)
{
	struct batch_need *need = batch_find_need(b, p);
	char name[PARTITION_NAME_BYTES];

	if (need != NULL) {
		need->at_once |= at_once;
		return true;
	}
	partition_name(p, name);
	if (partitions_is_detached(known, p))
		return error_set(err, ERROR_POISON, REASON_partition_detached,
			"table \"%s\" is where it belongs, but is not a partition of \"%s\"", name,
			tables[p.table].name);
	if (!partitions_admit(known, p))
		return error_set(err, ERROR_POISON, REASON_partition_limit,
			"the time is far from now, and table \"%s\" has as many partitions for "
			"such times as partitions.outside_max allows (%s would be one more)",
			tables[p.table].name, name);
	if (!batch_grow(b, &b->needs, &b->needs_room, b->needs_count, sizeof(*b->needs)))
		return error_set(err, ERROR_FULL, REASON_arena_full, "no room in the batch");
	b->needs[b->needs_count++] = (struct batch_need){p, at_once, BATCH_NO_MESSAGE};
	return true;
}

bool batch_need_for_result(struct batch *b, struct partition p, uint32_t message,
	struct partitions *partitions, struct error *err)
{
	struct batch_need *need;

	if (!batch_need(b, p, true, partitions, err))
		return false;
	need = batch_find_need(b, p);
	CHECK(need != NULL);
	need->message = message;
	return true;
}

/* Copies of a message without a time of its own are found by looking into the partition. And what
 * may be too long for an index must be found out when it is stored. */
static bool batch_is_at_once(const struct row *row)
{
	return row_is_timeless(row) || row->cells[KEY_STATION].text.size > BATCH_STATION_LOADED_MAX;
}

/* Days of meter values may be loaded in bulk. The partition of a start also needs those of
 * transactions and of their links. */
static bool batch_need_for(struct batch *b, struct row *row, struct partitions *known,
	struct error *err)
{
	int64_t time_us = row->cells[KEY_TIME].number;
	struct partition own = partition_of(row->table->id, time_us);
	bool at_once = row->table->step != STEP_DAY || batch_is_at_once(row);

	row->partition = own.number;
	if (!batch_need(b, own, at_once, known, err))
		return false;
	return row->table->id != TABLE_transaction_events ||
	       (batch_need(b, partition_of(TABLE_transactions, time_us), true, known, err) &&
		       batch_need(b, partition_of(TABLE_transaction_starts, time_us), true, known,
			       err));
}

/* ---- equal rows ---- */

static bool row_is_known_by_time(const struct batch *b, const struct row *row)
{
	return b->missing_only && row->table->id == TABLE_meter_values;
}

/* The span of a row that may equal others at any time. */
#define SPAN_ANY INT64_MAX

/*
 * Copies of a message without a time of its own are equal within the window. Time is divided into
 * spans of that length: equal rows are in the same span or in adjacent ones, and of those within a
 * span only one is kept, so a message that repeats all day is compared with few others.
 */
static int64_t row_span(const struct batch *b, const struct row *row)
{
	if (!row_is_timeless(row))
		return row->cells[KEY_TIME].number;
	return row_received_us(row) / (b->dedupe_window_us > 0 ? b->dedupe_window_us : 1);
}

/* Hash of everything except the time. */
static uint64_t row_hash(const struct batch *b, const struct row *row)
{
	struct slice station = row->cells[KEY_STATION].text;
	uint64_t hash = (uint64_t)row->table->id;

	if (!row_is_known_by_time(b, row))
		hash += (uint64_t)row_content(row, b->dedupe_window_us);
	return hash ^ digest64(station.data, station.size);
}

static uint64_t row_hash_at(uint64_t hash, int64_t span)
{
	hash ^= (uint64_t)span * UINT64_C(0x9e3779b97f4a7c15);
	/* The slot comes from the low bits, and round times differ in the others. */
	hash = (hash ^ hash >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 32;
}

/* Compares everything except the time. */
static bool rows_are_alike(const struct batch *b, const struct row *x, const struct row *y)
{
	return x->table == y->table && !row_names_differ(x, y) &&
	       (row_content(x, b->dedupe_window_us) == row_content(y, b->dedupe_window_us) ||
		       row_is_known_by_time(b, x)) &&
	       x->cells[KEY_EVSE].number == y->cells[KEY_EVSE].number &&
	       slice_equal(x->cells[KEY_STATION].text, y->cells[KEY_STATION].text);
}

static bool rows_are_equal(const struct batch *b, const struct row *x, const struct row *y)
{
	int64_t apart;

	if (!rows_are_alike(b, x, y))
		return false;
	if (x->cells[KEY_TIME].number == y->cells[KEY_TIME].number && !row_is_undated(x))
		return true;
	apart = row_received_us(x) - row_received_us(y);
	return row_is_timeless(x) && row_is_timeless(y) &&
	       (apart < 0 ? -apart : apart) <= b->dedupe_window_us;
}

static void batch_put_slot(struct batch_slot *slots, size_t count, struct batch_slot put)
{
	size_t slot = put.hash & (count - 1);

	while (slots[slot].row != NULL)
		slot = (slot + 1) & (count - 1);
	slots[slot] = put;
}

static bool batch_grow_slots(struct batch *b)
{
	size_t count = b->row_slots_count * BATCH_SLOTS_GROWTH;
	struct batch_slot *slots;

	if (b->rows_hashed * 2 < b->row_slots_count)
		return true;
	if (count == 0)
		count = BATCH_SLOTS_MIN;
	slots = arena_zalloc(&b->arena, count * sizeof(*slots));
	if (slots == NULL)
		return false;
	for (size_t i = 0; i < b->row_slots_count; i++) {
		if (b->row_slots[i].row != NULL)
			batch_put_slot(slots, count, b->row_slots[i]);
	}
	b->row_slots = slots;
	b->row_slots_count = count;
	return true;
}

/* The slot of an equal row, or the free slot where it belongs. of_row: row_hash(). */
static size_t batch_find_row(const struct batch *b, const struct row *row, uint64_t of_row,
	int64_t span)
{
	uint64_t hash = row_hash_at(of_row, span);
	size_t slot = hash & (b->row_slots_count - 1);

	for (; b->row_slots[slot].row != NULL; slot = (slot + 1) & (b->row_slots_count - 1)) {
		if (b->row_slots[slot].hash == hash &&
			(span == SPAN_ANY ? rows_are_alike : rows_are_equal)(b,
				b->row_slots[slot].row, row))
			break;
	}
	return slot;
}

static void batch_take_slot(struct batch *b, size_t slot, struct row *row, uint64_t of_row,
	int64_t span)
{
	b->row_slots[slot] = (struct batch_slot){row_hash_at(of_row, span), row};
	b->rows_hashed++;
}

/* Copies of a retained message may have any age: finds the first similar row. */
static struct row *batch_find_kept(struct batch *b, struct row *row, uint64_t of_row)
{
	size_t slot = batch_find_row(b, row, of_row, SPAN_ANY);
	struct row *first = b->row_slots[slot].row;

	if (first == NULL)
		batch_take_slot(b, slot, row, of_row, SPAN_ANY);
	return first != NULL && (first->retained || row->retained) ? first : NULL;
}

/* Finds an equal row, or adds row itself. False if the arena is full. */
static bool batch_note_row(struct batch *b, struct row *row, struct row **kept_out)
{
	uint64_t of_row = row_hash(b, row);
	int64_t span = row_span(b, row);
	struct row *equal = NULL;
	size_t slot;

	if (!batch_grow_slots(b))
		return false;
	if (row_is_timeless(row)) {
		equal = batch_find_kept(b, row, of_row);
		for (int64_t near = -1; near <= 1 && equal == NULL; near += 2)
			equal = b->row_slots[batch_find_row(b, row, of_row, span + near)].row;
	}
	slot = batch_find_row(b, row, of_row, span);
	if (equal == NULL)
		equal = b->row_slots[slot].row;
	if (equal == NULL)
		batch_take_slot(b, slot, row, of_row, span);
	*kept_out = equal != NULL ? equal : row;
	return true;
}

/* ---- transactions ---- */

static struct slice transaction_station(const struct transaction *t)
{
	return t->row->cells[TABLE_transactions_charge_station_id].text;
}

static struct slice transaction_id(const struct transaction *t)
{
	return t->row->cells[TABLE_transactions_transaction_id].text;
}

static size_t transaction_slot(struct transaction *const *slots, size_t count,
	const struct transaction *t)
{
	struct slice station = transaction_station(t), id = transaction_id(t);
	size_t slot = (digest64(station.data, station.size) * 31 ^ digest64(id.data, id.size)) &
		      (count - 1);

	while (slots[slot] != NULL && !(slice_equal(transaction_station(slots[slot]), station) &&
					      slice_equal(transaction_id(slots[slot]), id)))
		slot = (slot + 1) & (count - 1);
	return slot;
}

static bool batch_grow_transactions(struct batch *b)
{
	size_t count =
		b->transaction_slots_count == 0 ? BATCH_SLOTS_MIN : b->transaction_slots_count * 2;
	struct transaction **slots;

	if (b->transactions_count * 2 < b->transaction_slots_count)
		return true;
	slots = arena_zalloc(&b->arena, count * sizeof(*slots));
	if (slots == NULL)
		return false;
	for (size_t i = 0; i < b->transactions_count; i++)
		slots[transaction_slot(slots, count, b->transactions[i])] = b->transactions[i];
	b->transaction_slots = slots;
	b->transaction_slots_count = count;
	return true;
}

static bool batch_put_transaction(struct batch *b, struct transaction *t)
{
	size_t slot;

	if (!batch_grow_transactions(b))
		return false;
	slot = transaction_slot(b->transaction_slots, b->transaction_slots_count, t);
	if (b->transaction_slots[slot] != NULL)
		return transaction_merge(b->transaction_slots[slot], t, &b->arena);
	if (!batch_grow(b, &b->transactions, &b->transactions_room, b->transactions_count,
		    sizeof(*b->transactions)))
		return false;
	b->transactions[b->transactions_count++] = t;
	b->transaction_slots[slot] = t;
	return true;
}

bool batch_add_transaction(struct batch *b, struct transaction *t)
{
	struct transaction *shared;

	if (!slice_is_absent(t->shared_id)) {
		shared = transaction_of_shared_id(t, &b->arena);
		if (shared == NULL || !batch_put_transaction(b, shared))
			return false;
	}
	return batch_put_transaction(b, t);
}

/* ---- messages ---- */

static bool batch_full(struct error *err)
{
	return error_set(err, ERROR_FULL, REASON_arena_full, "no room in the batch");
}

void batch_note_duplicate(struct batch *b, struct row *row)
{
	row->dropped = true;
	if (row->first)
		b->messages[row->message].outcome = OUTCOME_DUPLICATE;
}

void batch_note_stored(struct batch *b, struct row *row)
{
	row->dropped = false;
	if (row->first)
		b->messages[row->message].outcome = OUTCOME_STORED;
}

struct row *batch_resent(struct batch *b, const struct row *event)
{
	struct row *row = row_new(&b->arena, TABLE_resent_events);

	for (int key = 0; row != NULL && key < KEY_COLUMNS; key++)
		row->cells[key] = event->cells[key];
	if (row != NULL)
		cell_set_text(row, TABLE_resent_events_message_id,
			cell_text(event, TABLE_transaction_events_message_id));
	return row;
}

static void batch_adopt(struct row *kept, const struct row *copy)
{
	if (!row_is_answer(kept))
		return;
	row_adopt(kept, copy);
	kept->copy_bytes = encode_row_bytes_max(kept);
}

/* A copy within the batch; copies in the database are found when it is stored. */
static bool batch_note_resent(struct batch *b, const struct row *copy)
{
	struct row *resent;

	if (copy->table->id != TABLE_transaction_events)
		return true;
	resent = batch_resent(b, copy);
	return resent != NULL && batch_add_row(b, resent);
}

static bool batch_add_rows(struct batch *b, struct batch_message *message, struct row *first,
	struct row *halves, struct error *err)
{
	uint32_t number = (uint32_t)(message - b->messages);

	for (struct row *row = first; row != NULL; row = row->next) {
		struct row *kept = row;

		row->message = number;
		row->first = row == first;
		if (row_is_event(row) && !batch_note_row(b, row, &kept))
			return batch_full(err);
		if (kept != row) {
			batch_note_duplicate(b, row);
			batch_adopt(kept, row);
			if (!batch_note_resent(b, row))
				return batch_full(err);
			for (struct row *half = halves; half != NULL; half = half->next) {
				if (half->refers == row)
					half->refers = kept;
			}
			continue;
		}
		if (!batch_add_row(b, row))
			return batch_full(err);
	}
	return true;
}

/* The latest of the message's own times. A station says of some that they are old. */
static int64_t batch_own_time(const struct rows_result *rows)
{
	int64_t latest_us = TIME_UNDATED;

	for (const struct row *row = rows->first; row != NULL; row = row->next) {
		if (!row_is_event(row) || row_is_timeless(row))
			continue;
		if (row->table->id == TABLE_transaction_events &&
			row->cells[TABLE_transaction_events_offline].present &&
			row->cells[TABLE_transaction_events_offline].number != 0)
			return TIME_UNDATED;
		if (row->cells[KEY_TIME].number > latest_us)
			latest_us = row->cells[KEY_TIME].number;
	}
	return latest_us;
}

/* What the message says about the station that sent it. */
static void batch_note_station(const struct batch *b, struct batch_message *message,
	const struct message *m, const struct rows_result *rows)
{
	if (m->direction != DIRECTION_IN || !slice_is_absent(m->entity))
		return;
	message->station = m->station;
	message->received_us = m->received_us;
	message->retained = m->retained;
	message->own_us = b->live && !m->retained ? batch_own_time(rows) : TIME_UNDATED;
	message->begins =
		rows->first != NULL && rows->first->table->id == TABLE_transaction_events &&
		slice_equal_cstr(cell_text(rows->first, TABLE_transaction_events_event_type),
			"Started");
}

bool batch_add(struct batch *b, const struct message *m, const struct rows_result *rows,
	struct partitions *partitions, struct error *err)
{
	struct batch_message *message;

	for (struct row *row = rows->first; row != NULL; row = row->next) {
		if (row_is_event(row) && !batch_need_for(b, row, partitions, err))
			return false;
	}
	message = batch_new_message(b, m);
	if (message == NULL)
		return batch_full(err);
	if (rows->skipped != NULL) {
		message->outcome = OUTCOME_SKIPPED;
		message->reason = rows->skipped;
	}
	batch_note_station(b, message, m, rows);
	if (!batch_add_rows(b, message, rows->first, rows->halves, err))
		return false;
	if (rows->transaction != NULL && !batch_add_transaction(b, rows->transaction))
		return batch_full(err);
	for (struct row *half = rows->halves; half != NULL; half = half->next) {
		half->message = (uint32_t)(message - b->messages);
		if (!batch_add_row(b, half))
			return batch_full(err);
	}
	return true;
}

/* ---- order ---- */

static int order_transactions(const void *a, const void *b)
{
	const struct transaction *x = *(struct transaction *const *)a;
	const struct transaction *y = *(struct transaction *const *)b;
	int order = slice_compare(transaction_station(x), transaction_station(y));

	return order != 0 ? order : slice_compare(transaction_id(x), transaction_id(y));
}

void batch_sort_transactions(struct batch *b)
{
	/* Their hash table holds pointers and stays valid. */
	if (b->transactions_count > 1)
		qsort(b->transactions, b->transactions_count, sizeof(*b->transactions),
			order_transactions);
}

void batch_sort(struct batch *b)
{
	for (int i = 0; i < EVENT_TABLES; i++) {
		struct batch_rows *both[] = {&b->rows[i], &b->timeless[i]};

		for (int j = 0; j < 2; j++) {
			if (both[j]->count > 1)
				row_order(&b->arena, both[j]->rows, both[j]->count);
		}
	}
	batch_sort_transactions(b);
}
