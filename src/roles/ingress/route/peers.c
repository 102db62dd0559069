/* Replicas of one controller, told apart by Leases: each renews its own, which also says the addresses it is reached at. The one
 * whose name comes first writes statuses, and what it writes are the addresses of all.
 *
 * No lock is taken and no clock is compared: a replica is there for as long as its Lease is seen to change. Two that see
 * different ones for a moment write the same list soon after; status.c bounds what they write meanwhile.
 */
#include "roles/ingress/route/sync_int.h"

#include "base/fnv.h"
#include "base/log.h"
#include "base/map.h"

#define RENEW_MS 5000
#define EXPIRE_MS 20000	   /* a replica that has not renewed for so long is gone: four renewals */
#define RETRY_MS 1000
#define RETRIES 5	   /* soon after one another: the namespace may be made at this moment */
#define FORGET_MS 600000   /* then its Lease is in the way of nobody but of who reads `kubectl get leases` */
#define ALONE_MS 3000	   /* Leases that cannot be listed must not keep ADDRESS empty */
#define PEERS_MAX 256	   /* replicas; the next one is not seen */
#define LABEL "portico.io/ingress-controller"
#define ADDRESSES "portico.io/addresses"

static const struct kube_gvr leases = { "coordination.k8s.io", "v1", "leases" };

struct peer {
	json_t *addresses;
	char *renewed;
	uint64_t seen_ms;
};

struct peers {
	struct loop *loop;
	struct kube_client *kube;
	char *ns, *name, *group, *selector, *holder;
	peers_fn *fn;
	void *ctx;
	json_t *own; /* NULL: not known */
	struct map others; /* name → struct peer */
	struct informer *informer;
	struct timer renew, alone;
	struct kube_call *call;
	unsigned failures; /* in a row */
	bool on_its_own, retired;
};

static void peer_free(void *v)
{
	struct peer *p = v;

	if (!p)
		return;
	json_decref(p->addresses);
	free(p->renewed);
	free(p);
}

/* ---- who is there ---- */

static bool alive(const struct peers *p, const struct peer *o)
{
	return loop_now_ms(p->loop) - o->seen_ms < EXPIRE_MS;
}

static const char *text_of(const json_t *address)
{
	return jx_str_or(address, "ip", jx_str_or(address, "hostname", ""));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(text_of(*(json_t *const *)a), text_of(*(json_t *const *)b));
}

/* Each once, in an order that every replica has. */
static json_t *sorted(json_t *list)
{
	size_t n = json_array_size(list), i;
	json_t *out = json_array(), *one;
	json_t **at = xcalloc(n + 1, sizeof(*at));

	json_array_foreach(list, i, one)
		at[i] = one;
	qsort(at, n, sizeof(*at), by_text);
	for (i = 0; i < n; i++)
		if (i == 0 || by_text(&at[i - 1], &at[i]) != 0)
			json_array_append(out, at[i]);
	free(at);
	json_decref(list);
	return out;
}

static void decide(struct peers *p)
{
	json_t *all = json_array();
	bool leads = true, known = p->own != NULL;

	if (p->retired || (!informer_synced(p->informer) && !p->on_its_own)) {
		json_decref(all);
		return;
	}
	if (p->own)
		json_array_extend(all, p->own);
	for (struct map_iter it = { 0 }; map_next(&p->others, &it);) {
		const struct peer *o = it.value;

		if (!alive(p, o))
			continue;
		leads = leads && strcmp(p->name, it.key.ptr) < 0;
		known = known || json_array_size(o->addresses) > 0;
		json_array_extend(all, o->addresses);
	}
	/* Alone there is nothing to put in order. */
	p->fn(p->ctx, leads, known ? (p->others.count ? sorted(all) : all) : NULL);
	if (!known)
		json_decref(all);
}

static void lease_set(void *ctx, const json_t *obj)
{
	struct peers *p = ctx;
	const char *name = jx_name(obj), *renewed = jx_str_or(obj, "spec.renewTime", "");
	struct peer *o;

	if (!name || c_eq(name, p->name) || !c_eq(jx_label(obj, LABEL), p->group))
		return;
	o = map_get_c(&p->others, name);
	if (!o) {
		if (p->others.count == PEERS_MAX)
			return;
		o = xcalloc(1, sizeof(*o));
		map_put_c(&p->others, name, o);
	}
	if (!c_eq(o->renewed, renewed))
		o->seen_ms = loop_now_ms(p->loop);
	free(o->renewed);
	o->renewed = xstrdup(renewed);
	const char *addresses = jx_annotation(obj, ADDRESSES);
	json_decref(o->addresses);
	o->addresses = status_addresses(addresses ? addresses : "");
	decide(p);
}

static void lease_deleted(void *ctx, const json_t *obj)
{
	struct peers *p = ctx;

	peer_free(map_del_c(&p->others, jx_name(obj)));
	decide(p);
}

static void lease_synced(void *ctx)
{
	struct peers *p = ctx;

	p->on_its_own = false;
	decide(p);
}

static void on_alone(struct timer *t)
{
	struct peers *p = t->ctx;

	if (informer_synced(p->informer))
		return;
	if (!informer_error(p->informer)) { /* still under way: nothing else could be written, either */
		timer_start(p->loop, t, ALONE_MS);
		return;
	}
	log_warn("Leases of %s cannot be read (%s): other replicas are not seen, and each writes its own address into statuses", p->ns,
		 informer_error(p->informer));
	p->on_its_own = true;
	decide(p);
}

/* Without an API server nobody can renew: that says nothing about them. */
static void keep_all(struct peers *p)
{
	for (struct map_iter it = { 0 }; map_next(&p->others, &it);)
		((struct peer *)it.value)->seen_ms = loop_now_ms(p->loop);
}

/* What crashed left its Lease behind. */
static void forget(struct peers *p)
{
	uint64_t now = loop_now_ms(p->loop);

	for (struct map_iter it = { 0 }; map_next(&p->others, &it);)
		if (now - ((struct peer *)it.value)->seen_ms > FORGET_MS) {
			kube_delete(p->kube, leases, p->ns, it.key.ptr, NULL, NULL, NULL);
			return; /* the next one with the next renewal */
		}
}

/* ---- our own ---- */

static char *addresses_text(const json_t *list)
{
	struct buf b;
	json_t *one;
	size_t i;

	buf_init(&b, 1 << 16);
	json_array_foreach(list, i, one)
		buf_printf(&b, "%s%s", i ? "," : "", text_of(one));
	char *text = str_dup((struct str){ b.ptr, b.overflow ? 0 : b.len });
	buf_done(&b);
	return text;
}

static json_t *lease_object(const struct peers *p)
{
	cleanup(freep) char *addresses = addresses_text(p->own);
	char now[TIME_TEXT_BYTES];

	time_text_micro(wall_now_ms() * 1000, now);
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}, s:{s:s}}, s:{s:s, s:i, s:s}}", "apiVersion", "coordination.k8s.io/v1", "kind",
			 "Lease", "metadata", "name", p->name, "namespace", p->ns, "labels", LABEL, p->group, "annotations", ADDRESSES,
			 addresses, "spec", "holderIdentity", p->holder, "leaseDurationSeconds", EXPIRE_MS / 1000, "renewTime", now);
}

static void told(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct peers *p = ctx;

	(void)status, (void)obj;
	p->call = NULL;
	p->failures = e ? p->failures + 1 : 0;
	if (p->failures == RETRIES)
		log_warn("Lease %s/%s cannot be written (%s): other replicas do not see this one", p->ns, p->name, e->message);
	else if (e && p->failures < RETRIES)
		timer_start(p->loop, &p->renew, RETRY_MS);
}

static void renewed(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct peers *p = ctx;

	if (status != 404) {
		told(ctx, status, obj, e);
		return;
	}
	cleanup(json_decrefp) json_t *lease = lease_object(p);
	cleanup(freep) char *path = kube_path(leases, p->ns, NULL, NULL);
	p->call = kube_request(p->kube, "POST", path, KUBE_JSON, lease, told, p);
}

static void renew(struct peers *p)
{
	cleanup(json_decrefp) json_t *lease = lease_object(p);
	cleanup(freep) char *path = kube_path(leases, p->ns, p->name, NULL);

	kube_cancel(p->call);
	p->call = kube_request(p->kube, "PATCH", path, KUBE_MERGE_PATCH, lease, renewed, p);
}

static void on_renew(struct timer *t)
{
	struct peers *p = t->ctx;

	if (!p->call)
		renew(p);
	if (!p->on_its_own && informer_error(p->informer)) {
		keep_all(p);
	} else {
		decide(p);
		forget(p);
	}
	timer_start(p->loop, &p->renew, RENEW_MS);
}

void peers_set(struct peers *p, json_t *own)
{
	bool news = !p->own || !own || !json_equal(p->own, own);

	json_decref(p->own);
	p->own = own;
	if (news && !p->retired)
		timer_start(p->loop, &p->renew, 0);
}

bool peers_retire(struct peers *p, kube_done_fn *done, void *ctx)
{
	bool others = false;

	p->retired = true;
	timer_stop(&p->renew);
	kube_cancel(p->call);
	p->call = NULL;
	for (struct map_iter it = { 0 }; map_next(&p->others, &it);)
		others = others || alive(p, it.value);
	kube_delete(p->kube, leases, p->ns, p->name, NULL, done, ctx);
	return others;
}

/* ---- life ---- */

struct peers *peers_new(struct loop *l, struct kube_client *k, const struct peers_options *o, peers_fn *fn, void *ctx)
{
	static const struct informer_handlers handlers = { .put = lease_set, .deleted = lease_deleted, .synced = lease_synced };
	struct peers *p = xcalloc(1, sizeof(*p));
	struct str name, ns = str_cut(str_of(o->beside), '/', &name);

	*p = (struct peers){ .loop = l, .kube = k, .fn = fn, .ctx = ctx, .ns = str_dup(ns), .holder = xstrdup(o->holder) };
	p->group = xasprintf("%016llx", (unsigned long long)fnv1a_64_text(o->group));
	cleanup(freep) char *self = xasprintf("%s %s", o->group, o->self);
	p->name = xasprintf("portico-ingress-%016llx", (unsigned long long)fnv1a_64_text(self));
	p->selector = xasprintf(LABEL "=%s", p->group);
	map_init(&p->others);
	p->renew = (struct timer){ .fire = on_renew, .ctx = p };
	p->alone = (struct timer){ .fire = on_alone, .ctx = p };
	p->informer = informer_new(k, leases, &(struct informer_options){ .ns = p->ns, .label_selector = p->selector, .handlers_only = true },
				   &handlers, p);
	timer_start(l, &p->alone, ALONE_MS);
	return p;
}

void peers_free(struct peers *p)
{
	if (!p)
		return;
	timer_stop(&p->renew);
	timer_stop(&p->alone);
	kube_cancel(p->call);
	informer_free(p->informer);
	map_done(&p->others, peer_free);
	json_decref(p->own);
	free(p->ns), free(p->name), free(p->group), free(p->selector), free(p->holder);
	free(p);
}
