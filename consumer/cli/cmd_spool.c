#include "cli/cli.h"

#include "base/iso8601.h"
#include "base/text.h"
#include "base/utf8.h"
#include "replay/source.h"
#include "spool/spool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPOOL_CAT_ARENA_BYTES = 256 << 20 };

static enum exit_code spool_identity_new(const struct config *config)
{
	char text[UUID_TEXT_BYTES];
	struct uuid identity;
	struct error err;

	if (!spool_new_identity(config->spool_dir, &identity, &err))
		return cli_fail(EXIT_CODE_SPOOL, &err);
	uuid_format(&identity, text);
	printf("%s\n", text);
	return EXIT_CODE_OK;
}

/* ---- cat ---- */

static void cat_unreadable(void *context, const char *path, const char *unit, int64_t position,
	uint64_t count, const char *why)
{
	bool *found = context;

	*found = true;
	fprintf(stderr, "%s: %s %" PRId64 ": %s (%" PRIu64 ")\n", path, unit, position, why, count);
}

/* One message as a line that replay takes: text as text, other bytes in hexadecimal. */
static bool cat_line(const struct record *r, struct arena *arena)
{
	char time[ISO8601_BYTES];
	struct slice line;
	struct text t;

	iso8601_format(r->received_us, time);
	text_begin(&t, arena);
	text_put_cstr(&t, "{\"received_at\":\"");
	text_put_cstr(&t, time);
	text_put_cstr(&t, "\",\"topic\":");
	text_put_json_string(&t, r->topic);
	text_put_cstr(&t, ",\"qos\":");
	text_put_int(&t, r->flags & RECORD_QOS_MASK);
	if (r->trace.size > 0) {
		text_put_cstr(&t, ",\"trace\":");
		text_put_json_string(&t, r->trace);
	}
	if (utf8_is_storable(r->payload) && (r->flags & RECORD_OVERSIZED) == 0) {
		text_put_cstr(&t, ",\"payload\":");
		text_put_json_string(&t, r->payload);
	} else {
		text_put_cstr(&t, ",\"payload_hex\":\"");
		for (size_t i = 0; i < r->payload.size; i++) {
			static const char digits[] = "0123456789abcdef";

			text_put_char(&t, digits[r->payload.data[i] >> 4]);
			text_put_char(&t, digits[r->payload.data[i] & 15]);
		}
		text_put_char(&t, '"');
	}
	text_put_cstr(&t, "}\n");
	line = text_end(&t);
	return !slice_is_absent(line) && fwrite(line.data, 1, line.size, stdout) == line.size;
}

static bool cat_messages(struct replay_source *source, struct arena *arena, struct error *err)
{
	for (;;) {
		struct record r;

		replay_source_drop_window(source); /* it lives in the arena */
		arena_reset(arena);
		switch (replay_source_next(source, arena, &r, err)) {
		case REPLAY_RECORD:
			if (!cat_line(&r, arena))
				return error_set_errno(err, ERROR_FATAL, "output",
					"could not write a message");
			break;
		case REPLAY_END:
			return true;
		case REPLAY_ERROR:
			return false;
		}
	}
}

/* The log may be in use: what it lets go of meanwhile is missing. */
static enum exit_code spool_cat(const struct config *config)
{
	static const struct lines_pattern no_pattern = {.count = 0};
	bool unreadable = false, ok;
	char *dir = strdup(config->spool_dir);
	struct replay_source_events events = {cat_unreadable, &unreadable};
	struct replay_source *source = NULL;
	struct replay_files files = {.paths = NULL};
	struct arena arena;
	struct error err;

	ok = dir != NULL && arena_init(&arena, SPOOL_CAT_ARENA_BYTES, 1 << 20);
	if (!ok) {
		free(dir);
		error_set(&err, ERROR_FATAL, "memory", "out of memory");
		return cli_fail(EXIT_CODE_FAILED, &err);
	}
	ok = replay_files_find(&files, &dir, 1, &err) &&
	     replay_source_open(&source, &files, &no_pattern, events, &err) &&
	     cat_messages(source, &arena, &err);
	if (source != NULL)
		replay_source_close(&source);
	replay_files_free(&files);
	arena_fini(&arena);
	free(dir);
	if (!ok)
		return cli_fail(EXIT_CODE_SPOOL, &err);
	return unreadable ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

enum exit_code cmd_spool(const struct config *config, int argc, char **argv)
{
	if (argc == 1 && strcmp(argv[0], "new-identity") == 0)
		return spool_identity_new(config);
	if (argc == 1 && strcmp(argv[0], "cat") == 0)
		return spool_cat(config);
	return cli_usage("spool", "say new-identity or cat");
}
