#include "rows/sessions.h"

#include "rows/flags.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The state of going through the events in order. */
struct sweep {
	struct arena *arena;
	const struct sessions_options *options;
	struct sessions *sessions;
	struct session **open; /* in the order in which they began */
	size_t open_count;
	struct session **room; /* scratch, of the same size */
	size_t ambiguous;      /* ambiguous ends so far; each has closed one of the open sessions */
};

static uint64_t fact_digest(const struct session_fact *f)
{
	return (uint64_t)f->event->cells[KEY_DIGEST].number;
}

static int64_t fact_seq(const struct session_fact *f)
{
	const struct cell *seq = &f->event->cells[TABLE_transaction_events_seq_no];

	return seq->present ? seq->number : -1;
}

static int64_t fact_number(const struct session_fact *f, int column)
{
	const struct cell *cell = &f->event->cells[column];

	return cell->present ? cell->number : EVSE_NOT_STATED;
}

static int order_numbers(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int order_digests(const struct session_fact *a, const struct session_fact *b)
{
	uint64_t x = fact_digest(a), y = fact_digest(b);

	return (x > y) - (x < y);
}

/* ---- the starts ---- */

/* Answers with the same content and message id but two times of receipt are two, and both count. */
static int order_results(const struct session_fact *x, const struct session_fact *y)
{
	if (x->link.result_digest != y->link.result_digest)
		return x->link.result_digest < y->link.result_digest ? -1 : 1;
	return order_numbers(x->link.received_us, y->link.received_us);
}

/* By result, best-fitting start first; anything but a 1.6 start comes last. */
static int order_links(const void *a, const void *b)
{
	const struct session_fact *x = a, *y = b;
	int order = order_numbers(y->linked, x->linked);

	if (order == 0)
		order = order_results(x, y);
	if (order == 0)
		order = transaction_link_compare(&y->link, &x->link);
	return order != 0 ? order : order_digests(x, y);
}

/* Drops what a result says about starts that it fits less well. */
static size_t links_of_best(struct session_fact *facts, size_t count)
{
	size_t kept = 0;

	qsort(facts, count, sizeof(*facts), order_links);
	for (size_t i = 0; i < count; i++) {
		const struct session_fact *before = kept > 0 ? &facts[kept - 1] : NULL;

		if (facts[i].linked && before != NULL && before->linked &&
			order_results(before, &facts[i]) == 0 &&
			fact_digest(before) != fact_digest(&facts[i]))
			continue;
		facts[kept++] = facts[i];
	}
	return kept;
}

static bool fact_is_accepted(const struct session_fact *f)
{
	return slice_equal_cstr(cell_text(f->t->row, TABLE_transactions_id_token_status),
		"Accepted");
}

/* The same start, sent again. Without a time of its own its digest differs each time. */
static bool facts_are_one_start(const struct session_fact *a, const struct session_fact *b)
{
	return a->t->ranks[GROUP_START].digest == b->t->ranks[GROUP_START].digest;
}

/* By time, starts first, then by content: a start with all of its answers, the best first. */
static int order_facts(const void *a, const void *b)
{
	const struct session_fact *x = a, *y = b;
	int order = order_numbers(x->time_us, y->time_us);

	if (order == 0)
		order = order_numbers(y->start, x->start);
	if (order == 0)
		order = order_numbers(fact_seq(x), fact_seq(y));
	if (order == 0)
		order = order_digests(x, y);
	return order != 0 ? order : order_links(a, b);
}

/* Merges the answers of a start into its first fact. */
static bool join_answers(struct session_fact *facts, size_t *count, bool shared_id,
	struct arena *arena)
{
	size_t kept = 0;

	for (size_t i = 0; i < *count;) {
		struct session_fact *f = &facts[kept++];
		bool accepted = fact_is_accepted(&facts[i]);

		*f = facts[i++];
		while (f->linked && i < *count && facts[i].linked &&
			fact_digest(f) == fact_digest(&facts[i])) {
			accepted |= fact_is_accepted(&facts[i]);
			if (!transaction_merge(f->t, facts[i++].t, arena))
				return false;
		}
		f->apart = shared_id && f->linked && !accepted;
	}
	*count = kept;
	return true;
}

/* ---- which session an event belongs to ---- */

static struct session *session_new(struct sweep *s, struct session_fact *f)
{
	struct session *session = &s->sessions->all[s->sessions->count++];

	*session = (struct session){.t = f->t,
		.fact = f,
		.key = fact_digest(f),
		.started = f->start && !f->apart,
		.open = f->start && !f->apart,
		.seq = fact_seq(f)};
	f->session = session;
	f->done = true;
	if (session->open)
		s->open[s->open_count++] = session;
	return session;
}

/* Forgets sessions that have ended. */
static void sweep_forget(struct sweep *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->open_count; i++) {
		if (s->open[i]->open)
			s->open[kept++] = s->open[i];
	}
	s->open_count = kept;
}

static bool same_place(const struct session_fact *a, const struct session_fact *b)
{
	return a->event->cells[KEY_EVSE].number == b->event->cells[KEY_EVSE].number &&
	       fact_number(a, TABLE_transaction_events_connector_id) ==
		       fact_number(b, TABLE_transaction_events_connector_id);
}

/* The event states no place, or one that the start does not contradict. */
static bool place_fits(const struct session_fact *start, const struct session_fact *f)
{
	int64_t evse = f->event->cells[KEY_EVSE].number;
	int64_t connector = fact_number(f, TABLE_transaction_events_connector_id);
	int64_t of_start = fact_number(start, TABLE_transaction_events_connector_id);

	return evse != EVSE_NOT_STATED && evse == start->event->cells[KEY_EVSE].number &&
	       (connector == EVSE_NOT_STATED || of_start == EVSE_NOT_STATED ||
		       connector == of_start);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* Tokens are compared without regard to case. */
static bool token_fits(const struct session_fact *start, const struct session_fact *f)
{
	struct slice a = cell_text(start->event, TABLE_transaction_events_id_token);
	struct slice b = cell_text(f->event, TABLE_transaction_events_id_token);

	if (slice_is_absent(a) || slice_is_absent(b) || a.size != b.size)
		return false;
	for (size_t i = 0; i < a.size; i++) {
		if (lower(a.data[i]) != lower(b.data[i]))
			return false;
	}
	return true;
}

typedef bool fact_fits(const struct session_fact *start, const struct session_fact *f);

/* Keeps those that fit, if any do. */
static size_t keep_fitting(struct session **found, size_t count, const struct session_fact *f,
	fact_fits *fits)
{
	size_t kept = 0, fitting = 0;

	for (size_t i = 0; i < count; i++)
		fitting += fits(found[i]->fact, f);
	for (size_t i = 0; i < count && fitting > 0; i++) {
		if (fits(found[i]->fact, f))
			found[kept++] = found[i];
	}
	return fitting > 0 ? kept : count;
}

/* Fills s->room with all sessions since the last fresh one, latest first. May be empty. */
static size_t sweep_recent(const struct sweep *s)
{
	size_t count = 0;

	for (size_t i = s->sessions->count; i-- > 0;) {
		struct session *session = &s->sessions->all[i];

		if (session->t != NULL)
			s->room[count++] = session;
		if (session->fresh)
			break;
	}
	return count;
}

/* Fills s->room with those that began last among sessions at the event's place with its token. */
static size_t sweep_last(const struct sweep *s, const struct session_fact *f)
{
	size_t count = sweep_recent(s), kept = 0;

	count = keep_fitting(s->room, count, f, place_fits);
	count = keep_fitting(s->room, count, f, token_fits);
	while (kept < count && s->room[kept]->fact->time_us == s->room[0]->fact->time_us)
		kept++;
	return kept;
}

/* Recognises a repeated end of an ended session while others are open: its token is not that of any
 * open session. NULL if it is not one. */
static struct session *sweep_ended(const struct sweep *s, const struct session_fact *f)
{
	size_t count;

	if (!f->end)
		return NULL;
	for (size_t i = 0; i < s->open_count; i++) {
		const struct session_fact *start = s->open[i]->fact;

		if (token_fits(start, f) ||
			slice_is_absent(cell_text(start->event, TABLE_transaction_events_id_token)))
			return NULL;
	}
	count = sweep_recent(s);
	for (size_t i = 0; i < count; i++) {
		struct session *session = s->room[i];

		if (session->t->ranks[GROUP_STOP].kind > 0 && token_fits(session->fact, f))
			return session;
	}
	return NULL;
}

static bool session_take(struct sweep *s, struct session *session, struct session_fact *f)
{
	f->session = session;
	f->done = true;
	session->open &= !f->end;
	sweep_forget(s);
	return transaction_merge(session->t, f->t, s->arena);
}

/* Once there have been as many ambiguous ends as open sessions, all have ended. */
static void sweep_close(struct sweep *s)
{
	if (s->ambiguous == 0 || s->ambiguous < s->open_count)
		return;
	for (size_t i = 0; i < s->open_count; i++)
		s->open[i]->open = false;
	s->open_count = s->ambiguous = 0;
}

static bool sweep_assign(struct sweep *s, struct session_fact *f)
{
	struct session **room = s->room, *ended = sweep_ended(s, f);
	size_t count = s->open_count;

	if (ended != NULL)
		return session_take(s, ended, f);
	if (count == 0 && s->options->shared_id) {
		session_new(s, f)->t = NULL;
		return true;
	}
	memcpy(room, s->open, count * sizeof(*room));
	if (count == 0)
		count = sweep_last(s, f);
	count = keep_fitting(room, count, f, place_fits);
	count = keep_fitting(room, count, f, token_fits);
	if (count == 0) {
		(void)session_new(s, f);
		return true;
	}
	if (count > 1 && f->end) {
		for (size_t i = 0; i < count; i++)
			room[i]->t->row->cells[TABLE_transactions_flags].number |=
				FLAG_end_ambiguous;
		f->done = true;
		s->ambiguous++;
	} else if (!session_take(s, room[count - 1], f)) {
		return false;
	}
	sweep_close(s);
	return true;
}

/* ---- starts ---- */

/* Its id came with a result. */
static bool is_16(const struct session_fact *f)
{
	return f->linked;
}

/* Neither states a token, or one does, or both the same. */
static bool tokens_agree(const struct session_fact *a, const struct session_fact *b)
{
	return token_fits(a, b) ||
	       slice_is_absent(cell_text(a->event, TABLE_transaction_events_id_token)) ||
	       slice_is_absent(cell_text(b->event, TABLE_transaction_events_id_token));
}

/*
 * The start was sent again with another content: a corrected field, "offline", a new time. 2.x:
 * the same seqNo at the same place with the same token, as far as both state them. 1.6, where a
 * CSMS may give the id to anyone: nobody begins twice at one place and time with one token.
 */
static bool start_is_repeated(const struct session *open, const struct session_fact *f)
{
	const struct session_fact *start = open->fact;

	if (is_16(start) || is_16(f))
		return f->event->cells[KEY_TIME].number != TIME_UNDATED &&
		       start->time_us == f->time_us && same_place(start, f) && token_fits(start, f);
	return open->seq >= 0 && open->seq == fact_seq(f) && tokens_agree(start, f) &&
	       (place_fits(start, f) || start->event->cells[KEY_EVSE].number == EVSE_NOT_STATED ||
		       f->event->cells[KEY_EVSE].number == EVSE_NOT_STATED);
}

/* The open session that this start repeats, or NULL. */
static struct session *sweep_continued(const struct sweep *s, const struct session_fact *f)
{
	for (size_t i = 0; i < s->open_count; i++) {
		struct session *open = s->open[i];

		if (facts_are_one_start(open->fact, f) || start_is_repeated(open, f) ||
			(!is_16(f) && open->seq >= 0 && fact_seq(f) > open->seq))
			return open;
	}
	return NULL;
}

/* alone: no other event has this time. */
static bool sweep_start(struct sweep *s, struct session_fact *f, bool alone)
{
	struct session *continued;

	if (f->apart) {
		session_new(s, f)->t = NULL;
		return true;
	}
	continued = sweep_continued(s, f);
	if (continued != NULL) {
		/* The order of those without a time means nothing, so the lowest digest counts. */
		if (fact_seq(f) == continued->seq &&
			f->event->cells[KEY_TIME].number == TIME_UNDATED &&
			fact_digest(f) < continued->key)
			continued->key = fact_digest(f);
		if (fact_seq(f) > continued->seq)
			continued->seq = fact_seq(f);
		return session_take(s, continued, f);
	}
	for (size_t i = 0; i < s->open_count; i++) {
		/* A session that began at the same time and place is beside this one, not before
		 * it. */
		if (same_place(s->open[i]->fact, f) && s->open[i]->fact->time_us < f->time_us)
			s->open[i]->open = false;
	}
	sweep_forget(s);
	if (s->open_count == 0)
		s->ambiguous = 0;
	alone &= s->open_count == 0 && f->event->cells[KEY_TIME].number != TIME_UNDATED;
	session_new(s, f)->fresh = alone;
	return true;
}

/* ---- all of it ---- */

/* At the same time: first events of a session that is already open, then starts, then the rest. A
 * start comes before events whose seqNo is higher. */
static bool is_after_starts(const struct session_fact *facts, size_t from,
	const struct session_fact *f)
{
	for (size_t i = from; facts[i].start; i++) {
		if (fact_seq(&facts[i]) >= 0 && fact_seq(f) > fact_seq(&facts[i]))
			return true;
	}
	return false;
}

static bool sweep_instant(struct sweep *s, struct session_fact *facts, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		struct session_fact *f = &facts[i];

		if (!f->start && s->open_count > 0 && !is_after_starts(facts, from, f) &&
			!sweep_assign(s, f))
			return false;
	}
	for (size_t i = from; i < to; i++) {
		if (facts[i].start && !sweep_start(s, &facts[i], to - from == 1))
			return false;
	}
	for (size_t i = from; i < to; i++) {
		if (!facts[i].done && !sweep_assign(s, &facts[i]))
			return false;
	}
	return true;
}

/* Events before the first start that do not make a session of their own, because they have no end,
 * belong to the first session: clocks and the order of messages are not that exact. */
static bool join_early(struct sessions *sessions, struct arena *arena)
{
	struct session *early = &sessions->all[0], *first = NULL;

	if (sessions->count < 2 || early->started || early->t == NULL ||
		early->t->ranks[GROUP_STOP].kind > 0)
		return true;
	for (size_t i = 1; i < sessions->count && first == NULL; i++) {
		if (sessions->all[i].started)
			first = &sessions->all[i];
	}
	if (first == NULL)
		return true;
	if (!transaction_merge(first->t, early->t, arena))
		return false;
	memmove(early, early + 1, (sessions->count - 1) * sizeof(*early));
	sessions->count--;
	return true;
}

/*
 * The first start, if all others are repeats of it: sent again without a time, or left from several
 * that one result was tried with. But a station does not repeat a start whose session has ended:
 * then it is another start that looks the same.
 */
static struct session_fact *only_start(struct session_fact *facts, size_t count)
{
	struct session_fact *only = NULL;
	bool ended = false;

	for (size_t i = 0; i < count; i++) {
		ended |= facts[i].end && only != NULL;
		if (!facts[i].start)
			continue;
		if (ended)
			return NULL;
		if (only == NULL)
			only = &facts[i];
		else if (!facts_are_one_start(only, &facts[i]))
			return NULL;
	}
	return only;
}

/* The id was not reused: all events belong to one session, whatever their times. */
static bool make_one(struct sweep *s, struct session_fact *facts, size_t count,
	struct session_fact *start)
{
	struct session *one = session_new(s, start);

	for (size_t i = 0; i < count; i++) {
		if (&facts[i] != start && !session_take(s, one, &facts[i]))
			return false;
	}
	return true;
}

/* Where only_start() found none: several starts, or an accepted one for a shared id. Without any
 * start, everything belongs to one session, in whatever order it comes. */
static bool is_split(const struct session_fact *facts, size_t count, bool whole)
{
	for (size_t i = 0; i < count; i++) {
		if (facts[i].start && !facts[i].apart)
			return true;
	}
	return !whole;
}

static bool set_key(struct session *session, const struct sessions *sessions, bool whole,
	struct arena *arena)
{
	char text[32];
	struct slice key;

	if (session->t == NULL || (whole && sessions->count == 1))
		return true;
	snprintf(text, sizeof(text), "%016" PRIx64, session->key);
	key = arena_copy(arena, slice_from_cstr(text));
	cell_set_text(session->t->row, TABLE_transactions_start_key, key);
	return !slice_is_absent(key);
}

static bool set_keys(const struct sessions *sessions, bool whole, struct arena *arena)
{
	for (size_t i = 0; i < sessions->count; i++) {
		if (!set_key(&sessions->all[i], sessions, whole, arena))
			return false;
	}
	return true;
}

static void mark_facts(struct session_fact *facts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct slice type = cell_text(facts[i].event, TABLE_transaction_events_event_type);

		facts[i].start = slice_equal_cstr(type, "Started");
		facts[i].end = slice_equal_cstr(type, "Ended");
	}
}

bool sessions_make(struct session_fact *facts, size_t count, const struct sessions_options *options,
	struct arena *arena, struct sessions *out)
{
	struct sweep s = {.arena = arena,
		.options = options,
		.sessions = out,
		.open = arena_alloc(arena, (count + 1) * sizeof(*s.open)),
		.room = arena_alloc(arena, (count + 1) * sizeof(*s.room))};
	struct session_fact *only = NULL;

	*out = (struct sessions){.all = arena_zalloc(arena, (count + 1) * sizeof(*out->all))};
	if (s.open == NULL || s.room == NULL || out->all == NULL)
		return false;
	if (count == 0) {
		out->split = !options->whole;
		return true;
	}
	mark_facts(facts, count);
	count = links_of_best(facts, count);
	qsort(facts, count, sizeof(*facts), order_facts);
	if (!join_answers(facts, &count, options->shared_id, arena))
		return false;
	if (options->whole && !options->shared_id)
		only = only_start(facts, count);
	if (only != NULL)
		return make_one(&s, facts, count, only);
	out->split = is_split(facts, count, options->whole);
	for (size_t from = 0, to; from < count; from = to) {
		for (to = from + 1; to < count && facts[to].time_us == facts[from].time_us;)
			to++;
		if (!sweep_instant(&s, facts, from, to))
			return false;
	}
	return join_early(out, arena) && set_keys(out, options->whole, arena);
}

bool sessions_leave(const struct transaction *session, int64_t begins_us,
	const struct transaction *facts)
{
	const struct cell *last;

	/* A shared id has events of no session. */
	if (session == NULL || facts->shared || facts->ranks[GROUP_START].kind > 0 ||
		(begins_us != TIME_UNDATED && facts->earliest_us <= begins_us))
		return false;
	if (facts->ranks[GROUP_STOP].kind == 0)
		return true;
	/* An end says what is open after it. */
	last = &session->row->cells[TABLE_transactions_last_event_at];
	return ((session->row->cells[TABLE_transactions_flags].number |
			facts->row->cells[TABLE_transactions_flags].number) &
		       FLAG_time_invalid) == 0 &&
	       last->present && facts->earliest_us > last->number;
}

/* ---- flags of meter values ---- */

/* The last of the sessions [from, to) at the connector, or the first. */
static struct session *flags_session(const struct sessions *sessions, size_t from, size_t to,
	int64_t evse, bool first)
{
	struct session *found = NULL;
	bool fits = false;

	for (size_t i = from; i < to; i++) {
		struct session *session = &sessions->all[i];
		bool here = evse != EVSE_NOT_STATED && session->t != NULL &&
			    session->fact->event->cells[KEY_EVSE].number == evse;

		if (session->t == NULL || (fits && !here))
			continue;
		if (found == NULL || here > fits || !first)
			found = session;
		fits |= here;
	}
	return found;
}

static bool session_is_over(const struct session *session, int64_t time_us)
{
	const struct cell *stop = &session->t->row->cells[TABLE_transactions_stopped_at];

	return stop->present && stop->number != TIME_UNDATED && stop->number < time_us;
}

void sessions_add_flags(const struct sessions *sessions, const struct sessions_options *options,
	const struct session_flags *flags)
{
	struct session *session;
	size_t from = 0, to = 0;
	bool first;

	for (; to < sessions->count && sessions->all[to].fact->time_us <= flags->time_us; to++) {
		if (sessions->all[to].fresh)
			from = to;
	}
	first = to == 0;
	if (first && options->shared_id)
		return;
	for (; first && to < sessions->count && (to == 0 || !sessions->all[to].fresh); to++)
		;
	session = flags_session(sessions, from, to, flags->evse, first);
	if (session != NULL && !(options->shared_id && session_is_over(session, flags->time_us)))
		session->t->row->cells[TABLE_transactions_flags].number |= flags->flags;
}
