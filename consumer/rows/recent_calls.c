#include "rows/recent_calls.h"

#include "base/digest.h"

#include <stdlib.h>

enum {
	CALLS_SETS = 8192, /* 3 MB: ten seconds of 3,000 calls a second */
	CALLS_OF_SET = 4,
	CALL_ACTION_BYTES = 55, /* the longest of OCPP has 33 */
	WAITING_SLOTS = 16384,
	WATCH_AT_START = 500,       /* calls: a moment, which costs no replay anything */
	WATCH_AFTER_A_MISS = 10000, /* calls: answers that go another way come all the time */
};

struct recent_call {
	uint64_t key;
	uint64_t trace; /* 0 = none */
	int64_t received_us;
	bool used;
	uint8_t action_size; /* 0 = longer than there is room for: it names nothing */
	char action[CALL_ACTION_BYTES];
};

struct recent_answer {
	uint64_t key;
	int64_t received_us;
};

struct recent_calls {
	int64_t window_us;
	uint32_t watch; /* so many more calls leave a half */
	struct recent_call calls[CALLS_SETS][CALLS_OF_SET];
	struct recent_answer waiting[WAITING_SLOTS];
};

bool recent_calls_new(struct recent_calls **out, int64_t window_us, struct error *err)
{
	struct recent_calls *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	r->window_us = window_us;
	r->watch = WATCH_AT_START;
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

static struct recent_call *calls_set(struct recent_calls *r, uint64_t key)
{
	return r->calls[(key ^ key >> 32) & (CALLS_SETS - 1)];
}

static struct recent_answer *waiting_slot(struct recent_calls *r, uint64_t key)
{
	return &r->waiting[(key ^ key >> 32) & (WAITING_SLOTS - 1)];
}

bool recent_calls_add(struct recent_calls *r, const struct exchange_id *call, struct slice action)
{
	uint64_t key = exchange_key(call);
	struct recent_call *set = calls_set(r, key), *to = set;
	const struct recent_answer *answer = waiting_slot(r, key);
	bool watched = r->watch > 0;

	for (int i = 0; i < CALLS_OF_SET; i++) {
		/* The same call, of a batch that is made again. */
		if (set[i].used && set[i].key == key && set[i].received_us == call->received_us) {
			to = &set[i];
			break;
		}
		if (to->used && (!set[i].used || set[i].received_us < to->received_us))
			to = &set[i];
	}
	*to = (struct recent_call){.used = true,
		.key = key,
		.trace = exchange_trace(call),
		.received_us = call->received_us};
	if (action.size <= CALL_ACTION_BYTES) {
		to->action_size = (uint8_t)action.size;
		memcpy(to->action, action.data, action.size);
	}
	if (watched)
		r->watch--;
	return watched || (answer->key == key && answer->received_us != 0);
}

struct slice recent_calls_find(struct recent_calls *r, const struct exchange_id *answer)
{
	uint64_t key = exchange_key(answer), trace = exchange_trace(answer);
	const struct recent_call *set = calls_set(r, key), *best = NULL;

	for (int i = 0; i < CALLS_OF_SET; i++) {
		const struct recent_call *c = &set[i];

		if (!c->used || c->key != key || c->received_us > answer->received_us ||
			answer->received_us - c->received_us > r->window_us ||
			(c->trace != 0 && trace != 0 && c->trace != trace))
			continue;
		if (best == NULL || c->received_us > best->received_us)
			best = c;
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
}
