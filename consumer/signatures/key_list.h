#ifndef SIGNATURES_KEY_LIST_H
#define SIGNATURES_KEY_LIST_H

#include "base/error.h"
#include "base/slice.h"

/*
 * Public keys that somebody vouches for, from a file: a line for each, a name, blanks, and the key
 * (public_key.h). The name is that of a charge station, of one of its EVSEs (station/1), the serial
 * number of a meter or of a gateway, or * for all others. Empty lines and those that begin with #
 * do not count. One thread.
 */
struct key_list;

/* FATAL with file and line if it cannot be read or is not such a file. */
MUST_CHECK bool key_list_read(const char *path, struct key_list **out, struct error *err);
void key_list_free(struct key_list **list);

/* The key as written; absent if no line has that name, or without a list (NULL). */
struct slice key_list_find(const struct key_list *list, struct slice name);

#endif
