#ifndef SIGNATURES_CHECK_H
#define SIGNATURES_CHECK_H

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "decode/document.h"
#include "signatures/key_list.h"

#include <stdbool.h>

/*
 * Checks one signed reading: is its signature that of the meter, and what does it say? Verified is
 * OCMF (ocmf.h); other formats are only named. One thread.
 *
 * A key comes from the list of keys, which somebody vouches for; else from the settings of the
 * station; else from the reading itself, which says no more than that nothing changed on its way
 * since somebody signed it.
 */
struct checker {
	struct document_reader *reader;
	const struct key_list *keys; /* NULL = none */
	struct arena *arena;         /* the caller resets it between two readings */
};

struct check_input {
	struct slice sent;        /* as the station sent it */
	struct slice station;     /* its id */
	struct slice evse;        /* a number; absent = not known */
	struct slice station_key; /* from its settings; may be absent */
	struct slice
		earlier_key; /* that came with an earlier reading of the session; may be absent */
};

enum check_verdict {
	CHECK_VALID,
	CHECK_INVALID,
	CHECK_NO_KEY,
	CHECK_BAD_KEY,     /* there is one, which is not a public key */
	CHECK_UNSUPPORTED, /* another format, or another method of signing */
	CHECK_UNREADABLE,  /* damaged */
	CHECK_VERDICTS
};

enum check_source { CHECK_FROM_NOWHERE, CHECK_FROM_LIST, CHECK_FROM_STATION, CHECK_FROM_READING };

/* A reading of an energy register, in Wh. step_wh: one unit of its last decimal place. */
struct check_energy {
	bool known;
	double wh, step_wh;
	struct slice what; /* the register, an OBIS code; may be absent */
};

struct check_result {
	enum check_verdict verdict;
	enum check_source source;
	const char *format;             /* NULL = not known */
	struct check_energy begin, end; /* of the transaction */
	struct check_energy last;       /* the last reading of the same register, of any reason */
	bool begins, ends;              /* there is such a reading, even without an energy */
	bool has_reasons;               /* the readings say what they are for */
	bool begin_timed, end_timed;    /* the meter vouches for the times */
	int64_t begin_us, end_us;
	bool contradicts;        /* two begins, or two ends, of one register differ */
	bool energy_unusable;    /* so says the meter, of one of its readings */
	bool meter_faulty;       /* a reading whose status is not good */
	struct slice meter;      /* serial number, or that of its gateway; may be absent */
	struct slice public_key; /* that came with it; may be absent */
};

/* False only if memory was not enough. */
MUST_CHECK bool check_reading(const struct checker *checker, const struct check_input *input,
	struct check_result *out, struct error *err);

/* A word for each. */
const char *check_verdict_name(enum check_verdict verdict);
const char *check_source_name(enum check_source source);

/* Whether both can be the same reading, of which one is rounded or cut more than the other. */
bool check_energy_equal(const struct check_energy *a, const struct check_energy *b);

/* Energy from a decimal as text in Wh, with its own precision. */
struct check_energy check_energy_of(struct slice wh);

#endif
