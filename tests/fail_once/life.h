#ifndef LIFE_H
#define LIFE_H

#include "fail_once.h"

/*
 * The life of a log, for its calls to fail in, and what must hold afterwards. Records say their
 * number: first, first + 1, ...; told->acknowledged: how many of all numbers were synced;
 * told->released: how many were released.
 */

/* Opens the log in dir, appends, syncs, reads, releases, rotates, packs. Ends as after a kill
 * (crash), or closes it. 0: all of it was done; 1: an error was reported on stderr; anything else:
 * a promise was broken, which stderr says as well. */
int life_live(const char *dir, uint64_t first, bool crash, struct fail_told *told);

/* What is there after a life: 0, or 1 and stderr says what is wrong. */
int life_audit(const char *dir, uint64_t acknowledged, uint64_t released);

#endif
