#include "roles/apiserver/kubelet.h"

#include "roles/apiserver/status.h"

#include <stdio.h>

#define KUBELET_PORT 10250

static const char *const container_lists[] = { "spec.containers", "spec.initContainers",
					       "spec.ephemeralContainers" };

static bool has_container(const json_t *pod, const char *name)
{
	size_t j;
	json_t *c;

	for (size_t i = 0; i < ARRAY_LEN(container_lists); i++)
		json_array_foreach(jx_at(pod, container_lists[i]), j,
				   c) if (c_eq(jx_str(c, "name"), name)) return true;
	return false;
}

static void put_names(const json_t *pod, const char *list, struct buf *out)
{
	size_t i;
	json_t *c;

	json_array_foreach(jx_at(pod, list), i, c)
		buf_printf(out, "%s%s", i ? " " : "", jx_str_or(c, "name", ""));
}

static int must_choose(const json_t *pod, struct err *e)
{
	struct buf names;

	buf_init(&names, ERR_MESSAGE_BYTES);
	buf_putc(&names, '[');
	put_names(pod, "spec.containers", &names);
	buf_putc(&names, ']');
	if (jx_len(pod, "spec.initContainers")) {
		buf_puts(&names, " or one of the init containers: [");
		put_names(pod, "spec.initContainers", &names);
		buf_putc(&names, ']');
	}
	err_set(e, ERR_BAD_REQUEST,
		"a container name must be specified for pod %s, choose one of: %s", jx_name(pod),
		names.ptr);
	buf_done(&names);
	return -1;
}

static int choose_container(struct request *q, const json_t *pod, struct kubelet_target *t,
			    struct err *e)
{
	const char *asked = http_query_get(q->http->query, "container", q->arena);

	if (asked && asked[0]) {
		t->container = asked;
		if (!has_container(pod, asked))
			return err_set(e, ERR_BAD_REQUEST, "container %s is not valid for pod %s",
				       asked, jx_name(pod));
		return 0;
	}
	if (jx_len(pod, "spec.containers") != 1 || jx_len(pod, "spec.initContainers"))
		return must_choose(pod, e);
	const char *only = jx_str_or(json_array_get(jx_at(pod, "spec.containers"), 0), "name", "");
	t->container = arena_strndup(q->arena, only, strlen(only));
	return 0;
}

static const char *node_address(const json_t *node)
{
	static const char *const preferred[] = { "InternalIP", "ExternalIP" };
	size_t j;
	json_t *a;

	for (size_t i = 0; i < ARRAY_LEN(preferred); i++)
		json_array_foreach(
			jx_at(node, "status.addresses"), j,
			a) if (c_eq(jx_str(a, "type"), preferred[i])) return jx_str(a, "address");
	return NULL;
}

static int find_node(struct request *q, const char *name, struct kubelet_target *t, struct err *e)
{
	const struct resource *nodes = resource_find(STR(""), STR("v1"), STR("nodes"));
	const struct object *o = table_get(store_table(q->api->store, nodes), NULL, name);

	if (!o)
		return err_not_found(e, nodes, name);
	cleanup(json_decrefp) json_t *node = object_tree(o, e);
	const char *ip = node ? node_address(node) : NULL;
	if (!node)
		return -1;
	if (!ip)
		return err_set(e, ERR_INTERNAL,
			       "no preferred addresses found; known addresses: []");
	t->port =
		(uint16_t)jx_int(node, "status.daemonEndpoints.kubeletEndpoint.Port", KUBELET_PORT);
	snprintf(t->host, sizeof(t->host), "%s", ip);
	return addr_from_ip(ip, t->port, &t->to, e);
}

int kubelet_find(struct request *q, bool with_container, struct kubelet_target *ret, struct err *e)
{
	const struct object *o = table_get(q->table, q->info.ns, q->info.name);

	*ret = (struct kubelet_target){ 0 };
	if (!o)
		return err_not_found(e, q->res, q->info.name);
	cleanup(json_decrefp) json_t *pod = object_tree(o, e);
	if (!pod || (with_container && choose_container(q, pod, ret, e) < 0))
		return -1;
	const char *node = jx_str_or(pod, "spec.nodeName", "");
	return node[0] ? find_node(q, node, ret, e) : 0;
}
