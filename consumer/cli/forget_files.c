#include "cli/forget_files.h"

#include "base/escape.h"
#include "base/fs.h"
#include "base/iso8601.h"
#include "base/text.h"
#include "cli/spool.h"
#include "retention/rewrite.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

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
	bool requeued;    /* it is the log of `dead-letters requeue` */
	uint64_t records; /* records of the file that have the token */
};

static bool log_on_record(void *context, const struct record *record,
	const struct folder_reader *from, struct arena *arena, struct error *err)
{
	struct log_look *look = context;
	struct slice payload = record->payload;

	(void)from;
	if (!pseudonyms_in_bytes(look->files->list, TOKEN_BYTES, arena, &payload))
		return error_set(err, ERROR_FATAL, REASON_memory,
			"a record is too large to be looked at");
	look->records += payload.data != record->payload.data;
	return true;
}

static void log_print_json(const struct log_look *look, const char *path, struct slice until)
{
	files_begin_json(path);
	printf(",\"records\":%" PRIu64 ",\"rewritten\":false,\"kept_until\":", look->records);
	printf(look->requeued ? "null}\n" : "\"%.*s\"}\n", SLICE_ARG(until));
}

static void log_print(const struct log_look *look, const char *path, struct slice until)
{
	(void)escape_print(stdout, slice_from_cstr(path));
	printf(": in %" PRIu64 " %s; left as it is, ", look->records,
		look->records == 1 ? "record" : "records");
	if (look->requeued)
		printf("kept until `dead-letters requeue --all`, which was interrupted, is run "
		       "again\n");
	else
		printf("removed after %.*s by the worker\n", SLICE_ARG(until));
}

static void log_after_file(void *context, const struct folder_file *file,
	const struct folder_reader *from)
{
	struct log_look *look = context;
	char text[ISO8601_BYTES], path[PATH_MAX];
	struct slice until =
		slice_of(text, iso8601_format(from->last_received_us + look->kept_us, text));

	if (look->records == 0)
		return;
	snprintf(path, sizeof(path), "%s/%s", look->dir, file->name);
	if (look->files->json)
		log_print_json(look, path, until);
	else
		log_print(look, path, until);
	look->records = 0;
}

static bool log_look_through(struct log_look *look, struct error *err)
{
	struct spool_walk walk = {.record = log_on_record,
		.after = log_after_file,
		.context = look};

	return spool_walk(look->dir, &walk, err);
}

bool forget_look_at_log(const struct forget_files *f, const char *dir, int64_t kept_us,
	struct error *err)
{
	struct log_look look = {.files = f, .dir = dir, .kept_us = kept_us};

	return log_look_through(&look, err);
}

bool forget_look_at_requeued(const struct forget_files *f, const char *spool_dir, struct error *err)
{
	char dir[PATH_MAX];
	struct log_look look = {.files = f, .dir = dir, .requeued = true};
	bool there;

	snprintf(dir, sizeof(dir), "%s.requeue", spool_dir);
	/* ABSENT: all of it was stored and removed; the folder stays. */
	return fs_exists(dir, &there, err) &&
	       (!there || log_look_through(&look, err) || err->kind == ERROR_ABSENT);
}
