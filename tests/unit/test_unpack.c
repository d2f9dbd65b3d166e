#include "unit.h"

#include "base/fs.h"
#include "replay/readers/unpack.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

/* Two parts, each packed by itself, concatenated. */
enum { PART_BYTES = 3000, PACKED_BYTES_MAX = 16 * 1024 };

static uint8_t parts[2][PART_BYTES];

static void make_parts(void)
{
	uint64_t x = 88172645463325252;

	for (int p = 0; p < 2; p++) {
		for (size_t i = 0; i < PART_BYTES; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			parts[p][i] = (uint8_t)(i % 40 == 39 ? '\n' : 'a' + (int)(x % 4) + 10 * p);
		}
	}
}

static size_t pack_zstd(uint8_t *out, const uint8_t *part)
{
	ZSTD_CCtx *z = ZSTD_createCCtx();
	size_t size;

	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
	size = ZSTD_compress2(z, out, PACKED_BYTES_MAX / 2, part, PART_BYTES);
	assert_false(ZSTD_isError(size));
	ZSTD_freeCCtx(z);
	return size;
}

static size_t pack_gzip(uint8_t *out, const uint8_t *part)
{
	uint8_t copy[PART_BYTES];
	z_stream z = {.next_in = copy,
		.avail_in = PART_BYTES,
		.next_out = out,
		.avail_out = PACKED_BYTES_MAX / 2};

	memcpy(copy, part, PART_BYTES);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return (size_t)z.total_out;
}

struct found {
	int damages;
	int64_t offset;
	uint8_t bytes[3 * PART_BYTES];
	size_t size;
};

static void on_damage(void *context, int64_t offset, const char *why)
{
	struct found *found = context;

	assert_non_null(why);
	if (found->damages++ == 0)
		found->offset = offset;
}

static void unpack_bytes(const uint8_t *packed, size_t size, struct found *found)
{
	int fd = memfd_create("packed", MFD_CLOEXEC), out;
	struct error err;
	int64_t got;

	*found = (struct found){.damages = 0};
	assert_int_equal(write(fd, packed, size), size);
	assert_true(unpack(fd, "packed", (struct unpack_events){on_damage, found}, &out, &err));
	got = fs_pread(out, found->bytes, sizeof(found->bytes), 0, "unpacked", &err);
	assert_in_range(got, 0, sizeof(found->bytes) - 1);
	found->size = (size_t)got;
	if (out != fd)
		close(out);
	close(fd);
}

static bool has_part(const struct found *found, int p)
{
	return found->size >= PART_BYTES &&
	       memmem(found->bytes, found->size, parts[p], PART_BYTES) != NULL;
}

static void unpack_gives_what_was_packed(void **state)
{
	uint8_t packed[PACKED_BYTES_MAX];
	struct found found;
	size_t size;

	(void)state;
	size = pack_zstd(packed, parts[0]);
	size += pack_zstd(packed + size, parts[1]);
	unpack_bytes(packed, size, &found);
	assert_int_equal(found.size, 2 * PART_BYTES);
	assert_true(has_part(&found, 0) && has_part(&found, 1) && found.damages == 0);
	size = pack_gzip(packed, parts[0]);
	size += pack_gzip(packed + size, parts[1]);
	unpack_bytes(packed, size, &found);
	assert_int_equal(found.size, 2 * PART_BYTES);
	assert_true(has_part(&found, 0) && has_part(&found, 1) && found.damages == 0);
	unpack_bytes(parts[0], PART_BYTES, &found);
	assert_true(has_part(&found, 0) && found.damages == 0);
}

/* Whatever bit is wrong: it ends, says where, and the other frame is intact. */
static void unpack_of_damaged_zstd_ends_and_gives_the_other_frame(void **state)
{
	uint8_t packed[PACKED_BYTES_MAX];
	struct found found;
	size_t first, size;

	(void)state;
	first = pack_zstd(packed, parts[0]);
	size = first + pack_zstd(packed + first, parts[1]);
	/* The magic number of the file: without it, it is text. */
	for (size_t at = 4; at < size; at++) {
		for (int bit = 0; bit < 8; bit += 3) {
			packed[at] ^= (uint8_t)(1 << bit);
			unpack_bytes(packed, size, &found);
			packed[at] ^= (uint8_t)(1 << bit);
			assert_true(
				found.damages > 0 || (has_part(&found, 0) && has_part(&found, 1)));
			assert_true(has_part(&found, at < first ? 1 : 0));
		}
	}
}

static void unpack_of_damaged_gzip_ends_and_says_so(void **state)
{
	uint8_t packed[PACKED_BYTES_MAX];
	struct found found;
	size_t size;

	(void)state;
	size = pack_gzip(packed, parts[0]);
	size += pack_gzip(packed + size, parts[1]);
	for (size_t at = 2; at < size; at++) {
		packed[at] ^= 0x40;
		unpack_bytes(packed, size, &found);
		packed[at] ^= 0x40;
		/* Flags and times in the header mean nothing to us. */
		assert_true(found.damages > 0 || (has_part(&found, 0) && has_part(&found, 1)));
	}
}

static void unpack_of_what_is_cut_off_ends(void **state)
{
	uint8_t packed[PACKED_BYTES_MAX];
	struct found found;
	size_t size;

	(void)state;
	size = pack_zstd(packed, parts[0]);
	for (size_t cut = 5; cut < size; cut++) {
		unpack_bytes(packed, cut, &found);
		assert_int_equal(found.damages, 1);
	}
	size = pack_gzip(packed, parts[0]);
	for (size_t cut = 3; cut < size; cut++) {
		unpack_bytes(packed, cut, &found);
		assert_int_equal(found.damages, 1);
	}
}

/* A room for the output that a stream fills exactly at its end, and one byte more or less. */
static void unpack_takes_sizes_of_its_own_rooms(void **state)
{
	enum { ROOM = 256 << 10, SIZES = 9, PACKED = 64 << 10 };
	static uint8_t zeros[5 * ROOM], packed[PACKED];
	struct found found;

	(void)state;
	for (int i = 0; i < SIZES; i++) {
		size_t size = (size_t)(ROOM * (1 + i / 3 + i / 6) + i % 3 - 1);
		z_stream z = {.next_in = zeros,
			.avail_in = (uInt)size,
			.next_out = packed,
			.avail_out = PACKED};
		int fd = memfd_create("packed", MFD_CLOEXEC), out;
		struct error err;

		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
			Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		deflateEnd(&z);
		found = (struct found){.damages = 0};
		assert_int_equal(write(fd, packed, z.total_out), z.total_out);
		assert_true(unpack(fd, "packed", (struct unpack_events){on_damage, &found}, &out,
			&err));
		assert_int_equal(found.damages, 0);
		assert_int_equal(lseek(out, 0, SEEK_END), size);
		close(out);
		close(fd);
	}
}

/* Few bytes that make gigabytes: it ends early, says why, and leaves nothing. */
static void unpack_refuses_what_grows_without_bound(void **state)
{
	enum { CHUNK = 1 << 20, CHUNKS = 3 << 10 };
	static uint8_t zeros[CHUNK], packed[1 << 20];
	ZSTD_CCtx *z = ZSTD_createCCtx();
	ZSTD_outBuffer out = {packed, sizeof(packed), 0};
	int fd = memfd_create("packed", MFD_CLOEXEC), unpacked;
	struct found found = {.damages = 0};
	struct error err;

	(void)state;
	memset(zeros, 'x', sizeof(zeros));
	for (int i = 0; i < CHUNKS; i++) {
		ZSTD_inBuffer in = {zeros, sizeof(zeros), 0};
		size_t status = ZSTD_compressStream2(z, &out, &in,
			i + 1 == CHUNKS ? ZSTD_e_end : ZSTD_e_continue);

		assert_false(ZSTD_isError(status));
	}
	ZSTD_freeCCtx(z);
	assert_int_equal(write(fd, packed, out.pos), out.pos);
	assert_false(
		unpack(fd, "bomb.zst", (struct unpack_events){on_damage, &found}, &unpacked, &err));
	assert_string_equal(err.reason, "unpack_ratio");
	assert_non_null(strstr(err.message, "bomb.zst"));
	assert_non_null(strstr(err.hint, "zstd -d"));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unpack_gives_what_was_packed),
		cmocka_unit_test(unpack_of_damaged_zstd_ends_and_gives_the_other_frame),
		cmocka_unit_test(unpack_of_damaged_gzip_ends_and_says_so),
		cmocka_unit_test(unpack_of_what_is_cut_off_ends),
		cmocka_unit_test(unpack_takes_sizes_of_its_own_rooms),
		cmocka_unit_test(unpack_refuses_what_grows_without_bound),
	};

	make_parts();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
