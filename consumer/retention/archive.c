#include "retention/archive.h"

#include "base/fs.h"
#include "pg/connect.h"
#include "pg/pg_error.h"
#include "retention/part.h"
#include "retention/query.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARCHIVE_NAMES_MAX = 1000, ARCHIVE_SUFFIX_BYTES = 32 };

struct archive {
	const struct archive_request *request;
	struct part_header header;
	struct part_trailer trailer;
	char temporary[PATH_MAX];
	int fd; /* the temporary file, locked */
	char *copy_sql;
	char *other_sql, *other_columns; /* NULL: the rows do not refer to other rows */
};

bool archive_check_dir(const char *dir, struct error *err)
{
	struct stat status;

	if (stat(dir, &status) != 0)
		return error_set_errno(err, ERROR_FATAL, REASON_file,
			"could not open the folder \"%s\"", dir);
	if (!S_ISDIR(status.st_mode))
		return error_set(err, ERROR_FATAL, REASON_file, "\"%s\" is not a folder", dir);
	if (access(dir, W_OK | X_OK) != 0)
		return error_set_errno(err, ERROR_FATAL, REASON_file, "could not write to \"%s\"",
			dir);
	return true;
}

/* ---- the table's properties ---- */

static char *archive_text(const PGresult *r, int column, struct error *err)
{
	char *text = strdup(PQgetvalue(r, 0, column));

	if (text == NULL)
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	return text;
}

/* The partition's original name, its time, and the version of the schema. */
static bool archive_read_table(struct archive *a, struct error *err)
{
	const struct archive_request *q = a->request;
	const char *params[] = {q->parent, q->from_time, q->to_time};
	struct part_header *h = &a->header;
	PGresult *r = retention_query(q->conn, "archive_table.sql", 3, params, err);

	if (r == NULL)
		return false;
	snprintf(h->table, sizeof(h->table), "%s", q->parent);
	snprintf(h->name, sizeof(h->name), "%s", PQgetvalue(r, 0, 0));
	snprintf(h->from_time, sizeof(h->from_time), "%s", PQgetvalue(r, 0, 1));
	snprintf(h->to_time, sizeof(h->to_time), "%s", PQgetvalue(r, 0, 2));
	h->schema_version = strtoll(PQgetvalue(r, 0, 3), NULL, 10);
	PQclear(r);
	return true;
}

static bool archive_add_column(struct archive *a, const char *name, const char *type,
	struct error *err)
{
	struct part_column *c = &a->header.columns[a->header.columns_count];

	if (a->header.columns_count == PART_COLUMNS_MAX)
		return error_set(err, ERROR_FATAL, REASON_file, "table \"%s\" has too many columns",
			a->request->retired);
	if (strpbrk(name, "\t\n") != NULL || strpbrk(type, "\t\n") != NULL ||
		strlen(type) >= sizeof(c->type))
		return error_set(err, ERROR_FATAL, REASON_file,
			"column \"%s\" of table \"%s\" has a name or a type that a partition file "
			"cannot hold",
			name, a->request->retired);
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->type, sizeof(c->type), "%s", type);
	a->header.columns_count++;
	return true;
}

/* The columns, and the statement that copies them. */
static bool archive_read_columns(struct archive *a, struct error *err)
{
	const char *params[] = {a->request->retired, a->request->parent};
	PGresult *r = retention_query(a->request->conn, "archive_columns.sql", 2, params, err);
	bool ok = r != NULL;

	for (int i = 0; ok && i < PQntuples(r); i++)
		ok = archive_add_column(a, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), err);
	if (ok) {
		a->copy_sql = archive_text(r, 2, err);
		ok = a->copy_sql != NULL;
	}
	PQclear(r);
	return ok;
}

/* The rows that these refer to, if any. */
static bool archive_read_other(struct archive *a, struct error *err)
{
	const char *params[] = {a->request->retired};
	size_t column = 0;
	PGresult *r;

	while (column < a->header.columns_count &&
		strcmp(a->header.columns[column].name, PART_OTHER_COLUMN) != 0)
		column++;
	if (column == a->header.columns_count)
		return true;
	r = retention_query(a->request->conn, "archive_layouts.sql", 1, params, err);
	if (r == NULL)
		return false;
	a->other_columns = archive_text(r, 0, err);
	a->other_sql = archive_text(r, 1, err);
	PQclear(r);
	return a->other_columns != NULL && a->other_sql != NULL;
}

/* ---- the file ---- */

/*
 * Opens the temporary file for us alone: without the lock, a second process would truncate what the
 * first is writing. After locking, check again, since the other process may have renamed it
 * meanwhile.
 */
static bool archive_open_temporary(struct archive *a, struct error *err)
{
	struct stat by_name, opened;

	if (snprintf(a->temporary, sizeof(a->temporary), "%s/.%s.copy.zst.tmp", a->request->dir,
		    a->header.name) >= (int)sizeof(a->temporary) - ARCHIVE_SUFFIX_BYTES)
		return error_set(err, ERROR_FATAL, REASON_file, "folder name \"%.64s\" is too long",
			a->request->dir);
	a->fd = fs_open(a->temporary, FS_LOCK, err);
	if (a->fd < 0)
		return false;
	if (flock(a->fd, LOCK_EX | LOCK_NB) == 0 && fstat(a->fd, &opened) == 0 &&
		stat(a->temporary, &by_name) == 0 && by_name.st_ino == opened.st_ino)
		return fs_truncate(a->fd, 0, a->temporary, err);
	error_set(err, ERROR_FATAL, REASON_file, "another process is writing \"%s\"", a->temporary);
	return error_hint(err, "each database needs a folder of its own");
}

static void archive_file_name(const struct archive *a, int number, char out[static PATH_MAX])
{
	char suffix[ARCHIVE_SUFFIX_BYTES] = "";

	if (number > 1)
		snprintf(suffix, sizeof(suffix), "-%d", number);
	snprintf(out, PATH_MAX, "%s/%s%s.copy.zst", a->request->dir, a->header.name, suffix);
}

/* Whether an existing file has what would be written: an earlier call ended before the drop. */
static bool archive_is_there(const struct archive *a, const char *path)
{
	struct part_header header;
	struct part_trailer trailer;
	struct stat status;
	/* Opening a pipe would wait for its writer. */
	int fd = stat(path, &status) == 0 && S_ISREG(status.st_mode) ? fs_open(path, FS_READ, NULL)
								     : -1;
	bool same = fd >= 0 && part_check(fd, path, &header, &trailer, NULL) &&
		    strcmp(header.table, a->header.table) == 0 && trailer.rows == a->trailer.rows &&
		    trailer.other_rows == a->trailer.other_rows &&
		    memcmp(trailer.sha256, a->trailer.sha256, SHA256_BYTES) == 0;

	(void)fs_close(&fd, path, NULL);
	return same;
}

static bool archive_place(struct archive *a, struct archive_result *out, struct error *err)
{
	for (int number = 1; number <= ARCHIVE_NAMES_MAX; number++) {
		bool taken;

		archive_file_name(a, number, out->path);
		if (!fs_rename_new(a->temporary, out->path, &taken, err))
			return false;
		if (!taken)
			return fs_sync_dir(a->request->dir, err);
		if (!archive_is_there(a, out->path))
			continue;
		out->found = true;
		return fs_unlink(a->temporary, err) && fs_sync_dir(a->request->dir, err);
	}
	return error_set(err, ERROR_FATAL, REASON_file,
		"\"%s\" and all names with a number are taken", out->path);
}

/* Reads it from the disk, if the kernel agrees to drop its cache. */
static bool archive_read_back(const struct archive *a, struct error *err)
{
	struct part_trailer found;

	(void)posix_fadvise(a->fd, 0, 0, POSIX_FADV_DONTNEED);
	if (!part_check(a->fd, a->temporary, NULL, &found, err))
		return error_prefix(err, "reading back what was written");
	if (found.rows == a->trailer.rows && found.other_rows == a->trailer.other_rows &&
		memcmp(found.sha256, a->trailer.sha256, SHA256_BYTES) == 0)
		return true;
	return error_set(err, ERROR_DAMAGED, REASON_file,
		"\"%s\" does not hold what was written to it", a->temporary);
}

/* ---- the rows ---- */

/* Each row as the server sends it; then checks how many there were. */
static bool archive_copy(struct archive *a, const char *sql,
	bool (*add)(struct part_writer *w, struct slice bytes, struct error *err),
	struct part_writer *w, uint64_t *rows_out, struct error *err)
{
	PGconn *conn = a->request->conn;
	PGresult *r = PQexec(conn, sql);
	bool ok = PQresultStatus(r) == PGRES_COPY_OUT;
	char *bytes = NULL;
	int size = 0;

	if (!ok)
		pg_error_from_result_or_connection(err, r, conn);
	PQclear(r);
	while (ok && (size = PQgetCopyData(conn, &bytes, 0)) > 0) {
		ok = add(w, slice_of(bytes, (size_t)size), err);
		PQfreemem(bytes);
	}
	if (!ok)
		return false; /* the connection still has data, and is unusable */
	if (size == -2)
		return pg_error_from_connection(err, conn);
	r = PQgetResult(conn);
	ok = PQresultStatus(r) == PGRES_COMMAND_OK;
	if (ok)
		*rows_out = strtoull(PQcmdTuples(r), NULL, 10);
	else
		pg_error_from_result_or_connection(err, r, conn);
	for (; r != NULL; r = PQgetResult(conn))
		PQclear(r);
	return ok;
}

static bool archive_write_other(struct archive *a, struct part_writer *w, struct error *err)
{
	uint64_t rows;

	if (a->other_sql == NULL)
		return true;
	part_writer_begin_other(w, PART_OTHER_TABLE, a->other_columns);
	return archive_copy(a, a->other_sql, part_writer_add_other, w, &rows, err) &&
	       part_writer_end_other(w, err);
}

static bool archive_write(struct archive *a, struct error *err)
{
	struct part_writer *w = NULL;
	uint64_t rows = 0;
	bool ok = part_writer_open(&w, a->fd, a->temporary, &a->header, err) &&
		  archive_write_other(a, w, err) &&
		  archive_copy(a, a->copy_sql, part_writer_add, w, &rows, err) &&
		  part_writer_finish(w, rows, &a->trailer, err) &&
		  fs_sync_data(a->fd, a->temporary, err);

	part_writer_close(&w);
	return ok;
}

/* In one snapshot, and in the order of the table. All rows or an error, even if a policy hides some
 * of them or the role has a statement timeout. */
static bool archive_in_transaction(struct archive *a, struct error *err)
{
	PGconn *conn = a->request->conn;
	bool ok = pg_exec(conn,
			  "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
			  "SET LOCAL row_security = off; "
			  "SET LOCAL statement_timeout = 0; "
			  "SET LOCAL synchronize_seqscans = off; "
			  "SET LOCAL max_parallel_workers_per_gather = 0",
			  err) &&
		  archive_read_table(a, err) && archive_read_columns(a, err) &&
		  archive_read_other(a, err) && archive_open_temporary(a, err) &&
		  archive_write(a, err) && pg_exec(conn, "COMMIT", err);

	if (!ok && PQtransactionStatus(conn) == PQTRANS_INERROR)
		PQclear(PQexec(conn, "ROLLBACK")); /* other partitions may still be archived */
	return ok;
}

bool archive_partition(const struct archive_request *request, struct archive_result *out,
	struct error *err)
{
	struct archive *a = calloc(1, sizeof(*a));
	bool ok;

	*out = (struct archive_result){.rows = 0};
	if (a == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	a->request = request;
	a->fd = -1;
	ok = archive_in_transaction(a, err) && archive_read_back(a, err);
	if (ok && a->trailer.rows == 0) {
		ok = fs_unlink(a->temporary, err) && fs_sync_dir(request->dir, err);
	} else if (ok) {
		out->rows = a->trailer.rows;
		out->bytes = fs_size(a->fd, a->temporary, err);
		ok = out->bytes >= 0 && archive_place(a, out, err);
	}
	(void)fs_close(&a->fd, a->temporary, NULL);
	free(a->copy_sql);
	free(a->other_sql);
	free(a->other_columns);
	free(a);
	return ok;
}
