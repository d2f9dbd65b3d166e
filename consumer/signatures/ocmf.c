#include "signatures/ocmf.h"

#include "base/iso8601.h"
#include "signatures/encoded.h"

#include <stdio.h>

enum { OCMF_METHOD_BYTES = 64, OCMF_TIME_BYTES = 48 };

static const struct slice ocmf_header = SLICE("OCMF|"),
			  ocmf_method = SLICE("ECDSA-secp256r1-SHA256");

static const struct ocmf_curve {
	const char *name, *of_openssl;
} ocmf_curves[] = {
	{"secp192k1", "secp192k1"},
	{"secp256k1", "secp256k1"},
	{"secp192r1", "prime192v1"},
	{"secp256r1", "prime256v1"},
	{"secp384r1", "secp384r1"},
	{"secp521r1", "secp521r1"},
	{"brainpool256r1", "brainpoolP256r1"},
	{"brainpool384r1", "brainpoolP384r1"},
	{"brainpool512r1", "brainpoolP512r1"},
};

#define OCMF_CURVES (sizeof(ocmf_curves) / sizeof(ocmf_curves[0]))

/* ---- reading ---- */

static bool ocmf_fault(struct error *err, const char *what)
{
	return error_set(err, ERROR_POISON, REASON_bad_ocmf, "%s", what);
}

static struct slice ocmf_text(const struct value *map, const char *key)
{
	return value_text(value_get(map, slice_from_cstr(key)));
}

/* Replaces *out only if the reading has the field: otherwise the one before it counts. */
static void ocmf_take(const struct value *reading, const char *key, struct slice *out)
{
	const struct value *field = value_get(reading, slice_from_cstr(key));

	if (field != NULL)
		*out = value_text(field);
}

static bool ocmf_take_reading(const struct value *from, struct ocmf_reading *out)
{
	struct slice reason = {NULL, 0};

	if (from->kind != VALUE_MAP)
		return false;
	ocmf_take(from, "TX", &reason);
	if (!slice_is_absent(reason))
		out->reason = reason.size == 1 ? (char)reason.data[0] : '\0';
	ocmf_take(from, "TM", &out->time);
	ocmf_take(from, "RV", &out->value);
	ocmf_take(from, "RU", &out->unit);
	ocmf_take(from, "RI", &out->what);
	ocmf_take(from, "ST", &out->status);
	ocmf_take(from, "EF", &out->errors);
	if (!slice_is_absent(out->value)) {
		struct decimal number;

		if (decimal_parse(out->value, &number) == DECIMAL_NONE)
			out->value = (struct slice){NULL, 0};
	}
	return true;
}

static bool ocmf_read_payload(const struct value *payload, struct arena *arena, struct ocmf *out,
	struct error *err)
{
	const struct value *list = value_get(payload, slice_from_cstr("RD"));
	struct ocmf_reading last = {.reason = '\0'}, *readings;

	if (list == NULL || list->kind != VALUE_ARRAY || list->count == 0)
		return ocmf_fault(err, "OCMF without readings (RD)");
	readings = arena_zalloc(arena, list->count * sizeof(*readings));
	if (readings == NULL)
		return error_set(err, ERROR_FULL, REASON_arena_full, "more readings than fit");
	for (uint32_t i = 0; i < list->count; i++) {
		if (!ocmf_take_reading(&list->items[i], &last))
			return ocmf_fault(err, "a reading in OCMF that is not an object");
		readings[i] = last;
	}
	out->readings = readings;
	out->count = list->count;
	out->meter = ocmf_text(payload, "MS");
	out->gateway = ocmf_text(payload, "GS");
	return true;
}

static bool ocmf_read_signature(const struct value *section, struct arena *arena, struct ocmf *out,
	struct error *err)
{
	struct slice data = ocmf_text(section, "SD"), encoding = ocmf_text(section, "SE");

	out->method = ocmf_text(section, "SA");
	if (slice_is_absent(out->method))
		out->method = ocmf_method;
	if (slice_equal_cstr(encoding, "base64"))
		out->signature = encoded_base64(data, arena);
	else if (slice_is_absent(encoding) || slice_equal_cstr(encoding, "hex"))
		out->signature = encoded_hex(data, arena);
	if (slice_is_absent(out->signature))
		return ocmf_fault(err, "OCMF without a signature (SD) that can be decoded");
	return true;
}

bool ocmf_read(struct document_reader *reader, struct slice text, struct arena *arena,
	struct ocmf *out, struct error *err)
{
	struct value payload, signature;
	size_t last = text.size;

	*out = (struct ocmf){.count = 0};
	if (text.size < ocmf_header.size ||
		!slice_equal(slice_of(text.data, ocmf_header.size), ocmf_header))
		return ocmf_fault(err, "not OCMF");
	while (text.data[last - 1] != '|')
		last--;
	if (last == ocmf_header.size)
		return ocmf_fault(err, "OCMF without a signature");
	out->payload = slice_of(text.data + ocmf_header.size, last - 1 - ocmf_header.size);
	if (!document_read(reader, out->payload, arena, &payload, err) ||
		!document_read(reader, slice_skip(text, last), arena, &signature, err))
		return error_prefix(err, "OCMF");
	return ocmf_read_payload(&payload, arena, out, err) &&
	       ocmf_read_signature(&signature, arena, out, err);
}

bool ocmf_begins(const struct ocmf_reading *reading)
{
	return reading->reason == 'B';
}

bool ocmf_ends(const struct ocmf_reading *reading)
{
	return reading->reason != '\0' && strchr("ELRAP", reading->reason) != NULL;
}

/* "2018-07-24T13:22:04,000+0200 S" */
bool ocmf_time(const struct ocmf_reading *reading, int64_t *us_out)
{
	struct slice time = reading->time;
	char text[OCMF_TIME_BYTES];
	char *comma;

	if (time.size < 3 || time.size >= sizeof(text) || time.data[time.size - 2] != ' ' ||
		strchr("SR", time.data[time.size - 1]) == NULL)
		return false;
	memcpy(text, time.data, time.size - 2);
	text[time.size - 2] = '\0';
	comma = strchr(text, ',');
	if (comma != NULL)
		*comma = '.';
	return iso8601_parse(slice_from_cstr(text), us_out) == ISO8601_EXACT;
}

/* ---- verifying ---- */

/* The parts of "ECDSA-curve-hash"; false if it is anything else. */
static bool ocmf_split(const struct ocmf *ocmf, char curve[static OCMF_METHOD_BYTES],
	char hash[static OCMF_METHOD_BYTES])
{
	char method[OCMF_METHOD_BYTES];

	if (ocmf->method.size >= sizeof(method))
		return false;
	memcpy(method, ocmf->method.data, ocmf->method.size);
	method[ocmf->method.size] = '\0';
	return sscanf(method, "ECDSA-%63[^-]-%63s", curve, hash) == 2;
}

const char *ocmf_curve(const struct ocmf *ocmf)
{
	char curve[OCMF_METHOD_BYTES], hash[OCMF_METHOD_BYTES];

	if (!ocmf_split(ocmf, curve, hash))
		return NULL;
	for (size_t i = 0; i < OCMF_CURVES; i++) {
		if (strcmp(ocmf_curves[i].name, curve) == 0)
			return ocmf_curves[i].of_openssl;
	}
	return NULL;
}

const char *ocmf_curve_at(size_t index)
{
	return index < OCMF_CURVES ? ocmf_curves[index].of_openssl : NULL;
}

static const EVP_MD *ocmf_hash(const struct ocmf *ocmf)
{
	char curve[OCMF_METHOD_BYTES], hash[OCMF_METHOD_BYTES];

	if (!ocmf_split(ocmf, curve, hash))
		return NULL;
	return strcmp(hash, "SHA256") == 0   ? EVP_sha256()
	       : strcmp(hash, "SHA384") == 0 ? EVP_sha384()
	       : strcmp(hash, "SHA512") == 0 ? EVP_sha512()
					     : NULL;
}

enum ocmf_verdict ocmf_verify(const struct ocmf *ocmf, EVP_PKEY *key)
{
	const EVP_MD *hash = ocmf_hash(ocmf);
	enum ocmf_verdict verdict = OCMF_INVALID;
	EVP_MD_CTX *context;

	if (hash == NULL || ocmf_curve(ocmf) == NULL)
		return OCMF_UNSUPPORTED;
	context = EVP_MD_CTX_new();
	if (context == NULL)
		return OCMF_NO_MEMORY;
	if (EVP_DigestVerifyInit(context, NULL, hash, NULL, key) == 1 &&
		EVP_DigestVerify(context, ocmf->signature.data, ocmf->signature.size,
			ocmf->payload.data, ocmf->payload.size) == 1)
		verdict = OCMF_VALID;
	EVP_MD_CTX_free(context);
	return verdict;
}
