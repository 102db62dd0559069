#include "roles/proxy/tables_int.h"

#include <netinet/in.h>

#define PUSH(at, n, ...)                                       \
	do {                                                   \
		(at) = tables_grow((at), (n), sizeof(*(at)));  \
		(at)[(n)++] = (__typeof__(*(at)))__VA_ARGS__;  \
	} while (0)

void *tables_grow(void *at, size_t n, size_t size)
{
	return (n & (n - 1)) == 0 ? xrealloc(at, MAX(n * 2, 1) * size) : at;
}

static bool id_is_claimed(const struct tables *t, uint32_t id)
{
	return t->id_claimed[id / 8] & 1u << id % 8;
}

void tables_id_claim(struct tables *t, uint32_t id)
{
	t->id_claimed[id / 8] |= 1u << id % 8;
}

static void id_give(struct tables_flush *f, uint32_t id)
{
	f->t->id_claimed[id / 8] &= ~(1u << id % 8);
	ranges_give(&f->t->ids, id, 1, f->now_ms);
}

/* The id that a frontend of this port had before a restart, so that affinity goes on. */
static bool id_adopt(struct tables *t, const struct plan *p, size_t port, uint32_t *ret_id)
{
	if (!t->adopting)
		return false;
	for (size_t i = 0; i < p->n_frontends; i++) {
		const struct tables_frontend *old;

		if (p->frontends[i].port != port || p->frontends[i].flags & SVC_ADDRESS)
			continue;
		old = map_get(&t->adopted, tables_key(&p->frontends[i].key));
		if (!old || old->value.id >= DP_SERVICES_MAX || id_is_claimed(t, old->value.id))
			continue;
		*ret_id = old->value.id;
		return true;
	}
	return false;
}

static int ids_assign(struct tables_flush *f, struct tables_service *s, const struct plan *p)
{
	s->ids = xrealloc(s->ids, MAX(MAX(p->n_ports, s->n_ids), 1) * sizeof(*s->ids));
	for (; s->n_ids < p->n_ports; s->n_ids++) {
		uint32_t id;

		if (!id_adopt(f->t, p, s->n_ids, &id) && ranges_take(&f->t->ids, 1, f->now_ms, &id) < 0)
			return -1;
		tables_id_claim(f->t, id);
		s->ids[s->n_ids] = id;
	}
	return 0;
}

/* An old list with the same content is kept where it is; the others go to fresh slots. */
static int list_place(struct tables_flush *f, struct tables_service *s, const struct plan_list *l, uint32_t *ret_first)
{
	for (size_t i = 0; i < s->n_lists; i++) {
		struct applied_list *old = &s->lists[i];

		if (!old->l.at || old->l.n != l->n || old->l.proto != l->proto ||
		    !proxy_plan_list_eq(old->l.at, l->at, l->n))
			continue;
		*ret_first = old->first;
		free(old->l.at); /* taken over: not released later */
		old->l.at = NULL;
		return 0;
	}
	if (ranges_take(&f->t->ranges, l->n, f->now_ms, ret_first) < 0)
		return -1;
	for (size_t i = 0; i < l->n; i++)
		PUSH(f->c->backends, f->c->n_backends, { .at = *ret_first + i, .value = l->at[i] });
	return 0;
}

static bool list_has(const struct applied_list *lists, size_t n, const struct svc_backend *b, uint8_t proto)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; lists[i].l.proto == proto && j < lists[i].l.n; j++)
			if (lists[i].l.at[j].addr == b->addr && lists[i].l.at[j].port == b->port)
				return true;
	return false;
}

static void list_release(struct tables_flush *f, struct applied_list *old, const struct applied_list *now, size_t n_now)
{
	if (!old->l.at)
		return;
	for (size_t i = 0; old->l.proto == IPPROTO_UDP && i < old->l.n; i++)
		if (!list_has(now, n_now, &old->l.at[i], IPPROTO_UDP))
			PUSH(f->c->gone, f->c->n_gone, old->l.at[i]);
	ranges_give(&f->t->ranges, old->first, old->l.n, f->now_ms);
	free(old->l.at);
}

/* Takes the plan's lists over; -1 when the maps are full (what was placed so far stays consistent). */
static int lists_apply(struct tables_flush *f, struct tables_service *s, struct plan *p)
{
	struct applied_list *lists = xcalloc(MAX(p->n_lists, 1), sizeof(*lists));
	size_t n = 0;
	int rc = 0;

	for (; n < p->n_lists; n++) {
		if (p->lists[n].n > 0 && list_place(f, s, &p->lists[n], &lists[n].first) < 0) {
			rc = -1;
			break;
		}
		lists[n].l = p->lists[n];
		p->lists[n] = (struct plan_list){ 0 };
	}
	for (size_t i = 0; i < s->n_lists; i++)
		list_release(f, &s->lists[i], lists, n);
	free(s->lists);
	s->lists = lists;
	s->n_lists = n;
	return rc;
}

static struct svc_value value_of(const struct tables_service *s, const struct plan *p, const struct plan_frontend *pf)
{
	const struct applied_list *l = pf->flags & SVC_ADDRESS ? NULL : &s->lists[pf->list];

	return (struct svc_value){
		.id = l ? s->ids[pf->port] : 0,
		.first = l && l->l.n ? l->first : 0,
		.affinity_s = l ? p->affinity_s : 0,
		.count = l ? l->l.n : 0,
		.flags = pf->flags,
	};
}

static const struct tables_frontend *frontend_find(const struct tables_frontend *at, size_t n, const struct svc_key *k)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp(&at[i].key, k, sizeof(*k)) == 0)
			return &at[i];
	return NULL;
}

static void frontend_put(struct tables_flush *f, const struct tables_frontend *fe)
{
	if (f->removed.count && map_del(&f->removed, tables_key(&fe->key))) {
		struct tables_changes *c = f->c;

		for (size_t i = 0; i < c->n_dels; i++)
			if (memcmp(&c->dels[i], &fe->key, sizeof(fe->key)) == 0)
				c->dels[i--] = c->dels[--c->n_dels];
	}
	PUSH(f->c->puts, f->c->n_puts, *fe);
}

static void frontend_del(struct tables_flush *f, const struct svc_key *k)
{
	map_del(&f->t->owners, tables_key(k));
	map_put(&f->removed, tables_key(k), f);
	PUSH(f->c->dels, f->c->n_dels, *k);
}

/* False when another service has it: the older claim stands until it is given up. */
static bool frontend_own(struct tables_flush *f, struct tables_service *s, const struct svc_key *k)
{
	struct tables_service *owner = map_get(&f->t->owners, tables_key(k));

	if (owner && owner != s) {
		s->contested = true;
		return false;
	}
	if (!owner)
		map_put(&f->t->owners, tables_key(k), s);
	free(map_del(&f->t->adopted, tables_key(k)));
	return true;
}

static void frontends_apply(struct tables_flush *f, struct tables_service *s, const struct plan *p)
{
	struct tables_frontend *now = xcalloc(MAX(p->n_frontends, 1), sizeof(*now));
	size_t n = 0;

	s->contested = false;
	for (size_t i = 0; i < p->n_frontends; i++) {
		const struct plan_frontend *pf = &p->frontends[i];
		const struct tables_frontend *old = frontend_find(s->frontends, s->n_frontends, &pf->key);

		/* The same address named twice (an external IP that is the balancer's too): once. */
		if (frontend_find(now, n, &pf->key) || !frontend_own(f, s, &pf->key))
			continue;
		now[n] = (struct tables_frontend){ .key = pf->key, .value = value_of(s, p, pf) };
		if (!old || memcmp(&old->value, &now[n].value, sizeof(old->value)) != 0)
			frontend_put(f, &now[n]);
		n++;
	}
	for (size_t i = 0; i < s->n_frontends; i++)
		if (!frontend_find(now, n, &s->frontends[i].key))
			frontend_del(f, &s->frontends[i].key);
	free(s->frontends);
	s->frontends = now;
	s->n_frontends = n;
}

static struct svc_source source_of(uint32_t id, const struct ip_range *r)
{
	return (struct svc_source){ .prefixlen = 32 + r->prefix_len, .id = id, .addr = r->addr };
}

static bool range_in(const struct ip_range *at, size_t n, const struct ip_range *r)
{
	for (size_t i = 0; i < n; i++)
		if (at[i].addr == r->addr && at[i].prefix_len == r->prefix_len)
			return true;
	return false;
}

/* `n_ids_before`: ports that had sources in the maps already. */
static void sources_apply(struct tables_flush *f, struct tables_service *s, struct plan *p, size_t n_ids_before)
{
	for (size_t id = 0; id < MAX(s->n_ids, n_ids_before); id++) {
		for (size_t i = 0; id < p->n_ports && i < p->n_sources; i++)
			if (id >= n_ids_before || !range_in(s->sources, s->n_sources, &p->sources[i]))
				PUSH(f->c->source_puts, f->c->n_source_puts, source_of(s->ids[id], &p->sources[i]));
		for (size_t i = 0; id < n_ids_before && i < s->n_sources; i++)
			if (id >= p->n_ports || !range_in(p->sources, p->n_sources, &s->sources[i]))
				PUSH(f->c->source_dels, f->c->n_source_dels, source_of(s->ids[id], &s->sources[i]));
	}
	free(s->sources);
	s->sources = TAKE_PTR(p->sources);
	s->n_sources = p->n_sources;
}

void tables_sync_service(struct tables_flush *f, struct tables_service *s)
{
	size_t n_ids_before = s->n_ids;
	struct plan p;

	proxy_plan_build(s->service, (const struct slice *const *)s->slices, s->n_slices, &p);
	if (ids_assign(f, s, &p) < 0 || lists_apply(f, s, &p) < 0) {
		/* Frontends may point at lists that are gone: better none than wrong ones. */
		f->t->refused++;
		p.n_frontends = 0;
	}
	frontends_apply(f, s, &p);
	sources_apply(f, s, &p, n_ids_before);
	for (; s->n_ids > p.n_ports; s->n_ids--)
		id_give(f, s->ids[s->n_ids - 1]);
	proxy_plan_done(&p);
}
