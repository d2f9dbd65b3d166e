#ifndef DAEMON_ROW_MAKER_H
#define DAEMON_ROW_MAKER_H

#include "config/config.h"
#include "decode/decode.h"
#include "rows/rows.h"

/* Everything needed to make rows from messages, built from the settings: for storing them, and for
 * commands that only show them. One thread. It must not be moved once it is open. */
struct row_maker {
	struct topic_patterns patterns;
	struct decoder *decoder;
	struct schemas *schemas;
	struct layouts *layouts;
	struct sequences *sequences;
	struct pseudonyms *pseudonyms;
	struct slice *skip_actions; /* belongs to the builder's options */
	struct rows_builder builder;
};

/* Zero maker first; config outlives it. payload_bytes_max: see decoder_new(). FATAL; close it even
 * after a failure. */
MUST_CHECK bool row_maker_open(struct row_maker *maker, const struct config *config,
	size_t payload_bytes_max, struct error *err);

/* Switch to these settings, which must outlive the maker, from the next message on. What it has
 * learned stays: layouts, sequences, recent calls. FATAL, and nothing is changed then. */
MUST_CHECK bool row_maker_reload(struct row_maker *maker, const struct config *config,
	struct error *err);

void row_maker_close(struct row_maker *maker);

#endif
