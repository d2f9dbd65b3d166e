#ifndef CLI_EXPORT_H
#define CLI_EXPORT_H

#include "decode/decode.h"
#include "spool/record.h"

#include <stdio.h>

/*
 * A record of the log in a format for other programs. What a format cannot express is not forced
 * into it, but written as raw bytes, so that nothing is lost. One thread.
 *
 *	msgpack  the record as it is
 *	json     a line with the payload as JSON, or payload_hex if it is not JSON
 *	maeve    a line for each message in it: OCPP in the JSON envelope of MaEVE, messages to
 *		 the store as the JSON objects they are
 */
struct exporter {
	struct decoder *decoder; /* borrowed */
	FILE *out;
};

/* generation: that of the record's segment. FATAL with err if it cannot be written. */
typedef bool export_format(struct exporter *e, const struct record *r, uint64_t generation,
	struct arena *arena, struct error *err);

export_format export_json, export_maeve, export_msgpack;

#endif
