#ifndef CONFIG_CONFIG_PRIVATE_H
#define CONFIG_CONFIG_PRIVATE_H

#include "config/config.h"

/* Shared by config*.c only. */

/* A secret as read from its file; the file's setting stays the one that counts. */
MUST_CHECK bool config_set_read(struct config *c, const char *name, const char *value,
	const char *path, struct error *err);

/* The value that a source has for it cannot be read: it counts as refused. */
void config_refuse(struct config *c, const char *name);

/* After a fault: false unless it was reported by config_load(), which reads on to find them all. */
MUST_CHECK bool config_read_on(struct config *c, const struct error *err);

/* Digests the content of the files that settings of type FILE name, for config_compare(). */
MUST_CHECK bool config_note_files(struct config *c, struct error *err);

#endif
