#include "kube/schema/validate_int.h"

/* The smaller kinds: k8s.io/kubernetes pkg/apis/{core,coordination}/validation. */

#define DATA_BYTES_MAX (1u << 20) /* core.MaxSecretSize */

/* Bytes that a base64 text stands for. */
static size_t decoded_len(const json_t *v)
{
	const char *s = json_string_value(v);
	size_t n = s ? strlen(s) : 0;

	return n / 4 * 3 - (n && s[n - 1] == '=') - (n > 1 && s[n - 2] == '=');
}

static void check_frozen(struct field_errors *fe, const json_t *obj, const json_t *old,
			 const char *const *members)
{
	if (!old || !jx_bool(old, "immutable", false))
		return;
	if (!jx_bool(obj, "immutable", false))
		forbidden(fe, AT(NULL, "immutable"), "field is immutable when `immutable` is set");
	for (; *members; members++)
		if (!same(json_object_get(obj, *members), json_object_get(old, *members)))
			forbidden(fe, AT(NULL, *members), "field is immutable when `immutable` is set");
}

void validate_configmap(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char *const members[] = { "data", "binaryData", NULL };
	const json_t *binary = json_object_get(obj, "binaryData");
	const char *key;
	size_t bytes = 0;
	json_t *v;

	check_frozen(fe, obj, old, members);
	json_object_foreach(json_object_get(obj, "data"), key, v) {
		const struct place *at = AT_KEY(AT(NULL, "data"), key);

		check_format(fe, at, FORMAT_CONFIG_KEY, key);
		if (json_object_get(binary, key))
			bad_string(fe, at, key, "duplicate of key present in binaryData");
		bytes += json_string_length(v);
	}
	json_object_foreach((json_t *)binary, key, v) {
		check_format(fe, AT_KEY(AT(NULL, "binaryData"), key), FORMAT_CONFIG_KEY, key);
		bytes += decoded_len(v);
	}
	if (bytes > DATA_BYTES_MAX)
		too_long(fe, AT(NULL, ""), DATA_BYTES_MAX);
}

static const struct {
	const char *type;
	const char *keys[2];
	bool any; /* one of them is enough */
} secret_types[] = {
	{ "kubernetes.io/dockercfg", { ".dockercfg" }, false },
	{ "kubernetes.io/dockerconfigjson", { ".dockerconfigjson" }, false },
	{ "kubernetes.io/basic-auth", { "username", "password" }, true },
	{ "kubernetes.io/ssh-auth", { "ssh-privatekey" }, false },
	{ "kubernetes.io/tls", { "tls.crt", "tls.key" }, false },
};

static void check_secret_keys(struct field_errors *fe, const struct place *p, const char *type,
			      const json_t *data)
{
	for (size_t i = 0; i < ARRAY_LEN(secret_types); i++) {
		const char *const *keys = secret_types[i].keys;

		if (strcmp(type, secret_types[i].type) != 0)
			continue;
		if (secret_types[i].any && (json_object_get(data, keys[0]) || json_object_get(data, keys[1])))
			return;
		for (size_t k = 0; k < 2 && keys[k]; k++)
			if (!json_object_get(data, keys[k]))
				missing(fe, AT_KEY(p, keys[k]), "");
	}
}

void validate_secret(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char *const members[] = { "data", NULL };
	static const char account[] = "kubernetes.io/service-account.name";
	const json_t *data = json_object_get(obj, "data");
	const struct place *p = AT(NULL, "data");
	const char *key, *type = text_of(obj, "type"), *name = jx_annotation(obj, account);
	size_t bytes = 0;
	json_t *v;

	if (old)
		check_immutable(fe, AT(NULL, "type"), json_object_get(obj, "type"),
				json_object_get(old, "type"));
	check_frozen(fe, obj, old, members);
	json_object_foreach((json_t *)data, key, v) {
		check_format(fe, AT_KEY(p, key), FORMAT_CONFIG_KEY, key);
		bytes += decoded_len(v);
	}
	if (bytes > DATA_BYTES_MAX)
		too_long(fe, p, DATA_BYTES_MAX);
	if (strcmp(type, "kubernetes.io/service-account-token") == 0 && (!name || !name[0]))
		missing(fe, AT_KEY(AT(AT(NULL, "metadata"), "annotations"), account), "");
	check_secret_keys(fe, p, type, data);
}

void validate_namespace(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const struct place *p = AT(AT(NULL, "spec"), "finalizers");
	json_t *f;
	size_t i;

	(void)old;
	json_array_foreach(jx_at(obj, "spec.finalizers"), i, f) {
		const char *name = json_is_string(f) ? json_string_value(f) : "";

		check_format(fe, AT_INDEX(p, i), FORMAT_QUALIFIED_NAME, name);
		if (!strchr(name, '/') && strcmp(name, "kubernetes") != 0)
			bad_string(fe, AT_INDEX(p, i), name,
				   "name is neither a standard finalizer name nor is it fully qualified");
	}
}

static void check_taints(struct field_errors *fe, const struct place *p, const json_t *taints)
{
	static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };
	cleanup(json_decrefp) json_t *seen = json_object();
	json_t *t;
	size_t i;

	json_array_foreach((json_t *)taints, i, t) {
		const struct place *at = AT_INDEX(p, i);
		const char *effect = text_of(t, "effect");

		check_format(fe, AT(at, "key"), FORMAT_QUALIFIED_NAME, text_of(t, "key"));
		check_format(fe, AT(at, "value"), FORMAT_LABEL_VALUE, text_of(t, "value"));
		check_enum(fe, AT(at, "effect"), effect, effects);
		cleanup(freep) char *both = xasprintf("%s:%s", text_of(t, "key"), effect);
		if (json_object_get(seen, both)) {
			cleanup(freep) char *text = jx_dump_text(t);
			duplicate_json(fe, at, text);
		}
		json_object_set_new(seen, both, json_true());
	}
}

void validate_node(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const struct place *spec = AT(NULL, "spec"), *cidrs = AT(spec, "podCIDRs");
	const json_t *old_cidrs = jx_at(old, "spec.podCIDRs");
	const char *provider = jx_str_or(old, "spec.providerID", "");
	json_t *v;
	size_t i;

	check_taints(fe, AT(AT(NULL, "metadata"), "taints"),
		     jx_at(obj, "spec.taints")); /* upstream's place */
	json_array_foreach(jx_at(obj, "spec.podCIDRs"), i, v)
		if (!json_is_string(v) || !cidr_ok(json_string_value(v)))
			bad_value(fe, AT_INDEX(cidrs, i), v,
				  "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
	if (json_array_size(old_cidrs) && !json_equal(old_cidrs, jx_at(obj, "spec.podCIDRs")))
		forbidden(fe, cidrs, "node updates may not change podCIDR except from \"\" to valid");
	if (provider[0] && strcmp(provider, jx_str_or(obj, "spec.providerID", "")) != 0)
		forbidden(fe, AT(spec, "providerID"),
			  "node updates may not change providerID except from \"\" to valid");
}

/* The older rules of core/v1; an event's namespace is that of what it is about. */
void validate_event(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const char *ns = jx_namespace(obj), *about = jx_str_or(obj, "involvedObject.namespace", "");
	const struct place *p = AT(AT(NULL, "involvedObject"), "namespace");

	(void)old;
	if (!about[0] && ns && strcmp(ns, "default") != 0)
		bad_string(fe, p, about, "does not match event.namespace");
	else if (about[0] && ns && strcmp(ns, about) != 0)
		bad_string(fe, p, about, "does not match event.namespace");
}

void validate_lease(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const json_t *spec = json_object_get(obj, "spec"),
		     *duration = json_object_get(spec, "leaseDurationSeconds");
	const struct place *p = AT(NULL, "spec");

	(void)old;
	if (duration && json_integer_value(duration) <= 0)
		bad_int(fe, AT(p, "leaseDurationSeconds"), json_integer_value(duration),
			"must be greater than 0");
	check_not_negative(fe, AT(p, "leaseTransitions"), jx_int(spec, "leaseTransitions", 0));
	if (text_of(spec, "preferredHolder")[0] && !text_of(spec, "strategy")[0])
		forbidden(fe, AT(p, "preferredHolder"), "may only be specified if `strategy` is defined");
}
