#include "store/store_private.h"

#include <stdlib.h>
#include <string.h>

/* ---- certificate ---- */

enum ocpp_outcome ocpp_certificate_lookup(struct ocpp_store *store, const char *certificate_hash,
	const struct ocpp_certificate **out, struct error *err)
{
	struct store_id wanted = {certificate_hash};

	return store_lookup(store, QUERY_certificate_lookup, &wanted, (const void **)out, NULL,
		err);
}

bool ocpp_certificate_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_certificate **out, size_t *count_out, struct error *err)
{
	return store_list(store, QUERY_certificate_list, page, (const void **)out, count_out, err);
}

bool ocpp_certificate_delete(struct ocpp_store *store, const char *certificate_hash,
	int64_t last_updated, struct error *err)
{
	return store_delete(store, QUERY_certificate_delete, certificate_hash, last_updated, err);
}

/* ---- registration ---- */

bool ocpp_registration_set(struct ocpp_store *store, const struct ocpp_registration *registrations,
	size_t count, struct error *err)
{
	return store_set(store, QUERY_registration_set, registrations, count, err);
}

enum ocpp_outcome ocpp_registration_lookup(struct ocpp_store *store, const char *token,
	const struct ocpp_registration **out, struct error *err)
{
	struct store_id wanted = {token};

	return store_lookup(store, QUERY_registration_lookup, &wanted, (const void **)out, NULL,
		err);
}

bool ocpp_registration_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_registration **out, size_t *count_out, struct error *err)
{
	return store_list(store, QUERY_registration_list, page, (const void **)out, count_out, err);
}

bool ocpp_registration_delete(struct ocpp_store *store, const char *token, int64_t last_updated,
	struct error *err)
{
	return store_delete(store, QUERY_registration_delete, token, last_updated, err);
}

/* ---- party ---- */

bool ocpp_party_set(struct ocpp_store *store, const struct ocpp_party *parties, size_t count,
	struct error *err)
{
	return store_set(store, QUERY_party_set, parties, count, err);
}

/* ---- location ---- */

bool ocpp_location_set(struct ocpp_store *store, const struct ocpp_location *locations,
	size_t count, struct error *err)
{
	return store_set(store, QUERY_location_set, locations, count, err);
}

enum ocpp_outcome ocpp_location_lookup(struct ocpp_store *store, const char *id,
	const struct ocpp_location **out, struct error *err)
{
	struct store_id wanted = {id};

	return store_lookup(store, QUERY_location_lookup, &wanted, (const void **)out, NULL, err);
}

bool ocpp_location_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_location **out, size_t *count_out, struct error *err)
{
	return store_list(store, QUERY_location_list, page, (const void **)out, count_out, err);
}

bool ocpp_location_delete(struct ocpp_store *store, const char *id, int64_t last_updated,
	struct error *err)
{
	return store_delete(store, QUERY_location_delete, id, last_updated, err);
}

enum ocpp_outcome ocpp_party_lookup(struct ocpp_store *store, const char *role,
	const char *country_code, const char *party_id, const struct ocpp_party **out,
	struct error *err)
{
	struct store_party_key key = {role, country_code, party_id};

	return store_lookup(store, QUERY_party_lookup, &key, (const void **)out, NULL, err);
}

bool ocpp_party_delete(struct ocpp_store *store, const char *role, const char *country_code,
	const char *party_id, int64_t last_updated, struct error *err)
{
	struct store_gone_party gone = {role, country_code, party_id, last_updated};
	struct store_request r = {QUERY_party_delete, &gone, 1};

	return store_run(store, &r, 1, NULL, NULL, err);
}

bool ocpp_party_list(struct ocpp_store *store, const struct ocpp_party_page *page,
	const struct ocpp_party **out, size_t *count_out, struct error *err)
{
	struct store_party_page p = {page->role, page->after_role, page->after_country_code,
		page->after_party_id, 0};
	struct store_request r = {QUERY_party_list, &p, 1};

	return store_limit(page->limit, &p.limit, err) &&
	       store_run(store, &r, 1, (const void **)out, count_out, err);
}

/* ---- certificates: the key is their fingerprint ---- */

/* Copies the rows and fills in their fingerprints, which live in text[]. */
static bool certificate_fill(const struct ocpp_certificate *given, struct ocpp_certificate *out,
	char text[OCPP_CERTIFICATE_HASH_BYTES], struct error *err)
{
	*out = *given;
	if (given->pem == NULL)
		return error_set(err, ERROR_POISON, REASON_bad_row, "pem is missing");
	if (!ocpp_certificate_hash(given->pem, text, err))
		return false;
	if (given->certificate_hash != NULL && strcmp(given->certificate_hash, text) != 0)
		return error_set(err, ERROR_POISON, REASON_bad_row,
			"certificate_hash is \"%.60s\", but the certificate's is \"%s\"",
			given->certificate_hash, text);
	out->certificate_hash = text;
	return true;
}

bool ocpp_certificate_set(struct ocpp_store *store, const struct ocpp_certificate *certificates,
	size_t count, struct error *err)
{
	char(*texts)[OCPP_CERTIFICATE_HASH_BYTES];
	struct ocpp_certificate *filled;
	bool ok = true;

	if (count > OCPP_ROWS_MAX)
		return error_set(err, ERROR_POISON, REASON_bad_row, "more than %d rows in one call",
			OCPP_ROWS_MAX);
	texts = calloc(count + 1, sizeof(*texts));
	filled = calloc(count + 1, sizeof(*filled));
	if (texts == NULL || filled == NULL)
		ok = error_set(err, ERROR_TRANSIENT, REASON_memory, "out of memory");
	for (size_t i = 0; ok && i < count; i++)
		ok = certificate_fill(&certificates[i], &filled[i], texts[i], err);
	ok = ok && store_set(store, QUERY_certificate_set, filled, count, err);
	free(texts);
	free(filled);
	return ok;
}
