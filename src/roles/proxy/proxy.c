/* proxy.c - the role: Services and EndpointSlices from the API become this node's data plane. */
#include "base/log.h"
#include "kube/client/informer.h"
#include "roles/proxy/engine.h"
#include "roles/proxy/paths.h"
#include "roles/role.h"

#include <linux/capability.h>

struct proxy {
	struct role_ctx *role;
	struct engine *engine;
	struct informer *services, *slices;
	char *pin_dir, *cgroup;
};

static void fed_check(struct proxy *p)
{
	if (informer_synced(p->services) && informer_synced(p->slices))
		engine_fed(p->engine);
}

static void service_put(void *ctx, const json_t *obj)
{
	struct proxy *p = ctx;

	tables_service_put(engine_tables(p->engine), obj);
	engine_changed(p->engine);
}

static void service_deleted(void *ctx, const json_t *obj)
{
	struct proxy *p = ctx;

	tables_service_del(engine_tables(p->engine), obj);
	engine_changed(p->engine);
}

static void slice_put(void *ctx, const json_t *obj)
{
	struct proxy *p = ctx;

	tables_slice_put(engine_tables(p->engine), obj);
	engine_changed(p->engine);
}

static void slice_deleted(void *ctx, const json_t *obj)
{
	struct proxy *p = ctx;

	tables_slice_del(engine_tables(p->engine), obj);
	engine_changed(p->engine);
}

static void synced(void *ctx)
{
	fed_check(ctx);
}

static const struct kube_gvr services_gvr = { "", "v1", "services" };
static const struct kube_gvr slices_gvr = { "discovery.k8s.io", "v1", "endpointslices" };
static const struct informer_handlers service_handlers = {
	.put = service_put,
	.deleted = service_deleted,
	.synced = synced,
};
static const struct informer_handlers slice_handlers = {
	.put = slice_put,
	.deleted = slice_deleted,
	.synced = synced,
};

static void engine_is_ready(void *ctx)
{
	struct proxy *p = ctx;

	log_info("services=%zu endpointslices=%zu", informer_count(p->services), informer_count(p->slices));
	role_ready();
}

/* The maps are as they were; the next process starts from them. */
static void engine_has_failed(void *ctx, const struct err *e)
{
	struct proxy *p = ctx;

	role_set_error("%s", e->message);
	loop_stop(p->role->loop);
}

static int proxy_start(struct role_ctx *ctx, struct err *e)
{
	/* The tables hold what is read of an object. */
	static const struct informer_options all = { .handlers_only = true };
	const struct config *c = ctx->config;
	struct proxy *p = xcalloc(1, sizeof(*p));

	ctx->state = p;
	p->role = ctx;
	p->pin_dir = proxy_pin_dir(c);
	p->cgroup = proxy_cgroup_root(e);
	if (!p->cgroup)
		return -1;
	struct engine_options o = {
		.dp = { .pin_dir = p->pin_dir, .cgroup = p->cgroup },
		.node_name = c->node_name,
		.node_ip = c->node_ip,
		.cluster_cidr = c->cluster_cidr,
		.service_cidr = c->service_cidr,
		.node_port_range = c->node_port_range,
		.ready = engine_is_ready,
		.failed = engine_has_failed,
		.ctx = p,
	};
	p->engine = engine_new(ctx->loop, &o, e);
	if (!p->engine)
		return -1;
	p->services = informer_new(ctx->kube, services_gvr, &all, &service_handlers, p);
	p->slices = informer_new(ctx->kube, slices_gvr, &all, &slice_handlers, p);
	return 0;
}

static void proxy_stop(struct role_ctx *ctx)
{
	struct proxy *p = ctx->state;

	if (!p)
		return;
	informer_free(p->services);
	informer_free(p->slices);
	engine_free(p->engine);
	free(p->pin_dir);
	free(p->cgroup);
	free(p);
	ctx->state = NULL;
}

const struct role role_proxy = {
	.name = "proxy",
	.summary = "Programs the node's Service data plane in eBPF.",
	.caps_keep = 1ull << CAP_BPF | 1ull << CAP_NET_ADMIN | 1ull << CAP_PERFMON | 1ull << CAP_SYS_ADMIN,
	.root = true, /* it enters pods' network namespaces and owns the pins */
	.start = proxy_start,
	.stop = proxy_stop,
};
