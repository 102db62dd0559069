#include "roles/dns/resolve/line.h"

#include "roles/dns/observe/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

void line_init(struct line *l, struct line_pool *pool, struct upstream *u, const struct line_options *o)
{
	*l = (struct line){ .pool = pool, .upstream = u, .options = o };
	list_init(&l->streams);
}

void line_done(struct line *l)
{
	streams_close(l);
}

void line_failed(struct line *l, const char *why)
{
	snprintf(l->why, sizeof(l->why), "%s", why);
}

void line_count_conn(const struct line *l, enum upstream_transport t, bool hit)
{
	struct metric *m = hit ? l->upstream->m_conn_hits[t] : l->upstream->m_conn_misses[t];

	if (m)
		metric_add(m, l->pool->worker, 1);
}

uint16_t line_random_id(void)
{
	uint16_t id;

	upstream_random(&id, sizeof(id));
	return id;
}

bool line_pool_full(const struct line_pool *pool)
{
	return pool->n_sockets >= LINE_SOCKETS_MAX || (pool->short_ms && loop_now_ms(pool->loop) < pool->short_ms + LINE_SHORT_MS);
}

/* ---- UDP ---- */

static void udp_close(struct try *t)
{
	if (t->io_.fd < 0)
		return;
	io_stop(&t->io_);
	close(t->io_.fd);
	t->io_.fd = -1;
	t->line->pool->n_sockets--;
}

static void udp_end(struct try *t, enum try_end end, enum upstream_reply reply, const struct dns_message *m)
{
	udp_close(t);
	t->done(t, end, reply, m);
}

static void udp_ready(struct io *io, uint32_t events)
{
	struct try *t = io->ctx;
	struct line_pool *pool = t->line->pool;
	struct dns_message m;
	ssize_t n = recv(io->fd, pool->in, sizeof(pool->in), 0);

	(void)events;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1) { /* nobody listens there, or no way leads there */
		line_failed(t->line, strerror(errno));
		udp_end(t, TRY_UNREACHABLE, REPLY_FOREIGN, NULL);
		return;
	}
	enum upstream_reply r = upstream_reply_check(&t->query, (struct str){ (char *)pool->in, (size_t)n }, &m);
	if (r != REPLY_FOREIGN) {
		udp_end(t, TRY_ANSWERED, r, &m);
		return;
	}
	/* The true answer can still come after forged ones. */
	__atomic_add_fetch(&t->line->upstream->foreign, 1, __ATOMIC_RELAXED);
	if (++t->foreign_ > LINE_FOREIGN_MAX)
		udp_end(t, TRY_SUSPECT, r, NULL);
}

static bool udp_send(struct try *t)
{
	const struct addr *to = &t->line->upstream->addr;
	struct line_pool *pool = t->line->pool;
	struct err e;

	if (pool->n_sockets >= LINE_SOCKETS_MAX)
		return false;
	t->io_.fd = socket(to->ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->io_.fd == -1) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pool->short_ms = loop_now_ms(pool->loop);
		return false;
	}
	pool->n_sockets++;
	/* Connected: the kernel chooses a random port, and only lets through what comes from that address. */
	if (connect(t->io_.fd, (const struct sockaddr *)&to->ss, to->len) == -1 ||
	    send(t->io_.fd, t->query.framed + 2, t->query.len, 0) == -1 || io_watch(pool->loop, &t->io_, EPOLLIN, &e) < 0) {
		line_failed(t->line, strerror(errno));
		udp_close(t);
		return false;
	}
	line_count_conn(t->line, UPSTREAM_UDP, false);
	return true;
}

/* ---- tries ---- */

void try_init(struct try *t, struct line *l, void (*done)(struct try *t, enum try_end end, enum upstream_reply reply, const struct dns_message *m))
{
	*t = (struct try){ .line = l, .done = done, .io_ = { .fd = -1, .ready = udp_ready, .ctx = t } };
	list_init(&t->link_);
}

bool try_start(struct try *t, const struct dns_query *q, struct try_how how)
{
	uint8_t letters[UPSTREAM_CASE_BYTES];

	try_stop(t);
	t->stream_wanted = how.tcp || t->line->options->force_tcp || t->line->upstream->tls;
	t->foreign_ = 0;
	t->again_ = false;
	t->sent_us = loop_now_us(t->line->pool->loop);
	if (how.cased)
		upstream_random(letters, sizeof(letters));
	upstream_query_write(&t->query, q, line_random_id(), how.edns, how.cased ? letters : NULL);
	if (how.no_recursion)
		t->query.framed[2 + 2] &= (uint8_t)~(DNS_FLAG_RD >> 8);
	return t->stream_wanted ? stream_send(t) : udp_send(t);
}

void try_stop(struct try *t)
{
	udp_close(t);
	if (t->stream_)
		stream_forget(t);
}

void try_is_late(struct try *t)
{
	if (t->stream_)
		stream_is_late(t->stream_);
}
