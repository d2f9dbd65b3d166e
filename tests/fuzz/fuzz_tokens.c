/*
 * Tokens in bytes of any kind (base/token_hash.h, base/pseudonyms.h): pseudonyms never change the
 * size, and bytes that come in pieces become what they become at once.
 */
#include "fuzz.h"

#include "base/pseudonyms.h"
#include "base/token_hash.h"

#include <stdlib.h>

static const struct slice key = SLICE("a key of the fuzzer's");

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
}

static void check_hashes(struct slice bytes)
{
	struct slice once = bytes, twice;

	CHECK(token_hash_in_bytes(key, &arena, &once));
	twice = once;
	CHECK(token_hash_in_bytes(key, &arena, &twice));
}

static void check_pieces(struct slice bytes, struct slice whole)
{
	struct pseudonyms_stream s = {.list = list};
	struct slice out, left = bytes;
	size_t at = 0, piece = bytes.size % 300 + 1;
	struct error err;

	while (left.size > 0) {
		struct slice part = slice_of(left.data, left.size < piece ? left.size : piece);

		CHECK(pseudonyms_stream_add(&s, part, &out, &err));
		CHECK(slice_equal(out, slice_of(whole.data + at, out.size)));
		at += out.size;
		left = slice_skip(left, part.size);
	}
	out = pseudonyms_stream_rest(&s);
	CHECK(at + out.size == whole.size && slice_equal(out, slice_of(whole.data + at, out.size)));
	pseudonyms_stream_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = slice_of(data, size), whole = bytes;

	begin();
	arena_reset(&arena);
	check_hashes(bytes);
	CHECK(pseudonyms_in_bytes(list, &arena, &whole) && whole.size == size);
	check_pieces(bytes, whole);
	return 0;
}
