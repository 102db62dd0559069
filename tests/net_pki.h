/* net_pki.h - throw-away certificates for tests: an authority and what it signs, as PEM. */
#pragma once

#include "base/base.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

struct pki {
	EVP_PKEY *key;
	X509 *cert;
	char cert_pem[4096], key_pem[2048];
};

static void pki_pem(struct pki *p)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	PEM_write_bio_X509(b, p->cert);
	n = BIO_read(b, p->cert_pem, sizeof(p->cert_pem) - 1);
	p->cert_pem[n] = '\0';
	PEM_write_bio_PrivateKey(b, p->key, NULL, NULL, 0, NULL, NULL);
	n = BIO_read(b, p->key_pem, sizeof(p->key_pem) - 1);
	p->key_pem[n] = '\0';
	BIO_free(b);
}

/* `ca` NULL: an authority. `san` such as "DNS:server,IP:127.0.0.1" may be NULL. */
static struct pki pki_make(const char *cn, const char *san, const struct pki *ca)
{
	struct pki p = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
	X509_NAME *name = X509_get_subject_name(p.cert);
	static long serial;
	X509V3_CTX v3;

	X509_set_version(p.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(p.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(p.cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(p.cert), 3600);
	X509_set_pubkey(p.cert, p.key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(p.cert, ca ? X509_get_subject_name(ca->cert) : name);
	X509V3_set_ctx(&v3, ca ? ca->cert : p.cert, p.cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &v3, NID_basic_constraints,
						  ca ? "critical,CA:FALSE" : "critical,CA:TRUE");
	X509_add_ext(p.cert, ext, -1);
	X509_EXTENSION_free(ext);
	if (san) {
		ext = X509V3_EXT_conf_nid(NULL, &v3, NID_subject_alt_name, san);
		X509_add_ext(p.cert, ext, -1);
		X509_EXTENSION_free(ext);
	}
	X509_sign(p.cert, ca ? ca->key : p.key, EVP_sha256());
	pki_pem(&p);
	return p;
}

static void pki_done(struct pki *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}
