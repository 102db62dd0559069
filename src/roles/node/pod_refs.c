#include "roles/node/pod_refs.h"

#include "roles/node/node.h"
#include "roles/node/object_cache.h"
#include "roles/node/pod_worker.h"

struct pod_refs {
	struct pod *pod;
	struct map users; /* "configmaps/name" → struct object_user */
};

static void on_changed(void *ctx)
{
	struct pod *p = ctx;

	pod_objects_changed(p);
}

static void use(struct pod_refs *r, struct kube_gvr gvr, const char *name)
{
	cleanup(freep) char *key = xasprintf("%s/%s", gvr.resource, name ? name : "");

	if (!name || !name[0] || map_get_c(&r->users, key))
		return;
	map_put_c(&r->users, key,
		  object_use(r->pod->node->objects, gvr, r->pod->ns, name, on_changed, r->pod));
}

static void use_volume_source(struct pod_refs *r, const json_t *holder)
{
	const json_t *secret = json_object_get(holder, "secret");

	use(r, GVR_CONFIG_MAPS, jx_str(holder, "configMap.name"));
	use(r, GVR_SECRETS, jx_str_or(secret, "secretName", jx_str_or(secret, "name", "")));
}

static void use_volumes(struct pod_refs *r, const json_t *volumes)
{
	size_t i, n;
	const json_t *v, *source;

	json_array_foreach(volumes, i, v)
	{
		use_volume_source(r, v);
		json_array_foreach(jx_at(v, "projected.sources"), n, source)
			use_volume_source(r, source);
	}
}

static void use_containers(struct pod_refs *r, const json_t *containers)
{
	size_t i, n;
	const json_t *c, *item;

	json_array_foreach(containers, i, c)
	{
		json_array_foreach(json_object_get(c, "envFrom"), n, item)
		{
			use(r, GVR_CONFIG_MAPS, jx_str(item, "configMapRef.name"));
			use(r, GVR_SECRETS, jx_str(item, "secretRef.name"));
		}
		json_array_foreach(json_object_get(c, "env"), n, item)
		{
			use(r, GVR_CONFIG_MAPS, jx_str(item, "valueFrom.configMapKeyRef.name"));
			use(r, GVR_SECRETS, jx_str(item, "valueFrom.secretKeyRef.name"));
		}
	}
}

struct pod_refs *pod_refs_new(struct pod *p)
{
	struct pod_refs *r = xcalloc(1, sizeof(*r));

	r->pod = p;
	map_init(&r->users);
	use_volumes(r, jx_at(p->obj, "spec.volumes"));
	use_containers(r, jx_at(p->obj, "spec.initContainers"));
	use_containers(r, jx_at(p->obj, "spec.containers"));
	return r;
}

static void unuse(void *u)
{
	object_unuse(u);
}

void pod_refs_free(struct pod_refs *r)
{
	if (!r)
		return;
	map_done(&r->users, unuse);
	free(r);
}

const json_t *pod_refs_get(const struct pod_refs *r, const char *resource, const char *name,
			   bool *ret_known)
{
	cleanup(freep) char *key = xasprintf("%s/%s", resource, name);
	const struct object_user *u = map_get_c(&r->users, key);

	*ret_known = true; /* what the pod does not name does not exist for it */
	return u ? object_value(u, ret_known) : NULL;
}
