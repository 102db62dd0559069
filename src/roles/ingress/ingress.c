/* The ingress role: the main thread keeps routes equal to the cluster, workers serve. */
#include "base/log.h"
#include "loop/quiesce.h"
#include "net/x509.h"
#include "roles/ingress/config/source.h"
#include "roles/ingress/observe/access_log.h"
#include "roles/ingress/observe/admin.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/observe/trace.h"
#include "roles/ingress/route/sync.h"
#include "roles/ingress/workers.h"

#define BACKLOG 4096
#define FAKE_CERT_DAYS 365

struct ingress {
	struct role_ctx *role;
	struct shared shared;
	struct sync *sync;
	struct workers *workers;
	struct admin *admin;
};

/* As ingress-nginx's: self-signed, with a name that says what it is. */
static struct tls *fake_certificate(struct err *e)
{
	static const char *const alpn[] = { "h2", "http/1.1", NULL };
	struct x509_request r = { .common_name = "Kubernetes Ingress Controller Fake Certificate", .organization = "Acme Co",
				  .sans = "DNS:ingress.local", .server = true, .days = FAKE_CERT_DAYS };
	EVP_PKEY *key = x509_new_key(e);
	X509 *cert = key ? x509_issue(&r, key, NULL, NULL, e) : NULL;
	struct tls *t = NULL;

	if (cert) {
		cleanup(freep) char *pem = x509_pem(cert);
		cleanup(freep) char *key_pem = x509_key_pem(key);
		t = tls_server_new(&(struct tls_config){ .cert_pem = str_of(pem), .key_pem = str_of(key_pem), .alpn = alpn }, e);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return t;
}

static int socket_of(const char *name, const char *address, struct err *e)
{
	int fd = role_listen_fd(name);
	struct addr a;

	if (fd != -1)
		return fd;
	return addr_parse(address, &a, e) < 0 ? -1 : addr_listen(&a, BACKLOG, e);
}

static int serve(struct ingress *in, struct err *e)
{
	const struct config *c = in->role->config;
	struct shared *s = &in->shared;
	struct worker_socket sockets[] = { { socket_of("http", c->http_address, e), false }, { -1, true } };

	if (sockets[0].fd != -1)
		sockets[1].fd = socket_of("https", c->https_address, e);
	if (sockets[1].fd == -1)
		return -1;
	s->access_log = access_log_new(s->main_loop, s->quiesce, s->n_workers);
	if (access_log_configure(s->access_log, s->globals, e) < 0)
		return -1;
	in->workers = workers_start(s, sockets, ARRAY_LEN(sockets), e);
	if (!in->workers)
		return -1;
	in->admin = admin_new(s->main_loop, s, c->ingress_admin_address, e);
	return in->admin ? 0 : -1;
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

static int shared_init(struct shared *s, struct role_ctx *ctx, struct err *e)
{
	static const struct settings_source nothing;

	s->main_loop = ctx->loop;
	s->n_workers = config_workers(ctx->config);
	s->quiesce = quiesce_new(ctx->loop);
	s->routes = routes_new(s->quiesce);
	s->backends = backends_new(s->quiesce);
	s->metrics = metrics_new(&(struct metrics_config){ .controller_class = "k8s.io/ingress-nginx",
							   .controller_namespace = "ingress-nginx",
							   .controller_pod = ctx->config->node_name, .routes = s->routes });
	s->globals = globals_of_configmap(NULL, &nothing);
	s->default_tls = fake_certificate(e);
	if (!s->default_tls)
		return -1;
	s->upstream_tls = tls_client_new(&(struct tls_config){ 0 }, e);
	return s->upstream_tls ? 0 : -1;
}

static int ingress_start(struct role_ctx *ctx, struct err *e)
{
	struct ingress *in = xcalloc(1, sizeof(*in));

	ctx->state = in;
	in->role = ctx;
	if (shared_init(&in->shared, ctx, e) < 0)
		return -1;
	in->sync = sync_new(ctx, &in->shared, &(struct sync_options){ .first_sync = first_sync, .arg = in,
								      .no_status = ctx->config->from != NULL,
								      .no_events = ctx->config->from != NULL });
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
	workers_stop(in->workers);
	admin_free(in->admin);
	sync_free(in->sync);
	access_log_free(s->access_log);
	quiesce_free(s->quiesce);
	routes_free(s->routes);
	backends_free(s->backends);
	metrics_free(s->metrics);
	tls_unref(s->default_tls);
	tls_unref(s->upstream_tls);
	free(in);
}

const struct role role_ingress = {
	.name = "ingress",
	.summary = "L7 proxy for Ingresses: hosts and paths, TLS, straight to pod addresses.",
	.start = ingress_start,
	.stop = ingress_stop,
};
