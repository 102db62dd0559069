/* The ingress role: the main thread keeps routes equal to the cluster, workers serve. */
#include "base/log.h"
#include "kube/client/client.h"
#include "loop/quiesce.h"
#include "roles/ingress/check/command.h"
#include "roles/ingress/config/source.h"
#include "roles/ingress/filter/auth_cache.h"
#include "roles/ingress/handover.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/l4/l4.h"
#include "roles/ingress/observe/admin.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/observe/observe.h"
#include "roles/ingress/route/sync.h"
#include "roles/ingress/tls/server.h"
#include "roles/ingress/workers.h"

#include <sys/capability.h>

#define BACKLOG 4096

#define L4_CONFIGMAPS 4
/* By ingress-nginx's manifests, and by its Helm chart; TCP and UDP in turn. The first that is there counts. */
static const char *const l4_usual[L4_CONFIGMAPS] = { "ingress-nginx/tcp-services", "ingress-nginx/udp-services",
						     "ingress-nginx/ingress-nginx-tcp", "ingress-nginx/ingress-nginx-udp" };

/* "6": for IPv6 alone, beside the first two at an address that is given as ":PORT" */
enum { SOCKET_HTTP, SOCKET_HTTPS, SOCKET_ADMIN, SOCKET_HTTP6, SOCKET_HTTPS6, N_SOCKETS };
static const char *const socket_names[N_SOCKETS] = { "http", "https", "ingress-admin", "http6", "https6" };

struct ingress {
	struct role_ctx *role;
	struct shared shared;
	struct sync *sync;
	struct workers *workers;
	struct admin *admin;
	struct observe *observe;
	struct l4 *l4;
	const char *l4_keys[L4_CONFIGMAPS];   /* "ns/name"; NULL: not looked for */
	json_t *l4_configmaps[L4_CONFIGMAPS]; /* NULL: there is none */
	struct handover_socket sockets[N_SOCKETS];
	int before; /* the connection to the process whose sockets were taken over; -1: none */
	struct buf before_keys; /* of session tickets */
	struct handover *handover;
	bool draining;
};

static void on_drained(void *arg)
{
	struct ingress *in = arg;

	log_info("the last connection has ended");
	loop_stop(in->role->loop);
}

/* Who connects now is refused and goes elsewhere, instead of waiting for an answer that will not come. Whoever shares the
 * sockets goes on listening. */
static void on_closed(void *arg)
{
	struct ingress *in = arg;

	handover_free(TAKE_PTR(in->handover));
	for (size_t i = 0; i < ARRAY_LEN(in->sockets); i++)
		if (i != SOCKET_ADMIN) {
			closep(&in->sockets[i].fd);
			in->sockets[i].fd = -1;
		}
}

static void drain(struct ingress *in)
{
	if (in->draining)
		return;
	in->draining = true;
	admin_free(TAKE_PTR(in->admin));
	l4_drain(in->l4);
	if (in->workers)
		workers_drain(in->workers, on_closed, on_drained, in);
	else
		loop_stop(in->role->loop);
}

/* ---- listening sockets: from the supervisor, from the process before us, or our own ---- */

static int open_one(const char *name, const char *address, struct err *e)
{
	int fd = role_listen_fd(name);
	struct addr a, six;

	if (fd != -1)
		return fd;
	return addr_parse_pair(address, &a, &six, e) < 0 ? -1 : addr_listen(&a, BACKLOG, e);
}

static bool is_six(int fd)
{
	int family = 0;
	socklen_t len = sizeof(family);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 && family == AF_INET6;
}

/* What was given for an address of one family only is not wanted; a first socket of IPv6 needs no second one. */
static int open_six(struct ingress *in, size_t i, size_t first, const char *address, struct err *e)
{
	struct handover_socket *s = &in->sockets[i];
	struct addr a, six = { 0 };

	if (address[0] && addr_parse_pair(address, &a, &six, e) < 0)
		return -1;
	if (!six.len || is_six(in->sockets[first].fd)) {
		closep(&s->fd);
		s->fd = -1;
		return 0;
	}
	if (s->fd == -1)
		s->fd = role_listen_fd(s->name);
	if (s->fd != -1 || role_listen_fd(socket_names[first]) != -1) /* the supervisor has looked */
		return 0;
	return addr_listen_six(&six, BACKLOG, &s->fd, e);
}

static int open_sockets(struct ingress *in, struct err *e)
{
	const struct config *c = in->role->config;
	const char *const addresses[] = { c->http_address, c->https_address, c->ingress_admin_address };

	if (c->handover)
		in->before = handover_take(c->handover, in->sockets, N_SOCKETS, &in->before_keys);
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		if (in->sockets[i].fd != -1 || !addresses[i][0])
			continue;
		in->sockets[i].fd = open_one(in->sockets[i].name, addresses[i], e);
		if (in->sockets[i].fd == -1)
			return err_wrap(e, "%s", in->sockets[i].name);
	}
	if (open_six(in, SOCKET_HTTP6, SOCKET_HTTP, addresses[SOCKET_HTTP], e) < 0 ||
	    open_six(in, SOCKET_HTTPS6, SOCKET_HTTPS, addresses[SOCKET_HTTPS], e) < 0)
		return err_wrap(e, "IPv6");
	return 0;
}

static void replaced(void *arg)
{
	struct ingress *in = arg;

	log_info("another process has taken over: finishing what is under way");
	drain(in);
}

static void give_keys(void *arg, struct buf *out)
{
	tls_front_export(((struct ingress *)arg)->shared.tls_front, out);
}

static void take_keys(struct ingress *in)
{
	tls_front_import(in->shared.tls_front, buf_str(&in->before_keys));
	if (in->before_keys.ptr)
		explicit_bzero(in->before_keys.ptr, in->before_keys.cap);
	buf_done(&in->before_keys);
}

/* Those of the sockets that were given, for the next process. */
static int offer_handover(struct ingress *in, struct err *e)
{
	static const struct handover_ops ops = { give_keys, replaced };
	struct handover_socket open[N_SOCKETS];
	size_t n = 0;

	for (size_t i = 0; i < N_SOCKETS; i++)
		if (in->sockets[i].fd != -1)
			open[n++] = in->sockets[i];
	in->handover = handover_new(in->role->loop, in->role->config->handover, open, n, &ops, in, e);
	return in->handover ? 0 : -1;
}

static void globals_changed(void *arg, const struct globals *g)
{
	struct ingress *in = arg;
	struct err e;

	observe_globals(in->observe, g);
	if (tls_front_apply(in->shared.tls_front, g, &e) < 0)
		log_warn("TLS goes on with the settings before: %s", e.message);
}

/* ---- tcp-services, udp-services ---- */

static void l4_problem(void *arg, const json_t *configmap, const char *reason, const char *message)
{
	struct ingress *in = arg;

	log_warn("%s: %s", reason, message);
	if (configmap && !in->role->config->from)
		kube_event(in->role->kube, configmap, INGRESS_COMPONENT, "Warning", reason, "%s", message);
}

static struct backend *l4_backend(void *arg, const char *ns, const char *service, const char *port)
{
	return sync_backend(((struct ingress *)arg)->sync, ns, service, port);
}

static void l4_update(struct ingress *in)
{
	json_t *const *cm = in->l4_configmaps;

	l4_set(in->l4, cm[0] ? cm[0] : cm[2], cm[1] ? cm[1] : cm[3]);
}

static void l4_find_keys(struct ingress *in)
{
	const char *const given[] = { in->role->config->tcp_services_configmap, in->role->config->udp_services_configmap };

	memcpy(in->l4_keys, l4_usual, sizeof(in->l4_keys));
	for (size_t i = 0; i < ARRAY_LEN(given); i++)
		if (given[i]) {
			in->l4_keys[i] = given[i];
			in->l4_keys[i + 2] = NULL;
		}
}

static void configmap_changed(void *arg, const char *ns, const char *name, const json_t *obj)
{
	struct ingress *in = arg;
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);

	for (size_t i = 0; i < L4_CONFIGMAPS; i++) {
		if (!c_eq(key, in->l4_keys[i]))
			continue;
		json_decref(in->l4_configmaps[i]);
		in->l4_configmaps[i] = json_incref((json_t *)(uintptr_t)obj);
		if (in->workers && !in->draining)
			l4_update(in);
	}
}

static int serve(struct ingress *in, struct err *e)
{
	struct shared *s = &in->shared;
	struct worker_socket sockets[WORKER_SOCKETS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < N_SOCKETS; i++)
		if (i != SOCKET_ADMIN && in->sockets[i].fd != -1)
			sockets[n++] = (struct worker_socket){ in->sockets[i].fd, i == SOCKET_HTTPS || i == SOCKET_HTTPS6 };
	globals_changed(in, s->globals);
	in->workers = workers_start(s, sockets, n, e);
	if (!in->workers)
		return -1;
	l4_serve(in->l4, in->workers);
	l4_update(in);
	in->admin = admin_new(s->main_loop, s, in->sockets[SOCKET_ADMIN].fd, e);
	if (!in->admin)
		return -1;
	handover_ready(in->before);
	in->before = -1;
	return in->role->config->handover ? offer_handover(in, e) : 0;
}

/* Not before: until the routes are there, connections wait in the sockets' queues instead of getting 404. */
static void first_sync(void *arg)
{
	struct ingress *in = arg;
	struct err e;

	if (serve(in, &e) < 0) {
		role_set_error("%s", e.message);
		loop_stop(in->role->loop);
		return;
	}
	log_info("routing %zu hosts, %zu paths, on %u workers", routes_host_count(in->shared.routes),
		 routes_location_count(in->shared.routes), in->shared.n_workers);
	role_ready();
}

static struct tls *server_tls(void *arg, struct str cert_pem, struct str key_pem, struct err *e)
{
	return tls_front_certificate(((struct ingress *)arg)->shared.tls_front, cert_pem, key_pem, e);
}

static int shared_init(struct shared *s, struct role_ctx *ctx, struct err *e)
{
	static const struct settings_source nothing;

	s->main_loop = ctx->loop;
	s->n_workers = config_workers(ctx->config);
	const char *port = strrchr(ctx->config->http_address, ':');
	if (port)
		snprintf(s->http_port, sizeof(s->http_port), "%u", (unsigned)atoi(port + 1) & UINT16_MAX);
	s->quiesce = quiesce_new(ctx->loop);
	s->routes = routes_new(s->quiesce);
	s->backends = backends_new(s->quiesce);
	s->metrics = metrics_new(&(struct metrics_config){ .controller_class = "k8s.io/ingress-nginx",
							   .controller_namespace = "ingress-nginx",
							   .controller_pod = ctx->config->node_name, .routes = s->routes });
	s->globals = globals_of_configmap(NULL, &nothing);
	s->tls_front = tls_front_new(s, e);
	if (!s->tls_front)
		return -1;
	s->default_tls = tls_front_fake(s->tls_front, e);
	if (!s->default_tls)
		return -1;
	s->upstream_tls = tls_client_new(&(struct tls_config){ 0 }, e);
	return s->upstream_tls ? 0 : -1;
}

static void each_problem(void *sync, metrics_problem_fn *fn, void *ctx)
{
	sync_each_problem(sync, fn, ctx);
}

static int ingress_start(struct role_ctx *ctx, struct err *e)
{
	struct ingress *in = xcalloc(1, sizeof(*in));

	ctx->state = in;
	in->role = ctx;
	in->before = -1;
	buf_init(&in->before_keys, HANDOVER_MORE_BYTES);
	for (size_t i = 0; i < N_SOCKETS; i++)
		in->sockets[i] = (struct handover_socket){ socket_names[i], -1 };
	if (open_sockets(in, e) < 0)
		return -1;
	if (shared_init(&in->shared, ctx, e) < 0)
		return -1;
	take_keys(in);
	in->observe = observe_new(&in->shared, e);
	if (!in->observe)
		return -1;
	in->l4 = l4_new(&(struct l4_options){ .shared = &in->shared, .backend = l4_backend, .problem = l4_problem, .arg = in });
	const struct config *c = ctx->config;
	l4_find_keys(in);
	in->sync = sync_new(ctx, &in->shared, &(struct sync_options){ .first_sync = first_sync, .arg = in,
								      .controller = c->controller_class,
								      .class_name = c->ingress_class,
								      .watch_namespace = c->watch_namespace,
								      .configmap = c->configmap,
								      .default_backend_service = c->default_backend_service,
								      .default_ssl_certificate = c->default_ssl_certificate,
								      .publish_status_address = c->publish_status_address,
								      .publish_service = c->publish_service,
								      .globals_changed = globals_changed,
								      .server_tls = server_tls,
								      .configmap_changed = configmap_changed,
								      .configmaps = in->l4_keys,
								      .n_configmaps = L4_CONFIGMAPS,
								      /* Manifests of one's own seldom bring an IngressClass. */
								      .watch_without_class = c->watch_ingress_without_class ?
									      c_eq(c->watch_ingress_without_class, "true") : c->from != NULL,
								      .no_status = c->from != NULL,
								      .no_events = c->from != NULL });
	metrics_problem_source(in->shared.metrics, each_problem, in->sync);
	if (ctx->config->standalone)
		standalone_ensure(ctx);
	return 0;
}

static void ingress_stop(struct role_ctx *ctx)
{
	struct ingress *in = ctx->state;
	struct shared *s = &in->shared;

	if (!in)
		return;
	if (!in->draining) /* else another process serves on at this address */
		sync_retire_wait(in->sync);
	handover_free(in->handover);
	workers_stop(in->workers);
	l4_free(in->l4);
	for (size_t i = 0; i < L4_CONFIGMAPS; i++)
		json_decref(in->l4_configmaps[i]);
	admin_free(in->admin);
	sync_free(in->sync);
	quiesce_free(s->quiesce);
	observe_free(in->observe);
	routes_free(s->routes);
	backends_free(s->backends);
	globals_unref((struct globals *)s->globals);
	auth_cache_free(s->auth_cache);
	metrics_free(s->metrics);
	tls_unref(s->default_tls);
	tls_unref(s->upstream_tls);
	tls_front_free(s->tls_front);
	free(in);
}

static void ingress_drain(struct role_ctx *ctx)
{
	drain(ctx->state);
}

/* ingress-nginx's that change nothing of what is served. Others ("--watch-namespace-selector") are errors. */
static const char *const ignored_args[] = {
	"bucket-factor=", "deep-inspect", "default-server-port=", "disable-full-test", "disable-leader-election",
	"disable-sync-events", "dynamic-configuration-retries=", "election-id=", "election-ttl=", "enable-annotation-validation",
	"enable-metrics", "enable-ssl-chain-completion", "enable-ssl-passthrough", "enable-topology-aware-routing", "exclude-socket-metrics=",
	"health-check-path=", "health-check-timeout=", "healthz-host=", "healthz-port=", "ingress-class-by-name", "internal-logger-address=",
	"length-buckets=", "max-buckets=", "metrics-per-host", "metrics-per-undefined-host", "monitor-max-batch-size=",
	"post-shutdown-grace-period=", "profiler-port=", "profiling", "report-node-internal-ip-address", "report-status-classes",
	"shutdown-grace-period=", "size-buckets=", "ssl-passthrough-proxy-port=", "status-port=", "status-update-interval=", "stream-port=",
	"sync-period=", "sync-rate-limit=", "time-buckets=", "update-status-on-shutdown", "validating-webhook=",
	"validating-webhook-certificate=", "validating-webhook-key=", "v=", NULL,
};

const struct role role_ingress = {
	.name = "ingress",
	.summary = "L7 proxy for Ingresses: hosts and paths, TLS, straight to pod addresses.",
	.start = ingress_start,
	.stop = ingress_stop,
	.drain = ingress_drain,
	.commands = ingress_commands,
	.ignored_args = ignored_args,
	.caps_keep = 1u << CAP_NET_BIND_SERVICE, /* 80 and 443 by hand or in a pod, and what tcp-services adds */
};
