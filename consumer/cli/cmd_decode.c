#include "cli/cli.h"
#include "replay/decode_kit.h"

#include "base/clock.h"
#include "base/escape.h"
#include "base/fs.h"
#include "base/iso8601.h"
#include "cli/arguments.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shows what the program makes of a message: for the curious, and for golden files. */
struct decode_tool {
	struct decode_kit kit;
	struct decode_input input;
};

static void print_text(struct slice s)
{
	(void)escape_print(stdout, s);
}

static void print_failure(const char *before, const struct error *err)
{
	printf("%sdead letter: %s: ", before, err->reason);
	print_text(slice_from_cstr(err->message));
	printf("\n");
}

static void print_hex(struct slice s)
{
	printf("\\x");
	for (size_t i = 0; i < s.size; i++)
		printf("%02x", s.data[i]);
}

static void print_time(int64_t us)
{
	char text[ISO8601_BYTES];

	if (us == TIME_UNDATED) {
		printf("-infinity");
		return;
	}
	iso8601_format(us, text);
	printf("%s", text);
}

static void print_cell(const struct cell *c, enum column_type type)
{
	switch (type) {
	case COLUMN_TEXT:
	case COLUMN_NUMERIC:
	case COLUMN_JSONB:
		print_text(c->text);
		break;
	case COLUMN_TIME:
		print_time(c->number);
		break;
	case COLUMN_INT4:
	case COLUMN_INT8:
		printf("%" PRId64, c->number);
		break;
	case COLUMN_CHAR:
		printf("%c", (char)c->number);
		break;
	case COLUMN_BOOL:
		printf("%s", c->number ? "true" : "false");
		break;
	case COLUMN_NUMERICS:
		for (size_t i = 0; i < c->numerics_count; i++) {
			printf("%s", i > 0 ? "," : "{");
			if (slice_is_absent(c->numerics[i].text))
				printf("NULL");
			else
				print_text(c->numerics[i].text);
		}
		printf("%s", c->numerics_count > 0 ? "}" : "{}");
		break;
	case COLUMN_BYTEA:
		print_hex(c->text);
		break;
	}
}

static void print_row(const struct row *row)
{
	printf("  %s\n", row->table->name);
	for (size_t i = 0; i < row->table->columns_count; i++) {
		if (!row->cells[i].present)
			continue;
		printf("    %s = ", row->table->columns[i].name);
		print_cell(&row->cells[i], row->table->columns[i].type);
		printf("\n");
	}
}

static void print_message(const struct message *m)
{
	if (!slice_is_absent(m->entity)) {
		printf("message %u: store ", m->index);
		print_text(m->entity);
		printf("%s\n", m->text_replaced ? " text_replaced" : "");
		return;
	}
	printf("message %u: %s ", m->index, message_type_name(m->type));
	print_text(m->action);
	printf(" id=");
	print_text(m->id);
	printf(" station=");
	print_text(m->station);
	printf(" version=");
	print_text(m->version_text);
	printf(" direction=%s%s\n", m->direction == DIRECTION_IN ? "in" : "out",
		m->text_replaced ? " text_replaced" : "");
}

static bool print_rows(struct decode_tool *t, struct message *m, struct error *err)
{
	struct rows_result rows;

	print_message(m);
	if (!rows_from_message(&t->kit.maker.builder, m, &t->kit.arena, &rows, err)) {
		if (err->kind == ERROR_POISON)
			print_failure("  ", err);
		return err->kind == ERROR_POISON;
	}
	if (rows.skipped != NULL)
		printf("  skipped: %s\n", rows.skipped);
	for (const struct row *row = rows.first; row != NULL; row = row->next)
		print_row(row);
	for (struct row *half = rows.halves; half != NULL; half = half->next) {
		row_settle_half(half);
		print_row(half);
	}
	if (rows.transaction != NULL) {
		if (!transaction_pack(rows.transaction, &t->kit.arena))
			return error_set(err, ERROR_FULL, REASON_arena_full, "no room");
		print_row(rows.transaction->row);
	}
	return true;
}

static bool decode_tool_run(struct decode_tool *t, struct error *err)
{
	struct message m;

	if (!decode_begin(t->kit.maker.decoder, &t->input, &t->kit.arena, err)) {
		print_failure("", err);
		return err->kind == ERROR_POISON;
	}
	for (;;) {
		switch (decode_next(t->kit.maker.decoder, &m, err)) {
		case DECODE_END:
			return true;
		case DECODE_BAD:
			printf("message %u: ", m.index);
			print_failure("", err);
			break;
		case DECODE_MESSAGE:
			if (!print_rows(t, &m, err))
				return false;
			break;
		}
	}
}

enum exit_code cmd_decode(const struct config *config, int argc, char **argv)
{
	const char *topic = "cs/in/ocpp1.6/station";
	struct decode_tool t = {.input = {.trace = SLICE(""), .received_us = clock_wall_us()}};
	const struct argument arguments[] = {
		{.name = "--topic", .text = &topic},
		{.name = "--received", .time = &t.input.received_us},
	};
	struct error err;
	size_t size = 0;
	char *bytes;
	bool ok;

	if (!arguments_take("decode", arguments, 2, 1, &argc, argv))
		return EXIT_CODE_USAGE;
	if (argc != 1)
		return cli_usage("decode", "say which file");
	t.input.topic = slice_from_cstr(topic);
	bytes = fs_read_file(argv[0], DECODE_KIT_BYTES_MAX, &size, &err);
	if (bytes == NULL)
		return cli_fail(EXIT_CODE_FAILED, &err);
	t.input.payload = slice_of(bytes, size);
	ok = decode_kit_open(&t.kit, config, &err) && decode_tool_run(&t, &err);
	decode_kit_close(&t.kit);
	free(bytes);
	return ok ? EXIT_CODE_OK : cli_fail(EXIT_CODE_FAILED, &err);
}
