#include "roles/node/service_env.h"

#include <ctype.h>
#include <stdio.h>

/* "my-svc" → "MY_SVC" */
static char *variable_name(const char *name)
{
	char *out = xstrdup(name);

	for (char *p = out; *p; p++)
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	return out;
}

bool service_env_applies(const json_t *service, const char *ns, bool links)
{
	const char *ip = jx_str_or(service, "spec.clusterIP", "");

	if (!ip[0] || c_eq(ip, "None"))
		return false;
	if (c_eq(jx_namespace(service), "default") && c_eq(jx_name(service), "kubernetes"))
		return true;
	return links && c_eq(jx_namespace(service), ns);
}

static void set(struct env *v, const char *value, const char *fmt, ...) printf_like(3, 4);
static void set(struct env *v, const char *value, const char *fmt, ...)
{
	va_list ap;
	char text[512]; /* a Service's and a port's name are DNS labels: under 63 bytes each */

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	env_set(v, text, value);
}

static char *lower_of(const char *text)
{
	char *out = xstrdup(text);

	for (char *p = out; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return out;
}

static void port_add(struct env *v, const char *svc, const char *ip, const json_t *port, bool first)
{
	const char *proto = jx_str_or(port, "protocol", "TCP");
	cleanup(freep) char *number = xasprintf("%lld", (long long)jx_int(port, "port", 0));
	cleanup(freep) char *lower = lower_of(proto);
	cleanup(freep) char *prefix = xasprintf("%s_PORT_%s_%s", svc, number, proto);
	cleanup(freep) char *url = xasprintf("%s://%s:%s", lower, ip, number);

	if (first)
		set(v, url, "%s_PORT", svc);
	set(v, url, "%s", prefix);
	set(v, lower, "%s_PROTO", prefix);
	set(v, number, "%s_PORT", prefix);
	set(v, ip, "%s_ADDR", prefix);
}

static void service_port_add(struct env *v, const char *svc, const json_t *port, bool first)
{
	cleanup(freep) char *number = xasprintf("%lld", (long long)jx_int(port, "port", 0));
	const char *name = jx_str_or(port, "name", "");

	if (first)
		set(v, number, "%s_SERVICE_PORT", svc);
	if (name[0]) {
		cleanup(freep) char *upper = variable_name(name);
		set(v, number, "%s_SERVICE_PORT_%s", svc, upper);
	}
}

void service_env_add(const json_t *service, struct env *v)
{
	cleanup(freep) char *svc = variable_name(jx_name(service));
	const char *ip = jx_str(service, "spec.clusterIP");
	const json_t *ports = jx_at(service, "spec.ports"), *port;
	size_t i;

	set(v, ip, "%s_SERVICE_HOST", svc);
	json_array_foreach(ports, i, port) service_port_add(v, svc, port, i == 0);
	json_array_foreach(ports, i, port) port_add(v, svc, ip, port, i == 0);
}
