#include "cli/cli.h"

#include "base/token_hash.h"

#include <string.h>

enum { TOKEN_LINE_BYTES = 1024 };

static void token_hash_print(const struct config *config, const char *token)
{
	char hash[TOKEN_HASH_BYTES];

	token_hash(slice_from_cstr(config->privacy_token_key), slice_from_cstr(token), hash);
	printf("%.*s\n", TOKEN_HASH_BYTES, hash);
}

enum exit_code cmd_token_hash(const struct config *config, int argc, char **argv)
{
	char line[TOKEN_LINE_BYTES];
	struct error err;

	if (argc != 1 || argv[0][0] == '\0')
		return cli_usage("token-hash", "say which token, or - to read them");
	if (config->privacy_token_key[0] == '\0') {
		error_set(&err, ERROR_FATAL, REASON_bad_setting,
			"privacy.token_key is not set: tokens are stored as they are");
		return cli_fail(EXIT_CODE_CONFIG, &err);
	}
	if (strcmp(argv[0], "-") != 0) {
		token_hash_print(config, argv[0]);
		return EXIT_CODE_OK;
	}
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		token_hash_print(config, line);
	}
	return EXIT_CODE_OK;
}
