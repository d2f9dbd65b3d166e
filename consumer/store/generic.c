#include "store/generic.h"

#include "store/store_private.h"

#include <string.h>

const struct store_entity store_entities[] = {
#define KIND(entity, name, table, key_count, lookup_key_count)                                     \
	{name, &store_shapes[SHAPE_##entity], QUERY_##entity##_set, QUERY_##entity##_lookup,       \
		QUERY_##entity##_list, QUERY_##entity##_delete, key_count, lookup_key_count,       \
		lookup_key_count},
#include "store/kinds.def"
#undef KIND
	{"transaction", &store_shapes[SHAPE_transaction], -1, QUERY_transaction_find,
		QUERY_transaction_list, -1, 2, 2, 0},
};

const size_t store_entities_count = sizeof(store_entities) / sizeof(store_entities[0]);

const struct store_entity *store_entity_by_name(const char *name)
{
	for (size_t i = 0; i < store_entities_count; i++) {
		if (strcmp(store_entities[i].name, name) == 0)
			return &store_entities[i];
	}
	return NULL;
}

bool store_entity_set(struct ocpp_store *store, const struct store_entity *e, const void *rows,
	size_t count, struct error *err)
{
	CHECK(e->set >= 0);
	if (e->set == QUERY_certificate_set)
		return ocpp_certificate_set(store, rows, count, err);
	return store_set(store, (enum store_query_id)e->set, rows, count, err);
}

/* The params of look-ups are their keys, as texts in order. */
enum ocpp_outcome store_entity_lookup(struct ocpp_store *store, const struct store_entity *e,
	const char *const keys[STORE_KEYS_MAX], const void **out, size_t *count_out,
	struct error *err)
{
	return store_lookup(store, (enum store_query_id)e->lookup, keys, out, count_out, err);
}

bool store_entity_list(struct ocpp_store *store, const struct store_entity *e, const void *after,
	int32_t limit, const void **out, size_t *count_out, struct error *err)
{
	struct ocpp_page page = {.limit = limit};

	if (e->list == QUERY_transaction_list) {
		struct ocpp_transaction_page p = {.after = after, .limit = limit};

		return ocpp_transaction_list(store, &p, (const struct ocpp_transaction **)out,
			count_out, err);
	}
	if (e->list == QUERY_party_list) {
		struct ocpp_party_page p = {.limit = limit};
		const struct ocpp_party *last = after;

		if (last != NULL) {
			p.after_role = last->role;
			p.after_country_code = last->country_code;
			p.after_party_id = last->party_id;
		}
		return ocpp_party_list(store, &p, (const struct ocpp_party **)out, count_out, err);
	}
	/* Pages of all others begin after their first field. */
	if (after != NULL)
		memcpy(&page.after, (const uint8_t *)after + e->shape->fields[0].offset,
			sizeof(page.after));
	return store_list(store, (enum store_query_id)e->list, &page, out, count_out, err);
}

bool store_entity_delete(struct ocpp_store *store, const struct store_entity *e,
	const char *const keys[STORE_KEYS_MAX], int64_t last_updated, struct error *err)
{
	CHECK(e->remove >= 0);
	if (e->remove == QUERY_party_delete)
		return ocpp_party_delete(store, keys[0], keys[1], keys[2], last_updated, err);
	if (e->remove == QUERY_install_certificate_delete)
		return ocpp_install_certificate_delete(store, keys[0], keys[1], last_updated, err);
	return store_delete(store, (enum store_query_id)e->remove, keys[0], last_updated, err);
}
