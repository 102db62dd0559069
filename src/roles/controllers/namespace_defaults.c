/* What every namespace holds: the ServiceAccount `default`, and the ConfigMap with the cluster's CA. */
#include "roles/controllers/controllers.h"

static const json_t *live_namespace(const struct controller_run *c, const char *name)
{
	const json_t *ns = kit_get(c->kit, KK_NAMESPACE, NULL, name);

	return ns && !being_deleted(ns) && !c_eq(jx_str(ns, "status.phase"), "Terminating") ? ns
											    : NULL;
}

static void defaults_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
			  const json_t *obj)
{
	const json_t *some = obj ? obj : old;

	controller_add(c, kind == KK_NAMESPACE ? jx_name(some) : jx_namespace(some));
}

static json_t *object_in(const char *kind, const char *ns, const char *name)
{
	json_t *obj = json_object();

	jx_set_str(obj, "apiVersion", "v1");
	jx_set_str(obj, "kind", kind);
	jx_set_str(obj, "metadata.name", name);
	jx_set_str(obj, "metadata.namespace", ns);
	return obj;
}

static void serviceaccount_sync(struct controller_run *c, const char *key, struct actions *out)
{
	if (live_namespace(c, key) && !kit_get(c->kit, KK_SERVICEACCOUNT, key, "default"))
		act_create(out, KK_SERVICEACCOUNT, object_in("ServiceAccount", key, "default"));
}

const struct controller controller_serviceaccount = {
	.component = "serviceaccount-controller",
	.kinds = 1 << KK_NAMESPACE | 1 << KK_SERVICEACCOUNT,
	.seen = defaults_seen,
	.sync = serviceaccount_sync,
};

static void root_ca_sync(struct controller_run *c, const char *key, struct actions *out)
{
	const json_t *have = kit_get(c->kit, KK_CONFIGMAP, key, "kube-root-ca.crt");
	const char *ca = kube_client_ca(kit_kube(c->kit));
	json_t *obj, *data;

	if (!ca || !live_namespace(c, key) ||
	    c_eq(json_string_value(json_object_get(jx_at(have, "data"), "ca.crt")), ca))
		return;
	obj = have ? json_deep_copy(have) : object_in("ConfigMap", key, "kube-root-ca.crt");
	data = json_object();
	json_object_set_new(data, "ca.crt", json_string(ca));
	json_object_set_new(obj, "data", data);
	if (have)
		act_update(out, KK_CONFIGMAP, NULL, obj);
	else
		act_create(out, KK_CONFIGMAP, obj);
}

const struct controller controller_root_ca = {
	.component = "root-ca-certificate-publisher",
	.kinds = 1 << KK_NAMESPACE | 1 << KK_CONFIGMAP,
	.seen = defaults_seen,
	.sync = root_ca_sync,
};
