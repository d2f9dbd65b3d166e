#include "cli/cmd_replay.h"

#include "base/escape.h"
#include "retention/part.h"
#include "retention/restore.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Partition files among the files: their rows go back into the tables unchanged. */

/* Without options that select messages, or say how to read or send them. */
static bool parts_may_be(const struct cmd_replay *o)
{
	const struct message_filter *f = &o->request.filter;

	return f->from_us == INT64_MIN && f->to_us == INT64_MAX && f->stations_count == 0 &&
	       f->actions_count == 0 && o->publish.broker == NULL && o->lines == NULL &&
	       o->csv == NULL && o->request.rate == 0;
}

static void parts_show(const struct cmd_replay *o, const char *path, const struct restore_result *r)
{
	if (o->json) {
		/* The names are plain, or the file would not have been read. */
		printf("{\"partition\":\"%s\",\"table\":\"%s\",\"rows\":%" PRIu64
		       ",\"stored\":%" PRIu64 ",\"left_out\":%" PRIu64 "}\n",
			r->name, r->table, r->rows, r->stored, r->left_out);
		return;
	}
	printf(o->dry_run ? "would restore " : "restored ");
	(void)escape_print(stdout, slice_from_cstr(r->name));
	printf(" from ");
	(void)escape_print(stdout, slice_from_cstr(path));
	if (o->dry_run)
		printf(": %" PRIu64 " rows\n", r->rows);
	else
		printf(": %" PRIu64 " of its %" PRIu64 " rows%s\n", r->stored, r->rows,
			r->stored + r->left_out < r->rows ? "; the others were already there" : "");
	if (r->left_elsewhere > 0)
		printf("  left out: %" PRIu64 " whose transaction has a row with another time\n",
			r->left_elsewhere);
	if (r->left_out > r->left_elsewhere)
		printf("  left out: %" PRIu64 " whose row in the database says something else\n",
			r->left_out - r->left_elsewhere);
}

/* Standard input can be one if it is a file: a pipe cannot be read twice. */
static const char *parts_path(const char *path)
{
	return strcmp(path, "-") == 0 ? "/dev/stdin" : path;
}

/* The descriptor that the path stands for; -1 for any other file. */
static int parts_descriptor(const char *path)
{
	int fd = -1, end = 0;

	if (strcmp(parts_path(path), "/dev/stdin") == 0)
		return STDIN_FILENO;
	if (sscanf(path, "/dev/fd/%d%n", &fd, &end) == 1 && path[end] == '\0')
		return fd;
	return -1;
}

/* Peeks at the first bytes in a pipe, waiting for them. */
static bool parts_is_piped(const char *path)
{
	uint8_t start[PART_MAGIC_BYTES];
	int fd = parts_descriptor(path), copy[2];
	struct stat status;
	bool is = false;

	if (fd < 0 || fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode) ||
		pipe2(copy, O_CLOEXEC) != 0)
		return false;
	if (tee(fd, copy[1], sizeof(start), 0) == (ssize_t)sizeof(start))
		is = read(copy[0], start, sizeof(start)) == (ssize_t)sizeof(start) &&
		     part_is(start);
	close(copy[0]);
	close(copy[1]);
	return is;
}

static enum exit_code parts_refuse_pipes(const struct replay_files *files)
{
	struct error err;

	for (size_t i = 0; i < files->count; i++) {
		if (!parts_is_piped(files->paths[i]))
			continue;
		error_set(&err, ERROR_FOREIGN, REASON_file,
			"\"%s\" is a partition file in a pipe; it is checked as a whole before "
			"anything is stored, and then read again",
			files->paths[i]);
		error_hint(&err, "name the file, or give it as input: replay - < FILE");
		return cli_fail(EXIT_CODE_FAILED, &err);
	}
	return EXIT_CODE_OK;
}

/* Whether to continue with the next file: only this one was at fault. */
static bool parts_may_go_on(const struct error *err)
{
	return err->kind == ERROR_DAMAGED || err->kind == ERROR_FOREIGN;
}

static enum exit_code parts_restore(const struct config *config, const struct cmd_replay *o,
	PGconn *conn, const struct replay_files *parts)
{
	enum exit_code code = EXIT_CODE_OK;
	struct restore_result done;
	struct error err;

	for (size_t i = 0; i < parts->count; i++) {
		const char *path = parts_path(parts->paths[i]);

		if (conn == NULL ? restore_check(path, &done, &err)
				 : restore_file(conn, path, config->energy_refresh > 0, &done,
					   &err)) {
			parts_show(o, parts->paths[i], &done);
			continue;
		}
		code = cli_fail_database(&err);
		if (!parts_may_go_on(&err))
			break;
	}
	return code;
}

/* As replay_files_find() counts it. */
static int64_t parts_bytes(const char *path)
{
	struct stat status;

	return strcmp(path, "-") != 0 && stat(path, &status) == 0 && S_ISREG(status.st_mode)
		       ? status.st_size
		       : 0;
}

/* Moves the partition files to the front, and says how many there are. The others keep their
 * order, and the size is theirs. by_name: as restore_is_part() has it. */
static bool parts_first(struct replay_files *files, bool by_name, size_t *count_out,
	struct error *err)
{
	size_t count = 0;
	bool is;

	for (size_t i = 0; i < files->count; i++) {
		char *path = files->paths[i];

		if (!restore_is_part(parts_path(path), by_name, &is, err))
			return false;
		if (!is)
			continue;
		memmove(&files->paths[count + 1], &files->paths[count],
			(i - count) * sizeof(*files->paths));
		files->paths[count++] = path;
		files->bytes -= parts_bytes(path);
	}
	*count_out = count;
	return true;
}

enum exit_code cmd_replay_parts(const struct config *config, const struct cmd_replay *o,
	struct replay_files *files, size_t *count_out)
{
	struct pg_options pg = cli_pg_options(config);
	struct replay_files parts = *files;
	enum exit_code code;
	struct error err;
	PGconn *conn = NULL;

	*count_out = 0;
	code = parts_refuse_pipes(files);
	if (code != EXIT_CODE_OK)
		return code;
	if (!parts_first(files, o->csv == NULL && o->lines == NULL, count_out, &err))
		return cli_fail(EXIT_CODE_FAILED, &err);
	parts.count = *count_out;
	if (parts.count == 0)
		return EXIT_CODE_OK;
	if (!parts_may_be(o))
		return cli_usage("replay",
			"\"%s\" is a partition file, which is restored whole: leave out the "
			"options "
			"that choose messages or name a broker",
			parts.paths[0]);
	if (!o->dry_run) {
		conn = cli_connect(config, &pg, &err);
		if (conn == NULL)
			return cli_fail_connect(&err);
	}
	code = parts_restore(config, o, conn, &parts);
	PQfinish(conn);
	if (code != EXIT_CODE_OK && parts.count < files->count)
		fprintf(stderr,
			"hint: the files with messages (%zu) were not read: replay them alone, "
			"or once the partition files are right\n",
			files->count - parts.count);
	return code;
}
