#include "mqtt/publish_window.h"

#include <stdlib.h>

enum {
	PUBLISH_WINDOW_BYTES = 32 << 20, /* above that, one at a time */
	PUBLISH_KEEP_BYTES = 64 * 1024,  /* memory that a free slot keeps */
};

void publish_window_fini(struct publish_window *w)
{
	for (size_t i = 0; i < PUBLISH_WINDOW_MAX; i++)
		free(w->slots[i].bytes);
}

bool publish_window_has_room(const struct publish_window *w)
{
	return publish_window_is_empty(w) ||
	       (w->sent - w->settled < PUBLISH_WINDOW_MAX && w->bytes < PUBLISH_WINDOW_BYTES);
}

static struct slice slot_put(uint8_t **at, struct slice bytes)
{
	struct slice copy = slice_of(*at, bytes.size);

	if (bytes.size > 0)
		memcpy(*at, bytes.data, bytes.size);
	*at += bytes.size;
	return copy;
}

bool publish_window_add(struct publish_window *w, const struct mqtt_message *m, struct error *err)
{
	struct publish_slot *slot = &w->slots[w->sent % PUBLISH_WINDOW_MAX];
	size_t size = m->topic.size + 1 + m->trace.size + m->payload.size;
	uint8_t *at;

	if (size > slot->room) {
		at = realloc(slot->bytes, size);
		if (at == NULL)
			return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
		slot->bytes = at;
		slot->room = size;
	}
	slot->size = size;
	slot->acknowledged = false;
	slot->message = *m;
	at = slot->bytes;
	slot->message.topic = slot_put(&at, m->topic);
	*at++ = '\0';
	slot->message.trace = slot_put(&at, m->trace);
	slot->message.payload = slot_put(&at, m->payload);
	w->sent++;
	w->bytes += size;
	return true;
}

static void window_settle(struct publish_window *w)
{
	while (w->settled < w->sent) {
		struct publish_slot *slot = &w->slots[w->settled % PUBLISH_WINDOW_MAX];

		if (!slot->acknowledged)
			break;
		w->settled++;
		w->bytes -= slot->size;
		if (slot->room > PUBLISH_KEEP_BYTES) {
			free(slot->bytes);
			slot->bytes = NULL;
			slot->room = 0;
		}
	}
}

bool publish_window_acknowledge(struct publish_window *w, uint64_t number)
{
	struct publish_slot *slot = &w->slots[number % PUBLISH_WINDOW_MAX];

	if (number < w->settled || slot->acknowledged)
		return false;
	slot->acknowledged = true;
	w->acknowledged++;
	window_settle(w);
	return true;
}
