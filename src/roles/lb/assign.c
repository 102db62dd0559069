#include "roles/lb/assign.h"

#include <stdio.h>

struct assigned {
	char *key;
	uint32_t ip;
};

/* Where else people write the address they want; MetalLB's two spellings, so that its users' manifests work. */
static const char *const ip_annotations[] = { LB_ANNOTATION_IP, "metallb.io/loadBalancerIPs",
					      "metallb.universe.tf/loadBalancerIPs" };

void assign_init(struct assign *a, const struct pool *pool, const char *(*in_use)(void *ctx, uint32_t ip), void *ctx)
{
	*a = (struct assign){ .pool = *pool, .in_use = in_use, .ctx = ctx };
	map_init(&a->by_key);
	map_init(&a->by_ip);
}

static void assigned_free(void *p)
{
	struct assigned *as = p;

	free(as->key);
	free(as);
}

void assign_done(struct assign *a)
{
	map_done(&a->by_ip, NULL);
	map_done(&a->by_key, assigned_free);
}

static struct str ip_key(const uint32_t *ip)
{
	return (struct str){ (const char *)ip, sizeof(*ip) };
}

const char *assign_owner(const struct assign *a, uint32_t ip)
{
	const struct assigned *as = map_get(&a->by_ip, ip_key(&ip));

	return as ? as->key : NULL;
}

uint32_t assign_status_ip(const json_t *svc)
{
	const json_t *ingress = jx_at(svc, "status.loadBalancer.ingress");
	uint32_t ip;

	if (json_array_size(ingress) != 1 || !ip4_parse(jx_str(json_array_get(ingress, 0), "ip"), &ip))
		return 0;
	return ip;
}

static void own(struct assign *a, const char *key, uint32_t ip)
{
	struct assigned *as = xcalloc(1, sizeof(*as));

	as->key = xstrdup(key);
	as->ip = ip;
	map_put_c(&a->by_key, key, as);
	map_put(&a->by_ip, ip_key(&ip), as);
}

static uint32_t disown(struct assign *a, const char *key)
{
	struct assigned *as = map_del_c(&a->by_key, key);

	if (!as)
		return 0;
	uint32_t ip = as->ip;
	map_del(&a->by_ip, ip_key(&ip));
	assigned_free(as);
	return ip;
}

static bool is_ours(const json_t *svc)
{
	const char *class = jx_str(svc, "spec.loadBalancerClass");

	if (!svc || !c_eq(jx_str(svc, "spec.type"), "LoadBalancer") || jx_str(svc, "metadata.deletionTimestamp"))
		return false;
	return !class || !class[0] || c_eq(class, LB_CLASS);
}

static const char *wanted_text(const json_t *svc)
{
	const char *text = jx_str(svc, "spec.loadBalancerIP");

	for (size_t i = 0; i < ARRAY_LEN(ip_annotations) && (!text || !text[0]); i++)
		text = jx_annotation(svc, ip_annotations[i]);
	return text && text[0] ? text : NULL;
}

void assign_adopt(struct assign *a, const char *key, const json_t *svc)
{
	uint32_t ip = assign_status_ip(svc), wanted;
	const char *text = wanted_text(svc);

	if (!ip || !is_ours(svc) || !pool_has(&a->pool, ip) || assign_owner(a, ip) || map_get_c(&a->by_key, key))
		return;
	if (text && (!ip4_parse(text, &wanted) || wanted != ip))
		return;
	own(a, key, ip);
}

static bool is_taken(void *ctx, uint32_t ip)
{
	const struct assign *a = ctx;

	return assign_owner(a, ip) || a->in_use(a->ctx, ip);
}

static enum assign_verdict pending(struct assign_result *r, const char *fmt, ...) printf_like(2, 3);
static enum assign_verdict pending(struct assign_result *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
	return ASSIGN_PENDING;
}

static enum assign_verdict take_wanted(struct assign *a, const char *key, const char *text, struct assign_result *r)
{
	const char *owner, *link;

	if (!ip4_parse(text, &r->ip))
		return pending(r, "\"%s\" is not an IPv4 address: change spec.loadBalancerIP or remove it", text);
	if (!pool_has(&a->pool, r->ip))
		return pending(r, "%s is not in the address pool: ask for an address of the pool, or start portico with "
				  "an --lb-pool that has it", text);
	owner = assign_owner(a, r->ip);
	if (owner && strcmp(owner, key) != 0)
		return pending(r, "%s is in use by Service \"%s\": ask for another address, or delete that Service",
			       text, owner);
	link = owner ? NULL : a->in_use(a->ctx, r->ip);
	if (link)
		return pending(r, "%s is this machine's own address on %s: ask for another one", text, link);
	return ASSIGN_HAS;
}

static enum assign_verdict take_any(struct assign *a, const char *key, const json_t *svc, struct assign_result *r)
{
	const struct assigned *as = map_get_c(&a->by_key, key);
	uint32_t before = assign_status_ip(svc);

	if (as && pool_has(&a->pool, as->ip)) {
		r->ip = as->ip;
		return ASSIGN_HAS;
	}
	if (before && pool_has(&a->pool, before) && !is_taken(a, before)) {
		r->ip = before;
		return ASSIGN_HAS;
	}
	if (a->pool.n == 0)
		return pending(r, "no address pool is configured: start portico with --lb-pool, such as "
				  "--lb-pool 198.18.0.0/24");
	if (!pool_find(&a->pool, is_taken, a, &r->ip))
		return pending(r, "no available IPs: all %zu addresses of the pool are in use; delete a Service of type "
				  "LoadBalancer, or enlarge --lb-pool", a->by_ip.count);
	return ASSIGN_HAS;
}

void assign_decide(struct assign *a, const char *key, const json_t *svc, struct assign_result *ret_result)
{
	struct assign_result r = { .verdict = ASSIGN_NOT_OURS };
	const struct assigned *as = map_get_c(&a->by_key, key);
	uint32_t had = as ? as->ip : 0;

	if (is_ours(svc)) {
		const char *text = wanted_text(svc);

		r.verdict = text ? take_wanted(a, key, text, &r) : take_any(a, key, svc, &r);
	}
	if (r.verdict != ASSIGN_HAS)
		r.ip = 0;
	if (had && had != r.ip)
		r.released = disown(a, key);
	if (r.ip && had != r.ip)
		own(a, key, r.ip);
	*ret_result = r;
}
