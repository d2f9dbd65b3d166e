#ifndef SIGNATURES_OCMF_H
#define SIGNATURES_OCMF_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "decode/document.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * The Open Charge Metering Format (S.A.F.E. e.V., version 1.2): readings of a meter, with a
 * signature of ECDSA over the bytes between the first and the last "|".
 *
 *	OCMF|{"RD": [{"TX": "B", "RV": 1.5, "RU": "kWh", ...}, ...], ...}|{"SD": "3045..."}
 *
 * One thread.
 */
struct ocmf_reading {
	char reason;         /* TX: B = begin, C = charging, E, L, R, A, P = end, X; 0 = none */
	struct slice time;   /* TM, as written; may be absent */
	struct slice value;  /* RV as written, a number; may be absent */
	struct slice unit;   /* RU; may be absent */
	struct slice what;   /* RI, an OBIS code; may be absent */
	struct slice status; /* ST, "G" = good; may be absent */
	struct slice
		errors; /* EF: "E" = the energy is not to be used, "t" = the time; may be absent */
};

struct ocmf {
	struct slice payload;   /* what is signed */
	struct slice method;    /* SA; the default if it is not stated */
	struct slice signature; /* SD, decoded: DER */
	struct slice meter;     /* MS, its serial number; may be absent */
	struct slice gateway;   /* GS; may be absent */
	const struct ocmf_reading *readings;
	size_t count;
};

/* POISON ("bad_ocmf") with what is wrong if it is not OCMF. The results borrow from the text and
 * the arena. A field that a reading leaves out is that of the one before it. */
MUST_CHECK bool ocmf_read(struct document_reader *reader, struct slice text, struct arena *arena,
	struct ocmf *out, struct error *err);

/* Whether the transaction begins or ends with it. */
bool ocmf_begins(const struct ocmf_reading *reading);
bool ocmf_ends(const struct ocmf_reading *reading);

/* When it was measured, in microseconds since 1970. False if that is not stated, or if the meter
 * does not vouch for its clock (only S = synchronised and R = relative to that count). */
bool ocmf_time(const struct ocmf_reading *reading, int64_t *us_out);

/* OpenSSL's name of the curve that the method names; NULL if this program does not know it. */
const char *ocmf_curve(const struct ocmf *ocmf);

/* The curves that it knows, from 0; NULL after the last. */
const char *ocmf_curve_at(size_t index);

enum ocmf_verdict {
	OCMF_VALID,
	OCMF_INVALID,
	OCMF_UNSUPPORTED, /* a method that this program does not know */
	OCMF_NO_MEMORY,
};

/* key: of the curve that the method names. */
enum ocmf_verdict ocmf_verify(const struct ocmf *ocmf, EVP_PKEY *key);

#endif
