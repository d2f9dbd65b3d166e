#ifndef STORE_TOKENS_H
#define STORE_TOKENS_H

#include "store/entities.h"

/* Tokens by uid. See store.h for what all calls have in common. */

OCPP_API MUST_CHECK bool ocpp_token_set(struct ocpp_store *store, const struct ocpp_token *tokens,
	size_t count, struct error *err);

/* Also finds tokens that are not valid: the caller decides what that means. */
OCPP_API MUST_CHECK enum ocpp_outcome ocpp_token_lookup(struct ocpp_store *store, const char *uid,
	const struct ocpp_token **out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_token_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_token **out, size_t *count_out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_token_delete(struct ocpp_store *store, const char *uid,
	int64_t last_updated, struct error *err);

#endif
