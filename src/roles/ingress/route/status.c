#include "base/log.h"
#include "base/map.h"
#include "roles/ingress/route/sync_int.h"

#include <arpa/inet.h>

#define IN_FLIGHT_MAX 16	/* patches at once: ten thousand Ingresses must not drown the API server */
#define RETIRE_MS 3000		/* as long as an orderly exit waits for them */
#define AGAIN_MS 10000		/* a status that somebody else writes, too, is not written more often: two of them would never end */

static const struct kube_gvr ingresses = { "networking.k8s.io", "v1", "ingresses" };

struct status {
	struct loop *loop;
	struct kube_client *kube;
	struct model *model;
	json_t *want;	     /* NULL: not known */
	uint64_t want_hash;
	struct peers *peers;
	bool leads, told;    /* of the replicas, this one writes; whether that is known yet */
	struct map queued;   /* "ns/name" to its struct waiting */
	struct list waiting; /* the same, in order */
	struct map written;  /* "ns/name": since `again` was started */
	struct timer again;
	unsigned contested;  /* how often in a row somebody else wrote meanwhile */
	bool contest;	     /* since then */
	struct list patches; /* under way */
	size_t n_patches;
	bool retiring;
	uint64_t ours_hash;  /* when retiring: what we wrote before */
	void (*done)(void *arg);
	void *arg;
	struct timer deadline;
	struct defer pump;
};
struct waiting {
	struct list link;
	char key[];
};
struct patch {
	struct list link;
	struct status *owner; /* NULL: nobody listens any more */
};

static void pump(struct defer *d);

static void give_up(struct timer *t)
{
	struct status *s = t->ctx;
	void (*fn)(void *arg) = s->done;

	s->done = NULL;
	if (fn)
		fn(s->arg);
}

static void written_clear(struct status *s)
{
	map_done(&s->written, NULL);
	map_init(&s->written);
	timer_stop(&s->again);
	s->contested = s->contest ? s->contested + 1 : 0;
	s->contest = false;
}

static void look_again(struct timer *t)
{
	written_clear(t->ctx);
	status_check_all(t->ctx);
}

static void replicas(void *ctx, bool leads, json_t *addresses);

struct status *status_new(struct loop *l, struct kube_client *k, struct model *m, const struct peers_options *o)
{
	struct status *s = xcalloc(1, sizeof(*s));

	*s = (struct status){ .loop = l, .kube = k, .model = m, .pump.run = pump };
	s->deadline = (struct timer){ .fire = give_up, .ctx = s };
	s->again = (struct timer){ .fire = look_again, .ctx = s };
	map_init(&s->queued);
	map_init(&s->written);
	list_init(&s->waiting);
	list_init(&s->patches);
	s->peers = peers_new(l, k, o, replicas, s);
	return s;
}

void status_free(struct status *s)
{
	if (!s)
		return;
	list_for(at, tmp, &s->patches) {
		list_del(at);
		list_entry(at, struct patch, link)->owner = NULL;
	}
	peers_free(s->peers);
	timer_stop(&s->deadline);
	timer_stop(&s->again);
	defer_cancel(&s->pump);
	map_done(&s->queued, free);
	map_done(&s->written, NULL);
	json_decref(s->want);
	free(s);
}

/* ---- addresses ---- */

static void add_address(json_t *list, const char *text)
{
	unsigned char ip[16];
	bool is_ip = inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1;

	json_array_append_new(list, json_pack("{s:s}", is_ip ? "ip" : "hostname", text));
}

json_t *status_addresses(const char *list)
{
	json_t *all = json_array();
	struct str rest = str_of(list), one;

	while (rest.ptr) {
		one = str_trim(str_cut(rest, ',', &rest));
		if (!one.len)
			continue;
		cleanup(freep) char *text = str_dup(one);
		add_address(all, text);
	}
	return all;
}

json_t *status_of_service(const json_t *service)
{
	const char *type = jx_str_or(service, "spec.type", "ClusterIP"), *ip = jx_str(service, "spec.clusterIP");
	json_t *all = json_array(), *one;
	size_t i;

	if (strcmp(type, "ExternalName") == 0) {
		add_address(all, jx_str_or(service, "spec.externalName", ""));
		return all;
	}
	json_array_foreach(jx_at(service, "status.loadBalancer.ingress"), i, one) {
		const char *text = jx_str(one, "ip") ? jx_str(one, "ip") : jx_str(one, "hostname");
		if (text)
			add_address(all, text);
	}
	json_array_foreach(jx_at(service, "spec.externalIPs"), i, one)
		if (json_is_string(one))
			add_address(all, json_string_value(one));
	if (json_array_size(all) == 0 && strcmp(type, "LoadBalancer") != 0 && ip && strcmp(ip, "None") != 0)
		add_address(all, ip);
	return all;
}

/* ---- writing ---- */

static bool wrong(const struct status *s, const struct model_ingress *i)
{
	if (!i->ours || !s->want || !s->leads || i->status == s->want_hash)
		return false;
	return !s->retiring || i->status == s->ours_hash;
}

static void patched(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct patch *p = ctx;
	struct status *s = p->owner;

	(void)status, (void)obj, (void)e; /* what failed is tried again with the next look at all of them */
	if (s) {
		list_del(&p->link);
		s->n_patches--;
		loop_defer(s->loop, &s->pump);
	}
	free(p);
}

static struct patch *patch_new(struct status *s)
{
	struct patch *p = xcalloc(1, sizeof(*p));

	p->owner = s;
	list_append(&s->patches, &p->link);
	s->n_patches++;
	return p;
}

static void patch(struct status *s, const struct model_ingress *i)
{
	struct patch *p = patch_new(s);
	json_t *list = json_array_size(s->want) ? json_incref(s->want) : json_null();
	json_t *body = json_pack("{s:{s:{s:o}}}", "status", "loadBalancer", "ingress", list);

	kube_patch(s->kube, ingresses, i->ns, i->name, "status", KUBE_MERGE_PATCH, body, patched, p);
	json_decref(body);
}

static void write_one(struct status *s, const char *key)
{
	struct str name, ns = str_cut(str_of(key), '/', &name);
	cleanup(freep) char *ns_text = str_dup(ns);
	const struct model_ingress *i = model_get_ingress(s->model, ns_text, name.ptr);

	if (!i || !wrong(s, i))
		return;
	map_put_c(&s->written, key, s);
	if (!timer_active(&s->again) && !s->retiring)
		timer_start(s->loop, &s->again, AGAIN_MS);
	patch(s, i);
}

static void pump(struct defer *d)
{
	struct status *s = container_of(d, struct status, pump);

	while (s->n_patches < IN_FLIGHT_MAX && s->queued.count) {
		cleanup(freep) struct waiting *first = list_entry(s->waiting.next, struct waiting, link);

		list_del(&first->link);
		map_del_c(&s->queued, first->key);
		write_one(s, first->key);
	}
	if (s->retiring && s->n_patches == 0 && s->queued.count == 0)
		timer_start(s->loop, &s->deadline, 0);
}

static void queue(struct status *s, const char *key)
{
	struct waiting *w = xmalloc(sizeof(*w) + strlen(key) + 1);

	strcpy(w->key, key);
	list_append(&s->waiting, &w->link);
	map_put_c(&s->queued, key, w);
}

void status_check(struct status *s, const char *ns, const char *name)
{
	const struct model_ingress *i = model_get_ingress(s->model, ns, name);

	if (!i || !wrong(s, i))
		return;
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);
	if (map_get_c(&s->written, key)) {
		/* Once is a replica that came or went. */
		if (s->n_patches == 0 && !s->contest && s->contested == 2)
			log_warn("object=Ingress/%s its status is written by somebody else, too", key);
		s->contest = s->contest || s->n_patches == 0;
		return;
	}
	if (!map_get_c(&s->queued, key))
		queue(s, key);
	loop_defer(s->loop, &s->pump);
}

static void check_one(void *ctx, const struct model_ingress *i)
{
	struct status *s = ctx;

	if (wrong(s, i))
		status_check(s, i->ns, i->name);
}

void status_check_all(struct status *s)
{
	model_each_ingress(s->model, check_one, s);
}

static void want(struct status *s, json_t *addresses)
{
	uint64_t hash = model_status_hash(addresses);
	bool same = s->want && hash == s->want_hash;

	json_decref(s->want);
	s->want = addresses;
	s->want_hash = hash;
	if (same)
		return;
	written_clear(s);
	status_check_all(s);
}

static void replicas(void *ctx, bool leads, json_t *addresses)
{
	struct status *s = ctx;
	bool began = leads && !s->leads;

	s->leads = leads;
	s->told = true;
	want(s, addresses);
	if (began)
		status_check_all(s);
}

bool status_follows(const struct status *s)
{
	return s->told && !s->leads;
}

void status_set(struct status *s, json_t *addresses)
{
	peers_set(s->peers, addresses);
}

void status_retire(struct status *s, void (*done)(void *arg), void *arg)
{
	s->done = done;
	s->arg = arg;
	s->ours_hash = s->want_hash;
	s->retiring = true;
	timer_start(s->loop, &s->deadline, RETIRE_MS);
	bool others = peers_retire(s->peers, patched, patch_new(s));
	if (!others && s->want && s->ours_hash != model_status_hash(NULL))
		want(s, json_array());
	loop_defer(s->loop, &s->pump);
}
