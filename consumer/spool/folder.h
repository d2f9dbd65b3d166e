#ifndef SPOOL_FOLDER_H
#define SPOOL_FOLDER_H

#include "base/arena.h"
#include "base/error.h"
#include "spool/archive.h"
#include "spool/segment.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A log looked at from outside: its files, read only, whether a process uses it or not. What the
 * process removes or packs meanwhile is passed over, or found in its new form. Blocking; one
 * thread.
 */
struct folder_file {
	char name[ARCHIVE_NAME_BYTES];
	uint64_t first_seq;
	bool archived;
	int64_t bytes; /* on disk */
};

struct folder {
	const char *dir; /* borrowed */
	struct folder_file *files;
	size_t count;     /* by first_seq, each once */
	size_t set_aside; /* files that end in .bad */
};

/* False with err (FATAL): there is no such folder, or it has no log. */
MUST_CHECK bool folder_list(struct folder *out, const char *dir, struct error *err);
void folder_free(struct folder *folder);

struct folder_events {
	/* A place in a file cannot be read. */
	void (*on_damage)(void *context, const char *path, int64_t offset, const char *why);
	void *context;
};

/* Reads one file. Embedded in the caller's memory. */
struct folder_reader {
	struct folder_events events;
	char path[PATH_MAX];
	int fd; /* of the segment, unpacked; -1 = closed */
	bool archived;
	struct segment_reader reader;
	uint64_t records;
	int64_t first_received_us, last_received_us; /* earliest and latest, if records > 0 */
	uint64_t missing_reported;
};

enum folder_opened { FOLDER_OPENED, FOLDER_GONE, FOLDER_UNREADABLE, FOLDER_FAILED };

/* GONE: the log has let go of it. UNREADABLE: no header; it was reported. FAILED sets err. */
enum folder_opened folder_open(struct folder_reader *r, const struct folder *folder, size_t i,
	struct folder_events events, struct error *err);
void folder_close(struct folder_reader *r);

/*
 * Fills in what is known of a file without reading all of it; *r cannot be read from. An archive
 * says it at its end. Of a segment the header of the next one says how many records it has, and the
 * first and the last one are read, into the arena, which is reset; damage between them does not
 * show. Without an arena: archives only. False if that is not possible, and it has to be opened.
 */
bool folder_peek(struct folder_reader *r, const struct folder *folder, size_t i,
	struct arena *arena);

/* Where a log stands, and where it stood at a record. */
struct folder_positions {
	struct uuid identity;
	struct position end;
	struct position at; /* as of spool_cursor_recognise() */
	bool closed;        /* properly: nothing comes after end without saying so */
};

/* Reads two files at most. False with err, ABSENT if they are gone meanwhile. */
MUST_CHECK bool folder_positions(const struct folder *folder, uint64_t seq,
	struct folder_events events, struct folder_positions *out, struct error *err);

/* As segment_reader_next(); damage is reported. */
enum segment_next folder_next(struct folder_reader *r, struct arena *arena, struct record *out,
	struct error *err);

#endif
