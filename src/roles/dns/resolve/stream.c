#include "roles/dns/resolve/line.h"

#define STREAM_PENDING_MAX (64u << 10) /* questions that the other side does not take: it hangs */

/* A connection, with the questions that wait for their answers on it. */
struct stream {
	struct list link;
	struct line *line;
	struct conn *conn;
	struct list waiting; /* struct try */
	size_t n_waiting;
	size_t orphans; /* answers to come that nobody waits for any more */
	bool ready, answered, stalled, ending;
	uint64_t born_ms;
	struct timer timer; /* until it is ready; then while nobody waits */
	bool *gone;	    /* set when freed: for who is in a call-back */
};

static enum upstream_transport transport_of(const struct line *l)
{
	return l->upstream->tls ? UPSTREAM_TLS : UPSTREAM_TCP;
}

/* ---- the end ---- */

/* Taken from its line: nobody finds it any more, but who waits is still there. */
static void stream_retire(struct stream *s)
{
	timer_stop(&s->timer);
	list_del(&s->link);
	s->line->n_streams--;
	conn_close(s->conn);
	s->conn = NULL;
}

static void stream_free(struct stream *s)
{
	if (s->gone)
		*s->gone = true;
	free(s);
}

/* Those that waited on a connection that had worked go out once more, on another: servers close idle ones at any time (RFC
 * 7766, 6.2.4). */
static void stream_fail(struct stream *s)
{
	bool worked = s->answered;

	s->ending = true;
	stream_retire(s);
	while (!list_empty(&s->waiting)) {
		struct try *t = list_entry(s->waiting.next, struct try, link_);
		list_del(&t->link_);
		t->stream_ = NULL;
		if (worked && !t->again_) {
			t->again_ = true;
			if (stream_send(t))
				continue;
		}
		t->done(t, TRY_UNREACHABLE, REPLY_FOREIGN, NULL);
	}
	stream_free(s);
}

static void stream_close(struct stream *s)
{
	stream_retire(s);
	stream_free(s);
}

void streams_close(struct line *l)
{
	list_for(n, tmp, &l->streams)
		stream_close(list_entry(n, struct stream, link));
}

static size_t idle_streams(const struct line *l)
{
	size_t n = 0;

	for (struct list *p = l->streams.next; p != &l->streams; p = p->next)
		n += list_entry(p, struct stream, link)->n_waiting == 0;
	return n;
}

/* Nobody waits on it: kept for a while, unless there is something wrong with it. */
static void stream_idle(struct stream *s)
{
	struct line *l = s->line;

	if (s->stalled || (l->options->idle_max && idle_streams(l) > l->options->idle_max))
		stream_close(s);
	else if (s->ready)
		timer_start(l->pool->loop, &s->timer, l->options->expire_ms);
}

static void on_timer(struct timer *t)
{
	struct stream *s = t->ctx;

	if (!s->ready) {
		line_failed(s->line, "no connection in time");
		stream_fail(s);
	} else if (s->n_waiting == 0) {
		stream_close(s);
	}
}

/* ---- answers ---- */

static void try_leave(struct try *t)
{
	list_del(&t->link_);
	t->stream_->n_waiting--;
	t->stream_ = NULL;
}

static struct try *waiting_with_id(const struct stream *s, uint16_t id)
{
	for (struct list *p = s->waiting.next; p != &s->waiting; p = p->next) {
		struct try *t = list_entry(p, struct try, link_);
		if (t->query.id == id)
			return t;
	}
	return NULL;
}

/* False: what comes makes no sense, the connection is of no use. */
static bool stream_message(struct stream *s, struct str bytes)
{
	struct dns_message m;

	if (bytes.len < DNS_HEADER_BYTES)
		return false;
	struct try *t = waiting_with_id(s, (uint16_t)((uint8_t)bytes.ptr[0] << 8 | (uint8_t)bytes.ptr[1]));
	enum upstream_reply r = t ? upstream_reply_check(&t->query, bytes, &m) : REPLY_FOREIGN;
	if (r == REPLY_FOREIGN) {
		if (s->orphans == 0) {
			__atomic_add_fetch(&s->line->upstream->foreign, 1, __ATOMIC_RELAXED);
			return false;
		}
		s->orphans--;
		return true;
	}
	s->answered = true;
	s->stalled = false;
	try_leave(t);
	t->done(t, TRY_ANSWERED, r, &m); /* may be the end of this connection */
	return true;
}

static size_t on_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct stream *s = ctx;
	size_t used = 0;
	bool gone = false;

	(void)c;
	s->gone = &gone;
	while (len - used >= 2) {
		size_t n = (size_t)bytes[used] << 8 | bytes[used + 1];
		if (len - used < 2 + n)
			break;
		bool sense = stream_message(s, (struct str){ (const char *)bytes + used + 2, n });
		used += 2 + n;
		if (!gone && !sense) {
			line_failed(s->line, "sent what was not asked for");
			stream_fail(s);
		}
		if (gone)
			return len;
	}
	s->gone = NULL;
	if (s->n_waiting == 0)
		stream_idle(s);
	return used;
}

static void on_ready(struct conn *c, void *ctx)
{
	struct stream *s = ctx;

	(void)c;
	s->ready = true;
	timer_stop(&s->timer);
	if (s->n_waiting == 0)
		stream_idle(s);
}

static void on_eof(struct conn *c, void *ctx)
{
	struct stream *s = ctx;

	(void)c;
	line_failed(s->line, "closed the connection");
	stream_fail(s);
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct stream *s = ctx;

	(void)c;
	line_failed(s->line, e->message);
	s->conn = NULL;
	stream_fail(s);
}

static const struct conn_ops stream_ops = {
	.ready = on_ready,
	.data = on_data,
	.eof = on_eof,
	.failed = on_failed,
};

/* ---- questions ---- */

static struct stream *stream_open(struct line *l)
{
	struct upstream *u = l->upstream;
	struct stream *s;
	struct err e;

	if (l->n_streams >= LINE_STREAMS_MAX)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->line = l;
	s->born_ms = loop_now_ms(l->pool->loop);
	s->timer = (struct timer){ .fire = on_timer, .ctx = s };
	list_init(&s->waiting);
	list_init(&s->link);
	s->conn = conn_connect(l->pool->loop, &u->addr, u->tls ? l->options->tls : NULL, u->tls ? u->server_name : NULL,
			       &stream_ops, s, &e);
	if (!s->conn) {
		line_failed(l, e.message);
		free(s);
		return NULL;
	}
	list_append(&l->streams, &s->link);
	l->n_streams++;
	timer_start(l->pool->loop, &s->timer, LINE_CONNECT_MS);
	return s;
}

static bool stream_takes_more(const struct stream *s)
{
	const struct line_options *o = s->line->options;

	return !s->stalled && s->n_waiting < LINE_PIPELINE_MAX && conn_pending(s->conn) < STREAM_PENDING_MAX &&
	       (!o->max_age_ms || loop_now_ms(s->line->pool->loop) < s->born_ms + o->max_age_ms);
}

static struct stream *stream_pick(struct line *l)
{
	for (struct list *p = l->streams.next; p != &l->streams; p = p->next) {
		struct stream *s = list_entry(p, struct stream, link);
		if (stream_takes_more(s))
			return s;
	}
	return NULL;
}

bool stream_send(struct try *t)
{
	struct line *l = t->line;
	struct stream *s = stream_pick(l);

	line_count_conn(l, transport_of(l), s != NULL);
	if (!s && !(s = stream_open(l)))
		return false;
	while (waiting_with_id(s, t->query.id)) {
		t->query.id = line_random_id();
		dns_set_id(t->query.framed + 2, t->query.id);
	}
	if (s->ready)
		timer_stop(&s->timer);
	list_append(&s->waiting, &t->link_);
	s->n_waiting++;
	t->stream_ = s;
	conn_write(s->conn, t->query.framed, 2 + t->query.len);
	return true;
}

void stream_forget(struct try *t)
{
	struct stream *s = t->stream_;

	try_leave(t);
	s->orphans++;
	if (s->n_waiting == 0 && !s->gone && !s->ending)
		stream_idle(s);
}

void stream_is_late(struct stream *s)
{
	s->stalled = true;
}
