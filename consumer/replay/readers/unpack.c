#include "replay/readers/unpack.h"

#include "base/fs.h"
#include "spool/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { UNPACK_BYTES = 256 * 1024, ZSTD_MAGIC_BYTES = 4, UNPACK_CHECK_BYTES = 8 << 20 };

static const uint8_t zstd_magic[ZSTD_MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};

struct unpacker {
	int from, to;
	const char *path;
	struct unpack_events events;
	int64_t offset; /* where `in` ends in the packed file */
	int64_t written;
	int64_t checked; /* value of written at the last check for room */
	size_t in_size;
	uint8_t in[UNPACK_BYTES];
	uint8_t out[UNPACK_BYTES];
};

static int unpack_temporary(struct error *err)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets variables */
	const char *dir = getenv("TMPDIR");
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/ocpp-persister.XXXXXX", dir != NULL ? dir : "/tmp");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0) {
		error_set_errno(err, ERROR_FATAL, REASON_temporary,
			"could not make a temporary file \"%s\"", path);
		return -1;
	}
	(void)unlink(path);
	return fd;
}

static bool unpack_read(struct unpacker *u, struct error *err)
{
	ssize_t got;

	do
		got = read(u->from, u->in, sizeof(u->in));
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return error_set_errno(err, ERROR_FATAL, REASON_file, "could not read \"%s\"",
			u->path);
	u->in_size = (size_t)got;
	u->offset += got;
	return true;
}

/* FATAL even if the disk is full: nobody makes room while we wait. */
static bool unpack_no_room(struct error *err)
{
	err->kind = ERROR_FATAL;
	return error_hint(err, "TMPDIR says where it is; it holds what is unpacked");
}

/* No real messages pack that well, but somebody may want to fill the disk. */
static bool unpack_ratio_is_fine(const struct unpacker *u, int64_t packed, int64_t unpacked,
	struct error *err)
{
	if (unpacked <= UNPACK_ANY_BYTES || unpacked / UNPACK_RATIO_MAX <= packed)
		return true;
	error_set(err, ERROR_FATAL, REASON_unpack_ratio,
		"\"%s\" is refused: %" PRId64 " bytes of it make more than %" PRId64
		" bytes, over %d times as many",
		u->path, packed, unpacked, (int)UNPACK_RATIO_MAX);
	return error_hint(err,
		"if you trust it, unpack it with zstd -d or gzip -d, and replay the result");
}

/* Others need the file system, too. */
static bool unpack_room_is_left(struct unpacker *u, struct error *err)
{
	struct statvfs fs;
	uint64_t left, least;

	if (u->written - u->checked < UNPACK_CHECK_BYTES)
		return true;
	u->checked = u->written;
	if (fstatvfs(u->to, &fs) != 0)
		return true;
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	least = (uint64_t)fs.f_blocks * fs.f_frsize / UNPACK_FREE_PART;
	if (left > least)
		return true;
	error_set(err, ERROR_FATAL, REASON_unpack_room,
		"no room to unpack \"%s\": %" PRId64 " bytes were unpacked into a temporary file, "
		"and %" PRIu64 " bytes are left, of which %" PRIu64 " stay free",
		u->path, u->written, left, least);
	return error_hint(err, "TMPDIR says where it is: one with more room, or smaller files");
}

static bool unpack_write(struct unpacker *u, const uint8_t *bytes, size_t size, struct error *err)
{
	if (size > 0 &&
		!fs_pwrite(u->to, slice_of(bytes, size), u->written, "a temporary file", err))
		return unpack_no_room(err);
	u->written += (int64_t)size;
	return unpack_room_is_left(u, err);
}

static bool unpack_write_unpacked(struct unpacker *u, size_t size, struct error *err)
{
	return unpack_write(u, u->out, size, err) &&
	       unpack_ratio_is_fine(u, u->offset, u->written, err);
}

static bool unpack_copy(struct unpacker *u, struct error *err)
{
	while (u->in_size > 0) {
		if (!unpack_write(u, u->in, u->in_size, err) || !unpack_read(u, err))
			return false;
	}
	return true;
}

/* Several gzip files in a row are one, as for gzip -d. */
static bool unpack_gzip_stream(struct unpacker *u, z_stream *z, struct error *err)
{
	int status = Z_OK;

	while (u->in_size > 0) {
		z->next_in = u->in;
		z->avail_in = (uInt)u->in_size;
		do {
			z->next_out = u->out;
			z->avail_out = UNPACK_BYTES;
			if (status == Z_STREAM_END)
				inflateReset(z);
			status = inflate(z, Z_NO_FLUSH);
			if (!unpack_write_unpacked(u, UNPACK_BYTES - z->avail_out, err))
				return false;
			if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
				u->events.on_damage(u->events.context,
					u->offset - (int64_t)z->avail_in,
					z->msg != NULL ? z->msg : "damaged");
				return true;
			}
			/* A stream that ended has no more output, even where it filled the room. */
		} while (z->avail_in > 0 || (z->avail_out == 0 && status != Z_STREAM_END));
		if (!unpack_read(u, err))
			return false;
	}
	if (status != Z_STREAM_END)
		u->events.on_damage(u->events.context, u->offset, "it is cut off");
	return true;
}

static bool unpack_gzip(struct unpacker *u, struct error *err)
{
	z_stream z = {.next_in = NULL};
	bool ok;

	if (inflateInit2(&z, 15 + 16) != Z_OK) /* 16: with a gzip header */
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	ok = unpack_gzip_stream(u, &z, err);
	inflateEnd(&z);
	return ok;
}

/* The next place in the input, from position `at` on, that begins like a frame. */
static size_t unpack_zstd_frame(const struct unpacker *u, size_t at)
{
	const uint8_t *found = memmem(u->in + at, u->in_size - at, zstd_magic, ZSTD_MAGIC_BYTES);

	return found == NULL ? u->in_size : (size_t)(found - u->in);
}

/* Frames are independent: after a damaged one, looks for the next. (One whose beginning is split
 * between two reads is not found, which costs one more frame.) */
static bool unpack_zstd_stream(struct unpacker *u, ZSTD_DCtx *z, struct error *err)
{
	size_t status = 0;
	bool lost = false; /* looking for the next frame */

	while (u->in_size > 0) {
		ZSTD_inBuffer in = {u->in, u->in_size, lost ? unpack_zstd_frame(u, 0) : 0};

		lost = lost && in.pos == in.size;
		while (in.pos < in.size) {
			ZSTD_outBuffer out = {u->out, UNPACK_BYTES, 0};
			size_t before = in.pos;

			status = ZSTD_decompressStream(z, &out, &in);
			if (!unpack_write_unpacked(u, out.pos, err))
				return false;
			if (!ZSTD_isError(status))
				continue;
			u->events.on_damage(u->events.context,
				u->offset - (int64_t)(in.size - in.pos), ZSTD_getErrorName(status));
			ZSTD_DCtx_reset(z, ZSTD_reset_session_only);
			status = 0;
			/* zstd does not skip a damaged beginning itself. */
			in.pos = unpack_zstd_frame(u, in.pos > before ? in.pos : before + 1);
			lost = in.pos == in.size;
		}
		if (!unpack_read(u, err))
			return false;
	}
	if (status != 0)
		u->events.on_damage(u->events.context, u->offset, "it is cut off");
	return true;
}

static bool unpack_zstd(struct unpacker *u, struct error *err)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();
	bool ok;

	if (z == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	ok = unpack_zstd_stream(u, z, err);
	ZSTD_freeDCtx(z);
	return ok;
}

/* A log's archive says where its frames are, and has its header twice. */
static void unpack_on_damage(void *context, int64_t offset, int64_t bytes, const char *why)
{
	struct unpacker *u = context;

	(void)bytes;
	u->events.on_damage(u->events.context, offset, why);
}

static bool unpack_zstd_or_archive(struct unpacker *u, bool seekable, struct error *err)
{
	struct archive_summary summary;
	int64_t size;

	if (!seekable || !archive_summary_read(u->from, u->path, &summary, NULL) || !summary.whole)
		return unpack_zstd(u, err);
	size = fs_size(u->from, u->path, err);
	if (size < 0 || !unpack_ratio_is_fine(u, size, summary.bytes, err))
		return false;
	return archive_unpack(u->from, u->path, u->to, "a temporary file",
		(struct archive_events){unpack_on_damage, u}, err);
}

static bool unpack_begin(struct unpacker *u, int fd, int *out_fd, struct error *err)
{
	bool seekable = lseek(fd, 0, SEEK_SET) == 0;
	bool gzip, zstd;

	if (!unpack_read(u, err))
		return false;
	gzip = u->in_size >= 2 && u->in[0] == 0x1f && u->in[1] == 0x8b;
	zstd = u->in_size >= ZSTD_MAGIC_BYTES && memcmp(u->in, zstd_magic, ZSTD_MAGIC_BYTES) == 0;
	if (seekable && !gzip && !zstd) {
		*out_fd = fd;
		return true;
	}
	u->to = unpack_temporary(err);
	if (u->to < 0)
		return false;
	*out_fd = u->to;
	return gzip   ? unpack_gzip(u, err)
	       : zstd ? unpack_zstd_or_archive(u, seekable, err)
		      : unpack_copy(u, err);
}

bool unpack(int fd, const char *path, struct unpack_events events, int *out_fd, struct error *err)
{
	struct unpacker *u = calloc(1, sizeof(*u));
	bool ok;

	if (u == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	*u = (struct unpacker){.from = fd, .to = -1, .path = path, .events = events};
	ok = unpack_begin(u, fd, out_fd, err);
	if (!ok && u->to >= 0)
		close(u->to);
	free(u);
	return ok;
}
