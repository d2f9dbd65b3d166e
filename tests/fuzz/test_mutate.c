/*
 * Mutated messages are well-formed and differ: `test_mutate FILE`, a JSON document. What is read
 * again as JSON has to be JSON for another reader, and what is not has to be msgpack.
 */
#include "mutate.h"

#include "base/check.h"
#include "base/fs.h"

#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_parse.h>

enum { SEEDS = 20000, BYTES_MAX = 1 << 16 };

/* Letters only, so that no escape becomes invalid. */
static size_t change_bytes(uint8_t *data, size_t size, size_t size_max)
{
	if (size < size_max)
		data[size++] = 'x';
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)('a' + i % 26);
	return size;
}

static bool is_json(const uint8_t *text, size_t size)
{
	yajl_handle parser = yajl_alloc(NULL, NULL, NULL);
	bool ok = yajl_parse(parser, text, size) == yajl_status_ok &&
		  yajl_complete_parse(parser) == yajl_status_ok;

	yajl_free(parser);
	return ok;
}

static bool is_msgpack(const uint8_t *bytes, size_t size)
{
	msgpack_unpacked value;
	size_t used = 0;
	bool ok;

	msgpack_unpacked_init(&value);
	ok = msgpack_unpack_next(&value, (const char *)bytes, size, &used) ==
		     MSGPACK_UNPACK_SUCCESS &&
	     used == size;
	msgpack_unpacked_destroy(&value);
	return ok;
}

int main(int argc, char **argv)
{
	static uint8_t data[BYTES_MAX];
	size_t json = 0, msgpack = 0, other = 0, size;
	struct error err;
	char *text;

	CHECK(argc == 2);
	text = fs_read_file(argv[1], BYTES_MAX, &size, &err);
	CHECK(text != NULL && mutate_message((uint8_t *)text, 1, BYTES_MAX, 0, change_bytes) == 0);
	for (unsigned seed = 0; seed < SEEDS; seed++) {
		size_t mutated;

		memcpy(data, text, size);
		mutated = mutate_message(data, size, BYTES_MAX, seed, change_bytes);
		if (mutated == 0) {
			CHECK(memcmp(data, text, size) == 0);
			other++;
		} else if (is_json(data, mutated)) {
			json++;
		} else {
			CHECK(is_msgpack(data, mutated));
			msgpack++;
		}
	}
	printf("%zu JSON, %zu msgpack, %zu neither\n", json, msgpack, other);
	CHECK(json > SEEDS / 2 && msgpack > SEEDS / 20);
	free(text);
	return EXIT_SUCCESS;
}
