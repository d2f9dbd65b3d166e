#include "store/store_private.h"

/* ---- token ---- */

bool ocpp_token_set(struct ocpp_store *store, const struct ocpp_token *tokens, size_t count,
	struct error *err)
{
	return store_set(store, QUERY_token_set, tokens, count, err);
}

enum ocpp_outcome ocpp_token_lookup(struct ocpp_store *store, const char *uid,
	const struct ocpp_token **out, struct error *err)
{
	struct store_id wanted = {uid};

	return store_lookup(store, QUERY_token_lookup, &wanted, (const void **)out, NULL, err);
}

bool ocpp_token_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_token **out, size_t *count_out, struct error *err)
{
	return store_list(store, QUERY_token_list, page, (const void **)out, count_out, err);
}

bool ocpp_token_delete(struct ocpp_store *store, const char *uid, int64_t last_updated,
	struct error *err)
{
	return store_delete(store, QUERY_token_delete, uid, last_updated, err);
}
