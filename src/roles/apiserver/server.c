/* The API server's role: what it opens, in which order, and how it ends. */
#include "roles/apiserver/apiserver.h"

#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "kube/schema/validate.h"
#include "roles/apiserver/bootstrap.h"
#include "roles/apiserver/dispatch.h"
#include "roles/apiserver/event_ttl.h"
#include "roles/apiserver/handlers.h"

#include <malloc.h>
#include <sys/stat.h>

#define PEM_BYTES (256u << 10)	/* a CA bundle of a hundred certificates */
#define IDLE_MS (5 * 60 * 1000) /* client-go keeps idle connections for 90 s */
#define BACKLOG 1024
#define HOUSEKEEPING_MS 60000

/* What the store tells. */

static void on_changed(void *ctx, struct table *t, struct object *old, struct object *new)
{
	struct apiserver *api = ctx;

	(void)old;
	(void)new;
	if (api->rbac)
		rbac_changed(api->rbac, t);
}

static void on_durable(void *ctx, const struct event *ev)
{
	watch_dispatch(ctx, ev);
}

static void on_failed(void *ctx, const struct err *e)
{
	(void)ctx;
	role_set_error("%s: the writes that were waiting are refused", e->message);
}

static void on_damaged(void *ctx, struct str key, const struct err *e)
{
	(void)ctx;
	role_set_error("the stored object " STR_FMT " cannot be read (%s), skipping", STR_ARG(key),
		       e->message);
}

static const struct store_ops store_ops = {
	.changed = on_changed, .durable = on_durable, .failed = on_failed, .damaged = on_damaged
};

/* Opening */

static int read_pem(const struct apiserver *api, const char *file, struct buf *out, struct err *e)
{
	cleanup(freep) char *path = xasprintf("%s/pki/%s", api->config->data_dir, file);

	buf_init(out, PEM_BYTES);
	return file_read(path, out, e);
}

/* The certificate NAME.crt with NAME.key; clients and servers differ in what they expect of the
 * other side. */
static struct tls *open_tls(const struct apiserver *api, const char *name, bool server,
			    struct err *e)
{
	static const char *const alpn[] = { "h2", "http/1.1", NULL };
	cleanup(freep) char *crt_file = xasprintf("%s.crt", name),
			    *key_file = xasprintf("%s.key", name);
	struct buf ca = { 0 }, crt = { 0 }, key = { 0 };
	struct tls *tls = NULL;

	if (read_pem(api, "ca.crt", &ca, e) == 0 && read_pem(api, crt_file, &crt, e) == 0 &&
	    read_pem(api, key_file, &key, e) == 0) {
		const struct tls_config c = { .cert_pem = buf_str(&crt),
					      .key_pem = buf_str(&key),
					      .ca_pem = buf_str(&ca),
					      .verify_peer = true,
					      .alpn = server ? alpn : NULL };
		tls = server ? tls_server_new(&c, e) : tls_client_new(&c, e);
	}
	buf_done(&ca);
	buf_done(&crt);
	if (key.ptr)
		OPENSSL_cleanse(key.ptr, key.len);
	buf_done(&key);
	return tls;
}

static int open_store(struct apiserver *api, struct err *e)
{
	cleanup(freep) char *dir = xasprintf("%s/apiserver", api->config->data_dir);
	cleanup(freep) char *path = xasprintf("%s/store.db", dir);

	if (dir_make(dir, 0700, e) < 0)
		return -1;
	/* Secrets are in there: SQLite makes its files with what the umask leaves of 0644. */
	mode_t mask = umask(077);
	api->store = store_new(api->loop, path, &store_ops, api, e);
	umask(mask);
	return api->store ? 0 : -1;
}

static int open_alloc(struct apiserver *api, struct err *e)
{
	const struct table *t =
		store_table(api->store, resource_find(STR(""), STR("v1"), STR("services")));

	api->alloc = alloc_new(api->config, e);
	if (!api->alloc)
		return -1;
	for (size_t i = 0; i < t->n; i++) {
		cleanup(json_decrefp) json_t *service = object_tree(t->at[i], e);
		if (service)
			alloc_load(api->alloc, service);
	}
	return 0;
}

static int open_authn(struct apiserver *api, struct err *e)
{
	cleanup(freep) char *key = xasprintf("%s/pki/sa.key", api->config->data_dir);

	return authn_init(&api->authn, api->store, key, api->config->cluster_domain, e);
}

static int listen_api(struct apiserver *api, struct err *e)
{
	int fd = role_listen_fd("api");
	struct addr a;

	if (fd < 0) {
		if (addr_parse(api->config->api_address, &a, e) < 0)
			return -1;
		fd = addr_listen(&a, BACKLOG, e);
	}
	return fd < 0 ? -1 : http_server_listen(api->http, fd, e);
}

static int open_http(struct apiserver *api, struct err *e)
{
	api->tls = open_tls(api, "apiserver", true, e);
	if (!api->tls)
		return -1;
	api->kubelet_tls = open_tls(api, "apiserver-kubelet-client", false, e);
	if (!api->kubelet_tls)
		return -1;
	const struct http_server_config c = { .request = dispatch,
					      .ctx = api,
					      .tls = api->tls,
					      .body_max = LIMIT_REQUEST_BODY_BYTES,
					      .connections_max = LIMIT_CONNECTIONS,
					      .idle_ms = IDLE_MS,
					      .refuse = dispatch_refuse };
	api->http = http_server_new(api->loop, &c);
	return listen_api(api, e);
}

static void first_objects_durable(struct store_wait *w, const struct err *e)
{
	struct apiserver *api = container_of(w, struct apiserver, first_wait);

	if (e) {
		role_set_error("%s", e->message);
		loop_stop(api->loop);
		return;
	}
	api->ready = true;
	role_ready();
}

/* Documents and lists of megabytes come and go; left to itself, malloc keeps what they used. */
static void housekeeping(struct timer *t)
{
	struct apiserver *api = t->ctx;

	event_ttl_sweep(api);
	malloc_trim(0);
	timer_start(api->loop, t, HOUSEKEEPING_MS);
}

static int apiserver_start(struct role_ctx *ctx, struct err *e)
{
	struct apiserver *api = ctx->state = xcalloc(1, sizeof(*api));

	api->loop = ctx->loop;
	api->config = ctx->config;
	api->started_ms = wall_now_ms();
	if (open_store(api, e) < 0)
		return -1;
	if (c_eq(api->config->relaxed_service_names, "true"))
		validate_relax_service_names();
	api->rbac = rbac_new(api->store);
	if (open_alloc(api, e) < 0 || open_authn(api, e) < 0 || bootstrap(api, e) < 0 ||
	    open_http(api, e) < 0)
		return -1;
	api->housekeeping = (struct timer){ .fire = housekeeping, .ctx = api };
	timer_start(api->loop, &api->housekeeping, HOUSEKEEPING_MS);
	api->first_wait.done = first_objects_durable;
	store_wait(api->store, &api->first_wait, store_rv(api->store));
	return 0;
}

static void apiserver_stop(struct role_ctx *ctx)
{
	struct apiserver *api = ctx->state;

	if (!api)
		return;
	timer_stop(&api->housekeeping);
	if (api->http)
		http_server_free(api->http);
	if (api->tls)
		tls_unref(api->tls);
	if (api->kubelet_tls)
		tls_unref(api->kubelet_tls);
	if (api->pod_tls)
		tls_unref(api->pod_tls);
	store_free(api->store);
	rbac_free(api->rbac);
	alloc_free(api->alloc);
	authn_done(&api->authn);
	free(api);
	ctx->state = NULL;
}

const struct role role_apiserver = {
	.name = "apiserver",
	.summary = "Serves the Kubernetes API and keeps its objects.",
	.no_client = true,
	.start = apiserver_start,
	.stop = apiserver_stop,
};
