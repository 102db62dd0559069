/* The verbs of the API, as requests on paths. */
#include "kube/client/client.h"

char *kube_path(struct kube_gvr gvr, const char *ns, const char *name, const char *sub)
{
	bool core = !gvr.group[0];

	return xasprintf("%s%s%s%s%s%s/%s%s%s%s%s", core ? "/api" : "/apis/", gvr.group, "/",
			 gvr.version, ns ? "/namespaces/" : "", ns ? ns : "", gvr.resource,
			 name ? "/" : "", name ? name : "", sub ? "/" : "", sub ? sub : "");
}

void kube_get(struct kube_client *k, struct kube_gvr gvr, const char *ns, const char *name,
	      kube_done_fn *done, void *ctx)
{
	cleanup(freep) char *path = kube_path(gvr, ns, name, NULL);

	kube_request(k, "GET", path, NULL, NULL, done, ctx);
}

void kube_create(struct kube_client *k, struct kube_gvr gvr, const json_t *obj, kube_done_fn *done,
		 void *ctx)
{
	cleanup(freep) char *path = kube_path(gvr, jx_namespace(obj), NULL, NULL);

	kube_request(k, "POST", path, KUBE_JSON, obj, done, ctx);
}

void kube_update(struct kube_client *k, struct kube_gvr gvr, const char *sub, const json_t *obj,
		 kube_done_fn *done, void *ctx)
{
	cleanup(freep) char *path = kube_path(gvr, jx_namespace(obj), jx_name(obj), sub);

	kube_request(k, "PUT", path, KUBE_JSON, obj, done, ctx);
}

void kube_patch(struct kube_client *k, struct kube_gvr gvr, const char *ns, const char *name,
		const char *sub, const char *patch_type, const json_t *patch, kube_done_fn *done,
		void *ctx)
{
	cleanup(freep) char *path = kube_path(gvr, ns, name, sub);

	kube_request(k, "PATCH", path, patch_type, patch, done, ctx);
}

void kube_delete(struct kube_client *k, struct kube_gvr gvr, const char *ns, const char *name,
		 const json_t *options, kube_done_fn *done, void *ctx)
{
	cleanup(freep) char *path = kube_path(gvr, ns, name, NULL);

	kube_request(k, "DELETE", path, KUBE_JSON, options, done, ctx);
}
