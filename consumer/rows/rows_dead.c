#include "base/digest.h"
#include "base/utf8.h"
#include "rows/rows.h"

/* A copy that can be stored; false if the arena is full. */
static bool rows_storable(struct arena *arena, struct slice text, struct slice *out)
{
	if (!utf8_is_storable(text))
		*out = utf8_replace(arena, text);
	else
		*out = arena_copy(arena, text);
	return !slice_is_absent(*out);
}

struct row *rows_dead_letter(struct arena *arena, const struct message *m, const struct error *why,
	uint64_t payload_bytes, struct slice sha256)
{
	struct row *row = row_new(arena, TABLE_dead_letters);
	struct slice detail;

	/* It may come from the server, or be cut within a character. */
	if (row == NULL || !rows_storable(arena, slice_from_cstr(why->message), &detail))
		return NULL;
	cell_set_number(row, TABLE_dead_letters_topic_digest,
		(int64_t)digest64(m->topic.data, m->topic.size));
	cell_set_text(row, TABLE_dead_letters_topic, m->topic);
	cell_set_text(row, TABLE_dead_letters_topic_raw, m->topic_raw);
	cell_set_number(row, TABLE_dead_letters_payload_digest,
		(int64_t)digest64(m->raw.data, m->raw.size));
	cell_set_text(row, TABLE_dead_letters_reason, slice_from_cstr(why->reason));
	cell_set_number(row, TABLE_dead_letters_payload_bytes, (int64_t)payload_bytes);
	cell_set_text(row, TABLE_dead_letters_payload, message_kept(m));
	cell_set_text(row, TABLE_dead_letters_payload_sha256, sha256);
	cell_set_text(row, TABLE_dead_letters_charge_station_id, m->station);
	cell_set_text(row, TABLE_dead_letters_detail, detail);
	if (why->offset >= 0)
		cell_set_number(row, TABLE_dead_letters_error_offset, why->offset);
	cell_set_number(row, TABLE_dead_letters_count, 1);
	cell_set_number(row, TABLE_dead_letters_first_received_at, m->received_us);
	cell_set_number(row, TABLE_dead_letters_last_received_at, m->received_us);
	cell_set_number(row, TABLE_dead_letters_seq, (int64_t)m->seq);
	cell_set_number(row, TABLE_dead_letters_message_index, m->index);
	return row;
}

void rows_strip_dead_letter(struct row *row)
{
	static const int columns[] = {TABLE_dead_letters_topic_raw, TABLE_dead_letters_payload,
		TABLE_dead_letters_charge_station_id, TABLE_dead_letters_error_offset};

	for (size_t i = 0; i < sizeof(columns) / sizeof(*columns); i++)
		row->cells[columns[i]].present = false;
	cell_set_text(row, TABLE_dead_letters_topic, slice_from_cstr(""));
	cell_set_text(row, TABLE_dead_letters_detail,
		slice_from_cstr("PostgreSQL refused its dead letter, too: the log has it"));
}
