#include "net/http_client_int.h"

#define CALL_ARENA_BYTES (256u << 10)

struct http_client *http_client_new(struct loop *l, const struct http_client_config *c)
{
	struct http_client *client = xcalloc(1, sizeof(*client));

	client->loop = l;
	client->config = *c;
	client->authority = xstrdup(c->authority);
	client->server_name = xstrdup(c->server_name);
	client->config.authority = client->authority;
	client->config.server_name = client->server_name;
	if (c->tls)
		tls_ref(c->tls);
	list_init(&client->calls);
	list_init(&client->idle);
	list_init(&client->h2_conns);
	return client;
}

static void call_reap(struct defer *d)
{
	struct http_call *call = container_of(d, struct http_call, reap);

	buf_done(&call->body);
	arena_done(&call->arena);
	free(call);
}

/* Out of every list and timer; the memory goes at the end of the turn, as callers may stand on it.
 */
static void call_end(struct http_call *call)
{
	call->stage = CALL_ENDED;
	list_del(&call->link);
	call->client->n_calls--;
	timer_stop(&call->timer);
	defer_cancel(&call->fail);
	loop_defer(call->client->loop, &call->reap);
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	while (!list_empty(&c->calls))
		http_call_cancel(list_entry(c->calls.next, struct http_call, link));
	h2_client_close(c);
	h1_client_close(c);
	tls_unref(c->config.tls);
	free(c->authority);
	free(c->server_name);
	free(c);
}

void call_done(struct http_call *call, const struct err *e)
{
	const struct http_call_ops *ops = call->ops;
	struct http_headers trailers = {call->got, call->n_got};

	if (call->stage == CALL_ENDED)
		return;
	call_end(call);
	if (ops->done)
		ops->done(call->ctx, e, trailers);
}

static void on_fail(struct defer *d)
{
	struct http_call *call = container_of(d, struct http_call, fail);
	struct err e = call->error;

	call_done(call, &e);
}

void call_fail_later(struct http_call *call, const struct err *e)
{
	call->error = *e;
	loop_defer(call->client->loop, &call->fail);
}

int call_add_header(struct http_call *call, struct str name, struct str value)
{
	if (call->n_got == CALL_HEADERS_MAX)
		return -1;
	char *n = arena_strndup(&call->arena, name.ptr, name.len);
	char *v = n ? arena_strndup(&call->arena, value.ptr, value.len) : NULL;
	if (!v)
		return -1;
	call->got[call->n_got++] = (struct http_header){{n, name.len}, {v, value.len}};
	return 0;
}

void call_headers_done(struct http_call *call)
{
	struct http_headers headers = {call->got, call->n_got};

	call->stage = CALL_HEADED;
	call->n_got = 0; /* from here on: trailers */
	if (call->ops->response)
		call->ops->response(call->ctx, call->status, headers);
}

void call_data(struct http_call *call, struct str bytes)
{
	if (call->stage != CALL_ENDED && call->ops->data)
		call->ops->data(call->ctx, bytes);
}

static void on_timeout(struct timer *t)
{
	struct http_call *call = t->ctx;
	struct err e;

	err_set(&e, ERR_TIMEOUT, "%s %s: no answer in time", call->method, call->path);
	if (call->client->config.h2)
		h2_call_cancel(call);
	else
		h1_call_cancel(call);
	call_done(call, &e);
}

static bool copy_request(struct http_call *call, const struct http_call_request *r)
{
	call->method = arena_strndup(&call->arena, r->method, strlen(r->method));
	call->path = arena_strndup(&call->arena, r->path, strlen(r->path));
	call->host = r->host.len ? r->host : str_of(call->client->config.authority);
	if (!call->host.len)
		call->host = STR("localhost");
	call->host.ptr = arena_strndup(&call->arena, call->host.ptr, call->host.len);
	call->headers =
		arena_alloc(&call->arena, MAX(r->n_headers, (size_t)1) * sizeof(*call->headers));
	if (!call->method || !call->path || !call->headers || !call->host.ptr)
		return false;
	for (size_t i = 0; i < r->n_headers; i++) {
		const struct http_header *h = &r->headers[i];
		char *name = arena_strndup(&call->arena, h->name.ptr, h->name.len);
		char *value = arena_strndup(&call->arena, h->value.ptr, h->value.len);
		if (!name || !value)
			return false;
		call->headers[i] = (struct http_header){{name, h->name.len}, {value, h->value.len}};
	}
	call->n_headers = r->n_headers;
	call->has_body = r->body.len > 0 || r->body_open;
	call->body_open = r->body_open;
	buf_init(&call->body, CALL_BODY_MAX);
	return buf_put_str(&call->body, r->body) == 0;
}

struct http_call *http_client_send(struct http_client *c, const struct http_call_request *r,
				   const struct http_call_ops *ops, void *ctx)
{
	struct http_call *call = xcalloc(1, sizeof(*call));
	struct err e;

	*call = (struct http_call){.client = c,
				   .ops = ops,
				   .ctx = ctx,
				   .reap.run = call_reap,
				   .fail.run = on_fail,
				   .timer = {.fire = on_timeout, .ctx = call},
				   .stream_id = -1};
	arena_init(&call->arena, CALL_ARENA_BYTES);
	list_append(&c->calls, &call->link);
	c->n_calls++;
	if (r->timeout_ms)
		timer_start(c->loop, &call->timer, r->timeout_ms);
	if (!copy_request(call, r)) {
		err_set(&e, ERR_TOO_LARGE, "the request's head or body is too large");
		call_fail_later(call, &e);
	} else if (c->config.h2) {
		h2_call_send(call);
	} else {
		h1_call_send(call);
	}
	return call;
}

void http_call_write(struct http_call *call, struct str data)
{
	struct err e;

	if (call->stage == CALL_ENDED || !call->body_open)
		return;
	if (buf_put_str(&call->body, data) < 0) {
		err_set(&e, ERR_TOO_LARGE, "%u bytes of the request's body are unsent",
			CALL_BODY_MAX);
		call_fail_later(call, &e);
		return;
	}
	h2_call_more(call);
}

void http_call_end(struct http_call *call)
{
	if (call->stage == CALL_ENDED)
		return;
	call->body_open = false;
	h2_call_more(call);
}

void http_call_cancel(struct http_call *call)
{
	if (!call || call->stage == CALL_ENDED)
		return;
	if (call->client->config.h2)
		h2_call_cancel(call);
	else
		h1_call_cancel(call);
	call_end(call);
}

void http_call_want_body(struct http_call *call, bool on)
{
	if (call->stage != CALL_ENDED && !call->client->config.h2)
		h1_call_want_body(call, on);
}

size_t http_client_open(const struct http_client *c)
{
	return c->n_calls;
}
