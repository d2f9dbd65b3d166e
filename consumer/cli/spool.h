#ifndef CLI_SPOOL_H
#define CLI_SPOOL_H

#include "cli/cli.h"
#include "spool/folder.h"

/* Shared by cmd_spool*.c only. argv[0] is the first word after the command's name. */

/* The segments, one line each. */
enum exit_code spool_ls(const struct config *config, int argc, char **argv);

/* Reads everything and says what cannot be read, and where. */
enum exit_code spool_verify(const struct config *config, int argc, char **argv);

/* The messages, in another form, to stdout. */
enum exit_code spool_export(const struct config *config, int argc, char **argv);

/* Says it on stderr, and sets the bool that is the context. */
void spool_say_damage(void *context, const char *path, int64_t offset, const char *why);

/*
 * All records of a log, in order. record: false ends it, with err. after: after each file; NULL =
 * nothing. *damaged says whether anything could not be read. False with err (FATAL).
 */
struct spool_walk {
	bool (*record)(void *context, const struct record *r, const struct folder_reader *from,
		struct arena *arena, struct error *err);
	void (*after)(void *context, const struct folder_file *file,
		const struct folder_reader *from);
	void *context;
	bool quick; /* record is NULL; archives need not be unpacked */
	bool damaged;
	uint64_t lost; /* numbers that are gone between records that are there */
};

MUST_CHECK bool spool_walk(const char *dir, struct spool_walk *walk, struct error *err);

#endif
