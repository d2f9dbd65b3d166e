#ifndef RETENTION_REWRITE_H
#define RETENTION_REWRITE_H

#include "base/error.h"
#include "base/pseudonyms.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * A partition file (part.h) with pseudonyms in the place of forgotten tokens: all else, and the
 * order of the rows, stays. It is written beside the old one, synced, read back and renamed, so
 * that at any moment one of the two is there, with the owner, group and mode of the old one; a
 * symbolic link stays and the file that it leads to is written. A file without any of the tokens
 * stays as it is. Blocking; one thread.
 */

/* only_count: nothing is written. *count_out: the places that had one. False with err: DAMAGED or
 * FOREIGN as part_reader_open(), or that of a file operation. */
MUST_CHECK bool part_rewrite(const char *path, struct pseudonyms *list, bool only_count,
	uint64_t *count_out, struct error *err);

#endif
