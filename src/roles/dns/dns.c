/* The DNS role: the main thread keeps zones and settings, workers answer. */
#include "base/log.h"
#include "kube/client/informer.h"
#include "roles/config.h"
#include "roles/dns/commands.h"
#include "roles/dns/config/source.h"
#include "roles/dns/ensure.h"
#include "roles/dns/kernel/choose.h"
#include "roles/dns/nodelocal/nodelocal.h"
#include "roles/dns/observe/admin.h"
#include "roles/dns/observe/metrics.h"
#include "roles/dns/observe/watch.h"
#include "roles/dns/plugin/kubernetes.h"
#include "roles/dns/plugin/listener.h"
#include "roles/dns/workers.h"
#include "roles/dns/zone/cluster.h"
#include "roles/role.h"

#include <linux/capability.h>

/* CoreDNS' startup_timeout: then it serves without the cluster, and says SERVFAIL for its names */
#define PATIENCE_MS 5000
#define RESOLV_CONF "/etc/resolv.conf"
#define ADMIN_BACKLOG 64

struct dns_role {
	struct role_ctx *ctx;
	struct dns_shared shared;
	struct dns_source *source;
	struct dns_config *next; /* started, but its zones are not complete yet; NULL: none */
	struct dns_listen listen;
	struct dns_admin *admin;
	struct dns_ensure *ensure;
	struct nodelocal *nodelocal; /* NULL: not asked for */
	struct kernel_choice *kernel; /* NULL: user space answers everything */
	struct timer patience, lameduck;
	const char *own_ips[3]; /* upstreams that would lead back here; NULL-terminated */
	bool synced, may_serve, draining;
	struct err error; /* why the last configuration could not be used */
};

static void endpoint_added(void *arg, struct dns_endpoint *ep)
{
	struct dns_role *d = arg;
	char text[ADDR_TEXT_BYTES];

	log_info("answering on %s%s", addr_text(&ep->addr, text), ep->tls ? " (TLS)" : "");
	dns_workers_serve(&d->shared, ep);
}

static void endpoint_gone(void *arg, struct dns_endpoint *ep)
{
	dns_workers_leave(&((struct dns_role *)arg)->shared, ep);
}

/* Questions that came before this have waited in the supervisor's sockets. */
static void serve(struct dns_role *d)
{
	struct err e;

	timer_stop(&d->patience);
	d->may_serve = true;
	if (!d->shared.config || d->draining)
		return; /* a ConfigMap is still to come; or somebody else serves */
	int rc = dns_listen_apply(&d->listen, &d->shared, d->shared.config, endpoint_added, endpoint_gone, d, &e);
	nodelocal_serving(d->nodelocal, d->synced && !d->shared.lame && d->listen.n > 0);
	if (rc == 0)
		return;
	role_set_error("%s", e.message);
	if (d->listen.n == 0)
		loop_stop(d->ctx->loop);
}

static void on_patience_end(struct timer *t)
{
	struct dns_role *d = t->ctx;

	if (!d->synced && role_replaces()) {
		log_warn("no answer from the API server yet: the process before goes on answering");
		return;
	}
	log_warn("no answer from the API server yet: cluster names get SERVFAIL");
	serve(d);
}

/* Anew after each configuration: the informers are of its zones, and go with them. */
static void ensure_objects(struct dns_role *d)
{
	const struct config *c = d->ctx->config;
	const struct zone *zone = d->shared.config ? kubernetes_whole_zone(d->shared.config) : NULL;
	const struct informer *services, *slices;

	dns_ensure_free(TAKE_PTR(d->ensure));
	if (c->standalone && zone && cluster_zone_informers(d->shared.cluster, zone, &services, &slices))
		d->ensure = dns_ensure_new(d->ctx->kube, services, slices, c->dns_ip, c->node_ip, dns_listen_port(&d->listen));
}

static void on_synced(void *arg)
{
	struct dns_role *d = arg;

	d->synced = true;
	serve(d);
	if (!d->shared.config || d->listen.n)
		role_ready();
	ensure_objects(d);
	kernel_choice_look(d->kernel);
}

/* ---- settings ---- */

static void on_config_error(void *arg, const char *text)
{
	(void)arg;
	role_set_error("%s", text);
}

static void use(struct dns_role *d, struct dns_config *config)
{
	dns_config_use(&d->shared, config);
	dns_ensure_free(TAKE_PTR(d->ensure));
	if (d->may_serve)
		serve(d);
	else
		timer_start(d->ctx->loop, &d->patience, kubernetes_startup_timeout_ms(config, PATIENCE_MS));
	if (!d->synced) {
		cluster_on_synced(d->shared.cluster, on_synced, d); /* of what this configuration needs */
		return;
	}
	ensure_objects(d);
	kernel_choice_look(d->kernel);
}

static void on_next_synced(void *arg)
{
	struct dns_role *d = arg;

	if (d->next && !d->draining)
		use(d, TAKE_PTR(d->next));
}

/* Another `kubernetes` directive makes another zone, which is empty until the API server has told it all: meanwhile the one
 * before goes on answering, however long that takes. */
static void on_config(void *arg, struct dns_config *config)
{
	struct dns_role *d = arg;

	if (dns_config_start(&d->shared, config, &d->error) < 0) {
		dns_config_free(config);
		if (d->shared.config)
			role_set_error("the settings before stay: %s", d->error.message);
		return;
	}
	if (d->next)
		dns_config_unref(TAKE_PTR(d->next));
	if (!d->synced || dns_config_ready(config)) {
		use(d, config);
		return;
	}
	log_info("the new settings are used as soon as the cluster has been read for them");
	d->next = config;
	cluster_on_synced(d->shared.cluster, on_next_synced, d);
}

static void on_touches_changed(void *arg)
{
	struct dns_role *d = arg;
	struct dns_config *c = d->shared.config;
	bool changed = false;

	for (size_t i = 0; c && i < c->n_blocks; i++)
		changed = dns_block_find_direct(&c->blocks[i]) || changed;
	if (!changed)
		return;
	log_info("other questions about the cluster pass the plug-ins now");
	if (d->synced)
		kernel_choice_look(d->kernel);
}

static const struct dns_source_handlers source_handlers = { on_config, on_config_error };

/* ---- the end ---- */

static void on_lameduck_end(struct timer *t)
{
	struct dns_role *d = t->ctx;

	loop_stop(d->ctx->loop);
}

static void on_drained(void *arg)
{
	struct dns_role *d = arg;

	log_info("all questions are answered");
	loop_stop(d->ctx->loop);
}

/* The process that serves now has programs, maps and sockets of its own; the supervisor's sockets it has as well. */
static void dns_drain(struct role_ctx *ctx)
{
	struct dns_role *d = ctx->state;

	if (d->draining)
		return;
	d->draining = true;
	nodelocal_serving(d->nodelocal, false);
	kernel_choice_free(TAKE_PTR(d->kernel));
	dns_source_free(TAKE_PTR(d->source));
	dns_ensure_free(TAKE_PTR(d->ensure));
	dns_admin_free(TAKE_PTR(d->admin));
	dns_workers_drain(&d->shared, on_drained, d);
}

/* Not ready any more, so that nobody new comes; who still asks is answered. */
static bool dns_stopping(struct role_ctx *ctx)
{
	struct dns_role *d = ctx->state;
	uint64_t ms = d && d->shared.config ? health_lameduck_ms(d->shared.config) : 0;

	if (d)
		nodelocal_serving(d->nodelocal, false);
	if (ms == 0)
		return false;
	__atomic_store_n(&d->shared.lame, true, __ATOMIC_RELAXED);
	d->lameduck = (struct timer){ .fire = on_lameduck_end, .ctx = d };
	timer_start(ctx->loop, &d->lameduck, ms);
	log_info("answering for %llu ms more", (unsigned long long)ms);
	return true;
}

/* ---- the role ---- */

static unsigned n_workers(const struct config *c)
{
	unsigned n = config_workers(c);

	return role_listen_fd("dns-tcp") == -1 ? n : MIN(n, CONFIG_DNS_SOCKETS_MAX);
}

/* How long a change took until it is answered. */
static void on_slice(void *arg, const json_t *slice, bool headless)
{
	dns_metrics_programmed(arg, slice, headless);
}

static int open_admin(struct dns_role *d, struct err *e)
{
	const char *address = d->ctx->config->dns_admin_address;
	int fd = role_listen_fd("dns-admin");
	struct addr a;

	if (fd == -1 && (!address || !address[0]))
		return 0;
	if (fd == -1)
		fd = addr_parse(address, &a, e) < 0 ? -1 : addr_listen(&a, ADMIN_BACKLOG, e);
	if (fd == -1)
		return err_wrap(e, "--dns-admin-address");
	d->admin = dns_admin_new(&d->shared, fd, NULL, e);
	return d->admin ? 0 : -1;
}

static int dns_prepare(struct role_ctx *ctx, struct err *e)
{
	struct dns_role *d = xcalloc(1, sizeof(*d));
	struct err why;

	ctx->state = d;
	d->ctx = ctx;
	d->shared.kernel = kernel_answers_prepare(ctx->config, &why);
	if (!d->shared.kernel)
		log_info("the kernel answers no questions of pods: %s", why.message);
	if (!ctx->config->node_local || !ctx->config->node_local[0])
		return 0;
	d->nodelocal = nodelocal_prepare(ctx->config, e);
	return d->nodelocal ? 0 : -1;
}

static int dns_start(struct role_ctx *ctx, struct err *e)
{
	struct dns_role *d = ctx->state;
	struct dns_shared *s = &d->shared;

	s->main_loop = ctx->loop;
	s->settings = ctx->config;
	s->kube = ctx->kube;
	s->n_workers = n_workers(ctx->config);
	s->quiesce = quiesce_new(ctx->loop);
	s->metrics = dns_metrics_new(s->n_workers);
	s->watch = dns_watch_new(s);
	s->cluster = cluster_new(ctx->loop, ctx->kube, s->quiesce);
	cluster_on_slice(s->cluster, on_slice, s->metrics);
	d->kernel = kernel_choice_new(s, &d->listen);
	s->touches_changed = on_touches_changed;
	s->touches_changed_ctx = d;
	if (dns_workers_start(s, e) < 0 || open_admin(d, e) < 0)
		return -1;
	d->patience = (struct timer){ .fire = on_patience_end, .ctx = d };
	timer_start(ctx->loop, &d->patience, PATIENCE_MS);
	d->own_ips[0] = ctx->config->dns_ip;
	d->own_ips[1] = ctx->config->node_local;
	const struct plugin_scope scope = { .cluster_domain = ctx->config->cluster_domain,
					    .resolv_conf = RESOLV_CONF,
					    .own_ips = d->own_ips,
					    .upstream_port = DNS_PORT,
					    .shared = s };
	d->source = dns_source_new(s, &scope, &source_handlers, d, e);
	if (!d->source)
		return -1;
	if (!s->config && !ctx->config->dns_configmap)
		return err_set(e, d->error.reason, "%s", d->error.message);
	if (d->nodelocal)
		nodelocal_start(d->nodelocal, ctx->loop, ctx->kube);
	return 0;
}

static void dns_stop(struct role_ctx *ctx)
{
	struct dns_role *d = ctx->state;

	if (!d)
		return;
	nodelocal_serving(d->nodelocal, false);
	kernel_choice_free(d->kernel);
	timer_stop(&d->patience);
	timer_stop(&d->lameduck);
	dns_source_free(d->source);
	dns_ensure_free(d->ensure);
	dns_admin_free(d->admin);
	dns_workers_stop(&d->shared);
	cluster_free(d->shared.cluster);
	dns_watch_free(d->shared.watch);
	kernel_answers_free(d->shared.kernel);
	dns_metrics_free(d->shared.metrics);
	quiesce_free(d->shared.quiesce);
	nodelocal_free(d->nodelocal);
	free(d);
}

const struct role role_dns = {
	.name = "dns",
	.summary = "DNS for the cluster's Services and pods; other names are forwarded.",
	.caps_keep = 1u << CAP_NET_BIND_SERVICE, /* port 53, and what a changed Corefile adds */
	.bpf_maps = true, /* kernel/ */
	.prepare = dns_prepare,
	.start = dns_start,
	.stop = dns_stop,
	.drain = dns_drain,
	.stopping = dns_stopping,
	.commands = dns_commands,
};
