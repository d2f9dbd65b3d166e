/*
 * Tokens in bytes of any kind (base/token_hash.h, base/pseudonyms.h): pseudonyms never change the
 * size, and a value in rows that come in pieces (retention/copy_hide.h) becomes what it becomes at
 * once.
 */
#include "fuzz.h"

#include "base/bytes.h"
#include "base/pseudonyms.h"
#include "base/token_hash.h"
#include "retention/copy_hide.h"

#include <stdlib.h>

static const struct slice key = SLICE("a key of the fuzzer's");

enum { ROW_BYTES = 19 + 2 + 4 + 2 };

static struct arena arena;
static struct pseudonyms *list;

static void forget(const char *token, const char *pseudonym)
{
	uint8_t hash[SHA256_BYTES];
	struct error err;

	pseudonyms_hash(key, slice_from_cstr(token), hash);
	CHECK(pseudonyms_add(list, slice_of(hash, sizeof(hash)), slice_from_cstr(pseudonym), &err));
}

static void begin(void)
{
	struct error err;

	if (list != NULL)
		return;
	CHECK(arena_init(&arena, 64 << 20, 1 << 20) && pseudonyms_new(&list, &err) &&
		pseudonyms_begin(list, key, &err));
	forget("04AB12", "XYZXYZ");
	forget("TAG00001", "PPPPPPPP");
	forget("12345678", "QQQQQQQQ");
}

static void check_hashes(struct slice bytes)
{
	struct slice once = bytes, twice;

	CHECK(token_hash_in_bytes(key, &arena, &once));
	twice = once;
	CHECK(token_hash_in_bytes(key, &arena, &twice));
}

/* A row with the bytes as its only value. */
static struct slice row_of(struct slice bytes)
{
	uint8_t *row = arena_bytes(&arena, bytes.size + ROW_BYTES), *at = row;

	CHECK(row != NULL);
	at = put_bytes(at, "PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0", 19);
	at = put_be16(at, 1);
	at = put_be32(at, (uint32_t)bytes.size);
	at = put_bytes(at, bytes.data, bytes.size);
	at = put_be16(at, UINT16_MAX);
	return slice_of(row, (size_t)(at - row));
}

static void check_pieces(struct slice bytes, struct slice whole)
{
	static const struct part_header header = {.table = "dead_letters",
		.columns = {{"payload", "bytea"}},
		.columns_count = 1};
	static struct copy_hide hide;
	struct slice out, left = row_of(bytes), wanted = row_of(whole);
	size_t at = 0, piece = bytes.size % 300 + 1;
	struct error err;

	copy_hide_init(&hide, &header, list);
	while (left.size > 0) {
		struct slice part = slice_of(left.data, left.size < piece ? left.size : piece);

		CHECK(copy_hide_add(&hide, part, "rows", &out, &err));
		CHECK(slice_equal(out, slice_of(wanted.data + at, out.size)));
		at += out.size;
		left = slice_skip(left, part.size);
	}
	CHECK(at == wanted.size);
	copy_hide_free(&hide);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_of(data, size), whole = bytes;

	begin();
	arena_reset(&arena);
	check_hashes(bytes);
	CHECK(pseudonyms_in_bytes(list, TOKEN_BYTES, &arena, &whole) && whole.size == size);
	check_pieces(bytes, whole);
	return 0;
}
