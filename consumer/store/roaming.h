#ifndef STORE_ROAMING_H
#define STORE_ROAMING_H

#include "store/entities.h"

/* Certificates, OCPI registrations and parties, locations. See store.h. */

/*
 * The key of a certificate: SHA-256 of its DER encoding in base64url without padding, so that it
 * does not depend on how the PEM is wrapped. POISON if pem has no certificate.
 */
enum { OCPP_CERTIFICATE_HASH_BYTES = 44 };
OCPP_API MUST_CHECK bool ocpp_certificate_hash(const char *pem,
	char out[OCPP_CERTIFICATE_HASH_BYTES], struct error *err);

/* MaEVE's id for a certificate to be installed: SHA-256 of the DER encoding of the first
 * certificate in pem, in hexadecimal. POISON if pem has no certificate. */
enum { OCPP_CERTIFICATE_ID_BYTES = 65 };
OCPP_API MUST_CHECK bool ocpp_certificate_id(const char *pem, char out[OCPP_CERTIFICATE_ID_BYTES],
	struct error *err);

/* certificate_hash is computed; if given, it must match. */
OCPP_API MUST_CHECK bool ocpp_certificate_set(struct ocpp_store *store,
	const struct ocpp_certificate *certificates, size_t count, struct error *err);

OCPP_API MUST_CHECK enum ocpp_outcome ocpp_certificate_lookup(struct ocpp_store *store,
	const char *certificate_hash, const struct ocpp_certificate **out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_certificate_list(struct ocpp_store *store,
	const struct ocpp_page *page, const struct ocpp_certificate **out, size_t *count_out,
	struct error *err);

OCPP_API MUST_CHECK bool ocpp_certificate_delete(struct ocpp_store *store,
	const char *certificate_hash, int64_t last_updated, struct error *err);

OCPP_API MUST_CHECK bool ocpp_registration_set(struct ocpp_store *store,
	const struct ocpp_registration *registrations, size_t count, struct error *err);

OCPP_API MUST_CHECK enum ocpp_outcome ocpp_registration_lookup(struct ocpp_store *store,
	const char *token, const struct ocpp_registration **out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_registration_list(struct ocpp_store *store,
	const struct ocpp_page *page, const struct ocpp_registration **out, size_t *count_out,
	struct error *err);

OCPP_API MUST_CHECK bool ocpp_registration_delete(struct ocpp_store *store, const char *token,
	int64_t last_updated, struct error *err);

OCPP_API MUST_CHECK bool ocpp_party_set(struct ocpp_store *store, const struct ocpp_party *parties,
	size_t count, struct error *err);

OCPP_API MUST_CHECK enum ocpp_outcome ocpp_party_lookup(struct ocpp_store *store, const char *role,
	const char *country_code, const char *party_id, const struct ocpp_party **out,
	struct error *err);

OCPP_API MUST_CHECK bool ocpp_party_delete(struct ocpp_store *store, const char *role,
	const char *country_code, const char *party_id, int64_t last_updated, struct error *err);

/* Entries after a key; all NULL = from the beginning. */
struct ocpp_party_page {
	const char *role; /* only this role; NULL = all */
	const char *after_role;
	const char *after_country_code;
	const char *after_party_id;
	int32_t limit; /* as in struct ocpp_page */
};

OCPP_API MUST_CHECK bool ocpp_party_list(struct ocpp_store *store,
	const struct ocpp_party_page *page, const struct ocpp_party **out, size_t *count_out,
	struct error *err);

/* Without country_code: that of the location ("Country"), otherwise XX; without party_id: XXX. */
OCPP_API MUST_CHECK bool ocpp_location_set(struct ocpp_store *store,
	const struct ocpp_location *locations, size_t count, struct error *err);

OCPP_API MUST_CHECK enum ocpp_outcome ocpp_location_lookup(struct ocpp_store *store, const char *id,
	const struct ocpp_location **out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_location_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_location **out, size_t *count_out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_location_delete(struct ocpp_store *store, const char *id,
	int64_t last_updated, struct error *err);

#endif
