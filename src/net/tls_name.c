#include "net/tls_int.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>

/* ---- certificates ---- */

static int read_chain(struct tls *t, struct str pem)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);

	t->leaf = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	for (X509 *c; t->leaf && (c = PEM_read_bio_X509(bio, NULL, NULL, NULL));) {
		if (!t->chain)
			t->chain = sk_X509_new_null();
		sk_X509_push(t->chain, c);
	}
	BIO_free(bio);
	return t->leaf ? 0 : -1;
}

/* OpenSSL 3.0 takes 0.7 ms to find out how a key may be read, and forgets it with the decoder. It reads many with one itself
 * (PEM_read_bio_PrivateKey, blocks of a file), so a thread keeps its own. */
static EVP_PKEY *decode_key(struct str pem)
{
	static _Thread_local OSSL_DECODER_CTX *decoder;
	static _Thread_local EVP_PKEY *key;
	const unsigned char *at = (const unsigned char *)pem.ptr;
	size_t left = pem.len;

	if (!decoder) {
		decoder = OSSL_DECODER_CTX_new_for_pkey(&key, "PEM", NULL, NULL, EVP_PKEY_KEYPAIR, NULL, NULL);
		if (decoder && !OSSL_DECODER_CTX_set_pem_password_cb(decoder, tls_no_password, NULL)) {
			OSSL_DECODER_CTX_free(decoder);
			decoder = NULL;
		}
	}
	if (decoder && !OSSL_DECODER_from_data(decoder, &at, &left))
		ERR_clear_error();
	return TAKE_PTR(key);
}

/* What stands before the key (EC PARAMETERS), or is no key, is left to the slow way: it also knows what to complain about. */
static int read_key(struct tls *t, struct str pem)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);

	t->key = decode_key(pem);
	if (!t->key && bio)
		t->key = PEM_read_bio_PrivateKey(bio, NULL, tls_no_password, NULL);
	BIO_free(bio);
	return t->key && X509_check_private_key(t->leaf, t->key) == 1 ? 0 : -1;
}

/* What OpenSSL derives from a certificate when it is first looked at, it writes down in it: now, not in two workers at once. */
static bool is_usable(struct tls *t)
{
	SSL *ssl = SSL_new(t->ctx);
	bool ok = ssl && X509_check_purpose(t->leaf, -1, 0) == 1 && tls_present(ssl, t);

	SSL_free(ssl);
	return ok;
}

struct tls *tls_certificate_new(struct tls *base, struct str cert_pem, struct str key_pem, struct err *e)
{
	struct tls *t = xcalloc(1, sizeof(*t));
	int r = 0;

	t->refs = 1;
	t->ctx = base->ctx;
	t->own_records = base->own_records;
	SSL_CTX_up_ref(t->ctx);
	ERR_clear_error();
	if (read_chain(t, cert_pem) < 0)
		r = err_openssl(e, ERR_INVALID, "certificate");
	ERR_clear_error(); /* the end of the list is reported as an error too */
	if (r == 0 && read_key(t, key_pem) < 0)
		r = err_openssl(e, ERR_INVALID, "private key");
	if (r == 0 && !is_usable(t))
		r = err_openssl(e, ERR_INVALID, "certificate");
	if (r == 0)
		return t;
	tls_unref(t);
	return NULL;
}

X509 *tls_leaf(const struct tls *t)
{
	return t->leaf ? t->leaf : SSL_CTX_get0_certificate(t->ctx);
}

STACK_OF(X509) *tls_chain(const struct tls *t)
{
	STACK_OF(X509) *chain = t->chain;

	if (!t->leaf)
		SSL_CTX_get0_chain_certs(t->ctx, &chain);
	return chain;
}

bool tls_has_certificate(const struct tls *t)
{
	return t->leaf != NULL;
}

const struct tls_staple *tls_staple(const struct tls *t)
{
	return __atomic_load_n(&t->staple, __ATOMIC_ACQUIRE);
}

struct tls_staple *tls_set_staple(struct tls *t, struct tls_staple *s)
{
	return __atomic_exchange_n(&t->staple, s, __ATOMIC_ACQ_REL);
}

size_t tls_refs(const struct tls *t)
{
	return __atomic_load_n(&t->refs, __ATOMIC_ACQUIRE);
}

/* ---- what a connection remembers while its handshake lasts ---- */

static int at_presented, at_asked;

static void presented_free(void *ssl, void *t, CRYPTO_EX_DATA *data, int at, long argl, void *argp)
{
	(void)ssl, (void)data, (void)at, (void)argl, (void)argp;
	tls_unref(t);
}

static void make_places(void)
{
	at_presented = SSL_get_ex_new_index(0, NULL, NULL, NULL, presented_free);
	at_asked = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

static void places(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_places);
}

bool tls_present(SSL *ssl, struct tls *t)
{
	X509 *leaf = tls_leaf(t);
	EVP_PKEY *key = t->leaf ? t->key : SSL_CTX_get0_privatekey(t->ctx);

	places();
	if (!leaf || !key || SSL_use_cert_and_key(ssl, leaf, key, tls_chain(t), 1) != 1)
		return false;
	tls_unref(SSL_get_ex_data(ssl, at_presented));
	return SSL_set_ex_data(ssl, at_presented, tls_ref(t)) == 1;
}

struct tls *tls_presented(const SSL *ssl)
{
	places();
	return SSL_get_ex_data(ssl, at_presented);
}

/* ---- client certificates ---- */

/* Whoever asks looks at the result: a page that says what was wrong helps more than a connection that breaks. */
static int take_any(int ok, X509_STORE_CTX *ctx)
{
	(void)ok, (void)ctx;
	return 1;
}

bool tls_ask_for_certificate(SSL *ssl, X509_STORE *authorities, const STACK_OF(X509_NAME) *names, int depth, uint64_t id,
			     const uint8_t digest[TLS_ASKED_BYTES])
{
	unsigned char context[7 + TLS_ASKED_BYTES] = "portico";

	places();
	memcpy(context + 7, digest, TLS_ASKED_BYTES);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, take_any);
	SSL_set_verify_depth(ssl, depth);
	SSL_set_client_CA_list(ssl, SSL_dup_CA_list(names));
	return SSL_set1_verify_cert_store(ssl, authorities) == 1 &&
	       SSL_set_session_id_context(ssl, context, sizeof(context)) == 1 &&
	       SSL_set_ex_data(ssl, at_asked, (void *)(uintptr_t)id) == 1;
}

uint64_t tls_asked_for(const SSL *ssl)
{
	places();
	return (uint64_t)(uintptr_t)SSL_get_ex_data(ssl, at_asked);
}

/* ---- names ---- */

/* RFC 6066, section 3: a list of one name of type host_name. */
struct str tls_client_hello_name(SSL *ssl)
{
	const unsigned char *p;
	size_t n;

	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) || n < 5)
		return STR_NONE;
	size_t list = (size_t)p[0] << 8 | p[1], name = (size_t)p[3] << 8 | p[4];
	if (list != n - 2 || p[2] != TLSEXT_NAMETYPE_host_name || name != n - 5 || name == 0 || name > TLSEXT_MAXLEN_host_name)
		return STR_NONE;
	return (struct str){ (const char *)p + 5, name };
}
