#include "roles/node/kubelet_server.h"

#include "base/file.h"
#include "roles/node/pod_worker.h"
#include "roles/node/pods.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <unistd.h>

#define BODY_MAX 4096 /* its requests have none */
#define CONNECTIONS_MAX 1024
#define IDLE_MS 300000
#define BACKLOG 256
#define PEM_BYTES (64u << 10)
#define TEXT_BYTES 1024
#define PATH_PARTS 4

struct kubelet_server {
	struct node *node;
	struct http_server *http;
	struct tls *tls;
};

void kubelet_reply(struct http_exchange *x, int status, const char *fmt, ...)
{
	const struct http_header type = { STR("content-type"), STR("text/plain; charset=utf-8") };
	char text[TEXT_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	http_reply(x, status, &type, 1, str_of(text));
}

static void healthz(struct node *n, struct http_exchange *x, struct str rest)
{
	(void)n;
	(void)rest;
	kubelet_reply(x, 200, "ok");
}

static void list_pods(struct node *n, struct http_exchange *x, struct str rest)
{
	const struct http_header type = { STR("content-type"), STR("application/json") };
	json_t *items = json_array();

	(void)rest;
	for (struct map_iter it = { 0 }; map_next(&n->pods, &it);)
		json_array_append(items, ((struct pod *)it.value)->obj);
	cleanup(json_decrefp) json_t *list =
		json_pack("{s:s, s:s, s:{}, s:o}", "kind", "PodList", "apiVersion", "v1",
			  "metadata", "items", items);
	cleanup(freep) char *text = jx_dump_text(list);
	http_reply(x, 200, &type, 1, str_of(text));
}

static const struct route {
	const char *prefix;
	kubelet_handler_fn *handle;
	bool open; /* without a client certificate */
} routes[] = {
	{ "/healthz", healthz, true },
	{ "/pods", list_pods, false },
	{ "/containerLogs/", kubelet_logs, false },
	{ "/exec/", kubelet_exec, false },
	{ "/attach/", kubelet_attach, false },
	{ "/portForward/", kubelet_port_forward, false },
	{ "/metrics/resource", kubelet_resource_metrics, false },
};

static bool name_has(X509_NAME *name, int nid, const char *wanted)
{
	for (int at = -1; (at = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;) {
		const ASN1_STRING *v = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
		struct str text = { (const char *)ASN1_STRING_get0_data(v),
				    (size_t)ASN1_STRING_length(v) };
		if (str_eq_c(text, wanted))
			return true;
	}
	return false;
}

/* The chain was checked by TLS: what counts here is who it is. */
static bool may_enter(struct http_exchange *x)
{
	X509 *cert = http_peer_cert(x);
	X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;

	return subject && (name_has(subject, NID_organizationName, "system:masters") ||
			   name_has(subject, NID_commonName, "kube-apiserver-kubelet-client"));
}

static void on_request(void *ctx, struct http_exchange *x)
{
	struct kubelet_server *s = ctx;
	struct str path = http_request_of(x)->path;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		struct str prefix = str_of(routes[i].prefix);
		bool tree = str_ends(prefix, STR("/"));
		if (tree ? !str_starts(path, prefix) : !str_eq(path, prefix))
			continue;
		if (routes[i].open || may_enter(x))
			routes[i].handle(
				s->node, x,
				(struct str){ path.ptr + prefix.len, path.len - prefix.len });
		else
			kubelet_reply(x, http_peer_cert(x) ? 403 : 401,
				      http_peer_cert(x) ? "Forbidden" : "Unauthorized");
		return;
	}
	kubelet_reply(x, 404, "404 page not found");
}

static size_t split(struct http_exchange *x, struct str rest, const char *parts[PATH_PARTS])
{
	size_t n = 0;

	while (rest.ptr && n < PATH_PARTS) {
		parts[n] = uri_decode(str_cut(rest, '/', &rest), http_arena(x));
		if (!parts[n] || !parts[n][0])
			return 0;
		n++;
	}
	return rest.ptr ? 0 : n;
}

static struct pod *find_pod(struct node *n, struct http_exchange *x, const char *ns,
			    const char *name, const char *uid)
{
	struct pod *p = pods_find(n, ns, name);

	if (p && (!uid || c_eq(uid, p->uid)))
		return p;
	kubelet_reply(x, 404, "pod \"%s\" not found\n", name);
	return NULL;
}

struct pod *kubelet_find_pod(struct node *n, struct http_exchange *x, struct str rest)
{
	const char *part[PATH_PARTS];
	size_t parts = split(x, rest, part);

	if (parts != 2 && parts != 3) {
		kubelet_reply(x, 400, "a path like namespace/pod is needed");
		return NULL;
	}
	return find_pod(n, x, part[0], part[1], parts == 3 ? part[2] : NULL);
}

struct ctr *kubelet_find_ctr(struct node *n, struct http_exchange *x, struct str rest)
{
	const char *part[PATH_PARTS];
	size_t parts = split(x, rest, part);

	if (parts != 3 && parts != 4) {
		kubelet_reply(x, 400, "a path like namespace/pod/container is needed");
		return NULL;
	}
	struct pod *p = find_pod(n, x, part[0], part[1], parts == 4 ? part[2] : NULL);
	struct ctr *c = p ? pod_ctr(p, part[parts - 1]) : NULL;
	if (p && !c)
		kubelet_reply(x, 404, "container %s is not valid for pod %s", part[parts - 1],
			      p->name);
	return c;
}

static int read_pem(const struct node *n, const char *name, struct buf *out, struct err *e)
{
	cleanup(freep) char *path = xasprintf("%s/pki/%s", n->config->data_dir, name);

	buf_init(out, PEM_BYTES);
	return file_read(path, out, e);
}

static struct tls *open_tls(const struct node *n, struct err *e)
{
	struct buf cert = { 0 }, key = { 0 }, ca = { 0 };
	static const char *const alpn[] = { "http/1.1", NULL }; /* upgrades need it */
	struct tls *t = NULL;

	if (read_pem(n, "kubelet.crt", &cert, e) == 0 && read_pem(n, "kubelet.key", &key, e) == 0 &&
	    read_pem(n, "ca.crt", &ca, e) == 0) {
		struct tls_config c = { .cert_pem = buf_str(&cert),
					.key_pem = buf_str(&key),
					.ca_pem = buf_str(&ca),
					.verify_peer = true,
					.alpn = alpn };
		t = tls_server_new(&c, e);
	}
	buf_done(&cert);
	buf_done(&key);
	buf_done(&ca);
	return t;
}

static int listen_fd(struct err *e)
{
	struct addr any;
	int fd = role_listen_fd("kubelet");

	if (fd >= 0)
		return fd;
	return addr_parse("0.0.0.0:10250", &any, e) < 0 ? -1 : addr_listen(&any, BACKLOG, e);
}

struct kubelet_server *kubelet_server_new(struct node *n, struct err *e)
{
	struct kubelet_server *s = xcalloc(1, sizeof(*s));
	struct http_server_config config = { .request = on_request,
					     .ctx = s,
					     .body_max = BODY_MAX,
					     .connections_max = CONNECTIONS_MAX,
					     .idle_ms = IDLE_MS };

	s->node = n;
	s->tls = open_tls(n, e);
	int fd = s->tls ? listen_fd(e) : -1;
	if (fd >= 0) {
		config.tls = s->tls;
		s->http = http_server_new(n->loop, &config);
		if (http_server_listen(s->http, fd, e) == 0)
			return s;
	}
	kubelet_server_free(s);
	return NULL;
}

void kubelet_server_free(struct kubelet_server *s)
{
	if (!s)
		return;
	if (s->http)
		http_server_free(s->http);
	if (s->tls)
		tls_unref(s->tls);
	free(s);
}
