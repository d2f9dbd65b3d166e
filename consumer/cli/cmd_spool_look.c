#include "cli/arguments.h"
#include "cli/spool.h"

#include "base/escape.h"
#include "base/iso8601.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Address space for a window, the largest record, and what is made from it. */
enum { WALK_ARENA_BYTES = 512 << 20 };

void spool_say_damage(void *context, const char *path, int64_t offset, const char *why)
{
	bool *damaged = context;

	*damaged = true;
	(void)escape_print(stderr, slice_from_cstr(path));
	fprintf(stderr, ": byte %" PRId64 ": ", offset);
	(void)escape_print(stderr, slice_from_cstr(why));
	fprintf(stderr, "\n");
}

/* ---- walking ---- */

static bool walk_records(struct spool_walk *w, struct folder_reader *r, struct arena *arena,
	struct error *err)
{
	enum segment_next next = SEGMENT_RECORD;

	while (next == SEGMENT_RECORD) {
		struct record record;

		if (arena->used > WALK_ARENA_BYTES / 4) {
			segment_reader_drop_window(&r->reader);
			arena_reset(arena);
		}
		next = folder_next(r, arena, &record, err);
		if (next == SEGMENT_RECORD && w->record != NULL &&
			!w->record(w->context, &record, r, arena, err))
			return false;
	}
	segment_reader_drop_window(&r->reader);
	arena_reset(arena);
	return next == SEGMENT_END;
}

/* Counts numbers missing between two files, unless they were skipped on purpose. */
static void walk_count_lost(struct spool_walk *w, const struct folder_reader *r, uint64_t last_seq,
	bool first)
{
	w->lost += r->reader.missing;
	if (!first && r->reader.header.follows.seq > last_seq)
		w->lost += r->reader.header.follows.seq - last_seq;
}

static bool walk_files(struct spool_walk *w, const struct folder *folder, struct arena *arena,
	struct error *err)
{
	struct folder_events events = {spool_say_damage, &w->damaged};
	uint64_t last_seq = 0;
	bool first = true, ok = true;

	for (size_t i = 0; ok && i < folder->count; i++) {
		struct folder_reader r;

		if (w->quick && w->after != NULL && folder_peek(&r, folder, i, arena)) {
			w->after(w->context, &folder->files[i], &r);
			continue;
		}
		switch (folder_open(&r, folder, i, events, err)) {
		case FOLDER_OPENED:
			break;
		case FOLDER_GONE:
			first = true; /* and what is missing before the first file is not a loss */
			continue;
		case FOLDER_UNREADABLE:
			continue;
		case FOLDER_FAILED:
			return false;
		}
		ok = walk_records(w, &r, arena, err);
		if (ok) {
			walk_count_lost(w, &r, last_seq, first);
			last_seq = r.reader.last_seq;
			first = false;
			if (w->after != NULL)
				w->after(w->context, &folder->files[i], &r);
		}
		folder_close(&r);
	}
	return ok;
}

bool spool_walk(const char *dir, struct spool_walk *walk, struct error *err)
{
	struct folder folder;
	struct arena arena;
	bool ok;

	if (!folder_list(&folder, dir, err))
		return false;
	ok = arena_init(&arena, WALK_ARENA_BYTES, 1 << 20);
	if (ok) {
		ok = walk_files(walk, &folder, &arena, err);
		arena_fini(&arena);
	} else {
		error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading the log");
	}
	folder_free(&folder);
	return ok;
}

/* ---- ls ---- */

struct listing {
	bool json;
	uint64_t files, records;
	int64_t bytes, unpacked;
};

static void ls_count(void *context, const struct folder_file *file, const struct folder_reader *r)
{
	struct listing *l = context;

	l->files++;
	l->records += r->records;
	l->bytes += file->bytes;
	l->unpacked += r->reader.offset;
}

static void ls_file(void *context, const struct folder_file *file, const struct folder_reader *r)
{
	char from[ISO8601_BYTES] = "-", to[ISO8601_BYTES] = "-";
	uint64_t last_seq = r->reader.last_seq;
	const struct listing *l = context;

	ls_count(context, file, r);
	if (r->records > 0) {
		iso8601_format(r->first_received_us, from);
		iso8601_format(r->last_received_us, to);
	}
	if (l->json)
		printf("{\"file\":\"%s\",\"first_seq\":%" PRIu64 ",\"last_seq\":%" PRIu64
		       ",\"records\":%" PRIu64 ",\"missing\":%" PRIu64
		       ",\"received_from\":\"%s\",\"received_to\":\"%s\",\"bytes\":%" PRId64
		       ",\"unpacked\":%" PRId64 "}\n",
			file->name, file->first_seq, last_seq, r->records, r->reader.missing, from,
			to, file->bytes, r->reader.offset);
	else
		printf("%-28s  %12" PRIu64 "  %9" PRIu64 "  %-27s  %-27s  %11" PRId64 "%s\n",
			file->name, last_seq, r->records, from, to, file->bytes,
			r->reader.missing > 0 ? "  damaged" : "");
}

enum exit_code spool_ls(const struct config *config, int argc, char **argv)
{
	struct listing l = {.json = false};
	const struct argument arguments[] = {{.name = "--json", .given = &l.json}};
	struct spool_walk walk = {.after = ls_file, .context = &l, .quick = true};
	struct error err;

	if (!arguments_take("spool", arguments, 1, 0, &argc, argv))
		return EXIT_CODE_USAGE;
	if (!l.json)
		printf("%-28s  %12s  %9s  %-27s  %-27s  %11s\n", "file", "last record", "records",
			"received from", "to", "bytes");
	if (!spool_walk(config->spool_dir, &walk, &err))
		return cli_fail(EXIT_CODE_SPOOL, &err);
	if (!l.json)
		printf("%" PRIu64 " records in %" PRIu64 " files of %" PRId64 " bytes (%" PRId64
		       " unpacked)\n",
			l.records, l.files, l.bytes, l.unpacked);
	return walk.damaged ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

/* ---- verify ---- */

enum exit_code spool_verify(const struct config *config, int argc, char **argv)
{
	struct listing l = {.json = false};
	struct spool_walk walk = {.after = ls_count, .context = &l};
	struct folder folder;
	struct error err;
	size_t set_aside;

	if (!arguments_take("spool", NULL, 0, 0, &argc, argv))
		return EXIT_CODE_USAGE;
	if (!folder_list(&folder, config->spool_dir, &err))
		return cli_fail(EXIT_CODE_SPOOL, &err);
	set_aside = folder.set_aside;
	folder_free(&folder);
	if (!spool_walk(config->spool_dir, &walk, &err))
		return cli_fail(EXIT_CODE_SPOOL, &err);
	printf("%" PRIu64 " records in %" PRIu64 " files are whole, %" PRIu64
	       " are lost; %zu files were set aside (.bad)\n",
		l.records, l.files, walk.lost, set_aside);
	return walk.damaged || walk.lost > 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
