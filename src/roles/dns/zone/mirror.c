/* The zone's answers made ready for a map that knows nothing of services: whole names, with what follows the question. */
#include "roles/dns/zone/zone_int.h"

#define SETS_MAX 3 /* A, AAAA, SRV */
#define MIRROR_BYTES_MAX DNS_UDP_BYTES_MAX /* larger ones are cut short over UDP: user space does that */

/* What is said of one name. */
struct shown {
	struct zone_name name;
	struct zone_sections sets[SETS_MAX];
	uint8_t bytes[SETS_MAX][MIRROR_BYTES_MAX];
};

/* ---- one name ---- */

static void show_type(const struct zone *z, struct dns_query *q, const struct found *f, struct shown *sh)
{
	struct zone_sections *set = &sh->sets[sh->name.n_sets];
	uint8_t *out = sh->bytes[sh->name.n_sets];
	struct reply r = { .z = z, .q = q, .type = q->type };
	size_t start;

	dns_answer_start(&r.w, out, MIRROR_BYTES_MAX, q);
	start = r.w.len;
	zone_reply_put(&r, DNS_QUESTION_AT, f);
	if (!r.put)
		return;
	*set = (struct zone_sections){ .type = q->type,
				       .answers = r.w.counts[DNS_ANSWER],
				       .additional = r.w.counts[DNS_ADDITIONAL],
				       .len = (uint16_t)(r.w.len - start),
				       .bytes = out + start };
	if (r.w.truncated)
		*set = (struct zone_sections){ .type = q->type, .bytes = out };
	else if (set->answers > 1 && q->type != DNS_SRV)
		set->rotates = set->len;
	sh->name.n_sets++;
}

static void show(const struct zone *z, const struct dns_name *name, const struct found *f, struct shown *sh)
{
	static const uint16_t types[SETS_MAX] = { DNS_A, DNS_AAAA, DNS_SRV };
	uint8_t question[DNS_NAME_BYTES_MAX + 4] = { 0 };
	struct dns_query q = { .class = DNS_CLASS_IN, .name = *name, .udp_bytes = DNS_UDP_BYTES_MAX };

	memcpy(question, name->wire, name->len);
	q.question = (struct str){ (const char *)question, (size_t)name->len + 4 };
	sh->name = (struct zone_name){ .key = name->wire, .key_len = name->len, .sets = sh->sets };
	if (f->kind == FOUND_EXTERNAL)
		sh->name.kind = ZONE_NAME_USERSPACE;
	for (size_t i = 0; i < SETS_MAX && sh->name.kind == ZONE_NAME_SETS; i++) {
		q.type = types[i];
		show_type(z, &q, f, sh);
	}
	if (sh->name.kind == ZONE_NAME_USERSPACE)
		sh->name.n_sets = 0;
}

static bool same(const struct shown *a, const struct shown *b)
{
	if (a->name.kind != b->name.kind || a->name.n_sets != b->name.n_sets)
		return false;
	for (size_t i = 0; i < a->name.n_sets; i++) {
		const struct zone_sections *x = &a->sets[i], *y = &b->sets[i];
		if (x->type != y->type || x->answers != y->answers || x->additional != y->additional || x->len != y->len ||
		    memcmp(x->bytes, y->bytes, x->len) != 0)
			return false;
	}
	return true;
}

static void put(struct zone *z, const struct shown *sh)
{
	z->mirror.put(z->mirror.ctx, &sh->name);
}

/* ---- the names of a service ---- */

typedef void name_fn(struct zone *z, const struct dns_name *name, const struct found *f, const struct service *other);

/* "_http" "_tcp" in front of the service's name. */
static bool port_name(const struct zone *z, const struct service *s, const struct port_entry *e, struct dns_name *ret)
{
	static const char *const protocols[] = { [PROTOCOL_TCP] = "\4_tcp", [PROTOCOL_UDP] = "\4_udp", [PROTOCOL_SCTP] = "\5_sctp" };
	uint8_t own[DNS_NAME_BYTES_MAX], *p = ret->wire;
	size_t n = service_name(z, s, NULL, own), protocol = strlen(protocols[e->protocol]), label = e->name[0];

	if (!n || !label || label == DNS_LABEL_BYTES_MAX || 2 + label + protocol + n > DNS_NAME_BYTES_MAX)
		return false;
	*p++ = (uint8_t)(label + 1);
	*p++ = '_';
	p = mempcpy(p, e->name + 1, label);
	p = mempcpy(p, protocols[e->protocol], protocol);
	p = mempcpy(p, own, n);
	ret->len = (uint8_t)(p - ret->wire);
	return true;
}

/* A port that several sets have comes as often: that does no harm. */
static void each_port(struct zone *z, const struct service *s, name_fn *fn, const struct service *other)
{
	bool own = s->kind == KIND_CLUSTER_IP;

	for (size_t i = !own; i < (own ? 1u : s->n_sets); i++) {
		const struct port_set *set = &service_sets(s)[i];
		const uint8_t *p = port_first(s, set);
		for (size_t k = 0; k < set->n; k++) {
			struct port_entry e;
			struct dns_name name;
			struct found f = { .kind = FOUND_PORT, .service = s };
			p = port_read(p, &e);
			if ((!own && !set->endpoints) || !port_name(z, s, &e, &name))
				continue;
			f.port = (struct port_filter){ name.wire, 1, e.protocol };
			fn(z, &name, &f, other);
		}
	}
}

static void each_endpoint(struct zone *z, const struct service *s, name_fn *fn, const struct service *other)
{
	uint8_t space[DNS_LABEL_BYTES_MAX + 1];
	struct dns_name name;
	struct prefix p;

	for (size_t i = 0; i < service_endpoints(s); i++) {
		struct found f = { .service = s };
		name.len = (uint8_t)service_name(z, s, endpoint_host(s, i, space), name.wire);
		if (!name.len || !prefix_of(&name, &z->options.domain, &p))
			continue;
		service_find(name.wire, &p, &f);
		/* Of all endpoints with this name, only for one. */
		if (f.kind == FOUND_ENDPOINT && member_at(s, &f.members, 0) == i)
			fn(z, &name, &f, other);
	}
}

static void each_name(struct zone *z, const struct service *s, name_fn *fn, const struct service *other)
{
	struct found f = { .kind = s->kind == KIND_EXTERNAL ? FOUND_EXTERNAL : FOUND_SERVICE, .service = s };
	struct dns_name name;

	if (!service_exists(z, s))
		return;
	name.len = (uint8_t)service_name(z, s, NULL, name.wire);
	if (!name.len)
		return;
	fn(z, &name, &f, other);
	if (s->kind == KIND_EXTERNAL)
		return;
	each_port(z, s, fn, other);
	each_endpoint(z, s, fn, other);
}

/* ---- differences ---- */

static bool has_name(const struct zone *z, const struct service *s, const struct dns_name *name, struct found *ret)
{
	struct prefix p;

	*ret = (struct found){ .service = s };
	if (!s || !service_exists(z, s) || !prefix_of(name, &z->options.domain, &p))
		return false;
	service_find(name->wire, &p, ret);
	return ret->kind != FOUND_NOTHING;
}

static void put_changed(struct zone *z, const struct dns_name *name, const struct found *f, const struct service *old)
{
	struct shown now, was;
	struct found before;

	show(z, name, f, &now);
	if (has_name(z, old, name, &before)) {
		show(z, name, &before, &was);
		if (same(&now, &was))
			return;
	}
	put(z, &now);
}

static void drop_gone(struct zone *z, const struct dns_name *name, const struct found *f, const struct service *new)
{
	struct found after;

	(void)f;
	if (!has_name(z, new, name, &after))
		z->mirror.gone(z->mirror.ctx, name->wire, name->len);
}

void mirror_service(struct zone *z, const struct service *old, const struct service *new)
{
	const struct space *space = (new ? new : old)->space;

	if (!z->mirror.put || !space->exposed)
		return;
	old = old && old->present ? old : NULL;
	new = new && new->present ? new : NULL;
	if (old)
		each_name(z, old, drop_gone, new);
	if (new)
		each_name(z, new, put_changed, old);
}

/* ---- namespaces ---- */

static void show_empty(struct zone *z, const char *labels, size_t len, enum zone_name_kind kind)
{
	const struct dns_name *domain = &z->options.domain;
	struct zone_name n = { .kind = kind };
	uint8_t key[DNS_NAME_BYTES_MAX];

	if (len + domain->len > sizeof(key))
		return;
	memcpy(mempcpy(key, labels, len), domain->wire, domain->len);
	n.key = key;
	n.key_len = (uint8_t)(len + domain->len);
	z->mirror.put(z->mirror.ctx, &n);
}

static void show_space(struct zone *z, const struct space *s)
{
	uint8_t key[2 * DNS_NAME_BYTES_MAX];
	size_t n = 1 + (size_t)s->label[0];

	memcpy(mempcpy(key, s->label, n), "\3svc", 4);
	if (s->exposed) {
		show_empty(z, (const char *)key, n + 4, ZONE_NAME_SETS);
		return;
	}
	memcpy(key + n + 4, z->options.domain.wire, z->options.domain.len);
	z->mirror.gone(z->mirror.ctx, key, (uint8_t)(n + 4 + z->options.domain.len));
}

void mirror_space(struct zone *z, const struct space *s)
{
	if (!z->mirror.put)
		return;
	show_space(z, s);
	for (uint64_t at = 0, p; table_each(&z->services, &at, &p);) {
		const struct service *v = service_at(p);
		if (v->space == s && v->present)
			each_name(z, v, s->exposed ? put_changed : drop_gone, NULL);
	}
}

/* ---- public ---- */

void zone_set_mirror(struct zone *z, const struct zone_mirror *m)
{
	z->mirror = m ? *m : (struct zone_mirror){ 0 };
	if (!m)
		return;
	show_empty(z, "", 0, ZONE_NAME_USERSPACE);
	show_empty(z, "\3svc", 4, ZONE_NAME_SETS);
	show_empty(z, "\3pod", 4, ZONE_NAME_SETS);
	show_empty(z, "\13dns-version", 12, ZONE_NAME_USERSPACE);
	show_empty(z, "\3dns", 4, ZONE_NAME_USERSPACE);
	show_empty(z, "\2ns\3dns", 7, ZONE_NAME_USERSPACE);
	for (uint64_t at = 0, p; table_each(&z->spaces, &at, &p);)
		if (space_at(p)->exposed)
			mirror_space(z, space_at(p));
	z->changed = true;
	zone_tell_changes(z);
}

void zone_tell_changes(struct zone *z)
{
	const struct zone_denial d = { z->options.domain, z->options.ttl, z->serial };

	if (!z->changed)
		return;
	z->changed = false;
	if (z->mirror.changed)
		z->mirror.changed(z->mirror.ctx, &d);
}
