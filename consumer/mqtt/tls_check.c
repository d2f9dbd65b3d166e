#include "mqtt/tls_check.h"

#include "base/certificate.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { TLS_HOSTS_BYTES = 120 };

static struct {
	pthread_mutex_t lock;
	pthread_once_t once;
	const char *crl;
	bool took_part;
	char fault[TLS_CHECK_TEXT_BYTES];
} tls = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT, .crl = ""};

/* The hosts that a certificate is for: "DNS:broker.example, IP Address:192.0.2.1". */
static void tls_hosts(const X509 *certificate, char out[static TLS_HOSTS_BYTES])
{
	int place = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
	BIO *bio = BIO_new(BIO_s_mem());
	int size = 0;

	if (bio != NULL && place >= 0 &&
		X509V3_EXT_print(bio, X509_get_ext(certificate, place), 0, 0) == 1)
		size = BIO_read(bio, out, TLS_HOSTS_BYTES - 1);
	out[size > 0 ? size : 0] = '\0';
	BIO_free(bio);
}

/* paho compares the names itself after the handshake, but does not report that this was the reason.
 * So we make the same comparison here only to report it; the refusal is paho's. */
static void tls_check_host(X509_STORE_CTX *context, X509 *certificate)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
	const char *host = ssl == NULL ? NULL : SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	char hosts[TLS_HOSTS_BYTES], subject[CERTIFICATE_NAME_BYTES];

	if (host == NULL || certificate == NULL || X509_STORE_CTX_get_error_depth(context) != 0 ||
		X509_check_host(certificate, host, 0, 0, NULL) == 1 ||
		X509_check_ip_asc(certificate, host, 0) == 1)
		return;
	tls_hosts(certificate, hosts);
	certificate_name(X509_get_subject_name(certificate), subject);
	pthread_mutex_lock(&tls.lock);
	if (tls.fault[0] == '\0')
		snprintf(tls.fault, sizeof(tls.fault),
			"hostname mismatch: it is not for \"%s\" (certificate of \"%s\", for %s)",
			host, subject, hosts[0] != '\0' ? hosts : "no other host");
	pthread_mutex_unlock(&tls.lock);
}

/* Does not change OpenSSL's verdict; notes the first fault. */
static int tls_on_verdict(int ok, X509_STORE_CTX *context)
{
	if (ok) {
		tls_check_host(context, X509_STORE_CTX_get_current_cert(context));
		return ok;
	}
	pthread_mutex_lock(&tls.lock);
	if (tls.fault[0] == '\0')
		certificate_fault(context, tls.fault, sizeof(tls.fault));
	pthread_mutex_unlock(&tls.lock);
	return ok;
}

/* Under the lock. If the file cannot be read, no certificate is accepted, because then there is no
 * list. */
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
		return; /* belongs to PostgreSQL's connection */
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

/* ---- files ---- */

/* For OpenSSL: a key's password, or none; it never prompts anybody. */
static int tls_on_password(char *out, int size, int writing, void *context)
{
	const char *password = context;

	(void)writing;
	return snprintf(out, (size_t)size, "%s", password) < size ? (int)strlen(password) : -1;
}

static bool tls_file_fault(const char *setting, const char *path, struct error *err)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_SYSTEM_ERROR(code) ? strerrordesc_np(ERR_GET_REASON(code))
						    : ERR_reason_error_string(code);

	error_set(err, ERROR_TRANSIENT, REASON_broker, "%s: could not use \"%s\": %s", setting,
		path, reason != NULL ? reason : "OpenSSL does not say why");
	error_needs_person(err);
	return error_hint(err, "see %s: a file in PEM format that this user can read", setting);
}

static bool tls_load_files(SSL_CTX *context, const struct tls_files *files, struct error *err)
{
	const char *key = files->key[0] != '\0' ? files->key : files->certificate;
	union {
		const char *text;
		char *data;
	} borrowed = {files->key_password}; /* only read */

	SSL_CTX_set_default_passwd_cb(context, tls_on_password);
	SSL_CTX_set_default_passwd_cb_userdata(context, borrowed.data);
	if (files->ca[0] != '\0' && SSL_CTX_load_verify_file(context, files->ca) != 1)
		return tls_file_fault("mqtt.tls_ca", files->ca, err);
	if (files->certificate[0] == '\0')
		return true;
	if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1)
		return tls_file_fault("mqtt.tls_certificate", files->certificate, err);
	return SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 ||
	       tls_file_fault("mqtt.tls_key", key, err);
}

bool tls_check_files(const struct tls_files *files, struct error *err)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	bool ok = true;

	ERR_clear_error();
	if (context != NULL)
		ok = tls_load_files(context, files, err);
	ERR_clear_error();
	SSL_CTX_free(context);
	return ok;
}
