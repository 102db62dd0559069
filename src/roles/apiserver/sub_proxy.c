/* pods/proxy and services/proxy: HTTP to what runs in the cluster, through this server.
 *
 * The answer is passed on as it comes, no faster than the client reads it. k8s.io/apimachinery
 * pkg/util/proxy.
 */
#include "roles/apiserver/handlers.h"

#include "net/http_client.h"
#include "roles/apiserver/proxy_message.h"
#include "roles/apiserver/proxy_target.h"
#include "roles/apiserver/status.h"
#include "roles/apiserver/stream_pipe.h"

#include <stdio.h>

#define CONNECT_MS 30000 /* as client-go's dialer */
#define PENDING_BYTES                                                                              \
	(256u << 10) /* of an answer that the client has not read yet: then the target waits */

struct proxying {
	struct request *q; /* NULL once its client is gone or served */
	struct loop *loop;
	struct proxy_message m;
	struct http_client *client;
	struct http_call *call;
	struct http_upgrade_call *upgrade;
	char authority[ADDR_TEXT_BYTES], from[ADDR_TEXT_BYTES];
	bool started;
	struct defer bury;
};

static void bury(struct defer *d)
{
	struct proxying *p = container_of(d, struct proxying, bury);

	if (p->client)
		http_client_free(p->client);
	free(p);
}

static void proxying_end(struct proxying *p)
{
	p->q = NULL;
	loop_defer(p->loop, &p->bury);
}

static void client_closed(void *ctx)
{
	struct proxying *p = ctx;

	request_detach(p->q);
	http_call_cancel(p->call);
	http_upgrade_cancel(p->upgrade);
	proxying_end(p);
}

/* Nothing has been answered yet. */
static void fail(struct proxying *p, const struct err *e)
{
	struct request *q = p->q;

	http_on_closed(q->x, NULL, NULL);
	proxying_end(p);
	reply_error(q, e);
}

static void unreachable(struct proxying *p, const char *why)
{
	struct err e;

	err_set(&e, ERR_UNAVAILABLE, "error trying to reach service: %s", why);
	fail(p, &e);
}

/* ---- a plain request ---- */

static void on_response(void *ctx, int status, struct http_headers headers)
{
	struct proxying *p = ctx;
	struct http_headers answer;
	struct err e;

	if (!p->q)
		return;
	if (proxy_message_answer(&p->m, headers, &answer, &e) < 0) {
		http_call_cancel(p->call);
		fail(p, &e);
		return;
	}
	p->started = true;
	http_reply_start(p->q->x, status, answer.at, answer.n);
}

static void on_drained(void *ctx)
{
	struct proxying *p = ctx;

	if (p->q)
		http_call_want_body(p->call, true);
}

static void on_data(void *ctx, struct str bytes)
{
	struct proxying *p = ctx;

	if (!p->q)
		return;
	http_reply_write(p->q->x, bytes);
	if (http_reply_pending(p->q->x) > PENDING_BYTES)
		http_call_want_body(p->call, false);
}

static void on_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct proxying *p = ctx;
	struct request *q = p->q;

	(void)trailers;
	if (!q)
		return;
	if (!p->started) {
		unreachable(p, e ? e->message : "no answer");
		return;
	}
	struct http_exchange *x = q->x;
	proxying_end(p);
	request_detach(q);
	http_reply_on_drained(x, NULL, NULL);
	if (e)
		http_reply_abort(x);
	else
		http_reply_end(x);
}

static const struct http_call_ops call_ops = {
	.response = on_response, .data = on_data, .done = on_done};

/* ---- a request that becomes another protocol ---- */

static void on_upgraded(void *ctx, struct conn *target, struct http_headers headers)
{
	struct proxying *p = ctx;
	struct http_exchange *x = p->q->x;

	conn_set_ops(target, &stream_hold_ops, NULL);
	http_on_closed(x, NULL, NULL);
	request_detach(p->q);
	proxying_end(p);
	struct conn *client = http_upgrade(x, headers.at, headers.n, &stream_hold_ops, NULL);
	if (client)
		stream_pipe_join(p->loop, client, target);
	else
		conn_close(target);
}

static void on_refused(void *ctx, int status, struct str body, const struct err *e)
{
	struct proxying *p = ctx;
	const struct http_header text = {STR("content-type"), STR("text/plain; charset=utf-8")};

	if (status == 0) {
		unreachable(p, e ? e->message : "no answer");
		return;
	}
	struct http_exchange *x = p->q->x;
	http_on_closed(x, NULL, NULL);
	request_detach(p->q);
	proxying_end(p);
	http_reply(x, status, &text, 1, body);
}

static const struct http_upgrade_ops upgrade_ops = {on_upgraded, on_refused};

static bool wants_upgrade(const struct http_request *r)
{
	return !r->h2 && http_header_has_token(r->headers, "connection", "upgrade") &&
	       http_header_get(r->headers, "upgrade").len;
}

/* The one header of the hop that goes on: what to become. */
static int upgrade_headers(const struct request *q, struct http_headers *headers, struct err *e)
{
	struct http_header *all = arena_alloc(q->arena, (headers->n + 1) * sizeof(*all));

	if (!all)
		return err_set(e, ERR_BAD_REQUEST, "the request is too large");
	memcpy(all, headers->at, headers->n * sizeof(*all));
	all[headers->n] =
		(struct http_header){STR("upgrade"), http_header_get(q->http->headers, "upgrade")};
	*headers = (struct http_headers){all, headers->n + 1};
	return 0;
}

/* ---- the beginning of both ---- */

/* What pods present is signed by nobody we know: their certificates are not looked at. */
static struct tls *pod_tls(struct apiserver *api, struct err *e)
{
	const struct tls_config c = {.verify_peer = false};

	if (!api->pod_tls)
		api->pod_tls = tls_client_new(&c, e);
	return api->pod_tls;
}

static void send_on(struct proxying *p, const struct http_client_config *config,
		    const struct http_call_request *call)
{
	http_on_closed(p->q->x, client_closed, p);
	if (wants_upgrade(p->q->http)) {
		p->upgrade = http_client_upgrade(p->loop, config, call, &upgrade_ops, p);
		return;
	}
	http_reply_on_drained(p->q->x, on_drained, p);
	p->client = http_client_new(p->loop, config);
	p->call = http_client_send(p->client, call, &call_ops, p);
}

static int start(struct proxying *p, const struct proxy_target *t, struct err *e)
{
	struct request *q = p->q;
	const char *authority =
		arena_strndup(q->arena, q->http->authority.ptr, q->http->authority.len);
	struct http_headers headers;
	const struct http_client_config config = {
		.to = t->to,
		.authority = authority && authority[0] ? authority : p->authority,
		.server_name = t->ip,
		.tls = t->tls ? pod_tls(q->api, e) : NULL,
		.connect_timeout_ms = CONNECT_MS};

	if (t->tls && !config.tls)
		return -1;
	if (proxy_message_request(&p->m, q->http, &headers, e) < 0 ||
	    (wants_upgrade(q->http) && upgrade_headers(q, &headers, e) < 0))
		return -1;
	const struct http_call_request call = {
		.method = arena_strndup(q->arena, q->http->method.ptr, q->http->method.len),
		.path = proxy_message_path(&p->m, q->http->query),
		.headers = headers.at,
		.n_headers = headers.n,
		.body = q->http->body,
	};
	if (!call.method || !call.path)
		return err_set(e, ERR_BAD_REQUEST, "the request is too large");
	send_on(p, &config, &call);
	return 0;
}

static void proxy_to(struct request *q, const struct proxy_target *t)
{
	struct proxying *p = xcalloc(1, sizeof(*p));
	const struct addr *from = http_peer_addr(q->x);
	struct err e;

	p->q = q;
	p->loop = q->api->loop;
	p->bury.run = bury;
	addr_text(&t->to, p->authority);
	p->m = (struct proxy_message){.arena = q->arena,
				      .path = q->info.path,
				      .rest = q->info.rest,
				      .client = from->len ? addr_ip_text(from, p->from) : "",
				      .authority = p->authority,
				      .own_authority = q->http->authority};
	if (start(p, t, &e) < 0) {
		free(p);
		reply_error(q, &e);
	}
}

/* Relative links of what is behind would lead out of it: it begins at a slash. */
static bool redirect_to_root(struct request *q)
{
	size_t len = strlen(q->info.path);
	bool reads = str_eq_c(q->http->method, "GET") || str_eq_c(q->http->method, "HEAD");

	if (q->info.rest || !reads || q->info.path[len - 1] == '/' || wants_upgrade(q->http))
		return false;
	const char *location = arena_printf(q->arena, STR_FMT "/%s" STR_FMT, STR_ARG(q->http->path),
					    q->http->query.len ? "?" : "", STR_ARG(q->http->query));
	if (!location)
		return false;
	reply_header(q, "location", location);
	reply_text(q, 301, "");
	return true;
}

void handle_proxy(struct request *q)
{
	struct proxy_target t;
	struct err e;

	if (proxy_target_find(q, &t, &e) < 0)
		reply_error(q, &e);
	else if (!redirect_to_root(q))
		proxy_to(q, &t);
}
