#include "roles/dns/tcp.h"

#include "net/conn.h"

#include <fcntl.h>
#include <unistd.h>

/* the resolvers of a node's pods keep few; the rest of the descriptors is for upstream */
#define CONNECTIONS_MAX 256
/* questions of one connection that wait for upstream; then it is read no further */
#define PENDING_MAX 64
#define IDLE_MS 10000 /* RFC 7766: a few seconds */

struct dns_tcp {
	struct loop *loop;
	int fd;
	struct listener *listener;
	struct dns_server *server;
	struct list clients;
	size_t n_clients;
	uint8_t answer[2 + DNS_MESSAGE_BYTES_MAX];
};

struct client {
	struct dns_tcp *tcp; /* while conn is there */
	struct list link;
	struct conn *conn; /* NULL once it is closed; the client stays while answers are to come */
	size_t pending;
	bool eof; /* asks no more, but waits for answers */
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
	timer_stop(&c->idle);
	list_del(&c->link);
	c->tcp->n_clients--;
	c->conn = NULL;
	client_free_if_done(c);
}

static void client_close(struct client *c)
{
	conn_close_after_write(c->conn);
	client_gone(c);
}

static void client_write(struct client *c, uint8_t *framed, size_t len)
{
	framed[0] = (uint8_t)(len >> 8);
	framed[1] = (uint8_t)len;
	conn_write(c->conn, framed, 2 + len);
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
	if (c->conn && bytes.len) {
		memcpy(c->tcp->answer + 2, bytes.ptr, bytes.len);
		client_write(c, c->tcp->answer, bytes.len);
	}
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
	uint8_t *out = c->tcp->answer;
	ssize_t n = old_dns_server_ask(c->tcp->server, question, true, out + 2, DNS_MESSAGE_BYTES_MAX,
				   &asker);

	if (n > 0)
		client_write(c, out, (size_t)n);
	return n >= 0;
}

static size_t on_data(struct conn *conn, void *ctx, const uint8_t *bytes, size_t len)
{
	struct client *c = ctx;
	size_t used = 0;

	timer_start(c->tcp->loop, &c->idle, IDLE_MS);
	while (len - used >= 2 && c->pending < PENDING_MAX &&
	       conn_pending(conn) <= CONN_HIGH_WATER_BYTES) {
		size_t n = (size_t)bytes[used] << 8 | bytes[used + 1];
		if (len - used < 2 + n)
			return used;
		if (!answer_one(c, (struct str){ (const char *)bytes + used + 2, n })) {
			client_close(c); /* it does not speak DNS */
			return len;
		}
		used += 2 + n;
	}
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
	client_close(t->ctx);
}

static const struct conn_ops client_ops = {
	.data = on_data,
	.eof = on_eof,
	.drained = on_drained,
	.failed = on_failed,
};

static void on_accepted(void *ctx, int fd, const struct addr *peer)
{
	struct dns_tcp *t = ctx;
	struct client *c;
	struct err e;

	(void)peer;
	if (t->n_clients >= CONNECTIONS_MAX) {
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->tcp = t;
	c->idle = (struct timer){ .fire = on_idle, .ctx = c };
	list_init(&c->link);
	c->conn = conn_accept(t->loop, fd, NULL, &client_ops, c, &e);
	if (!c->conn) {
		free(c);
		return;
	}
	list_append(&t->clients, &c->link);
	t->n_clients++;
	timer_start(t->loop, &c->idle, IDLE_MS);
}

struct dns_tcp *old_dns_tcp_new(struct loop *l, int fd, struct dns_server *s, struct err *e)
{
	struct dns_tcp *t = xcalloc(1, sizeof(*t));

	t->loop = l;
	t->fd = fd;
	t->server = s;
	list_init(&t->clients);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	t->listener = listener_new(l, fd, on_accepted, t, e);
	if (!t->listener) {
		free(t);
		return NULL;
	}
	return t;
}

void old_dns_tcp_free(struct dns_tcp *t)
{
	if (!t)
		return;
	list_for(n, tmp, &t->clients) {
		struct client *c = list_entry(n, struct client, link);
		conn_close(c->conn);
		client_gone(c);
	}
	listener_free(t->listener);
	close(t->fd);
	free(t);
}
