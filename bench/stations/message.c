#include "stations/message.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_CHUNK_BYTES = 256 * 1024 };

struct message_chunk {
	struct message_chunk *next;
	_Alignas(16) uint8_t bytes[];
};

void message_pools_fini(struct message_pools *p)
{
	struct message_chunk *chunk = p->chunks;

	while (chunk != NULL) {
		struct message_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	*p = (struct message_pools){0};
}

/* Cut a chunk of memory into messages of one size. */
static void message_grow(struct message_pools *p, uint8_t pool)
{
	size_t size = (size_t)1 << (pool + MESSAGE_POOL_SHIFT);
	size_t count = size < MESSAGE_CHUNK_BYTES ? MESSAGE_CHUNK_BYTES / size : 1;
	struct message_chunk *chunk = malloc(sizeof(*chunk) + count * size);

	CHECK(chunk != NULL);
	chunk->next = p->chunks;
	p->chunks = chunk;
	for (size_t i = 0; i < count; i++) {
		struct message *m = (struct message *)(void *)(chunk->bytes + i * size);

		m->pool = pool;
		m->next_free = p->free[pool];
		p->free[pool] = m;
	}
}

struct message *message_new(struct message_pools *p, size_t bytes)
{
	size_t size = sizeof(struct message) + bytes;
	uint8_t pool = 0;
	struct message *m;

	while (((size_t)1 << (pool + MESSAGE_POOL_SHIFT)) < size)
		pool++;
	CHECK(pool < MESSAGE_POOLS);
	if (p->free[pool] == NULL)
		message_grow(p, pool);
	m = p->free[pool];
	p->free[pool] = m->next_free;
	return m;
}

struct message *message_copy(struct message_pools *p, const struct message *m)
{
	size_t bytes = m->payload_size + m->facts_size;
	struct message *copy = message_new(p, bytes);
	uint8_t pool = copy->pool;

	memcpy(copy, m, sizeof(*m) + bytes);
	copy->pool = pool;
	return copy;
}

void message_free(struct message_pools *p, struct message *m)
{
	m->next_free = p->free[m->pool];
	p->free[m->pool] = m;
}

bool outbox_init(struct outbox *o, size_t count_max)
{
	*o = (struct outbox){
		.heap = malloc(count_max * sizeof(*o->heap)),
		.count_max = count_max,
	};
	return o->heap != NULL;
}

void outbox_fini(struct outbox *o)
{
	free(o->heap);
	*o = (struct outbox){0};
}

static bool outbox_before(const struct message *a, const struct message *b)
{
	return a->due_us < b->due_us || (a->due_us == b->due_us && a->serial < b->serial);
}

void outbox_put(struct outbox *o, struct message *m)
{
	size_t at = o->count++;

	CHECK(o->count <= o->count_max);
	m->serial = o->serial++;
	while (at > 0 && outbox_before(m, o->heap[(at - 1) / 2])) {
		o->heap[at] = o->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	o->heap[at] = m;
}

struct message *outbox_take(struct outbox *o)
{
	struct message *first = o->heap[0], *last;
	size_t at = 0;

	CHECK(o->count > 0);
	last = o->heap[--o->count];
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= o->count)
			break;
		if (child + 1 < o->count && outbox_before(o->heap[child + 1], o->heap[child]))
			child++;
		if (!outbox_before(o->heap[child], last))
			break;
		o->heap[at] = o->heap[child];
		at = child;
	}
	o->heap[at] = last;
	return first;
}
