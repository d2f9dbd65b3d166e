#ifndef STORE_GENERIC_H
#define STORE_GENERIC_H

#include "store/shapes.h"

/* The store's calls by name of entity, for callers that treat all entities alike (the command
 * line). Rows are structs of the entity's shape. See store.h for what the calls promise. */
struct store_entity {
	const char *name; /* "charge-station" */
	const struct store_shape *shape;
	int set; /* enum store_query_id; -1: not possible */
	int lookup;
	int list;
	int remove;
	size_t keys;        /* how many texts identify one ... */
	size_t lookup_keys; /* ... and how many a look-up takes, which may return several */
	size_t page_keys;   /* how many say where a page begins; 0 = not texts, but a time */
};

enum { STORE_KEYS_MAX = 3 };

extern const struct store_entity store_entities[];
extern const size_t store_entities_count;

/* NULL if there is no such entity. */
const struct store_entity *store_entity_by_name(const char *name);

MUST_CHECK bool store_entity_set(struct ocpp_store *store, const struct store_entity *e,
	const void *rows, size_t count, struct error *err);
MUST_CHECK enum ocpp_outcome store_entity_lookup(struct ocpp_store *store,
	const struct store_entity *e, const char *const keys[STORE_KEYS_MAX], const void **out,
	size_t *count_out, struct error *err);

/* after: the last row of the previous page; NULL = from the beginning. */
MUST_CHECK bool store_entity_list(struct ocpp_store *store, const struct store_entity *e,
	const void *after, int32_t limit, const void **out, size_t *count_out, struct error *err);
MUST_CHECK bool store_entity_delete(struct ocpp_store *store, const struct store_entity *e,
	const char *const keys[STORE_KEYS_MAX], int64_t last_updated, struct error *err);

#endif
