#include "store/store_private.h"

/* ---- station auth ---- */

bool ocpp_station_auth_set(struct ocpp_store *store, const struct ocpp_station_auth *stations,
	size_t count, struct error *err)
{
	return store_set(store, QUERY_station_auth_set, stations, count, err);
}

enum ocpp_outcome ocpp_station_auth_lookup(struct ocpp_store *store, const char *charge_station_id,
	const struct ocpp_station_auth **out, struct error *err)
{
	struct store_id wanted = {charge_station_id};

	return store_lookup(store, QUERY_station_auth_lookup, &wanted, (const void **)out, NULL,
		err);
}

bool ocpp_station_auth_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_station_auth **out, size_t *count_out, struct error *err)
{
	return store_list(store, QUERY_station_auth_list, page, (const void **)out, count_out, err);
}

bool ocpp_station_auth_delete(struct ocpp_store *store, const char *charge_station_id,
	int64_t last_updated, struct error *err)
{
	return store_delete(store, QUERY_station_auth_delete, charge_station_id, last_updated, err);
}

/* ---- setting ---- */

bool ocpp_setting_set(struct ocpp_store *store, const struct ocpp_setting *settings, size_t count,
	struct error *err)
{
	return store_set(store, QUERY_setting_set, settings, count, err);
}

enum ocpp_outcome ocpp_setting_lookup(struct ocpp_store *store, const char *charge_station_id,
	const struct ocpp_setting **out, size_t *count_out, struct error *err)
{
	struct store_id wanted = {charge_station_id};

	return store_lookup(store, QUERY_setting_lookup, &wanted, (const void **)out, count_out,
		err);
}

bool ocpp_setting_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_setting **out, size_t *count_out, struct error *err)
{
	return store_list(store, QUERY_setting_list, page, (const void **)out, count_out, err);
}

bool ocpp_setting_delete(struct ocpp_store *store, const char *charge_station_id,
	int64_t last_updated, struct error *err)
{
	return store_delete(store, QUERY_setting_delete, charge_station_id, last_updated, err);
}

/* ---- runtime ---- */

bool ocpp_runtime_set(struct ocpp_store *store, const struct ocpp_runtime *details, size_t count,
	struct error *err)
{
	return store_set(store, QUERY_runtime_set, details, count, err);
}

enum ocpp_outcome ocpp_runtime_lookup(struct ocpp_store *store, const char *charge_station_id,
	const struct ocpp_runtime **out, struct error *err)
{
	struct store_id wanted = {charge_station_id};

	return store_lookup(store, QUERY_runtime_lookup, &wanted, (const void **)out, NULL, err);
}

bool ocpp_runtime_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_runtime **out, size_t *count_out, struct error *err)
{
	return store_list(store, QUERY_runtime_list, page, (const void **)out, count_out, err);
}

bool ocpp_runtime_delete(struct ocpp_store *store, const char *charge_station_id,
	int64_t last_updated, struct error *err)
{
	return store_delete(store, QUERY_runtime_delete, charge_station_id, last_updated, err);
}

/* ---- install certificate ---- */

bool ocpp_install_certificate_set(struct ocpp_store *store,
	const struct ocpp_install_certificate *certificates, size_t count, struct error *err)
{
	return store_set(store, QUERY_install_certificate_set, certificates, count, err);
}

enum ocpp_outcome ocpp_install_certificate_lookup(struct ocpp_store *store,
	const char *charge_station_id, const struct ocpp_install_certificate **out,
	size_t *count_out, struct error *err)
{
	struct store_id wanted = {charge_station_id};

	return store_lookup(store, QUERY_install_certificate_lookup, &wanted, (const void **)out,
		count_out, err);
}

bool ocpp_install_certificate_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_install_certificate **out, size_t *count_out, struct error *err)
{
	return store_list(store, QUERY_install_certificate_list, page, (const void **)out,
		count_out, err);
}

/* ---- trigger ---- */

bool ocpp_trigger_set(struct ocpp_store *store, const struct ocpp_trigger *triggers, size_t count,
	struct error *err)
{
	return store_set(store, QUERY_trigger_set, triggers, count, err);
}

enum ocpp_outcome ocpp_trigger_lookup(struct ocpp_store *store, const char *charge_station_id,
	const struct ocpp_trigger **out, struct error *err)
{
	struct store_id wanted = {charge_station_id};

	return store_lookup(store, QUERY_trigger_lookup, &wanted, (const void **)out, NULL, err);
}

bool ocpp_trigger_list(struct ocpp_store *store, const struct ocpp_page *page,
	const struct ocpp_trigger **out, size_t *count_out, struct error *err)
{
	return store_list(store, QUERY_trigger_list, page, (const void **)out, count_out, err);
}

bool ocpp_trigger_delete(struct ocpp_store *store, const char *charge_station_id,
	int64_t last_updated, struct error *err)
{
	return store_delete(store, QUERY_trigger_delete, charge_station_id, last_updated, err);
}

bool ocpp_install_certificate_delete(struct ocpp_store *store, const char *charge_station_id,
	const char *certificate_id, int64_t last_updated, struct error *err)
{
	struct store_gone_certificate gone = {charge_station_id, certificate_id, last_updated};
	struct store_request r = {QUERY_install_certificate_delete, &gone, 1};

	return store_run(store, &r, 1, NULL, NULL, err);
}
