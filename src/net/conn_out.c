#include "net/conn_int.h"

#include "base/sys_call.h"

#include <errno.h>
#include <limits.h>
#include <sys/uio.h>

#define CHUNK_FIRST_BYTES 4096
#define CHUNK_BYTES 16384    /* a full TLS record */
#define SHARED_COPY_MAX 1024 /* below it a copy is cheaper than a record or an iovec of its own */
#define CHUNK_SPARES 64
#define IOVECS 64

/* A run of the output. Small writes are appended to the last one. */
struct chunk {
	struct list link;
	const char *at; /* what is not yet sent */
	size_t len;
	char *own; /* NULL: borrowed, and release(ctx) gives it back */
	size_t room;
	void (*release)(void *ctx);
	void *ctx;
};

/* Nearly every answer needs one chunk for a moment, so a thread keeps some of the smallest. */
static _Thread_local struct chunk *spare[CHUNK_SPARES];
static _Thread_local unsigned n_spare;

static struct chunk *chunk_new(struct conn *c, size_t len)
{
	size_t room =
		MAX(len, list_empty(&c->out) ? (size_t)CHUNK_FIRST_BYTES : (size_t)CHUNK_BYTES);
	struct chunk *k = room == CHUNK_FIRST_BYTES && n_spare ? spare[--n_spare]
							       : xmalloc(sizeof(*k) + room);

	*k = (struct chunk){.own = (char *)(k + 1), .room = room};
	k->at = k->own;
	list_append(&c->out, &k->link);
	return k;
}

static void chunk_free(struct chunk *k)
{
	list_del(&k->link);
	if (k->release)
		k->release(k->ctx);
	if (k->own && k->room == CHUNK_FIRST_BYTES && n_spare < CHUNK_SPARES)
		spare[n_spare++] = k;
	else
		free(k);
}

void conn_thread_done(void)
{
	while (n_spare)
		free(spare[--n_spare]);
	conn_splice_thread_done();
	tls_record_thread_done();
}

static void queued(struct conn *c, size_t len)
{
	c->pending += len;
	if (c->pending > CONN_LOW_WATER_BYTES)
		c->above_low = true;
	if (!c->write_blocked)
		conn_kick(c);
}

static ssize_t send_iov(struct conn *c, struct iovec *iov, size_t n)
{
	if (c->tls)
		return conn_records_send(c, iov, n);
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};

	return sys_sendmsg(c->io.fd, &msg, conn_send_flags(c));
}

static void sent(struct conn *c, size_t n);

/* Sends what is queued and `data` in one call, without copying it; returns how much of data has gone. */
static size_t write_direct(struct conn *c, const char *data, size_t len)
{
	struct iovec iov[IOVECS];
	size_t n = 0, queued = c->pending;

	list_for(at, tmp, &c->out)
	{
		struct chunk *k = list_entry(at, struct chunk, link);

		if (n == IOVECS - 1)
			return 0;
		iov[n++] = (struct iovec){(void *)k->at, k->len};
	}
	iov[n++] = (struct iovec){(void *)data, len};
	ssize_t done = send_iov(c, iov, n);
	if (done < 0) {
		/* Not reported from inside a write: the caller is in the middle of something. */
		c->write_failed = errno != EAGAIN && errno != EINTR && errno != ENOBUFS;
		c->write_blocked = errno == EAGAIN;
		conn_kick(c);
		return 0;
	}
	if (conn_unsent(c)) {
		c->write_blocked = true;
		conn_kick(c);
	}
	sent(c, MIN((size_t)done, queued));
	return (size_t)done > queued ? (size_t)done - queued : 0;
}

void conn_write(struct conn *c, const void *data, size_t len)
{
	const char *from = data;
	size_t left = len;

	if (c->closed || c->shutdown_wanted || len == 0)
		return;
	if (len >= CONN_DIRECT_BYTES && !c->write_blocked && !c->connecting && !c->handshaking && !c->write_failed &&
	    conn_gathers(c)) {
		size_t n = write_direct(c, from, left);

		from += n;
		left -= n;
		len -= n;
		if (left == 0)
			return;
	}
	if (!list_empty(&c->out)) {
		struct chunk *last = list_entry(c->out.prev, struct chunk, link);
		size_t used = last->own ? (size_t)(last->at - last->own) + last->len : 0;
		size_t n = last->own ? MIN(last->room - used, left) : 0;

		if (n)
			memcpy(last->own + used, from, n);
		last->len += n;
		from += n;
		left -= n;
	}
	if (left) {
		struct chunk *k = chunk_new(c, left);

		memcpy(k->own, from, left);
		k->len = left;
	}
	queued(c, len);
}

char *conn_reserve(struct conn *c, size_t len)
{
	struct chunk *last = list_empty(&c->out) ? NULL : list_entry(c->out.prev, struct chunk, link);

	if (!last || !last->own || last->room - (size_t)(last->at - last->own) - last->len < len)
		last = chunk_new(c, len);
	return last->own + (last->at - last->own) + last->len;
}

void conn_commit(struct conn *c, size_t len)
{
	struct chunk *last = list_entry(c->out.prev, struct chunk, link);

	last->len += len;
	queued(c, len);
}

void conn_write_shared(struct conn *c, struct str data, void (*release)(void *ctx), void *ctx)
{
	if (c->closed || c->shutdown_wanted || data.len <= SHARED_COPY_MAX) {
		conn_write(c, data.ptr, data.len);
		release(ctx);
		return;
	}
	struct chunk *k = xmalloc(sizeof(*k));
	*k = (struct chunk){.at = data.ptr, .len = data.len, .release = release, .ctx = ctx};
	list_append(&c->out, &k->link);
	queued(c, data.len);
}

bool conn_blocked(const struct conn *c)
{
	return c->write_blocked;
}

size_t conn_pending(const struct conn *c)
{
	return c->pending + conn_unsent(c);
}

static void sent(struct conn *c, size_t n)
{
	c->pending -= n;
	while (n) {
		struct chunk *k = list_entry(c->out.next, struct chunk, link);
		size_t now = MIN(n, k->len);

		k->at += now;
		k->len -= now;
		n -= now;
		if (k->len == 0)
			chunk_free(k);
	}
}

static ssize_t write_some(struct conn *c, struct err *e)
{
	struct iovec iov[IOVECS];
	size_t n_iov = 0;

	list_for(at, tmp, &c->out)
	{
		struct chunk *k = list_entry(at, struct chunk, link);

		if (n_iov == IOVECS)
			break;
		iov[n_iov++] = (struct iovec){(void *)k->at, k->len};
	}
	if (!conn_gathers(c))
		return conn_tls_send(c, iov, n_iov, e);
	ssize_t n = send_iov(c, iov, n_iov);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return CONN_AGAIN;
	err_errno(e, errno, "write");
	return CONN_FAILED;
}

static void finish_shutdown(struct conn *c)
{
	c->shutdown_done = true;
	conn_finished(c);
	if (c->tls)
		conn_tls_bye(c);
	/* Even before close(2), which with unread input resets the connection: what was sent would stay behind. */
	shutdown(c->io.fd, SHUT_WR);
	if (c->ops)
		return;
	/* Closing now, with unread input, would reset the connection under the answer just sent. */
	if (c->eof_seen || c->no_linger)
		conn_close(c);
	else
		conn_linger(c, CONN_LINGER_MS);
}

void conn_flush(struct conn *c)
{
	struct err e;
	ssize_t n = 1;

	if (c->closed || c->connecting || c->handshaking)
		return;
	if (conn_unsent(c) && (n = conn_records_push(c)) == CONN_FAILED)
		err_errno(&e, errno, "write");
	while (n >= 0 && c->pending && (n = write_some(c, &e)) > 0) {
		sent(c, (size_t)n);
		if (!c->ops)
			conn_linger(c, CONN_STALL_MS);
	}
	c->write_blocked = conn_pending(c) != 0 || (c->splice_out && conn_splice_blocked(c->splice_out));
	if (n == CONN_FAILED) {
		conn_fail(c, &e);
		return;
	}
	if (conn_pending(c) == 0 && c->shutdown_wanted && !c->shutdown_done)
		finish_shutdown(c);
	if (c->closed)
		return;
	if (c->above_low && c->pending <= CONN_LOW_WATER_BYTES) {
		c->above_low = false;
		if (c->ops && c->ops->drained)
			c->ops->drained(c, c->ctx);
	}
}

void conn_out_done(struct conn *c)
{
	while (!list_empty(&c->out))
		chunk_free(list_entry(c->out.next, struct chunk, link));
	c->pending = 0;
}
