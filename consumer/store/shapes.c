#include "store/shapes.h"

/* A struct without fields is GNU C; nothing ever reads from it. */
#define ENTITY(entity) static const struct store_field entity##_fields[] = {
#define FIELD(entity, type, field, null)                                                           \
	{#field, STORE_##type, STORE_##null, offsetof(struct ocpp_##entity, field)},
#define ENTITY_END(entity)                                                                         \
	}                                                                                          \
	;
#include "store/entities.def"
#undef FIELD
#define FIELD(entity, type, field, null)                                                           \
	{#field, STORE_##type, STORE_##null, offsetof(struct store_##entity, field)},
#include "store/params.def"
#undef ENTITY
#undef FIELD
#undef ENTITY_END

const struct store_shape store_shapes[SHAPE_COUNT] = {
#define ENTITY(entity)
#define FIELD(entity, type, field, null)
#define ENTITY_END(entity)                                                                         \
	[SHAPE_##entity] = {#entity, entity##_fields,                                              \
		sizeof(entity##_fields) / sizeof(struct store_field),                              \
		sizeof(struct ocpp_##entity)},
#include "store/entities.def"
#undef ENTITY_END
#define ENTITY_END(entity)                                                                         \
	[SHAPE_##entity] = {#entity, entity##_fields,                                              \
		sizeof(entity##_fields) / sizeof(struct store_field),                              \
		sizeof(struct store_##entity)},
#include "store/params.def"
#undef ENTITY
#undef FIELD
#undef ENTITY_END
};

const struct store_query store_queries[QUERY_COUNT] = {
#define QUERY(name, arity, params, result, where)                                                  \
	[QUERY_##name] = {#name, ARITY_##arity, WHERE_##where, &store_shapes[SHAPE_##params],      \
		&store_shapes[SHAPE_##result]},
#include "store/queries.def"
#undef QUERY
};

static const struct {
	const char *name;
	uint32_t oid;
	uint32_t array_oid;
} store_types[STORE_TYPES] = {
	[STORE_TEXT] = {"text", 25, 1009},
	[STORE_INT] = {"integer", 23, 1007},
	[STORE_BOOL] = {"boolean", 16, 1000},
	[STORE_TIME] = {"timestamptz", 1184, 1185},
	[STORE_JSON] = {"jsonb", 3802, 3807},
};

uint32_t store_type_oid(enum store_type type)
{
	return store_types[type].oid;
}

uint32_t store_type_array_oid(enum store_type type)
{
	return store_types[type].array_oid;
}

const char *store_type_name(enum store_type type)
{
	return store_types[type].name;
}
