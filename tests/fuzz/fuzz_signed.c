#include "fuzz.h"

#include "base/check.h"
#include "signatures/check.h"
#include "signatures/encoded.h"
#include "signatures/ocmf.h"
#include "signatures/public_key.h"
#include "signatures/signed_data.h"

#include <math.h>

/*
 * A key in the first line, then a signed reading as a station sends it (consumer/signatures). It
 * gets a verdict whatever it is; a signature that is valid is invalid once a byte of what it signs
 * has changed; and both ways of comparing two readings agree.
 */
enum { ARENA_BYTES = 64 << 20, READING_BYTES_MAX = 1 << 20 };

static struct document_reader *reader;
static struct arena arena;

static void begin(void)
{
	struct error err;

	if (reader != NULL)
		return;
	CHECK(arena_init(&arena, ARENA_BYTES, 1 << 20));
	CHECK(document_reader_new(&reader, READING_BYTES_MAX, &err));
}

static void check_encoded(struct slice text)
{
	struct slice hex = encoded_hex(text, &arena), base64 = encoded_base64(text, &arena);

	CHECK(slice_is_absent(hex) || (hex.size > 0 && hex.size <= text.size / 2));
	CHECK(slice_is_absent(base64) || base64.size <= text.size * 3 / 4);
}

static void check_change(struct ocmf ocmf, EVP_PKEY *key)
{
	uint8_t *payload = arena_bytes(&arena, ocmf.payload.size);

	CHECK(payload != NULL);
	memcpy(payload, ocmf.payload.data, ocmf.payload.size);
	payload[ocmf.payload.size / 2] ^= 1;
	ocmf.payload = slice_of(payload, ocmf.payload.size);
	CHECK(ocmf_verify(&ocmf, key) == OCMF_INVALID);
}

static void check_verifying(struct slice sent, struct slice text)
{
	struct signed_data data;
	struct ocmf ocmf;
	struct error err;
	EVP_PKEY *key;

	if (!signed_data_read(reader, sent, &arena, &data) ||
		!ocmf_read(reader, data.bytes, &arena, &ocmf, &err))
		return;
	key = public_key_read(text, ocmf_curve(&ocmf), &arena);
	if (key != NULL && ocmf_verify(&ocmf, key) == OCMF_VALID)
		check_change(ocmf, key);
	EVP_PKEY_free(key);
}

static void check_energies(const struct check_energy *a, const struct check_energy *b)
{
	if (!a->known || !b->known || !isfinite(a->wh) || !isfinite(b->wh))
		return;
	CHECK(check_energy_equal(a, b) == check_energy_equal(b, a));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *line = size == 0 ? NULL : memchr(data, '\n', size);
	struct check_input input = {.station = SLICE("cs1"), .evse = SLICE("1")};
	struct checker checker;
	struct check_result result;
	struct slice key;
	struct error err;

	if (line == NULL)
		return 0;
	begin();
	arena_reset(&arena);
	checker = (struct checker){.reader = reader, .arena = &arena};
	key = slice_of(data, (size_t)(line - data));
	input.sent = slice_of(line + 1, size - key.size - 1);
	input.station_key = key.size == 0 ? (struct slice){NULL, 0} : key;
	check_encoded(input.sent);
	CHECK(check_reading(&checker, &input, &result, &err));
	CHECK(result.verdict < CHECK_VERDICTS && check_verdict_name(result.verdict) != NULL);
	check_energies(&result.begin, &result.end);
	check_verifying(input.sent, key);
	return 0;
}
