#include "net/conn.h"

#include "base/buf.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/uio.h>
#include <unistd.h>

#define SCRATCH_BYTES (64u << 10)  /* one read; a thread's connections share it, so idle ones hold no buffer */
#define CHUNK_BYTES (16u << 10)	   /* a TLS record's worth: small writes gather in one */
#define READS_PER_TURN 8	   /* then other connections have their turn */
#define IOVECS 32

struct chunk {
	struct list link;
	struct str data; /* what is still to be sent */
	void (*release)(void *ctx);
	void *ctx;
	size_t cap; /* of own[]; 0 for shared data */
	char own[];
};

enum conn_state { CONN_CONNECTING, CONN_HANDSHAKE, CONN_OPEN };

struct conn {
	struct loop *loop;
	struct io io;
	SSL *ssl;
	struct tls *tls;
	const struct conn_ops *ops;
	void *ctx;
	enum conn_state state;
	struct buf kept; /* offered and not used */
	struct list chunks;
	size_t pending;
	struct addr peer, local;
	struct defer kick, reap;
	bool paused, eof, eof_told, told_ready;
	bool blocked;	       /* the socket took less than it was given: wait for EPOLLOUT */
	bool read_wants_write; /* TLS: reading goes on when the socket is writable */
	bool above_high;       /* `drained` is owed */
	bool shut_wanted, shut_done, close_after, closed;
};

static _Thread_local uint8_t scratch[SCRATCH_BYTES];

static void conn_pump(struct conn *c);

/* ---- ending ---- */

static void chunk_free(struct chunk *k)
{
	list_del(&k->link);
	if (k->release)
		k->release(k->ctx);
	free(k);
}

static void on_reap(struct defer *d)
{
	struct conn *c = container_of(d, struct conn, reap);

	SSL_free(c->ssl);
	tls_unref(c->tls);
	buf_done(&c->kept);
	free(c);
}

void conn_close(struct conn *c)
{
	if (!c || c->closed)
		return;
	c->closed = true;
	io_stop(&c->io);
	if (c->ssl && c->state == CONN_OPEN && !c->shut_done)
		SSL_shutdown(c->ssl); /* one attempt: the peer learns that nothing was cut off */
	ERR_clear_error();
	close(c->io.fd);
	list_for(n, tmp, &c->chunks)
		chunk_free(list_entry(n, struct chunk, link));
	defer_cancel(&c->kick);
	loop_defer(c->loop, &c->reap);
}

static void conn_fail(struct conn *c, const struct err *e)
{
	bool silent = c->close_after;

	if (c->closed)
		return;
	conn_close(c);
	if (!silent && c->ops->failed)
		c->ops->failed(c, c->ctx, e);
}

static void fail_errno(struct conn *c, int sys_errno, const char *what)
{
	struct err e;
	char text[ADDR_TEXT_BYTES];

	err_errno(&e, sys_errno, "%s %s", what, addr_text(&c->peer, text));
	e.reason = ERR_UNAVAILABLE;
	conn_fail(c, &e);
}

static void fail_tls(struct conn *c, const char *what)
{
	struct err e;
	long verify = SSL_get_verify_result(c->ssl);

	if (verify != X509_V_OK)
		err_set(&e, ERR_UNAUTHORIZED, "%s: %s", what, X509_verify_cert_error_string(verify));
	else
		err_openssl(&e, ERR_UNAVAILABLE, what);
	ERR_clear_error();
	conn_fail(c, &e);
}

/* ---- what the loop watches ---- */

static void conn_watch(struct conn *c)
{
	struct err e;
	uint32_t want = 0;

	if (c->closed)
		return;
	if (c->state == CONN_CONNECTING || c->blocked || c->read_wants_write)
		want |= EPOLLOUT;
	if (c->state == CONN_HANDSHAKE || (c->state == CONN_OPEN && !c->paused && !c->eof))
		want |= EPOLLIN;
	/* With nothing wanted it is not watched at all: a level-triggered HUP would come for ever. */
	if (io_watch(c->loop, &c->io, want, &e) < 0)
		conn_fail(c, &e);
}

static void conn_kick(struct conn *c)
{
	if (!c->closed)
		loop_defer(c->loop, &c->kick);
}

/* ---- writing ---- */

static void chunk_sent(struct conn *c, size_t n)
{
	c->pending -= n;
	while (n) {
		struct chunk *k = list_entry(c->chunks.next, struct chunk, link);
		size_t part = MIN(n, k->data.len);
		k->data.ptr += part;
		k->data.len -= part;
		n -= part;
		if (k->data.len == 0)
			chunk_free(k);
	}
}

static ssize_t send_plain(struct conn *c)
{
	struct iovec iov[IOVECS];
	struct msghdr m = { .msg_iov = iov };

	list_for(n, tmp, &c->chunks) {
		struct chunk *k = list_entry(n, struct chunk, link);
		if (m.msg_iovlen == IOVECS)
			break;
		iov[m.msg_iovlen++] = (struct iovec){ (void *)k->data.ptr, k->data.len };
	}
	ssize_t n = sendmsg(c->io.fd, &m, MSG_NOSIGNAL);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == -1)
		fail_errno(c, errno, "send to");
	return n;
}

static ssize_t send_tls(struct conn *c)
{
	struct chunk *k = list_entry(c->chunks.next, struct chunk, link);
	size_t n = 0;

	ERR_clear_error();
	int rc = SSL_write_ex(c->ssl, k->data.ptr, k->data.len, &n);
	if (rc == 1)
		return (ssize_t)n;
	int why = SSL_get_error(c->ssl, rc);
	if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ)
		return 0;
	if (why == SSL_ERROR_SYSCALL && errno)
		fail_errno(c, errno, "send to");
	else
		fail_tls(c, "TLS write");
	return -1;
}

static void finish_shutdown(struct conn *c)
{
	if (c->close_after) {
		conn_close(c);
		return;
	}
	if (!c->shut_wanted || c->shut_done)
		return;
	c->shut_done = true;
	if (c->ssl) {
		SSL_shutdown(c->ssl);
		ERR_clear_error();
	}
	shutdown(c->io.fd, SHUT_WR);
}

static void conn_flush(struct conn *c)
{
	c->blocked = false;
	while (!list_empty(&c->chunks)) {
		ssize_t n = c->ssl ? send_tls(c) : send_plain(c);
		if (n < 0)
			return;
		if (n == 0) {
			c->blocked = true;
			break;
		}
		chunk_sent(c, (size_t)n);
	}
	if (list_empty(&c->chunks))
		finish_shutdown(c);
	if (c->closed)
		return;
	if (c->above_high && c->pending <= CONN_LOW_WATER_BYTES) {
		c->above_high = false;
		if (c->ops->drained && !c->close_after)
			c->ops->drained(c, c->ctx);
	}
}

static void chunk_queued(struct conn *c, size_t len)
{
	c->pending += len;
	if (c->pending > CONN_LOW_WATER_BYTES)
		c->above_high = true;
	if (!c->blocked)
		conn_kick(c); /* everything written in this turn leaves together at its end */
}

void conn_write(struct conn *c, const void *data, size_t len)
{
	if (c->closed || c->shut_wanted || len == 0)
		return;
	struct chunk *last = list_empty(&c->chunks) ? NULL : list_entry(c->chunks.prev, struct chunk, link);
	size_t used = last && last->cap ? (size_t)(last->data.ptr - last->own) + last->data.len : 0;

	if (last && last->cap && last->cap - used >= len) {
		memcpy(last->own + used, data, len);
		last->data.len += len;
	} else {
		size_t cap = MAX(len, (size_t)(last ? CHUNK_BYTES : 1024));
		struct chunk *k = xmalloc(sizeof(*k) + cap);
		*k = (struct chunk){ .data = { k->own, len }, .cap = cap };
		memcpy(k->own, data, len);
		list_append(&c->chunks, &k->link);
	}
	chunk_queued(c, len);
}

void conn_write_shared(struct conn *c, struct str data, void (*release)(void *), void *ctx)
{
	if (c->closed || c->shut_wanted || data.len == 0) {
		if (release)
			release(ctx);
		return;
	}
	struct chunk *k = xmalloc(sizeof(*k));
	*k = (struct chunk){ .data = data, .release = release, .ctx = ctx };
	list_append(&c->chunks, &k->link);
	chunk_queued(c, data.len);
}

size_t conn_pending(const struct conn *c)
{
	return c->pending;
}

void conn_shutdown(struct conn *c)
{
	c->shut_wanted = true;
	conn_kick(c);
}

void conn_close_after_write(struct conn *c)
{
	c->close_after = true;
	conn_kick(c);
}

/* ---- reading ---- */

/* Offers kept and new bytes; keeps what is not used. */
static void offer(struct conn *c, const uint8_t *bytes, size_t len)
{
	size_t used;

	if (c->close_after || !c->ops->data)
		return;
	if (c->kept.len == 0) {
		used = c->ops->data(c, c->ctx, bytes, len);
		bytes += used;
		len -= used;
	}
	if (c->closed || len == 0)
		return;
	bool had = c->kept.len > 0;
	if (buf_put(&c->kept, bytes, len) < 0) {
		struct err e;
		err_set(&e, ERR_TOO_LARGE, "the peer sent more than %u bytes that nobody could use",
			CONN_READ_BUFFER_MAX_BYTES);
		conn_fail(c, &e);
		return;
	}
	if (had && !c->paused) {
		used = c->ops->data(c, c->ctx, (const uint8_t *)c->kept.ptr, c->kept.len);
		if (!c->closed)
			buf_consume(&c->kept, used);
	}
	if (!c->closed && c->kept.len == 0)
		buf_done(&c->kept);
}

static void offer_kept(struct conn *c)
{
	if (c->kept.len == 0 || c->paused || c->close_after || !c->ops->data)
		return;
	size_t used = c->ops->data(c, c->ctx, (const uint8_t *)c->kept.ptr, c->kept.len);
	if (c->closed)
		return;
	buf_consume(&c->kept, used);
	if (c->kept.len == 0)
		buf_done(&c->kept);
}

/* Bytes read, 0 when there are none now (or the stream ended: c->eof), -1 when the connection failed. */
static ssize_t read_some(struct conn *c)
{
	if (!c->ssl) {
		ssize_t n = recv(c->io.fd, scratch, sizeof(scratch), 0);
		if (n == 0)
			c->eof = true;
		if (n == -1 && errno != EAGAIN && errno != EINTR) {
			fail_errno(c, errno, "receive from");
			return -1;
		}
		return MAX(n, 0);
	}
	size_t n = 0;
	ERR_clear_error();
	int rc = SSL_read_ex(c->ssl, scratch, sizeof(scratch), &n);
	if (rc == 1)
		return (ssize_t)n;
	int why = SSL_get_error(c->ssl, rc);
	c->read_wants_write = why == SSL_ERROR_WANT_WRITE;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return 0;
	if (why == SSL_ERROR_ZERO_RETURN || (why == SSL_ERROR_SYSCALL && errno == 0)) {
		c->eof = true;
		return 0;
	}
	if (why == SSL_ERROR_SYSCALL)
		fail_errno(c, errno, "receive from");
	else
		fail_tls(c, "TLS read");
	return -1;
}

static void tell_eof(struct conn *c)
{
	struct err e;

	c->eof_told = true;
	if (c->close_after)
		return;
	if (c->ops->eof) {
		c->ops->eof(c, c->ctx);
		return;
	}
	err_set(&e, ERR_UNAVAILABLE, "the peer closed the connection");
	conn_fail(c, &e);
}

static void conn_read(struct conn *c)
{
	for (int i = 0; i < READS_PER_TURN && !c->paused && !c->eof && !c->closed; i++) {
		ssize_t n = read_some(c);
		if (n < 0)
			return;
		if (n == 0)
			break;
		offer(c, scratch, (size_t)n);
		if (!c->ssl && (size_t)n < sizeof(scratch))
			break; /* the socket is empty: asking again would only cost a call */
	}
	if (c->closed)
		return;
	if (c->ssl && !c->paused && SSL_pending(c->ssl) > 0)
		conn_kick(c); /* the socket will not tell of what OpenSSL holds */
	if (c->eof && !c->eof_told && !c->paused)
		tell_eof(c);
}

void conn_pause(struct conn *c)
{
	c->paused = true;
	conn_watch(c);
}

void conn_resume(struct conn *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	conn_kick(c);
}

/* ---- opening ---- */

static void handshake(struct conn *c)
{
	ERR_clear_error();
	int rc = SSL_do_handshake(c->ssl);
	if (rc == 1) {
		c->state = CONN_OPEN;
		c->read_wants_write = false;
		return;
	}
	int why = SSL_get_error(c->ssl, rc);
	c->read_wants_write = why == SSL_ERROR_WANT_WRITE;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return;
	if (why == SSL_ERROR_SYSCALL)
		fail_errno(c, errno ? errno : ECONNRESET, "TLS handshake with");
	else
		fail_tls(c, "TLS handshake");
}

static void connected(struct conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		fail_errno(c, error, "connect to");
		return;
	}
	c->local.len = sizeof(c->local.ss);
	getsockname(c->io.fd, (struct sockaddr *)&c->local.ss, &c->local.len);
	c->state = c->ssl ? CONN_HANDSHAKE : CONN_OPEN;
}

/* Moves the connection as far as it goes now. */
static void conn_pump(struct conn *c)
{
	if (c->state == CONN_HANDSHAKE)
		handshake(c);
	if (c->closed || c->state != CONN_OPEN)
		goto out;
	if (!c->told_ready) {
		c->told_ready = true;
		if (c->ops->ready)
			c->ops->ready(c, c->ctx);
	}
	if (!c->closed)
		offer_kept(c);
	if (!c->closed)
		conn_read(c);
	if (!c->closed)
		conn_flush(c);
out:
	conn_watch(c);
}

static void on_ready(struct io *io, uint32_t events)
{
	struct conn *c = io->ctx;

	(void)events;
	if (c->state == CONN_CONNECTING)
		connected(c);
	if (!c->closed)
		conn_pump(c);
}

static void on_kick(struct defer *d)
{
	struct conn *c = container_of(d, struct conn, kick);

	if (c->state == CONN_CONNECTING)
		conn_watch(c);
	else
		conn_pump(c);
}

static struct conn *conn_new(struct loop *l, int fd, struct tls *tls, const struct conn_ops *ops, void *ctx,
			     struct err *e)
{
	struct conn *c = xcalloc(1, sizeof(*c));
	int one = 1;

	*c = (struct conn){ .loop = l, .io = { .fd = fd, .ready = on_ready, .ctx = c }, .ops = ops, .ctx = ctx,
			    .kick.run = on_kick, .reap.run = on_reap };
	buf_init(&c->kept, CONN_READ_BUFFER_MAX_BYTES);
	list_init(&c->chunks);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* a Unix socket says no: nothing lost */
	if (!tls)
		return c;
	c->ssl = SSL_new(tls_ctx(tls));
	c->tls = tls_ref(tls);
	if (c->ssl && SSL_set_fd(c->ssl, fd) == 1)
		return c;
	err_openssl(e, ERR_INTERNAL, "TLS connection");
	on_reap(&c->reap);
	return NULL;
}

struct conn *conn_accept(struct loop *l, int fd, struct tls *tls, const struct conn_ops *ops, void *ctx, struct err *e)
{
	struct conn *c = conn_new(l, fd, tls, ops, ctx, e);

	if (!c)
		return NULL;
	c->peer.len = c->local.len = sizeof(c->peer.ss);
	getpeername(fd, (struct sockaddr *)&c->peer.ss, &c->peer.len);
	getsockname(fd, (struct sockaddr *)&c->local.ss, &c->local.len);
	c->state = tls ? CONN_HANDSHAKE : CONN_OPEN;
	if (c->ssl)
		SSL_set_accept_state(c->ssl);
	conn_kick(c);
	return c;
}

static int check_name(struct conn *c, const char *name, struct err *e)
{
	struct addr ignored;
	struct err no_ip;
	bool ok;

	SSL_set_connect_state(c->ssl);
	if (!name)
		return 0;
	if (addr_from_ip(name, 0, &ignored, &no_ip) == 0)
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(c->ssl), name) == 1;
	else
		ok = SSL_set_tlsext_host_name(c->ssl, name) == 1 && SSL_set1_host(c->ssl, name) == 1;
	return ok ? 0 : err_openssl(e, ERR_INVALID, name);
}

struct conn *conn_connect(struct loop *l, const struct addr *to, struct tls *tls, const char *server_name,
			  const struct conn_ops *ops, void *ctx, struct err *e)
{
	char text[ADDR_TEXT_BYTES];
	int fd = socket(to->ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1) {
		err_errno(e, errno, "socket");
		return NULL;
	}
	if (connect(fd, (const struct sockaddr *)&to->ss, to->len) == -1 && errno != EINPROGRESS) {
		err_errno(e, errno, "connect to %s", addr_text(to, text));
		e->reason = ERR_UNAVAILABLE;
		close(fd);
		return NULL;
	}
	struct conn *c = conn_new(l, fd, tls, ops, ctx, e);
	if (!c) {
		close(fd);
		return NULL;
	}
	c->peer = *to;
	if (c->ssl && check_name(c, server_name, e) < 0) {
		conn_close(c);
		return NULL;
	}
	c->state = CONN_CONNECTING;
	conn_watch(c);
	return c;
}

void conn_set_ops(struct conn *c, const struct conn_ops *ops, void *ctx)
{
	c->ops = ops;
	c->ctx = ctx;
	c->eof_told = false;
	conn_kick(c);
}

const struct addr *conn_peer(const struct conn *c)
{
	return &c->peer;
}

const struct addr *conn_local(const struct conn *c)
{
	return &c->local;
}

struct str conn_alpn(const struct conn *c)
{
	const unsigned char *name = NULL;
	unsigned len = 0;

	if (c->ssl)
		SSL_get0_alpn_selected(c->ssl, &name, &len);
	return (struct str){ (const char *)name, len };
}

X509 *conn_peer_cert(const struct conn *c)
{
	return c->ssl ? SSL_get0_peer_certificate(c->ssl) : NULL;
}

int conn_fd(const struct conn *c)
{
	return c->io.fd;
}
