#ifndef RETENTION_ARCHIVE_H
#define RETENTION_ARCHIVE_H

#include "base/error.h"

#include <libpq-fe.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Writes the rows of a retired partition (retire.h) to a partition file (part.h). The file is
 * written under a temporary name, synced, read back and checked before it gets its own name. An
 * existing file is never replaced: if it has the same content, an interrupted call left it;
 * otherwise the new file gets a number after its name. So a caller that drops the table after
 * success loses nothing, wherever an earlier call ended. Blocking; one thread; memory does not grow
 * with the rows.
 */
struct archive_request {
	PGconn *conn;
	const char *dir;
	const char *parent;
	const char *retired;             /* the table */
	const char *from_time, *to_time; /* the time it covered, in PostgreSQL's notation */
};

struct archive_result {
	char path[PATH_MAX]; /* "" = no rows, so no file */
	uint64_t rows;
	int64_t bytes;
	bool found; /* the file already existed */
};

/* False with err: a database error; NO_SPACE; FATAL from the disk. The table is unchanged. */
MUST_CHECK bool archive_partition(const struct archive_request *request, struct archive_result *out,
	struct error *err);

/* False with err unless it is a folder that can be written to. It is not created: a disk that is
 * not mounted must not look like an empty one. */
MUST_CHECK bool archive_check_dir(const char *dir, struct error *err);

#endif
