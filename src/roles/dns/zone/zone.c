#include "roles/dns/zone/zone_int.h"

#define SERVICE_NAME_LABEL "kubernetes.io/service-name"

struct zone *zone_new(const struct zone_options *o, uint32_t serial, struct quiesce *q)
{
	struct zone *z = xcalloc(1, sizeof(*z));

	options_copy(z, o);
	soa_init(z);
	z->serial = serial;
	z->quiesce = q;
	table_init(&z->services, q);
	table_init(&z->spaces, q);
	table_init(&z->reverse, q);
	table_init(&z->slices, NULL);
	pods_init(&z->pods, q);
	return z;
}

void zone_free(struct zone *z)
{
	if (!z)
		return;
	for (uint64_t at = 0, p; table_each(&z->services, &at, &p);)
		free(service_at(p));
	for (uint64_t at = 0, p; table_each(&z->spaces, &at, &p);)
		free(space_at(p));
	table_done(&z->services);
	table_done(&z->spaces);
	table_done(&z->reverse);
	table_done(&z->slices);
	pods_done(&z->pods);
	options_done(z);
	free(z);
}

const struct zone_options *zone_options(const struct zone *z)
{
	return &z->options;
}

void zone_set_synced(struct zone *z)
{
	__atomic_store_n(&z->synced, true, __ATOMIC_RELEASE);
}

bool zone_synced(const struct zone *z)
{
	return __atomic_load_n(&z->synced, __ATOMIC_ACQUIRE);
}

size_t zone_names(const struct zone *z)
{
	return z->services.live + z->spaces.live;
}

static void moved_on(struct zone *z)
{
	__atomic_store_n(&z->serial, z->serial + 1, __ATOMIC_RELAXED);
	z->changed = true;
}

/* ---- namespaces ---- */

const struct space *zone_space(const struct zone *z, const uint8_t *label)
{
	struct table_search s = table_search(&z->spaces, table_hash(label, 1 + (size_t)label[0]));

	for (uint64_t p; table_next(&s, &p);)
		if (memcmp(space_at(p)->label, label, 1 + (size_t)label[0]) == 0)
			return space_at(p);
	return NULL;
}

static void fill_spaces(void *ctx, struct table_slots *to)
{
	const struct zone *z = ctx;

	for (uint64_t at = 0, p; table_each(&z->spaces, &at, &p);)
		table_fill(to, space_at(p)->hash, p);
}

static struct space *space_get(struct zone *z, const uint8_t *label)
{
	struct space *s = (struct space *)zone_space(z, label);
	size_t n = 1 + (size_t)label[0];

	if (s)
		return s;
	s = xcalloc(1, sizeof(*s) + n);
	s->hash = table_hash(label, n);
	memcpy(s->label, label, n);
	table_reserve(&z->spaces, 1, fill_spaces, z);
	table_add(&z->spaces, s->hash, table_payload(s));
	return s;
}

static void space_drop_if_unused(struct zone *z, struct space *s)
{
	if (s->refs || s->exists)
		return;
	table_remove(&z->spaces, s->hash, table_payload(s));
	quiesce_retire(z->quiesce, free, s);
}

static bool space_name(const struct zone *z, const json_t *obj, struct dns_name *ret)
{
	const char *name = jx_name(obj);

	return name && options_namespace(z, name) && dns_name_from_text(str_of(name), ret) && ret->labels == 1;
}

static void space_set(struct zone *z, struct space *s, bool exists, bool exposed)
{
	bool was = s->exposed;

	s->exists = exists;
	__atomic_store_n(&s->exposed, exposed, __ATOMIC_RELEASE);
	if (was == exposed)
		return;
	moved_on(z);
	mirror_space(z, s);
}

void zone_put_namespace(struct zone *z, const json_t *obj)
{
	struct dns_name n;

	if (space_name(z, obj, &n))
		space_set(z, space_get(z, n.wire), true, options_labels(z->namespace_labels, obj));
}

void zone_del_namespace(struct zone *z, const json_t *obj)
{
	struct dns_name n;
	struct space *s = space_name(z, obj, &n) ? (struct space *)zone_space(z, n.wire) : NULL;

	if (!s)
		return;
	space_set(z, s, false, false);
	space_drop_if_unused(z, s);
}

/* ---- services in the table ---- */

const struct service *zone_service(const struct zone *z, const uint8_t *key, size_t len)
{
	struct table_search s = table_search(&z->services, table_hash(key, len));
	size_t name = 1 + (size_t)key[0];

	for (uint64_t p; table_next(&s, &p);) {
		const struct service *v = service_at(p);
		/* A label and its length: the comparison stops at the other's length when it differs. */
		if (v->name[0] == key[0] && memcmp(v->name, key, name) == 0 && v->space->label[0] == key[name] &&
		    memcmp(v->space->label, key + name, len - name) == 0)
			return v;
	}
	return NULL;
}

const struct service *zone_service_of_hash(const struct zone *z, uint64_t hash)
{
	struct table_search s = table_search(&z->services, hash);

	for (uint64_t p; table_next(&s, &p);)
		if (service_at(p)->hash == hash)
			return service_at(p);
	return NULL;
}

static void fill_services(void *ctx, struct table_slots *to)
{
	const struct zone *z = ctx;

	for (uint64_t at = 0, p; table_each(&z->services, &at, &p);)
		table_fill(to, service_at(p)->hash, p);
}

static void fill_reverse(void *ctx, struct table_slots *to)
{
	const struct zone *z = ctx;
	struct ip ip;

	for (uint64_t at = 0, p; table_each(&z->services, &at, &p);)
		for (size_t i = 0; service_each_ip(service_at(p), &i, &ip);) {
			uint64_t hash = table_hash(ip.bytes, ip.len);
			table_fill(to, hash, payload_of(hash, service_at(p)->hash));
		}
}

static void fill_slices(void *ctx, struct table_slots *to)
{
	const struct zone *z = ctx;

	for (uint64_t at = 0, p; table_each(&z->services, &at, &p);)
		for (size_t i = 0; i < service_at(p)->n_slices; i++) {
			uint64_t id = service_slices(service_at(p))[i];
			table_fill(to, table_hash_of(id), payload_of(id, service_at(p)->hash));
		}
}

static bool has_ip(const struct service *s, const struct ip *ip)
{
	size_t first;

	return s && (service_has_cluster_ip(s, ip->bytes, ip->len) || service_find_ip(s, ip->bytes, ip->len, &first));
}

static int by_id(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool has_slice(const struct service *s, uint64_t id)
{
	return s && bsearch(&id, service_slices(s), s->n_slices, sizeof(id), by_id);
}

/* Where its addresses and slices lead, of what `other` does not have as well. */
static void index_keys(struct zone *z, const struct service *s, const struct service *other,
		       void (*change)(struct table *t, uint64_t hash, uint64_t payload))
{
	struct ip ip;

	for (size_t at = 0; s && service_each_ip(s, &at, &ip);) {
		uint64_t hash = table_hash(ip.bytes, ip.len);
		if (!has_ip(other, &ip))
			change(&z->reverse, hash, payload_of(hash, s->hash));
	}
	for (size_t i = 0; s && i < s->n_slices; i++) {
		uint64_t id = service_slices(s)[i];
		if (!has_slice(other, id))
			change(&z->slices, table_hash_of(id), payload_of(id, s->hash));
	}
}

static size_t count_ips(const struct service *s)
{
	return (size_t)s->n_a + s->n_aaaa + service_endpoints(s);
}

/* `new` takes the place of `old`; either may be NULL. The slices' table is filled from the services: it is made larger
 * before they change. */
static void publish(struct zone *z, struct service *old, struct service *new)
{
	struct space *space = (new ? new : old)->space;

	if (new) {
		table_reserve(&z->services, 1, fill_services, z);
		table_reserve(&z->reverse, count_ips(new), fill_reverse, z);
		table_reserve(&z->slices, new->n_slices, fill_slices, z);
	}
	if (new && old)
		table_replace(&z->services, new->hash, table_payload(old), table_payload(new));
	else if (new)
		table_add(&z->services, new->hash, table_payload(new));
	else
		table_remove(&z->services, old->hash, table_payload(old));
	space->refs += (unsigned)!old;
	space->refs -= (unsigned)!new;
	index_keys(z, new, old, table_add);
	index_keys(z, old, new, table_remove);
	moved_on(z);
	mirror_service(z, old, new);
	if (old)
		quiesce_retire(z->quiesce, free, old);
	space_drop_if_unused(z, space);
}

static void finish_draft(struct zone *z, struct draft *d, struct service *old)
{
	struct service *new = draft_build(d, z->options.ttl);

	draft_done(d);
	if (old && new && old->bytes == new->bytes && memcmp(old, new, new->bytes) == 0)
		free(new);
	else if (old || new)
		publish(z, old, new);
}

/* ---- services ---- */

struct service_key {
	struct dns_name name; /* "\3web\7default" and the root */
	struct service *service;
};

static bool service_key(struct zone *z, const char *ns, const char *name, struct service_key *ret)
{
	if (!ns || !name || !options_namespace(z, ns))
		return false;
	cleanup(freep) char *text = xasprintf("%s.%s", name, ns);
	if (!dns_name_from_text(str_of(text), &ret->name) || ret->name.labels != 2 || ret->name.wire[0] != strlen(name))
		return false;
	ret->service = (struct service *)zone_service(z, ret->name.wire, ret->name.len - 1u);
	return true;
}

static void draft_for(struct zone *z, struct draft *d, const struct service_key *k, uint64_t without_slice, size_t more)
{
	const uint8_t *wire = k->name.wire;

	draft_init(d, k->service, without_slice, more);
	if (k->service)
		return;
	d->hash = table_hash(wire, k->name.len - 1u);
	d->name = wire;
	d->space = space_get(z, wire + 1 + wire[0]);
}

void zone_del_service(struct zone *z, const json_t *obj)
{
	struct service_key k;
	struct draft d;

	if (!service_key(z, jx_namespace(obj), jx_name(obj), &k) || !k.service)
		return;
	draft_init(&d, k.service, 0, 0);
	d.present = false;
	d.kind = KIND_CLUSTER_IP;
	d.n_ips = 0;
	d.ports = (struct draft_ports){ 0 };
	finish_draft(z, &d, k.service);
}

void zone_put_service(struct zone *z, const json_t *obj)
{
	struct service_key k;
	struct draft d;

	if (!options_labels(z->labels, obj)) {
		zone_del_service(z, obj);
		return;
	}
	if (!service_key(z, jx_namespace(obj), jx_name(obj), &k))
		return;
	draft_for(z, &d, &k, 0, 0);
	load_service(&d, obj);
	finish_draft(z, &d, k.service);
}

/* ---- slices ---- */

static bool slice_id(const json_t *obj, uint64_t *ret)
{
	const char *ns = jx_namespace(obj), *name = jx_name(obj);

	if (!ns || !name)
		return false;
	cleanup(freep) char *text = xasprintf("%s/%s", ns, name);
	*ret = hash_keyed(text, strlen(text));
	return true;
}

static struct service *owner_of(const struct zone *z, uint64_t id)
{
	struct table_search s = table_search(&z->slices, table_hash_of(id));

	for (uint64_t p; table_next(&s, &p);) {
		struct service *v = (struct service *)zone_service_of_hash(z, payload_of(id, p));
		if (has_slice(v, id))
			return v;
	}
	return NULL;
}

static void remove_slice(struct zone *z, struct service *s, uint64_t id)
{
	struct draft d;

	draft_init(&d, s, id, 0);
	finish_draft(z, &d, s);
}

void zone_del_slice(struct zone *z, const json_t *obj)
{
	uint64_t id;
	struct service *s = slice_id(obj, &id) ? owner_of(z, id) : NULL;

	if (s)
		remove_slice(z, s, id);
}

void zone_put_slice(struct zone *z, const json_t *obj)
{
	struct service_key k = { 0 };
	struct draft d;
	uint64_t id;

	if (z->options.no_endpoints || !slice_id(obj, &id))
		return;
	struct service *old = owner_of(z, id);
	bool wanted = options_labels(z->labels, obj) &&
		      service_key(z, jx_namespace(obj), jx_label(obj, SERVICE_NAME_LABEL), &k);
	if (old && (!wanted || old != k.service))
		remove_slice(z, old, id); /* it has changed its service */
	if (!wanted || (k.service && k.service != old && k.service->n_slices >= SLICES_MAX))
		return;
	draft_for(z, &d, &k, id, load_count_addresses(obj));
	load_slice(&d, obj, id, z->options.endpoint_pod_names);
	finish_draft(z, &d, k.service);
}

bool zone_slice_headless(const struct zone *z, const json_t *obj)
{
	uint64_t id;
	const struct service *s = slice_id(obj, &id) ? owner_of(z, id) : NULL;

	return s && s->present && s->kind == KIND_HEADLESS;
}

/* ---- pods ---- */

void zone_put_pod(struct zone *z, const json_t *obj)
{
	const char *ns = jx_namespace(obj);

	if (ns && options_namespace(z, ns) && options_labels(z->labels, obj))
		z->changed |= pods_put(&z->pods, obj);
	else
		zone_del_pod(z, obj);
}

void zone_del_pod(struct zone *z, const json_t *obj)
{
	z->changed |= pods_del(&z->pods, obj);
}
