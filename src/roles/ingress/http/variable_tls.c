/* Variables of TLS connections and client certificates: nginx's ssl module. */
#include "roles/ingress/http/variable_int.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define GET(fn) void fn(struct variable_sink *o, struct exchange *x, const struct variable_part *p)

static void put_hex(struct variable_sink *o, const unsigned char *bytes, size_t n, const char *digits)
{
	char text[2 * EVP_MAX_MD_SIZE];

	n = MIN(n, sizeof(text) / 2);
	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	variable_put(o, (struct str){ text, 2 * n });
}

static X509 *client_cert(const struct exchange *x)
{
	return x->req.tls ? x->req.tls->peer : NULL;
}

/* Puts what was written to `b`, and frees it. */
static void put_bio(struct variable_sink *o, BIO *b)
{
	char *text;
	long n = BIO_get_mem_data(b, &text);

	if (n > 0)
		variable_put(o, (struct str){ text, (size_t)n });
	BIO_free(b);
}

GET(variable_ssl_protocol)
{
	(void)p;
	if (x->req.tls)
		variable_put(o, str_of(x->req.tls->protocol));
}

GET(variable_ssl_cipher)
{
	(void)p;
	if (x->req.tls)
		variable_put(o, str_of(x->req.tls->cipher));
}

GET(variable_ssl_server_name)
{
	(void)p;
	if (x->req.tls)
		variable_put(o, str_of(x->req.tls->server_name));
}

GET(variable_ssl_session_reused)
{
	(void)p;
	if (x->req.tls)
		variable_put(o, x->req.tls->resumed ? STR("r") : STR("."));
}

GET(variable_ssl_session_id)
{
	(void)p;
	if (x->req.tls)
		put_hex(o, x->req.tls->id, x->req.tls->id_len, "0123456789abcdef");
}

GET(variable_ssl_alpn)
{
	(void)p;
	if (x->req.tls)
		variable_put(o, str_of(x->req.tls->alpn));
}

GET(variable_ssl_curve)
{
	(void)p;
	if (x->req.tls && x->req.tls->curve)
		variable_put(o, str_of(x->req.tls->curve));
}

GET(variable_ssl_client_verify)
{
	long result;

	(void)p;
	if (!x->req.tls)
		return;
	if (!client_cert(x)) {
		variable_put(o, STR("NONE"));
		return;
	}
	result = x->req.tls->verify_result;
	if (result == X509_V_OK)
		variable_put(o, STR("SUCCESS"));
	else
		variable_printf(o, "FAILED:%s", X509_verify_cert_error_string(result));
}

GET(variable_ssl_client_dn)
{
	X509 *cert = client_cert(x);
	BIO *b;

	if (!cert)
		return;
	b = BIO_new(BIO_s_mem());
	if (!b)
		return;
	X509_NAME_print_ex(b, p->arg == DN_ISSUER ? X509_get_issuer_name(cert) : X509_get_subject_name(cert), 0, XN_FLAG_RFC2253);
	put_bio(o, b);
}

GET(variable_ssl_client_serial)
{
	X509 *cert = client_cert(x);
	BIO *b = cert ? BIO_new(BIO_s_mem()) : NULL;

	(void)p;
	if (!b)
		return;
	i2a_ASN1_INTEGER(b, X509_get0_serialNumber(cert));
	put_bio(o, b);
}

GET(variable_ssl_client_fingerprint)
{
	unsigned char sha1[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	X509 *cert = client_cert(x);

	(void)p;
	if (cert && X509_digest(cert, EVP_sha1(), sha1, &n))
		put_hex(o, sha1, n, "0123456789abcdef");
}

GET(variable_ssl_client_time)
{
	X509 *cert = client_cert(x);
	BIO *b = cert ? BIO_new(BIO_s_mem()) : NULL;

	if (!b)
		return;
	ASN1_TIME_print(b, p->arg ? X509_get0_notAfter(cert) : X509_get0_notBefore(cert));
	put_bio(o, b);
}

GET(variable_ssl_client_cert)
{
	X509 *cert = client_cert(x);
	enum variable_escape how = o->how;
	BIO *b = cert ? BIO_new(BIO_s_mem()) : NULL;

	if (!b)
		return;
	PEM_write_bio_X509(b, cert);
	if (p->arg == CERT_ESCAPED)
		o->how = ESCAPE_URI;
	put_bio(o, b);
	o->how = how;
}
