#ifndef DAEMON_ROW_MAKER_H
#define DAEMON_ROW_MAKER_H

#include "config/config.h"
#include "decode/decode.h"
#include "rows/rows.h"

/*
 * What it takes to make rows of messages, from the settings: for whoever stores them, and for
 * commands that only show them. One thread. It must not be moved once it is open.
 */
struct row_maker {
	struct topic_patterns patterns;
	struct decoder *decoder;
	struct schemas *schemas;
	struct layouts *layouts;
	struct sequences *sequences;
	struct pseudonyms *pseudonyms;
	struct slice *skip_actions; /* of the builder's options */
	struct rows_builder builder;
};

/* maker is zeroed; config outlives it. payload_bytes_max: see decoder_new(). FATAL; close it also
 * then. */
MUST_CHECK bool row_maker_open(struct row_maker *maker, const struct config *config,
	size_t payload_bytes_max, struct error *err);

/*
 * From the next message on by these settings, which outlive the maker from here on. What it has
 * learned stays: layouts, sequences, recent calls. FATAL, and nothing is changed then.
 */
MUST_CHECK bool row_maker_reload(struct row_maker *maker, const struct config *config,
	struct error *err);

void row_maker_close(struct row_maker *maker);

#endif
