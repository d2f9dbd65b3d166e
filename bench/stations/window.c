#include "stations/window.h"

#include <sys/mman.h>

static void *window_map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

bool window_init(struct window *w, size_t bytes_max, uint64_t entries_max)
{
	CHECK((entries_max & (entries_max - 1)) == 0);
	*w = (struct window){
		.bytes = window_map(bytes_max),
		.bytes_max = bytes_max,
		.entries = window_map(entries_max * sizeof(struct window_entry)),
		.entries_max = entries_max,
	};
	return w->bytes != NULL && w->entries != NULL;
}

void window_fini(struct window *w)
{
	if (w->bytes != NULL)
		munmap(w->bytes, w->bytes_max);
	if (w->entries != NULL)
		munmap(w->entries, w->entries_max * sizeof(struct window_entry));
	*w = (struct window){0};
}

/* Drop the oldest entry, if it is done. */
static bool window_drop(struct window *w, int64_t young_us)
{
	const struct window_entry *e = window_at(w, w->first);

	if (w->first == w->next || e->state != WINDOW_DONE)
		return false;
	if (e->sent_us > young_us)
		w->early += e->count;
	w->first++;
	if (w->first == w->next)
		w->head = 0;
	return true;
}

/*
 * The used bytes reach from the oldest packet to head, over the end of the ring or not. A packet is
 * never split: if it does not fit after head, the rest of the ring is left empty.
 */
static bool window_fits(struct window *w, size_t size)
{
	size_t tail;

	if (w->next - w->first == w->entries_max)
		return false;
	if (w->first == w->next)
		return size <= w->bytes_max;
	tail = window_at(w, w->first)->offset;
	if (w->head <= tail) /* wrapped around; equal = full */
		return size <= tail - w->head;
	if (size <= w->bytes_max - w->head)
		return true;
	if (size > tail)
		return false;
	w->head = 0;
	return true;
}

uint8_t *window_reserve(struct window *w, size_t size, int64_t young_us)
{
	while (!window_fits(w, size)) {
		if (!window_drop(w, young_us))
			return NULL;
	}
	return w->bytes + w->head;
}

void window_add(struct window *w, size_t size, size_t id_at, uint64_t first, uint32_t count)
{
	*window_at(w, w->next) = (struct window_entry){
		.offset = w->head,
		.size = (uint32_t)size,
		.id_at = (uint32_t)id_at,
		.first = first,
		.count = count,
		.state = WINDOW_WAITING,
	};
	w->next++;
	w->head += size;
}
