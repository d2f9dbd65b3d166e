#include "base/fs.h"
#include "base/log.h"
#include "spool/archive.h"
#include "spool/spool_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char identity_file[] = "identity";
static const char identity_new_file[] = "identity.new";
static const char session_file[] = "session";

static void identity_path(const char *dir, const char *name, char out[static SPOOL_PATH_BYTES])
{
	snprintf(out, SPOOL_PATH_BYTES, "%s/%s", dir, name);
}

bool spool_lock_folder(const char *dir, int *lock_fd, struct error *err)
{
	char path[SPOOL_PATH_BYTES];

	identity_path(dir, "lock", path);
	*lock_fd = fs_open(path, FS_LOCK, err);
	if (*lock_fd < 0)
		return false;
	if (flock(*lock_fd, LOCK_EX | LOCK_NB) == 0)
		return true;
	if (errno != EWOULDBLOCK)
		return error_set_errno(err, ERROR_FATAL, REASON_disk, "could not lock \"%s\"",
			path);
	error_set(err, ERROR_FATAL, REASON_spool_in_use,
		"the log in \"%s\" is used by another process", dir);
	return error_hint(err, "give each worker a spool.dir of its own");
}

static bool identity_read(const char *path, struct uuid *out, struct error *err)
{
	size_t size;
	char *found = fs_read_own_file(path, 64, &size, err);
	bool ok;

	if (found == NULL)
		return false;
	found[strcspn(found, "\n")] = '\0';
	ok = uuid_from_text(found, out);
	free(found);
	if (ok)
		return true;
	error_set(err, ERROR_DAMAGED, REASON_spool_damaged, "\"%s\" does not hold a UUID", path);
	return error_hint(err, "`ocpp-persister spool new-identity` gives the log a new one");
}

static bool identity_write(const char *path, const struct uuid *identity, struct error *err)
{
	char text[UUID_TEXT_BYTES + 1];

	uuid_format(identity, text);
	text[UUID_TEXT_BYTES - 1] = '\n';
	return fs_replace_file(path, slice_of(text, UUID_TEXT_BYTES), err);
}

static bool identity_make(const char *path, struct uuid *out, struct error *err)
{
	if (!uuid_new(out))
		return error_set_errno(err, ERROR_FATAL, REASON_random,
			"could not make an identity for the log");
	return identity_write(path, out, err);
}

bool spool_load_identity(struct spool *s, struct error *err)
{
	char path[SPOOL_PATH_BYTES], path_new[SPOOL_PATH_BYTES];
	bool changing, has_session;

	identity_path(s->dir, identity_file, path);
	identity_path(s->dir, identity_new_file, path_new);
	/* Not to know must not make another log of it. */
	if (!fs_exists(path_new, &changing, err) || !fs_exists(path, &s->identity_found, err))
		return false;
	if (changing) {
		error_set(err, ERROR_FATAL, REASON_spool_identity,
			"the log in \"%s\" was being given a new identity", s->dir);
		return error_hint(err, "run `ocpp-persister spool new-identity` again");
	}
	if (s->identity_found ? !identity_read(path, &s->identity, err)
			      : !identity_make(path, &s->identity, err))
		return false;
	s->session = s->identity;
	identity_path(s->dir, session_file, path);
	return fs_exists(path, &has_session, err) &&
	       (!has_session || identity_read(path, &s->session, err));
}

/* The session first: after a crash in between, the log's session is what it was. */
bool spool_change_identity(struct spool *s, struct error *err)
{
	char path[SPOOL_PATH_BYTES], was[UUID_TEXT_BYTES], now[UUID_TEXT_BYTES];

	uuid_format(&s->identity, was);
	identity_path(s->dir, session_file, path);
	if (!identity_write(path, &s->session, err))
		return false;
	identity_path(s->dir, identity_file, path);
	if (!identity_make(path, &s->identity, err))
		return false;
	uuid_format(&s->identity, now);
	log_warn("log_new_identity",
		"the log has no segments, and nothing says how far its numbers were: it begins "
		"again as another log; what its segments had is in the database under the old "
		"identity, as far as it was stored",
		"dir=%s was=%s now=%s", LOG_VALUE(s->dir), was, now);
	return true;
}

/* A segment with a damaged header is left alone: the next start sets it aside. */
static bool identity_put(const char *path, const struct uuid *identity, struct error *err)
{
	int fd = fs_open(path, FS_UPDATE, err);
	uint8_t bytes[SEGMENT_HEADER_BYTES];
	struct segment_reader reader;
	bool ok = false;

	if (fd < 0)
		return false;
	if (!segment_reader_init(&reader, fd, path, err)) {
		ok = err->kind == ERROR_DAMAGED;
	} else {
		reader.header.spool = *identity;
		segment_header_put(&reader.header, bytes);
		ok = fs_pwrite(fd, slice_of(bytes, sizeof(bytes)), 0, path, err) &&
		     fs_sync_data(fd, path, err);
	}
	return fs_close(&fd, path, ok ? err : NULL) && ok;
}

/* An archive without a whole summary, which has the identity, is set aside, as a segment would
 * be. */
static bool identity_put_archive(const char *path, const struct uuid *identity, struct error *err)
{
	int fd = fs_open(path, FS_UPDATE, err);
	char bad[SPOOL_PATH_BYTES + 8];
	struct archive_summary summary;
	bool ok, damaged;

	if (fd < 0)
		return false;
	ok = archive_summary_read(fd, path, &summary, err);
	damaged = ok ? !summary.whole : err->kind == ERROR_DAMAGED;
	if (damaged) {
		snprintf(bad, sizeof(bad), "%s" SEGMENT_ASIDE, path);
		ok = fs_rename(path, bad, err);
	}
	ok = ok && (damaged || archive_put_identity(fd, path, &summary, identity, err));
	return fs_close(&fd, path, ok ? err : NULL) && ok;
}

/* What is not a segment stays as it is. */
static bool identity_put_file(const char *dir, const char *name, const struct uuid *identity,
	struct error *err)
{
	bool archived = archive_name_parse(name, &(uint64_t){0});
	char path[SPOOL_PATH_BYTES];

	if (!archived && !segment_name_parse(name, &(uint64_t){0}))
		return true;
	identity_path(dir, name, path);
	return archived ? identity_put_archive(path, identity, err)
			: identity_put(path, identity, err);
}

static bool identity_put_all(const char *dir, const struct uuid *identity, struct error *err)
{
	DIR *stream = opendir(dir);
	const char *name = NULL;
	bool ok;

	if (stream == NULL)
		return error_set_errno(err, ERROR_FATAL, REASON_disk, "could not list \"%s\"", dir);
	do
		ok = fs_next_name(stream, dir, &name, err) &&
		     (name == NULL || identity_put_file(dir, name, identity, err));
	while (ok && name != NULL);
	closedir(stream);
	return ok;
}

/* The basis of the client id so far; *known_out: whether anything says it. */
static bool identity_session(const char *dir, struct uuid *out, bool *known_out, struct error *err)
{
	static const char *const files[] = {session_file, identity_file};
	char path[SPOOL_PATH_BYTES];

	*known_out = false;
	for (size_t i = 0; !*known_out && i < sizeof(files) / sizeof(*files); i++) {
		bool there;

		identity_path(dir, files[i], path);
		if (!fs_exists(path, &there, err))
			return false;
		*known_out = there && identity_read(path, out, err);
		if (there && !*known_out && err->kind != ERROR_DAMAGED)
			return false;
	}
	return true;
}

static bool identity_keep_session(const char *dir, const struct uuid *session, bool known,
	struct error *err)
{
	char path[SPOOL_PATH_BYTES];

	identity_path(dir, session_file, path);
	return known ? identity_write(path, session, err)
		     : error_set(err, ERROR_FATAL, REASON_spool_identity,
			       "nothing in \"%s\" says which session at the broker was its own",
			       dir);
}

/* A copy must not push its original out of the broker's session. */
static bool identity_drop_session(const char *dir, struct error *err)
{
	char path[SPOOL_PATH_BYTES];

	identity_path(dir, session_file, path);
	return fs_unlink_if_there(path, err);
}

/* Under the folder's lock. */
static bool identity_renew(const char *dir, struct spool_renewal *r, struct error *err)
{
	char path[SPOOL_PATH_BYTES], path_new[SPOOL_PATH_BYTES];
	bool changing;

	identity_path(dir, identity_file, path);
	identity_path(dir, identity_new_file, path_new);
	spool_reserve_take(dir);
	if (!identity_session(dir, &r->session, &r->session_known, err) ||
		(r->keep_session &&
			!identity_keep_session(dir, &r->session, r->session_known, err)))
		return false;
	/* After an interruption, continue with the identity that it began to write. */
	return fs_exists(path_new, &changing, err) &&
	       (changing ? identity_read(path_new, &r->identity, err)
			 : identity_make(path_new, &r->identity, err)) &&
	       identity_put_all(dir, &r->identity, err) &&
	       (r->keep_session || identity_drop_session(dir, err)) &&
	       fs_rename(path_new, path, err) && fs_sync_dir(dir, err) &&
	       spool_reserve_make(dir, err);
}

bool spool_new_identity(const char *dir, struct spool_renewal *renewal, struct error *err)
{
	char path[SPOOL_PATH_BYTES], path_new[SPOOL_PATH_BYTES];
	bool there, changing, ok = false;
	int lock_fd = -1;

	if (strlen(dir) >= SPOOL_PATH_BYTES - 64)
		return error_set(err, ERROR_FATAL, REASON_bad_setting, "spool.dir is too long");
	identity_path(dir, identity_file, path);
	identity_path(dir, identity_new_file, path_new);
	if (!fs_exists(path, &there, err) || !fs_exists(path_new, &changing, err))
		return false;
	if (!there && !changing) {
		error_set(err, ERROR_ABSENT, REASON_no_spool, "there is no log in \"%s\"", dir);
		return error_hint(err, "say where it is: --spool.dir=DIR");
	}
	if (spool_lock_folder(dir, &lock_fd, err))
		ok = identity_renew(dir, renewal, err);
	if (lock_fd >= 0)
		close(lock_fd);
	return ok;
}
