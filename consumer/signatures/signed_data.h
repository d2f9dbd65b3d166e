#ifndef SIGNATURES_SIGNED_DATA_H
#define SIGNATURES_SIGNED_DATA_H

#include "base/arena.h"
#include "base/slice.h"
#include "decode/document.h"

/*
 * The signed data of a sampled value, unpacked from what the station wrote around it.
 *
 *	2.x       an object SignedMeterValueType: signedMeterData in base64, encodingMethod,
 *	          signingMethod, publicKey
 *	1.6       the data itself, plain, in hexadecimal or in base64; or, by the white paper
 *	          "Signed Meter Values in OCPP" (Open Charge Alliance), the object of 2.x as a
 *	          text. Some stations name its data signedMeterValue.
 *
 * One thread.
 */
struct signed_data {
	struct slice bytes;      /* what the meter made; never absent */
	const char *format;      /* "OCMF", "Alfen", "SML", "XML"; NULL = not known */
	struct slice method;     /* encodingMethod, as sent; may be absent */
	struct slice public_key; /* as sent; may be absent */
};

/* False if nothing of that can be found in it, or the arena is full. The results borrow from the
 * text and the arena. */
MUST_CHECK bool signed_data_read(struct document_reader *reader, struct slice sent,
	struct arena *arena, struct signed_data *out);

#endif
