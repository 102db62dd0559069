#include "roles/dns/zone/pods.h"

#define POD_IPS_MAX 2 /* one for each family */

void pods_init(struct pods *p, struct quiesce *q)
{
	table_init(&p->by_id, q);
	table_init(&p->by_ip, q);
}

void pods_done(struct pods *p)
{
	for (uint64_t at = 0, payload; table_each(&p->by_id, &at, &payload);)
		free((void *)(uintptr_t)payload);
	table_done(&p->by_id);
	table_done(&p->by_ip);
}

static struct pod *pod_at(uint64_t payload)
{
	return (struct pod *)(uintptr_t)payload;
}

/* ---- addresses of one ---- */

static bool pod_each_ip(const struct pod *p, size_t *at, struct ip *ret)
{
	const uint8_t *b = p->bytes + 1 + p->bytes[0];

	if (*at == p->n_ips)
		return false;
	for (size_t i = 0; i < *at; i++)
		b += 1 + b[0];
	ret->len = b[0];
	memcpy(ret->bytes, b + 1, b[0]);
	++*at;
	return true;
}

struct pods_search pods_search(const struct pods *p, const struct ip *ip)
{
	return (struct pods_search){ table_search(&p->by_ip, table_hash(ip->bytes, ip->len)), *ip };
}

const struct pod *pods_next(struct pods_search *s)
{
	uint64_t payload;

	while (table_next(&s->search, &payload)) {
		const struct pod *p = pod_at(payload);
		struct ip ip;
		for (size_t at = 0; pod_each_ip(p, &at, &ip);)
			if (ip.len == s->ip.len && memcmp(ip.bytes, s->ip.bytes, ip.len) == 0)
				return p;
	}
	return NULL;
}

/* ---- changes ---- */

static bool pod_id(const json_t *obj, uint64_t *ret)
{
	const char *ns = jx_namespace(obj), *name = jx_name(obj);

	if (!ns || !name)
		return false;
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);
	*ret = hash_keyed(key, strlen(key));
	return true;
}

static struct pod *find(const struct pods *p, uint64_t id)
{
	struct table_search s = table_search(&p->by_id, table_hash_of(id));

	for (uint64_t payload; table_next(&s, &payload);)
		if (pod_at(payload)->id == id)
			return pod_at(payload);
	return NULL;
}

static void fill_ids(void *ctx, struct table_slots *to)
{
	struct pods *p = ctx;

	for (uint64_t at = 0, payload; table_each(&p->by_id, &at, &payload);)
		table_fill(to, table_hash_of(pod_at(payload)->id), payload);
}

static void fill_ips(void *ctx, struct table_slots *to)
{
	struct pods *p = ctx;
	struct ip ip;

	for (uint64_t at = 0, payload; table_each(&p->by_id, &at, &payload);)
		for (size_t i = 0; pod_each_ip(pod_at(payload), &i, &ip);)
			table_fill(to, table_hash(ip.bytes, ip.len), payload);
}

static size_t load_ips(const json_t *obj, struct ip ret[POD_IPS_MAX])
{
	const json_t *list = jx_at(obj, "status.podIPs");
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(list) && n < POD_IPS_MAX; i++)
		n += ip_read(jx_str(json_array_get(list, i), "ip"), &ret[n]);
	if (n == 0)
		n += ip_read(jx_str(obj, "status.podIP"), &ret[0]);
	if (n == 2 && memcmp(&ret[0], &ret[1], sizeof(ret[0])) == 0)
		n = 1;
	return n;
}

/* NULL: it has no address (yet), or will not answer at it any more. */
static struct pod *pod_load(const json_t *obj, uint64_t id)
{
	const char *phase = jx_str_or(obj, "status.phase", "");
	struct ip ips[POD_IPS_MAX];
	size_t n = load_ips(obj, ips);
	struct dns_name ns;

	if (n == 0 || jx_str(obj, "metadata.deletionTimestamp") || c_eq(phase, "Succeeded") || c_eq(phase, "Failed") ||
	    !dns_name_from_text(str_of(jx_namespace(obj)), &ns) || ns.labels != 1)
		return NULL;
	struct pod *p = xcalloc(1, sizeof(*p) + ns.len + n * sizeof(struct ip));
	p->id = id;
	p->host_network = jx_bool(obj, "spec.hostNetwork", false);
	p->n_ips = (uint8_t)n;
	uint8_t *b = mempcpy(p->bytes, ns.wire, ns.len - 1u);
	for (size_t i = 0; i < n; i++) {
		*b++ = ips[i].len;
		b = mempcpy(b, ips[i].bytes, ips[i].len);
	}
	return p;
}

static bool pod_equal(const struct pod *a, const struct pod *b)
{
	size_t n = 1 + (size_t)a->bytes[0];
	struct ip x, y;

	if (a->host_network != b->host_network || a->n_ips != b->n_ips || memcmp(a->bytes, b->bytes, n) != 0)
		return false;
	for (size_t i = 0, k = 0; pod_each_ip(a, &i, &x) && pod_each_ip(b, &k, &y);)
		if (x.len != y.len || memcmp(x.bytes, y.bytes, x.len) != 0)
			return false;
	return true;
}

static void replace(struct pods *p, struct pod *old, struct pod *new)
{
	struct ip ip;

	table_reserve(&p->by_id, 1, fill_ids, p);
	table_reserve(&p->by_ip, POD_IPS_MAX, fill_ips, p);
	for (size_t at = 0; new && pod_each_ip(new, &at, &ip);)
		table_add(&p->by_ip, table_hash(ip.bytes, ip.len), table_payload(new));
	for (size_t at = 0; old && pod_each_ip(old, &at, &ip);)
		table_remove(&p->by_ip, table_hash(ip.bytes, ip.len), table_payload(old));
	if (new && old)
		table_replace(&p->by_id, table_hash_of(new->id), table_payload(old), table_payload(new));
	else if (new)
		table_add(&p->by_id, table_hash_of(new->id), table_payload(new));
	else
		table_remove(&p->by_id, table_hash_of(old->id), table_payload(old));
	if (old)
		quiesce_retire(p->by_id.quiesce, free, old);
}

bool pods_put(struct pods *p, const json_t *obj)
{
	uint64_t id;

	if (!pod_id(obj, &id))
		return false;
	struct pod *old = find(p, id), *new = pod_load(obj, id);
	if (!old && !new)
		return false;
	if (old && new && pod_equal(old, new)) {
		free(new);
		return false;
	}
	replace(p, old, new);
	return true;
}

bool pods_del(struct pods *p, const json_t *obj)
{
	uint64_t id;
	struct pod *old = pod_id(obj, &id) ? find(p, id) : NULL;

	if (old)
		replace(p, old, NULL);
	return old != NULL;
}
