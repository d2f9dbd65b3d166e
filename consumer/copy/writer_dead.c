#include "copy/writer_private.h"

/* A worker uses only a part of the room that it last counted: so other workers, which count for
 * themselves, cannot make the table much larger than dead_letters.rows_max. */
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

bool writer_plan_dead_letters(struct writer *w, struct error *err)
{
	struct batch *b = w->work.batch;
	int64_t count = (int64_t)b->rows[TABLE_dead_letters].count;
	struct slice params[3] = {param_text(w->spool_text)};

	if (count == 0)
		return true;
	if (count > w->dead_letters_room) {
		params[1] = param_int8(&b->arena, w->options.dead_letters_rows_max);
		if (!requests_add_marked(&w->requests, &b->arena,
			    &statements.all[STATEMENT_DEAD_LETTERS_BEYOND], params, 2, dead_on_room,
			    w, err))
			return false;
	} else {
		w->dead_letters_room -= count;
	}
	params[1] = param_int8(&b->arena, w->options.dead_letters_bytes_max);
	params[2] = param_int4(&b->arena, w->options.dead_letters_topic_bytes_max);
	return requests_add_marked(&w->requests, &b->arena, &statements.all[STATEMENT_DEAD_LETTERS],
		params, 3, NULL, NULL, err);
}

void writer_dead_letters_failed(struct writer *w)
{
	const struct pg_statement *failed =
		requests_statement(&w->requests, pg_session_failed_request(w->session));

	if (failed == &statements.all[STATEMENT_DEAD_LETTERS] ||
		failed == &statements.all[STATEMENT_DEAD_LETTERS_BEYOND])
		w->work.batch->dead_letters_refused = true;
}
