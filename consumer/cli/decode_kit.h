#ifndef CLI_DECODE_KIT_H
#define CLI_DECODE_KIT_H

#include "config/config.h"
#include "decode/decode.h"
#include "rows/rows.h"

/* What it takes to make rows of messages without a database. One thread. */
struct decode_kit {
	struct topic_patterns patterns;
	struct decoder *decoder;
	struct schemas *schemas;
	struct layouts *layouts;
	struct rows_builder builder;
	struct arena arena;
};

enum { DECODE_KIT_BYTES_MAX = 16 << 20 };

/* FATAL; close it also then. */
MUST_CHECK bool decode_kit_open(struct decode_kit *kit, const struct config *config,
	struct error *err);
void decode_kit_close(struct decode_kit *kit);

#endif
