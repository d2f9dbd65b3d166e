#ifndef DECODE_MESSAGE_FILTER_H
#define DECODE_MESSAGE_FILTER_H

#include "decode/message.h"

/* Selects messages. Texts are borrowed. Pure; any thread. */
enum { MESSAGE_FILTER_MAX = 256 };

struct message_filter {
	int64_t from_us, to_us; /* of receipt, [from, to) */
	const char *stations[MESSAGE_FILTER_MAX];
	size_t stations_count; /* 0 = all */
	const char *actions[MESSAGE_FILTER_MAX];
	size_t actions_count;
};

bool message_filter_takes(const struct message_filter *filter, const struct message *m);

#endif
