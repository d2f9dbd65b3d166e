#include "replay/decode_kit.h"

#include "daemon/options.h"

#include <stdlib.h>

enum {
	DECODE_KIT_ARENA_BYTES = 256
				 << 20, /* address space: a window, the largest record, its rows */
	DECODE_KIT_USED_BYTES = 4 << 20,
};

bool decode_kit_open(struct decode_kit *kit, const struct config *config, struct error *err)
{
	for (size_t i = 0; i < config->mqtt_topic_patterns.count; i++) {
		if (!topic_patterns_add(&kit->patterns, config->mqtt_topic_patterns.items[i], err))
			return false;
	}
	if (!decoder_new(&kit->decoder, &kit->patterns, DECODE_KIT_BYTES_MAX, err) ||
		!schemas_new(&kit->schemas, schema_files, schema_count, err) ||
		!layouts_new(&kit->layouts, (uint32_t)config->layouts_per_station_max, err) ||
		!sequences_new(&kit->sequences, err))
		return false;
	if (!arena_init(&kit->arena, DECODE_KIT_ARENA_BYTES, DECODE_KIT_USED_BYTES))
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	kit->builder.schemas = kit->schemas;
	kit->builder.layouts = kit->layouts;
	kit->builder.sequences = kit->sequences;
	return options_rows(config, &kit->builder.options, &kit->skip_actions, err);
}

void decode_kit_make_room(struct decode_kit *kit, struct replay_source *source)
{
	if (kit->arena.used < DECODE_KIT_USED_BYTES)
		return;
	replay_source_drop_window(source);
	arena_reset(&kit->arena);
}

void decode_kit_close(struct decode_kit *kit)
{
	decoder_free(&kit->decoder);
	schemas_free(&kit->schemas);
	layouts_free(&kit->layouts);
	sequences_free(&kit->sequences);
	arena_fini(&kit->arena);
	free(kit->skip_actions);
}
