#include "stations/batch.h"

#include "base/clock.h"
#include "stations/station.h"

#include <stdlib.h>

/* How long a bundle waits for more messages, simulated. */
static const int64_t BATCH_WAIT_US = 20 * US_PER_SECOND;

/* What is open for one topic. */
struct batch_topic {
	struct bundle bundle;
	int64_t close_us;
	size_t full; /* how many it takes */
	struct batch_topic *older, *newer;
};

struct batch {
	bool is_batching;
	struct message *single; /* not batching: the current message */
	int64_t now_us;
	struct batch_topic *topics; /* two a station */
	struct batch_topic *oldest, *newest;
	struct batch_topic *full; /* a topic that has just become full */
};

struct batch *batch_new(uint32_t stations, bool is_batching)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->is_batching = is_batching;
	if (is_batching) {
		b->topics = calloc((size_t)stations * 2, sizeof(*b->topics));
		if (b->topics == NULL)
			batch_free(&b);
	}
	return b;
}

void batch_free(struct batch **batch)
{
	if (*batch == NULL)
		return;
	free((*batch)->topics);
	free(*batch);
	*batch = NULL;
}

static void batch_link(struct batch *b, struct batch_topic *t)
{
	t->older = b->newest;
	t->newer = NULL;
	if (b->newest != NULL)
		b->newest->newer = t;
	else
		b->oldest = t;
	b->newest = t;
}

static void batch_unlink(struct batch *b, struct batch_topic *t)
{
	if (t->older != NULL)
		t->older->newer = t->newer;
	else
		b->oldest = t->newer;
	if (t->newer != NULL)
		t->newer->older = t->older;
	else
		b->newest = t->older;
}

void batch_add(struct batch *b, struct message *m)
{
	struct batch_topic *t;

	b->now_us = m->due_us;
	if (!b->is_batching) {
		CHECK(b->single == NULL);
		b->single = m;
		return;
	}
	t = &b->topics[(size_t)m->station->index * 2 + m->direction];
	if (t->bundle.count == 0) {
		t->close_us = m->due_us + BATCH_WAIT_US;
		t->full = 2 + m->span % (BUNDLE_MESSAGES_MAX - 1); /* as good as random */
		batch_link(b, t);
	}
	t->bundle.messages[t->bundle.count++] = m;
	if (t->bundle.count == t->full) {
		CHECK(b->full == NULL);
		b->full = t;
	}
}

bool batch_next(struct batch *b, bool all, struct bundle *out)
{
	struct batch_topic *t = b->full;

	if (b->single != NULL) {
		out->messages[0] = b->single;
		out->count = 1;
		b->single = NULL;
		return true;
	}
	b->full = NULL;
	if (t == NULL && b->oldest != NULL && (all || b->oldest->close_us <= b->now_us))
		t = b->oldest;
	if (t == NULL)
		return false;
	batch_unlink(b, t);
	*out = t->bundle;
	t->bundle.count = 0;
	return true;
}
