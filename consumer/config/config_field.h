#ifndef CONFIG_CONFIG_FIELD_H
#define CONFIG_CONFIG_FIELD_H

#include "config/config_settings.h"

/*
 * The value of one setting, by its type: set from text, compared, copied, freed. For config*.c
 * only; one thread per struct config, which owns the text.
 */

/* Checked against type and limits; an error names the setting and its value. The value is not
 * changed by one that is refused. */
MUST_CHECK bool config_field_set(struct config *c, const struct config_setting *s,
	const char *value, struct error *err);

/* A setting of type FILE also differs if its file's content did (config_note_files()). */
bool config_field_equals(const struct config *a, const struct config *b,
	const struct config_setting *s);

/* With its origin. False if memory is out. */
MUST_CHECK bool config_field_copy(struct config *to, const struct config *from,
	const struct config_setting *s);

void config_field_free(struct config *c, const struct config_setting *s);

#endif
