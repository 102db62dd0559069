#include "roles/apiserver/stream.h"

#include "net/http_client.h"
#include "roles/apiserver/status.h"
#include "roles/apiserver/stream_channels.h"
#include "roles/apiserver/stream_pipe.h"
#include "roles/apiserver/stream_request.h"

/* as client-go's dialer: a node that is gone should be told soon */
#define CONNECT_TIMEOUT_MS 30000
/* X-Stream-Protocol-Version headers that are passed on; kubectl sends five */
#define PROTOCOLS_MAX 16

/* From the request until the kubelet has answered. */
struct proxying {
	struct loop *loop;
	struct http_exchange *x;
	struct http_upgrade_call *call;
	struct stream_protocol protocol;
	struct stream_options options;
};

static void reply_status(struct http_exchange *x, enum err_reason reason, const char *message)
{
	const struct http_header h = { STR("content-type"), STR("application/json") };
	json_t *status = status_failure(reason, message);
	char *text = jx_dump_text(status);

	http_reply(x, err_http(reason), &h, 1, str_of(text));
	free(text);
	json_decref(status);
}

/* ---- the kubelet has answered ---- */

static void join_spdy(struct proxying *p, struct conn *node, struct http_headers headers)
{
	const struct http_header h[] = {
		{ STR("upgrade"), STR("SPDY/3.1") },
		{ STR("connection"), STR("Upgrade") },
		{ STR("x-stream-protocol-version"),
		  http_header_get(headers, "x-stream-protocol-version") },
	};
	struct conn *client = http_upgrade(p->x, h, h[2].value.len ? 3 : 2, &stream_hold_ops, NULL);

	if (client)
		stream_pipe_join(p->loop, client, node);
	else
		conn_close(node);
}

static void join_tunnel(struct proxying *p, struct conn *node)
{
	struct conn *client = stream_ws_upgrade(p->x, &p->protocol);

	if (client)
		stream_tunnel_join(p->loop, client, node);
	else
		conn_close(node);
}

static void on_upgraded(void *ctx, struct conn *node, struct http_headers headers)
{
	struct proxying *p = ctx;

	http_on_closed(p->x, NULL, NULL);
	conn_set_ops(node, &stream_hold_ops, NULL);
	switch (p->protocol.dialect) {
	case STREAM_SPDY:
		join_spdy(p, node, headers);
		break;
	case STREAM_TUNNEL:
		join_tunnel(p, node);
		break;
	case STREAM_CHANNELS:
	case STREAM_CHANNELS_BASE64:
		stream_channels_run(p->loop, p->x, &p->protocol, &p->options, node);
		break;
	}
	free(p);
}

/* A client of SPDY reads the kubelet's own answer; one of channels is told through its error
 * channel. */
static void on_refused(void *ctx, int status, struct str body, const struct err *e)
{
	struct proxying *p = ctx;
	const struct http_header h = { STR("content-type"), STR("text/plain; charset=utf-8") };
	struct str said = body;
	bool channels = p->protocol.dialect == STREAM_CHANNELS ||
			p->protocol.dialect == STREAM_CHANNELS_BASE64;
	while (said.len && said.ptr[said.len - 1] == '\n')
		said.len--;
	cleanup(freep) char *message =
		status == 0 ? xasprintf("error dialing backend: %s", e ? e->message : "no answer")
			    : xasprintf("unable to upgrade connection: " STR_FMT, STR_ARG(said));

	http_on_closed(p->x, NULL, NULL);
	if (channels)
		stream_channels_refuse(p->loop, p->x, &p->protocol, message);
	else if (status < 400)
		reply_status(p->x, ERR_INTERNAL, message);
	else
		http_reply(p->x, status, &h, 1, body);
	free(p);
}

static void on_client_gone(void *ctx)
{
	struct proxying *p = ctx;

	http_upgrade_cancel(p->call);
	free(p);
}

static const struct http_upgrade_ops node_ops = { on_upgraded, on_refused };

/* ---- asking it ---- */

/* What the kubelet is to speak inside SPDY: the client's own list when the client reads it, else
 * what we translate. */
static size_t put_protocols(const struct proxying *p, enum stream_kind kind,
			    struct http_header h[PROTOCOLS_MAX])
{
	const struct http_headers from = http_request_of(p->x)->headers;
	size_t n = 0;

	if (p->protocol.dialect != STREAM_SPDY) {
		h[0] = (struct http_header){ STR("x-stream-protocol-version"),
					     STR("v4.channel.k8s.io") };
		if (kind == STREAM_PORTFORWARD)
			h[0].value = STR("portforward.k8s.io");
		return 1;
	}
	for (size_t i = 0; i < from.n && n < PROTOCOLS_MAX; i++)
		if (str_eq_c(from.at[i].name, "x-stream-protocol-version"))
			h[n++] = from.at[i];
	return n;
}

static void ask_kubelet(struct proxying *p, const struct stream_target *t, const char *path)
{
	struct http_header h[1 + PROTOCOLS_MAX] = { { STR("upgrade"), STR("SPDY/3.1") } };
	char authority[ADDR_TEXT_BYTES];
	const struct http_client_config to = {
		.to = t->kubelet,
		.authority = addr_text(&t->kubelet, authority),
		.server_name = t->server_name,
		.tls = t->tls,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
	};
	const struct http_call_request r = {
		.method = "POST",
		.path = path,
		.headers = h,
		.n_headers = 1 + put_protocols(p, t->kind, h + 1),
	};

	http_on_closed(p->x, on_client_gone, p);
	p->call = http_client_upgrade(p->loop, &to, &r, &node_ops, p);
}

void stream_proxy(struct loop *l, struct http_exchange *x, const struct stream_target *t)
{
	const struct http_request *r = http_request_of(x);
	struct stream_protocol protocol;
	struct stream_options options = { 0 };
	struct err e;

	if (stream_protocol_choose(t->kind, r, &protocol, &e) < 0 ||
	    (t->kind != STREAM_PORTFORWARD &&
	     stream_options_parse(r->query, http_arena(x), &options, &e) < 0)) {
		reply_status(x, e.reason, e.message);
		return;
	}
	const char *path = stream_kubelet_path(t, r->query, &options, http_arena(x));
	if (!path) {
		reply_status(x, ERR_TOO_LARGE, "the command is too long");
		return;
	}
	struct proxying *p = xcalloc(1, sizeof(*p));
	*p = (struct proxying){ .loop = l, .x = x, .protocol = protocol, .options = options };
	ask_kubelet(p, t, path);
}
