#include "signatures/signed_data.h"

#include "signatures/encoded.h"

static const struct signed_format {
	const char *name;
	struct slice begin;
} signed_formats[] = {
	{"OCMF", SLICE("OCMF|")},
	{"Alfen", SLICE("AP;")},
	{"SML", SLICE("\x1b\x1b\x1b\x1b")},
	{"XML", SLICE("<?xml")},
	{"XML", SLICE("<values")},
};

static const char *signed_format_of(struct slice bytes)
{
	for (size_t i = 0; i < sizeof(signed_formats) / sizeof(signed_formats[0]); i++) {
		struct slice begin = signed_formats[i].begin;

		if (bytes.size >= begin.size &&
			slice_equal(slice_of(bytes.data, begin.size), begin))
			return signed_formats[i].name;
	}
	return NULL;
}

static struct slice signed_member(const struct value *map, const char *key)
{
	return value_text(value_get(map, slice_from_cstr(key)));
}

/* The object of OCPP 2.x. False if it has no data. */
static bool signed_unwrap(const struct value *object, struct signed_data *out)
{
	out->bytes = signed_member(object, "signedMeterData");
	if (out->bytes.size == 0)
		out->bytes = signed_member(object, "signedMeterValue");
	out->method = signed_member(object, "encodingMethod");
	out->public_key = signed_member(object, "publicKey");
	if (out->public_key.size == 0)
		out->public_key = (struct slice){NULL, 0};
	return out->bytes.size > 0;
}

static struct slice signed_trim(struct slice s)
{
	while (s.size > 0 && s.data[0] <= ' ')
		s = slice_skip(s, 1);
	while (s.size > 0 && s.data[s.size - 1] <= ' ')
		s.size--;
	return s;
}

bool signed_data_read(struct document_reader *reader, struct slice sent, struct arena *arena,
	struct signed_data *out)
{
	struct value object;
	struct slice bytes;
	struct error err;

	*out = (struct signed_data){.bytes = signed_trim(sent)};
	if (out->bytes.size > 0 && out->bytes.data[0] == '{' &&
		(!document_read(reader, out->bytes, arena, &object, &err) ||
			!signed_unwrap(&object, out)))
		return false;
	out->bytes = signed_trim(out->bytes);
	out->format = signed_format_of(out->bytes);
	if (out->format == NULL) {
		bytes = encoded_bytes(out->bytes, arena);
		if (!slice_is_absent(bytes)) {
			out->bytes = signed_trim(bytes); /* some end with NUL */
			out->format = signed_format_of(out->bytes);
		}
	}
	return out->bytes.size > 0;
}
