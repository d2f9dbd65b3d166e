#include "copy/writer_private.h"

/*
 * The steps of a batch, in order. Each adds requests to the run, or none. A run continues as long
 * as no answer is needed: a step that needs one begins the next run, if there is anything to wait
 * for. Only this file knows the order.
 */
enum step_needs {
	NEEDS_NOTHING, /* joins the run */
	NEEDS_ANSWERS, /* is planned from the answers to everything asked so far */
	NEEDS_DONE,    /* everything before must have succeeded */
};

static const struct {
	const char *name;
	bool (*plan)(struct writer *w, struct error *err);
	enum step_needs needs;
} steps[] = {
	{"partitions", writer_plan_partitions, NEEDS_NOTHING},
	{"copy tables", writer_plan_copy_tables, NEEDS_NOTHING},
	/* The transaction begins. */
	{"claim", writer_plan_claim, NEEDS_DONE},
	{"tables", writer_lock_tables, NEEDS_NOTHING},
	{"missing", writer_plan_missing, NEEDS_NOTHING},
	{"events", writer_copy_events, NEEDS_ANSWERS},
	{"dead letters' rows", writer_copy_dead_letters, NEEDS_NOTHING},
	{"seen", writer_plan_seen, NEEDS_NOTHING},
	{"near", writer_plan_near, NEEDS_NOTHING},
	/* Stored rows and halves of exchanges are known. */
	{"names of copies", writer_plan_copies, NEEDS_ANSWERS},
	{"drop seen", writer_drop_seen, NEEDS_NOTHING},
	{"pairs", writer_pair_halves, NEEDS_NOTHING},
	{"halves", writer_plan_halves, NEEDS_NOTHING},
	{"halves' rows", writer_copy_halves, NEEDS_NOTHING},
	{"timeless", writer_copy_timeless, NEEDS_NOTHING},
	/* All events are written. */
	{"pairs again", writer_pair_again, NEEDS_ANSWERS},
	{"names", writer_plan_names, NEEDS_NOTHING},
	{"authorize", writer_plan_authorize, NEEDS_NOTHING},
	{"starts", writer_plan_starts, NEEDS_NOTHING},
	{"answers", writer_plan_answers, NEEDS_NOTHING},
	{"store", writer_plan_store, NEEDS_DONE},
	{"layouts", writer_plan_layouts, NEEDS_ANSWERS},
	{"keys", writer_plan_keys, NEEDS_NOTHING},
	{"merge", writer_merge_transactions, NEEDS_ANSWERS},
	{"splits", writer_plan_splits, NEEDS_NOTHING},
	/* No more questions. */
	{"sessions", writer_plan_sessions, NEEDS_ANSWERS},
	{"transactions", writer_plan_transactions, NEEDS_NOTHING},
	{"resent", writer_plan_resent, NEEDS_NOTHING},
	{"states", writer_plan_states, NEEDS_NOTHING},
	{"stations", writer_plan_stations, NEEDS_NOTHING},
	{"constraints", writer_plan_constraints, NEEDS_NOTHING},
	{"dead letters", writer_plan_dead_letters, NEEDS_NOTHING},
	{"totals", writer_plan_totals, NEEDS_NOTHING},
	{"attached", writer_plan_attached, NEEDS_NOTHING},
	{"loading", writer_plan_loading, NEEDS_NOTHING},
	{"commit", writer_plan_commit, NEEDS_NOTHING},
	{"position", writer_plan_commit_position, NEEDS_NOTHING},
};

enum { STEPS = sizeof(steps) / sizeof(*steps) };

static bool plan_must_wait(const struct requests *run, enum step_needs needs)
{
	switch (needs) {
	case NEEDS_NOTHING:
		break;
	case NEEDS_ANSWERS:
		return run->asked;
	case NEEDS_DONE:
		return run->count > 0;
	}
	return false;
}

bool writer_plan(struct writer *w, struct error *err)
{
	struct writer_work *work = &w->work;

	requests_begin(&w->requests);
	writer_copy_begin_run(w);
	for (; work->step < STEPS; work->step++) {
		if (plan_must_wait(&w->requests, steps[work->step].needs))
			return true;
		work->full = false;
		work->step_name = steps[work->step].name;
		if (!steps[work->step].plan(w, err))
			return false;
		if (work->full)
			return true;
	}
	return true;
}

bool writer_is_planned(const struct writer *w)
{
	return w->work.step == STEPS;
}

void writer_run_done(struct writer *w)
{
	writer_partitions_made(w);
}

void writer_run_failed(struct writer *w)
{
	w->work.batch->preparing = w->work.asked_count > 0;
	if (w->work.asked_count > 0)
		writer_partition_failed(w);
	else
		writer_copy_failed(w);
	writer_dead_letters_failed(w);
}
