#include "pg/tls_verdict.h"

#include "base/bytes.h"
#include "base/certificate.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { VERDICT_TIMEOUT_S = 5, VERDICT_TEXT_BYTES = 512 };

/* PostgreSQL documentation, "Message Formats", SSLRequest. */
static const uint32_t verdict_ssl_request = 80877103;

struct verdict {
	long result;
	char text[VERDICT_TEXT_BYTES];
};

static int verdict_connect(const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const struct timeval timeout = {VERDICT_TIMEOUT_S, 0};
	struct addrinfo *found = NULL;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -1;
	for (const struct addrinfo *a = found; fd < 0 && a != NULL; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
		if (fd < 0)
			continue;
		/* The send timeout also bounds connect(). */
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			(void)close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

static bool verdict_ask_for_tls(int fd)
{
	uint8_t request[8], answer = 0;

	(void)put_be32(put_be32(request, sizeof(request)), verdict_ssl_request);
	return send(fd, request, sizeof(request), MSG_NOSIGNAL) == (ssize_t)sizeof(request) &&
	       recv(fd, &answer, 1, 0) == 1 && answer == 'S';
}

/* OpenSSL calls this for each fault in the chain, and continues if it returns 1. The first fault
 * counts. */
static int verdict_on_fault(int ok, X509_STORE_CTX *context)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct verdict *v = SSL_get_app_data(ssl);

	if (ok || v->result != X509_V_OK || X509_STORE_CTX_get_current_cert(context) == NULL)
		return 1;
	v->result = X509_STORE_CTX_get_error(context);
	certificate_fault(context, v->text, sizeof(v->text));
	return 1;
}

static void verdict_handshake(int fd, const char *ca_file, struct verdict *v)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;

	if (context != NULL && (SSL_CTX_load_verify_file(context, ca_file) == 1))
		ssl = SSL_new(context);
	if (ssl != NULL) {
		(void)SSL_set_app_data(ssl, v);
		SSL_set_verify(ssl, SSL_VERIFY_PEER, verdict_on_fault);
		if (SSL_set_fd(ssl, fd) == 1)
			(void)SSL_connect(ssl);
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
}

/* The file of authorities that libpq used: the one set, or its default. */
static void verdict_ca_file(const PGconn *conn, char *out, size_t size)
{
	PQconninfoOption *options = PQconninfo((PGconn *)(uintptr_t)conn);
	const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe) */

	snprintf(out, size, "%s/.postgresql/root.crt", home == NULL ? "" : home);
	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
		if (strcmp(o->keyword, "sslrootcert") == 0 && o->val != NULL && o->val[0] != '\0')
			snprintf(out, size, "%s", o->val);
	}
	PQconninfoFree(options);
}

enum tls_refusal { TLS_NOT_REFUSED, TLS_REFUSED, TLS_CERTIFICATE_REFUSED };

/*
 * Only libpq's words can decide: after a failed attempt it has freed its SSL, so PQgetssl() and
 * PQsslAttribute() return NULL; it has moved OpenSSL's error queue into this text; errno belongs to
 * the last system call; and without an answer from the server there is no SQLSTATE. The words are
 * English, since nobody sets a locale.
 */
static enum tls_refusal tls_refusal(const struct error *err)
{
	static const struct {
		const char *words;
		enum tls_refusal refusal;
	} texts[] = {{"certificate verify failed", TLS_CERTIFICATE_REFUSED},
		{"does not match host name", TLS_REFUSED}, {"root certificate file", TLS_REFUSED},
		{"server does not support SSL, but SSL was required", TLS_REFUSED},
		{"private key file", TLS_REFUSED}, {"could not read certificate file", TLS_REFUSED},
		{"could not load private key", TLS_REFUSED}};

	for (size_t i = 0; err->sqlstate[0] == '\0' && i < sizeof(texts) / sizeof(*texts); i++) {
		if (strstr(err->message, texts[i].words) != NULL)
			return texts[i].refusal;
	}
	return TLS_NOT_REFUSED;
}

void pg_tls_note(struct error *err)
{
	if (tls_refusal(err) == TLS_NOT_REFUSED)
		return;
	error_becomes(err, ERROR_REFUSED, REASON_refused);
	error_needs_person(err);
	error_hint(err, "see storage.postgres.ssl_mode, ssl_root_cert, ssl_cert and ssl_key, and "
			"the server's certificate");
}

void pg_tls_verdict(const PGconn *conn, struct error *err)
{
	struct verdict v = {.result = X509_V_OK};
	char ca_file[4096];
	const char *host, *port = PQport(conn);
	int fd;

	if (err == NULL)
		return;
	pg_tls_note(err);
	if (tls_refusal(err) != TLS_CERTIFICATE_REFUSED)
		return;
	host = PQhostaddr(conn) != NULL && PQhostaddr(conn)[0] != '\0' ? PQhostaddr(conn)
								       : PQhost(conn);
	verdict_ca_file(conn, ca_file, sizeof(ca_file));
	fd = verdict_connect(host, port);
	if (fd < 0)
		return;
	if (verdict_ask_for_tls(fd))
		verdict_handshake(fd, ca_file, &v);
	(void)close(fd);
	if (v.result == X509_V_OK)
		return;
	error_set(err, ERROR_REFUSED, REASON_refused,
		"the certificate of PostgreSQL at \"%s\" is refused: %s", PQhost(conn), v.text);
	error_hint(err, "checked against \"%s\" (sslrootcert)", ca_file);
	error_needs_person(err);
}
