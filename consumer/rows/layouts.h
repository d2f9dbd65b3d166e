#ifndef ROWS_LAYOUTS_H
#define ROWS_LAYOUTS_H

#include "base/error.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which meter value layouts are known to be in the database, and how many each station has added. A
 * station that varies its samples with every message must not flood the table: beyond its limit,
 * its rows describe themselves. Fixed memory; one thread.
 *
 * Everything known must be forgotten whenever stored rows may be gone: after a rollback, a lost
 * connection, a restored database (layouts_forget()). If a layout comes again after that, it is
 * stored again, but not counted again: rollbacks are not the station's fault.
 */
struct layouts;

MUST_CHECK bool layouts_new(struct layouts **out, uint32_t per_station_max, struct error *err);
void layouts_free(struct layouts **layouts);

/* Change the limit, from the next layout on; known ones stay known. */
void layouts_set_max(struct layouts *l, uint32_t per_station_max);

enum layouts_admission {
	LAYOUT_KNOWN,
	LAYOUT_NEW, /* known from now on; the caller stores it before the row, unless it exists */
	LAYOUT_REFUSED, /* the station has added too many */
};

enum layouts_admission layouts_admit(struct layouts *l, uint64_t layout_id, struct slice station);

/* Whether layouts_admit() would know it; admits nothing. Never true for an id that two texts
 * have. */
bool layouts_is_known(const struct layouts *l, uint64_t layout_id);

/* 64-bit digests can collide, even on purpose: compare the text with the one that has this id.
 * Called before layouts_admit(). */
enum layouts_comparison {
	LAYOUT_SAME,
	LAYOUT_UNSEEN, /* no text was seen with that id yet: the database has to compare */
	LAYOUT_OTHER,  /* the id belongs to another text; counted */
};
enum layouts_comparison layouts_compare(struct layouts *l, uint64_t layout_id, struct slice text);

/* The text for an admitted id, before the database has compared it. */
void layouts_note_text(struct layouts *l, uint64_t layout_id, struct slice text);

/* The database has this text for the id, not the one seen here. True the first time. */
bool layouts_differ(struct layouts *l, uint64_t layout_id, struct slice stored);

/* How often a text had the id of another text. */
uint64_t layouts_others(const struct layouts *l);

/* Learn what the database has, after connecting. */
void layouts_learn(struct layouts *l, uint64_t layout_id, struct slice first_station);

void layouts_forget(struct layouts *l);

/* The same, including texts: after connecting, the database may be a different one. */
void layouts_forget_texts(struct layouts *l);

/* For tests: how many are known. */
size_t layouts_known(const struct layouts *l);

#endif
