#ifndef RETENTION_REWRITE_H
#define RETENTION_REWRITE_H

#include "base/error.h"
#include "base/pseudonyms.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Replaces forgotten tokens in a partition file (part.h) by pseudonyms: everything else, and the
 * order of the rows, stays. The new file is written beside the old one, synced, read back and
 * renamed, so that at any moment one of the two exists, with the owner, group and mode of the old
 * one; if path is a symbolic link, the link stays and its target is replaced. A file without any of
 * the tokens is not touched. Blocking; one thread.
 */

/* only_count: writes nothing. *count_out: the number of places that had a token. False with err:
 * DAMAGED or FOREIGN as from part_reader_open(), or the error of a file operation. */
MUST_CHECK bool part_rewrite(const char *path, struct pseudonyms *list, bool only_count,
	uint64_t *count_out, struct error *err);

#endif
