#include "copy/batch.h"

/* Dead letters of a batch. The same bytes on the same topic for the same reason are one row with a
 * count, just as in the table: a publisher that repeats itself costs one row per batch. */
enum { DEAD_BUCKETS = 4096 }; /* a power of two; each bucket is a list of rows */

static struct row **dead_bucket(struct batch *b, const struct row *row)
{
	uint64_t hash = (uint64_t)row->cells[TABLE_dead_letters_payload_digest].number ^
			(uint64_t)row->cells[TABLE_dead_letters_topic_digest].number * 31;

	return &b->dead_buckets[hash & (DEAD_BUCKETS - 1)];
}

/* The key of the table. */
static bool dead_is_same(const struct row *x, const struct row *y)
{
	static const int numbers[] = {TABLE_dead_letters_topic_digest,
		TABLE_dead_letters_payload_digest, TABLE_dead_letters_payload_bytes};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		if (x->cells[numbers[i]].number != y->cells[numbers[i]].number)
			return false;
	}
	return slice_equal(x->cells[TABLE_dead_letters_reason].text,
		y->cells[TABLE_dead_letters_reason].text);
}

/* Counts one more dead letter in `into`, which came first. */
static void dead_merge(struct row *into, const struct row *from)
{
	struct cell *first = &into->cells[TABLE_dead_letters_first_received_at];
	struct cell *last = &into->cells[TABLE_dead_letters_last_received_at];
	int64_t received_us = from->cells[TABLE_dead_letters_last_received_at].number;

	into->cells[TABLE_dead_letters_count].number++;
	if (received_us < first->number)
		first->number = received_us;
	if (received_us > last->number)
		last->number = received_us;
	into->cells[TABLE_dead_letters_seq] = from->cells[TABLE_dead_letters_seq];
	into->cells[TABLE_dead_letters_message_index] =
		from->cells[TABLE_dead_letters_message_index];
}

static bool dead_add_row(struct batch *b, struct row *row, bool bare)
{
	struct row **bucket;

	if (b->dead_buckets == NULL)
		b->dead_buckets = arena_zalloc(&b->arena, DEAD_BUCKETS * sizeof(struct row *));
	if (b->dead_buckets == NULL)
		return false;
	bucket = dead_bucket(b, row);
	for (struct row *known = *bucket; known != NULL; known = known->next) {
		if (!dead_is_same(known, row))
			continue;
		dead_merge(known, row);
		if (bare)
			rows_strip_dead_letter(known);
		return true;
	}
	row->next = *bucket;
	*bucket = row;
	if (bare)
		rows_strip_dead_letter(row);
	return batch_add_row(b, row);
}

bool batch_add_dead_letter(struct batch *b, const struct message *m, const struct error *why,
	uint64_t payload_bytes, struct slice sha256, bool bare)
{
	struct batch_message *message = batch_new_message(b, m);
	struct row *row;

	if (message == NULL)
		return false;
	message->outcome = OUTCOME_DEAD_LETTERED;
	message->reason = why->reason;
	row = rows_dead_letter(&b->arena, m, why, payload_bytes, sha256);
	if (row == NULL)
		return false;
	row->message = (uint32_t)(message - b->messages);
	return dead_add_row(b, row, bare);
}
