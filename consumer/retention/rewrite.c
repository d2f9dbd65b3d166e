#include "retention/rewrite.h"

#include "base/fs.h"
#include "retention/copy_hide.h"
#include "retention/part.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

struct rewrite {
	char path[PATH_MAX]; /* without symbolic links */
	char temporary[PATH_MAX];
	struct part_reader *reader;
	struct part_writer *writer; /* NULL: only counting */
	struct pseudonyms *list;
	struct copy_hide hide;
};

/* Line by line, as they were added. */
static bool rewrite_other(struct rewrite *r, const struct part_piece *piece, struct error *err)
{
	struct slice lines = piece->bytes;

	if (r->writer == NULL)
		return true;
	part_writer_begin_other(r->writer, piece->table, piece->columns);
	while (lines.size > 0) {
		const uint8_t *end = memchr(lines.data, '\n', lines.size);
		size_t size = end == NULL ? lines.size : (size_t)(end + 1 - lines.data);

		if (!part_writer_add_other(r->writer, slice_of(lines.data, size), err))
			return false;
		lines = slice_skip(lines, size);
	}
	return part_writer_end_other(r->writer, err);
}

static bool rewrite_rows(struct rewrite *r, struct slice bytes, struct error *err)
{
	return r->writer == NULL || bytes.size == 0 || part_writer_add(r->writer, bytes, err);
}

static bool rewrite_read(struct rewrite *r, struct error *err)
{
	struct part_piece piece;
	struct slice bytes;

	for (;;) {
		switch (part_reader_next(r->reader, &piece, err)) {
		case PART_OTHER:
			if (!rewrite_other(r, &piece, err))
				return false;
			break;
		case PART_ROWS:
			if (!copy_hide_add(&r->hide, piece.bytes, r->path, &bytes, err) ||
				!rewrite_rows(r, bytes, err))
				return false;
			break;
		case PART_END:
			return true;
		case PART_FAILED:
			return false;
		}
	}
}

/* The whole file, checked; fd: the old one; to: the new one, or -1. */
static bool rewrite_from(struct rewrite *r, int fd, int to, struct part_trailer *out,
	struct error *err)
{
	bool ok = part_reader_open(&r->reader, fd, r->path, err);

	if (ok)
		copy_hide_init(&r->hide, part_reader_header(r->reader), r->list);
	ok = ok &&
	     (to < 0 || part_writer_open(&r->writer, to, r->temporary,
				part_reader_header(r->reader), err)) &&
	     rewrite_read(r, err) &&
	     (to < 0 || (part_writer_finish(r->writer, part_reader_trailer(r->reader)->rows, out,
				 err) &&
				fs_sync_data(to, r->temporary, err)));

	copy_hide_free(&r->hide);
	part_writer_close(&r->writer);
	part_reader_close(&r->reader);
	return ok;
}

static bool rewrite_once(struct rewrite *r, int to, struct part_trailer *out, struct error *err)
{
	int fd = fs_open(r->path, FS_READ, err);
	bool ok = fd >= 0 && (to < 0 || fs_copy_rights(fd, to, r->temporary, err)) &&
		  rewrite_from(r, fd, to, out, err);

	(void)fs_close(&fd, r->path, NULL);
	return ok;
}

static bool rewrite_is_right(const struct rewrite *r, int to, const struct part_trailer *wanted,
	struct error *err)
{
	struct part_trailer found;

	if (!part_check(to, r->temporary, NULL, &found, err))
		return error_prefix(err, "reading back what was written");
	return (found.rows == wanted->rows && found.bytes == wanted->bytes &&
		       memcmp(found.sha256, wanted->sha256, SHA256_BYTES) == 0) ||
	       error_set(err, ERROR_DAMAGED, REASON_file,
		       "\"%s\" does not hold what was written to it", r->temporary);
}

/* The file's folder. */
static void rewrite_folder(const struct rewrite *r, char out[static PATH_MAX])
{
	const char *slash = strrchr(r->path, '/');

	if (slash == NULL)
		snprintf(out, PATH_MAX, ".");
	else
		snprintf(out, PATH_MAX, "%.*s", (int)(slash - r->path) + 1, r->path);
}

/* Removes what an interrupted or failed run left beside the file. */
static void rewrite_clear(const struct rewrite *r)
{
	bool removed = fs_unlink(r->temporary, NULL);

	(void)removed;
}

static bool rewrite_replace(struct rewrite *r, struct error *err)
{
	struct part_trailer written;
	char dir[PATH_MAX];
	bool ok;
	int to;

	rewrite_clear(r); /* only one process forgets at a time */
	to = fs_open(r->temporary, FS_CREATE, err);
	if (to < 0)
		return false;
	ok = rewrite_once(r, to, &written, err) && rewrite_is_right(r, to, &written, err);
	ok = fs_close(&to, r->temporary, ok ? err : NULL) && ok;
	rewrite_folder(r, dir);
	if (ok && fs_rename(r->temporary, r->path, err))
		return fs_sync_dir(dir, err);
	rewrite_clear(r);
	return false;
}

bool part_rewrite(const char *path, struct pseudonyms *list, bool only_count, uint64_t *count_out,
	struct error *err)
{
	struct rewrite r = {.list = list};
	struct part_trailer ignored;

	if (!fs_real_path(path, r.path, err))
		return false;
	if (snprintf(r.temporary, sizeof(r.temporary), "%s.tmp", r.path) >=
		(int)sizeof(r.temporary))
		return error_set(err, ERROR_FATAL, REASON_file, "\"%s\" is too long a path", path);
	if (!rewrite_once(&r, -1, &ignored, err))
		return false;
	*count_out = r.hide.count;
	return only_count || r.hide.count == 0 || rewrite_replace(&r, err);
}
