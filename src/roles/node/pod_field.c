/* What fieldRef can name. Kubernetes: pkg/fieldpath and kubelet's podFieldSelectorRuntimeValue. */
#include "codec/jx.h"
#include "roles/node/volume_payload.h"

/* Kube-apiserver allows 256 KiB of annotations; quoting may double it. */
#define LIMIT_FIELD_BYTES (512u << 10)

/* metadata.labels as a file: key="value" lines, sorted by key. */
static char *map_lines(const json_t *map)
{
	struct buf out;
	const char *key;
	json_t *value;
	cleanup(json_decrefp) json_t *keys = json_array();

	buf_init(&out, LIMIT_FIELD_BYTES);
	buf_puts(&out, "");
	json_object_foreach((json_t *)map, key, value)
	{
		size_t at = 0;
		while (at < json_array_size(keys) &&
		       strcmp(json_string_value(json_array_get(keys, at)), key) < 0)
			at++;
		json_array_insert_new(keys, at, json_string(key));
	}
	for (size_t i = 0; i < json_array_size(keys); i++) {
		key = json_string_value(json_array_get(keys, i));
		buf_printf(&out, "%s%s=", i ? "\n" : "", key);
		buf_put_json(&out, str_of(json_string_value(json_object_get(map, key))));
	}
	return out.ptr ? buf_take(&out) : xstrdup("");
}

/* "metadata.labels['x']" with prefix "metadata.labels" → the label x, "" when it is not set. */
static char *subscript(const json_t *pod, const char *path, const char *prefix)
{
	struct str rest = str_of(path), head = str_of(prefix);

	if (!str_starts(rest, head))
		return NULL;
	rest = (struct str){ rest.ptr + head.len, rest.len - head.len };
	if (!str_starts(rest, STR("['")) || !str_ends(rest, STR("']")) || rest.len < 4)
		return NULL;
	cleanup(freep) char *key = xstrndup(rest.ptr + 2, rest.len - 4);
	const char *value = json_string_value(json_object_get(jx_at(pod, prefix), key));
	return xstrdup(value ? value : "");
}

char *pod_field_value(const json_t *pod, const char *path)
{
	static const char *const plain[] = {
		"metadata.name",	   "metadata.namespace", "metadata.uid", "spec.nodeName",
		"spec.serviceAccountName", "status.hostIP",	 "status.podIP",
	};

	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (c_eq(path, plain[i]))
			return xstrdup(jx_str_or(pod, path, ""));
	if (c_eq(path, "status.podIPs"))
		return xstrdup(jx_str_or(pod, "status.podIP", ""));
	if (c_eq(path, "status.hostIPs"))
		return xstrdup(jx_str_or(pod, "status.hostIP", ""));
	if (c_eq(path, "metadata.labels") || c_eq(path, "metadata.annotations"))
		return map_lines(jx_at(pod, path));
	char *value = subscript(pod, path, "metadata.labels");
	return value ? value : subscript(pod, path, "metadata.annotations");
}
