#include "fail_once.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

extern const char __executable_start;

static struct {
	enum fail_way way;
	uint64_t call;
	struct fail_told *told;
	_Atomic bool sync_failed;
	struct stat synced; /* whose sync failed */
} fail;

enum fail_way fail_way_of(const char *name)
{
	static const char *const names[] = {"EIO", "ENOSPC", "EINTR", "short", "memory", "libpq",
		"cut", "mqtt"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i]) == 0)
			return (enum fail_way)(1U << i);
	}
	return 0;
}

void fail_once_begin(enum fail_way way, uint64_t call, struct fail_told *told)
{
	fail.call = call;
	fail.told = told;
	fail.way = way;
}

static uint64_t fail_place(const void *at)
{
	return (uint64_t)((const char *)at - &__executable_start);
}

/* Is it this call's turn to fail? at: where it returns to; by: and that. Sets errno. */
static bool fail_now(unsigned ways, const char *name, const void *at, const void *by)
{
	if ((ways & fail.way) == 0 || fail.told->waits ||
		atomic_fetch_add(&fail.told->calls, 1) + 1 != fail.call)
		return false;
	snprintf(fail.told->name, sizeof(fail.told->name), "%s", name);
	fail.told->at = fail_place(at);
	fail.told->by = fail_place(by);
	switch (fail.way) {
	case FAIL_ENOSPC:
		errno = ENOSPC;
		break;
	case FAIL_EINTR:
		errno = EINTR;
		break;
	case FAIL_MEMORY:
		errno = ENOMEM;
		break;
	case FAIL_EIO:
	case FAIL_SHORT:
	case FAIL_LIBPQ:
	case FAIL_CUT:
	case FAIL_MQTT:
		errno = EIO;
	}
	return true;
}

/* What begins anything that others can see. To read is nothing of that kind. */
static void fail_note(const char *name)
{
	static const char *const acts[] = {"create", "PQconnectStartParams", "PQconnectdbParams",
		"MQTTAsync_connect", "connect", "fork", "write", "pwrite", "ftruncate", "fallocate",
		"rename", "renameat2", "link", "mkdir", "mkostemp", "unlink"};

	if (fail.told == NULL || fail.told->acted)
		return;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (strcmp(name, acts[i]) == 0)
			fail.told->acted = true;
	}
}

/* What we tell people on stderr is how a failure is reported: it never fails itself. */
static bool fail_is_stderr(int fd)
{
	return fd == STDERR_FILENO;
}

/* As after a real failure: ferror() says so. */
static void fail_mark(FILE *file)
{
	static const int seen = 0x20; /* _IO_ERR_SEEN */

	file->_flags |= seen;
}

/* The answer may never come, and nothing more can be sent. */
static void fail_cut(const PGconn *conn)
{
	int fd = conn == NULL ? -1 : PQsocket(conn);

	if (fd >= 0)
		(void)shutdown(fd, SHUT_RDWR);
}

/* Our own code keeps its frame pointers. */
#define FAIL_NOW(ways, name)                                                                       \
	fail_now(ways, #name, __builtin_return_address(0), __builtin_return_address(1))

#define FAIL_DECLARE(type, name, parameters)                                                       \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters

#define CALL(ways, type, name, parameters, arguments, failure)                                     \
	FAIL_DECLARE(type, name, parameters)                                                       \
	{                                                                                          \
		fail_note(#name);                                                                  \
		return FAIL_NOW(ways, name) ? (failure) : __real_##name arguments;                 \
	}
#define BYTES(ways, name, parameters, arguments, size)                                             \
	FAIL_DECLARE(ssize_t, name, parameters)                                                    \
	{                                                                                          \
		if (!fail_is_stderr(fd))                                                           \
			fail_note(#name);                                                          \
		if (fail_is_stderr(fd) ||                                                          \
			!FAIL_NOW((ways) | ((size) > 1 ? FAIL_SHORT : 0U), name))                  \
			return __real_##name arguments;                                            \
		if (fail.way != FAIL_SHORT)                                                        \
			return -1;                                                                 \
		(size) /= 2;                                                                       \
		return __real_##name arguments;                                                    \
	}
#define STREAM(ways, type, name, parameters, arguments, failure)                                   \
	FAIL_DECLARE(type, name, parameters)                                                       \
	{                                                                                          \
		if (file == NULL || fail_is_stderr(fileno(file)) || !FAIL_NOW(ways, name))         \
			return __real_##name arguments;                                            \
		fail_mark(file);                                                                   \
		return (failure);                                                                  \
	}
#define LIBPQ(type, name, parameters, arguments, failure)                                          \
	FAIL_DECLARE(type, name, parameters)                                                       \
	{                                                                                          \
		if (!FAIL_NOW(FAIL_LIBPQ | FAIL_CUT, name))                                        \
			return __real_##name arguments;                                            \
		if (fail.way != FAIL_CUT)                                                          \
			return failure;                                                            \
		fail_cut(conn);                                                                    \
		return __real_##name arguments;                                                    \
	}
#define OWN(name)
#include "calls.def"
#undef CALL
#undef BYTES
#undef STREAM
#undef LIBPQ
#undef OWN

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	unsigned full = (flags & O_CREAT) != 0 ? FAIL_ENOSPC : 0;
	mode_t mode = 0;
	va_list arguments;

	va_start(arguments, flags);
	if ((flags & O_CREAT) != 0)
		mode = va_arg(arguments, mode_t);
	va_end(arguments);
	if ((flags & O_CREAT) != 0)
		fail_note("create");
	return FAIL_NOW(FAIL_EIO | FAIL_EINTR | FAIL_MEMORY | full, open)
		       ? -1
		       : __real_open(path, flags, mode);
}

/* It is closed, whatever it says. */
FAIL_DECLARE(int, close, (int fd))
{
	bool failed = FAIL_NOW(FAIL_EIO | FAIL_ENOSPC | FAIL_EINTR, close);
	int error = errno, closed = __real_close(fd);

	if (failed)
		errno = error;
	return failed ? -1 : closed;
}

FAIL_DECLARE(int, fclose, (FILE * file))
{
	bool failed = FAIL_NOW(FAIL_EIO | FAIL_ENOSPC, fclose);
	int error = errno, closed = __real_fclose(file);

	if (failed)
		errno = error;
	return failed ? EOF : closed;
}

/* A sync that has failed is never tried again: the second time it would succeed. */
static bool fail_sync(int fd, bool failed, const void *at, const void *by)
{
	struct stat st;

	if (__real_fstat(fd, &st) != 0)
		return failed;
	if (failed) {
		fail.synced = st;
		fail.sync_failed = true;
	} else if (fail.sync_failed && st.st_ino == fail.synced.st_ino &&
		   st.st_dev == fail.synced.st_dev) {
		fail.told->again_at = fail_place(at);
		fail.told->again_by = fail_place(by);
	}
	return failed;
}

FAIL_DECLARE(int, fdatasync, (int fd))
{
	return fail_sync(fd, FAIL_NOW(FAIL_EIO | FAIL_ENOSPC | FAIL_EINTR, fdatasync),
		       __builtin_return_address(0), __builtin_return_address(1))
		       ? -1
		       : __real_fdatasync(fd);
}

FAIL_DECLARE(int, fsync, (int fd))
{
	return fail_sync(fd, FAIL_NOW(FAIL_EIO | FAIL_ENOSPC | FAIL_EINTR, fsync),
		       __builtin_return_address(0), __builtin_return_address(1))
		       ? -1
		       : __real_fsync(fd);
}

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...)
{
	va_list arguments;
	int size;

	if (FAIL_NOW(FAIL_MEMORY, asprintf))
		return -1;
	va_start(arguments, format);
	size = vasprintf(out, format, arguments);
	va_end(arguments);
	return size;
}

/*
 * Out of memory, libpq gives a failure without an SQLSTATE in place of the result, whatever the
 * server did. Not in place of what says where a pipeline or a COPY stands.
 */
FAIL_DECLARE(PGresult *, PQgetResult, (PGconn * conn))
{
	PGresult *result;
	ExecStatusType status;

	if (FAIL_NOW(FAIL_CUT, PQgetResult))
		fail_cut(conn);
	result = __real_PQgetResult(conn);
	status = PQresultStatus(result);
	if ((status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) ||
		!FAIL_NOW(FAIL_LIBPQ, PQgetResult))
		return result;
	PQclear(result);
	return PQmakeEmptyPGresult(conn, PGRES_FATAL_ERROR);
}
