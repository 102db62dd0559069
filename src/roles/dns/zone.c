#include "roles/dns/zone_int.h"

#define SERVICE_NAME_LABEL "kubernetes.io/service-name"

struct zone *old_zone_new(struct str domain, uint32_t ttl, uint32_t serial)
{
	struct zone *z = xcalloc(1, sizeof(*z));
	cleanup(freep) char *svc = xasprintf("svc." STR_FMT, STR_ARG(domain));

	z->ttl = ttl;
	z->serial = serial;
	map_init(&z->names);
	map_init(&z->reverse);
	map_init(&z->services);
	map_init(&z->slices);
	if (!dns_name_from_text(domain, &z->name) || !dns_name_from_text(str_of(svc), &z->svc)) {
		old_zone_free(z);
		return NULL;
	}
	return z;
}

void old_zone_set_synced(struct zone *z)
{
	z->synced = true;
}

bool old_zone_synced(const struct zone *z)
{
	return z->synced;
}

/* ---- the tables ---- */

static struct zone_node *node_put(struct zone *z, struct zone_service *s, enum node_kind kind,
				  const uint8_t *key, size_t len)
{
	struct str k = { (const char *)key, len };

	if (map_get(&z->names, k))
		return NULL; /* a port that several slices have */
	struct zone_node *n = xcalloc(1, sizeof(*n) + len);
	n->kind = kind;
	n->service = s;
	n->key_len = len;
	memcpy(n->key, key, len);
	list_init(&n->link);
	if (s)
		list_append(&s->nodes, &n->link);
	map_put(&z->names, k, n);
	return n;
}

static void node_remove(struct zone *z, struct zone_node *n)
{
	map_del(&z->names, (struct str){ (const char *)n->key, n->key_len });
	list_del(&n->link);
	free(n);
}

static struct str ip_key(const struct zone_ip *ip)
{
	return (struct str){ (const char *)ip->bytes, ip->len };
}

static void reverse_put(struct zone *z, struct zone_service *s, const struct zone_ref *ref,
			const struct zone_ip *ip)
{
	struct list *all = map_get(&z->reverse, ip_key(ip));
	struct zone_reverse *r = xcalloc(1, sizeof(*r));

	if (!all) {
		all = xmalloc(sizeof(*all));
		list_init(all);
		map_put(&z->reverse, ip_key(ip), all);
	}
	r->service = s;
	r->ref = ref;
	r->ip = *ip;
	list_append(all, &r->link);
	list_append(&s->reverses, &r->of_service);
}

static void reverse_remove(struct zone *z, struct zone_reverse *r)
{
	struct list *all = map_get(&z->reverse, ip_key(&r->ip));

	list_del(&r->link);
	list_del(&r->of_service);
	if (list_empty(all)) {
		map_del(&z->reverse, ip_key(&r->ip));
		free(all);
	}
	free(r);
}

/* ---- a service's names ---- */

static void service_withdraw(struct zone *z, struct zone_service *s)
{
	list_for(n, tmp, &s->nodes)
		node_remove(z, list_entry(n, struct zone_node, link));
	list_for(r, tmp, &s->reverses)
		reverse_remove(z, list_entry(r, struct zone_reverse, of_service));
	free(s->refs);
	s->refs = NULL;
	s->n_refs = 0;
}

static int by_ip(const void *a, const void *b)
{
	const struct zone_ref *x = a, *y = b;

	return memcmp(&x->endpoint->ip, &y->endpoint->ip, sizeof(struct zone_ip));
}

static int by_host(const void *a, const void *b)
{
	const struct zone_ref *x = a, *y = b;
	int r = zone_label_cmp(x->endpoint->host, y->endpoint->host);

	return r ? r : by_ip(a, b);
}

static bool same_host(const struct zone_ref *a, const struct zone_ref *b)
{
	return zone_label_cmp(a->endpoint->host, b->endpoint->host) == 0;
}

static void collect_refs(struct zone_service *s)
{
	size_t n = 0;

	list_for(l, tmp, &s->slices)
		n += list_entry(l, struct zone_slice, link)->n_endpoints;
	s->refs = n ? xcalloc(n, sizeof(*s->refs)) : NULL;
	list_for(l, tmp, &s->slices) {
		const struct zone_slice *slice = list_entry(l, struct zone_slice, link);
		for (size_t i = 0; i < slice->n_endpoints; i++)
			s->refs[s->n_refs++] =
				(struct zone_ref){ slice, &slice->endpoints[i], false };
	}
	if (!n)
		return;
	qsort(s->refs, n, sizeof(*s->refs), by_ip);
	for (size_t i = 1; i < n; i++)
		s->refs[i].repeated = by_ip(&s->refs[i], &s->refs[i - 1]) == 0;
	qsort(s->refs, n, sizeof(*s->refs), by_host);
}

/* "host" or "http" "tcp", in front of the service's own labels. */
static size_t key_of(const struct zone_service *s, const uint8_t *first, struct str protocol,
		     uint8_t out[DNS_NAME_BYTES_MAX])
{
	size_t own = s->owner_len, n = 1 + (size_t)first[0];

	if (n + 1 + protocol.len + own > DNS_NAME_BYTES_MAX)
		return 0;
	memcpy(out, first, n);
	if (protocol.len) {
		out[n++] = (uint8_t)protocol.len;
		memcpy(out + n, protocol.ptr, protocol.len);
		n += protocol.len;
	}
	memcpy(out + n, s->owner, own);
	return n + own;
}

static void publish_endpoints(struct zone *z, struct zone_service *s)
{
	uint8_t key[DNS_NAME_BYTES_MAX];

	for (size_t i = 0, n; i < s->n_refs; i += n) {
		for (n = 1; i + n < s->n_refs && same_host(&s->refs[i], &s->refs[i + n]); n++)
			;
		size_t len = key_of(s, s->refs[i].endpoint->host, STR(""), key);
		struct zone_node *node = len ? node_put(z, s, NODE_ENDPOINT, key, len) : NULL;
		if (node) {
			node->first = i;
			node->n = n;
		}
	}
	for (size_t i = 0; i < s->n_refs; i++)
		reverse_put(z, s, &s->refs[i], &s->refs[i].endpoint->ip);
}

static void publish_port(struct zone *z, struct zone_service *s, const struct zone_port *p)
{
	uint8_t key[DNS_NAME_BYTES_MAX], name[DNS_LABEL_BYTES_MAX + 1];
	size_t n = strlen(p->name);

	if (n == 0 || n > DNS_LABEL_BYTES_MAX)
		return; /* a port without a name has no SRV name */
	name[0] = (uint8_t)n;
	memcpy(name + 1, p->name, n);
	size_t len = key_of(s, name, str_of(p->protocol), key);
	struct zone_node *node = len ? node_put(z, s, NODE_PORT, key, len) : NULL;
	if (node)
		node->port = p;
}

static void publish_ports(struct zone *z, struct zone_service *s)
{
	if (s->kind == KIND_CLUSTER_IP) {
		for (size_t i = 0; i < s->n_ports; i++)
			publish_port(z, s, &s->ports[i]);
		return;
	}
	/* A headless service's ports are those its endpoints listen on. */
	list_for(l, tmp, &s->slices) {
		struct zone_slice *slice = list_entry(l, struct zone_slice, link);
		for (size_t i = 0; slice->n_endpoints && i < slice->n_ports; i++)
			publish_port(z, s, &slice->ports[i]);
	}
}

static void service_publish(struct zone *z, struct zone_service *s)
{
	bool exists = s->kind == KIND_CLUSTER_IP || s->external;

	service_withdraw(z, s);
	z->serial++;
	if (!s->present)
		return;
	if (s->kind != KIND_EXTERNAL) {
		collect_refs(s);
		publish_endpoints(z, s);
		publish_ports(z, s);
	}
	/* A headless service without ready endpoints does not exist. */
	if (exists || s->n_refs)
		node_put(z, s, NODE_SERVICE, s->owner, s->owner_len);
	for (size_t i = 0; i < s->n_ips; i++)
		reverse_put(z, s, NULL, &s->ips[i]);
}

/* ---- objects ---- */

static char *key_text(const char *ns, const char *name)
{
	return ns && name ? xasprintf("%s/%s", ns, name) : NULL;
}

static struct zone_service *service_get(struct zone *z, const char *ns, const char *name)
{
	cleanup(freep) char *key = key_text(ns, name);
	cleanup(freep) char *owner = xasprintf("%s.%s", name ? name : "", ns ? ns : "");
	struct zone_service *s = key ? map_get_c(&z->services, key) : NULL;
	struct dns_name n;

	if (s || !key || !dns_name_from_text(str_of(owner), &n) || n.labels != 2)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->owner_len = n.len - 1;
	s->owner = (uint8_t *)xstrndup((const char *)n.wire, s->owner_len);
	list_init(&s->slices);
	list_init(&s->nodes);
	list_init(&s->reverses);
	s->key = TAKE_PTR(key);
	map_put_c(&z->services, s->key, s);
	return s;
}

static void service_free(void *p)
{
	struct zone_service *s = p;

	old_service_unload(s);
	free(s->refs);
	free(s->key);
	free(s->owner);
	free(s);
}

static void service_drop_if_unused(struct zone *z, struct zone_service *s)
{
	if (s->present || !list_empty(&s->slices))
		return;
	map_del_c(&z->services, s->key);
	service_free(s);
}

void old_zone_put_service(struct zone *z, const json_t *obj)
{
	struct zone_service *s = service_get(z, jx_namespace(obj), jx_name(obj));

	if (!s)
		return;
	service_withdraw(z, s); /* nodes point into what is replaced now */
	old_service_load(s, obj);
	service_publish(z, s);
}

void old_zone_del_service(struct zone *z, const json_t *obj)
{
	struct zone_service *s = service_get(z, jx_namespace(obj), jx_name(obj));

	if (!s)
		return;
	service_withdraw(z, s);
	old_service_unload(s);
	service_publish(z, s);
	service_drop_if_unused(z, s);
}

void old_zone_del_slice(struct zone *z, const json_t *obj)
{
	cleanup(freep) char *key = key_text(jx_namespace(obj), jx_name(obj));
	struct zone_slice *old = key ? map_del_c(&z->slices, key) : NULL;

	if (!old)
		return;
	struct zone_service *s = old->service;
	service_withdraw(z, s);
	old_slice_free(old);
	service_publish(z, s);
	service_drop_if_unused(z, s);
}

void old_zone_put_slice(struct zone *z, const json_t *obj)
{
	const char *ns = jx_namespace(obj), *owner = jx_label(obj, SERVICE_NAME_LABEL);
	cleanup(freep) char *key = key_text(ns, jx_name(obj));
	struct zone_slice *old = key ? map_get_c(&z->slices, key) : NULL;
	struct zone_service *s = owner ? service_get(z, ns, owner) : NULL;

	if (old && old->service != s) {
		old_zone_del_slice(z, obj);
		old = NULL;
		s = owner ? service_get(z, ns, owner) : NULL;
	}
	if (!s || !key)
		return;
	service_withdraw(z, s);
	if (old)
		old_slice_free(old);
	struct zone_slice *slice = old_slice_load(obj);
	slice->service = s;
	list_append(&s->slices, &slice->link);
	map_put_c(&z->slices, key, slice);
	service_publish(z, s);
}

static bool namespace_name(const json_t *obj, struct dns_name *ret)
{
	const char *name = jx_name(obj);

	return name && dns_name_from_text(str_of(name), ret) && ret->labels == 1;
}

void old_zone_put_namespace(struct zone *z, const json_t *obj)
{
	struct dns_name n;

	if (namespace_name(obj, &n))
		node_put(z, NULL, NODE_NAMESPACE, n.wire, n.len - 1u);
}

void old_zone_del_namespace(struct zone *z, const json_t *obj)
{
	struct dns_name n;
	struct zone_node *node;

	if (!namespace_name(obj, &n))
		return;
	node = map_get(&z->names, (struct str){ (const char *)n.wire, n.len - 1u });
	if (node)
		node_remove(z, node);
}

void old_zone_free(struct zone *z)
{
	if (!z)
		return;
	for (struct map_iter it = { 0 }; map_next(&z->services, &it);)
		service_withdraw(z, it.value);
	for (struct map_iter it = { 0 }; map_next(&z->slices, &it);)
		old_slice_free(it.value);
	map_done(&z->slices, NULL);
	map_done(&z->services, service_free);
	map_done(&z->reverse, free);
	map_done(&z->names, free); /* the namespaces */
	free(z);
}
