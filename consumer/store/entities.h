#ifndef STORE_ENTITIES_H
#define STORE_ENTITIES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the store keeps, as C structs, and the common parts of its calls. Callers include
 * store.h. */
#if defined(__GNUC__)
#define OCPP_API __attribute__((visibility("default")))
#else
#define OCPP_API
#endif

struct ocpp_store;

/* An integer that is not given. */
#define OCPP_NONE INT32_MIN

/* A time that a station reported, but that is invalid. */
#define OCPP_TIME_INVALID INT64_MIN

/* 1970-01-01T00:00:00Z: a time that is 0 is one that is not given. */
#define OCPP_TIME_EPOCH (INT64_MIN + 1)

/* Limits of one call: rows, and the total size of their text. */
enum { OCPP_ROWS_MAX = 10000, OCPP_TEXT_BYTES_MAX = 64 * 1024 * 1024 };

#define OCPP_FIELD_TEXT const char *
#define OCPP_FIELD_INT int32_t
#define OCPP_FIELD_BOOL bool
#define OCPP_FIELD_TIME int64_t
#define OCPP_FIELD_JSON const char *

/* struct ocpp_token, ocpp_setting, ...: the fields are in entities.def. */
#define ENTITY(entity) struct ocpp_##entity {
#define FIELD(entity, type, field, null) OCPP_FIELD_##type field;
#define ENTITY_END(entity)                                                                         \
	}                                                                                          \
	;
#include "store/entities.def"
#undef ENTITY
#undef FIELD
#undef ENTITY_END

enum ocpp_outcome { OCPP_FOUND, OCPP_ABSENT, OCPP_ERROR };

/* One page of a list in key order: at most `limit` entries after this key. */
struct ocpp_page {
	const char *after; /* key of the last entry seen; NULL = from the beginning */
	int32_t limit;     /* 1 to OCPP_ROWS_MAX; 0 = 100 */
};

#endif
