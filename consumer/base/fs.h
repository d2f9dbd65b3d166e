#ifndef BASE_FS_H
#define BASE_FS_H

#include "base/error.h"
#include "base/slice.h"

#include <dirent.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/*
 * All file I/O of the log goes through here, so that tests can make the N-th call fail. In builds
 * with FAILPOINTS the environment variable FAILPOINT=fs:<N>:<what> picks the call (1 = the first)
 * and what it does: EIO, ENOSPC, short (half of a write, then ENOSPC), kill (the process ends there
 * as by kill -9). FAILPOINT_HOLD=<path>: a sync waits while that file exists.
 *
 * A full disk (or quota) is NO_SPACE: it loses nothing, and the same call works once there is room.
 * All other failures are FATAL "disk"; so is every failed sync, which must not be retried, since
 * the kernel may have dropped the pages and will report success the second time.
 *
 * Paths appear in error texts. Any thread.
 */
enum fs_mode {
	FS_READ,   /* a path that a user gave; may be a symbolic link */
	FS_WHOLE,  /* the same, but only a regular file: a pipe could block */
	FS_OWN,    /* to read a file of our own */
	FS_CREATE, /* a new file of our own: an existing one is refused */
	FS_UPDATE, /* to read and write a file of our own */
	FS_LOCK,   /* the same; made empty if it is not there */
};

/*
 * A file of our own is a regular file and never a symbolic link: someone who can write to the
 * folder must not choose which file we write to, or make us wait for a pipe. -1 with err on
 * failure.
 */
MUST_CHECK int fs_open(const char *path, enum fs_mode mode, struct error *err);

/* Sets *fd to -1 first, so nothing is closed twice. Reports the error of close(2). */
bool fs_close(int *fd, const char *path, struct error *err);

/* All of it, or an error. */
MUST_CHECK bool fs_pwrite(int fd, struct slice bytes, int64_t offset, const char *path,
	struct error *err);

/* Up to size bytes; fewer only at the end of the file. -1 with err on failure. */
MUST_CHECK int64_t fs_pread(int fd, void *out, size_t size, int64_t offset, const char *path,
	struct error *err);

/* Whether the error says that there is no room: see above. */
bool fs_is_full(const struct error *err);

/* Reserve the room that the first size bytes need; their content does not change. If the file
 * system cannot do that, this is not an error, and only writing finds out. */
MUST_CHECK bool fs_allocate(int fd, int64_t size, const char *path, struct error *err);

MUST_CHECK bool fs_sync_data(int fd, const char *path, struct error *err);
MUST_CHECK bool fs_sync_dir(const char *path, struct error *err);
MUST_CHECK bool fs_rename(const char *from, const char *to, struct error *err);

/* The same, but never replaces a file: if `to` exists, *taken_out is set and nothing is done. */
MUST_CHECK bool fs_rename_new(const char *from, const char *to, bool *taken_out, struct error *err);

MUST_CHECK bool fs_unlink(const char *path, struct error *err);

/* Is there anything at path? False with err: nobody knows, which is not the same as no. */
MUST_CHECK bool fs_exists(const char *path, bool *out, struct error *err);

/* The same, of something that may be absent already. */
MUST_CHECK bool fs_unlink_if_there(const char *path, struct error *err);
MUST_CHECK bool fs_truncate(int fd, int64_t size, const char *path, struct error *err);

/* The path without symbolic links: renaming to it replaces the file itself, not a link to it. */
MUST_CHECK bool fs_real_path(const char *path, char out[static PATH_MAX], struct error *err);

/* Give the open file `to` the owner, group and mode of `from`. path is that of `to`. */
MUST_CHECK bool fs_copy_rights(int from, int to, const char *path, struct error *err);

/* Size of an open file, or -1 with err. */
MUST_CHECK int64_t fs_size(int fd, const char *path, struct error *err);

/* The folder and its parents, mode 0700; an existing one is fine. */
MUST_CHECK bool fs_make_dir(const char *path, struct error *err);

/* The name of the next entry of a folder, valid until the next call; NULL after the last. False
 * with err: there may be more, but they cannot be read. Not counted as a call. */
MUST_CHECK bool fs_next_name(DIR *dir, const char *path, const char **name_out, struct error *err);

/* Reads a small file in one piece, FS_WHOLE or FS_OWN. The bytes are malloc'ed and terminated; NULL
 * with err on failure. */
MUST_CHECK char *fs_read_file(const char *path, size_t size_max, size_t *size_out,
	struct error *err);
MUST_CHECK char *fs_read_own_file(const char *path, size_t size_max, size_t *size_out,
	struct error *err);

/* Digest of a file's content, up to 1 MiB, to see whether it has changed; 0 if it cannot be read or
 * is not a regular file. */
uint64_t fs_digest(const char *path);

/* Write path.tmp, sync, rename to path, sync the folder. If that fails, path is as it was. */
MUST_CHECK bool fs_replace_file(const char *path, struct slice bytes, struct error *err);

/* Calls counted so far, for tests that fail each one in turn. Always 0 without FAILPOINTS. */
uint64_t fs_calls(void);

/* For tests, the same as the environment variable. what == NULL switches it off. */
void fs_fail_at(uint64_t call, const char *what);

#endif
