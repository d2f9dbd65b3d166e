#include "daemon/status_page.h"

#include "base/check.h"
#include "base/embedded.h"
#include "base/sha256.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

extern const struct embedded_file status_page_files[];

enum { STATUS_DIGEST_BYTES = 4 * ((SHA256_BYTES + 2) / 3) + 1 /* in base64 */ };

/* Digest of what is between the tags; the page has each once. */
static void status_digest(struct sha256 *sha, const char *html, const char *open, const char *close,
	char out[static STATUS_DIGEST_BYTES])
{
	const char *from = strstr(html, open), *to;
	uint8_t digest[SHA256_BYTES];

	CHECK(from != NULL);
	from += strlen(open);
	to = strstr(from, close);
	CHECK(to != NULL);
	sha256_reset(sha);
	sha256_add(sha, from, (size_t)(to - from));
	sha256_get(sha, digest);
	(void)EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

bool status_page_init(struct status_page *page, struct error *err)
{
	const struct embedded_file *file = &status_page_files[0];
	char script[STATUS_DIGEST_BYTES], style[STATUS_DIGEST_BYTES];
	struct sha256 *sha = sha256_new();
	int size;

	if (sha == NULL)
		return error_set(err, ERROR_FATAL, REASON_memory, "out of memory");
	status_digest(sha, file->text, "<script>", "</script>", script);
	status_digest(sha, file->text, "<style>", "</style>", style);
	sha256_free(&sha);
	page->html = (struct slice){(const uint8_t *)file->text, file->size};
	size = snprintf(page->policy, sizeof(page->policy),
		"default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; "
		"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
		"frame-ancestors 'none'",
		script, style);
	CHECK(size > 0 && size < STATUS_POLICY_BYTES);
	return true;
}
