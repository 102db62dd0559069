/* Objects of any shape, as a folder of manifests may hold them: a JSON array of Ingresses, Services, … by kind. Whatever they
 * say, hosts are built, looked up, changed and taken away again. */
#include "roles/ingress/route/model.h"

static void put(struct model *m, json_t *obj)
{
	const char *kind = jx_str_or(obj, "kind", "");

	if (strcmp(kind, "Ingress") == 0)
		model_set_ingress(m, obj);
	else if (strcmp(kind, "IngressClass") == 0)
		model_set_class(m, obj);
	else if (strcmp(kind, "Service") == 0)
		model_set_service(m, obj);
	else if (strcmp(kind, "EndpointSlice") == 0)
		model_set_slice(m, obj);
	else if (strcmp(kind, "Secret") == 0)
		model_set_secret(m, obj);
	else if (strcmp(kind, "ConfigMap") == 0)
		model_set_configmap(m, obj);
}

static void take(struct model *m, const json_t *obj)
{
	const char *ns = jx_namespace(obj), *name = jx_name(obj);

	if (!ns || !name)
		return;
	model_del_ingress(m, ns, name);
	model_del_service(m, ns, name);
	model_del_slice(m, ns, name);
	model_del_secret(m, ns, name);
}

static void look(void *ctx, const struct host *h)
{
	struct routes *r = ctx;
	const struct location *l = routes_match(r, str_of(h->name), STR("/a/b"));

	if (l)
		host_unref(l->host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct model_config config = { .configmap = "default/conf", .watch_without_class = true };
	struct model_ops none = { 0 };
	struct err e;
	json_t *list = jx_parse((struct str){ (const char *)data, size }, 1u << 20, &e), *obj;
	struct routes *r = routes_new(NULL);
	struct backends *bs = backends_new(NULL);
	struct model *m = model_new(&config, &none, NULL, r, bs);
	size_t i;

	json_array_foreach(list, i, obj) {
		put(m, obj);
		if (i % 3 == 2)
			model_flush(m);
	}
	model_flush(m);
	routes_each_host(r, look, r);
	json_array_foreach(list, i, obj) {
		if (i % 2)
			take(m, obj);
	}
	model_flush(m);
	model_sweep(m);
	routes_each_host(r, look, r);
	model_free(m);
	routes_free(r);
	backends_free(bs);
	json_decref(list);
	return 0;
}
