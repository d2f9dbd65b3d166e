#include "cli/decode_kit.h"

#include <string.h>

enum { DECODE_KIT_ARENA_BYTES = 256 << 20 };

bool decode_kit_open(struct decode_kit *kit, const struct config *config, struct error *err)
{
	for (size_t i = 0; i < config->mqtt_topic_patterns.count; i++) {
		if (!topic_patterns_add(&kit->patterns, config->mqtt_topic_patterns.items[i], err))
			return false;
	}
	if (!decoder_new(&kit->decoder, &kit->patterns, DECODE_KIT_BYTES_MAX, err) ||
		!schemas_new(&kit->schemas, schema_files, schema_count, err) ||
		!layouts_new(&kit->layouts, (uint32_t)config->layouts_per_station_max, err))
		return false;
	if (!arena_init(&kit->arena, DECODE_KIT_ARENA_BYTES, 0))
		return error_set(err, ERROR_FATAL, "memory", "out of memory");
	kit->builder.schemas = kit->schemas;
	kit->builder.layouts = kit->layouts;
	kit->builder.options.results_all = strcmp(config->events_results, "all") == 0;
	return true;
}

void decode_kit_close(struct decode_kit *kit)
{
	decoder_free(&kit->decoder);
	schemas_free(&kit->schemas);
	layouts_free(&kit->layouts);
	arena_fini(&kit->arena);
}
