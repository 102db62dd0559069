#include "net/x509.h"

#include "base/file.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define PEM_FILE_BYTES (256u << 10)
#define BACKDATE_SECONDS 300 /* a peer whose clock is a little behind accepts it too */
#define SERIAL_BITS 120	     /* RFC 5280 allows 20 octets; 64 bits of entropy are asked for */

static int ssl_fail(struct err *e, const char *what)
{
	char text[256];

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	ERR_clear_error();
	return err_set(e, ERR_INTERNAL, "%s: %s", what, text);
}

EVP_PKEY *x509_new_key(struct err *e)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");

	if (!key)
		ssl_fail(e, "make a key");
	return key;
}

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool ok = ext && X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return ok;
}

static bool add_extensions(X509 *cert, X509 *issuer, const struct x509_request *r)
{
	const char *usage = r->server && r->client ? "serverAuth,clientAuth" :
			    r->server		   ? "serverAuth" :
						     "clientAuth";

	return add_extension(cert, issuer, NID_basic_constraints, r->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
	       add_extension(cert, issuer, NID_key_usage,
			     r->ca ? "critical,keyCertSign,cRLSign,digitalSignature" : "critical,digitalSignature") &&
	       (r->ca || add_extension(cert, issuer, NID_ext_key_usage, usage)) &&
	       (!r->sans || add_extension(cert, issuer, NID_subject_alt_name, r->sans)) &&
	       add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
	       add_extension(cert, issuer, NID_authority_key_identifier, "keyid");
}

static bool set_serial(X509 *cert)
{
	BIGNUM *bn = BN_new();
	bool ok = bn && BN_rand(bn, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) &&
		  BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert));

	BN_free(bn);
	return ok;
}

static bool set_names(X509 *cert, const struct x509_request *r, X509 *issuer)
{
	X509_NAME *name = X509_get_subject_name(cert);

	if (r->organization && !X509_NAME_add_entry_by_NID(name, NID_organizationName, MBSTRING_UTF8,
							   (const unsigned char *)r->organization, -1, -1, 0))
		return false;
	return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
					  (const unsigned char *)r->common_name, -1, -1, 0) &&
	       X509_set_issuer_name(cert, X509_get_subject_name(issuer));
}

X509 *x509_issue(const struct x509_request *r, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, struct err *e)
{
	X509 *cert = X509_new();

	if (!issuer) {
		issuer = cert;
		issuer_key = key;
	}
	if (cert && X509_set_version(cert, X509_VERSION_3) && set_serial(cert) &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -BACKDATE_SECONDS) &&
	    X509_gmtime_adj(X509_getm_notAfter(cert), (long)r->days * 86400) && set_names(cert, r, issuer) &&
	    X509_set_pubkey(cert, key) && add_extensions(cert, issuer, r) &&
	    X509_sign(cert, issuer_key, EVP_sha256()))
		return cert;
	ssl_fail(e, r->common_name);
	X509_free(cert);
	return NULL;
}

static char *bio_text(BIO *bio)
{
	char *data;
	long len = BIO_get_mem_data(bio, &data);
	char *out = xstrndup(data, (size_t)len);

	BIO_free(bio);
	return out;
}

char *x509_pem(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || !PEM_write_bio_X509(bio, cert))
		abort();
	return bio_text(bio);
}

char *x509_key_pem(EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());

	if (!bio || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL))
		abort();
	return bio_text(bio);
}

/* The file's text as a BIO over `text`, which outlives it. */
static BIO *open_pem(const char *path, struct buf *text, struct err *e)
{
	buf_init(text, PEM_FILE_BYTES);
	return file_read(path, text, e) == 0 ? BIO_new_mem_buf(text->ptr, (int)text->len) : NULL;
}

X509 *x509_load(const char *path, struct err *e)
{
	struct buf text;
	BIO *bio = open_pem(path, &text, e);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	if (bio && !cert)
		ssl_fail(e, path);
	BIO_free(bio);
	buf_done(&text);
	return cert;
}

EVP_PKEY *x509_load_key(const char *path, struct err *e)
{
	struct buf text;
	BIO *bio = open_pem(path, &text, e);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;

	if (bio && !key)
		ssl_fail(e, path);
	BIO_free(bio);
	if (text.ptr)
		OPENSSL_cleanse(text.ptr, text.len);
	buf_done(&text);
	return key;
}
