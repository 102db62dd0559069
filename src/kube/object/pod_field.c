#include "kube/object/pod_field.h"

#include "codec/jx.h"
#include "kube/object/quantity.h"

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

/* status.podIPs: [{ip}, …] → "a,b"; objects of before 1.20 have but the one. */
static char *address_list(const json_t *pod, const char *list, const char *single)
{
	const json_t *addresses = jx_at(pod, list), *a;
	struct buf out;
	size_t i;

	if (!json_array_size(addresses))
		return xstrdup(jx_str_or(pod, single, ""));
	buf_init(&out, LIMIT_FIELD_BYTES);
	json_array_foreach(addresses, i, a)
		buf_printf(&out, "%s%s", i ? "," : "", jx_str_or(a, "ip", ""));
	return buf_take(&out);
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
		return address_list(pod, "status.podIPs", "status.podIP");
	if (c_eq(path, "status.hostIPs"))
		return address_list(pod, "status.hostIPs", "status.hostIP");
	if (c_eq(path, "metadata.labels") || c_eq(path, "metadata.annotations"))
		return map_lines(jx_at(pod, path));
	char *value = subscript(pod, path, "metadata.labels");
	return value ? value : subscript(pod, path, "metadata.annotations");
}

int64_t resource_milli(const json_t *container, const char *section, const char *name)
{
	const json_t *list = json_object_get(json_object_get(container, "resources"), section);
	const char *text = json_string_value(json_object_get(list, name));
	int64_t v;

	return text && quantity_milli(str_of(text), &v) == 0 ? v : -1;
}

static const json_t *container_named(const json_t *pod, const char *name)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		const json_t *c;
		size_t i;
		json_array_foreach(jx_at(pod, lists[l]), i, c)
			if (c_eq(jx_str(c, "name"), name))
				return c;
	}
	return NULL;
}

/* What a container without a limit may use. */
static int64_t allocatable_milli(const json_t *allocatable, const char *name)
{
	static const char *const filled[] = { "cpu", "memory", "ephemeral-storage" };
	int64_t v;

	for (size_t i = 0; i < ARRAY_LEN(filled); i++) {
		const char *text = c_eq(name, filled[i]) ? json_string_value(json_object_get(allocatable, name)) : NULL;
		if (text && quantity_milli(str_of(text), &v) == 0)
			return v;
	}
	return 0;
}

char *pod_resource_value(const json_t *pod, const json_t *container, const json_t *ref, const json_t *allocatable)
{
	struct str name, section = str_cut(str_of(jx_str_or(ref, "resource", "")), '.', &name);
	const char *other = jx_str_or(ref, "containerName", "");
	int64_t divisor = 0;

	if (other[0])
		container = container_named(pod, other);
	if (!container || !name.ptr || !(str_eq_c(section, "limits") || str_eq_c(section, "requests")))
		return NULL;
	cleanup(freep) char *section_text = str_dup(section), *name_text = str_dup(name);
	int64_t milli = resource_milli(container, section_text, name_text);
	if (milli < 0 && str_eq_c(section, "limits"))
		milli = allocatable_milli(allocatable, name_text);
	if (quantity_milli(str_of(jx_str_or(ref, "divisor", "0")), &divisor) < 0 || divisor <= 0)
		divisor = 1000;
	milli = MAX(milli, 0);
	return xasprintf("%lld", (long long)(milli / divisor + (milli % divisor != 0)));
}
