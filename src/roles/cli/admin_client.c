#include "roles/cli/admin_client.h"

#include "net/http_client.h"

#include <ctype.h>
#include <stdio.h>

#define CONNECT_MS 2000
#define ANSWER_MS 15000
#define ANSWER_BYTES_MAX (64u << 20) /* TOP_BYTES_MAX of the proxy */

struct asked {
	struct loop *loop;
	struct buf body;
	struct err *e;
	int status; /* 0: failed */
};

static void on_response(void *ctx, int status, struct http_headers headers)
{
	(void)headers;
	((struct asked *)ctx)->status = status;
}

static void on_data(void *ctx, struct str bytes)
{
	buf_put_str(&((struct asked *)ctx)->body, bytes);
}

static void on_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct asked *a = ctx;

	(void)trailers;
	if (e) {
		*a->e = *e;
		a->status = 0;
	}
	loop_stop(a->loop);
}

void admin_encode(struct buf *out, const char *value)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (isalnum(*p) || strchr("-._~/", *p))
			buf_putc(out, (char)*p);
		else
			buf_printf(out, "%%%02X", *p);
}

/* Where to connect to: the proxy may listen on every address. */
static int target(const struct config *c, struct addr *ret, struct err *e)
{
	const char *text = c->ingress_admin_address;
	const char *port = text ? strrchr(text, ':') : NULL;

	if (!port)
		return err_set(e, ERR_INVALID, "--ingress-admin-address '%s' must be ADDRESS:PORT", text ? text : "");
	if (port == text || strncmp(text, "0.0.0.0:", 8) == 0 || strncmp(text, "[::]:", 5) == 0) {
		cleanup(freep) char *local = xasprintf("127.0.0.1%s", port);
		return addr_parse(local, ret, e);
	}
	return addr_parse(text, ret, e);
}

static json_t *parse(const struct config *c, struct asked *a)
{
	if (a->status == 0) {
		err_wrap(a->e, "the ingress proxy does not answer on %s", c->ingress_admin_address);
		size_t n = strlen(a->e->message);
		snprintf(a->e->message + n, sizeof(a->e->message) - n,
			 "; is it running (`portico status`)? Another address is given with --ingress-admin-address");
		return NULL;
	}
	if (a->status != 200) {
		err_set(a->e, err_reason_of_http(a->status), "%.*s", (int)MIN(a->body.len, 400u), a->body.ptr ? a->body.ptr : "");
		return NULL;
	}
	return jx_parse(buf_str(&a->body), ANSWER_BYTES_MAX, a->e);
}

json_t *admin_ask(const struct config *c, const char *path, struct err *e)
{
	static const struct http_call_ops ops = { .response = on_response, .data = on_data, .done = on_done };
	struct asked a = { .e = e };
	struct addr to;

	if (target(c, &to, e) < 0)
		return NULL;
	a.loop = loop_new(e);
	if (!a.loop)
		return NULL;
	buf_init(&a.body, ANSWER_BYTES_MAX);
	struct http_client *client = http_client_new(a.loop, &(struct http_client_config){ .to = to, .authority = "localhost",
											   .connect_timeout_ms = CONNECT_MS });
	http_client_send(client, &(struct http_call_request){ .method = "GET", .path = path, .timeout_ms = ANSWER_MS }, &ops, &a);
	loop_run(a.loop);
	json_t *doc = parse(c, &a);
	http_client_free(client);
	loop_free(a.loop);
	buf_done(&a.body);
	return doc;
}
