#ifndef STORE_SHAPES_H
#define STORE_SHAPES_H

#include "store/entities.h"

/* The declarations of entities.def, params.def and queries.def as data, for code that binds, prints
 * or checks them. Static; any thread. */
enum store_type { STORE_TEXT, STORE_INT, STORE_BOOL, STORE_TIME, STORE_JSON, STORE_TYPES };
enum store_null { STORE_NOT_NULL, STORE_NULLABLE, STORE_FILLED };

struct store_field {
	const char *name;
	enum store_type type;
	enum store_null null;
	size_t offset; /* in the entity's struct */
};

struct store_shape {
	const char *name;
	const struct store_field *fields;
	size_t count;
	size_t bytes; /* of the struct */
};

enum store_shape_id {
#define ENTITY(entity) SHAPE_##entity,
#define FIELD(entity, type, field, null)
#define ENTITY_END(entity)
#include "store/entities.def"
#include "store/params.def"
#undef ENTITY
#undef FIELD
#undef ENTITY_END
	SHAPE_COUNT,
};

extern const struct store_shape store_shapes[SHAPE_COUNT];

/* The structs of params.def: struct store_id, store_page, ... */
#define ENTITY(entity) struct store_##entity {
#define FIELD(entity, type, field, null) OCPP_FIELD_##type field;
#define ENTITY_END(entity)                                                                         \
	}                                                                                          \
	;
#include "store/params.def"
#undef ENTITY
#undef FIELD
#undef ENTITY_END

enum store_arity { ARITY_ONE, ARITY_ROWS };
enum store_where { WHERE_PRIMARY, WHERE_REPLICA };

struct store_query {
	const char *name;
	enum store_arity arity;
	enum store_where where;
	const struct store_shape *params;
	const struct store_shape *result;
};

enum store_query_id {
#define QUERY(name, arity, params, result, where) QUERY_##name,
#include "store/queries.def"
#undef QUERY
	QUERY_COUNT,
};

extern const struct store_query store_queries[QUERY_COUNT];

/* PostgreSQL's OIDs of a type and of its array type (pg_type.dat), and its name. */
uint32_t store_type_oid(enum store_type type);
uint32_t store_type_array_oid(enum store_type type);
const char *store_type_name(enum store_type type);

#endif
