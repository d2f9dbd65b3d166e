#ifndef STORE_STATIONS_H
#define STORE_STATIONS_H

#include "store/entities.h"

/*
 * Charge stations: how they log in, their settings, their software and protocol, certificates to
 * install and messages to trigger. No call requires that the station is registered: messages about
 * it may come first. See store.h for what all calls have in common.
 */

/* ---- how they log in ---- */

/* An empty password means no password. */
OCPP_API MUST_CHECK bool ocpp_station_auth_set(struct ocpp_store *store,
	const struct ocpp_station_auth *stations, size_t count, struct error *err);

OCPP_API MUST_CHECK enum ocpp_outcome ocpp_station_auth_lookup(struct ocpp_store *store,
	const char *charge_station_id, const struct ocpp_station_auth **out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_station_auth_list(struct ocpp_store *store,
	const struct ocpp_page *page, const struct ocpp_station_auth **out, size_t *count_out,
	struct error *err);

OCPP_API MUST_CHECK bool ocpp_station_auth_delete(struct ocpp_store *store,
	const char *charge_station_id, int64_t last_updated, struct error *err);

/* ---- settings ---- */

/* Sets each given key; other keys of the station keep their values. */
OCPP_API MUST_CHECK bool ocpp_setting_set(struct ocpp_store *store,
	const struct ocpp_setting *settings, size_t count, struct error *err);

/* All settings of one station, in the order of keys. */
OCPP_API MUST_CHECK enum ocpp_outcome ocpp_setting_lookup(struct ocpp_store *store,
	const char *charge_station_id, const struct ocpp_setting **out, size_t *count_out,
	struct error *err);

/* after and limit count stations: a page has all settings of each. */
OCPP_API MUST_CHECK bool ocpp_setting_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_setting **out, size_t *count_out, struct error *err);

/* Deletes all settings of a station that were set by then. */
OCPP_API MUST_CHECK bool ocpp_setting_delete(struct ocpp_store *store,
	const char *charge_station_id, int64_t last_updated, struct error *err);

/* ---- software and protocol ---- */

/* Replaces the whole row: a field that is not given becomes unknown. */
OCPP_API MUST_CHECK bool ocpp_runtime_set(struct ocpp_store *store,
	const struct ocpp_runtime *details, size_t count, struct error *err);

OCPP_API MUST_CHECK enum ocpp_outcome ocpp_runtime_lookup(struct ocpp_store *store,
	const char *charge_station_id, const struct ocpp_runtime **out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_runtime_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_runtime **out, size_t *count_out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_runtime_delete(struct ocpp_store *store,
	const char *charge_station_id, int64_t last_updated, struct error *err);

/* ---- certificates to install ---- */

/* By station and certificate_id: the station's other certificates stay. */
OCPP_API MUST_CHECK bool ocpp_install_certificate_set(struct ocpp_store *store,
	const struct ocpp_install_certificate *certificates, size_t count, struct error *err);

/* All certificates of one station, newest first. */
OCPP_API MUST_CHECK enum ocpp_outcome ocpp_install_certificate_lookup(struct ocpp_store *store,
	const char *charge_station_id, const struct ocpp_install_certificate **out,
	size_t *count_out, struct error *err);

/* after and limit count stations: a page has all certificates of each. */
OCPP_API MUST_CHECK bool ocpp_install_certificate_list(struct ocpp_store *store,
	const struct ocpp_page *page, const struct ocpp_install_certificate **out,
	size_t *count_out, struct error *err);

/* certificate_id: NULL = all certificates of the station. */
OCPP_API MUST_CHECK bool ocpp_install_certificate_delete(struct ocpp_store *store,
	const char *charge_station_id, const char *certificate_id, int64_t last_updated,
	struct error *err);

/* ---- messages to trigger: one per station ---- */

OCPP_API MUST_CHECK bool ocpp_trigger_set(struct ocpp_store *store,
	const struct ocpp_trigger *triggers, size_t count, struct error *err);

OCPP_API MUST_CHECK enum ocpp_outcome ocpp_trigger_lookup(struct ocpp_store *store,
	const char *charge_station_id, const struct ocpp_trigger **out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_trigger_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_trigger **out, size_t *count_out, struct error *err);

OCPP_API MUST_CHECK bool ocpp_trigger_delete(struct ocpp_store *store,
	const char *charge_station_id, int64_t last_updated, struct error *err);

#endif
