/* The role `controllers`: the kit with every controller, and nothing else. */
#include "base/log.h"
#include "roles/controllers/controllers.h"
#include "roles/role.h"

#include <malloc.h>

/* Lists and bursts leave free memory between what stays: it is given back, the first time after start-up. */
#define TRIM_FIRST_MS 1000
#define TRIM_MS 60000

static const struct controller *const controllers[] = {
	&controller_deployment,	    &controller_replicaset,
	&controller_endpointslice,  &controller_endpoints,
	&controller_namespace,	    &controller_serviceaccount,
	&controller_root_ca,	    &controller_gc,
	&controller_node_ipam,	    &controller_node_lifecycle,
	&controller_taint_eviction, &controller_pod_gc,
	&controller_scheduler,
};

struct controllers {
	struct kit *kit;
	struct loop *loop;
	struct timer trim;
};

static void trim(struct timer *t)
{
	malloc_trim(0);
	timer_start(container_of(t, struct controllers, trim)->loop, t, TRIM_MS);
}

static void synced(void *ctx)
{
	struct controllers *c = ctx;

	log_info("caches are filled, controllers are at work");
	timer_start(c->loop, &c->trim, TRIM_FIRST_MS);
	role_ready();
}

static int controllers_start(struct role_ctx *ctx, struct err *e)
{
	struct controllers *c = xcalloc(1, sizeof(*c));

	ctx->state = c;
	c->loop = ctx->loop;
	c->trim.fire = trim;
	c->kit = kit_new(ctx->loop, ctx->config, ctx->kube, controllers, ARRAY_LEN(controllers),
			 synced, c, e);
	return c->kit ? 0 : -1;
}

static void controllers_stop(struct role_ctx *ctx)
{
	struct controllers *c = ctx->state;

	if (!c)
		return;
	timer_stop(&c->trim);
	kit_free(c->kit);
	free(c);
	ctx->state = NULL;
}

const struct role role_controllers = {
	.name = "controllers",
	.summary = "Deployments, ReplicaSets, EndpointSlices, namespaces, garbage collection, "
		   "scheduling",
	.start = controllers_start,
	.stop = controllers_stop,
};
