#ifndef COPY_PARTITIONS_H
#define COPY_PARTITIONS_H

#include "base/error.h"
#include "rows/table.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Which partitions are known to be there. Rows are copied straight into them, so a batch must know
 * before it begins. A partition is named by its table and a number: days or months since 1970.
 *
 * One clock that is far off must not make thousands of partitions: outside the usual window only so
 * many per table are made. Fixed memory; one thread.
 */
struct partitions;

enum { PARTITION_NAME_BYTES = 64 };

struct partition {
	enum table_id table;
	int32_t number; /* PARTITION_UNDATED, or days or months since 1970 */
};

enum { PARTITION_UNDATED = INT32_MIN };

MUST_CHECK bool partitions_new(struct partitions **out, uint32_t outside_max, struct error *err);
void partitions_free(struct partitions **p);

/* The partition that takes a time. */
struct partition partition_of(enum table_id table, int64_t time_us);

/* "meter_values_2026_01_31" */
void partition_name(struct partition p, char out[static PARTITION_NAME_BYTES]);
void partition_loading_name(struct partition p, char out[static PARTITION_NAME_BYTES]);
bool partition_name_parse(const char *name, struct partition *out);

/* A time within it, for making it. */
int64_t partition_time(struct partition p);

/* There, as the database said. */
void partitions_add(struct partitions *ps, struct partition p);

/* The same, by another name than ours: rows go to its table, which finds it. */
void partitions_add_renamed(struct partitions *ps, struct partition p);
bool partitions_is_renamed(const struct partitions *ps, struct partition p);

bool partitions_has(const struct partitions *ps, struct partition p);

/*
 * Not there yet: this session fills a table that will be it (migrations/000012_loading.up.sql), by
 * the name that partition_loading_name() says. Over when it is added, or ended.
 */
void partitions_add_loading(struct partitions *ps, struct partition p);
void partitions_end_loading(struct partitions *ps, struct partition p);
bool partitions_is_loading(const struct partitions *ps, struct partition p);

/*
 * A table has its name but is no partition: somebody detached it and left it where it was. Rows for
 * it have no place until it is attached again, moved or dropped.
 */
void partitions_add_detached(struct partitions *ps, struct partition p);
bool partitions_is_detached(const struct partitions *ps, struct partition p);

/* A message answers a call in a table of its name that is no partition. It says nothing of others:
 * another partition may be there by now. Always false, with err: POISON. */
bool partition_refuse_result(struct partition p, struct error *err);

/* Rows for it are stored already, in a table that will be it: whatever partitions_admit() says
 * counts it. */
void partitions_promise(struct partitions *ps, struct partition p);

/* Whatever was believed may be wrong. What was admitted and is not there yet still counts: a batch
 * that is under way may have it made. */
void partitions_forget(struct partitions *ps);

/*
 * May a row go there? False if it is detached, or if it is not there, outside of 400 days back and
 * 2 ahead of now, and the table has as many of those as it may have. What is admitted counts from
 * here on.
 */
bool partitions_admit(struct partitions *ps, struct partition p);

#endif
