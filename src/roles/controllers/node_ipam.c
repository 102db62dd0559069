#include "roles/controllers/controllers.h"
#include "roles/controllers/node.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define NODE_PREFIX_BITS                                                                           \
	24 /* 254 pods: twice kubelet's default limit, as upstream's default mask */

struct range {
	uint32_t base, n; /* n: how many /24 */
};

static int range_parse(const char *cidr, struct range *r)
{
	struct str bits, ip = str_cut(str_of(cidr), '/', &bits);
	cleanup(freep) char *ip_text = str_dup(ip);
	struct in_addr a;
	uint64_t prefix;

	if (!str_to_u64(bits, NODE_PREFIX_BITS, &prefix) ||
	    inet_pton(AF_INET, ip_text ? ip_text : "", &a) != 1)
		return -1;
	r->base = ntohl(a.s_addr);
	r->n = prefix ? 1u << (NODE_PREFIX_BITS - prefix) : 1u << NODE_PREFIX_BITS;
	return 0;
}

static char *range_text(const struct range *r, uint32_t i)
{
	struct in_addr a = { .s_addr = htonl(r->base + (i << (32 - NODE_PREFIX_BITS))) };
	char ip[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &a, ip, sizeof(ip));
	return xasprintf("%s/%d", ip, NODE_PREFIX_BITS);
}

/* Which of the ranges a node's podCIDR is; r->n when it is none of ours. */
static uint32_t range_index(const struct range *r, const char *cidr)
{
	struct range one;

	if (range_parse(cidr, &one) < 0 || one.base < r->base)
		return r->n;
	uint32_t i = (one.base - r->base) >> (32 - NODE_PREFIX_BITS);
	return MIN(i, r->n);
}

static void assign(const json_t *node, const char *cidr, struct actions *out)
{
	json_t *patch = json_object(), *list = json_array();

	json_array_append_new(list, json_string(cidr));
	jx_set_str(patch, "spec.podCIDR", cidr);
	jx_set(patch, "spec.podCIDRs", list);
	act_patch(out, KK_NODE, node, NULL, KUBE_MERGE_PATCH, patch);
}

void node_ipam_reconcile(struct objects nodes, const char *cluster_cidr, struct actions *out)
{
	struct range r;
	bool *used;
	uint32_t next = 0;

	if (range_parse(cluster_cidr, &r) < 0)
		return; /* config_check has said so */
	used = xcalloc(r.n + 1, sizeof(*used));
	for (size_t i = 0; i < nodes.n; i++) {
		const char *cidr = jx_str(nodes.at[i], "spec.podCIDR");
		if (cidr && cidr[0])
			used[range_index(&r, cidr)] = true;
	}
	for (size_t i = 0; i < nodes.n; i++) {
		if (jx_str_or(nodes.at[i], "spec.podCIDR", "")[0] || being_deleted(nodes.at[i]))
			continue;
		while (next < r.n && used[next])
			next++;
		if (next == r.n) {
			act_event(out, nodes.at[i], "Normal", "CIDRNotAvailable",
				  "Node %s status is now: CIDRNotAvailable", jx_name(nodes.at[i]));
			continue;
		}
		cleanup(freep) char *cidr = range_text(&r, next++);
		assign(nodes.at[i], cidr, out);
	}
	free(used);
}

/* ---- the controller: one key for all nodes, so that no range is given twice ---- */

#define ALL_NODES "nodes"

static bool collect(void *ctx, const json_t *node)
{
	struct objects *all = ctx;

	all->at[all->n++] = node;
	return true;
}

static void node_ipam_sync(struct controller_run *c, const char *key, struct actions *out)
{
	struct objects all = { .at = xcalloc(kit_count(c->kit, KK_NODE) + 1, sizeof(*all.at)) };

	(void)key;
	kit_each(c->kit, KK_NODE, collect, &all);
	node_ipam_reconcile(all, kit_config(c->kit)->cluster_cidr, out);
	free(all.at);
}

static void node_ipam_seen(struct controller_run *c, enum kit_kind kind, const json_t *old,
			   const json_t *obj)
{
	(void)kind;
	if (!obj || !old || !jx_str_or(obj, "spec.podCIDR", "")[0])
		controller_add(c, ALL_NODES);
}

const struct controller controller_node_ipam = {
	.component = "cidrAllocator",
	.kinds = 1 << KK_NODE,
	.seen = node_ipam_seen,
	.sync = node_ipam_sync,
};
