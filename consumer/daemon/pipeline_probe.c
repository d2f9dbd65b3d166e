#include "base/clock.h"
#include "daemon/pipeline_private.h"
#include "pg/pg_error.h"

#include <inttypes.h>

/*
 * An error that may be about one row (a trigger or a policy refuses it), about all rows of a table
 * (a right or a table is missing) or about the server (its disk is full). Its SQLSTATE does not say
 * which, since a trigger may raise any, so it is found out:
 *
 *	1. The batch gets smaller until one record is left that is refused: what is before it is
 *	   stored. For a right that is missing, the rights are looked at again.
 *	2. Records after it are tried, one at a time, and rolled back. Those that go to none of its
 *	   tables are left out, however many there are. If each of its tables takes rows of others,
 *	   this was a round.
 *	3. It takes two rounds, since whatever was wrong may have ended between the record and the
 *	   others; where the error may be the server's, it takes several, with pauses: each time the
 *	   record is refused while others are accepted. Then it alone is at fault, and the hunt for
 *	   its message begins (pipeline_trouble.c), which becomes a dead letter.
 *	4. If they are refused alike, nothing is set aside. It waits, and says for what.
 *	5. If there are no others, it waits for one. But a table that took rows of records which
 *	   were refused together with this one, once it was left out, takes rows (the witness).
 *	   And nobody waits forever: a record that is refused for a long time (LONELY_TIMEOUTS
 *	   times storage.postgres.timeout), while the database takes the progress, is set aside,
 *	   unless there is no room for it.
 *
 * Where there is no room (a full disk), smaller ones that are accepted say nothing.
 */
enum {
	PROBE_TRIALS_MAX = 16,     /* refused in a row; the next ones are tried next time */
	PROBE_SLICE_RECORDS = 500, /* checked before the loop gets its turn */
	PROBE_LEAF_RECORDS = 5000, /* checked only for a partition, once its table is known */
	PROBE_TRIES = 2,           /* tries of the record alone before others are tried */
	PROBE_FAILURES =
		1, /* of a batch before it gets smaller: somebody may be altering the tables */
	PROBE_PATIENT = 3,    /* the same if it may be the server: that may pass */
	PROBE_ROUNDS = 6,     /* if it may be the server: some ten seconds */
	PROBE_ROUNDS_ROW = 2, /* otherwise: it is refused once more after others were accepted */
	PROBE_RENEWALS = 3,
	HUNT_TRIES = 2, /* tries of each step of the hunt, for the same reason */
	LONELY_TIMEOUTS = 10,
	ROOM_PART = 2,     /* others of at least half its size show that there is room */
	SLOW_TIMEOUTS = 8, /* how long to wait for one record before others are tried */
};

/* At most this much of the time between two rounds counts: beyond it, we were not connected. */
static const int64_t LONELY_PAUSE_US = 20 * US_PER_SECOND;

/* ---- where rows go ---- */

static bool target_equals(const struct probe_target *a, const struct probe_target *b)
{
	return a->table == b->table && a->leaf == b->leaf && a->number == b->number;
}

static void targets_add(struct probe_targets *ts, struct probe_target t)
{
	for (size_t i = 0; i < ts->count; i++) {
		if (target_equals(&ts->targets[i], &t))
			return;
	}
	if (ts->count == PROBE_TARGETS_MAX)
		ts->too_many = true;
	else
		ts->targets[ts->count++] = t;
}

/* The tables and partitions of the batch's rows. Dead letters do not count as rows of their
 * messages. Transactions: as far as the batch got. */
static void targets_of(const struct batch *b, bool dead_letters, struct probe_targets *out)
{
	out->count = 0;
	out->too_many = false;
	for (int t = 0; t < TABLE_COUNT; t++) {
		bool timeless = t < EVENT_TABLES && b->timeless[t].count > 0;

		if ((t != TABLE_dead_letters || dead_letters) && (b->rows[t].count > 0 || timeless))
			targets_add(out, (struct probe_target){.table = t});
	}
	if (b->inserts_transactions)
		targets_add(out, (struct probe_target){.table = PROBE_INSERTED});
	if (b->updates_transactions)
		targets_add(out, (struct probe_target){.table = PROBE_UPDATED});
	for (size_t i = 0; i < b->needs_count; i++) {
		struct partition p = b->needs[i].partition;

		targets_add(out, (struct probe_target){.table = (int)p.table,
					 .leaf = true,
					 .number = p.number});
	}
}

/* ---- the record alone ---- */

/* Whether the server, or somebody else using it, was slow: then the attempt took as long as the
 * timeout. A trigger that only raises that error is faster. */
static bool probe_took_so_long(const struct pipeline *p, const struct error *err)
{
	struct writer_patience server = writer_patience(p->writer);
	int64_t us = clock_mono_us() - p->stored_mono_us, granted = 0;

	if (pg_error_is_lock(err))
		granted = server.lock_us;
	else if (pg_error_is_deadlock(err))
		granted = server.deadlock_us;
	else if (err->slow)
		granted = server.statement_us;
	return granted > 0 && us >= granted;
}

static bool probe_was_patient(const struct pipeline *p)
{
	int64_t enough_us = SLOW_TIMEOUTS * p->config->storage_postgres_timeout;

	return p->patience_us >=
	       (enough_us < PIPELINE_PATIENCE_MAX_US ? enough_us : PIPELINE_PATIENCE_MAX_US);
}

bool pipeline_probe_suspects(const struct pipeline *p, const struct batch *b,
	const struct error *err)
{
	if (b->preparing) /* none of its rows was sent */
		return false;
	if (pg_error_is_silence(err))
		return b->records == 1 && (b->trial || probe_was_patient(p));
	if (pg_error_may_be_a_row(err))
		return true;
	if (!pg_error_may_be_the_server(err) || (b->records > 1 && pg_error_is_too_much(err)))
		return false;
	/* A single record that is too slow for the server does not get faster; locks are a
	 * different error. */
	if (b->records == 1 && err->slow)
		return true;
	return !probe_took_so_long(p, err);
}

static void probe_begin(struct pipeline *p, const struct batch *b, const struct error *why)
{
	const struct batch_message *last = &b->messages[b->messages_count - 1];
	struct pipeline_probe *probe = &p->probe;

	if (probe->seq != b->first_seq) {
		probe->seq = probe->from = probe->at = b->first_seq;
		probe->rounds = probe->lonely = 0;
		probe->lonely_us = 0;
	}
	probe->bytes = b->payload_bytes;
	writer_set_timeout(p->writer, p->config->storage_postgres_timeout); /* of others */
	pipeline_enter_search(p, SEARCH_OTHERS);
	if (probe->at < probe->from)
		probe->at = probe->from;
	probe->refused_count = 0;
	probe->beyond = 0;
	probe->barren = probe->at == probe->from;
	targets_of(b, false, &probe->targets);
	if (probe->targets.count == 0 && pg_error_may_be_the_server(why))
		targets_of(b, true, &probe->targets); /* a dead letter may lose its payload */
	probe->bad = last->index + 1;
	probe->bad_is_dead = last->outcome == OUTCOME_DEAD_LETTERED;
	probe->dead_letters_refused = b->dead_letters_refused;
	probe->why = *why;
	error_becomes(&probe->why, why->kind, REASON_constraint);
}

static int64_t probe_hunt(struct pipeline *p, const struct batch *b, const struct error *err)
{
	if (!pg_error_may_be_a_row(err) && !pg_error_is_silence(err) &&
		p->hunt.tries++ < HUNT_TRIES)
		return backoff_next_us(&p->backoff);
	p->hunt.tries = 0;
	return pipeline_trouble_refused(p, b, err, -1) ? 0 : PIPELINE_REFUSED_US;
}

static void probe_note_refused(struct pipeline *p, const struct batch *b)
{
	if (b->last_seq > p->witness.upto)
		p->witness = (struct pipeline_witness){.upto = b->last_seq};
}

void pipeline_probe_stored(struct pipeline *p, const struct batch *b)
{
	p->probe = (struct pipeline_probe){.seq = 0};
	if (b->last_seq > p->witness.upto)
		p->witness = (struct pipeline_witness){.upto = 0};
	if (p->witness.upto == 0)
		return;
	for (size_t i = 0; i < b->messages_count; i++) {
		if (b->messages[i].outcome == OUTCOME_DUPLICATE)
			return; /* maybe none of its rows was written */
	}
	targets_of(b, false, &p->probe_others);
	for (size_t i = 0; i < p->probe_others.count; i++)
		p->witness.tables[p->probe_others.targets[i].table] |=
			!p->probe_others.targets[i].leaf;
}

/* An outage uses up all patience. Another error after it, which may come only once (somebody is
 * changing the tables), gets patience of its own, but not every time: errors may take turns. */
static void probe_renew(struct pipeline *p, const struct error *err)
{
	struct pipeline_probe *probe = &p->probe;

	if (pg_error_may_be_the_server(err) || pg_error_is_silence(err)) {
		probe->outage = true;
	} else if (probe->outage && probe->renewals < PROBE_RENEWALS) {
		probe->outage = false;
		probe->renewals++;
		probe->tries = probe->rounds = 0;
		p->failures = 0;
	}
}

int64_t pipeline_probe_failed(struct pipeline *p, const struct batch *b, const struct error *err)
{
	int patient = pg_error_may_be_a_row(err) ? PROBE_FAILURES : PROBE_PATIENT;

	if (pipeline_is_hunting(p) && p->hunt.seq == b->first_seq && b->records == 1)
		return probe_hunt(p, b, err);
	probe_renew(p, err);
	probe_note_refused(p, b);
	if (p->failures++ < patient)
		return backoff_next_us(&p->backoff);
	if (b->records > 1) {
		pipeline_trouble_shrink(p, b->records);
		return 0;
	}
	pipeline_trouble_shrink(p, 1);
	if ((p->probe.tries++ < PROBE_TRIES && !pg_error_is_silence(err)) || b->messages_count == 0)
		return backoff_next_us(&p->backoff);
	probe_begin(p, b, err);
	return 0;
}

/* ---- others ---- */

/* Whether the answer to one more record would tell something about where it goes. What happens to
 * its transaction is known only when it is tried. */
static bool probe_is_useful(const struct pipeline_probe *probe, const struct probe_targets *others,
	size_t bytes)
{
	bool open = false, shared = false;

	if (pg_error_is_room(&probe->why) && bytes * ROOM_PART < probe->bytes)
		return false;
	for (size_t k = 0; k < probe->targets.count; k++) {
		const struct probe_target *mine = &probe->targets.targets[k];

		open |= !mine->accepted && mine->table >= TABLE_COUNT;
		for (size_t i = 0; i < others->count; i++) {
			if (!target_equals(mine, &others->targets[i]))
				continue;
			if (!mine->accepted)
				return true;
			shared = true;
		}
	}
	return open && shared;
}

/* Whether to try the record in the batch. */
static bool probe_wants(struct pipeline *p)
{
	struct pipeline_probe *probe = &p->probe;

	targets_of(p->filling, true, &p->probe_others);
	if (!probe_is_useful(probe, &p->probe_others, p->filling->payload_bytes))
		return false;
	if (probe->barren)
		probe->from = p->filling->first_seq - 1;
	probe->barren = false;
	return true;
}

void pipeline_probe_answered(struct pipeline *p, const struct batch *b, bool accepted)
{
	struct pipeline_probe *probe = &p->probe;
	struct probe_targets *others = &p->probe_others;

	targets_of(b, true, others);
	probe->at = b->last_seq;
	probe->refused_count = accepted ? 0 : probe->refused_count + 1;
	for (size_t i = 0; i < others->count; i++) {
		for (size_t k = 0; k < probe->targets.count; k++) {
			struct probe_target *mine = &probe->targets.targets[k];

			if (!target_equals(mine, &others->targets[i]))
				continue;
			mine->accepted |= accepted;
			mine->refused |= !accepted;
		}
	}
}

/* leaves: partitions, too. */
static bool probe_is_proved(const struct pipeline_probe *probe, bool leaves)
{
	for (size_t i = 0; i < probe->targets.count; i++) {
		const struct probe_target *t = &probe->targets.targets[i];

		if (!t->accepted && (leaves || !t->leaf))
			return false;
	}
	return !probe->targets.too_many;
}

/* Only this record is refused: its tables accept rows of others. So do its partitions, or no others
 * go there. */
static bool probe_is_alone(const struct pipeline_probe *probe)
{
	for (size_t i = 0; i < probe->targets.count; i++) {
		const struct probe_target *t = &probe->targets.targets[i];

		if (t->leaf && t->refused && !t->accepted)
			return false;
	}
	return probe_is_proved(probe, false);
}

static bool probe_is_refused_alike(const struct pipeline_probe *probe)
{
	for (size_t i = 0; i < probe->targets.count; i++) {
		if (probe->targets.targets[i].refused && !probe->targets.targets[i].accepted)
			return true;
	}
	return false;
}

bool pipeline_probe_is_over(const struct pipeline *p)
{
	const struct pipeline_probe *probe = &p->probe;

	return p->search == SEARCH_ALL_TRIED || probe->refused_count >= PROBE_TRIALS_MAX ||
	       probe_is_proved(probe, true) ||
	       (probe->beyond > PROBE_LEAF_RECORDS && probe_is_alone(probe));
}

bool pipeline_probe_fill(struct pipeline *p, struct error *err)
{
	struct pipeline_probe *probe = &p->probe;
	uint64_t lost, seq;

	if (p->filling->records > 0 || pipeline_probe_is_over(p))
		return true;
	if (!p->log->seek(p->log->context, probe->at, &lost, err))
		return false;
	for (int i = 0; i < PROBE_SLICE_RECORDS; i++) {
		switch (pipeline_fill_one(p, &seq, err)) {
		case LOG_NOTHING_YET:
		case LOG_END:
			pipeline_enter_search(p, SEARCH_ALL_TRIED);
			return true;
		case LOG_ERROR:
			return err->kind == ERROR_FULL;
		case LOG_RECORD:
			break;
		}
		if (p->filling->records > 0 && probe_wants(p)) {
			p->filling->trial = p->filling->apart = true;
			return true;
		}
		probe->at = seq;
		probe->beyond += probe_is_proved(probe, false);
		pipeline_clear_filling(p);
	}
	layouts_forget(p->maker.layouts); /* some were counted as known that will not be written */
	return true;
}

/* ---- the verdict ---- */

/* A table about which no other record tells anything; NULL if others were refused. */
static const char *probe_lacks(const struct pipeline_probe *probe)
{
	for (size_t i = 0; i < probe->targets.count; i++) {
		const struct probe_target *t = &probe->targets.targets[i];

		if (!t->accepted && !t->refused && !t->leaf)
			return t->table < TABLE_COUNT ? tables[t->table].name : "transactions";
	}
	return NULL;
}

/* Whether its tables accepted rows of records that were refused together with it. */
static bool probe_has_witness(const struct pipeline *p)
{
	const struct pipeline_probe *probe = &p->probe;

	if (!pg_error_may_be_a_row(&probe->why) || probe->seq > p->witness.upto ||
		probe->targets.too_many)
		return false;
	for (size_t i = 0; i < probe->targets.count; i++) {
		const struct probe_target *t = &probe->targets.targets[i];

		if (t->refused || (!t->accepted && !t->leaf && !p->witness.tables[t->table]))
			return false;
	}
	return true;
}

/* There are no others, and it has been refused for long enough. */
static bool probe_was_lonely(struct pipeline *p)
{
	struct pipeline_probe *probe = &p->probe;
	int64_t now = clock_mono_us(), pause_us = now - probe->lonely_mono_us;

	if (p->search != SEARCH_ALL_TRIED || probe_lacks(probe) == NULL ||
		probe_is_refused_alike(probe) || pg_error_is_room(&probe->why)) {
		probe->lonely = 0;
		probe->lonely_us = 0;
		return false;
	}
	if (probe->lonely++ > 0)
		probe->lonely_us += pause_us < LONELY_PAUSE_US ? pause_us : LONELY_PAUSE_US;
	probe->lonely_mono_us = now;
	return probe->lonely > PROBE_ROUNDS &&
	       probe->lonely_us >= LONELY_TIMEOUTS * p->config->storage_postgres_timeout;
}

static int64_t probe_waits(struct pipeline *p, struct error *err)
{
	struct pipeline_probe *probe = &p->probe;
	const char *lacks = probe_lacks(probe);
	bool more = p->search != SEARCH_ALL_TRIED;

	*err = probe->why;
	if (probe->barren)
		probe->from = probe->at; /* nothing up to here is informative */
	else if (!more)
		probe->at = probe->from;
	if (lacks != NULL && !probe_is_refused_alike(probe) && !more) {
		if (pg_error_is_room(&probe->why))
			error_hint(err,
				"there is no other message as large for table %s to show whether "
				"record %" PRIu64 " alone is refused: waiting for one",
				lacks, probe->seq);
		else
			error_hint(err,
				"there is no other message for table %s to show whether record "
				"%" PRIu64
				" alone is refused: waiting for one, or for some minutes",
				lacks, probe->seq);
		return backoff_next_us(&p->backoff);
	}
	if (pg_error_may_be_the_server(err)) /* the error's hint says what to do */
		return backoff_next_us(&p->backoff);
	error_needs_person(err);
	error_hint(err,
		"record %" PRIu64
		" and others after it are refused alike, so none is set aside: it "
		"waits until the database accepts them. See the rights of storage.postgres.user",
		probe->seq);
	return more ? backoff_next_us(&p->backoff) : PIPELINE_REFUSED_US;
}

int64_t pipeline_probe_end(struct pipeline *p, struct error *err)
{
	struct pipeline_probe *probe = &p->probe;
	bool decided; /* without another record to compare with */
	bool server = pg_error_may_be_the_server(&probe->why);
	int64_t wait_us;

	writer_set_timeout(p->writer, p->patience_us);
	decided = probe_has_witness(p) || probe_was_lonely(p);
	if (!decided && !probe_is_alone(probe)) {
		wait_us = probe_waits(p, err);
		pipeline_enter_search(p, SEARCH_NONE);
		return wait_us;
	}
	probe->at = probe->from;
	if (!decided && ++probe->rounds < (server ? PROBE_ROUNDS : PROBE_ROUNDS_ROW)) {
		pipeline_enter_search(p, SEARCH_NONE);
		if (!server)
			return 0;
		*err = probe->why;
		error_hint(err,
			"the tables accept other messages: if record %" PRIu64
			" is refused again and again, its message becomes a dead letter",
			probe->seq);
		return backoff_next_us(&p->backoff);
	}
	pipeline_enter_search(p, SEARCH_BARE);
	p->hunt = (struct pipeline_hunt){.seq = probe->seq,
		.bad = probe->bad,
		.bad_is_dead = probe->bad_is_dead,
		.why = probe->why};
	return 0;
}
