#ifndef RETENTION_ARCHIVE_H
#define RETENTION_ARCHIVE_H

#include "base/error.h"

#include <libpq-fe.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The rows of a retired partition (retire.h), into a partition file (part.h). It is written under
 * another name, synced, read back and checked before it gets its own, and a file that is there is
 * never replaced: of the same content it is taken for what an interrupted call left, otherwise the
 * new one has a number after its name. So whoever drops the table after true loses nothing,
 * wherever an earlier call ended. Blocking; one thread; memory does not grow with the rows.
 */
struct archive_request {
	PGconn *conn;
	const char *dir;
	const char *parent;
	const char *retired;             /* the table */
	const char *from_time, *to_time; /* what it took, as PostgreSQL writes it */
};

struct archive_result {
	char path[PATH_MAX];
	uint64_t rows;
	int64_t bytes;
	bool found; /* the file was there */
};

/* False with err: of the database, NO_SPACE, FATAL of the disk. The table is as it was. */
MUST_CHECK bool archive_partition(const struct archive_request *request, struct archive_result *out,
	struct error *err);

/* False with err unless it is a folder that can be written to. It is not made: a disk that is not
 * mounted must not look like one that is empty. */
MUST_CHECK bool archive_check_dir(const char *dir, struct error *err);

#endif
