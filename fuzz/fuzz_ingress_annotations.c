/* Values of annotations and of the ConfigMap: the first byte chooses the row, the rest is its value. */
#include "roles/ingress/config/annotations.h"
#include "roles/ingress/config/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one(const char *prefix, const struct field *f, const char *value, struct globals *defaults)
{
	cleanup(freep) char *key = xasprintf("%s%s", prefix, f->name);
	json_t *text = json_string(value);

	if (!text) /* no UTF-8: JSON would not have it */
		return;
	json_t *ingress = json_pack("{s:{s:s,s:{s:o}}}", "metadata", "namespace", "a", "annotations", key, text);
	settings_unref(settings_of_ingress(ingress, defaults, NULL));
	json_decref(ingress);
}

static void one_key(const struct field *f, const char *value)
{
	json_t *text = json_string(value);

	if (!text)
		return;
	json_t *configmap = json_pack("{s:{s:o}}", "data", f->name, text);
	globals_unref(globals_of_configmap(configmap, NULL));
	json_decref(configmap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct globals *g;
	static size_t n_nginx, n_ours, n_keys;
	size_t which;

	if (!g) {
		g = globals_of_configmap(NULL, NULL);
		g->allow_snippets = true;
		for (; nginx_annotations[n_nginx].name; n_nginx++)
			;
		for (; our_annotations[n_ours].name; n_ours++)
			;
		for (; configmap_fields[n_keys].name; n_keys++)
			;
	}
	if (size < 2)
		return 0;
	cleanup(freep) char *value = xstrndup((const char *)data + 2, size - 2);
	which = (data[0] | (size_t)data[1] << 8) % (n_nginx + n_ours + n_keys);
	if (which < n_nginx)
		one(NGINX_PREFIX, &nginx_annotations[which], value, g);
	else if (which < n_nginx + n_ours)
		one(OUR_PREFIX, &our_annotations[which - n_nginx], value, g);
	else
		one_key(&configmap_fields[which - n_nginx - n_ours], value);
	return 0;
}
