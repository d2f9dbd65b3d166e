#ifndef COPY_ROW_ORDER_H
#define COPY_ROW_ORDER_H

#include "base/arena.h"
#include "rows/table.h"

/*
 * Puts rows of one event table into the order of its key, partition by partition: each is one COPY,
 * in the order of its index, and workers never wait for each other in a circle. What it needs of
 * the arena it gives back; without room there it is slower. Pure.
 */
void row_order(struct arena *arena, struct row **rows, size_t count);

#endif
