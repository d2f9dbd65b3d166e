#include "cli/cli.h"

#include "base/escape.h"
#include "privacy/forget.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct forget_call {
	struct slice token;
	bool dry_run;
	bool json;
};

static bool forget_options(struct forget_call *call, int argc, char **argv)
{
	const char *token = NULL;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--dry-run") == 0)
			call->dry_run = true;
		else if (strcmp(argv[i], "--json") == 0)
			call->json = true;
		else if (token == NULL && (argv[i][0] != '-' || argv[i][1] == '\0'))
			token = argv[i];
		else
			return false;
	}
	call->token = slice_from_cstr(token);
	return token != NULL;
}

/* The first line, which is cut at a length that no token has. */
static bool forget_read(struct slice *token, char line[static TOKEN_BYTES_MAX + 3])
{
	if (fgets(line, TOKEN_BYTES_MAX + 3, stdin) == NULL)
		return false;
	line[strcspn(line, "\r\n")] = '\0';
	*token = slice_from_cstr(line);
	return true;
}

static void forget_print_json(const struct forget_call *call, const struct forget_result *r)
{
	const char *separator = "";

	/* Names of ours, and letters and digits: nothing to escape. */
	printf("{\"pseudonym\":");
	printf(r->pseudonym[0] == '\0' ? "null" : "\"%s\"", r->pseudonym);
	printf(",\"was_known\":%s,\"dry_run\":%s,\"rows\":%" PRIu64 ",\"tables\":{",
		r->was_known ? "true" : "false", call->dry_run ? "true" : "false", r->tables.rows);
	for (size_t i = 0; i < r->tables.count; i++) {
		const struct forget_table *t = &r->tables.items[i];

		printf("%s\"%s\":{\"rows\":%" PRIu64 ",\"mentions\":%" PRIu64
		       ",\"foreign\":%" PRIu64 "}",
			separator, t->name, t->rows, t->mentions, t->foreign);
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
	}
	if (call->dry_run)
		printf("%" PRIu64 " rows have it; nothing was changed\n", r->tables.rows);
	else
		printf("%" PRIu64 " rows changed; pseudonym %s\n", r->tables.rows, r->pseudonym);
}

static enum exit_code forget_run(const struct config *config, const struct forget_call *call)
{
	struct pg_options pg = cli_pg_options(config);
	struct forget_result result;
	struct error err;
	PGconn *conn;
	bool ok;

	if (!forget_check(call->token, &err))
		return cli_usage("forget", "%s", err.message);
	conn = pg_connect(&pg, &err);
	if (conn == NULL)
		return cli_fail(EXIT_CODE_DATABASE, &err);
	ok = pg_check_primary(conn, &err) &&
	     forget_token(conn, call->token, call->dry_run, &result, &err);
	PQfinish(conn);
	if (!ok)
		return cli_fail_database(&err);
	if (call->json)
		forget_print_json(call, &result);
	else
		forget_print(call, &result);
	return EXIT_CODE_OK;
}

enum exit_code cmd_forget(const struct config *config, int argc, char **argv)
{
	char line[TOKEN_BYTES_MAX + 3];
	struct forget_call call = {.dry_run = false};

	if (!forget_options(&call, argc, argv))
		return cli_usage("forget", "say which token, or - to read it");
	if (slice_equal_cstr(call.token, "-") && !forget_read(&call.token, line))
		return cli_usage("forget", "there is no token on standard input");
	return forget_run(config, &call);
}
