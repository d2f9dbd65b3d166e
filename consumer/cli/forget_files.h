#ifndef CLI_FORGET_FILES_H
#define CLI_FORGET_FILES_H

#include "base/error.h"
#include "base/pseudonyms.h"

#include <stdbool.h>
#include <stdint.h>

/* What `forget` does with files: partition files are rewritten, the log is only searched. Each file
 * is reported in a line on stdout, as text or JSON. */
struct forget_files {
	struct pseudonyms *list; /* the forms of the token */
	bool dry_run;
	bool json;
};

/* Rewrites a partition file. */
MUST_CHECK bool forget_part(const struct forget_files *f, const char *path, struct error *err);

/* Searches the log in that folder, which may be in use. kept_us: spool.retain. */
MUST_CHECK bool forget_look_at_log(const struct forget_files *f, const char *dir, int64_t kept_us,
	struct error *err);

/* Searches the log beside it in which `dead-letters requeue` keeps what it feeds, if it exists. */
MUST_CHECK bool forget_look_at_requeued(const struct forget_files *f, const char *spool_dir,
	struct error *err);

#endif
