#include "kube/object/quantity.h"
#include "kube/schema/validate_int.h"

#include <stdio.h>

/* Containers of a pod: k8s.io/kubernetes pkg/apis/core/validation, validateContainers and what it calls. */

static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };

static void check_container_port(struct field_errors *fe, const struct place *p, const json_t *port,
				 json_t *names)
{
	const char *name = text_of(port, "name");

	if (name[0] && !format_ok(FORMAT_PORT_NAME, name))
		check_format(fe, AT(p, "name"), FORMAT_PORT_NAME, name);
	else if (name[0] && json_object_get(names, name))
		duplicate(fe, AT(p, "name"), name);
	else if (name[0])
		json_object_set_new(names, name, json_true());
	if (jx_int(port, "containerPort", 0) == 0)
		missing(fe, AT(p, "containerPort"), "");
	else
		check_port(fe, AT(p, "containerPort"), jx_int(port, "containerPort", 0));
	if (jx_int(port, "hostPort", 0) != 0)
		check_port(fe, AT(p, "hostPort"), jx_int(port, "hostPort", 0));
	check_enum(fe, AT(p, "protocol"), text_of(port, "protocol"), protocols);
}

static void check_ports(struct field_errors *fe, const struct place *p, const json_t *ports)
{
	cleanup(json_decrefp) json_t *names = json_object();
	json_t *port;
	size_t i;

	json_array_foreach((json_t *)ports, i, port)
		check_container_port(fe, AT_INDEX(p, i), port, names);
}

static void check_key_selector(struct field_errors *fe, const struct place *p, const json_t *s)
{
	const char *key = text_of(s, "key");

	check_format(fe, AT(p, "name"), FORMAT_DNS1123_SUBDOMAIN, text_of(s, "name"));
	if (key[0])
		check_format(fe, AT(p, "key"), FORMAT_CONFIG_KEY, key);
	else
		missing(fe, AT(p, "key"), "");
}

/* "metadata.annotations['a/b']" has a subscript; on the heap, NULL if there is none. */
static char *subscript_of(const char *path, size_t *ret_base_len)
{
	const char *open = strstr(path, "['");
	size_t n = strlen(path);

	if (!open || n < 2 || strcmp(path + n - 2, "']") != 0 || open + 2 > path + n - 2)
		return NULL;
	*ret_base_len = (size_t)(open - path);
	return xstrndup(open + 2, n - 2 - (size_t)(open + 2 - path));
}

static void check_field_ref(struct field_errors *fe, const struct place *p, const json_t *ref)
{
	static const char *const paths[] = { "metadata.name",
					     "metadata.namespace",
					     "metadata.uid",
					     "spec.nodeName",
					     "spec.serviceAccountName",
					     "status.hostIP",
					     "status.hostIPs",
					     "status.podIP",
					     "status.podIPs",
					     NULL };
	const char *path = text_of(ref, "fieldPath");
	size_t base = 0;

	if (!text_of(ref, "apiVersion")[0]) {
		missing(fe, AT(p, "apiVersion"), "");
		return;
	}
	if (!path[0]) {
		missing(fe, AT(p, "fieldPath"), "");
		return;
	}
	cleanup(freep) char *subscript = subscript_of(path, &base);
	if (subscript &&
	    (strncmp(path, "metadata.annotations", base) == 0 || strncmp(path, "metadata.labels", base) == 0))
		check_format(fe, p, FORMAT_QUALIFIED_NAME, subscript);
	else if (strncmp(path, "metadata.", 9) != 0 && strncmp(path, "spec.", 5) != 0 &&
		 strncmp(path, "status.", 7) != 0)
		bad_string(fe, AT(p, "fieldPath"), path,
			   "error converting fieldPath: field label not supported: %s", path);
	else if (!one_of(path, paths))
		unsupported(fe, AT(p, "fieldPath"), path, paths);
}

static void check_resource_ref(struct field_errors *fe, const struct place *p, const json_t *ref)
{
	static const char *const known[] = { "limits.cpu",
					     "limits.ephemeral-storage",
					     "limits.memory",
					     "requests.cpu",
					     "requests.ephemeral-storage",
					     "requests.memory",
					     NULL };
	const char *resource = text_of(ref, "resource");

	if (!resource[0])
		missing(fe, AT(p, "resource"), "");
	else if (!one_of(resource, known) && !strstr(resource, ".hugepages-"))
		unsupported(fe, AT(p, "resource"), resource, known);
}

static const struct {
	const char *member;
	void (*check)(struct field_errors *fe, const struct place *p, const json_t *ref);
} env_sources[] = {
	{ "fieldRef", check_field_ref },
	{ "resourceFieldRef", check_resource_ref },
	{ "configMapKeyRef", check_key_selector },
	{ "secretKeyRef", check_key_selector },
};

static void check_value_from(struct field_errors *fe, const struct place *p, const json_t *from,
			     const char *value)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(env_sources); i++) {
		const json_t *ref = json_object_get(from, env_sources[i].member);

		if (!ref)
			continue;
		n++;
		env_sources[i].check(fe, AT(p, env_sources[i].member), ref);
	}
	if (n == 0)
		bad_string(
			fe, p, "",
			"must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
	else if (value[0])
		bad_string(fe, p, "", "may not be specified when `value` is not empty");
	else if (n > 1)
		bad_string(fe, p, "", "may not have more than one field specified at a time");
}

static void check_env(struct field_errors *fe, const struct place *p, const json_t *env)
{
	json_t *v;
	size_t i;

	json_array_foreach((json_t *)env, i, v) {
		const struct place *at = AT_INDEX(p, i);
		const char *name = text_of(v, "name");

		if (name[0])
			check_format(fe, AT(at, "name"), FORMAT_ENV_NAME, name);
		else
			missing(fe, AT(at, "name"), "");
		if (json_object_get(v, "valueFrom"))
			check_value_from(fe, AT(at, "valueFrom"), json_object_get(v, "valueFrom"),
					 text_of(v, "value"));
	}
}

static void check_env_from(struct field_errors *fe, const struct place *p, const json_t *list)
{
	static const char *const members[] = { "configMapRef", "secretRef" };
	json_t *from;
	size_t i;

	json_array_foreach((json_t *)list, i, from) {
		const struct place *at = AT_INDEX(p, i);
		size_t n = 0;

		if (text_of(from, "prefix")[0])
			check_format(fe, AT(at, "prefix"), FORMAT_ENV_NAME, text_of(from, "prefix"));
		for (size_t m = 0; m < ARRAY_LEN(members); m++) {
			const json_t *ref = json_object_get(from, members[m]);
			const struct place *here = AT(at, members[m]);

			if (!ref)
				continue;
			n++;
			if (text_of(ref, "name")[0])
				check_format(fe, AT(here, "name"), FORMAT_DNS1123_SUBDOMAIN,
					     text_of(ref, "name"));
			else
				missing(fe, AT(here, "name"), "");
		}
		if (n == 0)
			bad_string(fe, p, "", "must specify one of: `configMapRef` or `secretRef`");
		else if (n > 1)
			bad_string(fe, p, "", "may not have more than one field specified at a time");
	}
}

/* A whole number, or one of cpu's thousandths. */
void check_quantity(struct field_errors *fe, const struct place *p, const char *resource, const char *text)
{
	bool countable = strchr(resource, '/') || strncmp(resource, "hugepages-", 10) == 0;
	int64_t milli;

	if (quantity_milli(str_of(text), &milli) < 0) {
		bad_string(fe, p, text, "must be a valid resource quantity");
		return;
	}
	if (milli < 0)
		bad_string(fe, p, text, "must be greater than or equal to 0");
	if (countable && milli % 1000)
		bad_string(fe, p, text, "must be an integer");
}

static void check_resource_name(struct field_errors *fe, const struct place *p, const char *name)
{
	static const char *const standard[] = { "cpu", "memory", "ephemeral-storage", NULL };
	size_t before = fe->n;

	check_format(fe, p, FORMAT_QUALIFIED_NAME, name);
	if (fe->n == before && !strchr(name, '/') && !one_of(name, standard) &&
	    strncmp(name, "hugepages-", 10) != 0)
		bad_string(fe, p, name, "must be a standard resource for containers");
}

static void check_request(struct field_errors *fe, const struct place *p, const char *name,
			  const char *request, const char *limit)
{
	bool overcommit = !strchr(name, '/') && strncmp(name, "hugepages-", 10) != 0;
	int64_t want, cap;

	if (!limit) {
		if (!overcommit)
			missing(fe, AT(p, "limits"), "Limit must be set for non overcommitable resources");
		return;
	}
	if (quantity_milli(str_of(request), &want) < 0 || quantity_milli(str_of(limit), &cap) < 0)
		return;
	if (!overcommit && want != cap)
		bad_string(fe, AT(p, "requests"), request, "must be equal to %s limit of %s", name, limit);
	else if (want > cap)
		bad_string(fe, AT(p, "requests"), request, "must be less than or equal to %s limit of %s",
			   name, limit);
}

static void check_resources(struct field_errors *fe, const struct place *p, const json_t *r)
{
	const json_t *limits = json_object_get(r, "limits");
	const char *name;
	json_t *q;

	json_object_foreach((json_t *)limits, name, q) {
		const struct place *at = AT_KEY(AT(p, "limits"), name);

		check_resource_name(fe, at, name);
		check_quantity(fe, at, name, json_is_string(q) ? json_string_value(q) : "");
	}
	json_object_foreach(json_object_get(r, "requests"), name, q) {
		const struct place *at = AT_KEY(AT(p, "requests"), name);
		const char *text = json_is_string(q) ? json_string_value(q) : "";

		check_resource_name(fe, at, name);
		check_quantity(fe, at, name, text);
		check_request(fe, p, name, text, json_string_value(json_object_get(limits, name)));
	}
}

static void check_user(struct field_errors *fe, const struct place *p, const json_t *sc, const char *member)
{
	const json_t *id = json_object_get(sc, member);

	if (id)
		check_range(fe, AT(p, member), json_integer_value(id), 0, INT32_MAX);
}

static void check_profile(struct field_errors *fe, const struct place *p, const json_t *profile)
{
	static const char *const types[] = { "Localhost", "RuntimeDefault", "Unconfined", NULL };
	const char *type = text_of(profile, "type"), *file = text_of(profile, "localhostProfile");

	if (!profile)
		return;
	if (!type[0])
		missing(fe, AT(p, "type"), "type is required when seccompProfile is set");
	else if (!one_of(type, types))
		unsupported(fe, AT(p, "type"), type, types);
	else if (strcmp(type, "Localhost") == 0 && !file[0])
		missing(fe, AT(p, "localhostProfile"), "must be set when seccomp type is Localhost");
	else if (strcmp(type, "Localhost") != 0 && file[0])
		bad_string(fe, AT(p, "localhostProfile"), file,
			   "can only be set when seccomp type is Localhost");
}

void validate_security_ids(struct field_errors *fe, const struct place *p, const json_t *sc)
{
	check_user(fe, p, sc, "runAsUser");
	check_user(fe, p, sc, "runAsGroup");
	check_user(fe, p, sc, "fsGroup");
	check_profile(fe, AT(p, "seccompProfile"), json_object_get(sc, "seccompProfile"));
}

static void check_security(struct field_errors *fe, const struct place *p, const json_t *sc)
{
	json_t *c;
	size_t i;

	validate_security_ids(fe, p, sc);
	if (!json_is_false(json_object_get(sc, "allowPrivilegeEscalation")))
		return;
	if (jx_bool(sc, "privileged", false))
		bad_value(fe, p, sc,
			  "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
	json_array_foreach(jx_at(sc, "capabilities.add"), i, c)
		if (c_eq(json_string_value(c), "CAP_SYS_ADMIN"))
			bad_value(
				fe, p, sc,
				"cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
}

static void check_exec(struct field_errors *fe, const struct place *p, const json_t *h)
{
	if (!jx_len(h, "command"))
		missing(fe, AT(p, "command"), "");
}

static void check_http_get(struct field_errors *fe, const struct place *p, const json_t *h)
{
	static const char *const schemes[] = { "HTTP", "HTTPS", NULL };
	json_t *header;
	size_t i;

	if (!text_of(h, "path")[0])
		missing(fe, AT(p, "path"), "");
	check_port_or_name(fe, AT(p, "port"), json_object_get(h, "port"));
	if (!one_of(text_of(h, "scheme"), schemes))
		unsupported(fe, AT(p, "scheme"), text_of(h, "scheme"), schemes);
	json_array_foreach(json_object_get(h, "httpHeaders"), i, header)
		check_format(fe, AT(p, "httpHeaders"), FORMAT_HTTP_HEADER, text_of(header, "name"));
}

static void check_handler_port(struct field_errors *fe, const struct place *p, const json_t *h)
{
	check_port_or_name(fe, AT(p, "port"), json_object_get(h, "port"));
}

static const struct {
	const char *member;
	void (*check)(struct field_errors *fe, const struct place *p, const json_t *handler);
} handlers[] = {
	{ "exec", check_exec },
	{ "httpGet", check_http_get },
	{ "tcpSocket", check_handler_port },
	{ "grpc", check_handler_port },
	{ "sleep", NULL },
};

static void check_handler(struct field_errors *fe, const struct place *p, const json_t *owner,
			  int64_t grace_s)
{
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
		const json_t *h = json_object_get(owner, handlers[i].member);
		const struct place *at = AT(p, handlers[i].member);
		int64_t sleep_s = jx_int(h, "seconds", 0);

		if (!h)
			continue;
		if (n++)
			forbidden(fe, at, "may not specify more than 1 handler type");
		else if (handlers[i].check)
			handlers[i].check(fe, at, h);
		else if (sleep_s < 0 || sleep_s > grace_s)
			bad_int(fe, at, sleep_s,
				"must be non-negative and less than terminationGracePeriodSeconds (%lld)",
				(long long)grace_s);
	}
	if (n == 0)
		missing(fe, p, "must specify a handler type");
}

static void check_probe(struct field_errors *fe, const struct place *p, const json_t *probe, bool readiness)
{
	static const char *const counts[] = { "initialDelaySeconds", "timeoutSeconds", "periodSeconds",
					      "successThreshold", "failureThreshold" };
	const json_t *grace = json_object_get(probe, "terminationGracePeriodSeconds");

	if (!probe)
		return;
	check_handler(fe, p, probe, INT64_MAX);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		check_not_negative(fe, AT(p, counts[i]), jx_int(probe, counts[i], 0));
	if (grace && json_integer_value(grace) <= 0)
		bad_int(fe, AT(p, "terminationGracePeriodSeconds"), json_integer_value(grace),
			"must be greater than 0");
	if (!readiness && jx_int(probe, "successThreshold", 0) != 1)
		bad_int(fe, AT(p, "successThreshold"), jx_int(probe, "successThreshold", 0), "must be 1");
	if (readiness && grace)
		bad_int(fe, AT(p, "terminationGracePeriodSeconds"), json_integer_value(grace),
			"must not be set for readinessProbes");
}

static const char *const life_members[] = { "lifecycle", "livenessProbe", "readinessProbe", "startupProbe" };

static void check_life(struct field_errors *fe, const struct place *p, const json_t *c, int64_t grace_s)
{
	static const char *const hooks[] = { "postStart", "preStop" };
	const json_t *lifecycle = json_object_get(c, "lifecycle");

	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		if (json_object_get(lifecycle, hooks[i]))
			check_handler(fe, AT(AT(p, "lifecycle"), hooks[i]),
				      json_object_get(lifecycle, hooks[i]), grace_s);
	for (size_t i = 1; i < ARRAY_LEN(life_members); i++)
		check_probe(fe, AT(p, life_members[i]), json_object_get(c, life_members[i]), i == 2);
}

static void check_common(struct field_errors *fe, const struct place *p, const json_t *c,
			 const json_t *volumes)
{
	static const char *const message_policies[] = { "File", "FallbackToLogsOnError", NULL };
	static const char *const pull_policies[] = { "Always", "IfNotPresent", "Never", NULL };

	if (text_of(c, "name")[0])
		check_format(fe, AT(p, "name"), FORMAT_DNS1123_LABEL, text_of(c, "name"));
	else
		missing(fe, AT(p, "name"), "");
	if (!text_of(c, "image")[0])
		missing(fe, AT(p, "image"), "");
	check_enum(fe, AT(p, "terminationMessagePolicy"), text_of(c, "terminationMessagePolicy"),
		   message_policies);
	check_ports(fe, AT(p, "ports"), json_object_get(c, "ports"));
	check_env(fe, AT(p, "env"), json_object_get(c, "env"));
	check_env_from(fe, AT(p, "envFrom"), json_object_get(c, "envFrom"));
	validate_mounts(fe, AT(p, "volumeMounts"), c, volumes);
	check_enum(fe, AT(p, "imagePullPolicy"), text_of(c, "imagePullPolicy"), pull_policies);
	check_resources(fe, AT(p, "resources"), json_object_get(c, "resources"));
	check_security(fe, AT(p, "securityContext"), json_object_get(c, "securityContext"));
}

static void check_unique_name(struct field_errors *fe, const struct place *p, const json_t *c, json_t *names)
{
	const char *name = text_of(c, "name");

	if (json_object_get(names, name))
		duplicate(fe, AT(p, "name"), name);
	else
		json_object_set_new(names, name, json_true());
}

static void check_host_ports(struct field_errors *fe, const struct place *p, const json_t *c, json_t *seen)
{
	json_t *port;
	size_t i;

	json_array_foreach(json_object_get(c, "ports"), i, port) {
		if (jx_int(port, "hostPort", 0) == 0)
			continue;
		cleanup(freep) char *key =
			xasprintf("%s/%s/%lld", text_of(port, "protocol"), text_of(port, "hostIP"),
				  (long long)jx_int(port, "hostPort", 0));
		if (json_object_get(seen, key))
			duplicate(fe, AT(AT_INDEX(AT(p, "ports"), i), "hostPort"), key);
		json_object_set_new(seen, key, json_true());
	}
}

static void check_main_containers(struct field_errors *fe, const struct place *p, const json_t *list,
				  const json_t *volumes, int64_t grace_s, json_t *names)
{
	cleanup(json_decrefp) json_t *host_ports = json_object();
	json_t *c;
	size_t i;

	if (!json_array_size(list))
		missing(fe, p, "");
	json_array_foreach((json_t *)list, i, c) {
		const struct place *at = AT_INDEX(p, i);

		check_common(fe, at, c, volumes);
		check_unique_name(fe, at, c, names);
		check_life(fe, at, c, grace_s);
		if (jx_str(c, "restartPolicy"))
			forbidden(fe, AT(at, "restartPolicy"), "may not be set for non-init containers");
	}
	json_array_foreach((json_t *)list, i, c)
		check_host_ports(fe, AT_INDEX(p, i), c, host_ports);
}

/* An init container with restartPolicy Always is a sidecar, which lives as the main ones do. */
static void check_init_containers(struct field_errors *fe, const struct place *p, const json_t *list,
				  const json_t *volumes, int64_t grace_s, json_t *names)
{
	static const char *const only[] = { "Always", NULL };
	json_t *c;
	size_t i;

	json_array_foreach((json_t *)list, i, c) {
		cleanup(json_decrefp) json_t *host_ports = json_object();
		const struct place *at = AT_INDEX(p, i);
		const char *policy = jx_str(c, "restartPolicy");

		check_common(fe, at, c, volumes);
		if (policy && !one_of(policy, only))
			unsupported(fe, AT(at, "restartPolicy"), policy, only);
		check_unique_name(fe, at, c, names);
		check_host_ports(fe, at, c, host_ports);
		if (c_eq(policy, "Always")) {
			check_life(fe, at, c, grace_s);
			continue;
		}
		for (size_t m = 0; m < ARRAY_LEN(life_members); m++)
			if (json_object_get(c, life_members[m]))
				forbidden(fe, AT(at, life_members[m]),
					  "may not be set for init containers without restartPolicy=Always");
	}
}

static void check_ephemeral_containers(struct field_errors *fe, const struct place *p, const json_t *list,
				       const json_t *volumes, json_t *names)
{
	static const char *const unfit[] = { "ports",	  "livenessProbe", "readinessProbe", "startupProbe",
					     "lifecycle", "resources",	   "restartPolicy" };
	json_t *c;
	size_t i;

	json_array_foreach((json_t *)list, i, c) {
		const struct place *at = AT_INDEX(p, i);

		check_common(fe, at, c, volumes);
		check_unique_name(fe, at, c, names);
		for (size_t m = 0; m < ARRAY_LEN(unfit); m++)
			if (!is_zero(json_object_get(c, unfit[m])))
				forbidden(fe, AT(at, unfit[m]), "cannot be set for an Ephemeral Container");
	}
}

void validate_containers(struct field_errors *fe, const struct place *spec_place, const json_t *spec,
			 const json_t *volumes)
{
	cleanup(json_decrefp) json_t *names = json_object();
	int64_t grace_s = jx_int(spec, "terminationGracePeriodSeconds", 30);

	check_main_containers(fe, AT(spec_place, "containers"), json_object_get(spec, "containers"), volumes,
			      grace_s, names);
	check_init_containers(fe, AT(spec_place, "initContainers"), json_object_get(spec, "initContainers"),
			      volumes, grace_s, names);
	check_ephemeral_containers(fe, AT(spec_place, "ephemeralContainers"),
				   json_object_get(spec, "ephemeralContainers"), volumes, names);
}
