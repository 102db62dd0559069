#include "net/conn_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* OpenSSL's own socket BIO uses write(2), which raises SIGPIPE in whoever did not ignore it. */
static int bio_write(BIO *bio, const char *data, int len)
{
	struct conn *c = BIO_get_data(bio);
	ssize_t n = send(c->io.fd, data, (size_t)len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)n;
}

/* What arrived before OpenSSL was there; 0: nothing is left of it. */
static int take_raw(struct conn *c, char *to, int max)
{
	size_t n = MIN(conn_kept(c), (size_t)max);

	if (n) {
		memcpy(to, c->in->ptr, n);
		buf_consume(c->in, n);
	}
	if (conn_kept(c) == 0) {
		conn_kept_free(c);
		c->raw = false;
	}
	return (int)n;
}

static int bio_read(BIO *bio, char *to, int max)
{
	struct conn *c = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	int raw = c->raw ? take_raw(c, to, max) : 0;
	if (raw)
		return raw;
	ssize_t n = recv(c->io.fd, to, (size_t)max, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	if (n == 0)
		c->tcp_eof = true;
	return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	const struct conn *c = BIO_get_data(bio);

	(void)num, (void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return c->tcp_eof;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO *bio_of(struct conn *c)
{
	static BIO_METHOD *method;

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "conn");
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	BIO *bio = BIO_new(method);
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	return bio;
}

/* RFC 6066 §3: SNI carries names only; an address is checked against the certificate's addresses.
 */
static int set_server_name(SSL *ssl, const char *name)
{
	unsigned char ip[16];

	if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
	return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

int conn_tls_start(struct conn *c, bool client, const char *server_name, struct err *e)
{
	c->ssl = SSL_new(tls_ctx(c->tls));
	if (!c->ssl)
		return err_openssl(e, ERR_INTERNAL, "TLS session");
	BIO *bio = bio_of(c);
	SSL_set_bio(c->ssl, bio, bio);
	SSL_set_read_ahead(c->ssl, 1);
	if (client)
		SSL_set_connect_state(c->ssl);
	else
		SSL_set_accept_state(c->ssl);
	if (client && server_name && !set_server_name(c->ssl, server_name))
		return err_openssl(e, ERR_INVALID, "TLS server name");
	c->handshaking = true;
	return 0;
}

/* Turns what SSL_* returned into one of the CONN_ codes. */
static int tls_result(struct conn *c, int r, bool *wants_other, int other, const char *what,
		      struct err *e)
{
	int sys = errno;
	int code = SSL_get_error(c->ssl, r);

	if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
		*wants_other = code == other;
		return CONN_AGAIN;
	}
	if (code == SSL_ERROR_ZERO_RETURN)
		return CONN_EOF;
	if (code == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
		err_errno(e, c->tcp_eof ? ECONNRESET : sys, "%s", what);
	else if (SSL_get_verify_result(c->ssl) != X509_V_OK)
		err_set(e, ERR_UNAVAILABLE, "%s: %s", what,
			X509_verify_cert_error_string(SSL_get_verify_result(c->ssl)));
	else
		err_openssl(e, ERR_UNAVAILABLE, what);
	ERR_clear_error();
	/* OpenSSL forbids any further call on it, SSL_shutdown included. */
	SSL_set_quiet_shutdown(c->ssl, 1);
	return CONN_FAILED;
}

int conn_tls_handshake(struct conn *c, struct err *e)
{
	ERR_clear_error();
	int r = SSL_do_handshake(c->ssl);

	c->read_wants_write = false;
	if (r == 1)
		return 1;
	r = tls_result(c, r, &c->read_wants_write, SSL_ERROR_WANT_WRITE, "TLS handshake", e);
	if (r == CONN_EOF)
		err_set(e, ERR_UNAVAILABLE, "TLS handshake: the peer closed the connection");
	return r == CONN_AGAIN ? CONN_AGAIN : CONN_FAILED;
}

ssize_t conn_tls_read(struct conn *c, void *to, size_t max, struct err *e)
{
	size_t n = 0;

	ERR_clear_error();
	int r = SSL_read_ex(c->ssl, to, max, &n);
	c->read_wants_write = false;
	if (r == 1)
		return (ssize_t)n;
	return tls_result(c, r, &c->read_wants_write, SSL_ERROR_WANT_WRITE, "TLS read", e);
}

ssize_t conn_tls_write(struct conn *c, const void *from, size_t len, struct err *e)
{
	size_t n = 0;

	ERR_clear_error();
	int r = SSL_write_ex(c->ssl, from, len, &n);
	c->write_wants_read = false;
	if (r == 1)
		return (ssize_t)n;
	r = tls_result(c, r, &c->write_wants_read, SSL_ERROR_WANT_READ, "TLS write", e);
	if (r == CONN_EOF) {
		err_errno(e, EPIPE, "TLS write");
		return CONN_FAILED;
	}
	return r;
}
