#include "kube/schema/table_int.h"

#include <stdio.h>

#define CELL_BYTES_MAX (64u << 10)

static void put_joined(struct buf *out, const char *s)
{
	buf_printf(out, "%s%s", out->len ? "," : "", s);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Addresses (or else names) of a load balancer, sorted, each once. */
static void put_load_balancer(struct buf *out, const json_t *obj)
{
	const json_t *list = jx_at(obj, "status.loadBalancer.ingress");
	const char **names = xcalloc(json_array_size(list) + 1, sizeof(*names));
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *entry = json_array_get(list, i);
		const char *ip = jx_str_or(entry, "ip", ""), *host = jx_str_or(entry, "hostname", "");

		if (ip[0] || host[0])
			names[n++] = ip[0] ? ip : host;
	}
	qsort(names, n, sizeof(*names), by_text);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
			put_joined(out, names[i]);
	free(names);
}

json_t *service_external_ip(const struct cell *c)
{
	const char *type = jx_str_or(c->obj, "spec.type", "");
	bool is_lb = strcmp(type, "LoadBalancer") == 0;
	struct buf out;
	json_t *ip;
	size_t i;

	if (strcmp(type, "ExternalName") == 0)
		return text_cell(jx_str(c->obj, "spec.externalName"));
	buf_init(&out, CELL_BYTES_MAX);
	if (is_lb)
		put_load_balancer(&out, c->obj);
	json_array_foreach(jx_at(c->obj, "spec.externalIPs"), i, ip)
		if (json_is_string(ip))
			put_joined(&out, json_string_value(ip));
	if (!out.len)
		buf_puts(&out, is_lb ? "<pending>" : "<none>");
	return text_cell_of(&out);
}

json_t *service_ports(const struct cell *c)
{
	struct buf out;
	json_t *port;
	size_t i;

	buf_init(&out, CELL_BYTES_MAX);
	json_array_foreach(jx_at(c->obj, "spec.ports"), i, port) {
		long long node_port = jx_int(port, "nodePort", 0);

		buf_printf(&out, "%s%lld", i ? "," : "", (long long)jx_int(port, "port", 0));
		if (node_port > 0)
			buf_printf(&out, ":%lld", node_port);
		buf_printf(&out, "/%s", jx_str_or(port, "protocol", ""));
	}
	if (!out.len)
		buf_puts(&out, "<none>");
	return text_cell_of(&out);
}

/* The number behind "+" counts rules, not hosts, once there are more than three hosts. */
json_t *ingress_hosts(const struct cell *c)
{
	const json_t *rules = jx_at(c->obj, "spec.rules");
	size_t i, n = 0;
	bool more = false;
	struct buf out;
	json_t *rule;

	buf_init(&out, CELL_BYTES_MAX);
	json_array_foreach((json_t *)rules, i, rule) {
		const char *host = jx_str_or(rule, "host", "");

		more |= n == LIST_SHOWN_MAX;
		if (more || !host[0])
			continue;
		put_joined(&out, host);
		n++;
	}
	if (!n)
		buf_putc(&out, '*');
	if (more)
		buf_printf(&out, " + %zu more...", json_array_size(rules) - LIST_SHOWN_MAX);
	return text_cell_of(&out);
}

json_t *ingress_address(const struct cell *c)
{
	struct buf out;

	buf_init(&out, CELL_BYTES_MAX);
	put_load_balancer(&out, c->obj);
	return text_cell_of(&out);
}

json_t *ingress_ports(const struct cell *c)
{
	return json_string(jx_len(c->obj, "spec.tls") ? "80, 443" : "80");
}

json_t *ingressclass_parameters(const struct cell *c)
{
	const json_t *p = jx_at(c->obj, "spec.parameters");
	const char *group = jx_str(p, "apiGroup");
	struct buf out;

	if (!p)
		return json_string("<none>");
	buf_init(&out, CELL_BYTES_MAX);
	buf_printf(&out, "%s%s%s/%s", jx_str_or(p, "kind", ""), group ? "." : "", group ? group : "",
		   jx_str_or(p, "name", ""));
	return text_cell_of(&out);
}

static void add_addresses(struct shown_list *l, const json_t *addresses, int64_t port)
{
	char text[96];
	json_t *a;
	size_t i;

	json_array_foreach((json_t *)addresses, i, a) {
		const char *ip = jx_str_or(a, "ip", "");

		if (port < 0)
			snprintf(text, sizeof(text), "%.64s", ip);
		else
			snprintf(text, sizeof(text), strchr(ip, ':') ? "[%.64s]:%lld" : "%.64s:%lld", ip,
				 (long long)port);
		list_add(l, text);
	}
}

json_t *endpoints_list(const struct cell *c)
{
	struct shown_list l;
	json_t *subset, *port;
	size_t i, j;

	list_start(&l);
	json_array_foreach(jx_at(c->obj, "subsets"), i, subset) {
		if (!jx_len(subset, "ports"))
			add_addresses(&l, json_object_get(subset, "addresses"), -1);
		json_array_foreach(json_object_get(subset, "ports"), j, port)
			add_addresses(&l, json_object_get(subset, "addresses"), jx_int(port, "port", 0));
	}
	return list_end(&l, jx_len(c->obj, "subsets") ? "" : "<none>");
}

json_t *slice_ports(const struct cell *c)
{
	struct shown_list l;
	char number[24];
	json_t *port;
	size_t i;

	list_start(&l);
	json_array_foreach(jx_at(c->obj, "ports"), i, port) {
		const json_t *n = json_object_get(port, "port");

		snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(n));
		list_add(&l, n ? number : jx_str_or(port, "name", "*"));
	}
	return list_end(&l, "<unset>");
}

json_t *slice_endpoints(const struct cell *c)
{
	struct shown_list l;
	json_t *endpoint, *a;
	size_t i, j;

	list_start(&l);
	json_array_foreach(jx_at(c->obj, "endpoints"), i, endpoint)
		json_array_foreach(json_object_get(endpoint, "addresses"), j, a)
			list_add(&l, json_is_string(a) ? json_string_value(a) : "");
	return list_end(&l, "<unset>");
}

json_t *ipaddress_parent(const struct cell *c)
{
	const json_t *p = jx_at(c->obj, "spec.parentRef");
	const char *group = jx_str_or(p, "group", ""), *ns = jx_str_or(p, "namespace", "");
	struct buf out;

	if (!p)
		return json_string("<none>");
	buf_init(&out, CELL_BYTES_MAX);
	buf_printf(&out, "%s%s%s%s%s/%s", jx_str_or(p, "resource", ""), group[0] ? "." : "", group,
		   ns[0] ? "/" : "", ns, jx_str_or(p, "name", ""));
	return text_cell_of(&out);
}
