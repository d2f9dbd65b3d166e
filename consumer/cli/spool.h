#ifndef CLI_SPOOL_H
#define CLI_SPOOL_H

#include "cli/cli.h"
#include "spool/folder.h"

/* Shared by cmd_spool*.c only. argv[0] is the first word after the command's name. */

/* The segments, one line each. */
enum exit_code spool_ls(const struct config *config, int argc, char **argv);

/* Reads everything and reports what cannot be read, and where. */
enum exit_code spool_verify(const struct config *config, int argc, char **argv);

/* Prints the messages in another format on stdout. */
enum exit_code spool_export(const struct config *config, int argc, char **argv);

/* Reports it on stderr, and sets the bool that context points to. */
void spool_say_damage(void *context, const char *path, int64_t offset, const char *why);

/*
 * Visits all records of a log, in order. record: returning false ends the walk, with err. after:
 * called after each file; or NULL. damaged: something could not be read. False with err (FATAL).
 */
struct spool_walk {
	bool (*record)(void *context, const struct record *r, const struct folder_reader *from,
		struct arena *arena, struct error *err);
	void (*after)(void *context, const struct folder_file *file,
		const struct folder_reader *from);
	void *context;
	bool quick; /* record is NULL, so archives need not be unpacked */
	bool damaged;
	uint64_t lost; /* numbers missing between existing records */
};

MUST_CHECK bool spool_walk(const char *dir, struct spool_walk *walk, struct error *err);

#endif
