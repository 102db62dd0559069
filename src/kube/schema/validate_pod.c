#include "kube/schema/validate_int.h"

/* Pods: k8s.io/kubernetes pkg/apis/core/validation, ValidatePodSpec and what it calls. */

#define DNS_NAMESERVERS_MAX 3
#define DNS_SEARCHES_MAX 32
#define DNS_SEARCH_BYTES_MAX 2048

static void check_host_network(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	json_t *c, *port;
	size_t i, j;

	if (!jx_bool(spec, "hostNetwork", false))
		return;
	json_array_foreach(json_object_get(spec, "containers"), i, c) {
		json_array_foreach(json_object_get(c, "ports"), j, port) {
			int64_t host = jx_int(port, "hostPort", 0);

			if (host && host != jx_int(port, "containerPort", 0))
				bad_int(fe,
					AT(AT_INDEX(AT(AT_INDEX(AT(p, "containers"), i), "ports"), j),
					   "hostPort"),
					host, "must match `containerPort` when `hostNetwork` is true");
		}
	}
}

static void check_dns_config(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	const json_t *config = json_object_get(spec, "dnsConfig"),
		     *servers = json_object_get(config, "nameservers");
	const json_t *searches = json_object_get(config, "searches");
	bool none = strcmp(text_of(spec, "dnsPolicy"), "None") == 0;
	size_t i, bytes = 0;
	json_t *v;

	if (none && !config)
		missing(fe, p, "must provide `dnsConfig` when `dnsPolicy` is None");
	else if (none && !json_array_size(servers))
		missing(fe, AT(p, "nameservers"),
			"must provide at least one DNS nameserver when `dnsPolicy` is None");
	if (json_array_size(servers) > DNS_NAMESERVERS_MAX)
		bad_value(fe, AT(p, "nameservers"), servers, "must not have more than %d nameservers",
			  DNS_NAMESERVERS_MAX);
	json_array_foreach((json_t *)servers, i, v)
		check_ip(fe, AT_INDEX(AT(p, "nameservers"), i),
			 json_is_string(v) ? json_string_value(v) : "");
	if (json_array_size(searches) > DNS_SEARCHES_MAX)
		bad_value(fe, AT(p, "searches"), searches, "must not have more than %d search paths",
			  DNS_SEARCHES_MAX);
	json_array_foreach((json_t *)searches, i, v)
		bytes += json_string_length(v) + (i > 0);
	if (bytes > DNS_SEARCH_BYTES_MAX)
		bad_value(fe, AT(p, "searches"), searches,
			  "must not have more than %d characters (including spaces) in the search list",
			  DNS_SEARCH_BYTES_MAX);
	json_array_foreach(json_object_get(config, "options"), i, v)
		if (!text_of(v, "name")[0])
			missing(fe, AT_INDEX(AT(p, "options"), i), "must not be empty");
}

static void check_toleration(struct field_errors *fe, const struct place *p, const json_t *t)
{
	static const char *const operators[] = { "Equal", "Exists", NULL };
	static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };
	const char *key = text_of(t, "key"), *operator= text_of(t, "operator"), *value = text_of(t, "value");
	const char *effect = text_of(t, "effect");
	bool exists = strcmp(operator, "Exists") == 0;

	if (key[0])
		check_format(fe, AT(p, "key"), FORMAT_QUALIFIED_NAME, key);
	else if (!exists)
		bad_string(
			fe, AT(p, "operator"), operator,
			"operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
	if (json_object_get(t, "tolerationSeconds") && strcmp(effect, "NoExecute") != 0)
		bad_string(fe, AT(p, "effect"), effect,
			   "effect must be 'NoExecute' when `tolerationSeconds` is set");
	if (!exists && operator[0] && strcmp(operator, "Equal") != 0)
		unsupported(fe, AT(p, "operator"), operator, operators);
	else if (exists && value[0])
		bad_string(fe, AT(p, "operator"), value, "value must be empty when `operator` is 'Exists'");
	else if (!exists)
		check_format(fe, AT(p, "operator"), FORMAT_LABEL_VALUE, value);
	if (effect[0] && !one_of(effect, effects))
		unsupported(fe, AT(p, "effect"), effect, effects);
}

static void check_node_term(struct field_errors *fe, const struct place *p, const json_t *term)
{
	static const char *const with_values[] = { "In", "NotIn", NULL }, *const without[] = { "Exists",
											       "DoesNotExist",
											       NULL };
	static const char *const with_one[] = { "Gt", "Lt", NULL };
	json_t *r;
	size_t i;

	json_array_foreach(json_object_get(term, "matchExpressions"), i, r) {
		const struct place *at = AT_INDEX(AT(p, "matchExpressions"), i);
		const char *operator= text_of(r, "operator");
		size_t n = jx_len(r, "values");

		if (one_of(operator, with_values) && n == 0)
			missing(fe, AT(at, "values"), "must be specified when `operator` is 'In' or 'NotIn'");
		else if (one_of(operator, without) && n > 0)
			forbidden(fe, AT(at, "values"),
				  "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
		else if (one_of(operator, with_one) && n != 1)
			missing(fe, AT(at, "values"),
				"must be specified single value when `operator` is 'Lt' or 'Gt'");
		else if (!one_of(operator, with_values) && !one_of(operator, without) &&
			 !one_of(operator, with_one))
			bad_string(fe, AT(at, "operator"), operator, "not a valid selector operator");
		check_format(fe, AT(at, "key"), FORMAT_QUALIFIED_NAME, text_of(r, "key"));
	}
}

static void check_node_affinity(struct field_errors *fe, const struct place *p, const json_t *affinity)
{
	const struct place *required = AT(p, "requiredDuringSchedulingIgnoredDuringExecution");
	const struct place *preferred = AT(p, "preferredDuringSchedulingIgnoredDuringExecution");
	const json_t *r = json_object_get(affinity, required->member);
	json_t *term;
	size_t i;

	if (r && !jx_len(r, "nodeSelectorTerms"))
		missing(fe, AT(required, "nodeSelectorTerms"), "must have at least one node selector term");
	json_array_foreach(json_object_get(r, "nodeSelectorTerms"), i, term)
		check_node_term(fe, AT_INDEX(AT(required, "nodeSelectorTerms"), i), term);
	json_array_foreach(json_object_get(affinity, preferred->member), i, term) {
		int64_t weight = jx_int(term, "weight", 0);

		if (weight <= 0 || weight > 100)
			bad_int(fe, AT(AT_INDEX(preferred, i), "weight"), weight,
				"must be in the range 1-100");
		check_node_term(fe, AT(AT_INDEX(preferred, i), "preference"),
				json_object_get(term, "preference"));
	}
}

static void check_affinity_term(struct field_errors *fe, const struct place *p, const json_t *term)
{
	const char *key = text_of(term, "topologyKey");

	check_label_selector(fe, AT(p, "labelSelector"), json_object_get(term, "labelSelector"));
	check_label_selector(fe, AT(p, "namespaceSelector"), json_object_get(term, "namespaceSelector"));
	if (key[0])
		check_format(fe, AT(p, "topologyKey"), FORMAT_QUALIFIED_NAME, key);
	else
		missing(fe, AT(p, "topologyKey"), "can not be empty");
}

static void check_pod_affinity(struct field_errors *fe, const struct place *p, const json_t *affinity)
{
	const struct place *required = AT(p, "requiredDuringSchedulingIgnoredDuringExecution");
	const struct place *preferred = AT(p, "preferredDuringSchedulingIgnoredDuringExecution");
	json_t *term;
	size_t i;

	json_array_foreach(json_object_get(affinity, required->member), i, term)
		check_affinity_term(fe, AT_INDEX(required, i), term);
	json_array_foreach(json_object_get(affinity, preferred->member), i, term) {
		int64_t weight = jx_int(term, "weight", 0);

		if (weight <= 0 || weight > 100)
			bad_int(fe, AT(AT_INDEX(preferred, i), "weight"), weight,
				"must be in the range 1-100");
		check_affinity_term(fe, AT(AT_INDEX(preferred, i), "podAffinityTerm"),
				    json_object_get(term, "podAffinityTerm"));
	}
}

static void check_affinity(struct field_errors *fe, const struct place *p, const json_t *affinity)
{
	check_node_affinity(fe, AT(p, "nodeAffinity"), json_object_get(affinity, "nodeAffinity"));
	check_pod_affinity(fe, AT(p, "podAffinity"), json_object_get(affinity, "podAffinity"));
	check_pod_affinity(fe, AT(p, "podAntiAffinity"), json_object_get(affinity, "podAntiAffinity"));
}

static void check_spread(struct field_errors *fe, const struct place *p, const json_t *constraints)
{
	static const char *const actions[] = { "DoNotSchedule", "ScheduleAnyway", NULL };
	json_t *c;
	size_t i;

	json_array_foreach((json_t *)constraints, i, c) {
		const struct place *at = AT_INDEX(p, i);

		if (jx_int(c, "maxSkew", 0) <= 0)
			bad_int(fe, AT(at, "maxSkew"), jx_int(c, "maxSkew", 0), "must be greater than zero");
		if (text_of(c, "topologyKey")[0])
			check_format(fe, AT(at, "topologyKey"), FORMAT_QUALIFIED_NAME,
				     text_of(c, "topologyKey"));
		else
			missing(fe, AT(at, "topologyKey"), "can not be empty");
		if (!one_of(text_of(c, "whenUnsatisfiable"), actions))
			unsupported(fe, AT(at, "whenUnsatisfiable"), text_of(c, "whenUnsatisfiable"),
				    actions);
		check_label_selector(fe, AT(at, "labelSelector"), json_object_get(c, "labelSelector"));
	}
}

static void check_host_aliases(struct field_errors *fe, const struct place *p, const json_t *aliases)
{
	json_t *alias, *name;
	size_t i, j;

	json_array_foreach((json_t *)aliases, i, alias) {
		check_ip(fe, AT(AT_INDEX(p, i), "ip"), text_of(alias, "ip"));
		json_array_foreach(json_object_get(alias, "hostnames"), j, name)
			check_format(fe, AT_INDEX(AT(AT_INDEX(p, i), "hostnames"), j),
				     FORMAT_DNS1123_SUBDOMAIN,
				     json_is_string(name) ? json_string_value(name) : "");
	}
}

static const struct {
	const char *member;
	enum format format;
} named_members[] = {
	{ "serviceAccountName", FORMAT_DNS1123_SUBDOMAIN },
	{ "nodeName", FORMAT_DNS1123_SUBDOMAIN },
	{ "hostname", FORMAT_DNS1123_LABEL },
	{ "subdomain", FORMAT_DNS1123_LABEL },
	{ "priorityClassName", FORMAT_DNS1123_SUBDOMAIN },
	{ "runtimeClassName", FORMAT_DNS1123_SUBDOMAIN },
};

static void check_names(struct field_errors *fe, const struct place *p, const json_t *spec, size_t from,
			size_t to)
{
	for (size_t i = from; i < to; i++) {
		const char *value = text_of(spec, named_members[i].member);

		if (value[0])
			check_format(fe, AT(p, named_members[i].member), named_members[i].format, value);
	}
}

static void check_gates(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	json_t *gate;
	size_t i;

	json_array_foreach(json_object_get(spec, "readinessGates"), i, gate)
		check_format(fe, AT(AT_INDEX(AT(p, "readinessGates"), i), "conditionType"),
			     FORMAT_QUALIFIED_NAME, text_of(gate, "conditionType"));
	json_array_foreach(json_object_get(spec, "schedulingGates"), i, gate)
		check_format(fe, AT_INDEX(AT(p, "schedulingGates"), i), FORMAT_QUALIFIED_NAME,
			     text_of(gate, "name"));
}

static void check_tail(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	static const char *const preemption[] = { "PreemptLowerPriority", "Never", NULL };
	const json_t *deadline = json_object_get(spec, "activeDeadlineSeconds");
	const char *policy = jx_str(spec, "preemptionPolicy");
	json_t *t;
	size_t i;

	check_names(fe, p, spec, 0, 2);
	if (deadline)
		check_range(fe, AT(p, "activeDeadlineSeconds"), json_integer_value(deadline), 1, INT32_MAX);
	check_names(fe, p, spec, 2, 4);
	json_array_foreach(json_object_get(spec, "tolerations"), i, t)
		check_toleration(fe, AT_INDEX(AT(p, "tolerations"), i), t);
	check_host_aliases(fe, AT(p, "hostAliases"), json_object_get(spec, "hostAliases"));
	check_names(fe, p, spec, 4, ARRAY_LEN(named_members));
	if (policy)
		check_enum(fe, AT(p, "preemptionPolicy"), policy, preemption);
}

void validate_pod_spec(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	static const char *const restart[] = { "Always", "OnFailure", "Never", NULL };
	static const char *const dns[] = { "ClusterFirstWithHostNet", "ClusterFirst", "Default", "None",
					   NULL };
	json_t *secret;
	size_t i;

	if (!json_object_get(spec, "terminationGracePeriodSeconds"))
		missing(fe, AT(p, "terminationGracePeriodSeconds"), "");
	cleanup(json_decrefp) json_t *volumes = validate_volumes(fe, p, spec);
	validate_containers(fe, p, spec, volumes);
	check_host_network(fe, p, spec);
	check_enum(fe, AT(p, "restartPolicy"), text_of(spec, "restartPolicy"), restart);
	check_enum(fe, AT(p, "dnsPolicy"), text_of(spec, "dnsPolicy"), dns);
	check_labels(fe, AT(p, "nodeSelector"), json_object_get(spec, "nodeSelector"));
	validate_security_ids(fe, AT(p, "securityContext"), json_object_get(spec, "securityContext"));
	json_array_foreach(json_object_get(spec, "imagePullSecrets"), i, secret)
		if (!text_of(secret, "name")[0])
			missing(fe, AT(AT_INDEX(AT(p, "imagePullSecrets"), i), "name"), "");
	check_affinity(fe, AT(p, "affinity"), json_object_get(spec, "affinity"));
	check_dns_config(fe, AT(p, "dnsConfig"), spec);
	check_gates(fe, p, spec);
	check_spread(fe, AT(p, "topologySpreadConstraints"),
		     json_object_get(spec, "topologySpreadConstraints"));
	check_tail(fe, p, spec);
}

void validate_pod_template(struct field_errors *fe, const struct place *p, const json_t *template)
{
	check_labels(fe, AT(p, "labels"), jx_at(template, "metadata.labels"));
	check_annotations(fe, AT(p, "annotations"), jx_at(template, "metadata.annotations"));
	validate_pod_spec(fe, AT(p, "spec"), json_object_get(template, "spec"));
	if (jx_len(template, "spec.ephemeralContainers"))
		forbidden(fe, AT(AT(p, "spec"), "ephemeralContainers"),
			  "ephemeral containers not allowed in pod template");
}

/* A token needs an account to belong to. */
static void check_token_volumes(struct field_errors *fe, const struct place *p, const json_t *spec)
{
	json_t *volume, *source;
	size_t i, j;

	if (text_of(spec, "serviceAccountName")[0])
		return;
	json_array_foreach(json_object_get(spec, "volumes"), i, volume) {
		const struct place *at = AT(AT(AT_INDEX(AT(p, "volumes"), i), "projected"), "sources");

		json_array_foreach(jx_at(volume, "projected.sources"), j, source)
			if (json_object_get(source, "serviceAccountToken"))
				forbidden(fe, AT(AT_INDEX(at, j), "serviceAccountToken"),
					  "must not be specified when serviceAccountName is not set");
	}
}

void validate_pod(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const json_t *spec = json_object_get(obj, "spec");
	const struct place *p = AT(NULL, "spec");

	validate_pod_spec(fe, p, spec);
	check_token_volumes(fe, p, spec);
	if (old) {
		validate_pod_spec_update(fe, p, spec, json_object_get(old, "spec"));
		return;
	}
	if (jx_len(spec, "ephemeralContainers"))
		forbidden(fe, AT(p, "ephemeralContainers"), "cannot be set on create");
	if (text_of(spec, "nodeName")[0] && jx_len(spec, "schedulingGates"))
		forbidden(fe, AT(p, "nodeName"), "cannot be set until all schedulingGates have been cleared");
}
