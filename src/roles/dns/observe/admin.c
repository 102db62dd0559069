#include "roles/dns/observe/admin_int.h"

#include "net/addr.h"
#include "roles/dns/observe/metrics.h"
#include "roles/role.h"

#include <unistd.h>

#define BODY_MAX 1024	     /* nobody sends one */
#define CONNECTIONS_MAX 64   /* of one listener: probes, scrapers, some who watch */
#define IDLE_MS 120000
#define BACKLOG 64
#define METRICS_BYTES_MAX (256u << 20) /* SERIES_MAX histograms */

struct dns_admin {
	struct list link;
	struct dns_shared *shared;
	struct http_server *server;
	char *address;		      /* of a shared one; NULL otherwise */
	unsigned users[ADMIN_PATHS]; /* 0: not served here */
};

/* Those of plug-ins, by their address. */
static struct list shared_ones = { &shared_ones, &shared_ones };

void admin_reply(struct http_exchange *x, int status, const char *type, struct str body)
{
	const struct http_header h[] = { { STR("content-type"), str_of(type) }, { STR("cache-control"), STR("no-store") } };

	http_reply(x, status, h, ARRAY_LEN(h), body);
}

void admin_reply_text(struct http_exchange *x, int status, const char *text)
{
	admin_reply(x, status, "text/plain; charset=utf-8", str_of(text));
}

static void metrics(struct dns_shared *s, struct http_exchange *x)
{
	struct buf out;

	buf_init(&out, METRICS_BYTES_MAX);
	dns_metrics_write(s->metrics, s, &out);
	if (out.overflow)
		admin_reply_text(x, 500, "too many series");
	else
		admin_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&out));
	buf_done(&out);
}

static void health(struct dns_shared *s, struct http_exchange *x)
{
	(void)s;
	admin_reply_text(x, 200, "OK");
}

/* The names of the plug-ins that are not ready, each once. */
static void waiting_for(const struct dns_config *c, struct buf *out)
{
	for (size_t b = 0; b < c->n_blocks; b++)
		for (size_t i = 0; i < c->blocks[b].n_plugins; i++) {
			const struct plugin_instance *p = &c->blocks[b].plugins[i];
			if (p->plugin->ready && !p->plugin->ready(p) && !(out->len && strstr(out->ptr, p->plugin->name)))
				buf_printf(out, "%s%s", out->len ? "," : "", p->plugin->name);
		}
}

static void ready(struct dns_shared *s, struct http_exchange *x)
{
	const struct dns_config *c = dns_config_now(s);
	struct buf out;

	buf_init(&out, 4096);
	if (__atomic_load_n(&s->lame, __ATOMIC_RELAXED))
		buf_puts(&out, "Shutting down");
	else if (!c)
		buf_puts(&out, "no configuration yet");
	else
		waiting_for(c, &out);
	admin_reply_text(x, out.len ? 503 : 200, out.len ? out.ptr : "OK");
	buf_done(&out);
}

static const struct {
	const char *path;
	void (*handle)(struct dns_shared *s, struct http_exchange *x);
} paths[ADMIN_PATHS] = {
	[ADMIN_METRICS] = { "/metrics", metrics }, [ADMIN_HEALTH] = { "/health", health }, [ADMIN_READY] = { "/ready", ready },
	[ADMIN_QUERY] = { "/query", admin_query }, [ADMIN_LOG] = { "/log", admin_log },	  [ADMIN_TOP] = { "/top", admin_top },
};

static void not_here(const struct dns_admin *a, struct http_exchange *x)
{
	struct buf out;

	buf_init(&out, 1024);
	buf_puts(&out, "here are");
	for (size_t i = 0; i < ADMIN_PATHS; i++)
		if (a->users[i])
			buf_printf(&out, " %s", paths[i].path);
	admin_reply_text(x, 404, out.ptr);
	buf_done(&out);
}

static void request(void *ctx, struct http_exchange *x)
{
	const struct http_request *q = http_request_of(x);
	struct dns_admin *a = ctx;

	if (!str_eq(q->method, STR("GET")) && !str_eq(q->method, STR("HEAD"))) {
		admin_reply_text(x, 405, "only GET");
		return;
	}
	for (size_t i = 0; i < ADMIN_PATHS; i++)
		if (a->users[i] && str_eq_c(q->path, paths[i].path)) {
			paths[i].handle(a->shared, x);
			return;
		}
	not_here(a, x);
}

static struct dns_admin *admin_start(struct dns_shared *s, int fd, struct err *e)
{
	struct dns_admin *a = xcalloc(1, sizeof(*a));

	list_init(&a->link);
	a->shared = s;
	a->server = http_server_new(s->main_loop, &(struct http_server_config){ .request = request, .ctx = a, .body_max = BODY_MAX,
										.connections_max = CONNECTIONS_MAX, .idle_ms = IDLE_MS });
	if (http_server_listen(a->server, fd, e) < 0) {
		dns_admin_free(a);
		return NULL;
	}
	return a;
}

struct dns_admin *dns_admin_new(struct dns_shared *s, int fd, const char *const *names, struct err *e)
{
	struct dns_admin *a = admin_start(s, fd, e);

	for (size_t i = 0; a && i < ADMIN_PATHS; i++) {
		a->users[i] = names == NULL;
		for (const char *const *n = names; n && *n; n++)
			a->users[i] |= c_eq(*n, paths[i].path);
	}
	return a;
}

void dns_admin_free(struct dns_admin *a)
{
	if (!a)
		return;
	list_del(&a->link);
	http_server_free(a->server);
	free(a->address);
	free(a);
}

/* ---- shared ones ---- */
bool dns_admin_address(const char *text, struct addr *ret, struct err *e)
{
	struct str rest, host = str_cut(str_of(text), ':', &rest);
	cleanup(freep) char *local = str_eq_c(host, "localhost") && rest.ptr ? xasprintf("127.0.0.1:" STR_FMT, STR_ARG(rest)) : NULL;

	return addr_parse(local ? local : text, ret, e) == 0 && ret->ss.ss_family != AF_UNIX;
}

struct dns_admin *dns_admin_share(struct dns_shared *s, const char *address, enum dns_admin_path path, struct err *e)
{
	struct dns_admin *a;
	struct addr addr;
	int fd;

	list_for(n, tmp, &shared_ones) {
		a = list_entry(n, struct dns_admin, link);
		if (a->shared == s && c_eq(a->address, address)) {
			a->users[path]++;
			return a;
		}
	}
	if (!dns_admin_address(address, &addr, e))
		return NULL;
	/* The process that will replace this one listens there before this one ends. */
	fd = role_is_supervised() ? addr_listen_shared(&addr, BACKLOG, e) : addr_listen(&addr, BACKLOG, e);
	a = fd == -1 ? NULL : admin_start(s, fd, e);
	if (!a)
		return NULL;
	a->address = xstrdup(address);
	a->users[path] = 1;
	list_append(&shared_ones, &a->link);
	return a;
}

void dns_admin_unshare(struct dns_admin *a, enum dns_admin_path path)
{
	a->users[path]--;
	for (size_t i = 0; i < ADMIN_PATHS; i++)
		if (a->users[i])
			return;
	dns_admin_free(a);
}
