/* h2_peer.h - the other ends of an HTTP/2 proxy, for tests: a client that notes what it gets, and a server that echoes.
 *
 * Both run on the test's loop, by nghttp2. Frames that no library sends go out with client_raw().
 */
#pragma once

#include "base/buf.h"
#include "net/conn.h"
#include "ingress_rig.h"

#include <nghttp2/nghttp2.h>

#define peer_own static __attribute__((unused))
#define PEER_CALLS 600

/* ---- client ---- */

struct call {
	struct client *cl;
	int32_t id;
	int status, interim; /* the last 1xx */
	struct buf head, body, trailers; /* "name: value\n" */
	uint32_t code;
	bool got_head, closed;
	struct buf out;	 /* body still to be sent */
	size_t out_at;
	bool open;	 /* more will follow */
	bool trailers_out;
};
struct client {
	struct rig *r;
	struct conn *conn;
	nghttp2_session *session;
	struct defer flush;
	bool ready, closed, goaway;
	bool hold;	 /* gives no credit for bodies */
	uint32_t goaway_code;
	int32_t goaway_last;
	int n_goaways;
	uint32_t max_streams;
	bool connect_protocol;
	struct call calls[PEER_CALLS];
	size_t n_calls;
	bool raw;	 /* no session of ours */
	struct buf raw_in;
};

peer_own struct call *call_of(nghttp2_session *s, int32_t id)
{
	return id ? nghttp2_session_get_stream_user_data(s, id) : NULL;
}

peer_own void client_flush(struct defer *d)
{
	struct client *cl = container_of(d, struct client, flush);
	const uint8_t *bytes;
	ssize_t n;

	while (cl->conn && !cl->closed && (n = nghttp2_session_mem_send(cl->session, &bytes)) > 0)
		conn_write(cl->conn, bytes, (size_t)n);
}

peer_own void client_kick(struct client *cl)
{
	loop_defer(cl->r->loop, &cl->flush);
}

peer_own int client_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_len,
			   const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct call *k = call_of(s, f->hd.stream_id);

	(void)flags, (void)user;
	if (!k)
		return 0;
	if (name[0] == ':') {
		k->status = atoi((const char *)value);
		return 0;
	}
	buf_printf(k->got_head ? &k->trailers : &k->head, "%.*s: %.*s\n", (int)name_len, name, (int)value_len, value);
	return 0;
}

peer_own int client_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	struct client *cl = user;
	struct call *k = call_of(s, f->hd.stream_id);

	if (f->hd.type == NGHTTP2_GOAWAY) {
		cl->goaway = true;
		cl->n_goaways++;
		cl->goaway_code = f->goaway.error_code;
		cl->goaway_last = f->goaway.last_stream_id;
	}
	if (f->hd.type == NGHTTP2_SETTINGS && !(f->hd.flags & NGHTTP2_FLAG_ACK)) {
		cl->max_streams = nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
		cl->connect_protocol = nghttp2_session_get_remote_settings(s, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL);
		cl->ready = true;
	}
	if (!k || f->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (k->status / 100 == 1)
		k->interim = k->status;
	else
		k->got_head = true;
	return 0;
}

peer_own int client_chunk(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *user)
{
	struct client *cl = user;
	struct call *k = call_of(s, id);

	(void)flags;
	if (k)
		buf_put(&k->body, bytes, len);
	if (!cl->hold)
		nghttp2_session_consume(s, id, len);
	return 0;
}

peer_own int client_closed(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
	struct call *k = call_of(s, id);

	(void)user;
	if (k) {
		k->closed = true;
		k->code = code;
	}
	return 0;
}

peer_own void client_up(struct conn *c, void *ctx)
{
	struct client *cl = ctx;

	(void)c;
	if (cl->raw)
		cl->ready = true;
	else
		client_kick(cl);
}

peer_own size_t client_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct client *cl = ctx;

	(void)c;
	if (cl->raw) {
		buf_put(&cl->raw_in, bytes, len);
		return len;
	}
	if (nghttp2_session_mem_recv(cl->session, bytes, len) < 0)
		cl->closed = true;
	client_kick(cl);
	return len;
}

peer_own void client_eof(struct conn *c, void *ctx)
{
	struct client *cl = ctx;

	(void)c;
	cl->closed = true;
}

peer_own void client_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct client *cl = ctx;

	(void)c, (void)e;
	cl->closed = true;
	cl->conn = NULL;
}

static const struct conn_ops client_ops = {.ready = client_up, .data = client_data, .eof = client_eof, .failed = client_failed};

peer_own bool client_is_ready(void *ctx)
{
	struct client *cl = ctx;

	return cl->ready || cl->closed;
}

peer_own struct client *client_new(struct rig *r, uint16_t port, struct tls *tls, bool raw, uint32_t window)
{
	struct client *cl = xcalloc(1, sizeof(*cl));
	const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
	struct addr to = rig_loopback(port);
	nghttp2_session_callbacks *cb;
	nghttp2_option *o;
	struct err e;

	cl->r = r;
	cl->raw = raw;
	cl->flush.run = client_flush;
	buf_init(&cl->raw_in, 16u << 20);
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_header_callback(cb, client_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, client_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, client_chunk);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, client_closed);
	nghttp2_option_new(&o);
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_session_client_new2(&cl->session, cb, cl, o);
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(cl->session, NGHTTP2_FLAG_NONE, settings, window != 0);
	cl->conn = conn_connect(r->loop, &to, tls, tls ? "localhost" : NULL, &client_ops, cl, &e);
	if (!cl->conn || !rig_until(r, client_is_ready, cl, 5000))
		abort();
	return cl;
}

peer_own void client_free(struct client *cl)
{
	if (cl->conn)
		conn_close(cl->conn);
	defer_cancel(&cl->flush);
	nghttp2_session_del(cl->session);
	for (size_t i = 0; i < cl->n_calls; i++) {
		struct call *k = &cl->calls[i];
		buf_done(&k->head);
		buf_done(&k->body);
		buf_done(&k->trailers);
		buf_done(&k->out);
	}
	buf_done(&cl->raw_in);
	free(cl);
}

peer_own ssize_t client_read(nghttp2_session *s, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
			     nghttp2_data_source *source, void *user)
{
	struct call *k = call_of(s, id);
	size_t n = MIN(k->out.len - k->out_at, max);

	(void)source, (void)user;
	if (n == 0 && k->open)
		return NGHTTP2_ERR_DEFERRED;
	memcpy(to, k->out.ptr ? k->out.ptr + k->out_at : "", n);
	k->out_at += n;
	if (!k->open && k->out_at == k->out.len) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (k->trailers_out) {
			const nghttp2_nv t = {(uint8_t *)(uintptr_t)"x-sum", (uint8_t *)(uintptr_t)"42", 5, 2, 0};
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			nghttp2_submit_trailer(s, id, &t, 1);
		}
	}
	return (ssize_t)n;
}

/* `fields`: "name: value\n" lines besides the pseudo-header fields, or ":name: value\n" that replace them. */
peer_own struct call *client_ask(struct client *cl, const char *method, const char *path, const char *fields, bool body)
{
	struct call *k = &cl->calls[cl->n_calls++];
	nghttp2_data_provider provider = {.read_callback = client_read};
	nghttp2_nv list[300];
	char *text = xstrdup(fields ? fields : ""), *at = text;
	struct {
		const char *name, *value;
	} pseudo[] = {{":method", method}, {":scheme", "http"}, {":path", path}, {":authority", "a.test"}};
	size_t n = 0;

	k->cl = cl;
	buf_init(&k->head, 1u << 20);
	buf_init(&k->body, 64u << 20);
	buf_init(&k->trailers, 1u << 20);
	buf_init(&k->out, 64u << 20);
	for (size_t i = 0; i < ARRAY_LEN(pseudo); i++)
		if (pseudo[i].value)
			list[n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)pseudo[i].name, (uint8_t *)(uintptr_t)pseudo[i].value,
						 strlen(pseudo[i].name), strlen(pseudo[i].value), 0};
	for (char *line; n < ARRAY_LEN(list) && (line = strsep(&at, "\n")) && *line;) {
		char *colon = strstr(line + 1, ": ");
		list[n++] = (nghttp2_nv){(uint8_t *)line, (uint8_t *)colon + 2, (size_t)(colon - line), strlen(colon + 2), 0};
	}
	k->open = body;
	k->id = nghttp2_submit_request(cl->session, NULL, list, n, body ? &provider : NULL, k);
	free(text);
	client_kick(cl);
	return k;
}

peer_own void call_write(struct call *k, const void *bytes, size_t len, bool end)
{
	buf_put(&k->out, bytes, len);
	k->open = !end;
	nghttp2_session_resume_data(k->cl->session, k->id);
	client_kick(k->cl);
}

peer_own bool call_is_over(void *ctx)
{
	struct call *k = ctx;

	return k->closed || k->cl->closed;
}

peer_own bool call_wait(struct call *k)
{
	return rig_until(k->cl->r, call_is_over, k, 5000) && k->closed;
}

peer_own bool call_has_head(void *ctx)
{
	struct call *k = ctx;

	return k->got_head || k->closed || k->cl->closed;
}

peer_own const char *call_body(struct call *k)
{
	return k->body.ptr ? k->body.ptr : "";
}

/* ---- server: echoes each stream's bytes, ends with trailers ---- */

#define SERVER_STREAMS 64
struct served {
	int32_t id;
	char path[64], te[32], content_type[64];
	struct buf out;
	size_t out_at;
	bool ended, answered;
};
struct server_conn_ {
	struct h2_server *s;
	struct conn *conn;
	nghttp2_session *session;
	struct defer flush;
	struct list link;
	struct served streams[SERVER_STREAMS];
	unsigned n;
};
struct h2_server {
	struct rig *r;
	struct listener *listener;
	int fd;
	uint16_t port;
	struct list conns;
	unsigned n_conns, n_requests;
	struct tls *tls;
	bool no_credit; /* new connections get none for bodies */
	/* NULL: echo. May refuse, reset, …; true: it has dealt with it */
	bool (*request)(struct server_conn_ *c, struct served *v);
};

peer_own void server_flush(struct defer *d)
{
	struct server_conn_ *c = container_of(d, struct server_conn_, flush);
	const uint8_t *bytes;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(c->session, &bytes)) > 0)
		conn_write(c->conn, bytes, (size_t)n);
	if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session))
		conn_shutdown(c->conn);
}

peer_own ssize_t server_read(nghttp2_session *s, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
			     nghttp2_data_source *source, void *user)
{
	struct served *v = nghttp2_session_get_stream_user_data(s, id);
	const nghttp2_nv t[] = {
		{(uint8_t *)(uintptr_t)"grpc-status", (uint8_t *)(uintptr_t)"0", 11, 1, 0},
		{(uint8_t *)(uintptr_t)"grpc-message", (uint8_t *)(uintptr_t)"fine", 12, 4, 0},
	};
	size_t n = MIN(v->out.len - v->out_at, max);

	(void)source, (void)user;
	if (n == 0 && !v->ended)
		return NGHTTP2_ERR_DEFERRED;
	memcpy(to, v->out.ptr ? v->out.ptr + v->out_at : "", n);
	v->out_at += n;
	if (v->ended && v->out_at == v->out.len) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(s, id, t, 2);
	}
	return (ssize_t)n;
}

peer_own int server_begin(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	struct server_conn_ *c = user;

	if (f->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct served *v = &c->streams[c->n++ % SERVER_STREAMS];
	buf_done(&v->out);
	*v = (struct served){.id = f->hd.stream_id};
	buf_init(&v->out, 64u << 20);
	nghttp2_session_set_stream_user_data(s, v->id, v);
	return 0;
}

peer_own int server_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_len,
			   const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
	struct served *v = nghttp2_session_get_stream_user_data(s, f->hd.stream_id);
	static const struct {
		const char *name;
		size_t at, room;
	} wanted[] = {
		{":path", offsetof(struct served, path), 64},
		{"te", offsetof(struct served, te), 32},
		{"content-type", offsetof(struct served, content_type), 64},
	};

	(void)flags, (void)user;
	for (size_t i = 0; v && i < ARRAY_LEN(wanted); i++)
		if (strlen(wanted[i].name) == name_len && memcmp(name, wanted[i].name, name_len) == 0)
			snprintf((char *)v + wanted[i].at, wanted[i].room, "%.*s", (int)value_len, value);
	return 0;
}

peer_own void server_answer(struct server_conn_ *c, struct served *v)
{
	nghttp2_data_provider provider = {.read_callback = server_read};
	const nghttp2_nv head[] = {
		{(uint8_t *)(uintptr_t)":status", (uint8_t *)(uintptr_t)"200", 7, 3, 0},
		{(uint8_t *)(uintptr_t)"content-type", (uint8_t *)(uintptr_t)"application/grpc", 12, 16, 0},
		{(uint8_t *)(uintptr_t)"x-te", (uint8_t *)v->te, 4, strlen(v->te), 0},
	};

	v->answered = true;
	nghttp2_submit_response(c->session, v->id, head, 3, &provider);
}

peer_own int server_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	struct server_conn_ *c = user;
	struct served *v = f->hd.stream_id ? nghttp2_session_get_stream_user_data(s, f->hd.stream_id) : NULL;

	if (!v || (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA))
		return 0;
	if (f->hd.type == NGHTTP2_HEADERS && !v->answered) {
		c->s->n_requests++;
		if (c->s->request && c->s->request(c, v))
			return 0;
		server_answer(c, v);
	}
	if (f->hd.flags & NGHTTP2_FLAG_END_STREAM) {
		v->ended = true;
		nghttp2_session_resume_data(s, v->id);
	}
	return 0;
}

peer_own int server_chunk(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *user)
{
	struct served *v = nghttp2_session_get_stream_user_data(s, id);

	(void)flags, (void)user;
	if (v) {
		buf_put(&v->out, bytes, len);
		nghttp2_session_resume_data(s, id);
	}
	return 0;
}

peer_own size_t server_data(struct conn *conn, void *ctx, const uint8_t *bytes, size_t len)
{
	struct server_conn_ *c = ctx;

	if (nghttp2_session_mem_recv(c->session, bytes, len) < 0)
		conn_shutdown(conn);
	loop_defer(c->s->r->loop, &c->flush);
	return len;
}

peer_own void server_gone(struct server_conn_ *c)
{
	list_del(&c->link);
	defer_cancel(&c->flush);
	nghttp2_session_del(c->session);
	for (size_t i = 0; i < SERVER_STREAMS; i++)
		buf_done(&c->streams[i].out);
	free(c);
}

peer_own void server_eof(struct conn *conn, void *ctx)
{
	conn_close(conn);
	server_gone(ctx);
}

peer_own void server_failed(struct conn *conn, void *ctx, const struct err *e)
{
	(void)conn, (void)e;
	server_gone(ctx);
}

static const struct conn_ops server_ops = {.data = server_data, .eof = server_eof, .failed = server_failed};

peer_own void server_accepted(void *ctx, int fd, const struct addr *peer)
{
	struct h2_server *s = ctx;
	struct server_conn_ *c = xcalloc(1, sizeof(*c));
	nghttp2_session_callbacks *cb;
	struct err e;

	(void)peer;
	c->s = s;
	c->flush.run = server_flush;
	s->n_conns++;
	list_append(&s->conns, &c->link);
	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, server_begin);
	nghttp2_session_callbacks_set_on_header_callback(cb, server_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, server_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, server_chunk);
	nghttp2_option *o;
	nghttp2_option_new(&o);
	nghttp2_option_set_no_auto_window_update(o, s->no_credit);
	nghttp2_session_server_new2(&c->session, cb, c, o);
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, NULL, 0);
	c->conn = conn_accept(s->r->loop, fd, s->tls, &server_ops, c, &e);
	if (!c->conn)
		abort();
	loop_defer(s->r->loop, &c->flush);
}

peer_own void server_start(struct h2_server *s, struct rig *r)
{
	struct err e;

	s->r = r;
	list_init(&s->conns);
	s->fd = rig_listen(&s->port);
	s->listener = listener_new(r->loop, s->fd, server_accepted, s, &e);
}

peer_own void server_stop(struct h2_server *s)
{
	listener_free(s->listener);
	close(s->fd);
	while (!list_empty(&s->conns)) {
		struct server_conn_ *c = list_entry(s->conns.next, struct server_conn_, link);
		conn_close(c->conn);
		server_gone(c);
	}
}
