#ifndef DECODE_FORMS_H
#define DECODE_FORMS_H

#include "base/arena.h"
#include "base/error.h"
#include "decode/value.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Maps that repeat. A station sends the same samples with every message, and a sample differs from
 * the one before only in its member "value". A form is such a map with that one value cut out: its
 * bytes in msgpack, and the members they decode to. Where the bytes repeat, only the value has to
 * be decoded.
 *
 * Forms have numbers from 1; 0 means no form. Memory is fixed: a form stays, at its address, as
 * long as the store does, and a full store learns nothing more. A form gets its place when its
 * bytes are seen a second time, so that maps that never repeat do not fill the store. One thread.
 */
struct forms;

MUST_CHECK bool forms_new(struct forms **out);
void forms_free(struct forms **forms);

/* How deep such a map nests, itself included. */
enum { FORM_DEPTH_MAX = 2 };

/* A map in msgpack, cut at its value. */
struct form_map {
	const uint8_t *start;
	const uint8_t *value; /* text or a number */
	const uint8_t *value_end;
	const uint8_t *end;
	uint32_t values; /* scalars and maps in it, itself and keys included */
};

/* The map that bytes begin with; false if it is not one that can have a form. */
bool forms_cut(struct slice bytes, struct form_map *out);

/* The same for a map that probably has this form; false if it does not. */
bool forms_cut_as(const struct forms *f, uint16_t form, struct slice bytes, struct form_map *out);

/* Its form, or 0; *learn_out: it is worth learning. */
uint16_t forms_find(struct forms *f, const struct form_map *map, bool *learn_out);

/* Its form from now on, or 0 if the store is full. decoded: the whole map; no key twice, no text
 * that was replaced. */
uint16_t forms_learn(struct forms *f, const struct form_map *map, const struct value *decoded);

/* A map of that form into *to. Returns where its value belongs, or NULL if the arena is full. Texts
 * borrow from the store. */
MUST_CHECK struct value *forms_make(const struct forms *f, uint16_t form, struct arena *arena,
	struct value *to);

#endif
