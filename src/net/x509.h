/* x509.h - making keys and certificates with OpenSSL. RFC 5280. */
#pragma once

#include "base/err.h"

#include <openssl/x509.h>

struct x509_request {
	const char *common_name;
	const char *organization; /* NULL for none */
	const char *sans;	  /* "DNS:a,IP:1.2.3.4", or NULL */
	bool ca, server, client;
	int days;
};
EVP_PKEY *x509_new_key(struct err *e) must_check; /* P-256 */
/* issuer NULL: self-signed with `key`. */
X509 *x509_issue(const struct x509_request *r, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
		 struct err *e) must_check;
char *x509_pem(X509 *cert);	 /* on the heap */
char *x509_key_pem(EVP_PKEY *key);
X509 *x509_load(const char *path, struct err *e) must_check;
EVP_PKEY *x509_load_key(const char *path, struct err *e) must_check;
