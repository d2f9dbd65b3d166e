#include "spool/folder.h"

#include "base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_FILES_MAX = 1 << 20 };

static int folder_order(const void *a, const void *b)
{
	const struct folder_file *x = a, *y = b;

	if (x->first_seq == y->first_seq)
		return x->archived - y->archived;
	return x->first_seq > y->first_seq ? 1 : -1;
}

static bool folder_add(struct folder *f, size_t *room, const struct folder_file *file,
	struct error *err)
{
	struct folder_file *grown;

	if (f->count == *room) {
		*room = *room == 0 ? 64 : *room * 2;
		grown = *room > FOLDER_FILES_MAX ? NULL : realloc(f->files, *room * sizeof(*grown));
		if (grown == NULL)
			return error_set(err, ERROR_FATAL, REASON_memory,
				"too many files in \"%s\"", f->dir);
		f->files = grown;
	}
	f->files[f->count++] = *file;
	return true;
}

static bool folder_read_file(struct folder *f, DIR *dir, const char *name, size_t *room,
	struct error *err)
{
	struct folder_file file = {.first_seq = 0};
	struct stat status;

	f->set_aside += cstr_ends_with(name, SEGMENT_ASIDE);
	file.archived = archive_name_parse(name, &file.first_seq);
	if (!file.archived && !segment_name_parse(name, &file.first_seq))
		return true;
	if (fstatat(dirfd(dir), name, &status, 0) != 0) {
		if (errno == ENOENT)
			return true; /* it has gone meanwhile */
		return error_set_errno(err, ERROR_FATAL, REASON_disk, "could not look at \"%s/%s\"",
			f->dir, name);
	}
	file.bytes = status.st_size;
	snprintf(file.name, sizeof(file.name), "%s", name);
	return folder_add(f, room, &file, err);
}

static bool folder_read(struct folder *f, DIR *dir, struct error *err)
{
	const char *name;
	size_t room = 0;

	do {
		if (!fs_next_name(dir, f->dir, &name, err) ||
			(name != NULL && !folder_read_file(f, dir, name, &room, err)))
			return false;
	} while (name != NULL);
	return true;
}

bool folder_list(struct folder *out, const char *dir, struct error *err)
{
	DIR *stream = opendir(dir);
	size_t kept = 0;
	bool ok;

	*out = (struct folder){.dir = dir};
	if (stream == NULL)
		return error_set_errno(err, ERROR_ABSENT, REASON_no_spool, "could not list \"%s\"",
			dir);
	ok = folder_read(out, stream, err);
	closedir(stream);
	if (ok && out->count == 0)
		ok = error_set(err, ERROR_ABSENT, REASON_no_spool, "there is no log in \"%s\"",
			dir);
	if (!ok) {
		folder_free(out);
		return false;
	}
	qsort(out->files, out->count, sizeof(*out->files), folder_order);
	/* A segment beside its archive is being packed right now. */
	for (size_t i = 0; i < out->count; i++) {
		if (kept == 0 || out->files[kept - 1].first_seq != out->files[i].first_seq)
			out->files[kept++] = out->files[i];
	}
	out->count = kept;
	return true;
}

void folder_free(struct folder *folder)
{
	free(folder->files);
	folder->files = NULL;
	folder->count = 0;
}

/* ---- reading ---- */

static void folder_on_damage(void *context, int64_t offset, int64_t bytes, const char *why)
{
	struct folder_reader *r = context;

	(void)bytes;
	r->events.on_damage(r->events.context, r->path, offset, why);
}

static int folder_temporary(char path[static PATH_MAX], struct error *err)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets variables */
	const char *dir = getenv("TMPDIR");
	int fd;

	snprintf(path, PATH_MAX, "%s/ocpp-persister.XXXXXX", dir != NULL ? dir : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		error_set_errno(err, ERROR_FATAL, REASON_temporary, "could not make \"%s\"", path);
		error_hint(err, "TMPDIR says where it is; it takes one segment at a time");
		return -1;
	}
	(void)unlink(path);
	return fd;
}

/* Whether it is absent; a link or a pipe in its place is an error. */
static bool folder_open_file(struct folder_reader *r, struct error *err)
{
	struct stat status;

	r->fd = fs_open(r->path, FS_OWN, err);
	return r->fd < 0 && lstat(r->path, &status) != 0 && errno == ENOENT;
}

/* Finds it in its other form if the log has packed it since it was listed. GONE, FAILED or
 * OPENED. */
static enum folder_opened folder_find(struct folder_reader *r, const struct folder *folder,
	const struct folder_file *file, struct error *err)
{
	char name[ARCHIVE_NAME_BYTES];
	bool gone;

	snprintf(r->path, sizeof(r->path), "%s/%s", folder->dir, file->name);
	r->archived = file->archived;
	gone = folder_open_file(r, err);
	if (gone && !file->archived) {
		archive_name(file->first_seq, name);
		snprintf(r->path, sizeof(r->path), "%s/%s", folder->dir, name);
		r->archived = true;
		gone = folder_open_file(r, err);
	}
	if (r->fd >= 0)
		return FOLDER_OPENED;
	return gone ? FOLDER_GONE : FOLDER_FAILED;
}

static enum folder_opened folder_unpack(struct folder_reader *r, struct error *err)
{
	char path[PATH_MAX];
	int packed = r->fd;
	bool ok;

	r->fd = folder_temporary(path, err);
	ok = r->fd >= 0 && archive_unpack(packed, r->path, r->fd, path,
				   (struct archive_events){folder_on_damage, r}, err);
	close(packed);
	if (ok)
		return FOLDER_OPENED;
	folder_close(r);
	if (err->kind != ERROR_DAMAGED)
		return FOLDER_FAILED;
	r->events.on_damage(r->events.context, r->path, 0, err->message);
	return FOLDER_UNREADABLE;
}

enum folder_opened folder_open(struct folder_reader *r, const struct folder *folder, size_t i,
	struct folder_events events, struct error *err)
{
	enum folder_opened opened;

	*r = (struct folder_reader){.events = events, .fd = -1};
	opened = folder_find(r, folder, &folder->files[i], err);
	if (opened == FOLDER_OPENED && r->archived)
		opened = folder_unpack(r, err);
	if (opened != FOLDER_OPENED || segment_reader_init(&r->reader, r->fd, r->path, err))
		return opened;
	folder_close(r);
	if (err->kind != ERROR_DAMAGED && err->kind != ERROR_FOREIGN)
		return FOLDER_FAILED;
	r->events.on_damage(r->events.context, r->path, 0, err->message);
	return FOLDER_UNREADABLE;
}

static bool folder_read_header(const struct folder *folder, size_t i, struct segment_header *out)
{
	struct archive_summary summary;
	struct segment_reader reader;
	struct folder_reader r = {.fd = -1};
	bool ok;

	if (folder_find(&r, folder, &folder->files[i], NULL) != FOLDER_OPENED)
		return false;
	if (r.archived) {
		ok = archive_summary_read(r.fd, r.path, &summary, NULL);
		*out = summary.header;
	} else {
		ok = segment_reader_init(&reader, r.fd, r.path, NULL);
		*out = reader.header;
	}
	folder_close(&r);
	return ok;
}

/* Whether nothing was lost between two headers, as far as the log knows. */
static bool folder_is_whole(const struct segment_header *h, const struct segment_header *next)
{
	return h->follows.counted && next->follows.counted && h->follows.digested &&
	       next->follows.digested && h->follows.digest_from == next->follows.digest_from &&
	       next->follows.seq >= h->first_seq && next->follows.records > h->follows.records;
}

static bool folder_peek_segment(struct folder_reader *r, const struct folder *folder, size_t i,
	struct arena *arena)
{
	struct segment_header next;
	struct record record = {.seq = 0};
	bool ok;

	arena_reset(arena);
	if (i + 1 >= folder->count || !folder_read_header(folder, i + 1, &next) ||
		folder_find(r, folder, &folder->files[i], NULL) != FOLDER_OPENED)
		return false;
	ok = !r->archived && segment_reader_init(&r->reader, r->fd, r->path, NULL) &&
	     folder_is_whole(&r->reader.header, &next) &&
	     segment_reader_next(&r->reader, UINT64_MAX, arena, &record, NULL) == SEGMENT_RECORD &&
	     record.seq == r->reader.header.first_seq;
	r->first_received_us = record.received_us;
	ok = ok && segment_reader_last(&r->reader, next.follows.seq, arena, &record, NULL);
	r->last_received_us = record.received_us;
	r->records = next.follows.records - r->reader.header.follows.records;
	segment_reader_drop_window(&r->reader);
	arena_reset(arena);
	folder_close(r);
	return ok;
}

bool folder_peek(struct folder_reader *r, const struct folder *folder, size_t i,
	struct arena *arena)
{
	struct archive_summary summary;
	bool whole;

	*r = (struct folder_reader){.fd = -1};
	if (!folder->files[i].archived)
		return arena != NULL && folder_peek_segment(r, folder, i, arena);
	if (folder_find(r, folder, &folder->files[i], NULL) != FOLDER_OPENED)
		return false;
	whole = archive_summary_read(r->fd, r->path, &summary, NULL) && summary.whole;
	folder_close(r);
	if (!whole)
		return false;
	r->reader.header = summary.header;
	r->reader.last_seq = summary.last_seq;
	r->reader.offset = summary.bytes;
	r->records = summary.records;
	r->first_received_us = summary.first_received_us;
	r->last_received_us = summary.last_received_us;
	return true;
}

void folder_close(struct folder_reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

enum segment_next folder_next(struct folder_reader *r, struct arena *arena, struct record *out,
	struct error *err)
{
	int64_t before = r->reader.offset;
	enum segment_next next = segment_reader_next(&r->reader, UINT64_MAX, arena, out, err);

	/* Damage in an archive is per frame, and has been reported. */
	if (r->reader.missing > r->missing_reported && !r->archived)
		r->events.on_damage(r->events.context, r->path, before, "damaged records");
	r->missing_reported = r->reader.missing;
	if (next != SEGMENT_RECORD)
		return next;
	if (r->records == 0 || out->received_us < r->first_received_us)
		r->first_received_us = out->received_us;
	if (r->records == 0 || out->received_us > r->last_received_us)
		r->last_received_us = out->received_us;
	r->records++;
	return next;
}

/* ---- positions ---- */

enum { FOLDER_ARENA_BYTES = 64 << 20 };

static bool folder_open_whole(struct folder_reader *r, const struct folder *f, size_t i,
	struct folder_events events, struct error *err)
{
	switch (folder_open(r, f, i, events, err)) {
	case FOLDER_OPENED:
		return true;
	case FOLDER_GONE:
	case FOLDER_UNREADABLE:
		return error_set(err, ERROR_ABSENT, REASON_no_spool,
			"\"%s/%s\" is gone or cannot be read", f->dir, f->files[i].name);
	case FOLDER_FAILED:
		break;
	}
	return false;
}

static bool folder_pass(const struct folder *f, size_t i, uint64_t seq, struct folder_events events,
	struct position *out, struct error *err)
{
	struct folder_reader r;
	struct arena arena;
	bool ok;

	if (!folder_open_whole(&r, f, i, events, err))
		return false;
	ok = arena_init(&arena, FOLDER_ARENA_BYTES, 0) ||
	     error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading the log");
	if (ok) {
		*out = r.reader.header.follows;
		ok = segment_reader_pass(&r.reader, seq, &arena, out, &(int64_t){0}, err);
		arena_fini(&arena);
	}
	if (ok && seq != UINT64_MAX)
		segment_pass_damaged(&r.reader.header, seq, out);
	folder_close(&r);
	return ok;
}

static bool folder_header(const struct folder *f, size_t i, struct folder_events events,
	struct segment_header *out, struct error *err)
{
	struct folder_reader r;

	if (!folder_peek(&r, f, i, NULL)) {
		if (!folder_open_whole(&r, f, i, events, err))
			return false;
		folder_close(&r);
	}
	*out = r.reader.header;
	return true;
}

bool folder_positions(const struct folder *f, uint64_t seq, struct folder_events events,
	struct folder_positions *out, struct error *err)
{
	struct segment_header h;
	uint64_t last_seq; /* of the current file */
	char path[PATH_MAX];

	CHECK(f->count > 0);
	snprintf(path, sizeof(path), "%s/closed", f->dir);
	if (!fs_exists(path, &out->closed, err) ||
		!folder_header(f, f->count - 1, events, &h, err) ||
		!folder_pass(f, f->count - 1, UINT64_MAX, events, &out->end, err))
		return false;
	out->identity = h.spool;
	out->at = out->end;
	last_seq = out->end.seq;
	for (size_t i = f->count; i-- > 0 && seq < out->at.seq;) {
		if (!folder_header(f, i, events, &h, err))
			return false;
		if (last_seq >= h.first_seq && seq >= h.first_seq)
			return folder_pass(f, i, seq, events, &out->at, err);
		out->at = h.follows;
		last_seq = h.follows.seq;
	}
	return true;
}
