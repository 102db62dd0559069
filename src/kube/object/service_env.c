#include "kube/object/service_env.h"

#include "codec/jx.h"

#include <ctype.h>
#include <stdio.h>

/* Kubernetes: masterServices, which every pod is told about. */
#define MASTER_NS "default"
#define MASTER_NAME "kubernetes"

struct service_vars {
	struct env *env;
	const json_t *service;
	char *prefix;	     /* "MY_SVC" */
	const char *ip;
};

static char *upper_of(const char *text)
{
	char *out = xstrdup(text);

	for (char *p = out; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return out;
}

static char *lower_of(const char *text)
{
	char *out = xstrdup(text);

	for (char *p = out; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return out;
}

/* "my-svc" → "MY_SVC" */
static char *variable_name(const char *name)
{
	char *out = upper_of(name);

	for (char *p = out; *p; p++)
		if (*p == '-')
			*p = '_';
	return out;
}

static bool is_master(const json_t *service)
{
	return c_eq(jx_namespace(service), MASTER_NS) && c_eq(jx_name(service), MASTER_NAME);
}

bool service_env_applies(const json_t *service, const char *ns, bool links)
{
	const char *ip = jx_str_or(service, "spec.clusterIP", "");

	if (!ip[0] || c_eq(ip, "None"))
		return false;
	return is_master(service) || (links && c_eq(jx_namespace(service), ns));
}

static void set(struct service_vars *v, const json_t *port, const char *value, const char *fmt, ...) printf_like(4, 5);
static void set(struct service_vars *v, const json_t *port, const char *value, const char *fmt, ...)
{
	va_list ap;
	char text[512]; /* a Service's and a port's name are DNS labels: under 64 bytes each */

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	env_put(v->env, text, value, (struct env_origin){ ENV_SERVICE, v->service, port });
}

static void add_port(struct service_vars *v, const json_t *port, bool first)
{
	cleanup(freep) char *number = xasprintf("%lld", (long long)jx_int(port, "port", 0));
	const char *name = jx_str_or(port, "name", "");

	if (first)
		set(v, port, number, "%s_SERVICE_PORT", v->prefix);
	if (name[0]) {
		cleanup(freep) char *upper = variable_name(name);
		set(v, port, number, "%s_SERVICE_PORT_%s", v->prefix, upper);
	}
}

static void add_link(struct service_vars *v, const json_t *port, bool first)
{
	const char *proto = jx_str_or(port, "protocol", "TCP");
	cleanup(freep) char *number = xasprintf("%lld", (long long)jx_int(port, "port", 0));
	cleanup(freep) char *lower = lower_of(proto), *upper = upper_of(proto);
	cleanup(freep) char *prefix = xasprintf("%s_PORT_%s_%s", v->prefix, number, upper);
	cleanup(freep) char *url = xasprintf(strchr(v->ip, ':') ? "%s://[%s]:%s" : "%s://%s:%s", lower, v->ip, number);

	if (first)
		set(v, port, url, "%s_PORT", v->prefix);
	set(v, port, url, "%s", prefix);
	set(v, port, lower, "%s_PROTO", prefix);
	set(v, port, number, "%s_PORT", prefix);
	set(v, port, v->ip, "%s_ADDR", prefix);
}

void service_env_add(const json_t *service, struct env *env)
{
	cleanup(freep) char *prefix = variable_name(jx_name(service));
	struct service_vars v = { env, service, prefix, jx_str_or(service, "spec.clusterIP", "") };
	const json_t *ports = jx_at(service, "spec.ports"), *port;
	size_t i;

	set(&v, NULL, v.ip, "%s_SERVICE_HOST", prefix);
	json_array_foreach(ports, i, port)
		add_port(&v, port, i == 0);
	json_array_foreach(ports, i, port)
		add_link(&v, port, i == 0);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(jx_name(*(const json_t *const *)a), jx_name(*(const json_t *const *)b));
}

void service_env_build(const json_t **services, size_t n, const char *ns, bool links, struct env *v)
{
	bool own_master = false;

	if (n)
		qsort(services, n, sizeof(*services), by_name);
	for (size_t i = 0; i < n; i++)
		own_master |= !is_master(services[i]) && c_eq(jx_name(services[i]), MASTER_NAME) &&
			      service_env_applies(services[i], ns, links);
	for (size_t i = 0; i < n; i++)
		if (service_env_applies(services[i], ns, links) && !(own_master && is_master(services[i])))
			service_env_add(services[i], v);
}
