#include "base/clock.h"
#include "daemon/pipeline_private.h"
#include "pg/pg_error.h"

#include <inttypes.h>

/*
 * An error that may be about one row (a trigger or a policy refuses it) or about all of them (a
 * right or a table is missing). Its SQLSTATE does not say which, so it is found out:
 *
 *	1. The batch gets smaller until one record is left that is refused: what is before it is
 *	   stored. For a right that is missing, the rights are looked at again.
 *	2. The records after it are tried without it, one at a time, and rolled back. If the tables
 *	   that it goes to take rows of others, it alone is at fault, and the hunt for its message
 *	   begins (pipeline_trouble.c), which becomes a dead letter.
 *	3. If they are refused alike, or if there are none, nothing is set aside. It waits, and says
 *	   for what.
 */
enum {
	PROBE_RECORDS_MAX = 64, /* tried after the one that is refused */
	PROBE_TRIES = 2,        /* of the record alone before others are tried */
	PROBE_FAILURES = 1, /* of a batch before it gets smaller: somebody may be at the tables */
};

_Static_assert(TABLE_COUNT < 63, "a bit for each table");

/* The tables that its rows go to. Dead letters are no rows of the message's own. */
static uint64_t probe_tables(const struct batch *b)
{
	uint64_t bits = b->transactions_count > 0 ? UINT64_C(1) << TABLE_COUNT : 0;

	for (unsigned t = 0; t < TABLE_COUNT; t++) {
		if (b->rows[t].count > 0 || (t < EVENT_TABLES && b->timeless[t].count > 0))
			bits |= UINT64_C(1) << t;
	}
	return bits & ~(UINT64_C(1) << TABLE_dead_letters);
}

static void probe_begin(struct pipeline *p, const struct batch *b, const struct error *why)
{
	const struct batch_message *last = &b->messages[b->messages_count - 1];
	struct pipeline_probe *probe = &p->probe;

	*probe = (struct pipeline_probe){.on = true,
		.tries = probe->tries,
		.skip = 1,
		.seq = b->first_seq,
		.tables = probe_tables(b),
		.bad = last->index + 1,
		.bad_is_dead = last->outcome == OUTCOME_DEAD_LETTERED,
		.why = *why};
	probe->why.reason = "constraint";
}

int64_t pipeline_probe_failed(struct pipeline *p, const struct batch *b, const struct error *err)
{
	if (p->hunt.on && p->hunt.seq == b->first_seq && b->records == 1)
		return pipeline_trouble_refused(p, b, err, -1) ? 0 : PIPELINE_REFUSED_US;
	if (p->failures++ < PROBE_FAILURES)
		return backoff_next_us(&p->backoff);
	if (b->records > 1) {
		pipeline_trouble_shrink(p, b->records);
		return 0;
	}
	pipeline_trouble_shrink(p, 1);
	if (p->probe.tries++ < PROBE_TRIES || b->messages_count == 0)
		return backoff_next_us(&p->backoff);
	probe_begin(p, b, err);
	return 0;
}

void pipeline_probe_answered(struct pipeline *p, const struct batch *b, bool accepted)
{
	struct pipeline_probe *probe = &p->probe;

	if (accepted)
		probe->accepted |= probe_tables(b);
	else
		probe->refused |= probe_tables(b);
	probe->skip++;
}

/* It alone is refused: its tables take rows of others, or, where no other row went there, nothing
 * speaks against that. */
static bool probe_is_alone(const struct pipeline_probe *probe)
{
	uint64_t open = probe->tables & ~probe->accepted;

	return open == 0 || (probe->accepted != 0 && (open & probe->refused) == 0);
}

bool pipeline_probe_is_over(const struct pipeline *p)
{
	const struct pipeline_probe *probe = &p->probe;

	if (!probe->on)
		return false;
	return p->filling->records <= probe->skip || probe->skip > PROBE_RECORDS_MAX ||
	       (probe->tables & ~probe->accepted) == 0;
}

int64_t pipeline_probe_end(struct pipeline *p, struct error *err)
{
	struct pipeline_probe *probe = &p->probe;

	probe->on = false;
	if (probe_is_alone(probe)) {
		p->hunt = (struct pipeline_hunt){.on = true,
			.seq = probe->seq,
			.bad = probe->bad,
			.bad_is_dead = probe->bad_is_dead,
			.why = probe->why,
			.trial = true};
		return 0;
	}
	*err = probe->why;
	if ((probe->tables & probe->refused) == 0) {
		error_hint(err,
			"no other message is there to tell whether record %" PRIu64
			" alone is refused: it waits for one",
			probe->seq);
		return backoff_next_us(&p->backoff);
	}
	error_needs_person(err);
	error_hint(err,
		"record %" PRIu64
		" and others after it are refused alike, so none is set aside: it "
		"waits until the database takes them. See the rights of storage.postgres.user",
		probe->seq);
	return PIPELINE_REFUSED_US;
}
