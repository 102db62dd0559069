/* exec, attach and port-forward: the runtime says where its streaming server listens, and the
 * request, upgrade and all, is passed on to it byte for byte. */
#include "net/http_client.h"
#include "roles/node/kubelet_server.h"
#include "roles/node/pod.h"
#include "roles/node/tunnel.h"

#define COMMAND_WORDS_MAX 4096 /* ARG_MAX would be hit long before */
#define UPGRADE_HEADERS_MAX 16
#define CONNECT_TIMEOUT_MS 5000

struct streaming {
	struct node *node;
	struct http_exchange *x;
	struct cri_call *cri_call;
	struct http_upgrade_call *upgrade_call;
};

static void streaming_fail(struct streaming *s, int status, struct str text)
{
	struct http_exchange *x = s->x;

	http_on_closed(x, NULL, NULL);
	free(s);
	kubelet_reply(x, status, STR_FMT, STR_ARG(text));
}

static void on_client_gone(void *ctx)
{
	struct streaming *s = ctx;

	cri_cancel(s->cri_call);
	http_upgrade_cancel(s->upgrade_call);
	free(s);
}

static bool is_upgrade_header(struct str name)
{
	return str_eq(name, STR("upgrade")) || str_eq(name, STR("connection")) ||
	       str_eq(name, STR("x-stream-protocol-version")) ||
	       str_starts(name, STR("sec-websocket-"));
}

static void on_upgraded(void *ctx, struct conn *far, struct http_headers headers)
{
	struct streaming *s = ctx;
	struct http_header keep[UPGRADE_HEADERS_MAX];
	struct http_exchange *x = s->x;
	struct loop *l = s->node->loop;
	size_t n = 0;

	for (size_t i = 0; i < headers.n && n < UPGRADE_HEADERS_MAX; i++)
		if (is_upgrade_header(headers.at[i].name))
			keep[n++] = headers.at[i];
	http_on_closed(x, NULL, NULL);
	free(s);
	struct tunnel *t = tunnel_new(l, far);
	tunnel_join(t, http_upgrade(x, keep, n, &tunnel_near_ops, t));
}

static void on_refused(void *ctx, int status, struct str body, const struct err *e)
{
	struct streaming *s = ctx;

	s->upgrade_call = NULL;
	if (e)
		streaming_fail(s, 502, str_of(e->message));
	else
		streaming_fail(s, status, body);
}

static const struct http_upgrade_ops upgrade_ops = { on_upgraded, on_refused };

/* "http://127.0.0.1:1234/exec/token" */
static int url_parse(const char *url, struct addr *ret_to, const char **ret_path, struct err *e)
{
	struct str rest = str_of(url), scheme = STR("http://");

	if (!str_starts(rest, scheme))
		return err_set(e, ERR_INTERNAL,
			       "the runtime's streaming address '%.128s' is not understood", url);
	const char *host = url + scheme.len;
	size_t len = strcspn(host, "/");
	cleanup(freep) char *text = xstrndup(host, len);
	*ret_path = host[len] ? host + len : "/";
	return addr_parse(text, ret_to, e);
}

static void on_url(void *ctx, const void *response, const struct err *e)
{
	struct streaming *s = ctx;
	const Cri__StreamResponse *r = response;
	const struct http_request *q = http_request_of(s->x);
	struct http_header keep[UPGRADE_HEADERS_MAX];
	struct http_call_request call = { .headers = keep };
	struct http_client_config to = { .connect_timeout_ms = CONNECT_TIMEOUT_MS };
	char authority[ADDR_TEXT_BYTES];
	struct err own;

	s->cri_call = NULL;
	if (e) {
		streaming_fail(s, err_http(e->reason), str_of(e->message));
		return;
	}
	if (url_parse(r->url, &to.to, &call.path, &own) < 0) {
		streaming_fail(s, 500, str_of(own.message));
		return;
	}
	for (size_t i = 0; i < q->headers.n && call.n_headers < UPGRADE_HEADERS_MAX; i++)
		if (is_upgrade_header(q->headers.at[i].name) &&
		    !str_eq(q->headers.at[i].name, STR("connection")))
			keep[call.n_headers++] = q->headers.at[i];
	to.authority = addr_text(&to.to, authority);
	call.method = str_eq(q->method, STR("GET")) ? "GET" : "POST";
	s->upgrade_call = http_client_upgrade(s->node->loop, &to, &call, &upgrade_ops, s);
}

static struct streaming *streaming_new(struct node *n, struct http_exchange *x)
{
	struct streaming *s = xcalloc(1, sizeof(*s));

	*s = (struct streaming){ .node = n, .x = x };
	http_on_closed(x, on_client_gone, s);
	return s;
}

static bool flag(struct http_exchange *x, const char *name)
{
	const char *v = http_query_get(http_request_of(x)->query, name, http_arena(x));

	return v && (c_eq(v, "1") || c_eq(v, "true"));
}

static bool is_upgrade(struct http_exchange *x)
{
	if (http_header_get(http_request_of(x)->headers, "upgrade").len)
		return true;
	kubelet_reply(x, 400, "unable to upgrade: missing upgrade headers in request");
	return false;
}

/* The running container; answers by itself when there is none. */
static struct ctr *find_running(struct node *n, struct http_exchange *x, struct str rest)
{
	struct ctr *c = is_upgrade(x) ? kubelet_find_ctr(n, x, rest) : NULL;

	if (c && c->state != CTR_RUNNING) {
		kubelet_reply(x, 500, "container not found (\"%s\")", c->name);
		return NULL;
	}
	return c;
}

void kubelet_exec(struct node *n, struct http_exchange *x, struct str rest)
{
	Cri__ExecRequest q = CRI__EXEC_REQUEST__INIT;
	const struct ctr *c = find_running(n, x, rest);
	cleanup(freep) const char **words = xcalloc(COMMAND_WORDS_MAX, sizeof(*words));

	if (!c)
		return;
	while (q.n_cmd < COMMAND_WORDS_MAX &&
	       (words[q.n_cmd] = http_query_get_nth(http_request_of(x)->query, "command", q.n_cmd,
						    http_arena(x))))
		q.n_cmd++;
	if (!q.n_cmd) {
		kubelet_reply(x, 400, "you must specify at least 1 command");
		return;
	}
	q.container_id = c->id;
	q.cmd = (char **)words;
	q.tty = flag(x, "tty");
	q.stdin = flag(x, "input") || flag(x, "stdin");
	q.stdout = flag(x, "output") || flag(x, "stdout");
	q.stderr = !q.tty && (flag(x, "error") || flag(x, "stderr"));
	struct streaming *s = streaming_new(n, x);
	s->cri_call = cri_send(n->cri, CRI_EXEC, &q, 0, on_url, s);
}

void kubelet_attach(struct node *n, struct http_exchange *x, struct str rest)
{
	Cri__AttachRequest q = CRI__ATTACH_REQUEST__INIT;
	const struct ctr *c = find_running(n, x, rest);

	if (!c)
		return;
	q.container_id = c->id;
	q.tty = flag(x, "tty");
	q.stdin = flag(x, "input") || flag(x, "stdin");
	q.stdout = flag(x, "output") || flag(x, "stdout");
	q.stderr = !q.tty && (flag(x, "error") || flag(x, "stderr"));
	struct streaming *s = streaming_new(n, x);
	s->cri_call = cri_send(n->cri, CRI_ATTACH, &q, 0, on_url, s);
}

void kubelet_port_forward(struct node *n, struct http_exchange *x, struct str rest)
{
	Cri__PortForwardRequest q = CRI__PORT_FORWARD_REQUEST__INIT;
	const struct pod *p = is_upgrade(x) ? kubelet_find_pod(n, x, rest) : NULL;

	if (!p)
		return;
	if (!p->sandbox_ready) {
		kubelet_reply(x, 500, "pod \"%s\" is not running", p->name);
		return;
	}
	q.pod_sandbox_id = p->sandbox_id;
	struct streaming *s = streaming_new(n, x);
	s->cri_call = cri_send(n->cri, CRI_PORT_FORWARD, &q, 0, on_url, s);
}
