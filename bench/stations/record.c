#include "stations/record.h"

#include <stdlib.h>

enum { RECORD_CHUNK = 64 };

struct record_chunk {
	struct record_chunk *next;
	struct record records[RECORD_CHUNK];
};

void record_pool_fini(struct record_pool *p)
{
	struct record_chunk *chunk = p->chunks;

	while (chunk != NULL) {
		struct record_chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	*p = (struct record_pool){0};
}

struct record *record_new(struct record_pool *p)
{
	struct record *r;

	if (p->free == NULL) {
		struct record_chunk *chunk = malloc(sizeof(*chunk));

		CHECK(chunk != NULL);
		chunk->next = p->chunks;
		p->chunks = chunk;
		for (int i = 0; i < RECORD_CHUNK; i++)
			record_free(p, &chunk->records[i]);
	}
	r = p->free;
	p->free = r->next;
	r->needs_count = r->known_count = 0;
	r->text_size = 0;
	return r;
}

void record_free(struct record_pool *p, struct record *r)
{
	r->next = p->free;
	p->free = r;
}

uint32_t record_expect(struct record *r)
{
	CHECK(r->needs_count < RECORD_NEEDS_MAX);
	return r->needs_count++;
}

void record_number(struct record *r, uint32_t role, uint64_t number)
{
	CHECK(role < r->needs_count);
	r->needs[role] = number;
	r->known_count++;
}

void record_close(struct record *r, struct slice text)
{
	CHECK(text.size > 0 && text.size <= sizeof(r->text));
	memcpy(r->text, text.data, text.size);
	r->text_size = text.size;
}
