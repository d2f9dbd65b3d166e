#include "decode/message_filter.h"

static bool filter_has(const char *const *items, size_t count, struct slice text)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_equal_cstr(text, items[i]))
			return true;
	}
	return count == 0;
}

bool message_filter_takes(const struct message_filter *f, const struct message *m)
{
	return m->received_us >= f->from_us && m->received_us < f->to_us &&
	       filter_has(f->stations, f->stations_count, m->station) &&
	       filter_has(f->actions, f->actions_count, m->action);
}
