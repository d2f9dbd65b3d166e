#include "signatures/check.h"

#include "base/decimal.h"
#include "signatures/ocmf.h"
#include "signatures/public_key.h"
#include "signatures/signed_data.h"

#include <math.h>
#include <stdio.h>

enum { CHECK_NAME_BYTES = 512 };

const char *check_verdict_name(enum check_verdict verdict)
{
	static const char *const names[CHECK_VERDICTS] = {"valid", "invalid", "no key", "bad key",
		"not supported", "unreadable"};

	return names[verdict];
}

const char *check_source_name(enum check_source source)
{
	static const char *const names[] = {NULL, "file", "station", "reading"};

	return names[source];
}

/* ---- energy ---- */

/* What one unit of the last digit is worth. */
static double check_step(const struct decimal *number)
{
	const uint8_t *point = memchr(number->digits, '.', number->digits_size);
	int64_t places = point == NULL ? 0 : number->digits + number->digits_size - point - 1;

	return pow(10, (double)(number->exponent - places));
}

static struct check_energy check_energy_in(struct slice text, double factor)
{
	struct check_energy energy;
	struct decimal number;

	if (slice_is_absent(text) || decimal_parse(text, &number) == DECIMAL_NONE)
		return (struct check_energy){.known = false};
	energy = (struct check_energy){
		.wh = decimal_to_double(text) * factor,
		.step_wh = check_step(&number) * factor,
	};
	/* What a double holds with room to spare; no meter counts further. */
	energy.known = fabs(energy.wh) < 1e15 && energy.step_wh >= 1e-9 && energy.step_wh <= 1e9;
	return energy;
}

struct check_energy check_energy_of(struct slice wh)
{
	return check_energy_in(wh, 1);
}

bool check_energy_equal(const struct check_energy *a, const struct check_energy *b)
{
	double step = fmax(a->step_wh, b->step_wh);

	/* Two that differ by a whole step are not the same, whatever a double makes of them. */
	return fabs(a->wh - b->wh) < step * (1 - 1e-6);
}

static struct check_energy check_energy_read(const struct ocmf_reading *reading)
{
	struct check_energy energy = {.known = false};

	if (slice_equal_cstr(reading->unit, "Wh"))
		energy = check_energy_in(reading->value, 1);
	else if (slice_equal_cstr(reading->unit, "kWh"))
		energy = check_energy_in(reading->value, 1e3);
	else if (slice_equal_cstr(reading->unit, "MWh"))
		energy = check_energy_in(reading->value, 1e6);
	energy.what = reading->what;
	return energy;
}

/* The first of a kind counts: others are of other registers, or repeat it. */
static void check_keep(struct check_result *out, struct check_energy *kept,
	const struct check_energy *energy)
{
	if (!energy->known)
		return;
	if (!kept->known)
		*kept = *energy;
	else if (slice_equal(kept->what, energy->what) && !check_energy_equal(kept, energy))
		out->contradicts = true;
}

static void check_take_last(struct check_result *out, const struct check_energy *energy)
{
	if (energy->known && (!out->last.known || slice_equal(out->last.what, energy->what)))
		out->last = *energy;
}

static void check_take_state(struct check_result *out, const struct ocmf_reading *reading)
{
	/* From an exception (X) on nothing may be billed, until the transaction ends. */
	if (reading->reason == 'X' ||
		(reading->errors.size > 0 &&
			memchr(reading->errors.data, 'E', reading->errors.size) != NULL))
		out->energy_unusable = true;
	if (reading->status.size > 0 && !slice_equal_cstr(reading->status, "G"))
		out->meter_faulty = true;
}

static void check_take_readings(const struct ocmf *ocmf, struct check_result *out)
{
	for (size_t i = 0; i < ocmf->count; i++) {
		const struct ocmf_reading *reading = &ocmf->readings[i];
		struct check_energy energy = check_energy_read(reading);

		out->has_reasons |= reading->reason != '\0';
		check_take_last(out, &energy);
		check_take_state(out, reading);
		if (ocmf_begins(reading)) {
			out->begin_timed |= !out->begins && ocmf_time(reading, &out->begin_us);
			out->begins = true;
			check_keep(out, &out->begin, &energy);
		}
		if (ocmf_ends(reading)) {
			out->end_timed |= !out->ends && ocmf_time(reading, &out->end_us);
			out->ends = true;
			check_keep(out, &out->end, &energy);
		}
	}
	out->meter = slice_is_absent(ocmf->meter) ? ocmf->gateway : ocmf->meter;
}

/* ---- keys ---- */

static struct slice check_listed_key(const struct checker *c, const struct check_input *input,
	const struct ocmf *ocmf)
{
	struct slice names[5] = {{NULL, 0}, input->station, ocmf->meter, ocmf->gateway, SLICE("*")};
	struct slice key = {NULL, 0};
	char evse[CHECK_NAME_BYTES];

	if (!slice_is_absent(input->evse)) {
		int size = snprintf(evse, sizeof(evse), "%.*s/%.*s", SLICE_ARG(input->station),
			SLICE_ARG(input->evse));

		if (size > 0 && (size_t)size < sizeof(evse))
			names[0] = slice_of(evse, (size_t)size);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && slice_is_absent(key); i++)
		key = key_list_find(c->keys, names[i]);
	return key;
}

static struct slice check_choose_key(const struct checker *c, const struct check_input *input,
	const struct signed_data *data, const struct ocmf *ocmf, enum check_source *source)
{
	struct slice key = check_listed_key(c, input, ocmf);

	*source = CHECK_FROM_LIST;
	if (slice_is_absent(key)) {
		*source = CHECK_FROM_STATION;
		key = input->station_key;
	}
	if (slice_is_absent(key)) {
		*source = CHECK_FROM_READING;
		key = slice_is_absent(data->public_key) ? input->earlier_key : data->public_key;
	}
	if (slice_is_absent(key))
		*source = CHECK_FROM_NOWHERE;
	return key;
}

/* ---- the whole ---- */

static bool check_verify(const struct ocmf *ocmf, struct slice text, struct arena *arena,
	struct check_result *out, struct error *err)
{
	const char *curve = ocmf_curve(ocmf);
	enum ocmf_verdict verdict;
	EVP_PKEY *key;

	if (curve == NULL) {
		out->verdict = CHECK_UNSUPPORTED;
		return true;
	}
	key = public_key_read(text, curve, arena);
	if (key == NULL) {
		out->verdict = CHECK_BAD_KEY;
		return true;
	}
	verdict = ocmf_verify(ocmf, key);
	EVP_PKEY_free(key);
	if (verdict == OCMF_NO_MEMORY)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	out->verdict = verdict == OCMF_VALID     ? CHECK_VALID
		       : verdict == OCMF_INVALID ? CHECK_INVALID
						 : CHECK_UNSUPPORTED;
	return true;
}

bool check_reading(const struct checker *c, const struct check_input *input,
	struct check_result *out, struct error *err)
{
	struct signed_data data;
	struct slice key;
	struct ocmf ocmf;

	*out = (struct check_result){.verdict = CHECK_UNSUPPORTED};
	if (!signed_data_read(c->reader, input->sent, c->arena, &data))
		return true;
	out->format = data.format;
	out->public_key = data.public_key;
	if (data.format == NULL || strcmp(data.format, "OCMF") != 0)
		return true;
	out->verdict = CHECK_UNREADABLE;
	if (!ocmf_read(c->reader, data.bytes, c->arena, &ocmf, err))
		return true;
	check_take_readings(&ocmf, out);
	key = check_choose_key(c, input, &data, &ocmf, &out->source);
	if (slice_is_absent(key)) {
		out->verdict = CHECK_NO_KEY;
		return true;
	}
	return check_verify(&ocmf, key, c->arena, out, err);
}
