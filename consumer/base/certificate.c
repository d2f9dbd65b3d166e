#include "base/certificate.h"

#include <openssl/asn1.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <time.h>

enum { CERTIFICATE_DATE_BYTES = 16 };

void certificate_name(const X509_NAME *name, char out[static CERTIFICATE_NAME_BYTES])
{
	BIO *bio = BIO_new(BIO_s_mem());
	int size = 0;

	if (bio != NULL &&
		X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		size = BIO_read(bio, out, CERTIFICATE_NAME_BYTES - 1);
	out[size > 0 ? size : 0] = '\0';
	BIO_free(bio);
}

static void certificate_date(const ASN1_TIME *at, char out[static CERTIFICATE_DATE_BYTES])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(at, &tm) != 1 ||
		strftime(out, CERTIFICATE_DATE_BYTES, "%Y-%m-%d", &tm) == 0)
		snprintf(out, CERTIFICATE_DATE_BYTES, "?");
}

void certificate_fault(X509_STORE_CTX *context, char *out, size_t size)
{
	const X509 *certificate = X509_STORE_CTX_get_current_cert(context);
	char subject[CERTIFICATE_NAME_BYTES] = "?", issuer[CERTIFICATE_NAME_BYTES] = "?";
	char from[CERTIFICATE_DATE_BYTES] = "?", to[CERTIFICATE_DATE_BYTES] = "?";

	if (certificate != NULL) {
		certificate_name(X509_get_subject_name(certificate), subject);
		certificate_name(X509_get_issuer_name(certificate), issuer);
		certificate_date(X509_get0_notBefore(certificate), from);
		certificate_date(X509_get0_notAfter(certificate), to);
	}
	snprintf(out, size, "%s (certificate of \"%s\", issued by \"%s\", valid from %s to %s)",
		X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)), subject, issuer,
		from, to);
}
