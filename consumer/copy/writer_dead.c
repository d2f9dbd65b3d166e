#include "base/bytes.h"
#include "copy/writer_private.h"

/*
 * A worker reckons with only a part of the room there was when it counted: so others, which count
 * for themselves, cannot make the table much larger than dead_letters.rows_max.
 */
enum { ROOM_SHARE = 8 };

static bool dead_on_room(void *context, const PGresult *result, int number, struct error *err)
{
	struct writer *w = context;
	int64_t share = w->options.dead_letters_rows_max / ROOM_SHARE;

	(void)number;
	(void)err;
	w->dead_letters_room = result_int8(result, 0, 0);
	if (w->dead_letters_room > share)
		w->dead_letters_room = share;
	return true;
}

static struct slice param_int4(struct arena *arena, int64_t value)
{
	uint8_t *at = arena_bytes(arena, 4);

	if (at == NULL)
		return (struct slice){NULL, 0};
	put_be32(at, (uint32_t)value);
	return slice_of(at, 4);
}

bool writer_plan_dead_letters(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	int64_t count = (int64_t)b->rows[TABLE_dead_letters].count;
	struct slice params[3] = {param_text(w->spool_text)};

	if (count == 0)
		return true;
	if (count > w->dead_letters_room) {
		params[1] = param_int8(&b->arena, w->options.dead_letters_rows_max);
		if (!writer_statement(w, &w->statements->all[STATEMENT_DEAD_LETTERS_BEYOND], params,
			    2, &b->arena, err))
			return false;
		w->requests[w->requests_count - 1].on_result = dead_on_room;
		w->requests[w->requests_count - 1].context = w;
	} else {
		w->dead_letters_room -= count;
	}
	params[1] = param_int8(&b->arena, w->options.dead_letters_bytes_max);
	params[2] = param_int4(&b->arena, w->options.dead_letters_topic_bytes_max);
	return writer_statement(w, &w->statements->all[STATEMENT_DEAD_LETTERS], params, 3,
		&b->arena, err);
}
