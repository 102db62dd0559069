#include "roles/dns/forward.h"

#include "base/file.h"
#include "base/map.h"
#include "net/conn.h"
#include "roles/dns/cache.h"
#include "roles/dns/resolv_conf.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* questions under way, a descriptor each: half of a process' usual 1,024 */
#define CALLS_MAX 512
/* askers of one question: a client that repeats itself gains nothing */
#define WAITERS_MAX 64
#define TRIES_MAX 3 /* with TRY_MS: the end comes before a client's own 5 s */
/* an answer later than this is lost, not slow; asked again, a resolver has it by then */
#define TRY_MS 1200
/* so often in a row without an answer, and a server is taken for dead */
#define FAILS_MAX 2
/* one question in that time tries a dead server; the others need not wait for it */
#define PROBE_MS 1000
#define REREAD_MS 5000 /* how often resolv.conf is looked at */
#define RESOLV_BYTES_MAX (64u << 10)

struct health {
	unsigned fails; /* tries without an answer, since the last answer */
	uint64_t probe_at_ms;
};

struct forwarder {
	struct loop *loop;
	struct forwarder_config config;
	struct dns_cache *cache;
	struct map calls; /* cache key → struct call */
	struct resolv_conf servers;
	struct health health[RESOLV_SERVERS_MAX];
	size_t preferred; /* the server that answered last */
	struct stat seen;
	uint64_t read_at_ms;
	bool was_read;
	uint8_t out[DNS_MESSAGE_BYTES_MAX], in[DNS_MESSAGE_BYTES_MAX];
};

struct waiter {
	forward_done_fn *done;
	void *ctx;
};

/* One question, from the first try until it is answered or given up. */
struct call {
	struct forwarder *f;
	struct str key; /* owned */
	struct waiter waiters[WAITERS_MAX];
	size_t n_waiters;
	uint8_t query[2 + DNS_UDP_BYTES_MIN]; /* with room for TCP's length in front */
	size_t query_len;
	uint16_t id, type, class;
	struct dns_name name;
	unsigned tries;
	size_t server;
	struct io io;
	struct conn *tcp;
	struct timer timer;
	struct str fallback; /* owned: a failure or a truncated answer, better than nothing */
};

static void call_try(struct call *c);

/* ---- the servers ---- */

static void read_servers(struct forwarder *f)
{
	uint64_t now = loop_now_ms(f->loop);
	struct stat st;
	struct buf text;
	struct err e;

	if (f->was_read && now < f->read_at_ms + REREAD_MS)
		return;
	f->read_at_ms = now;
	if (stat(f->config.resolv_conf, &st) == -1)
		memset(&st, 0, sizeof(st));
	if (f->was_read && st.st_mtim.tv_sec == f->seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == f->seen.st_mtim.tv_nsec && st.st_ino == f->seen.st_ino)
		return;
	f->was_read = true;
	f->seen = st;
	f->servers.n = f->preferred = 0;
	memset(f->health, 0, sizeof(f->health));
	buf_init(&text, RESOLV_BYTES_MAX);
	if (file_read(f->config.resolv_conf, &text, &e) == 0)
		old_resolv_conf_parse(buf_str(&text), f->config.port, f->config.own_ips, &f->servers);
	buf_done(&text);
}

static void server_failed(struct forwarder *f, size_t i)
{
	if (++f->health[i].fails >= FAILS_MAX)
		f->health[i].probe_at_ms = loop_now_ms(f->loop) + PROBE_MS;
}

/* The first server from `from` on that lives, or is to be tried again; RESOLV_SERVERS_MAX: none. */
static size_t server_pick(struct forwarder *f, size_t from)
{
	uint64_t now = loop_now_ms(f->loop);

	for (size_t n = 0; n < f->servers.n; n++) {
		size_t i = (from + n) % f->servers.n;
		struct health *h = &f->health[i];
		if (h->fails >= FAILS_MAX && now < h->probe_at_ms)
			continue;
		h->probe_at_ms = now + PROBE_MS;
		return i;
	}
	return RESOLV_SERVERS_MAX;
}

struct forwarder *old_forwarder_new(struct loop *l, const struct forwarder_config *c)
{
	struct forwarder *f = xcalloc(1, sizeof(*f));

	f->loop = l;
	f->config = *c;
	f->cache = old_dns_cache_new();
	map_init(&f->calls);
	return f;
}

/* ---- the end of a call ---- */

static void call_stop_try(struct call *c)
{
	timer_stop(&c->timer);
	io_stop(&c->io);
	if (c->io.fd >= 0)
		close(c->io.fd);
	c->io.fd = -1;
	conn_close(c->tcp);
	c->tcp = NULL;
}

static void call_free(struct call *c)
{
	call_stop_try(c);
	free((char *)c->key.ptr);
	free((char *)c->fallback.ptr);
	free(c);
}

/* `bytes` empty: nobody answered. */
static void call_finish(struct call *c, struct str bytes)
{
	struct forwarder *f = c->f;
	struct dns_message m;

	call_stop_try(c);
	map_del(&f->calls, c->key);
	if (bytes.len && dns_message_parse(bytes, &m))
		old_dns_cache_put(f->cache, c->key, &m, loop_now_ms(f->loop));
	for (size_t i = 0; i < c->n_waiters; i++) {
		bool ok = bytes.len != 0;
		if (ok) {
			memcpy(f->out, bytes.ptr, bytes.len);
			ok = dns_message_parse((struct str){ (char *)f->out, bytes.len }, &m);
		}
		c->waiters[i].done(c->waiters[i].ctx, ok ? &m : NULL);
	}
	call_free(c);
}

static void keep_fallback(struct call *c, struct str bytes)
{
	if (!c->fallback.ptr)
		c->fallback = (struct str){ xstrndup(bytes.ptr, bytes.len), bytes.len };
}

static void call_next(struct call *c)
{
	call_stop_try(c);
	c->server++;
	call_try(c);
}

static void call_unanswered(struct call *c)
{
	server_failed(c->f, c->server);
	call_next(c);
}

/* ---- answers ---- */

/* Ours: to this question, and nothing but it. The question is never compressed. */
static bool answers_us(const struct call *c, const struct dns_message *m)
{
	return m->id == c->id && m->flags & DNS_FLAG_QR && !(m->flags & DNS_FLAGS_OPCODE) &&
	       m->type == c->type && m->class == c->class && m->name.len == c->name.len &&
	       memcmp(m->name.wire, c->name.wire, c->name.len) == 0 &&
	       m->records_at == DNS_HEADER_BYTES + (size_t)c->name.len + 4;
}

static void call_tcp(struct call *c);

static void take_answer(struct call *c, const struct dns_message *m, bool tcp)
{
	unsigned rcode = m->flags & DNS_FLAGS_RCODE;

	c->f->health[c->server].fails = 0;
	if (m->flags & DNS_FLAG_TC && !tcp) {
		keep_fallback(c, m->bytes);
		call_tcp(c);
	} else if (rcode == DNS_NOERROR || rcode == DNS_NXDOMAIN) {
		c->f->preferred = c->server;
		call_finish(c, m->bytes);
	} else if (c->tries >= c->f->servers.n) {
		call_finish(c, m->bytes); /* each was asked */
	} else {
		keep_fallback(c, m->bytes);
		call_next(c);
	}
}

static void on_timeout(struct timer *t)
{
	call_unanswered(t->ctx);
}

/* ---- TCP, for what UDP cut ---- */

static void tcp_ready(struct conn *conn, void *ctx)
{
	struct call *c = ctx;

	c->query[0] = (uint8_t)(c->query_len >> 8);
	c->query[1] = (uint8_t)c->query_len;
	conn_write(conn, c->query, 2 + c->query_len);
}

static size_t tcp_data(struct conn *conn, void *ctx, const uint8_t *bytes, size_t len)
{
	struct call *c = ctx;
	struct dns_message m;
	size_t n = len < 2 ? 0 : (size_t)bytes[0] << 8 | bytes[1];

	(void)conn;
	if (len < 2 || len < 2 + n)
		return 0;
	memcpy(c->f->in, bytes + 2, n);
	if (dns_message_parse((struct str){ (char *)c->f->in, n }, &m) && answers_us(c, &m))
		take_answer(c, &m, true);
	else
		call_next(c);
	return len;
}

static void tcp_eof(struct conn *conn, void *ctx)
{
	(void)conn;
	call_unanswered(ctx);
}

static void tcp_failed(struct conn *conn, void *ctx, const struct err *e)
{
	struct call *c = ctx;

	(void)conn, (void)e;
	c->tcp = NULL;
	call_unanswered(c);
}

static const struct conn_ops tcp_ops = {
	.ready = tcp_ready,
	.data = tcp_data,
	.eof = tcp_eof,
	.failed = tcp_failed,
};

static void call_tcp(struct call *c)
{
	struct forwarder *f = c->f;
	struct err e;

	call_stop_try(c);
	timer_start(f->loop, &c->timer, TRY_MS);
	if (f->servers.n)
		c->tcp = conn_connect(f->loop, &f->servers.servers[c->server], NULL, NULL, &tcp_ops,
				      c, &e);
	if (!c->tcp)
		call_unanswered(c);
}

/* ---- UDP ---- */

static void udp_ready(struct io *io, uint32_t events)
{
	struct call *c = io->ctx;
	struct dns_message m;
	ssize_t n = recv(io->fd, c->f->in, sizeof(c->f->in), 0);

	(void)events;
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == -1) { /* refused: nobody listens there */
		call_unanswered(c);
		return;
	}
	/* What is no answer to our question may be forged: the true one can still come. */
	if (dns_message_parse((struct str){ (char *)c->f->in, (size_t)n }, &m) && answers_us(c, &m))
		take_answer(c, &m, false);
}

static bool send_udp(struct call *c, const struct addr *to)
{
	struct err e;

	c->io.fd = socket(to->ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->io.fd == -1 || connect(c->io.fd, (const struct sockaddr *)&to->ss, to->len) == -1 ||
	    send(c->io.fd, c->query + 2, c->query_len, 0) == -1)
		return false;
	return io_watch(c->f->loop, &c->io, EPOLLIN, &e) == 0;
}

static uint16_t random_id(void)
{
	uint16_t id;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		abort(); /* cannot happen for a few bytes, and a guessable id must not */
	return id;
}

static void call_try(struct call *c)
{
	struct forwarder *f = c->f;

	while (c->tries++ < TRIES_MAX) {
		c->server = server_pick(f, c->server);
		if (c->server == RESOLV_SERVERS_MAX)
			break;
		c->id = random_id();
		dns_set_id(c->query + 2, c->id);
		if (send_udp(c, &f->servers.servers[c->server])) {
			timer_start(f->loop, &c->timer, TRY_MS);
			return;
		}
		call_stop_try(c);
		server_failed(f, c->server++);
	}
	struct str last = c->fallback;
	c->fallback = STR_NONE;
	call_finish(c, last);
	free((char *)last.ptr);
}

/* ---- asking ---- */

static struct call *call_new(struct forwarder *f, const struct dns_query *q, struct str key)
{
	struct call *c = xcalloc(1, sizeof(*c));

	c->f = f;
	c->key = (struct str){ xstrndup(key.ptr, key.len), key.len };
	c->type = q->type;
	c->class = q->class;
	c->name = q->name;
	c->server = f->preferred;
	c->query_len = dns_query_write(c->query + 2, 0, q);
	c->io = (struct io){ .fd = -1, .ready = udp_ready, .ctx = c };
	c->timer = (struct timer){ .fire = on_timeout, .ctx = c };
	map_put(&f->calls, c->key, c);
	return c;
}

void old_forward_ask(struct forwarder *f, const struct dns_query *q, forward_done_fn *done, void *ctx)
{
	struct dns_cache_key space;
	struct str key = old_dns_cache_key(q, &space);
	struct call *c = map_get(&f->calls, key);
	struct dns_message m;

	if (!c && old_dns_cache_get(f->cache, key, loop_now_ms(f->loop), f->out, &m)) {
		done(ctx, &m);
		return;
	}
	read_servers(f);
	if (f->servers.n == 0 || (!c && f->calls.count >= CALLS_MAX) ||
	    (c && c->n_waiters == WAITERS_MAX)) {
		done(ctx, NULL);
		return;
	}
	bool fresh = !c;
	if (fresh)
		c = call_new(f, q, key);
	c->waiters[c->n_waiters++] = (struct waiter){ done, ctx };
	if (fresh)
		call_try(c);
}

void old_forwarder_free(struct forwarder *f)
{
	if (!f)
		return;
	for (struct map_iter it = { 0 }; map_next(&f->calls, &it);) {
		struct call *c = it.value;
		for (size_t i = 0; i < c->n_waiters; i++)
			c->waiters[i].done(c->waiters[i].ctx, NULL);
		call_free(c);
	}
	map_done(&f->calls, NULL);
	old_dns_cache_free(f->cache);
	free(f);
}
