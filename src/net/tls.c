#include "net/tls_int.h"
#include "net/tls_secrets.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

int err_openssl(struct err *e, enum err_reason r, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	char text[256] = "unknown error";

	if (code)
		ERR_error_string_n(code, text, sizeof(text));
	ERR_clear_error();
	return err_set(e, r, "%s: %s", what, text);
}

/* The first certificate is ours, those behind it are sent along as its chain. */
static int load_chain(SSL_CTX *ctx, struct str pem, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	int ok = cert && SSL_CTX_use_certificate(ctx, cert) == 1;

	X509_free(cert);
	while (ok && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
			X509_free(cert);
			ok = 0;
		}
	BIO_free(bio);
	if (!ok)
		return err_openssl(e, ERR_INVALID, "certificate");
	ERR_clear_error(); /* the end of the list is reported as an error too */
	return 0;
}

int tls_no_password(char *out, int size, int writing, void *ctx)
{
	(void)out, (void)size, (void)writing, (void)ctx;
	return -1;
}

static int load_key(SSL_CTX *ctx, struct str pem, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	/* Without a call-back OpenSSL would ask on the terminal for an encrypted key's password. */
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, tls_no_password, NULL) : NULL;
	int ok =
		key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	return ok ? 0 : err_openssl(e, ERR_INVALID, "private key");
}

static int load_ca(SSL_CTX *ctx, struct str pem, bool server, struct err *e)
{
	BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	int n = 0;

	for (X509 *ca; bio && (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)); n++) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
		if (server)
			SSL_CTX_add_client_CA(ctx, ca);
		X509_free(ca);
	}
	BIO_free(bio);
	if (n == 0)
		return err_openssl(e, ERR_INVALID, "certificate authority");
	ERR_clear_error();
	return 0;
}

static int set_alpn(struct tls *t, const char *const *names, struct err *e)
{
	for (; names && *names; names++) {
		size_t len = strlen(*names);

		if (len == 0 || len > 255 || t->alpn_len + 1 + len > sizeof(t->alpn))
			return err_set(e, ERR_INTERNAL, "ALPN '%s' does not fit", *names);
		t->alpn[t->alpn_len++] = (unsigned char)len;
		memcpy(t->alpn + t->alpn_len, *names, len);
		t->alpn_len += (unsigned int)len;
	}
	return 0;
}

/* Ours decides the order. A client that only knows others goes on without ALPN: HTTP/1.1. */
static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
		       const unsigned char *in, unsigned int in_len, void *ctx)
{
	const struct tls *t = ctx;
	unsigned char *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, out_len, t->alpn, t->alpn_len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static void set_common(SSL_CTX *ctx)
{
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	/* Released buffers: an idle connection holds about 10 KiB less twice. Partial writes: the
	 * queue decides how much is in one record. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* Renegotiation lets a client make the server work; an end without close_notify is how many
	 * clients leave, and HTTP frames its messages by itself. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF |
					 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
}

static int tls_setup(struct tls *t, const struct tls_config *c, bool server, struct err *e)
{
	set_common(t->ctx);
	if (c->cert_pem.len && load_chain(t->ctx, c->cert_pem, e) < 0)
		return -1;
	if (c->key_pem.len && load_key(t->ctx, c->key_pem, e) < 0)
		return -1;
	if (c->ca_pem.len && load_ca(t->ctx, c->ca_pem, server, e) < 0)
		return -1;
	/* As Go does: any certificate that was given to be trusted is, not only self-signed ones.
	 */
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(t->ctx), X509_V_FLAG_PARTIAL_CHAIN);
	if (c->verify_peer)
		SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
	return set_alpn(t, c->alpn, e);
}

static struct tls *tls_new(bool server, const struct tls_config *c, struct err *e)
{
	struct tls *t = xcalloc(1, sizeof(*t));

	t->refs = 1;
	t->own_records = server && c->own_records && tls_secrets_init(); /* conn_records_begin takes the keys over */
	t->ctx = SSL_CTX_new_ex(NULL, t->own_records ? TLS_SECRETS_PROPERTIES : NULL,
				server ? TLS_server_method() : TLS_client_method());
	if (!t->ctx) {
		err_openssl(e, ERR_INTERNAL, "TLS context");
		free(t);
		return NULL;
	}
	if (tls_setup(t, c, server, e) < 0) {
		tls_unref(t);
		return NULL;
	}
	return t;
}

struct tls *tls_server_new(const struct tls_config *c, struct err *e)
{
	struct tls *t = tls_new(true, c, e);

	if (!t)
		return NULL;
	/* One stateless ticket is enough for a client to resume with. Sessions belong to a context,
	 * so they must carry an id of it once client certificates are asked for
	 * (SSL_CTX_set_verify(3)). */
	SSL_CTX_set_num_tickets(t->ctx, 1);
	/* 128 bits are beyond reach, and with SHA-256, which processors have instructions for, a handshake's many
	 * derivations take a third of SHA-384's time. A client that has ChaCha20 first has no AES instructions. */
	SSL_CTX_set_ciphersuites(t->ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
	SSL_CTX_set_options(t->ctx, SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(t->ctx, (const unsigned char *)"portico", 7);
	if (t->alpn_len)
		SSL_CTX_set_alpn_select_cb(t->ctx, select_alpn, t);
	return t;
}

struct tls *tls_client_new(const struct tls_config *c, struct err *e)
{
	struct tls *t = tls_new(false, c, e);

	if (t && t->alpn_len)
		SSL_CTX_set_alpn_protos(t->ctx, t->alpn, t->alpn_len);
	return t;
}

struct tls *tls_ref(struct tls *t)
{
	if (t)
		__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

void tls_unref(struct tls *t)
{
	if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL))
		return;
	SSL_CTX_free(t->ctx);
	X509_free(t->leaf);
	EVP_PKEY_free(t->key);
	sk_X509_pop_free(t->chain, X509_free);
	free(t->staple);
	free(t);
}

SSL_CTX *tls_ctx(struct tls *t)
{
	return t->ctx;
}
