#include "kube/schema/validate_int.h"

/* Ingress, IngressClass, NetworkPolicy: k8s.io/kubernetes pkg/apis/networking/validation. */

#define CONTROLLER_BYTES_MAX 250
static const char *const protocols[] = { "SCTP", "TCP", "UDP", NULL };

static void check_typed_reference(struct field_errors *fe, const struct place *p, const json_t *ref)
{
	static const char *const members[] = { "kind", "name" };
	const char *group = jx_str(ref, "apiGroup");

	if (group)
		check_format(fe, AT(p, "apiGroup"), FORMAT_DNS1123_SUBDOMAIN, group);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		if (text_of(ref, members[i])[0])
			check_format(fe, AT(p, members[i]), FORMAT_PATH_SEGMENT, text_of(ref, members[i]));
		else
			missing(fe, AT(p, members[i]), "");
	}
}

static void check_service_backend(struct field_errors *fe, const struct place *p, const json_t *service)
{
	const struct place *at = AT(p, "service");
	const char *name = text_of(service, "name"), *port_name = jx_str_or(service, "port.name", "");
	int64_t number = jx_int(service, "port.number", 0);

	if (name[0])
		check_format(fe, AT(at, "name"), validate_service_name_format(), name);
	else
		missing(fe, AT(at, "name"), "");
	if (port_name[0] && number)
		bad_string(fe, p, "", "cannot set both port name & port number");
	else if (port_name[0])
		check_format(fe, AT(AT(at, "port"), "name"), FORMAT_PORT_NAME, port_name);
	else if (number)
		check_port(fe, AT(AT(at, "port"), "number"), number);
	else
		missing(fe, p, "port name or number is required");
}

static void check_backend(struct field_errors *fe, const struct place *p, const json_t *backend)
{
	const json_t *service = json_object_get(backend, "service"),
		     *resource = json_object_get(backend, "resource");

	if (service && resource)
		bad_string(fe, p, "", "cannot set both resource and service backends");
	else if (resource)
		check_typed_reference(fe, AT(p, "resource"), resource);
	else if (service)
		check_service_backend(fe, p, service);
	else
		bad_string(fe, p, "", "resource or service backend is required");
}

static void check_strict_path(struct field_errors *fe, const struct place *p, const char *path)
{
	static const char *const inside[] = { "//", "/./", "/../", "%2f", "%2F" }, *const ends[] = { "/..",
												     "/." };

	if (path[0] != '/')
		bad_string(fe, p, path, "must be an absolute path");
	for (size_t i = 0; i < ARRAY_LEN(inside); i++)
		if (strstr(path, inside[i]))
			bad_string(fe, p, path, "must not contain '%s'", inside[i]);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (str_ends(str_of(path), str_of(ends[i])))
			bad_string(fe, p, path, "cannot end with '%s'", ends[i]);
}

static void check_path(struct field_errors *fe, const struct place *p, const json_t *entry)
{
	static const char *const types[] = { "Exact", "ImplementationSpecific", "Prefix", NULL };
	const char *type = jx_str(entry, "pathType"), *path = text_of(entry, "path");

	if (!type) {
		missing(fe, AT(p, "pathType"), "pathType must be specified");
		return;
	}
	if (!one_of(type, types))
		unsupported(fe, AT(p, "pathType"), type, types);
	else if (strcmp(type, "ImplementationSpecific") != 0)
		check_strict_path(fe, AT(p, "path"), path);
	else if (path[0] && path[0] != '/')
		bad_string(fe, AT(p, "path"), path, "must be an absolute path");
	check_backend(fe, AT(p, "backend"), json_object_get(entry, "backend"));
}

static void check_host(struct field_errors *fe, const struct place *p, const char *host)
{
	check_format(fe, p, strchr(host, '*') ? FORMAT_WILDCARD_SUBDOMAIN : FORMAT_DNS1123_SUBDOMAIN, host);
}

static void check_rule(struct field_errors *fe, const struct place *p, const json_t *rule)
{
	const json_t *http = json_object_get(rule, "http");
	const struct place *paths = AT(AT(p, "http"), "paths");
	const char *host = text_of(rule, "host");
	unsigned char ip[16];
	bool v6;
	json_t *entry;
	size_t i;

	if (host[0] && ip_parse(host, ip, &v6))
		bad_string(fe, AT(p, "host"), host, "must be a DNS name, not an IP address");
	if (host[0])
		check_host(fe, AT(p, "host"), host);
	if (http && !jx_len(http, "paths"))
		missing(fe, paths, "");
	json_array_foreach(json_object_get(http, "paths"), i, entry)
		check_path(fe, AT_INDEX(paths, i), entry);
}

static void check_tls(struct field_errors *fe, const struct place *p, const json_t *tls)
{
	const char *secret = text_of(tls, "secretName");
	json_t *host;
	size_t i;

	json_array_foreach(json_object_get(tls, "hosts"), i, host)
		check_host(fe, AT_INDEX(AT(p, "hosts"), i),
			   json_is_string(host) ? json_string_value(host) : "");
	if (secret[0])
		check_format(fe, AT(p, "secretName"), FORMAT_DNS1123_SUBDOMAIN, secret);
}

void validate_ingress(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char class_annotation[] = "kubernetes.io/ingress.class";
	const json_t *spec = json_object_get(obj, "spec"), *backend = json_object_get(spec, "defaultBackend");
	const char *class = jx_str(spec, "ingressClassName"),
		   *annotated = jx_annotation(obj, class_annotation);
	const struct place *p = AT(NULL, "spec");
	json_t *v;
	size_t i;

	if (!jx_len(spec, "rules") && !backend)
		bad_value(fe, p, json_object_get(spec, "rules"),
			  "either `defaultBackend` or `rules` must be specified");
	if (backend)
		check_backend(fe, AT(p, "defaultBackend"), backend);
	json_array_foreach(json_object_get(spec, "rules"), i, v)
		check_rule(fe, AT_INDEX(AT(p, "rules"), i), v);
	json_array_foreach(json_object_get(spec, "tls"), i, v)
		check_tls(fe, AT_INDEX(AT(p, "tls"), i), v);
	if (class)
		check_format(fe, AT(p, "ingressClassName"), FORMAT_DNS1123_SUBDOMAIN, class);
	if (!old && class && annotated && strcmp(class, annotated) != 0)
		bad_string(fe, AT(AT(NULL, "annotations"), class_annotation), annotated,
			   "must match `ingressClassName` when both are specified");
}

void validate_ingress_status(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	validate_load_balancer_status(fe, obj, old);
}

static bool is_http_path(const char *s)
{
	return s[0] &&
	       !s[strspn(s,
			 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-._~%!$&'()*+,;=:")];
}

static void check_controller(struct field_errors *fe, const struct place *p, const char *controller)
{
	const char *slash = strchr(controller, '/');

	if (strlen(controller) > CONTROLLER_BYTES_MAX)
		too_long(fe, p, CONTROLLER_BYTES_MAX);
	if (!controller[0]) {
		missing(fe, p, "");
		return;
	}
	if (!slash || slash == controller || !slash[1]) {
		bad_string(fe, p, controller, "must be a domain-prefixed path (such as \"acme.io/foo\")");
		return;
	}
	cleanup(freep) char *host = xstrndup(controller, (size_t)(slash - controller));
	check_format(fe, p, FORMAT_DNS1123_SUBDOMAIN, host);
	if (!is_http_path(slash + 1))
		bad_string(fe, p, slash + 1,
			   "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%%!$&'()*+,;=:]+')");
}

void validate_ingressclass(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	static const char *const scopes[] = { "Cluster", "Namespace", NULL };
	const json_t *spec = json_object_get(obj, "spec"), *parameters = json_object_get(spec, "parameters");
	const struct place *p = AT(NULL, "spec"), *at = AT(p, "parameters");
	const char *scope = text_of(parameters, "scope"), *ns = text_of(parameters, "namespace");

	if (old)
		check_immutable(fe, AT(p, "controller"), json_object_get(spec, "controller"),
				jx_at(old, "spec.controller"));
	check_controller(fe, AT(p, "controller"), text_of(spec, "controller"));
	if (!parameters)
		return;
	check_typed_reference(fe, at, parameters);
	if (!scope[0])
		missing(fe, AT(at, "scope"), "");
	else if (!one_of(scope, scopes))
		unsupported(fe, AT(at, "scope"), scope, scopes);
	if (strcmp(scope, "Namespace") == 0 && !ns[0])
		missing(fe, AT(at, "namespace"), "`parameters.scope` is set to 'Namespace'");
	else if (strcmp(scope, "Cluster") == 0 && ns[0])
		forbidden(fe, AT(at, "namespace"), "`parameters.scope` is set to 'Cluster'");
}

static void check_peer(struct field_errors *fe, const struct place *p, const json_t *peer)
{
	const json_t *block = json_object_get(peer, "ipBlock");
	bool selects = json_object_get(peer, "podSelector") || json_object_get(peer, "namespaceSelector");

	check_label_selector(fe, AT(p, "podSelector"), json_object_get(peer, "podSelector"));
	check_label_selector(fe, AT(p, "namespaceSelector"), json_object_get(peer, "namespaceSelector"));
	if (block && !cidr_ok(text_of(block, "cidr")))
		bad_string(fe, AT(AT(p, "ipBlock"), "cidr"), text_of(block, "cidr"),
			   "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
	if (!block && !selects)
		missing(fe, p, "must specify a peer");
	else if (block && selects)
		forbidden(fe, p, "may not specify both ipBlock and another peer");
}

static void check_policy_rules(struct field_errors *fe, const struct place *p, const json_t *rules,
			       const char *peers)
{
	json_t *rule, *v;
	size_t i, j;

	json_array_foreach((json_t *)rules, i, rule) {
		const struct place *at = AT_INDEX(p, i);

		json_array_foreach(json_object_get(rule, "ports"), j, v) {
			const struct place *port = AT_INDEX(AT(at, "ports"), j);

			if (text_of(v, "protocol")[0])
				check_enum(fe, AT(port, "protocol"), text_of(v, "protocol"), protocols);
			if (json_object_get(v, "port"))
				check_port_or_name(fe, AT(port, "port"), json_object_get(v, "port"));
		}
		json_array_foreach(json_object_get(rule, peers), j, v)
			check_peer(fe, AT_INDEX(AT(at, peers), j), v);
	}
}

void validate_networkpolicy(struct field_errors *fe, const json_t *obj, const json_t *old)
{
	const json_t *spec = json_object_get(obj, "spec");
	const struct place *p = AT(NULL, "spec");

	(void)old;
	check_label_selector(fe, AT(p, "podSelector"), json_object_get(spec, "podSelector"));
	check_policy_rules(fe, AT(p, "ingress"), json_object_get(spec, "ingress"), "from");
	check_policy_rules(fe, AT(p, "egress"), json_object_get(spec, "egress"), "to");
}
