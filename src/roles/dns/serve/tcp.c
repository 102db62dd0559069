#include "roles/dns/serve/tcp.h"

#include "loop/crowd.h"
#include "net/conn.h"

#include <netinet/in.h>
#include <unistd.h>

/* of one worker and socket: when there are more, the one that asked least recently makes room */
#define CONNECTIONS_MAX 1000
/* of one address: the resolvers of a pod keep one or two, a node's cache a few dozen */
#define CONNECTIONS_PER_CLIENT_MAX 200
/* questions of one connection that wait for upstream; then it is read no further */
#define PENDING_MAX 64
#define IDLE_MS 10000	  /* RFC 7766: a few seconds */
#define DRAIN_QUIET_MS 200 /* a question that was under way when we decided to leave has arrived by then */
#define QUESTION_MS 2000  /* from a question's first byte to its last: whoever sends slower does so on purpose */

struct dns_tcp {
	struct dns_worker *worker;
	struct dns_entrance entrance;
	struct tls *tls;
	struct listener *listener;
	struct list clients; /* in the order of their last question, the newest last */
	size_t n_clients;
	struct crowd crowd; /* some 50 kB each, with TLS */
	bool draining;
};

struct client {
	struct dns_tcp *tcp; /* while conn is there */
	struct list link;
	struct conn *conn; /* NULL once it is closed; the client stays while answers are to come */
	struct dns_client who;
	size_t pending;
	bool eof;  /* asks no more, but waits for answers */
	bool part; /* some of a question is there: its time runs */
	struct timer idle;
};

static void client_free_if_done(struct client *c)
{
	if (!c->conn && c->pending == 0)
		free(c);
}

/* The connection is closed, by us or by itself. */
static void client_gone(struct client *c)
{
	struct dns_tcp *t = c->tcp;

	timer_stop(&c->idle);
	list_del(&c->link);
	crowd_counted(&t->crowd, --t->n_clients);
	c->conn = NULL;
	client_free_if_done(c);
}

static void client_close(struct client *c)
{
	conn_close_after_write(c->conn);
	client_gone(c);
}

static void client_write(struct client *c, struct str bytes)
{
	char *at = conn_reserve(c->conn, 2 + bytes.len);

	at[0] = (char)(bytes.len >> 8);
	at[1] = (char)bytes.len;
	memcpy(at + 2, bytes.ptr, bytes.len);
	conn_commit(c->conn, 2 + bytes.len);
	if (conn_pending(c->conn) > CONN_HIGH_WATER_BYTES)
		conn_pause(c->conn);
}

static void *keep(void *ctx)
{
	struct client *c = ctx;

	c->pending++;
	return c;
}

static void answer_kept(void *kept, struct str bytes)
{
	struct client *c = kept;

	c->pending--;
	if (c->conn && bytes.len)
		client_write(c, bytes);
	if (c->conn && c->eof && c->pending == 0) {
		client_close(c);
		return;
	}
	if (c->conn && c->pending == PENDING_MAX - 1)
		conn_resume(c->conn);
	client_free_if_done(c);
}

static bool answer_one(struct client *c, struct str question)
{
	const struct dns_asker asker = { c, keep, answer_kept };
	struct dns_worker *w = c->tcp->worker;
	ssize_t n = dns_server_ask(w, &c->tcp->entrance, &c->who, question, w->space2, DNS_MESSAGE_BYTES_MAX, &asker);

	if (n > 0)
		client_write(c, (struct str){ (const char *)w->space2, (size_t)n });
	return n >= 0;
}

/* Its questions are left unread until there is room for their answers. */
static bool held_up(const struct client *c)
{
	return c->pending >= PENDING_MAX || conn_pending(c->conn) > CONN_HIGH_WATER_BYTES;
}

/* A whole question renews the time; bytes of one do not. */
static void watch_time(struct client *c, bool whole, bool part)
{
	if (!whole && part == c->part)
		return;
	c->part = part;
	timer_start(c->tcp->worker->loop, &c->idle, part ? QUESTION_MS : c->tcp->draining ? DRAIN_QUIET_MS : IDLE_MS);
	if (whole) {
		list_del(&c->link);
		list_append(&c->tcp->clients, &c->link);
	}
}

static size_t on_data(struct conn *conn, void *ctx, const uint8_t *bytes, size_t len)
{
	struct client *c = ctx;
	size_t used = 0;

	while (len - used >= 2 && !held_up(c)) {
		size_t n = (size_t)bytes[used] << 8 | bytes[used + 1];
		if (len - used < 2 + n)
			break;
		if (!answer_one(c, (struct str){ (const char *)bytes + used + 2, n })) {
			client_close(c); /* it does not speak DNS, or is not answered */
			return len;
		}
		used += 2 + n;
	}
	watch_time(c, used > 0, used < len && !held_up(c));
	if (c->pending >= PENDING_MAX)
		conn_pause(conn);
	return used;
}

static void on_drained(struct conn *conn, void *ctx)
{
	struct client *c = ctx;

	if (c->pending < PENDING_MAX)
		conn_resume(conn);
}

static void on_eof(struct conn *conn, void *ctx)
{
	struct client *c = ctx;

	(void)conn;
	c->eof = true;
	if (c->pending == 0)
		client_close(c);
}

static void on_failed(struct conn *conn, void *ctx, const struct err *e)
{
	(void)conn, (void)e;
	client_gone(ctx);
}

static void on_idle(struct timer *t)
{
	struct client *c = t->ctx;

	if (c->pending && !c->part)
		timer_start(c->tcp->worker->loop, t, c->tcp->draining ? DRAIN_QUIET_MS : IDLE_MS); /* it waits for us */
	else
		client_close(c);
}

static const struct conn_ops client_ops = {
	.data = on_data,
	.eof = on_eof,
	.drained = on_drained,
	.failed = on_failed,
};

static bool same_host(const struct addr *a, const struct addr *b)
{
	const struct sockaddr_in *a4 = (const void *)&a->ss, *b4 = (const void *)&b->ss;
	const struct sockaddr_in6 *a6 = (const void *)&a->ss, *b6 = (const void *)&b->ss;

	if (a->ss.ss_family != b->ss.ss_family)
		return false;
	return a->ss.ss_family == AF_INET ? a4->sin_addr.s_addr == b4->sin_addr.s_addr :
					    memcmp(&a6->sin6_addr, &b6->sin6_addr, 16) == 0;
}

static bool too_many_of(const struct dns_tcp *t, const struct addr *peer)
{
	size_t n = 0;

	if (t->n_clients < CONNECTIONS_PER_CLIENT_MAX)
		return false;
	list_for(at, tmp, &t->clients)
		n += same_host(&list_entry(at, struct client, link)->who.addr, peer);
	return n >= CONNECTIONS_PER_CLIENT_MAX;
}

static void on_accepted(void *ctx, int fd, const struct addr *peer)
{
	struct dns_tcp *t = ctx;
	struct client *c;
	struct err e;

	if (too_many_of(t, peer)) {
		close(fd);
		return;
	}
	if (t->n_clients >= CONNECTIONS_MAX) {
		struct client *oldest = list_entry(t->clients.next, struct client, link);
		conn_close(oldest->conn);
		client_gone(oldest);
	}
	c = xcalloc(1, sizeof(*c));
	c->tcp = t;
	c->who = (struct dns_client){ *peer, t->tls ? DNS_DOT : DNS_TCP };
	c->idle = (struct timer){ .fire = on_idle, .ctx = c };
	list_init(&c->link);
	c->conn = conn_accept(t->worker->loop, fd, t->tls, &client_ops, c, &e);
	if (!c->conn) {
		free(c);
		return;
	}
	list_append(&t->clients, &c->link);
	crowd_counted(&t->crowd, ++t->n_clients);
	timer_start(t->worker->loop, &c->idle, IDLE_MS);
}

struct dns_tcp *dns_tcp_new(struct dns_worker *w, int fd, const struct dns_entrance *en, struct tls *tls, struct err *e)
{
	struct dns_tcp *t = xcalloc(1, sizeof(*t));

	t->worker = w;
	t->entrance = *en;
	t->tls = tls ? tls_ref(tls) : NULL;
	crowd_init(&t->crowd, w->loop);
	list_init(&t->clients);
	t->listener = listener_new_shared(w->loop, fd, on_accepted, t, e);
	if (!t->listener) {
		tls_unref(t->tls);
		free(t);
		return NULL;
	}
	return t;
}

void dns_tcp_drain(struct dns_tcp *t)
{
	if (t->draining)
		return;
	t->draining = true;
	listener_free(TAKE_PTR(t->listener));
	list_for(n, tmp, &t->clients) {
		struct client *c = list_entry(n, struct client, link);
		if (!c->part)
			timer_start(t->worker->loop, &c->idle, DRAIN_QUIET_MS);
	}
}

bool dns_tcp_is_done(const struct dns_tcp *t)
{
	return list_empty(&t->clients);
}

void dns_tcp_free(struct dns_tcp *t)
{
	if (!t)
		return;
	list_for(n, tmp, &t->clients) {
		struct client *c = list_entry(n, struct client, link);
		conn_close(c->conn);
		client_gone(c);
	}
	crowd_done(&t->crowd);
	listener_free(t->listener);
	tls_unref(t->tls);
	free(t);
}
