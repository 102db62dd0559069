#include "roles/node/env_source.h"

#include "codec/jx.h"
#include "kube/object/pod_env.h"
#include "kube/object/pod_field.h"
#include "roles/node/node.h"
#include "roles/node/node_facts.h"
#include "roles/node/volumes.h"

struct services {
	const json_t **at;
	size_t n, cap;
};

static bool add_service(void *ctx, const json_t *service)
{
	struct services *s = ctx;

	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : 16;
		s->at = xrealloc(s->at, s->cap * sizeof(json_t *));
	}
	s->at[s->n++] = service;
	return true;
}

static void collect_services(const struct pod *p, struct services *s)
{
	const json_t *master = informer_get(p->node->service_informer, "default", "kubernetes");

	informer_each(p->node->service_informer, p->ns, add_service, s);
	if (master && !c_eq(p->ns, "default"))
		add_service(s, master);
}

static const json_t *find_object(void *ctx, const char *resource, const char *name, bool *ret_known)
{
	return volumes_object(((struct pod *)ctx)->volumes, resource, name, ret_known);
}

char *resource_field_value(const struct pod *p, const json_t *container, const json_t *ref)
{
	cleanup(json_decrefp) json_t *allocatable = node_capacity(p->node);

	return pod_resource_value(p->obj, container, ref, allocatable);
}

int ctr_env_build(struct ctr *c, struct env *ret_env, struct err *e)
{
	struct pod *p = c->pod;
	bool host = jx_bool(p->obj, "spec.hostNetwork", false);
	cleanup(json_decrefp) json_t *allocatable = node_capacity(p->node);
	struct services services = { 0 };

	collect_services(p, &services);
	struct pod_env_input in = {
		.pod = p->obj,
		.container = c->spec,
		.services = services.at,
		.n_services = services.n,
		.allocatable = allocatable,
		.pod_ip = host ? p->node->ip : p->sandbox_ip ? p->sandbox_ip : "",
		.host_ip = p->node->ip,
		.ctx = p,
		.object = find_object,
	};
	int rc = pod_env_build(&in, ret_env, e);
	free(services.at);
	return rc;
}
