#include "roles/ingress/observe/admin.h"

#include "net/http_server.h"
#include "roles/ingress/observe/explain.h"
#include "roles/ingress/observe/scrape.h"
#include "roles/ingress/observe/top.h"

#include <unistd.h>

#define BODY_MAX 1024 /* nobody sends one */
#define IDLE_MS 120000
#define BACKLOG 64
#define HEADERS_MAX 64

struct admin {
	struct loop *main;
	struct shared *shared;
	struct explainer *explainer;
	struct http_server *server; /* NULL: no address */
	struct list scrapes;
};

static void reply(struct http_exchange *x, int status, const char *type, struct str body)
{
	const struct http_header h[] = { { STR("content-type"), str_of(type) }, { STR("cache-control"), STR("no-store") } };

	http_reply(x, status, h, ARRAY_LEN(h), body);
}

static void reply_json(struct http_exchange *x, json_t *v)
{
	cleanup(freep) char *text = jx_dump_text(v);

	reply(x, 200, "application/json", str_of(text));
	json_decref(v);
}

static void reply_text(struct http_exchange *x, int status, const char *text)
{
	reply(x, status, "text/plain; charset=utf-8", str_of(text));
}

/* ---- /metrics ---- */
static void metrics(struct admin *a, struct http_exchange *x)
{
	const struct http_request *q = http_request_of(x);

	scrape_start(a->main, &a->scrapes, a->shared->metrics, x, http_query_get(q->query, "exclude", http_arena(x)));
}

/* ---- the others ---- */
static void healthz(struct admin *a, struct http_exchange *x)
{
	(void)a;
	reply_text(x, 200, "ok");
}

static void readyz(struct admin *a, struct http_exchange *x)
{
	bool ready = __atomic_load_n(&a->shared->synced, __ATOMIC_ACQUIRE);

	reply_text(x, ready ? 200 : 503, ready ? "ok" : "routes are not loaded yet");
}

static void top(struct admin *a, struct http_exchange *x)
{
	struct buf out;

	buf_init(&out, TOP_BYTES_MAX);
	top_write(a->shared, &out);
	if (out.overflow)
		reply_text(x, 500, "too many routes");
	else
		reply(x, 200, "application/json", buf_str(&out));
	buf_done(&out);
}

static void explain_it(struct admin *a, struct http_exchange *x)
{
	const struct http_request *q = http_request_of(x);
	struct arena *arena = http_arena(x);
	struct http_header headers[HEADERS_MAX];
	struct explain_request r = { .url = str_of(http_query_get(q->query, "url", arena)),
				     .method = str_of(http_query_get(q->query, "method", arena)),
				     .client = str_of(http_query_get(q->query, "client", arena)), .headers = headers };
	const char *text;
	struct err e;

	while (r.n_headers < HEADERS_MAX && (text = http_query_get_nth(q->query, "header", r.n_headers, arena))) {
		struct str value, name = str_trim(str_cut(str_of(text), ':', &value));
		headers[r.n_headers++] = (struct http_header){ name, value.ptr ? str_trim(value) : STR("") };
	}
	json_t *doc = explain(a->explainer, &r, &e);
	if (doc)
		reply_json(x, doc);
	else
		reply_text(x, 400, e.message);
}

static const struct {
	const char *path;
	void (*handle)(struct admin *a, struct http_exchange *x);
} paths[] = {
	{ "/metrics", metrics }, { "/healthz", healthz }, { "/readyz", readyz }, { "/top", top }, { "/explain", explain_it },
};

static void request(void *ctx, struct http_exchange *x)
{
	const struct http_request *q = http_request_of(x);
	struct admin *a = ctx;

	if (!str_eq(q->method, STR("GET"))) {
		reply_text(x, 405, "only GET");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		if (str_eq_c(q->path, paths[i].path)) {
			paths[i].handle(a, x);
			return;
		}
	reply_text(x, 404, "here are /metrics, /healthz, /readyz, /top and /explain");
}

struct admin *admin_new(struct loop *main, struct shared *s, int fd, struct err *e)
{
	struct admin *a = xcalloc(1, sizeof(*a));

	a->main = main;
	a->shared = s;
	list_init(&a->scrapes);
	a->explainer = explainer_new(s);
	if (fd == -1)
		return a;
	a->server = http_server_new(a->main, &(struct http_server_config){ .request = request, .ctx = a, .body_max = BODY_MAX,
									   .connections_max = ADMIN_CONNECTIONS_MAX,
									   .idle_ms = IDLE_MS });
	if (http_server_listen(a->server, fd, e) < 0) {
		admin_free(a);
		return NULL;
	}
	return a;
}

void admin_free(struct admin *a)
{
	if (!a)
		return;
	if (a->server)
		http_server_free(a->server);
	scrapes_free(&a->scrapes);
	explainer_free(a->explainer);
	free(a);
}
