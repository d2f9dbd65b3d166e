#include "base/fs.h"

#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FS_DIGEST_BYTES_MAX = 1 << 20 /* five times a system's bundle of authorities */ };

enum fs_fault { FS_FAULT_NONE, FS_FAULT_ERRNO, FS_FAULT_SHORT, FS_FAULT_KILL };

#ifdef FAILPOINTS

#include <signal.h>

static _Atomic uint64_t fs_count;
static uint64_t fs_fail_call;
static char fs_fail_what[16];

static void fs_fail_from_environment(void)
{
	static _Atomic bool done;
	const char *text;
	unsigned long long call;
	char what[16];

	if (atomic_exchange(&done, true))
		return;
	text = getenv("FAILPOINT"); /* NOLINT(concurrency-mt-unsafe): nobody sets variables */
	if (text != NULL && sscanf(text, "fs:%llu:%15s", &call, what) == 2)
		fs_fail_at(call, what);
}

static enum fs_fault fs_fault(void)
{
	uint64_t call;

	fs_fail_from_environment();
	call = atomic_fetch_add(&fs_count, 1) + 1;
	if (fs_fail_call == 0 || call != fs_fail_call)
		return FS_FAULT_NONE;
	if (strcmp(fs_fail_what, "kill") == 0) {
		raise(SIGKILL);
		return FS_FAULT_KILL;
	}
	errno = strcmp(fs_fail_what, "EIO") == 0 ? EIO : ENOSPC;
	return strcmp(fs_fail_what, "short") == 0 ? FS_FAULT_SHORT : FS_FAULT_ERRNO;
}

/* A disk that is as slow as a test wants. */
static void fs_hold(void)
{
	const char *path = getenv("FAILPOINT_HOLD"); /* NOLINT(concurrency-mt-unsafe): as above */

	while (path != NULL && access(path, F_OK) == 0)
		(void)usleep(1000);
}

uint64_t fs_calls(void)
{
	return fs_count;
}

void fs_fail_at(uint64_t call, const char *what)
{
	fs_count = 0;
	fs_fail_call = what == NULL ? 0 : call;
	snprintf(fs_fail_what, sizeof(fs_fail_what), "%s", what == NULL ? "" : what);
}

#else

static enum fs_fault fs_fault(void)
{
	return FS_FAULT_NONE;
}

static void fs_hold(void)
{
}

uint64_t fs_calls(void)
{
	return 0;
}

void fs_fail_at(uint64_t call, const char *what)
{
	(void)call;
	(void)what;
}

#endif

static bool fs_error(struct error *err, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A full disk is a kind of its own. */
static bool fs_error(struct error *err, const char *format, ...)
{
	bool full = errno == ENOSPC || errno == EDQUOT;
	va_list args;

	va_start(args, format);
	(void)error_set_errno_list(err, full ? ERROR_NO_SPACE : ERROR_FATAL,
		full ? REASON_disk_full : REASON_disk, format, args);
	va_end(args);
	return full ? error_hint(err, "free space on this disk and try again") : false;
}

/* After a failed sync, whatever the reason, nobody knows what is on disk. */
static bool fs_hint_sync(struct error *err)
{
	return error_hint(err, "what was acknowledged before is kept: find out what is wrong with "
			       "the disk, then start again");
}

bool fs_is_full(const struct error *err)
{
	return err->kind == ERROR_NO_SPACE;
}

/* O_NONBLOCK, because opening a pipe would wait for its writer. */
static bool fs_is_file(int fd, const char *path, enum fs_mode mode, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fs_error(err, "could not look at \"%s\"", path);
	if (S_ISREG(st.st_mode))
		return true;
	error_set(err, ERROR_FATAL, REASON_disk, "\"%s\" is not a regular file", path);
	if (mode == FS_WHOLE)
		return error_hint(err, "name a file: a pipe or a folder cannot be read here");
	return error_hint(err, "somebody put it there: check who may write to the folder");
}

int fs_open(const char *path, enum fs_mode mode, struct error *err)
{
	static const int own = O_NOFOLLOW | O_NONBLOCK;
	static const int flags[] = {
		[FS_READ] = O_RDONLY,
		[FS_WHOLE] = O_RDONLY | O_NONBLOCK,
		[FS_OWN] = O_RDONLY | own,
		[FS_CREATE] = O_RDWR | O_CREAT | O_EXCL | own,
		[FS_UPDATE] = O_RDWR | own,
		[FS_LOCK] = O_RDWR | O_CREAT | own,
	};
	int fd = fs_fault() != FS_FAULT_NONE ? -1 : open(path, flags[mode] | O_CLOEXEC, 0600);

	if (fd < 0 && errno == ELOOP && mode != FS_READ && mode != FS_WHOLE) {
		error_set(err, ERROR_FATAL, REASON_disk, "\"%s\" is a symbolic link", path);
		error_hint(err, "somebody put it there: check who may write to the folder");
	} else if (fd < 0) {
		if (mode == FS_CREATE)
			fs_error(err, "could not create \"%s\"", path);
		else
			fs_error(err, "could not open \"%s\"", path);
	} else if (mode != FS_READ && !fs_is_file(fd, path, mode, err)) {
		(void)fs_close(&fd, path, NULL);
	}
	return fd;
}

bool fs_close(int *fd, const char *path, struct error *err)
{
	int closing = *fd;

	*fd = -1;
	if (closing >= 0 && close(closing) != 0 && errno != EINTR)
		return fs_error(err, "could not close \"%s\"", path);
	return true;
}

bool fs_pwrite(int fd, struct slice bytes, int64_t offset, const char *path, struct error *err)
{
	enum fs_fault fault = fs_fault();
	size_t size = fault == FS_FAULT_SHORT ? bytes.size / 2 : bytes.size, done = 0;

	if (fault == FS_FAULT_ERRNO)
		return fs_error(err, "could not write \"%s\"", path);
	while (done < size) {
		ssize_t n = pwrite(fd, bytes.data + done, size - done, offset + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fs_error(err, "could not write \"%s\"", path);
		done += (size_t)n;
	}
	if (fault == FS_FAULT_SHORT) {
		errno = ENOSPC;
		return fs_error(err, "could not write \"%s\"", path);
	}
	return true;
}

int64_t fs_pread(int fd, void *out, size_t size, int64_t offset, const char *path,
	struct error *err)
{
	size_t done = 0;

	if (fs_fault() != FS_FAULT_NONE) {
		fs_error(err, "could not read \"%s\"", path);
		return -1;
	}
	while (done < size) {
		ssize_t n = pread(fd, (uint8_t *)out + done, size - done, offset + (int64_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			fs_error(err, "could not read \"%s\"", path);
			return -1;
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

bool fs_sync_data(int fd, const char *path, struct error *err)
{
	fs_hold();
	if (fs_fault() == FS_FAULT_NONE && fdatasync(fd) == 0)
		return true;
	error_set_errno(err, ERROR_FATAL, REASON_disk, "could not sync \"%s\"", path);
	return fs_hint_sync(err);
}

bool fs_allocate(int fd, int64_t size, const char *path, struct error *err)
{
	int failed = 0;

	if (fs_fault() != FS_FAULT_NONE)
		return fs_error(err, "could not reserve room for \"%s\"", path);
	do
		failed = fallocate(fd, 0, 0, size);
	while (failed != 0 && errno == EINTR);
	if (failed == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
		return true;
	return fs_error(err, "could not reserve room for \"%s\"", path);
}

bool fs_sync_dir(const char *path, struct error *err)
{
	int fd = fs_fault() != FS_FAULT_NONE ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (!ok) {
		error_set_errno(err, ERROR_FATAL, REASON_disk, "could not sync folder \"%s\"",
			path);
		fs_hint_sync(err);
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

bool fs_rename(const char *from, const char *to, struct error *err)
{
	if (fs_fault() != FS_FAULT_NONE || rename(from, to) != 0)
		return fs_error(err, "could not rename \"%s\"", from);
	return true;
}

bool fs_rename_new(const char *from, const char *to, bool *taken_out, struct error *err)
{
	int failed;

	*taken_out = false;
	if (fs_fault() != FS_FAULT_NONE)
		return fs_error(err, "could not rename \"%s\"", from);
	failed = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
	/* A file system without RENAME_NOREPLACE (NFS) can do it in two steps. */
	if (failed != 0 && errno == EINVAL) {
		failed = link(from, to);
		if (failed == 0)
			failed = unlink(from);
	}
	*taken_out = failed != 0 && errno == EEXIST;
	return failed == 0 || *taken_out || fs_error(err, "could not rename \"%s\"", from);
}

bool fs_unlink(const char *path, struct error *err)
{
	if (fs_fault() != FS_FAULT_NONE || unlink(path) != 0)
		return fs_error(err, "could not remove \"%s\"", path);
	return true;
}

bool fs_exists(const char *path, bool *out, struct error *err)
{
	*out = false;
	if (fs_fault() != FS_FAULT_NONE)
		return fs_error(err, "could not look for \"%s\"", path);
	*out = access(path, F_OK) == 0;
	return *out || errno == ENOENT || errno == ENOTDIR ||
	       fs_error(err, "could not look for \"%s\"", path);
}

bool fs_unlink_if_there(const char *path, struct error *err)
{
	bool there;

	return fs_exists(path, &there, err) && (!there || fs_unlink(path, err));
}

bool fs_truncate(int fd, int64_t size, const char *path, struct error *err)
{
	if (fs_fault() != FS_FAULT_NONE || ftruncate(fd, size) != 0)
		return fs_error(err, "could not set the size of \"%s\"", path);
	return true;
}

bool fs_real_path(const char *path, char out[static PATH_MAX], struct error *err)
{
	return realpath(path, out) != NULL || fs_error(err, "could not open \"%s\"", path);
}

/* The owner first: changing it clears the set-user-id and set-group-id bits. */
bool fs_copy_rights(int from, int to, const char *path, struct error *err)
{
	struct stat wanted, has;

	if (fstat(from, &wanted) != 0 || fstat(to, &has) != 0)
		return fs_error(err, "could not look at \"%s\"", path);
	if ((wanted.st_uid != has.st_uid || wanted.st_gid != has.st_gid) &&
		fchown(to, wanted.st_uid, wanted.st_gid) != 0) {
		fs_error(err, "could not set the owner of \"%s\"", path);
		return error_hint(err, "run this as the owner of the old file, or as root");
	}
	return fchmod(to, wanted.st_mode & 07777) == 0 ||
	       fs_error(err, "could not set the mode of \"%s\"", path);
}

int64_t fs_size(int fd, const char *path, struct error *err)
{
	struct stat st;

	if (fs_fault() != FS_FAULT_NONE || fstat(fd, &st) != 0) {
		fs_error(err, "could not look at \"%s\"", path);
		return -1;
	}
	return st.st_size;
}

bool fs_make_dir(const char *path, struct error *err)
{
	char partial[PATH_MAX];
	size_t size = strlen(path);

	if (size == 0)
		return error_set(err, ERROR_FATAL, REASON_disk, "a folder name is empty");
	if (size >= sizeof(partial))
		return error_set(err, ERROR_FATAL, REASON_disk, "folder name \"%.64s\" is too long",
			path);
	memcpy(partial, path, size + 1);
	for (size_t i = 1; i <= size; i++) {
		if (partial[i] != '/' && partial[i] != '\0')
			continue;
		partial[i] = '\0';
		if (fs_fault() != FS_FAULT_NONE || (mkdir(partial, 0700) != 0 && errno != EEXIST))
			return fs_error(err, "could not create folder \"%s\"", partial);
		partial[i] = path[i];
	}
	return true;
}

bool fs_next_name(DIR *dir, const char *path, const char **name_out, struct error *err)
{
	const struct dirent *entry;

	errno = 0;
	entry = readdir(dir); /* NOLINT(concurrency-mt-unsafe): one thread per stream */
	if (entry == NULL && errno != 0)
		return fs_error(err, "could not list \"%s\"", path);
	*name_out = entry == NULL ? NULL : entry->d_name;
	return true;
}

static char *fs_read_whole(const char *path, enum fs_mode mode, size_t size_max, size_t *size_out,
	struct error *err)
{
	int fd = fs_open(path, mode, err);
	char *text = NULL;
	int64_t size, got;

	if (fd < 0)
		return NULL;
	size = fs_size(fd, path, err);
	if (size < 0)
		goto out;
	if ((uint64_t)size > size_max) {
		error_set(err, ERROR_FATAL, REASON_file_too_large,
			"\"%s\" has %lld bytes, more than the limit of %zu", path, (long long)size,
			size_max);
		goto out;
	}
	text = malloc((size_t)size + 1);
	if (text == NULL) {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading \"%s\"", path);
		goto out;
	}
	got = fs_pread(fd, text, (size_t)size, 0, path, err);
	if (got < 0) {
		free(text);
		text = NULL;
		goto out;
	}
	text[got] = '\0';
	*size_out = (size_t)got;
out:
	(void)fs_close(&fd, path, NULL);
	return text;
}

char *fs_read_file(const char *path, size_t size_max, size_t *size_out, struct error *err)
{
	return fs_read_whole(path, FS_WHOLE, size_max, size_out, err);
}

char *fs_read_own_file(const char *path, size_t size_max, size_t *size_out, struct error *err)
{
	return fs_read_whole(path, FS_OWN, size_max, size_out, err);
}

/* Not one of the calls that fail on demand: nothing is lost if this fails. */
uint64_t fs_digest(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool readable = fd >= 0 && fs_is_file(fd, path, FS_WHOLE, NULL);
	char *bytes = readable ? malloc(FS_DIGEST_BYTES_MAX) : NULL;
	uint64_t digest = 0;
	ssize_t size;

	if (bytes != NULL) {
		size = read(fd, bytes, FS_DIGEST_BYTES_MAX);
		if (size >= 0) {
			digest = digest64(bytes, (size_t)size);
			explicit_bzero(bytes, (size_t)size); /* it may be a key */
		}
		free(bytes);
	}
	if (fd >= 0)
		close(fd);
	return digest;
}

bool fs_replace_file(const char *path, struct slice bytes, struct error *err)
{
	char tmp[PATH_MAX], dir[PATH_MAX];
	int fd;
	bool ok;

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		return error_set(err, ERROR_FATAL, REASON_disk, "file name \"%.64s\" is too long",
			path);
	(void)unlink(tmp); /* a crash may have left one */
	fd = fs_open(tmp, FS_CREATE, err);
	if (fd < 0)
		return false;
	ok = fs_pwrite(fd, bytes, 0, tmp, err) && fs_sync_data(fd, tmp, err);
	if (!fs_close(&fd, tmp, ok ? err : NULL))
		ok = false;
	ok = ok && fs_rename(tmp, path, err);
	if (!ok) {
		(void)unlink(tmp); /* on a full disk its room is needed elsewhere */
		return false;
	}
	memcpy(dir, tmp, sizeof(dir));
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): glibc's works in the given bytes */
	return fs_sync_dir(dirname(dir), err);
}
