/*
 * What PostgreSQL can take: the rows of a log, made ready in memory before the clock starts, copied
 * by blocking libpq into the same partitions with as many rows per commit. Draining the log by the
 * program is measured against it.
 *
 *	limit --spool DIR --conninfo STRING [--rows-per-commit N]
 *
 * Prints one line of JSON.
 */
#include "base/clock.h"
#include "base/say.h"
#include "copy/batch.h"
#include "copy/encode.h"
#include "decode/decode.h"
#include "pg/connect.h"
#include "pg/pg_error.h"
#include "rows/rows.h"
#include "spool/spool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_ARENA_BYTES = 256 << 20, LIMIT_COPIES_MAX = 1 << 16 };

/* COPY data of one leaf and one commit. */
struct limit_copy {
	char *sql;
	uint8_t *bytes;
	size_t size;
	size_t rows;
};

struct limit {
	struct topic_patterns patterns;
	struct decoder *decoder;
	struct schemas *schemas;
	struct layouts *layouts;
	struct sequences *sequences;
	struct partitions *partitions;
	struct rows_builder builder;
	struct batch batch;
	struct limit_copy *copies;
	size_t copies_count;
	size_t rows;
	size_t messages;
	size_t rows_per_commit;
};

static _Noreturn void fail(const struct error *err)
{
	say_line("error", err->message);
	_Exit(1);
}

static void *must(void *memory)
{
	if (memory == NULL) {
		fprintf(stderr, "error: out of memory\n");
		_Exit(1);
	}
	return memory;
}

/* Rows of one leaf as bytes, kept. */
static void keep_leaf(struct limit *l, int table, struct row *const *rows, size_t count)
{
	size_t room = encode_buffer_bytes(rows, count);
	uint8_t *buffer = must(malloc(room));
	struct limit_copy *c = &l->copies[l->copies_count++];
	char name[PARTITION_NAME_BYTES];
	struct encode_stream stream;
	struct slice chunk;

	CHECK(l->copies_count < LIMIT_COPIES_MAX);
	partition_name(partition_of((enum table_id)table, rows[0]->cells[KEY_TIME].number), name);
	c->rows = count;
	if (asprintf(&c->sql, "BEGIN; COPY %s %s", name, statements.copy_columns[table]) < 0)
		must(NULL);
	encode_stream_init(&stream, rows, count, buffer, room);
	while (encode_stream_next(&stream, &chunk)) {
		c->bytes = must(realloc(c->bytes, c->size + chunk.size));
		memcpy(c->bytes + c->size, chunk.data, chunk.size);
		c->size += chunk.size;
	}
	free(buffer);
	l->rows += count;
}

static void keep_rows(struct limit *l, int table, const struct batch_rows *rows)
{
	for (size_t from = 0, to; from < rows->count; from = to) {
		struct partition leaf = partition_of((enum table_id)table,
			rows->rows[from]->cells[KEY_TIME].number);

		for (to = from + 1; to < rows->count; to++) {
			if (partition_of((enum table_id)table,
				    rows->rows[to]->cells[KEY_TIME].number)
					.number != leaf.number)
				break;
		}
		keep_leaf(l, table, rows->rows + from, to - from);
	}
}

static void keep_batch(struct limit *l)
{
	batch_sort(&l->batch);
	for (int t = 0; t < EVENT_TABLES; t++) {
		keep_rows(l, t, &l->batch.rows[t]);
		keep_rows(l, t, &l->batch.timeless[t]);
	}
	l->messages += l->batch.messages_count;
	batch_reset(&l->batch);
}

static void take_record(struct limit *l, const struct record *r)
{
	struct decode_input input = {.seq = r->seq,
		.received_us = r->received_us,
		.topic = r->topic,
		.trace = r->trace,
		.payload = r->payload};
	struct rows_result rows;
	struct message m;
	struct error err;

	batch_begin_record(&l->batch, r->seq, &r->link);
	if (!decode_begin(l->decoder, &input, &l->batch.arena, &err))
		return;
	while (decode_next(l->decoder, &m, &err) == DECODE_MESSAGE) {
		if (!rows_from_message(&l->builder, &m, &l->batch.arena, &rows, &err) ||
			!batch_add(&l->batch, &m, &rows, l->partitions, &err))
			fail(&err);
	}
	batch_end_record(&l->batch, r->seq, r->payload.size, r->received_us);
}

static void load(struct limit *l, const char *dir)
{
	struct spool_options options = {.dir = dir,
		.sync = SPOOL_SYNC_NONE,
		.segment_bytes = 64 << 20,
		.bytes_max = INT64_MAX,
		.retain_us = INT64_MAX};
	struct spool_cursor *cursor;
	struct spool *spool;
	struct error err;
	struct record r;
	uint64_t lost;

	if (!spool_open(&spool, &options, &err) || !spool_cursor_open(&cursor, spool, &err) ||
		!spool_cursor_seek(cursor, 0, &lost, &err))
		fail(&err);
	while (spool_cursor_next(cursor, &l->batch.arena, &r, &err) == SPOOL_RECORD) {
		take_record(l, &r);
		if (l->batch.rows[0].count >= l->rows_per_commit ||
			l->batch.arena.used > LIMIT_ARENA_BYTES / 2) {
			spool_cursor_drop_window(cursor);
			keep_batch(l);
		}
	}
	keep_batch(l);
	spool_cursor_close(&cursor);
	spool_close(&spool);
}

static void make_partitions(struct limit *l, PGconn *conn)
{
	struct error err;

	for (size_t i = 0; i < l->copies_count; i++) {
		char sql[256], *name = strstr(l->copies[i].sql, "COPY ") + 5;
		struct partition p;

		snprintf(sql, sizeof(sql), "%.*s", (int)strcspn(name, " "), name);
		if (!partition_name_parse(sql, &p) || p.number == PARTITION_UNDATED)
			continue;
		snprintf(sql, sizeof(sql),
			"SELECT ensure_partition('%s', to_timestamp(%" PRId64 "))",
			tables[p.table].name, partition_time(p) / US_PER_SECOND);
		if (!pg_exec(conn, sql, &err))
			fail(&err);
	}
}

static void copy_all(struct limit *l, PGconn *conn)
{
	struct error err;

	for (size_t i = 0; i < l->copies_count; i++) {
		struct limit_copy *c = &l->copies[i];
		PGresult *result = PQexec(conn, c->sql);

		if (PQresultStatus(result) != PGRES_COPY_IN) {
			pg_error_from_result_or_connection(&err, result, conn);
			fail(&err);
		}
		PQclear(result);
		if (PQputCopyData(conn, (const char *)c->bytes, (int)c->size) != 1 ||
			PQputCopyEnd(conn, NULL) != 1) {
			pg_error_from_connection(&err, conn);
			fail(&err);
		}
		while ((result = PQgetResult(conn)) != NULL) {
			if (PQresultStatus(result) != PGRES_COMMAND_OK) {
				pg_error_from_result_or_connection(&err, result, conn);
				fail(&err);
			}
			PQclear(result);
		}
		if (!pg_exec(conn, "COMMIT", &err))
			fail(&err);
	}
}

static bool parse_arguments(int argc, char **argv, struct limit *l, struct pg_options *pg,
	const char **spool)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--spool") == 0)
			*spool = argv[i + 1];
		else if (strcmp(argv[i], "--conninfo") == 0)
			pg->url = argv[i + 1];
		else if (strcmp(argv[i], "--rows-per-commit") == 0)
			l->rows_per_commit = strtoul(argv[i + 1], NULL, 10);
		else
			return false;
	}
	return *spool != NULL && pg->url != NULL && l->rows_per_commit > 0;
}

static void make_parts(struct limit *l)
{
	struct error err;

	l->copies = must(calloc(LIMIT_COPIES_MAX, sizeof(*l->copies)));
	if (!topic_patterns_add(&l->patterns, "+/{direction}/{version}/{station}", &err) ||
		!decoder_new(&l->decoder, &l->patterns, 16 << 20, &err) ||
		!schemas_new(&l->schemas, schema_files, schema_count, &err) ||
		!layouts_new(&l->layouts, UINT32_MAX, &err) ||
		!sequences_new(&l->sequences, &err) ||
		!partitions_new(&l->partitions, UINT32_MAX, &err) ||
		!batch_init(&l->batch, LIMIT_ARENA_BYTES, 0, &err))
		fail(&err);
	l->builder = (struct rows_builder){.schemas = l->schemas,
		.layouts = l->layouts,
		.sequences = l->sequences};
}

int main(int argc, char **argv)
{
	static struct limit limit = {.rows_per_commit = 5000};
	struct pg_options options = {.schema = "ocpp",
		.application = "limit",
		.connect_timeout_us = 10 * US_PER_SECOND};
	const char *spool = NULL;
	struct error err;
	int64_t began_us;
	double seconds;
	PGconn *conn;

	if (!parse_arguments(argc, argv, &limit, &options, &spool)) {
		fprintf(stderr,
			"usage: limit --spool DIR --conninfo STRING [--rows-per-commit N]\n");
		return 2;
	}
	make_parts(&limit);
	load(&limit, spool);
	conn = pg_connect(&options, &err);
	if (conn == NULL || !pg_exec(conn, "SET synchronous_commit = off", &err))
		fail(&err);
	make_partitions(&limit, conn);
	began_us = clock_mono_us();
	copy_all(&limit, conn);
	seconds = (double)(clock_mono_us() - began_us) / (double)US_PER_SECOND;
	printf("{\"rows\":%zu,\"messages\":%zu,\"commits\":%zu,\"seconds\":%.6f,"
	       "\"rows_per_second\":%.0f}\n",
		limit.rows, limit.messages, limit.copies_count, seconds,
		(double)limit.rows / seconds);
	PQfinish(conn);
	return 0;
}
