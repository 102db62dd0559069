#include "net/conn_int.h"
#include "net/tls_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#define WRITE_GATHER_BYTES 16384 /* a full record: pieces are copied together up to this */
#define WRITE_ALONE_BYTES 4096	 /* a first piece of this length is worth a record of its own */

/* ---- between OpenSSL and the socket ---- */

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

static int read_socket(struct conn *c, BIO *bio, char *to, int max)
{
	ssize_t n = recv(c->io.fd, to, (size_t)max, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	if (n == 0)
		c->tls->tcp_eof = true;
	return (int)n;
}

/* OpenSSL gets no more than it asks for: what follows a handshake may not be its to read. */
static int bio_read(BIO *bio, char *to, int max)
{
	struct conn *c = BIO_get_data(bio);
	struct conn_tls *t = c->tls;
	size_t n = MIN(t->feed_len, (size_t)max);

	BIO_clear_retry_flags(bio);
	if (n == 0 && t->done)
		return read_socket(c, bio, to, max);
	if (n == 0 && t->tcp_eof)
		return 0;
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(to, t->feed, n);
	t->feed += n;
	t->feed_len -= n;
	return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	const struct conn *c = BIO_get_data(bio);

	(void)num, (void)ptr;
	if (cmd == BIO_CTRL_EOF)
		return c->tls->tcp_eof;
	return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "conn");
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_ctrl(method, bio_ctrl);
}

static BIO *bio_of(struct conn *c)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_method);
	BIO *bio = BIO_new(method);
	BIO_set_data(bio, c);
	BIO_set_init(bio, 1);
	return bio;
}

void conn_tls_keep(struct buf **b, const uint8_t *bytes, size_t len)
{
	if (!*b) {
		*b = xcalloc(1, sizeof(**b));
		buf_init(*b, CONN_READ_BUFFER_MAX_BYTES + CONN_READ_BYTES);
	}
	if (len && buf_put(*b, bytes, len) < 0)
		abort(); /* nobody keeps more than one read, or what unsent records are limited to */
}

static void kept_free(struct buf **b)
{
	if (!*b)
		return;
	buf_done(*b);
	free(TAKE_PTR(*b));
}

/* ---- life ---- */

/* RFC 6066 §3: SNI carries names only; an address is checked against the certificate's addresses.
 */
static int set_server_name(SSL *ssl, const char *name)
{
	unsigned char ip[16];

	if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
	return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

/* The record that takes over has to go on counting where OpenSSL ended. */
static void count_records(int out, int version, int type, const void *bytes, size_t len, SSL *ssl, void *arg)
{
	struct conn_tls *t = arg;

	(void)version, (void)bytes, (void)len, (void)ssl;
	if (out && type == SSL3_RT_HEADER && t->secrets && t->secrets->server.iv_len)
		t->n_written++;
}

static bool start_server(struct conn_tls *t)
{
	SSL_set_accept_state(t->ssl);
	t->waits_for_input = true;
	if (t->context->own_records) {
		t->secrets = xcalloc(1, sizeof(*t->secrets));
		SSL_set_msg_callback(t->ssl, count_records);
		SSL_set_msg_callback_arg(t->ssl, t);
	}
	return !tls_has_certificate(t->context) || tls_present(t->ssl, t->context);
}

int conn_tls_start(struct conn *c, struct tls *tls, bool client, const char *server_name, struct err *e)
{
	struct conn_tls *t = xcalloc(1, sizeof(*t));

	c->tls = t;
	c->handshaking = true;
	t->context = tls_ref(tls);
	t->ssl = SSL_new(tls_ctx(tls));
	if (!t->ssl)
		return err_openssl(e, ERR_INTERNAL, "TLS session");
	BIO *bio = bio_of(c);
	SSL_set_bio(t->ssl, bio, bio);
	if (client)
		SSL_set_connect_state(t->ssl);
	else if (!start_server(t))
		return err_openssl(e, ERR_INTERNAL, "TLS certificate");
	if (client && server_name && !set_server_name(t->ssl, server_name))
		return err_openssl(e, ERR_INVALID, "TLS server name");
	return 0;
}

static void secrets_free(struct conn_tls *t)
{
	if (t->secrets)
		OPENSSL_cleanse(t->secrets, sizeof(*t->secrets));
	free(TAKE_PTR(t->secrets));
}

void conn_tls_free(struct conn *c)
{
	struct conn_tls *t = c->tls;

	if (!t)
		return;
	if (t->done && !t->ssl)
		tls_record_done(&t->record);
	SSL_free(t->ssl);
	secrets_free(t);
	tls_unref(t->context);
	kept_free(&t->ahead);
	kept_free(&t->in);
	kept_free(&t->out);
	X509_free(t->info.peer);
	free(t->info.server_name);
	free(TAKE_PTR(c->tls));
}

void conn_tls_quiet(struct conn *c)
{
	c->tls->quiet = true;
}

void conn_tls_bye(struct conn *c)
{
	if (c->tls->quiet)
		return;
	if (!c->tls->ssl) {
		conn_records_bye(c);
		return;
	}
	SSL_shutdown(c->tls->ssl);
	ERR_clear_error();
}

/* ---- handshake ---- */

void conn_write_ahead(struct conn *c, const void *data, size_t len)
{
	if (c->tls)
		conn_tls_keep(&c->tls->ahead, data, len);
	else
		conn_write(c, data, len);
}

int conn_tls_send_ahead(struct conn *c, struct err *e)
{
	const struct buf *b = c->tls->ahead;
	ssize_t n = b ? send(c->io.fd, b->ptr, b->len, MSG_NOSIGNAL) : 0;

	if (n < 0)
		return err_errno(e, errno, "send");
	if (b && (size_t)n < b->len)
		return err_set(e, ERR_UNAVAILABLE, "send: what goes ahead of TLS does not fit");
	kept_free(&c->tls->ahead);
	return 0;
}

/* Turns what SSL_* returned into one of the CONN_ codes. */
static int tls_result(struct conn *c, int r, bool *wants_other, int other, const char *what,
		      struct err *e)
{
	int sys = errno;
	SSL *ssl = c->tls->ssl;
	int code = SSL_get_error(ssl, r);

	if (code == SSL_ERROR_WANT_READ || code == SSL_ERROR_WANT_WRITE) {
		*wants_other = code == other;
		return CONN_AGAIN;
	}
	if (code == SSL_ERROR_ZERO_RETURN)
		return CONN_EOF;
	if (code == SSL_ERROR_SYSCALL && ERR_peek_error() == 0)
		err_errno(e, c->tls->tcp_eof ? ECONNRESET : sys, "%s", what);
	else if (SSL_get_verify_result(ssl) != X509_V_OK)
		err_set(e, ERR_UNAVAILABLE, "%s: %s", what,
			X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
	else
		err_openssl(e, ERR_UNAVAILABLE, what);
	ERR_clear_error();
	/* OpenSSL forbids any further call on it, SSL_shutdown included. */
	c->tls->quiet = true;
	return CONN_FAILED;
}

/* A queue of errors that others left behind would be taken for this call's; looking costs less than clearing. */
static void forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

static void note_info(struct conn_tls *t)
{
	const unsigned char *alpn = NULL;
	unsigned alpn_len = 0, id_len = 0;
	const unsigned char *id = SSL_SESSION_get_id(SSL_get0_session(t->ssl), &id_len);
	const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);
	int group = (int)SSL_get_negotiated_group(t->ssl);
	struct tls_info *i = &t->info;

	i->protocol = SSL_get_version(t->ssl);
	i->cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(t->ssl));
	i->curve = group ? OBJ_nid2sn(group) : NULL;
	i->server_name = xstrdup(name);
	i->peer = SSL_get1_peer_certificate(t->ssl);
	i->verify_result = SSL_get_verify_result(t->ssl);
	i->asked_for = tls_asked_for(t->ssl);
	i->resumed = SSL_session_reused(t->ssl);
	i->id_len = (uint8_t)MIN((size_t)id_len, sizeof(i->id));
	memcpy(i->id, id, i->id_len);
	SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_len);
	if (alpn_len < sizeof(i->alpn))
		memcpy(i->alpn, alpn ? (const char *)alpn : "", alpn_len);
}

/* `bytes` came from the socket, or were kept: what OpenSSL has not read of them is kept for whoever goes on. */
static void keep_rest(struct conn_tls *t)
{
	size_t n = t->feed_len;

	t->feed_len = 0;
	if (t->in) {
		buf_consume(t->in, t->in->len - n);
		if (n == 0)
			kept_free(&t->in);
	} else if (n) {
		conn_tls_keep(&t->in, t->feed, n);
	}
}

/* Room for what OpenSSL wants to read, received at once: it asks for five bytes, then for the rest of the record. */
static int feed(struct conn *c, struct err *e)
{
	struct conn_tls *t = c->tls;

	if (t->in) {
		t->feed = (const uint8_t *)t->in->ptr;
		t->feed_len = t->in->len;
		return 0;
	}
	if (!t->waits_for_input)
		return 0;
	ssize_t n = recv(c->io.fd, conn_scratch, sizeof(conn_scratch), 0);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return err_errno(e, errno, "TLS handshake");
	t->tcp_eof = n == 0;
	t->feed = conn_scratch;
	t->feed_len = (size_t)MAX(n, (ssize_t)0);
	return 0;
}

static int step(struct conn_tls *t)
{
	struct tls_secrets *before = tls_secrets_note(t->secrets);

	forget_errors();
	int r = SSL_do_handshake(t->ssl);
	tls_secrets_note(before);
	return r;
}

int conn_tls_handshake(struct conn *c, struct err *e)
{
	struct conn_tls *t = c->tls;

	if (feed(c, e) < 0) {
		t->quiet = true;
		return CONN_FAILED;
	}
	int r = step(t);
	keep_rest(t);
	t->read_wants_write = false;
	if (r == 1) {
		note_info(t);
		t->done = true;
		SSL_set_msg_callback(t->ssl, NULL);
		if (!conn_records_begin(c))
			SSL_set_read_ahead(t->ssl, 1);
		secrets_free(t);
		t->more = t->in != NULL;
		return 1;
	}
	r = tls_result(c, r, &t->read_wants_write, SSL_ERROR_WANT_WRITE, "TLS handshake", e);
	t->waits_for_input = !t->read_wants_write;
	if (r == CONN_EOF)
		err_set(e, ERR_UNAVAILABLE, "TLS handshake: the peer closed the connection");
	return r == CONN_AGAIN ? CONN_AGAIN : CONN_FAILED;
}

/* ---- after it ---- */

bool conn_tls_more(const struct conn *c)
{
	return c->tls->ssl ? c->tls->in || SSL_has_pending(c->tls->ssl) : c->tls->more;
}

ssize_t conn_tls_read(struct conn *c, void *to, size_t max, struct err *e)
{
	struct conn_tls *t = c->tls;
	size_t n = 0;

	if (!t->ssl)
		return conn_records_read(c, to, max, e);
	if (t->in) {
		t->feed = (const uint8_t *)t->in->ptr;
		t->feed_len = t->in->len;
	}
	forget_errors();
	int r = SSL_read_ex(t->ssl, to, max, &n);
	keep_rest(t);
	t->read_wants_write = false;
	if (r == 1)
		return (ssize_t)n;
	return tls_result(c, r, &t->read_wants_write, SSL_ERROR_WANT_WRITE, "TLS read", e);
}

/* One record for many small pieces. */
static struct str gather(const struct iovec *iov, size_t n)
{
	static _Thread_local char room[WRITE_GATHER_BYTES];
	size_t len = 0;

	if (n == 1 || iov->iov_len >= WRITE_ALONE_BYTES)
		return (struct str){ iov->iov_base, iov->iov_len };
	for (size_t i = 0; i < n && len < sizeof(room); i++) {
		size_t now = MIN(iov[i].iov_len, sizeof(room) - len);

		memcpy(room + len, iov[i].iov_base, now);
		len += now;
	}
	return (struct str){ room, len };
}

ssize_t conn_tls_send(struct conn *c, const struct iovec *iov, size_t n, struct err *e)
{
	struct conn_tls *t = c->tls;
	struct str from = gather(iov, n);
	size_t taken = 0;

	forget_errors();
	int r = SSL_write_ex(t->ssl, from.ptr, from.len, &taken);
	t->write_wants_read = false;
	if (r == 1)
		return (ssize_t)taken;
	r = tls_result(c, r, &t->write_wants_read, SSL_ERROR_WANT_READ, "TLS write", e);
	if (r == CONN_EOF) {
		err_errno(e, EPIPE, "TLS write");
		return CONN_FAILED;
	}
	return r;
}
