#include "base/fs.h"
#include "config/config_private.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECRET_BYTES_MAX = 64 * 1024 /* more than any URL needs */ };

bool config_load_credentials(struct config *c, struct error *err)
{
	/* systemd.exec(5), NOLINTNEXTLINE(concurrency-mt-unsafe): before threads */
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	struct config_secret secret;

	if (folder == NULL || *folder == '\0')
		return true;
	c->source++;
	for (size_t i = 0; config_secret(c, i, &secret); i++) {
		char path[PATH_MAX];

		if (snprintf(path, sizeof(path), "%s/%s", folder, secret.name) >= (int)sizeof(path))
			return error_set(err, ERROR_FATAL, REASON_bad_setting,
				"CREDENTIALS_DIRECTORY is too long");
		if (access(path, F_OK) != 0 && errno == ENOENT)
			continue;
		if (!config_set(c, secret.file_name, path, "credential", err) &&
			!config_read_on(c, err))
			return false;
	}
	return true;
}

/* Editors put a newline at the end. */
static void secrets_cut_newline(char *text, size_t *size)
{
	if (*size > 0 && text[*size - 1] == '\n')
		text[--*size] = '\0';
	if (*size > 0 && text[*size - 1] == '\r')
		text[--*size] = '\0';
}

static bool secrets_read(struct config *c, const struct config_secret *secret, struct error *err)
{
	size_t size;
	char *text = fs_read_file(secret->path, SECRET_BYTES_MAX, &size, err);
	bool ok = false;

	if (text == NULL) {
		const char *hint =
			access(secret->path, F_OK) == 0
				? "the user that the program runs as must be able to read it"
				: "correct the path, or make the file";

		error_prefix(err, "%s", secret->file_name);
		return error_hint(err, "%s", hint);
	}
	secrets_cut_newline(text, &size);
	if (size == 0)
		error_set(err, ERROR_FATAL, REASON_bad_setting, "%s: \"%s\" is empty",
			secret->file_name, secret->path);
	else if (strlen(text) != size || strchr(text, '\n') != NULL)
		error_set(err, ERROR_FATAL, REASON_bad_setting,
			"%s: \"%s\" is not one line of text", secret->file_name, secret->path);
	else
		ok = config_set_read(c, secret->name, text, secret->path, err);
	explicit_bzero(text, size);
	free(text);
	return ok;
}

bool config_read_secrets(struct config *c, struct error *err)
{
	struct config_secret secret;

	for (size_t i = 0; config_secret(c, i, &secret); i++) {
		if (*secret.path != '\0' && !secrets_read(c, &secret, err) &&
			!config_read_on(c, err))
			return false;
	}
	return true;
}
