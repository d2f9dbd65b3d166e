#include "mqtt/tls_check.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { TLS_NAME_BYTES = 120, TLS_DATE_BYTES = 16 };

static struct {
	pthread_mutex_t lock;
	pthread_once_t once;
	const char *crl;
	bool took_part;
	char fault[TLS_CHECK_TEXT_BYTES];
} tls = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT, .crl = ""};

static void tls_name(const X509_NAME *name, char out[static TLS_NAME_BYTES])
{
	BIO *bio = BIO_new(BIO_s_mem());
	int size = 0;

	if (bio != NULL &&
		X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		size = BIO_read(bio, out, TLS_NAME_BYTES - 1);
	out[size > 0 ? size : 0] = '\0';
	BIO_free(bio);
}

static void tls_date(const ASN1_TIME *at, char out[static TLS_DATE_BYTES])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(at, &tm) != 1 || strftime(out, TLS_DATE_BYTES, "%Y-%m-%d", &tm) == 0)
		snprintf(out, TLS_DATE_BYTES, "?");
}

/* OpenSSL's verdict stands; the first fault is written down. */
static int tls_on_verdict(int ok, X509_STORE_CTX *context)
{
	X509 *certificate = X509_STORE_CTX_get_current_cert(context);
	char subject[TLS_NAME_BYTES] = "?", issuer[TLS_NAME_BYTES] = "?";
	char from[TLS_DATE_BYTES] = "?", to[TLS_DATE_BYTES] = "?";

	if (ok)
		return ok;
	if (certificate != NULL) {
		tls_name(X509_get_subject_name(certificate), subject);
		tls_name(X509_get_issuer_name(certificate), issuer);
		tls_date(X509_get0_notBefore(certificate), from);
		tls_date(X509_get0_notAfter(certificate), to);
	}
	pthread_mutex_lock(&tls.lock);
	if (tls.fault[0] == '\0')
		snprintf(tls.fault, sizeof(tls.fault),
			"%s (certificate of \"%s\", issued by \"%s\", valid from %s to %s)",
			X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)), subject,
			issuer, from, to);
	pthread_mutex_unlock(&tls.lock);
	return ok;
}

/* Under the lock. If the file cannot be read no certificate is accepted: there is no list then. */
static void tls_add_crl(SSL *ssl, SSL_CTX *context)
{
	X509_LOOKUP *files =
		X509_STORE_add_lookup(SSL_CTX_get_cert_store(context), X509_LOOKUP_file());

	if (files == NULL || X509_load_crl_file(files, tls.crl, X509_FILETYPE_PEM) <= 0)
		snprintf(tls.fault, sizeof(tls.fault),
			"could not read a list of revoked certificates from \"%s\"", tls.crl);
	X509_VERIFY_PARAM_set_flags(SSL_get0_param(ssl),
		X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

static void tls_on_new(void *parent, void *unused, CRYPTO_EX_DATA *data, int index, long number,
	void *pointer)
{
	SSL *ssl = parent;
	SSL_CTX *context = SSL_get_SSL_CTX(ssl);

	(void)unused;
	(void)data;
	(void)index;
	(void)number;
	(void)pointer;
	if (context == NULL || SSL_CTX_get_info_callback(context) == NULL)
		return; /* PostgreSQL's */
	if (SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE)
		SSL_set_verify(ssl, SSL_get_verify_mode(ssl), tls_on_verdict);
	pthread_mutex_lock(&tls.lock);
	tls.took_part = true;
	if (tls.crl[0] != '\0')
		tls_add_crl(ssl, context);
	pthread_mutex_unlock(&tls.lock);
}

static void tls_register(void)
{
	(void)SSL_get_ex_new_index(0, NULL, tls_on_new, NULL, NULL);
}

void tls_check_begin(const char *crl)
{
	(void)pthread_once(&tls.once, tls_register);
	pthread_mutex_lock(&tls.lock);
	tls.crl = crl;
	tls.took_part = false;
	tls.fault[0] = '\0';
	pthread_mutex_unlock(&tls.lock);
}

void tls_check_fault(char out[static TLS_CHECK_TEXT_BYTES])
{
	pthread_mutex_lock(&tls.lock);
	memcpy(out, tls.fault, TLS_CHECK_TEXT_BYTES);
	pthread_mutex_unlock(&tls.lock);
}

bool tls_check_took_part(void)
{
	bool took_part;

	pthread_mutex_lock(&tls.lock);
	took_part = tls.took_part;
	pthread_mutex_unlock(&tls.lock);
	return took_part;
}
