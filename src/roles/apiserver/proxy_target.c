#include "roles/apiserver/proxy_target.h"

#include "roles/apiserver/status.h"

#include <netinet/in.h>
#include <stdio.h>

#define SERVICE_LABEL "kubernetes.io/service-name"
#define CANDIDATES_MAX                                                                             \
	1000 /* endpoints that are looked at for one request: a full EndpointSlice has that many   \
	      */

static struct table *table_of(struct request *q, const char *group, const char *plural)
{
	return store_table(q->api->store, resource_find(str_of(group), STR("v1"), str_of(plural)));
}

/* ---- names ---- */

int proxy_name_parse(const char *id, const char *kind, struct arena *a, struct proxy_name *ret,
		     struct err *e)
{
	struct str parts[3] = { STR_NONE }, rest = str_of(id);
	size_t n = 0;

	while (rest.ptr && n < ARRAY_LEN(parts))
		parts[n++] = str_cut(rest, ':', &rest);
	struct str scheme = n == 3 ? parts[0] : STR("");
	struct str name = parts[n == 3], port = n > 1 ? parts[n - 1] : STR("");
	if (rest.ptr || !name.len ||
	    (scheme.len && !str_eq_c(scheme, "http") && !str_eq_c(scheme, "https")))
		return err_set(e, ERR_BAD_REQUEST, "invalid %s request \"%s\"", kind, id);
	*ret = (struct proxy_name){.scheme = arena_strndup(a, scheme.ptr, scheme.len),
				   .name = arena_strndup(a, name.ptr, name.len),
				   .port = arena_strndup(a, port.ptr, port.len)};
	if (!ret->scheme || !ret->name || !ret->port)
		return err_set(e, ERR_BAD_REQUEST, "the request is too large");
	return 0;
}

/* ---- addresses ---- */

/* As Go's IsGlobalUnicast: neither this machine's own loopback nor a link's, where metadata
 * services live. */
static bool is_global_unicast(const struct addr *a)
{
	if (a->ss.ss_family == AF_INET) {
		uint32_t ip = ntohl(((const struct sockaddr_in *)&a->ss)->sin_addr.s_addr);

		return ip && ip != INADDR_BROADCAST && ip >> 24 != IN_LOOPBACKNET &&
		       ip >> 28 != 14 && ip >> 16 != 0xa9fe;
	}
	const struct in6_addr *ip = &((const struct sockaddr_in6 *)&a->ss)->sin6_addr;
	return !IN6_IS_ADDR_UNSPECIFIED(ip) && !IN6_IS_ADDR_LOOPBACK(ip) &&
	       !IN6_IS_ADDR_MULTICAST(ip) && !IN6_IS_ADDR_LINKLOCAL(ip) &&
	       !IN6_IS_ADDR_V4MAPPED(ip);
}

static int set_address(struct proxy_target *t, const char *ip, uint16_t port, struct err *e)
{
	struct err ignored;

	if (!ip || addr_from_ip(ip, port, &t->to, &ignored) < 0 || !is_global_unicast(&t->to))
		return err_set(e, ERR_BAD_REQUEST, "address not allowed");
	snprintf(t->ip, sizeof(t->ip), "%s", ip);
	return 0;
}

/* ---- a pod ---- */

static const char *pod_ip(const json_t *pod)
{
	const char *first = jx_str(json_array_get(jx_at(pod, "status.podIPs"), 0), "ip");

	return first ? first : jx_str(pod, "status.podIP");
}

static int64_t first_port(const json_t *pod, bool tls)
{
	size_t i;
	json_t *c;

	json_array_foreach(jx_at(pod, "spec.containers"), i, c)
	{
		const json_t *ports = jx_at(c, "ports");
		if (json_array_size(ports))
			return jx_int(json_array_get(ports, 0), "containerPort", 0);
	}
	return tls ? 443 : 80;
}

static int find_pod(struct request *q, const struct proxy_name *n, struct proxy_target *t,
		    struct err *e)
{
	const struct object *o = table_get(q->table, q->info.ns, n->name);
	uint64_t port = 0;

	if (!o)
		return err_not_found(e, q->res, n->name);
	cleanup(json_decrefp) json_t *pod = object_tree(o, e);
	if (!pod)
		return -1;
	if (!n->port[0])
		port = (uint64_t)first_port(pod, t->tls);
	else if (!str_to_u64(str_of(n->port), UINT16_MAX, &port) || !port)
		return err_set(e, ERR_UNAVAILABLE, "error trying to reach service: %s is no port",
			       n->port);
	return set_address(t, pod_ip(pod), (uint16_t)port, e);
}

/* ---- a Service ---- */

/* A number stands for the port that is declared with it; endpoints know ports by their names. */
static int port_name(const json_t *service, const struct proxy_name *n, struct arena *a,
		     const char **ret, struct err *e)
{
	uint64_t number;
	size_t i;
	json_t *p;

	*ret = n->port;
	if (!str_to_u64(str_of(n->port), INT64_MAX, &number))
		return 0;
	json_array_foreach(jx_at(service, "spec.ports"), i, p)
	{
		const char *name = jx_str_or(p, "name", "");
		if ((uint64_t)jx_int(p, "port", 0) != number)
			continue;
		*ret = arena_strndup(a, name, strlen(name));
		return *ret ? 0 : err_set(e, ERR_BAD_REQUEST, "the request is too large");
	}
	return err_set(e, ERR_UNAVAILABLE, "no service port %s found for service \"%s\"", n->port,
		       n->name);
}

struct candidate {
	const char *ip, *pod;
	uint16_t port;
};
struct candidates {
	struct arena *a;
	const char *port;
	struct candidate at[CANDIDATES_MAX];
	size_t n;
};

static int64_t slice_port(const json_t *slice, const char *name)
{
	size_t i;
	json_t *p;

	json_array_foreach(jx_at(slice, "ports"), i, p)
	{
		if (c_eq(jx_str_or(p, "name", ""), name))
			return jx_int(p, "port", 0);
	}
	return 0;
}

static bool is_ready_pod(const json_t *endpoint)
{
	const json_t *ready = jx_at(endpoint, "conditions.ready");

	return !json_is_false(ready) && c_eq(jx_str(endpoint, "targetRef.kind"), "Pod") &&
	       jx_str(endpoint, "targetRef.name") && jx_len(endpoint, "addresses");
}

static void add_slice(struct candidates *c, const json_t *slice)
{
	int64_t port = slice_port(slice, c->port);
	size_t i;
	json_t *ep;

	json_array_foreach(jx_at(slice, "endpoints"), i, ep)
	{
		if (port <= 0 || port > UINT16_MAX || c->n == CANDIDATES_MAX)
			return;
		if (!is_ready_pod(ep))
			continue;
		const char *ip = json_string_value(json_array_get(jx_at(ep, "addresses"), 0));
		const char *pod = jx_str(ep, "targetRef.name");
		c->at[c->n] =
			(struct candidate){arena_strndup(c->a, ip ? ip : "", ip ? strlen(ip) : 0),
					   arena_strndup(c->a, pod, strlen(pod)), (uint16_t)port};
		if (c->at[c->n].ip && c->at[c->n].pod)
			c->n++;
	}
}

static void add_slices(struct request *q, const char *service, struct candidates *c)
{
	const struct table *t = table_of(q, "discovery.k8s.io", "endpointslices");
	cleanup(json_decrefp) json_t *label = json_pack("{s:s}", SERVICE_LABEL, service);
	struct selector *s = selector_of_map(label);
	struct err e;

	for (size_t i = table_lower(t, q->info.ns, ""); i < t->n && c_eq(t->at[i]->ns, q->info.ns);
	     i++) {
		if (!object_matches_labels(t->at[i], s))
			continue;
		cleanup(json_decrefp) json_t *slice = object_tree(t->at[i], &e);
		if (slice)
			add_slice(c, slice);
	}
	selector_free(s);
}

/* An endpoint's address is whatever its writer said: only one that the pod itself has is asked. */
static bool pod_has_ip(struct request *q, const struct candidate *c)
{
	const struct object *o = table_get(table_of(q, "", "pods"), q->info.ns, c->pod);
	struct err e;
	cleanup(json_decrefp) json_t *pod = o ? object_tree(o, &e) : NULL;
	size_t i;
	json_t *ip;

	json_array_foreach(jx_at(pod, "status.podIPs"), i, ip)
	{
		if (c_eq(jx_str(ip, "ip"), c->ip))
			return true;
	}
	return pod && c_eq(jx_str(pod, "status.podIP"), c->ip);
}

static int find_service(struct request *q, const struct proxy_name *n, struct proxy_target *t,
			struct err *e)
{
	const struct object *o = table_get(q->table, q->info.ns, n->name);
	struct candidates *c = arena_alloc(q->arena, sizeof(*c));

	if (!o)
		return err_not_found(e, q->res, n->name);
	cleanup(json_decrefp) json_t *service = object_tree(o, e);
	if (!service)
		return -1;
	if (!c)
		return err_set(e, ERR_BAD_REQUEST, "the request is too large");
	c->a = q->arena;
	if (port_name(service, n, q->arena, &c->port, e) < 0)
		return -1;
	add_slices(q, n->name, c);
	size_t from = c->n ? arc4random_uniform((uint32_t)c->n) : 0;
	for (size_t i = 0; i < c->n; i++) {
		const struct candidate *at = &c->at[(from + i) % c->n];
		if (pod_has_ip(q, at))
			return set_address(t, at->ip, at->port, e);
	}
	return err_set(e, ERR_UNAVAILABLE, "no endpoints available for service \"%s\"",
		       q->info.name);
}

int proxy_target_find(struct request *q, struct proxy_target *ret, struct err *e)
{
	struct proxy_name n;

	*ret = (struct proxy_target){0};
	if (proxy_name_parse(q->info.name, q->res->singular, q->arena, &n, e) < 0)
		return -1;
	ret->tls = c_eq(n.scheme, "https");
	return c_eq(q->res->plural, "pods") ? find_pod(q, &n, ret, e) : find_service(q, &n, ret, e);
}
