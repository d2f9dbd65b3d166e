#include "pg/tls_verdict.h"

#include "base/bytes.h"
#include "base/certificate.h"
#include "pg/libpq_options.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { VERDICT_TIMEOUT_S = 5, VERDICT_TEXT_BYTES = 512, VERDICT_PATH_BYTES = 4096 };

/* PostgreSQL documentation, "Message Formats", SSLRequest. */
static const uint32_t verdict_ssl_request = 80877103;

struct verdict {
	long result;
	char text[VERDICT_TEXT_BYTES];
};

struct verdict_files {
	char ca[VERDICT_PATH_BYTES];
	char crl[VERDICT_PATH_BYTES];
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

/* As libpq does: a list that cannot be read is no list. */
static void verdict_use_crl(SSL_CTX *context, const char *crl_file)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);

	if (X509_STORE_load_file(store, crl_file) == 1)
		(void)X509_STORE_set_flags(store,
			X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

static void verdict_handshake(int fd, const struct verdict_files *files, struct verdict *v)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;

	if (context != NULL && (SSL_CTX_load_verify_file(context, files->ca) == 1)) {
		verdict_use_crl(context, files->crl);
		ssl = SSL_new(context);
	}
	if (ssl != NULL) {
		(void)SSL_set_app_data(ssl, v);
		SSL_set_verify(ssl, SSL_VERIFY_PEER, verdict_on_fault);
		if (SSL_set_fd(ssl, fd) == 1)
			(void)SSL_connect(ssl);
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
	ERR_clear_error(); /* libpq would take what is left for an answer to it */
}

/* Those that libpq used: the ones set, or its defaults. */
static void verdict_find_files(const PGconn *conn, struct verdict_files *files)
{
	PQconninfoOption *options = PQconninfo((PGconn *)(uintptr_t)conn);
	const char *ca = libpq_option(options, "sslrootcert");
	const char *crl = libpq_option(options, "sslcrl");
	const char *home = getenv("HOME"); /* NOLINT(concurrency-mt-unsafe) */

	if (home == NULL)
		home = "";
	snprintf(files->ca, sizeof(files->ca), "%s/.postgresql/root.crt", home);
	snprintf(files->crl, sizeof(files->crl), "%s/.postgresql/root.crl", home);
	if (ca[0] != '\0')
		snprintf(files->ca, sizeof(files->ca), "%s", ca);
	if (crl[0] != '\0')
		snprintf(files->crl, sizeof(files->crl), "%s", crl);
	PQconninfoFree(options);
}

enum tls_refusal {
	TLS_NOT_REFUSED,
	TLS_REFUSED,
	TLS_CERTIFICATE_REFUSED,
	TLS_HOST_REFUSED,
	TLS_OURS_REFUSED,
};

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
		{"does not match host name", TLS_HOST_REFUSED},
		{"root certificate file", TLS_REFUSED},
		{"server does not support SSL, but SSL was required", TLS_REFUSED},
		{"private key file", TLS_REFUSED}, {"could not read certificate file", TLS_REFUSED},
		{"could not load private key", TLS_REFUSED},
		/* Alerts of the server: OpenSSL's names for those of RFC 8446, 6.2. */
		{"alert bad certificate", TLS_OURS_REFUSED},
		{"alert certificate", TLS_OURS_REFUSED}, {"alert unknown ca", TLS_OURS_REFUSED},
		{"alert unsupported certificate", TLS_OURS_REFUSED}};

	for (size_t i = 0; err->sqlstate[0] == '\0' && i < sizeof(texts) / sizeof(*texts); i++) {
		if (strstr(err->message, texts[i].words) != NULL)
			return texts[i].refusal;
	}
	return TLS_NOT_REFUSED;
}

void pg_tls_note(struct error *err)
{
	static const char see[] = "see storage.postgres.ssl_mode, ssl_root_cert, ssl_cert and "
				  "ssl_key, and the server's certificate";
	static const char *const hints[] = {
		[TLS_REFUSED] = see,
		[TLS_CERTIFICATE_REFUSED] = see,
		[TLS_HOST_REFUSED] = "storage.postgres.host (or storage.url) must have the name "
				     "that is in the server's certificate, or give the "
				     "server a certificate for this name",
		[TLS_OURS_REFUSED] = "the server does not accept our certificate: see "
				     "storage.postgres.ssl_cert and ssl_key",
	};
	enum tls_refusal refusal = tls_refusal(err);

	if (strstr(err->message, "requires a valid client certificate") != NULL)
		error_hint(err, "%s", hints[TLS_OURS_REFUSED]);
	if (refusal == TLS_NOT_REFUSED)
		return;
	error_becomes(err, ERROR_REFUSED, REASON_refused);
	error_needs_person(err);
	error_hint(err, "%s", hints[refusal]);
}

void pg_tls_verdict(const PGconn *conn, struct error *err)
{
	struct verdict v = {.result = X509_V_OK};
	struct verdict_files files;
	const char *host, *port = PQport(conn);
	int fd;

	if (err == NULL)
		return;
	pg_tls_note(err);
	if (tls_refusal(err) != TLS_CERTIFICATE_REFUSED)
		return;
	host = PQhostaddr(conn) != NULL && PQhostaddr(conn)[0] != '\0' ? PQhostaddr(conn)
								       : PQhost(conn);
	verdict_find_files(conn, &files);
	fd = verdict_connect(host, port);
	if (fd < 0)
		return;
	if (verdict_ask_for_tls(fd))
		verdict_handshake(fd, &files, &v);
	(void)close(fd);
	if (v.result == X509_V_OK)
		return;
	error_set(err, ERROR_REFUSED, REASON_refused,
		"the certificate of PostgreSQL at \"%s\" is refused: %s", PQhost(conn), v.text);
	if (v.result == X509_V_ERR_CERT_REVOKED)
		error_hint(err,
			"give the server another certificate: this one is in the revocation list "
			"\"%.100s\" (sslcrl)",
			files.crl);
	else if (v.result == X509_V_ERR_UNABLE_TO_GET_CRL ||
		 v.result == X509_V_ERR_CRL_HAS_EXPIRED || v.result == X509_V_ERR_CRL_NOT_YET_VALID)
		error_hint(err, "renew the revocation list \"%.100s\" (sslcrl)", files.crl);
	else
		error_hint(err,
			"see storage.postgres.ssl_root_cert (\"%.100s\"): it must have the "
			"authority "
			"of the server's certificate, which must be valid now",
			files.ca);
	error_needs_person(err);
}
