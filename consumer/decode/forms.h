#ifndef DECODE_FORMS_H
#define DECODE_FORMS_H

#include "base/arena.h"
#include "base/error.h"
#include "decode/value.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Maps that repeat. A station sends the same samples with every message, and a sample differs from
 * the previous one only in its member "value". A form is such a map with that value cut out: its
 * msgpack bytes, and the members they decode to. When the same bytes come again, only the value has
 * to be decoded.
 *
 * Forms are numbered from 1; 0 means no form. Memory is fixed: a form stays at its address as long
 * as the store exists, and a full store learns nothing more. A form is stored when its bytes are
 * seen a second time, so that maps that never repeat do not fill the store. One thread.
 */
struct forms;

MUST_CHECK bool forms_new(struct forms **out);
void forms_free(struct forms **forms);

/* How deep such a map nests, including itself. */
enum { FORM_DEPTH_MAX = 2 };

/* A map in msgpack, cut at its value. */
struct form_map {
	const uint8_t *start;
	const uint8_t *value; /* text or a number */
	const uint8_t *value_end;
	const uint8_t *end;
	uint32_t values; /* number of scalars and maps, including itself and keys */
};

/* Cut the map that bytes begin with; false if it cannot have a form. */
bool forms_cut(struct slice bytes, struct form_map *out);

/* The same for a map that probably has this form; false if it does not. */
bool forms_cut_as(const struct forms *f, uint16_t form, struct slice bytes, struct form_map *out);

/* Its form, or 0; *learn_out: it is worth learning. */
uint16_t forms_find(struct forms *f, const struct form_map *map, bool *learn_out);

/* Gives it a form, or 0 if the store is full. decoded: the whole map, without a repeated key or a
 * replaced text. */
uint16_t forms_learn(struct forms *f, const struct form_map *map, const struct value *decoded);

/* Make a map of that form in *to. Returns the place for its value, or NULL if the arena is full.
 * Texts borrow from the store. */
MUST_CHECK struct value *forms_make(const struct forms *f, uint16_t form, struct arena *arena,
	struct value *to);

#endif
