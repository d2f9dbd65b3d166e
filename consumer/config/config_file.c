#include "base/log.h"
#include "base/utf8.h"
#include "config/config_private.h"

#include <errno.h>
#include <ini_configobj.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/*
 * INI through libini_config (of SSSD). libinih, the more common choice, cannot be used: Debian
 * builds it with a line limit of 200 bytes beyond which values are cut in two, and it gives the
 * handler no line number.
 *
 * On top of INI, values may be written as in MaEVE's TOML: in quotes, followed by a comment.
 */

/* Sections of MaEVE's configuration that mean nothing to us, with their subsections. The read
 * replica is for MaEVE's REST API. */
static const char *const config_file_foreign[] = {"api", "charge_station_cert_provider",
	"contract_cert_provider", "contract_cert_validator", "observability", "ocpi", "ocpp",
	"root_certificate_provider", "storage.firestore", "storage.postgres_read_only",
	"tariff_service", "transport"};

struct config_file {
	struct config *config;
	const char *path;
	struct ini_cfgobj *ini;
};

static bool config_file_is_foreign(const char *section)
{
	for (size_t i = 0; i < sizeof(config_file_foreign) / sizeof(*config_file_foreign); i++) {
		size_t size = strlen(config_file_foreign[i]);

		if (strncmp(section, config_file_foreign[i], size) == 0 &&
			(section[size] == '\0' || section[size] == '.'))
			return true;
	}
	return false;
}

/* A # or ; without a blank before it belongs to the value. In place. */
static void config_file_cut_comment(char *value)
{
	char *at = value;

	for (; *at != '\0'; at++) {
		if ((*at == '#' || *at == ';') && (at == value || at[-1] == ' ' || at[-1] == '\t'))
			break;
	}
	while (at > value && (at[-1] == ' ' || at[-1] == '\t'))
		at--;
	*at = '\0';
}

/*
 * "text" # comment, text ; comment, text. A # or ; inside quotes belongs to the value. Within
 * quotes \" and \\ are escapes. In place; false if quotes do not close.
 */
static bool config_file_unquote(char *value)
{
	char *at = value, *to = value, quote = *value;

	if (quote != '"' && quote != '\'') {
		config_file_cut_comment(value);
		return true;
	}
	for (at++; *at != quote; at++) {
		if (*at == '\0')
			return false;
		if (*at == '\\' && quote == '"' && (at[1] == '"' || at[1] == '\\'))
			at++;
		*to++ = *at;
	}
	*to = '\0';
	at++;
	while (*at == ' ' || *at == '\t')
		at++;
	return *at == '\0' || *at == '#' || *at == ';';
}

/* libini_config reports errors as "Error (10) on line 7: Duplicate key is not allowed." */
static bool config_file_syntax_error(struct config_file *f, const char *text, struct error *err)
{
	int line = 0, used = 0;

	if (sscanf(text, "Error (%*d) on line %d: %n", &line, &used) == 1 && used > 0)
		error_set(err, ERROR_FATAL, REASON_bad_settings_file, "%s:%d: %s", f->path, line,
			text + used);
	else
		error_set(err, ERROR_FATAL, REASON_bad_settings_file, "%s: %s", f->path, text);
	error_hint(err, "one setting a line, as  name = value  below a  [section]; each name once");
	return config_read_on(f->config, err);
}

static bool config_file_syntax_errors(struct config_file *f, struct error *err)
{
	char **texts = NULL;
	bool ok = true;

	if (ini_config_get_errors(f->ini, &texts) != 0 || texts == NULL || texts[0] == NULL)
		ok = error_set(err, ERROR_FATAL, REASON_bad_settings_file, "could not read \"%s\"",
			f->path);
	for (size_t i = 0; ok && texts[i] != NULL; i++)
		ok = config_file_syntax_error(f, texts[i], err);
	if (texts != NULL)
		ini_config_free_errors(texts);
	return ok;
}

static bool config_file_value(struct config_file *f, const char *section, const char *key,
	struct error *err)
{
	char name[256], origin[512];
	struct value_obj *object = NULL;
	uint32_t line = 0;
	char *value;
	int failed = 0;
	bool ok = false;

	if (ini_get_config_valueobj(section, key, f->ini, INI_GET_FIRST_VALUE, &object) != 0 ||
		object == NULL)
		return error_set(err, ERROR_FATAL, REASON_bad_settings_file,
			"could not read \"%s\"", f->path);
	(void)value_get_line(object, &line);
	value = ini_get_string_config_value(object, &failed);
	if (value == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading \"%s\"",
			f->path);
	snprintf(name, sizeof(name), "%s.%s", section, key);
	snprintf(origin, sizeof(origin), "%s:%u", f->path, line);
	if (config_file_unquote(value)) {
		ok = config_set(f->config, name, value, origin, err);
	} else {
		config_refuse(f->config, name);
		error_set(err, ERROR_FATAL, REASON_bad_settings_file,
			"%s: the value of \"%s\" has quotes that do not close, or text after them",
			origin, name);
	}
	free(value);
	return ok;
}

static bool config_file_section(struct config_file *f, const char *section, struct error *err)
{
	int count = 0, failed = 0;
	char **keys = ini_get_attribute_list(f->ini, section, &count, &failed);
	bool ok = true;

	for (int i = 0; ok && keys != NULL && i < count; i++)
		ok = config_file_value(f, section, keys[i], err) || config_read_on(f->config, err);
	ini_free_attribute_list(keys);
	return ok;
}

/* libini_config puts a setting that precedes the first section into a section it makes up, and does
 * not list it there. */
static bool config_file_is_stray(const struct config_file *f, const char *section)
{
	int count = 0, failed = 0;
	char **keys;

	if (strcmp(section, INI_DEFAULT_SECTION) != 0)
		return false;
	keys = ini_get_attribute_list(f->ini, section, &count, &failed);
	ini_free_attribute_list(keys);
	return count == 0;
}

static bool config_file_sections(struct config_file *f, struct error *err)
{
	int count = 0, failed = 0;
	char **sections = ini_get_section_list(f->ini, &count, &failed);
	bool ok = true;

	for (int i = 0; ok && sections != NULL && i < count; i++) {
		if (config_file_is_stray(f, sections[i])) {
			error_set(err, ERROR_FATAL, REASON_bad_settings_file,
				"%s: a setting stands before the first section", f->path);
			error_hint(err, "name = value  below a  [section], as [mqtt]");
			ok = config_read_on(f->config, err);
		} else if (config_file_is_foreign(sections[i])) {
			log_info("config_section_ignored",
				"this section is for MaEVE and has no meaning here", "section=%s",
				LOG_VALUE(sections[i]));
		} else {
			ok = config_file_section(f, sections[i], err);
		}
	}
	ini_free_section_list(sections);
	return ok;
}

static bool config_file_read(struct config_file *f, struct error *err)
{
	bool ok;

	/* libini_config then has no settings. */
	f->config->unread = ini_config_error_count(f->ini) > 0;
	if (f->config->unread)
		return config_file_syntax_errors(f, err);
	f->config->in_file = true;
	ok = config_file_sections(f, err);
	f->config->in_file = false;
	return ok;
}

/* Whoever can write to it decides where messages go. */
static bool config_file_is_ours(const char *path, const struct stat *st, struct error *err)
{
	if ((st->st_mode & S_IWOTH) == 0)
		return true;
	error_set(err, ERROR_FATAL, REASON_bad_settings_file, "everybody may write to \"%s\"",
		path);
	return error_hint(err, "chmod 600 it, and check that its content is yours");
}

static bool config_file_line_is_text(const char *line, size_t size, int number)
{
	/* libini_config reads UTF-16, too, if it begins with a byte order mark. */
	bool utf16 = number == 1 && size >= 2 &&
		     (memcmp(line, "\xff\xfe", 2) == 0 || memcmp(line, "\xfe\xff", 2) == 0);

	return utf16 || utf8_is_storable(slice_of(line, size));
}

/* libini_config takes a NUL for the end of a line: a file of NULs, as a power cut may leave it,
 * would be one without settings. Of other bytes it does not say where they are. */
static bool config_file_is_text(const char *path, struct error *err)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t size;
	int number = 0;
	bool ok = true;

	while (ok && file != NULL && (size = getline(&line, &room, file)) >= 0) {
		number++;
		ok = config_file_line_is_text(line, (size_t)size, number);
		if (ok && number == 1 && (line[0] == '\xff' || line[0] == '\xfe'))
			break; /* UTF-16 */
	}
	if (!ok)
		error_set(err, ERROR_FATAL, REASON_bad_settings_file,
			"%s:%d: has bytes that are not text in UTF-8", path, number);
	else if (file != NULL && number == 0 && feof(file))
		ok = error_set(err, ERROR_FATAL, REASON_bad_settings_file, "\"%s\" is empty",
			     path) ||
		     error_hint(err, "a power cut may leave that; if the defaults are meant, put a "
				     "comment into it, or leave out --config");
	free(line);
	if (file != NULL)
		(void)fclose(file);
	return ok; /* a file that cannot be read is for libini_config to report */
}

bool config_load_file(struct config *c, const char *path, struct error *err)
{
	struct config_file f = {.config = c, .path = path};
	struct ini_cfgfile *file = NULL;
	int failed = ini_config_create(&f.ini);
	struct stat st;
	bool found, ok = false;

	c->source++;
	if (failed != 0)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory reading \"%s\"",
			path);
	/* A pipe can be read only once; opening what is not there reports the error. */
	found = stat(path, &st) == 0;
	if (found && S_ISDIR(st.st_mode)) {
		error_set(err, ERROR_FATAL, REASON_bad_settings_file,
			"\"%s\" is a folder, not a settings file", path);
		goto out;
	}
	if (found && S_ISREG(st.st_mode) &&
		!(config_file_is_ours(path, &st, err) && config_file_is_text(path, err)))
		goto out;
	failed = ini_config_file_open(path, 0, &file);
	if (failed != 0) {
		errno = failed;
		error_set_errno(err, ERROR_FATAL, REASON_bad_settings_file, "could not open \"%s\"",
			path);
		goto out;
	}
	failed = ini_config_parse(file, INI_STOP_ON_NONE,
		INI_MS_MERGE | INI_MV1S_DETECT | INI_MV2S_ERROR, INI_PARSE_NOWRAP, f.ini);
	if (failed != 0 && ini_config_error_count(f.ini) == 0)
		error_set(err, ERROR_FATAL, REASON_bad_settings_file, "could not read \"%s\"",
			path);
	else
		ok = config_file_read(&f, err);
out:
	if (file != NULL)
		ini_config_file_destroy(file);
	ini_config_destroy(f.ini);
	return ok;
}
