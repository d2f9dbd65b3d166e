#include "retention/restore.h"

#include "base/fs.h"
#include "base/pseudonyms.h"
#include "pg/connect.h"
#include "pg/pg_error.h"
#include "retention/copy_hide.h"
#include "retention/copy_walk.h"
#include "retention/query.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Rows and bytes of one transaction: some 100 ms. */
enum { RESTORE_ROWS = 5000, RESTORE_BYTES = 8 << 20, RESTORE_NAMES_BYTES = 64 << 10 };
enum { RESTORE_VERSION_BYTES = 64 };

static const uint8_t copy_begin[19] = "PGCOPY\n\xff\r\n";
static const uint8_t copy_end[2] = {0xff, 0xff};

/* Statements for the file's table; the server makes them, because it quotes the names. */
enum restore_sql {
	SQL_CREATE, /* pg_temp.restored: the rows of the file */
	SQL_COPY,   /* into it */
	SQL_ENSURE, /* partitions for the rows in it */
	SQL_KEYS,   /* for transactions; "" = none */
	SQL_INSERT, /* from it into the table */
	SQL_TIMES,  /* the first and the last of the rows, for the next two */
	SQL_ADD,    /* replaces rows that these only add to */
	SQL_LEFT,   /* counts rows that the table does not have, and those of them without a key */
	SQL_COUNT,
};

struct restore {
	PGconn *conn;
	const char *path;
	const struct part_header *header;
	struct restore_result *result;
	char *sql[SQL_COUNT];
	struct copy_walk walk;
	struct pseudonyms *forgotten;        /* tokens that the rows may still have */
	char version[RESTORE_VERSION_BYTES]; /* of that list */
	struct copy_hide hide;
	bool note_hours; /* for energy per hour */
	bool copying;
	bool held; /* held_byte is set: rows_step() */
	uint8_t held_byte;
	size_t rows, bytes; /* in the current transaction */
};

bool restore_is_part(const char *path, bool by_name, bool *is_out, struct error *err)
{
	uint8_t start[PART_MAGIC_BYTES];
	struct stat status;
	int64_t got;
	int fd;

	*is_out = false;
	if (stat(path, &status) != 0)
		return errno == ENOENT || errno == ENOTDIR ||
		       error_set_errno(err, ERROR_FATAL, REASON_disk, "could not read \"%s\"",
			       path);
	/* The file is opened twice, which a pipe does not survive. */
	if (!S_ISREG(status.st_mode))
		return true;
	fd = fs_open(path, FS_READ, err);
	if (fd < 0)
		return false;
	got = fs_pread(fd, start, sizeof(start), 0, path, err);
	*is_out = (by_name && cstr_ends_with(path, ".copy.zst")) ||
		  (got == sizeof(start) && part_is(start));
	(void)fs_close(&fd, path, NULL);
	return got >= 0;
}

/* ---- the table today ---- */

/* Names or types of the columns, separated by tabs; none of them has a tab. */
static void restore_join(const struct part_header *h, bool types, char *out)
{
	size_t used = 0;

	for (size_t i = 0; i < h->columns_count; i++)
		used += (size_t)snprintf(out + used, RESTORE_NAMES_BYTES - used, "%s%s",
			i > 0 ? "\t" : "", types ? h->columns[i].type : h->columns[i].name);
}

_Static_assert((PART_TYPE_BYTES + 1) * PART_COLUMNS_MAX <= RESTORE_NAMES_BYTES,
	"columns do not fit");

static bool restore_check_schema(struct restore *s, struct error *err)
{
	const char *params[] = {s->header->table};
	PGresult *r = retention_query(s->conn, "restore_schema.sql", 1, params, err);
	int64_t version;
	bool known;

	if (r == NULL)
		return false;
	version = PQntuples(r) == 1 ? strtoll(PQgetvalue(r, 0, 0), NULL, 10) : 0;
	known = PQntuples(r) == 1 && *PQgetvalue(r, 0, 1) == 't';
	PQclear(r);
	if (version < s->header->schema_version) {
		error_set(err, ERROR_OUTDATED, REASON_schema_behind,
			"\"%s\" was written with version %" PRId64
			" of the schema, and this one is at version %" PRId64,
			s->path, s->header->schema_version, version);
		return error_hint(err, "`ocpp-persister migrate up` brings it up to date");
	}
	return known ||
	       error_set(err, ERROR_FOREIGN, REASON_no_table,
		       "\"%s\" is of table \"%s\", which is not partitioned by time in this schema",
		       s->path, s->header->table);
}

/* The first thing that does not fit; no row means that all fits. */
static bool restore_check_columns(struct restore *s, const char *const *params, struct error *err)
{
	PGresult *r = retention_query(s->conn, "restore_columns.sql", 3, params, err);
	bool fits = r != NULL && PQntuples(r) == 0;

	if (r != NULL && !fits) {
		error_set(err, ERROR_FOREIGN, REASON_file, "\"%s\" does not fit: %s", s->path,
			PQgetvalue(r, 0, 0));
		error_hint(err,
			"unpack it with zstd -d and COPY it into a table with the columns that its "
			"header names (head -c 4000)");
	}
	PQclear(r);
	return fits;
}

static bool restore_prepare(struct restore *s, const char *const *params, struct error *err)
{
	PGresult *r = retention_query(s->conn, "restore_statements.sql", 2, params, err);
	bool ok = r != NULL;

	for (int i = 0; ok && i < SQL_COUNT; i++) {
		s->sql[i] = strdup(PQgetvalue(r, 0, i));
		ok = s->sql[i] != NULL ||
		     error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	PQclear(r);
	/* Left by the previous file, which may have ended in an error. */
	return ok &&
	       pg_exec(s->conn, "DROP TABLE IF EXISTS pg_temp.restored, pg_temp.restored_layouts",
		       err) &&
	       pg_exec(s->conn, s->sql[SQL_CREATE], err);
}

/* ---- COPY ---- */

static bool copy_start(struct restore *s, const char *sql, struct error *err)
{
	PGresult *r = PQexec(s->conn, sql);
	bool ok = PQresultStatus(r) == PGRES_COPY_IN;

	if (!ok)
		pg_error_from_result_or_connection(err, r, s->conn);
	PQclear(r);
	return ok;
}

static bool copy_put(struct restore *s, struct slice bytes, struct error *err)
{
	return PQputCopyData(s->conn, (const char *)bytes.data, (int)bytes.size) == 1 ||
	       pg_error_from_connection(err, s->conn);
}

static bool copy_finish(struct restore *s, struct error *err)
{
	PGresult *r;
	bool ok;

	if (PQputCopyEnd(s->conn, NULL) != 1)
		return pg_error_from_connection(err, s->conn);
	r = PQgetResult(s->conn);
	ok = PQresultStatus(r) == PGRES_COMMAND_OK;
	if (!ok)
		pg_error_from_result_or_connection(err, r, s->conn);
	for (; r != NULL; r = PQgetResult(s->conn))
		PQclear(r);
	return ok;
}

/* Runs one statement; *count_out: the rows it changed. */
static bool restore_run(struct restore *s, enum restore_sql which, uint64_t *count_out,
	struct error *err)
{
	PGresult *r = pg_query(s->conn, s->sql[which], 0, NULL, err);

	if (r == NULL)
		return false;
	*count_out = strtoull(PQcmdTuples(r), NULL, 10);
	PQclear(r);
	return true;
}

/* ---- rows that these refer to ---- */

static bool other_copy(struct restore *s, const struct part_piece *piece, const char *columns,
	struct error *err)
{
	char make[4096], insert[4096];

	snprintf(make, sizeof(make),
		"CREATE TEMPORARY TABLE IF NOT EXISTS restored_layouts AS SELECT %s FROM "
		"meter_value_layouts WITH NO DATA",
		columns);
	snprintf(insert, sizeof(insert),
		"INSERT INTO meter_value_layouts (%1$s) SELECT %1$s FROM pg_temp.restored_layouts "
		"ORDER BY layout_id ON CONFLICT (layout_id) DO NOTHING",
		columns);
	return pg_exec(s->conn, make, err) &&
	       copy_start(s, "COPY pg_temp.restored_layouts FROM STDIN", err) &&
	       copy_put(s, piece->bytes, err) && copy_finish(s, err) &&
	       pg_exec(s->conn, insert, err);
}

/* Rows that already exist must be the same. */
static bool other_agrees(struct restore *s, struct error *err)
{
	PGresult *r = pg_query(s->conn,
		"SELECT layout_id FROM pg_temp.restored_layouts f JOIN meter_value_layouts l "
		"USING (layout_id) WHERE l.layout <> f.layout LIMIT 1",
		0, NULL, err);
	bool ok = r != NULL;

	if (ok && PQntuples(r) > 0)
		ok = error_set(err, ERROR_FATAL, REASON_layout_differs,
			"layout %s of \"%s\" differs from the one in the database",
			PQgetvalue(r, 0, 0), s->path);
	PQclear(r);
	return ok && pg_exec(s->conn, "TRUNCATE pg_temp.restored_layouts", err);
}

static bool restore_other(struct restore *s, const struct part_piece *piece, struct error *err)
{
	const char *params[] = {piece->columns};
	PGresult *r;
	bool ok;

	if (strcmp(piece->table, PART_OTHER_TABLE) != 0)
		return error_set(err, ERROR_FOREIGN, REASON_file,
			"\"%s\" has rows of table \"%s\", which cannot be restored here", s->path,
			piece->table);
	r = retention_query(s->conn, "restore_layouts.sql", 1, params, err);
	ok = r != NULL;
	if (ok && *PQgetvalue(r, 0, 1) != 't')
		ok = error_set(err, ERROR_FOREIGN, REASON_file,
			"\"%s\" does not fit: its layouts have columns that meter_value_layouts "
			"does not have",
			s->path);
	ok = ok && other_copy(s, piece, PQgetvalue(r, 0, 0), err) && other_agrees(s, err);
	PQclear(r);
	return ok;
}

/* ---- forgotten tokens ---- */

/* A value of type bytea, as text. */
static bool forgotten_bytes(const PGresult *r, int row, int column, unsigned char **out,
	size_t *size_out, struct error *err)
{
	*out = PQunescapeBytea((const unsigned char *)PQgetvalue(r, row, column), size_out);
	return *out != NULL || error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
}

static bool forgotten_add(struct pseudonyms *list, const PGresult *r, int row, struct error *err)
{
	unsigned char *hash;
	size_t size;
	bool ok;

	if (PQgetisnull(r, row, 1))
		return true;
	if (!forgotten_bytes(r, row, 1, &hash, &size, err))
		return false;
	ok = pseudonyms_add(list, slice_of(hash, size), slice_from_cstr(PQgetvalue(r, row, 2)),
		err);
	PQfreemem(hash);
	return ok;
}

/* Identifies the state of the list. */
static bool forgotten_version(struct restore *s, char out[static RESTORE_VERSION_BYTES],
	struct error *err)
{
	PGresult *r = retention_query(s->conn, "restore_forgotten_version.sql", 0, NULL, err);

	if (r == NULL)
		return false;
	snprintf(out, RESTORE_VERSION_BYTES, "%s", PQgetvalue(r, 0, 0));
	PQclear(r);
	return true;
}

/*
 * From here to COMMIT nobody forgets a token: `forget` waits for this lock, as it does for workers'
 * claims, before its token is in the list; then it searches the tables. Rows read with an earlier
 * list may still have that token.
 */
static bool forgotten_begin(struct restore *s, struct error *err)
{
	char version[RESTORE_VERSION_BYTES];

	if (!pg_exec(s->conn,
		    "BEGIN ISOLATION LEVEL READ COMMITTED; "
		    "LOCK TABLE ingest_progress IN ROW EXCLUSIVE MODE",
		    err) ||
		!forgotten_version(s, version, err))
		return false;
	if (strcmp(version, s->version) == 0)
		return true;
	if (!pg_exec(s->conn, "ROLLBACK", err))
		return false;
	return error_set(err, ERROR_STALE, REASON_tokens_forgotten,
		"tokens were forgotten meanwhile: \"%s\" is read again without them", s->path);
}

static bool forgotten_read(struct restore *s, struct error *err)
{
	PGresult *r = retention_query(s->conn, "restore_forgotten.sql", 0, NULL, err);
	unsigned char *salt;
	size_t size;
	bool ok = r != NULL && (PQntuples(r) > 0 || error_set(err, ERROR_FATAL, REASON_unexpected,
							    "forgotten_salt is empty"));

	ok = ok && forgotten_bytes(r, 0, 0, &salt, &size, err);

	if (ok) {
		ok = pseudonyms_begin(s->forgotten, slice_of(salt, size), err);
		PQfreemem(salt);
	}
	for (int i = 0; ok && i < PQntuples(r); i++)
		ok = forgotten_add(s->forgotten, r, i, err);
	PQclear(r);
	return ok;
}

/* ---- rows ---- */

static bool rows_begin(struct restore *s, struct error *err)
{
	if (s->copying)
		return true;
	s->copying = copy_start(s, s->sql[SQL_COPY], err) &&
		     copy_put(s, slice_of(copy_begin, sizeof(copy_begin)), err);
	return s->copying;
}

/* times: of the rows, from SQL_TIMES. */
static bool rows_compare_at(struct restore *s, const char *const times[static 2], uint64_t *stored,
	struct error *err)
{
	PGresult *r = pg_query(s->conn, s->sql[SQL_ADD], 2, times, err);

	if (r == NULL)
		return false;
	*stored += strtoull(PQcmdTuples(r), NULL, 10);
	PQclear(r);
	r = pg_query(s->conn, s->sql[SQL_LEFT], 2, times, err);
	if (r == NULL)
		return false;
	s->result->left_out += strtoull(PQgetvalue(r, 0, 0), NULL, 10);
	s->result->left_elsewhere += strtoull(PQgetvalue(r, 0, 1), NULL, 10);
	PQclear(r);
	return true;
}

/* Some rows were already there: perhaps other ones, as when a late event created a transaction
 * again. */
static bool rows_compare(struct restore *s, uint64_t *stored, struct error *err)
{
	PGresult *r = pg_query(s->conn, s->sql[SQL_TIMES], 0, NULL, err);
	bool ok;

	if (r == NULL)
		return false;
	ok = rows_compare_at(s, (const char *[]){PQgetvalue(r, 0, 0), PQgetvalue(r, 0, 1)}, stored,
		err);
	PQclear(r);
	return ok;
}

/* Batches note this, too (copy/metered.h). */
static bool rows_note_hours(struct restore *s, struct error *err)
{
	PGresult *r;
	bool ok;

	if (!s->note_hours || strcmp(s->header->table, "meter_values") != 0)
		return true;
	r = retention_query(s->conn, "restore_hours.sql", 0, NULL, err);
	ok = r != NULL;
	PQclear(r);
	return ok;
}

/*
 * Moves the copied rows into the table. Each partition is created in its own transaction, before
 * the rows are stored, because somebody else who creates a partition at that moment waits for it.
 */
static bool rows_store(struct restore *s, struct error *err)
{
	uint64_t ignored, stored = 0;

	if (!s->copying)
		return true;
	s->copying = false;
	if (!copy_put(s, slice_of(copy_end, sizeof(copy_end)), err) || !copy_finish(s, err) ||
		!restore_run(s, SQL_ENSURE, &ignored, err) || !forgotten_begin(s, err) ||
		(s->sql[SQL_KEYS][0] != '\0' && !restore_run(s, SQL_KEYS, &ignored, err)) ||
		!restore_run(s, SQL_INSERT, &stored, err) ||
		(stored < s->rows && !rows_compare(s, &stored, err)) ||
		(stored > 0 && !rows_note_hours(s, err)) ||
		!pg_exec(s->conn, "COMMIT; TRUNCATE pg_temp.restored", err))
		return false;
	s->result->stored += stored;
	s->rows = s->bytes = 0;
	return true;
}

/* One step of the walk: bytes of a row, or the end of the data. Two bytes decide which it is; if a
 * piece has only the first of them, it is held back until the second comes. */
static bool rows_step(struct restore *s, struct slice bytes, struct error *err)
{
	bool ends = s->walk.state == COPY_WALK_END;
	bool held = s->held;

	s->held = s->walk.state == COPY_WALK_ROW && s->walk.part_size > 0;
	if (ends || s->held)
		return true;
	if (!rows_begin(s, err) || (held && !copy_put(s, slice_of(&s->held_byte, 1), err)) ||
		!copy_put(s, bytes, err))
		return false;
	s->bytes += bytes.size;
	if (!copy_walk_is_between(&s->walk))
		return true;
	s->rows++;
	return (s->rows < RESTORE_ROWS && s->bytes < RESTORE_BYTES) || rows_store(s, err);
}

static bool restore_rows(struct restore *s, struct slice bytes, struct error *err)
{
	while (bytes.size > 0) {
		bool in_header =
			s->walk.state == COPY_WALK_HEADER || s->walk.state == COPY_WALK_EXTENSION;
		const char *why = "";
		size_t passed = copy_walk_step(&s->walk, bytes, &why);

		if (passed == 0)
			return error_set(err, ERROR_DAMAGED, REASON_file, "\"%s\" is damaged: %s",
				s->path, why);
		if (!in_header && !rows_step(s, slice_of(bytes.data, passed), err))
			return false;
		if (s->held)
			s->held_byte = bytes.data[0];
		bytes = slice_skip(bytes, passed);
	}
	return true;
}

/* ---- the file ---- */

static bool restore_read(struct restore *s, struct part_reader *reader, struct error *err)
{
	for (;;) {
		struct part_piece piece;
		struct slice bytes;

		switch (part_reader_next(reader, &piece, err)) {
		case PART_OTHER:
			if (!restore_other(s, &piece, err))
				return false;
			break;
		case PART_ROWS:
			if (!copy_hide_add(&s->hide, piece.bytes, s->path, &bytes, err) ||
				!restore_rows(s, bytes, err))
				return false;
			break;
		case PART_END:
			return rows_store(s, err);
		case PART_FAILED:
			return false;
		}
	}
}

static bool restore_with(struct restore *s, struct part_reader *reader, struct error *err)
{
	char *names = malloc(RESTORE_NAMES_BYTES), *types = malloc(RESTORE_NAMES_BYTES);
	const char *check[] = {s->header->table, names, types};
	bool ok = names != NULL && types != NULL;

	if (ok) {
		restore_join(s->header, false, names);
		restore_join(s->header, true, types);
		copy_walk_init(&s->walk, s->header->columns_count);
		ok = restore_check_schema(s, err) && restore_check_columns(s, check, err) &&
		     restore_prepare(s, check, err) && pseudonyms_new(&s->forgotten, err) &&
		     forgotten_version(s, s->version, err) && forgotten_read(s, err);
		copy_hide_init(&s->hide, s->header, s->forgotten);
		ok = ok && restore_read(s, reader, err);
		copy_hide_free(&s->hide);
		pseudonyms_free(&s->forgotten);
	} else {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	}
	free(names);
	free(types);
	for (int i = 0; i < SQL_COUNT; i++)
		free(s->sql[i]);
	return ok;
}

static bool restore_check_open(int fd, const char *path, struct restore_result *out,
	struct error *err)
{
	struct part_header *header = malloc(sizeof(*header));
	struct part_trailer trailer;
	bool ok;

	*out = (struct restore_result){.rows = 0};
	if (header == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	ok = part_check(fd, path, header, &trailer, err);
	if (ok) {
		memcpy(out->table, header->table, sizeof(out->table));
		memcpy(out->name, header->name, sizeof(out->name));
		out->rows = trailer.rows;
	}
	free(header);
	return ok;
}

bool restore_check(const char *path, struct restore_result *out, struct error *err)
{
	int fd = fs_open(path, FS_READ, err);
	bool ok;

	*out = (struct restore_result){.rows = 0};
	if (fd < 0)
		return false;
	ok = restore_check_open(fd, path, out, err);
	(void)fs_close(&fd, path, NULL);
	return ok;
}

/* All of it. STALE: it is to be done again. */
static bool restore_once(PGconn *conn, int fd, const char *path, bool note_hours,
	struct restore_result *out, struct error *err)
{
	struct restore s = {.conn = conn, .path = path, .note_hours = note_hours, .result = out};
	struct part_reader *reader = NULL;
	bool ok = part_reader_open(&reader, fd, path, err);

	out->left_out = out->left_elsewhere = 0; /* they are counted again */
	if (ok) {
		s.header = part_reader_header(reader);
		ok = restore_with(&s, reader, err);
	}
	part_reader_close(&reader);
	return ok;
}

bool restore_file(PGconn *conn, const char *path, bool note_hours, struct restore_result *out,
	struct error *err)
{
	int fd = fs_open(path, FS_READ, err);
	bool ok;

	*out = (struct restore_result){.rows = 0};
	if (fd < 0)
		return false;
	ok = restore_check_open(fd, path, out, err);
	if (ok) {
		do
			ok = restore_once(conn, fd, path, note_hours, out, err);
		while (!ok && err->kind == ERROR_STALE);
	}
	(void)fs_close(&fd, path, NULL);
	return ok;
}
