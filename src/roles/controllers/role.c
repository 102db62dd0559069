/* The role `controllers`: the kit with every controller, and nothing else. */
#include "base/log.h"
#include "roles/controllers/controllers.h"
#include "roles/role.h"

static const struct controller *const controllers[] = {
	&controller_deployment,	    &controller_replicaset,	&controller_endpointslice,
	&controller_endpoints,	    &controller_namespace,	&controller_serviceaccount,
	&controller_root_ca,	    &controller_gc,		&controller_node_ipam,
	&controller_node_lifecycle, &controller_taint_eviction, &controller_pod_gc,
	&controller_scheduler,
};

static void synced(void *ctx)
{
	(void)ctx;
	log_info("caches are filled, controllers are at work");
	role_ready();
}

static int controllers_start(struct role_ctx *ctx, struct err *e)
{
	ctx->state = kit_new(ctx->loop, ctx->config, ctx->kube, controllers, ARRAY_LEN(controllers), synced, NULL,
			     e);
	return ctx->state ? 0 : -1;
}

static void controllers_stop(struct role_ctx *ctx)
{
	kit_free(ctx->state);
	ctx->state = NULL;
}

const struct role role_controllers = {
	.name = "controllers",
	.summary = "Deployments, ReplicaSets, EndpointSlices, namespaces, garbage collection, scheduling",
	.start = controllers_start,
	.stop = controllers_stop,
};
