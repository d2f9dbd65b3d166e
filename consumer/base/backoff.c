#include "base/backoff.h"

#include "base/check.h"

void backoff_init(struct backoff *b, int64_t base_us, int64_t cap_us, uint64_t seed)
{
	CHECK(base_us > 0 && cap_us >= base_us);
	b->base_us = base_us;
	b->cap_us = cap_us;
	b->last_us = base_us;
	b->random = seed | 1; /* xorshift never leaves zero */
}

int64_t backoff_next_us(struct backoff *b)
{
	int64_t span = b->last_us * 3 - b->base_us;

	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	b->last_us = b->base_us + (int64_t)(b->random % (uint64_t)(span + 1));
	if (b->last_us > b->cap_us)
		b->last_us = b->cap_us;
	return b->last_us;
}

void backoff_reset(struct backoff *b)
{
	b->last_us = b->base_us;
}
