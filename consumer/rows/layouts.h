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
 * What is known must be forgotten whenever stored rows may be gone: after a rollback, a lost
 * connection, a restored database (layouts_forget()). A layout that comes again after that is
 * stored again, but not counted again: rollbacks are not the station's fault.
 */
struct layouts;

MUST_CHECK bool layouts_new(struct layouts **out, uint32_t per_station_max, struct error *err);
void layouts_free(struct layouts **layouts);

/* Another limit, from the next layout on; what is known stays so. */
void layouts_set_max(struct layouts *l, uint32_t per_station_max);

enum layouts_admission {
	LAYOUT_KNOWN,
	LAYOUT_NEW,     /* known from here on; the caller stores it before the row, if it is
			 * not there */
	LAYOUT_REFUSED, /* the station has added enough */
};

enum layouts_admission layouts_admit(struct layouts *l, uint64_t layout_id, struct slice station);

/* As layouts_admit() would say; nothing is admitted. Never of an id that two texts have. */
bool layouts_is_known(const struct layouts *l, uint64_t layout_id);

/*
 * Digests of 64 bits can meet, and somebody may make them meet: the text that goes with an id is
 * compared. Asked for before layouts_admit().
 */
enum layouts_comparison {
	LAYOUT_SAME,
	LAYOUT_UNSEEN, /* of that id no text was seen yet: the database is to compare this one */
	LAYOUT_OTHER,  /* the id is that of another text; counted */
};
enum layouts_comparison layouts_compare(struct layouts *l, uint64_t layout_id, struct slice text);

/* The text of an id that was admitted, before the database has compared it. */
void layouts_note_text(struct layouts *l, uint64_t layout_id, struct slice text);

/* The database has this text for the id, not the one that was seen here. True the first time. */
bool layouts_differ(struct layouts *l, uint64_t layout_id, struct slice stored);

/* How often a text had the id of another. */
uint64_t layouts_others(const struct layouts *l);

/* What the database says it has, read after connecting. */
void layouts_learn(struct layouts *l, uint64_t layout_id, struct slice first_station);

void layouts_forget(struct layouts *l);

/* The same, and the texts that the database had: after connecting it may be another one. */
void layouts_forget_texts(struct layouts *l);

/* For tests: how many are known. */
size_t layouts_known(const struct layouts *l);

#endif
