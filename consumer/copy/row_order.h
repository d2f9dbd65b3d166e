#ifndef COPY_ROW_ORDER_H
#define COPY_ROW_ORDER_H

#include "base/arena.h"
#include "rows/table.h"

/*
 * Sorts rows of one event table by key, partition by partition: each partition is one COPY, in the
 * order of its index, and workers never deadlock. Gives back what it uses of the arena; without
 * room there it is slower. Pure.
 */
void row_order(struct arena *arena, struct row **rows, size_t count);

#endif
