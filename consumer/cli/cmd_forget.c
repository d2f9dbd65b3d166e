#include "cli/cli.h"

#include "base/token_hash.h"
#include "cli/arguments.h"
#include "cli/forget_files.h"
#include "privacy/forget.h"
#include "privacy/forget_ocpp.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct forget_call {
	struct slice token;
	bool dry_run;
	bool json;
	bool log;
	bool force;
	char **files;
	int files_count;
};

/* Reads a line, up to a length that no token has. NULL, or what is wrong: whoever sends several
 * lines has to know that only one of them can be a token. */
static const char *forget_read(struct slice *token, char line[static TOKEN_BYTES_MAX + 3])
{
	bool whole;
	int c;

	if (fgets(line, TOKEN_BYTES_MAX + 3, stdin) == NULL)
		return "there is no token on standard input";
	whole = strchr(line, '\n') != NULL;
	line[strcspn(line, "\r\n")] = '\0';
	*token = slice_from_cstr(line);
	while (whole && (c = getchar()) != EOF) {
		if (c != '\r' && c != '\n')
			return "there are several lines on standard input: forget one token at a "
			       "time";
	}
	return NULL;
}

static void forget_print_json(const struct forget_call *call, const struct forget_result *r)
{
	const char *separator = "";

	/* Only our own names, letters and digits: nothing to escape. */
	printf("{\"pseudonym\":");
	printf(r->pseudonym[0] == '\0' ? "null" : "\"%s\"", r->pseudonym);
	printf(",\"was_known\":%s,\"dry_run\":%s,\"rows\":%" PRIu64 ",\"tables\":{",
		r->was_known ? "true" : "false", call->dry_run ? "true" : "false", r->tables.rows);
	for (size_t i = 0; i < r->tables.count; i++) {
		const struct forget_table *t = &r->tables.items[i];

		printf("%s\"%s\":{\"rows\":%" PRIu64 ",\"mentions\":%" PRIu64
		       ",\"foreign\":%" PRIu64 ",\"moved\":%" PRIu64 ",\"refused\":%" PRIu64 "}",
			separator, t->name, t->rows, t->mentions, t->foreign, t->moved, t->refused);
		separator = ",";
	}
	printf("}}\n");
}

static void forget_print(const struct forget_call *call, const struct forget_result *r)
{
	printf("%-26s %12s %12s\n", "TABLE", "ROWS", "MENTIONS");
	for (size_t i = 0; i < r->tables.count; i++) {
		const struct forget_table *t = &r->tables.items[i];

		if (t->rows > 0 || t->mentions > 0)
			printf("%-26s %12" PRIu64 " %12" PRIu64 "\n", t->name, t->rows,
				t->mentions);
		if (t->foreign > 0)
			printf("%s: %" PRIu64
			       " of its partitions are foreign tables: forget it there, too\n",
				t->name, t->foreign);
		if (t->moved > 0)
			printf("%s: %" PRIu64
			       " tables that were its partitions are in other schemas, as %s is: "
			       "they are left as they are; move each back (ALTER TABLE ... SET "
			       "SCHEMA) and do it again, or drop it\n",
				t->name, t->moved, t->moved_name);
		if (call->dry_run && t->rows > 0 && strcmp(t->name, "dead_letters") == 0)
			printf("dead_letters: requeue or discard these before: later they are no "
			       "repeats any more of what is stored\n");
	}
	if (call->dry_run)
		printf("%" PRIu64 " rows have it; nothing was changed\n", r->tables.rows);
	else
		printf("%" PRIu64 " rows changed; pseudonym %s\n", r->tables.rows, r->pseudonym);
}

/* Adds one token to the list. dry_run: it may not have a pseudonym yet. */
static bool forget_list_add(struct pseudonyms *list, struct slice token,
	const struct forget_result *r, struct error *err)
{
	static const struct slice salt = SLICE("of this process");
	struct slice name = slice_from_cstr(r->pseudonym);
	uint8_t hash[SHA256_BYTES];

	if (pseudonyms_is_empty(list) && !pseudonyms_begin(list, salt, err))
		return false;
	pseudonyms_hash(salt, token, hash);
	return pseudonyms_add(list, slice_of(hash, sizeof(hash)), name.size > 0 ? name : token,
		err);
}

/* With privacy.token_key, the token is stored as its hash; before the key was set, it was stored as
 * it is, and what the CSMS stores still is. Then the pseudonym is that of the hash. */
static bool forget_forms(const struct config *config, const struct forget_call *call, PGconn *conn,
	struct pseudonyms *list, struct forget_result *out, struct error *err)
{
	char hash[TOKEN_HASH_BYTES];
	struct forget_result clear;

	if (config->privacy_token_key[0] == '\0')
		return forget_token(conn, call->token, call->dry_run, out, err) &&
		       forget_list_add(list, call->token, out, err);
	token_hash(slice_from_cstr(config->privacy_token_key), call->token, hash);
	if (!forget_token(conn, call->token, call->dry_run, &clear, err) ||
		!forget_token(conn, slice_of(hash, sizeof(hash)), call->dry_run, out, err))
		return false;
	forget_tables_add(&out->tables, &clear.tables);
	return forget_list_add(list, call->token, &clear, err) &&
	       forget_list_add(list, slice_of(hash, sizeof(hash)), out, err);
}

/* Something that somebody added to a table refused: nothing of ours does that. */
static enum exit_code forget_refused(const struct forget_tables *tables)
{
	enum exit_code code = EXIT_CODE_OK;
	struct error err;

	for (size_t i = 0; i < tables->count; i++) {
		const struct forget_table *t = &tables->items[i];

		if (t->refused == 0)
			continue;
		error_set(&err, ERROR_FATAL, REASON_conflict,
			"%" PRIu64 " rows of %s still have the token, since a unique index or a "
			"constraint does not let them have the pseudonym: %s",
			t->refused, t->name, t->refusal);
		error_hint(&err, "all other rows are changed; drop the index or the constraint, or "
				 "delete these rows, and run it again: it continues with them");
		code = cli_fail(EXIT_CODE_FAILED, &err);
	}
	return code;
}

/* A file that fails does not keep the others from being done. */
static enum exit_code forget_files(const struct config *config, const struct forget_call *call,
	struct pseudonyms *list)
{
	struct forget_files files = {.list = list, .dry_run = call->dry_run, .json = call->json};
	enum exit_code code = EXIT_CODE_OK;
	struct error err;

	for (int i = 0; i < call->files_count; i++) {
		if (!forget_part(&files, call->files[i], &err))
			code = cli_fail(EXIT_CODE_FAILED, &err);
	}
	if (call->log &&
		(!forget_look_at_log(&files, config->spool_dir, config->spool_retain, &err) ||
			!forget_look_at_requeued(&files, config->spool_dir, &err)))
		code = cli_fail(cli_exit_code(&err, EXIT_CODE_FAILED), &err);
	return code;
}

static enum exit_code forget_all(const struct config *config, const struct forget_call *call,
	PGconn *conn, struct pseudonyms *list)
{
	struct forget_result result;
	enum exit_code code;
	struct error err;

	if (!pg_check_primary(conn, &err) || !forget_forms(config, call, conn, list, &result, &err))
		return cli_fail_database(&err);
	if (call->json)
		forget_print_json(call, &result);
	else
		forget_print(call, &result);
	code = forget_files(config, call, list);
	return result.tables.refused > 0 ? forget_refused(&result.tables) : code;
}

static enum exit_code forget_run(const struct config *config, const struct forget_call *call)
{
	struct pg_options pg = cli_pg_options(config);
	struct pseudonyms *list = NULL;
	enum exit_code code;
	struct error err;
	PGconn *conn;

	if (!forget_check(call->token, &err))
		return cli_usage("forget", "%s", err.message);
	if (!call->force && forget_is_ocpp(call->token))
		return cli_usage("forget",
			"that is a word of OCPP, which other data contains, too; with "
			"--force all of them are replaced");
	if (!pseudonyms_new(&list, &err))
		return cli_fail(EXIT_CODE_INTERNAL, &err);
	conn = cli_connect(config, &pg, &err);
	code = conn == NULL ? cli_fail_connect(&err) : forget_all(config, call, conn, list);
	PQfinish(conn);
	pseudonyms_free(&list);
	return code;
}

enum exit_code cmd_forget(const struct config *config, int argc, char **argv)
{
	char line[TOKEN_BYTES_MAX + 3];
	struct forget_call call = {.dry_run = false};
	const struct argument arguments[] = {
		{.name = "--dry-run", .given = &call.dry_run},
		{.name = "--json", .given = &call.json},
		{.name = "--log", .given = &call.log},
		{.name = "--force", .given = &call.force},
	};
	const char *wrong;

	if (!arguments_take("forget", arguments, 4, INT_MAX, &argc, argv))
		return EXIT_CODE_USAGE;
	if (argc == 0)
		return cli_usage("forget", "say which token, or - to read it");
	call.token = slice_from_cstr(argv[0]);
	call.files = argv + 1;
	call.files_count = argc - 1;
	wrong = strcmp(argv[0], "-") == 0 ? forget_read(&call.token, line) : NULL;
	if (wrong != NULL)
		return cli_usage("forget", "%s", wrong);
	return forget_run(config, &call);
}
