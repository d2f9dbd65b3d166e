#include "fuzz.h"
#include "fuzz_file.h"

#include "base/digest.h"
#include "retention/copy_walk.h"
#include "retention/part.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A file as a partition file, with the checksums of its notes put right, which no fuzzer would hit;
 * and bytes as what COPY gave, whole and in pieces.
 */
enum { HEAD_BYTES = 8, SUM_BYTES = 22 };

static uint32_t le32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static void repair_notes(uint8_t *data, size_t size)
{
	for (size_t at = 0; at + HEAD_BYTES <= size;) {
		size_t note = le32(data + at + 4);
		char sum[SUM_BYTES + 1];

		if (le32(data + at) != UINT32_C(0x184d2a53) || note < SUM_BYTES ||
			note > size - at - HEAD_BYTES) {
			at++; /* somewhere in a frame of rows */
			continue;
		}
		snprintf(sum, sizeof(sum), "xxh3 %016" PRIx64 "\n",
			digest64(data + at + HEAD_BYTES, note - SUM_BYTES));
		memcpy(data + at + HEAD_BYTES + note - SUM_BYTES, sum, SUM_BYTES);
		at += HEAD_BYTES + note;
	}
}

static void read_file(const uint8_t *data, size_t size)
{
	static struct fuzz_file file = {.fd = -1};
	static struct part_header header;
	struct part_trailer trailer;
	struct error err;
	uint8_t *repaired = malloc(size + 1);

	CHECK(repaired != NULL);
	memcpy(repaired, data, size);
	repair_notes(repaired, size);
	fuzz_file_set(&file, repaired, size);
	free(repaired);
	if (part_check(file.fd, "fuzz", &header, &trailer, &err)) {
		CHECK(header.columns_count > 0 && header.columns_count <= PART_COLUMNS_MAX);
		CHECK(memchr(header.table, '\0', sizeof(header.table)) != NULL);
	} else {
		CHECK(err.kind == ERROR_DAMAGED || err.kind == ERROR_FOREIGN);
		CHECK(err.offset >= -1 && err.offset <= (int64_t)size);
	}
}

/* True if it is whole. */
static bool walk(const uint8_t *data, size_t size, size_t piece, uint64_t *rows_out)
{
	struct copy_walk w;
	const char *why = NULL;

	copy_walk_init(&w, 2);
	for (size_t at = 0; at < size;) {
		size_t most = size - at < piece ? size - at : piece;
		size_t passed = copy_walk_step(&w, slice_of(data + at, most), &why);

		CHECK(passed <= most && (passed > 0 || why != NULL));
		if (passed == 0)
			break;
		at += passed;
	}
	*rows_out = w.rows;
	return why == NULL && w.state == COPY_WALK_END;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t rows, again;
	bool whole;

	read_file(data, size);
	whole = walk(data, size, SIZE_MAX, &rows);
	for (size_t piece = 1; piece <= 3; piece++)
		CHECK(walk(data, size, piece, &again) == whole && again == rows);
	return 0;
}
