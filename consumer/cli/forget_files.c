#include "cli/forget_files.h"

#include "base/escape.h"
#include "base/iso8601.h"
#include "base/text.h"
#include "cli/spool.h"
#include "retention/rewrite.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- partition files ---- */

static void files_begin_json(const char *path)
{
	struct arena arena;
	struct text t;
	struct slice name = {NULL, 0};

	if (arena_init(&arena, 1 << 20, 1 << 16)) {
		text_begin(&t, &arena);
		text_put_json_string(&t, slice_from_cstr(path));
		name = text_end(&t);
		printf("{\"file\":");
		(void)escape_print_json(stdout, name);
		arena_fini(&arena);
	}
}

bool forget_part(const struct forget_files *f, const char *path, struct error *err)
{
	uint64_t count;

	if (!part_rewrite(path, f->list, f->dry_run, &count, err))
		return false;
	if (f->json) {
		files_begin_json(path);
		printf(",\"places\":%" PRIu64 ",\"rewritten\":%s}\n", count,
			count > 0 && !f->dry_run ? "true" : "false");
		return true;
	}
	(void)escape_print(stdout, slice_from_cstr(path));
	printf(": %" PRIu64 " places%s\n", count,
		count == 0   ? ""
		: f->dry_run ? " have it"
			     : " changed");
	return true;
}

/* ---- the log ---- */

struct log_look {
	const struct forget_files *files;
	const char *dir;
	int64_t kept_us;
	uint64_t records; /* of the file, with the token */
};

static bool log_on_record(void *context, const struct record *record,
	const struct folder_reader *from, struct arena *arena, struct error *err)
{
	struct log_look *look = context;
	struct slice payload = record->payload;

	(void)from;
	if (!pseudonyms_in_bytes(look->files->list, arena, &payload))
		return error_set(err, ERROR_FATAL, REASON_memory,
			"a record is too large to be looked at");
	look->records += payload.data != record->payload.data;
	return true;
}

static void log_after_file(void *context, const struct folder_file *file,
	const struct folder_reader *from)
{
	struct log_look *look = context;
	char until[ISO8601_BYTES], path[PATH_MAX];
	size_t size = iso8601_format(from->last_received_us + look->kept_us, until);

	if (look->records == 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", look->dir, file->name);
	if (look->files->json) {
		files_begin_json(path);
		printf(",\"records\":%" PRIu64 ",\"rewritten\":false,\"kept_until\":\"%.*s\"}\n",
			look->records, (int)size, until);
	} else {
		(void)escape_print(stdout, slice_from_cstr(path));
		printf(": %" PRIu64 " records have it; left as it is, removed after %.*s by the "
		       "worker\n",
			look->records, (int)size, until);
	}
	look->records = 0;
}

bool forget_look_at_log(const struct forget_files *f, const char *dir, int64_t kept_us,
	struct error *err)
{
	struct log_look look = {.files = f, .dir = dir, .kept_us = kept_us};
	struct spool_walk walk = {.record = log_on_record,
		.after = log_after_file,
		.context = &look};

	return spool_walk(dir, &walk, err);
}
