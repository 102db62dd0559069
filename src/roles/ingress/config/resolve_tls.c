/* Certificates of clients, TLS to upstreams, and hosts' ciphers. */
#include "roles/ingress/config/resolve_int.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#define HOST_CIPHERS_BYTES_MAX 8192 /* the names of all that OpenSSL knows have 3500; each handshake reads the list */

static bool has_certificate(struct str pem)
{
	BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	X509 *cert = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	bool ok = cert != NULL;

	X509_free(cert);
	BIO_free(b);
	ERR_clear_error();
	return ok;
}

static bool has_crl(struct str pem)
{
	BIO *b = BIO_new_mem_buf(pem.ptr, (int)pem.len);
	X509_CRL *crl = b ? PEM_read_bio_X509_CRL(b, NULL, NULL, NULL) : NULL;
	bool ok = crl != NULL;

	X509_CRL_free(crl);
	BIO_free(b);
	ERR_clear_error();
	return ok;
}

static int take_authority(struct builder *b, const json_t *secret, struct err *e)
{
	cleanup(freep) char *ca = (char *)(uintptr_t)secret_bytes(secret, "ca.crt").ptr;
	cleanup(freep) char *crl = (char *)(uintptr_t)secret_bytes(secret, "ca.crl").ptr;

	if (!ca || !has_certificate(str_of(ca)))
		return err_set(e, ERR_INVALID, "the key ca.crt has no certificate");
	if (crl && !has_crl(str_of(crl)))
		return err_set(e, ERR_INVALID, "the key ca.crl has no list of revoked certificates");
	b->s->auth_tls_ca = TAKE_PTR(ca);
	b->s->auth_tls_crl = TAKE_PTR(crl);
	return 0;
}

/* An authority that is missing or broken refuses the whole host with 403, as in ingress-nginx: "" says that there should be
 * one (tls/client_auth.h). */
void resolve_client_certificates(struct builder *b)
{
	const char *reason = REASON_NO_SECRET;
	struct err e;

	if (!b->refs.auth_tls_secret)
		return;
	const json_t *secret = resolve_look(b, b->refs.auth_tls_secret, &reason, &e);
	if (secret && take_authority(b, secret, &e) == 0)
		return;
	b->s->auth_tls_ca = xstrdup("");
	builder_problem(b, "auth-tls-secret", reason, "auth-tls-secret: %s; requests are answered with 403", e.message);
}

static int restrict_tls(const struct builder *b, SSL_CTX *ctx, struct err *e)
{
	unsigned versions = b->refs.proxy_ssl_protocols;

	SSL_CTX_set_verify_depth(ctx, (int)b->refs.proxy_ssl_verify_depth);
	SSL_CTX_set_min_proto_version(ctx, versions & TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION);
	SSL_CTX_set_max_proto_version(ctx, versions & TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
	return SSL_CTX_set_cipher_list(ctx, b->refs.proxy_ssl_ciphers) == 1 ? 0 : err_openssl(e, ERR_INVALID, "proxy-ssl-ciphers");
}

static struct tls *upstream_tls_new(const struct builder *b, const json_t *secret, struct err *e)
{
	static const char *const h2[] = { "h2", NULL }, *const h1[] = { "http/1.1", NULL };
	struct str cert = secret_bytes(secret, "tls.crt"), key = secret_bytes(secret, "tls.key"), ca = secret_bytes(secret, "ca.crt");
	struct tls_config c = { .cert_pem = cert, .key_pem = key, .ca_pem = ca, .verify_peer = b->s->proxy_ssl_verify,
				.alpn = b->s->backend_protocol == PROTOCOL_GRPCS ? h2 : h1 };
	struct tls *t = NULL;

	if (b->s->proxy_ssl_verify && !ca.ptr)
		err_set(e, ERR_INVALID, "proxy-ssl-verify is on, but the Secret has no ca.crt");
	else
		t = tls_client_new(&c, e);
	if (t && restrict_tls(b, tls_ctx(t), e) < 0) {
		tls_unref(t);
		t = NULL;
	}
	secret_wipe(&key);
	free((char *)(uintptr_t)cert.ptr);
	free((char *)(uintptr_t)ca.ptr);
	return t;
}

void resolve_upstream_tls(struct builder *b)
{
	struct err e;

	if (!b->refs.proxy_ssl_secret) {
		if (b->s->proxy_ssl_verify)
			builder_problem(b, "proxy-ssl-verify", REASON_IGNORED, "proxy-ssl-verify has no effect without proxy-ssl-secret");
		b->s->proxy_ssl_verify = false;
		return;
	}
	const json_t *secret = resolve_secret(b, "proxy-ssl-secret", b->refs.proxy_ssl_secret);
	if (!secret)
		return;
	b->s->proxy_ssl = upstream_tls_new(b, secret, &e);
	if (!b->s->proxy_ssl)
		builder_deny(b, "proxy-ssl-secret", "proxy-ssl-secret: %s", e.message);
}

/* OpenSSL passes over names that it does not know, but not over a list without any. */
static int try_ciphers(const char *list, struct err *e)
{
	static SSL_CTX *ctx; /* for all lists: making one takes long */

	if (strlen(list) > HOST_CIPHERS_BYTES_MAX)
		return err_set(e, ERR_INVALID, "the list is longer than %d bytes", HOST_CIPHERS_BYTES_MAX);
	if (!ctx)
		ctx = SSL_CTX_new(TLS_server_method());
	return ctx && SSL_CTX_set_cipher_list(ctx, list) == 1 ? 0 : err_openssl(e, ERR_INVALID, "OpenSSL");
}

void resolve_host_ciphers(struct builder *b)
{
	struct err e;

	if (!b->s->ssl_ciphers || try_ciphers(b->s->ssl_ciphers, &e) == 0)
		return;
	builder_problem(b, "ssl-ciphers", REASON_PARSING, "ssl-ciphers: %s; it has no effect", e.message);
	free(TAKE_PTR(b->s->ssl_ciphers));
}
