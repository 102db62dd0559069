#include "codec/jx.h"
#include "roles/node/action_int.h"

#include <ctype.h>
#include <stdio.h>

#define HEADERS_MAX 32 /* a probe's own; kube-apiserver has no limit, nobody writes more */
#define HEALTH_REQUEST_BYTES 512

static void client_stop(struct action *a)
{
	http_call_cancel(a->http_call);
	grpc_cancel(a->grpc_call);
	http_client_free(a->client);
	tls_unref(a->tls);
}

static int client_open(struct action *a, const json_t *spec, bool https, bool h2, char *authority,
		       size_t cap, struct err *e)
{
	struct http_client_config config = { .authority = authority,
					     .h2 = h2,
					     .connect_timeout_ms = a->timeout_ms };
	struct tls_config tls = { .verify_peer = false };
	const char *ip;
	uint16_t port;

	if (action_target(a, spec, &ip, &port, e) < 0 || addr_from_ip(ip, port, &config.to, e) < 0)
		return -1;
	if (https && !(a->tls = tls_client_new(&tls, e)))
		return -1;
	snprintf(authority, cap, "%s:%u", ip, port);
	config.tls = a->tls;
	config.server_name = https ? ip : NULL;
	a->client = http_client_new(a->ctr->pod->node->loop, &config);
	return 0;
}

static void on_response(void *ctx, int status, struct http_headers headers)
{
	struct action *a = ctx;

	(void)headers;
	a->http_status = status;
}

static void on_http_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct action *a = ctx;

	(void)trailers;
	a->http_call = NULL;
	if (e && !a->http_status)
		action_end(a, false, "Get: %s", e->message);
	else if (a->http_status >= 200 && a->http_status < 400)
		action_end(a, true, "%s", "");
	else
		action_end(a, false, "HTTP probe failed with statuscode: %d", a->http_status);
}

/* Names must be lower case here; the copies live in `names`. */
static size_t own_headers(const json_t *spec, struct http_header *out, char *names[HEADERS_MAX])
{
	size_t i, n = 0;
	const json_t *h;

	json_array_foreach(json_object_get(spec, "httpHeaders"), i, h)
	{
		const char *name = jx_str_or(h, "name", "");
		if (n == HEADERS_MAX || !strcasecmp(name, "host"))
			continue;
		names[n] = xstrdup(name);
		for (char *p = names[n]; *p; p++)
			*p = (char)tolower((unsigned char)*p);
		out[n] =
			(struct http_header){ str_of(names[n]), str_of(jx_str_or(h, "value", "")) };
		n++;
	}
	return n;
}

static const struct http_call_ops http_ops = { on_response, NULL, on_http_done };

static void http_start(struct action *a, const json_t *spec)
{
	bool https = c_eq(jx_str(spec, "scheme"), "HTTPS");
	const char *path = jx_str_or(spec, "path", "/");
	cleanup(freep) char *absolute = path[0] == '/' ? xstrdup(path) : xasprintf("/%s", path);
	struct http_header headers[HEADERS_MAX + 2];
	char *names[HEADERS_MAX], authority[ADDR_TEXT_BYTES];
	struct err e;

	if (client_open(a, spec, https, false, authority, sizeof(authority), &e) < 0) {
		action_end(a, false, "%s", e.message);
		return;
	}
	size_t n = own_headers(spec, headers, names), own = n;
	headers[n++] = (struct http_header){ STR("user-agent"), STR("kube-probe/1.33") };
	headers[n++] = (struct http_header){ STR("accept"), STR("*/*") };
	struct http_call_request r = { .method = "GET",
				       .path = absolute,
				       .headers = headers,
				       .n_headers = n,
				       .timeout_ms = a->timeout_ms };
	a->http_call = http_client_send(a->client, &r, &http_ops, a);
	for (size_t i = 0; i < own; i++)
		free(names[i]);
}

const struct action_kind action_http = { "httpGet", http_start, client_stop };

static void on_connected(struct conn *c, void *ctx)
{
	(void)c;
	action_end(ctx, true, "%s", "");
}

static size_t on_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)c;
	(void)ctx;
	(void)bytes;
	return len;
}

static void on_eof(struct conn *c, void *ctx)
{
	(void)c;
	(void)ctx;
}

static void on_connect_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct action *a = ctx;

	(void)c;
	a->conn = NULL;
	action_end(a, false, "%s", e->message);
}

static const struct conn_ops tcp_ops = { on_connected, on_bytes, on_eof, NULL, on_connect_failed };

static void tcp_start(struct action *a, const json_t *spec)
{
	struct addr to;
	const char *ip;
	uint16_t port;
	struct err e;

	if (action_target(a, spec, &ip, &port, &e) == 0 && addr_from_ip(ip, port, &to, &e) == 0)
		a->conn = conn_connect(a->ctr->pod->node->loop, &to, NULL, NULL, &tcp_ops, a, &e);
	if (!a->conn)
		action_end(a, false, "%s", e.message);
}

static void tcp_stop(struct action *a)
{
	conn_close(a->conn);
}

const struct action_kind action_tcp = { "tcpSocket", tcp_start, tcp_stop };

/* grpc.health.v1.HealthCheckResponse.status */
static const char *const serving_names[] = { "UNKNOWN", "SERVING", "NOT_SERVING",
					     "SERVICE_UNKNOWN" };
#define SERVING 1

static void on_grpc(void *ctx, struct str message, const struct err *e)
{
	struct action *a = ctx;
	/* Field 1, a varint; an empty message is status 0. */
	unsigned status = message.len >= 2 && message.ptr[0] == 0x08 ? (uint8_t)message.ptr[1] : 0;

	a->grpc_call = NULL;
	if (e)
		action_end(a, false, "service unhealthy: %s", e->message);
	else if (status == SERVING)
		action_end(a, true, "%s", "");
	else
		action_end(a, false, "service unhealthy (responded with \"%s\")",
			   status < ARRAY_LEN(serving_names) ? serving_names[status] : "?");
}

static void grpc_start(struct action *a, const json_t *spec)
{
	const char *service = jx_str_or(spec, "service", "");
	size_t len = MIN(strlen(service), (size_t)127); /* a one-byte length */
	char request[HEALTH_REQUEST_BYTES], authority[ADDR_TEXT_BYTES];
	struct err e;

	if (client_open(a, spec, false, true, authority, sizeof(authority), &e) < 0) {
		action_end(a, false, "%s", e.message);
		return;
	}
	request[0] = 0x0a;
	request[1] = (char)len;
	memcpy(request + 2, service, len);
	a->grpc_call =
		grpc_unary(a->client, "/grpc.health.v1.Health/Check",
			   (struct str){ request, len ? len + 2 : 0 }, a->timeout_ms, on_grpc, a);
}

const struct action_kind action_grpc = { "grpc", grpc_start, client_stop };
