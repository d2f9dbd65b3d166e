#include "daemon/row_maker.h"

#include "base/clock.h"
#include "daemon/options.h"

#include <stdlib.h>

bool row_maker_open(struct row_maker *maker, const struct config *config, size_t payload_bytes_max,
	struct error *err)
{
	if (!options_topics(config, &maker->patterns, err) ||
		!decoder_new(&maker->decoder, &maker->patterns, payload_bytes_max, err) ||
		!schemas_new(&maker->schemas, schema_files, schema_count, err) ||
		!layouts_new(&maker->layouts, (uint32_t)config->layouts_per_station_max, err) ||
		!sequences_new(&maker->sequences, err) || !pseudonyms_new(&maker->pseudonyms, err))
		return false;
	pseudonyms_set_key(maker->pseudonyms, slice_from_cstr(config->privacy_token_key));
	maker->builder = (struct rows_builder){
		.schemas = maker->schemas,
		.layouts = maker->layouts,
		.sequences = maker->sequences,
		.pseudonyms = maker->pseudonyms,
	};
	if (!options_rows(config, &maker->builder.options, &maker->skip_actions, err))
		return false;
	return true;
}

bool row_maker_reload(struct row_maker *maker, const struct config *config, struct error *err)
{
	struct topic_patterns patterns;
	struct rows_options options;
	struct slice *skip_actions;

	if (!options_topics(config, &patterns, err) ||
		!options_rows(config, &options, &skip_actions, err))
		return false;
	maker->patterns = patterns;
	maker->builder.options = options;
	free(maker->skip_actions);
	maker->skip_actions = skip_actions;
	layouts_set_max(maker->layouts, (uint32_t)config->layouts_per_station_max);
	pseudonyms_set_key(maker->pseudonyms, slice_from_cstr(config->privacy_token_key));
	return true;
}

void row_maker_close(struct row_maker *maker)
{
	decoder_free(&maker->decoder);
	schemas_free(&maker->schemas);
	layouts_free(&maker->layouts);
	sequences_free(&maker->sequences);
	pseudonyms_free(&maker->pseudonyms);
	free(maker->skip_actions);
	maker->skip_actions = NULL;
}
