#include "net/conn_int.h"

#include "base/sys_call.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* --- life --- */

static void conn_ready(struct io *io, uint32_t events);
static void conn_kicked(struct defer *d);

_Thread_local uint8_t conn_scratch[CONN_READ_BYTES];

static void kept_free(struct conn *c)
{
	if (!c->in)
		return;
	buf_done(c->in);
	free(c->in);
	c->in = NULL;
}

static void conn_reap(struct defer *d)
{
	struct conn *c = container_of(d, struct conn, defer);

	conn_out_done(c);
	conn_tls_free(c);
	kept_free(c);
	free(c->peer);
	free(c->linger);
	free(c);
}

static void linger_over(struct timer *t)
{
	conn_close(t->ctx);
}

void conn_linger(struct conn *c, uint64_t ms)
{
	if (!c->linger) {
		c->linger = xcalloc(1, sizeof(*c->linger));
		*c->linger = (struct timer){.fire = linger_over, .ctx = c};
	}
	timer_start(c->loop, c->linger, ms);
}

static struct conn *conn_new(struct loop *l, int fd, const struct conn_ops *ops, void *ctx)
{
	struct conn *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->io = (struct io){.fd = fd, .ready = conn_ready, .ctx = c};
	c->ops = ops;
	c->ctx = ctx;
	c->defer.run = conn_kicked;
	list_init(&c->out);
	return c;
}

static _Thread_local size_t n_finishing;

size_t conn_finishing(void)
{
	return n_finishing;
}

void conn_finished(struct conn *c)
{
	n_finishing -= c->finishing;
	c->finishing = false;
}

void conn_close(struct conn *c)
{
	if (!c || c->closed)
		return;
	c->closed = true;
	conn_finished(c);
	if (c->splice_in)
		conn_splice_end(c->splice_in);
	if (c->splice_out)
		conn_splice_end(c->splice_out);
	if (c->tls && !c->handshaking && !c->shutdown_done)
		conn_tls_bye(c);
	io_stop(&c->io);
	if (c->linger)
		timer_stop(c->linger);
	defer_cancel(&c->defer);
	sys_close(c->io.fd);
	c->defer.run = conn_reap;
	loop_defer(c->loop, &c->defer);
}

void conn_fail(struct conn *c, const struct err *e)
{
	const struct conn_ops *ops = c->ops;

	if (c->closed)
		return;
	if (c->tls)
		conn_tls_quiet(c);
	conn_close(c);
	if (ops && ops->failed)
		ops->failed(c, c->ctx, e);
}

struct conn *conn_accept(struct loop *l, int fd, struct tls *tls, const struct conn_ops *ops,
			 void *ctx, struct err *e)
{
	struct conn *c = conn_new(l, fd, ops, ctx);

	if (tls && conn_tls_start(c, tls, false, NULL, e) < 0) {
		conn_close(c);
		return NULL;
	}
	c->ready_owed = !tls;
	if (!tls) {
		conn_kick(c); /* reads, and watches, as its first bytes are mostly there by then */
		return c;
	}
	if (io_watch(l, &c->io, EPOLLIN, e) < 0) {
		conn_close(c);
		return NULL;
	}
	return c;
}

int conn_start_tls(struct conn *c, struct tls *tls, struct err *e)
{
	if (conn_tls_start(c, tls, false, NULL, e) < 0)
		return -1;
	c->raw = true; /* what is kept, or will be when the caller's call-back returns, is TLS's */
	conn_kick(c);
	return 0;
}

struct conn *conn_connect(struct loop *l, const struct addr *to, struct tls *tls,
			  const char *server_name, const struct conn_ops *ops, void *ctx,
			  struct err *e)
{
	char text[ADDR_TEXT_BYTES];
	int fd = socket(to->ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		err_errno(e, errno, "socket for %s", addr_text(to, text));
		return NULL;
	}
	const int on = 1;
	struct conn *c = conn_new(l, fd, ops, ctx);
	/* Writes of one turn are already gathered: Nagle's delay would only be added to them. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->peer = xmalloc(sizeof(*c->peer));
	*c->peer = *to;
	c->connecting = true;
	int r = 0;
	if (tls)
		r = conn_tls_start(c, tls, true, server_name, e);
	if (r == 0 && connect(fd, (const struct sockaddr *)&to->ss, to->len) < 0 &&
	    errno != EINPROGRESS)
		r = err_errno(e, errno, "connect to %s", addr_text(to, text));
	if (r == 0)
		r = io_watch(l, &c->io, EPOLLOUT, e);
	if (r < 0) {
		c->handshaking = true; /* there is no session that could be closed in order */
		conn_close(c);
		return NULL;
	}
	return c;
}

/* --- events --- */

void conn_kick(struct conn *c)
{
	if (!c->closed)
		loop_defer(c->loop, &c->defer);
}

static bool wants_input(const struct conn *c)
{
	if (c->splice_in)
		return !c->paused && conn_splice_wants_input(c->splice_in);
	return !c->paused && !c->eof_seen && conn_kept(c) < CONN_READ_BUFFER_MAX_BYTES;
}

void conn_update_events(struct conn *c)
{
	bool read_wants_write = c->tls && c->tls->read_wants_write;
	bool write_wants_read = c->tls && c->tls->write_wants_read;
	uint32_t ev = 0;
	struct err e;

	if (c->closed)
		return;
	if (c->connecting)
		ev = EPOLLOUT;
	else if (c->handshaking)
		ev = read_wants_write ? EPOLLOUT : EPOLLIN;
	else {
		if (wants_input(c) || write_wants_read)
			ev |= EPOLLIN;
		if ((c->write_blocked && !write_wants_read) || read_wants_write)
			ev |= EPOLLOUT;
	}
	if (c->unheeded && !c->io.events && !(ev & EPOLLOUT))
		return;
	/* Edge-triggered and asking for nothing: only to hear, once, that the connection broke. */
	if (io_watch(c->loop, &c->io, ev ? ev : (uint32_t)EPOLLET, &e) < 0)
		conn_fail(c, &e);
}

/* --- input --- */

static void keep(struct conn *c, const uint8_t *bytes, size_t len, size_t used)
{
	assert(used <= len);
	if (c->in) {
		buf_consume(c->in, used);
	} else if (used < len) {
		c->in = xcalloc(1, sizeof(*c->in));
		buf_init(c->in, CONN_READ_BUFFER_MAX_BYTES + CONN_READ_BYTES);
		buf_put(c->in, bytes + used, len - used);
	}
	if (c->in && c->in->len == 0)
		kept_free(c);
}

static void offer(struct conn *c, const uint8_t *bytes, size_t len)
{
	size_t used = c->ops ? c->ops->data(c, c->ctx, bytes, len) : len;

	if (!c->ops)
		used = len; /* conn_close_after_write: nobody will ask for the rest */
	if (!c->closed)
		keep(c, bytes, len, used);
}

static void tell_eof(struct conn *c)
{
	if (!c->eof_seen || c->eof_told || c->paused || c->offer_owed)
		return;
	c->eof_told = true;
	if (!c->ops) {
		if (c->shutdown_done)
			conn_close(c);
		return;
	}
	if (c->ops->eof)
		c->ops->eof(c, c->ctx);
	else
		conn_close(c);
}

static ssize_t read_plain(struct conn *c, void *to, size_t max, struct err *e)
{
	ssize_t n = sys_recv(c->io.fd, to, max, 0);

	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return CONN_AGAIN;
	err_errno(e, errno, "read");
	return CONN_FAILED;
}

/* Reads once and offers it; n as read(2), or CONN_AGAIN, CONN_FAILED. */
static ssize_t read_once(struct conn *c, struct err *e)
{
	uint8_t *to = conn_scratch;
	bool kept = c->in != NULL;

	if (kept) {
		if (buf_reserve(c->in, CONN_READ_BYTES) < 0)
			return CONN_AGAIN;
		to = (uint8_t *)c->in->ptr + c->in->len;
	}
	ssize_t n = c->tls ? conn_tls_read(c, to, CONN_READ_BYTES, e)
			   : read_plain(c, to, CONN_READ_BYTES, e);
	if (n <= 0)
		return n;
	if (kept) {
		c->in->len += (size_t)n;
		offer(c, (uint8_t *)c->in->ptr, c->in->len);
	} else {
		offer(c, conn_scratch, (size_t)n);
	}
	return n;
}

static void read_all(struct conn *c)
{
	struct err e;
	ssize_t n = 1;
	/* TLS may hold more than was asked for, where epoll does not see it. */
	bool more = true;

	for (int i = 0; more && i < CONN_READS_PER_TURN; i++) {
		if (c->closed || c->splice_in || !wants_input(c))
			return;
		n = read_once(c, &e);
		if (n <= 0 || c->closed)
			break;
		more = c->tls ? conn_tls_more(c) : n == CONN_READ_BYTES;
	}
	if (c->closed)
		return;
	if (n == CONN_FAILED) {
		conn_fail(c, &e);
		return;
	}
	if (n == CONN_EOF)
		c->eof_seen = true;
	else if (n > 0 && more && c->tls) {
		c->offer_owed = true;
		conn_kick(c);
	}
	tell_eof(c);
}

/* --- the steps of a connection --- */

static void established(struct conn *c)
{
	c->ready_owed = true;
	conn_kick(c);
}

static void handshake(struct conn *c)
{
	struct err e;
	int r = conn_tls_handshake(c, &e);

	if (r == CONN_FAILED) {
		conn_fail(c, &e);
		return;
	}
	if (r == 1) {
		c->handshaking = false;
		established(c);
	}
}

static int socket_error(const struct conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(c->io.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return error;
}

static void connected(struct conn *c)
{
	struct err e;
	char text[ADDR_TEXT_BYTES];
	int error = socket_error(c);

	if (error) {
		err_errno(&e, error, "connect to %s", addr_text(c->peer, text));
		conn_fail(c, &e);
		return;
	}
	c->connecting = false;
	if (!c->tls)
		established(c);
	else if (conn_tls_send_ahead(c, &e) < 0)
		conn_fail(c, &e);
	else
		handshake(c);
}

static void broke_unread(struct conn *c)
{
	struct err e;
	int error = socket_error(c);

	if (error == 0)
		return;
	err_errno(&e, error, "connection");
	conn_fail(c, &e);
}

static void conn_ready(struct io *io, uint32_t events)
{
	struct conn *c = io->ctx;

	if (c->connecting) {
		connected(c);
	} else if (c->handshaking) {
		handshake(c);
	} else if (c->ready_owed) {
		return;
	} else {
		if (c->splice_out && events & EPOLLOUT)
			conn_splice_move(c->splice_out);
		if (!c->closed && c->splice_in && wants_input(c))
			conn_splice_move(c->splice_in);
		else if (!c->closed && wants_input(c))
			read_all(c);
		else if (!c->closed && events & (EPOLLERR | EPOLLHUP))
			broke_unread(c);
		if (!c->closed && c->write_blocked && (events & EPOLLOUT || (c->tls && c->tls->write_wants_read)))
			conn_flush(c);
	}
	conn_update_events(c);
}

static void conn_kicked(struct defer *d)
{
	struct conn *c = container_of(d, struct conn, defer);
	bool fresh = c->ready_owed && !c->io.events;

	if (c->raw) {
		c->raw = false;
		c->tls->in = TAKE_PTR(c->in);
		handshake(c);
	}
	if (c->closed)
		return;
	if (c->ready_owed) {
		c->ready_owed = false;
		if (c->ops && c->ops->ready)
			c->ops->ready(c, c->ctx);
		/* What came with the end of the handshake has been received already. */
		c->offer_owed = c->offer_owed || c->tls;
	}
	if (!c->closed && c->offer_owed && !c->paused && !c->handshaking) {
		c->offer_owed = false;
		if (c->in)
			offer(c, (uint8_t *)c->in->ptr, c->in->len);
		if (!c->closed && c->tls && !c->eof_seen && conn_tls_more(c))
			read_all(c);
		if (!c->closed)
			tell_eof(c);
	}
	if (!c->closed && fresh && wants_input(c))
		read_all(c);
	if (!c->closed && c->splice_in && wants_input(c))
		conn_splice_move(c->splice_in);
	if (!c->closed && c->write_failed) {
		struct err e;

		err_errno(&e, socket_error(c) ? EPIPE : ECONNRESET, "write");
		conn_fail(c, &e);
		return;
	}
	if (!c->closed)
		conn_flush(c);
	conn_update_events(c);
}

/* --- what owners ask for --- */

void conn_leave_unheeded(struct conn *c)
{
	c->unheeded = true;
}

void conn_heed(struct conn *c)
{
	if (c->closed || !c->unheeded)
		return;
	c->unheeded = false;
	conn_kick(c);
}

void conn_set_ops(struct conn *c, const struct conn_ops *ops, void *ctx)
{
	c->ops = ops;
	c->ctx = ctx;
	if (c->closed)
		return;
	c->unheeded = false;
	c->eof_told = false;
	c->offer_owed = true;
	conn_kick(c);
}

void conn_pause(struct conn *c)
{
	if (c->closed || c->paused)
		return;
	c->paused = true;
	if (!c->ready_owed)
		conn_update_events(c);
}

void conn_resume(struct conn *c)
{
	conn_heed(c);
	if (c->closed || !c->paused)
		return;
	c->paused = false;
	c->offer_owed = true;
	conn_kick(c);
}

void conn_shutdown(struct conn *c)
{
	if (c->closed || c->shutdown_wanted)
		return;
	c->unheeded = false;
	c->shutdown_wanted = true;
	conn_kick(c);
}

void conn_close_after_write(struct conn *c)
{
	if (!c || c->closed)
		return;
	c->ops = NULL;
	c->paused = c->unheeded = false;
	c->offer_owed = true; /* drops what is kept */
	if (c->connecting || c->handshaking) {
		conn_close(c);
		return;
	}
	n_finishing += !c->finishing && !c->shutdown_done;
	c->finishing = !c->shutdown_done;
	conn_linger(c, c->shutdown_done ? CONN_LINGER_MS : CONN_STALL_MS);
	if (c->shutdown_done && c->eof_seen)
		conn_close(c);
	else
		conn_shutdown(c);
	conn_kick(c);
}

void conn_finish(struct conn *c)
{
	if (!c || c->closed)
		return;
	c->no_linger = true;
	conn_close_after_write(c);
}

const struct addr *conn_peer(struct conn *c)
{
	if (!c->peer) {
		c->peer = xcalloc(1, sizeof(*c->peer));
		c->peer->len = sizeof(c->peer->ss);
		if (getpeername(c->io.fd, (struct sockaddr *)&c->peer->ss, &c->peer->len) < 0)
			c->peer->len = 0;
	}
	return c->peer;
}

struct str conn_alpn(const struct conn *c)
{
	return c->tls ? str_of(c->tls->info.alpn) : STR_NONE;
}

const struct tls_info *conn_tls_info(const struct conn *c)
{
	return c->tls && c->tls->done ? &c->tls->info : NULL;
}

X509 *conn_peer_cert(const struct conn *c)
{
	return c->tls ? c->tls->info.peer : NULL;
}

SSL *conn_ssl(const struct conn *c)
{
	return c->tls ? c->tls->ssl : NULL;
}

int conn_fd(const struct conn *c)
{
	return c->io.fd;
}

struct loop *conn_loop(const struct conn *c)
{
	return c->loop;
}
