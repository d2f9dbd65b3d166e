#include "rows/recent_calls.h"

#include "base/digest.h"

#include <stdlib.h>

enum {
	CALLS_SETS = 8192, /* 2.5 MB: ten seconds of 3,000 calls a second */
	CALLS_OF_SET = 4,
	CALL_ACTION_BYTES = 54, /* OCPP's longest has 33 */
	WAITING_SLOTS = 16384,
	WATCH_AT_START = 500,       /* calls: so few that they cost a replay nothing */
	WATCH_AFTER_A_MISS = 10000, /* calls: answers that take another way keep coming */
};

/* Kept apart from the search keys: each is a cache line, and most entries of a set are only
 * compared. */
struct recent_call {
	uint64_t trace; /* 0 = none */
	bool used;
	uint8_t action_size; /* 0 = too long to keep: it names nothing */
	char action[CALL_ACTION_BYTES];
};

struct recent_set {
	uint64_t keys[CALLS_OF_SET];
	int64_t received_us
		[CALLS_OF_SET]; /* INT64_MIN at first, so that unused entries are the oldest */
};

struct recent_answer {
	uint64_t key;
	int64_t received_us;
};

struct recent_calls {
	int64_t window_us;
	uint32_t watch; /* how many more calls leave a half */
	bool missed;    /* some answer is waiting */
	struct recent_set sets[CALLS_SETS];
	struct recent_call calls[CALLS_SETS][CALLS_OF_SET];
	struct recent_answer waiting[WAITING_SLOTS];
};

void recent_calls_set_window(struct recent_calls *r, int64_t window_us)
{
	r->window_us = window_us;
}

bool recent_calls_new(struct recent_calls **out, int64_t window_us, struct error *err)
{
	struct recent_calls *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	r->window_us = window_us;
	r->watch = WATCH_AT_START;
	for (size_t s = 0; s < CALLS_SETS; s++) {
		for (size_t i = 0; i < CALLS_OF_SET; i++)
			r->sets[s].received_us[i] = INT64_MIN;
	}
	*out = r;
	return true;
}

void recent_calls_free(struct recent_calls **calls)
{
	free(*calls);
	*calls = NULL;
}

static uint64_t exchange_key(const struct exchange_id *e)
{
	return digest64(e->station.data, e->station.size) * 31 +
	       digest64(e->id.data, e->id.size) * 2 + e->by_csms;
}

static uint64_t exchange_trace(const struct exchange_id *e)
{
	return e->trace.size == 0 ? 0 : digest64(e->trace.data, e->trace.size) | 1;
}

static size_t calls_set(uint64_t key)
{
	return (key ^ key >> 32) & (CALLS_SETS - 1);
}

static struct recent_answer *waiting_slot(struct recent_calls *r, uint64_t key)
{
	return &r->waiting[(key ^ key >> 32) & (WAITING_SLOTS - 1)];
}

/* The slot of the same call, if its batch is made again; otherwise the oldest slot. */
static size_t calls_place(const struct recent_set *set, uint64_t key, int64_t received_us)
{
	size_t place = 0;

	for (size_t i = 0; i < CALLS_OF_SET; i++) {
		if (set->keys[i] == key && set->received_us[i] == received_us)
			return i;
		if (set->received_us[i] < set->received_us[place])
			place = i;
	}
	return place;
}

bool recent_calls_add(struct recent_calls *r, const struct exchange_id *call, struct slice action)
{
	uint64_t key = exchange_key(call);
	struct recent_set *set = &r->sets[calls_set(key)];
	size_t place = calls_place(set, key, call->received_us);
	struct recent_call *to = &r->calls[calls_set(key)][place];
	bool watched = r->watch > 0;

	set->keys[place] = key;
	set->received_us[place] = call->received_us;
	to->used = true;
	to->trace = exchange_trace(call);
	to->action_size = action.size <= CALL_ACTION_BYTES ? (uint8_t)action.size : 0;
	if (to->action_size > 0)
		memcpy(to->action, action.data, action.size);
	if (watched)
		r->watch--;
	if (watched || !r->missed)
		return watched;
	return waiting_slot(r, key)->key == key && waiting_slot(r, key)->received_us != 0;
}

struct slice recent_calls_find(struct recent_calls *r, const struct exchange_id *answer)
{
	uint64_t key = exchange_key(answer), trace = exchange_trace(answer);
	const struct recent_set *set = &r->sets[calls_set(key)];
	const struct recent_call *best = NULL;
	int64_t best_us = 0;

	for (size_t i = 0; i < CALLS_OF_SET; i++) {
		const struct recent_call *c = &r->calls[calls_set(key)][i];
		int64_t us = set->received_us[i];

		if (set->keys[i] != key || !c->used || us > answer->received_us ||
			answer->received_us - us > r->window_us ||
			(c->trace != 0 && trace != 0 && c->trace != trace))
			continue;
		if (best == NULL || us > best_us) {
			best = c;
			best_us = us;
		}
	}
	if (best == NULL || best->action_size == 0)
		return (struct slice){NULL, 0};
	return slice_of(best->action, best->action_size);
}

void recent_calls_miss(struct recent_calls *r, const struct exchange_id *answer)
{
	uint64_t key = exchange_key(answer);

	*waiting_slot(r, key) = (struct recent_answer){key, answer->received_us};
	r->watch = WATCH_AFTER_A_MISS;
	r->missed = true;
}
