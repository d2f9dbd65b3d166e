#include "base/redact.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

static const char redact_blanks[] = " \t\r\n";

static void redact_hide(char *from, const char *to)
{
	while (from < to)
		*from++ = '*';
}

/* ---- URLs ---- */

/* "5432", perhaps followed by the end of a sentence. */
static bool redact_is_port(const char *text, const char *end)
{
	while (text < end && isdigit((unsigned char)*text))
		text++;
	while (text < end && strchr("\"'):;.", *text) != NULL)
		text++;
	return text == end;
}

/* host, host:port, [::1]:port, or several with commas between. */
static bool redact_is_hosts(const char *text, const char *end)
{
	while (text < end) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		const char *last = comma == NULL ? end : comma, *colon;

		if (*text == '[' && memchr(text, ']', (size_t)(last - text)) != NULL)
			text = memchr(text, ']', (size_t)(last - text));
		colon = memchr(text, ':', (size_t)(last - text));
		if (colon != NULL && !redact_is_port(colon + 1, last))
			return false;
		text = comma == NULL ? end : comma + 1;
	}
	return true;
}

/* text: what follows "://". Returns where to continue. */
static char *redact_url(char *text)
{
	char *end = text + strcspn(text, redact_blanks);
	char *at = memrchr(text, '@', (size_t)(end - text));
	char *hosts_end = text + strcspn(text, "/?# \t\r\n");
	char *colon;

	if (at == NULL && redact_is_hosts(text, hosts_end))
		return hosts_end;
	if (at == NULL)
		at = hosts_end; /* no host at all, or a password where the port should be */
	colon = memchr(text, ':', (size_t)(at - text));
	if (colon != NULL)
		redact_hide(colon + 1, at);
	return at;
}

/* ---- name=value ---- */

/* The distance from a word that names a password to its value; 0 if text does not begin with
 * one. */
static size_t redact_value_at(const char *text)
{
	static const char *const words[] = {"password", "passwd", "passphrase", "secret", "pwd"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t size = strlen(words[i]);

		if (strncasecmp(text, words[i], size) != 0)
			continue;
		size += strspn(text + size, redact_blanks);
		if (text[size] != '=')
			continue;
		size++;
		return size + strspn(text + size, redact_blanks);
	}
	return 0;
}

static char *redact_value(char *text)
{
	char quote = *text, *end = text;

	if (quote == '\'' || quote == '"') {
		for (end++; *end != '\0' && *end != quote;)
			end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
		redact_hide(text + 1, end);
		return end;
	}
	while (*end != '\0' && strchr(redact_blanks, *end) == NULL)
		end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
	redact_hide(text, end);
	return end;
}

void redact_passwords(char *text)
{
	while (*text != '\0') {
		size_t value = redact_value_at(text);

		if (value > 0)
			text = redact_value(text + value);
		else if (strncmp(text, "://", 3) == 0)
			text = redact_url(text + 3);
		else
			text++;
	}
}
