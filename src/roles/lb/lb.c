/* lb.c - the role: Services of type LoadBalancer get an address of the pool, and this machine answers for it.
 *
 * What happens to a connection to such an address is the data plane's business (roles/proxy). Words of
 * events are MetalLB's, which people know.
 */
#include "base/log.h"
#include "kube/client/informer.h"
#include "roles/lb/announce.h"
#include "roles/lb/assign.h"
#include "roles/role.h"

#include <linux/capability.h>

#define COMPONENT "portico-lb"

struct lb {
	struct role_ctx *role;
	struct informer *services;
	struct workqueue *queue;
	struct assign assign;
	struct announce announce;
	struct map pending; /* key → the reason last told in an event */
	char in_use_name[16];
};

static const struct kube_gvr services_gvr = { "", "v1", "services" };

static const char *in_use(void *ctx, uint32_t ip)
{
	struct lb *lb = ctx;

	return announce_in_use(ip, lb->in_use_name) ? lb->in_use_name : NULL;
}

static char *key_of(const json_t *svc)
{
	return xasprintf("%s/%s", jx_namespace(svc), jx_name(svc));
}

static const json_t *service_get(struct lb *lb, const char *key)
{
	struct str name, ns = str_cut(str_of(key), '/', &name);
	cleanup(freep) char *ns_text = str_dup(ns);

	return informer_get(lb->services, ns_text, name.ptr);
}

/* --- status --- */

struct writing {
	struct lb *lb;
	char *key;
};

static void status_written(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct writing *w = ctx;

	(void)obj;
	if (!e || status == 404) {
		workqueue_forget(w->lb->queue, w->key);
	} else {
		log_warn("object=Service/%s status: %s, trying again", w->key, e->message);
		workqueue_retry(w->lb->queue, w->key);
	}
	free(w->key);
	free(w);
}

/* ip 0: none. */
static void status_write(struct lb *lb, const char *key, const json_t *svc, uint32_t ip)
{
	cleanup(json_decrefp) json_t *patch = json_object();
	struct writing *w = xcalloc(1, sizeof(*w));
	char text[IP4_TEXT_BYTES];

	w->lb = lb;
	w->key = xstrdup(key);
	jx_set(patch, "status.loadBalancer.ingress",
	       ip ? json_pack("[{s:s,s:s}]", "ip", ip4_text(ip, text), "ipMode", "VIP") : json_null());
	kube_patch(lb->role->kube, services_gvr, jx_namespace(svc), jx_name(svc), "status", KUBE_MERGE_PATCH, patch,
		   status_written, w);
}

/* --- reconcile --- */

static bool queue_pending(void *ctx, const json_t *svc)
{
	struct lb *lb = ctx;
	cleanup(freep) char *key = key_of(svc);

	if (map_get_c(&lb->pending, key))
		workqueue_add(lb->queue, key);
	return true;
}

static void release(struct lb *lb, const char *key, uint32_t ip)
{
	char text[IP4_TEXT_BYTES];
	struct err e;

	log_info("object=Service/%s released=%s", key, ip4_text(ip, text));
	if (announce_del(ip, &e) < 0)
		log_warn("%s, skipping", e.message);
	informer_each(lb->services, NULL, queue_pending, lb);
}

static void pending_tell(struct lb *lb, const char *key, const json_t *svc, const char *why)
{
	const char *told = map_get_c(&lb->pending, key);

	if (c_eq(told, why))
		return;
	free(map_put_c(&lb->pending, key, xstrdup(why)));
	log_info("object=Service/%s pending: %s", key, why);
	kube_event(lb->role->kube, svc, COMPONENT, "Warning", "AllocationFailed", "Failed to allocate IP for \"%s\": %s",
		   key, why);
}

static void address_apply(struct lb *lb, const char *key, const json_t *svc, uint32_t ip)
{
	char text[IP4_TEXT_BYTES];
	struct err e;

	free(map_del_c(&lb->pending, key));
	/* Answered before anybody is told of it. */
	if (announce_add(&lb->announce, ip, &e) < 0) {
		role_set_error("object=Service/%s %s", key, e.message);
		workqueue_retry(lb->queue, key);
		return;
	}
	if (assign_status_ip(svc) == ip) {
		workqueue_forget(lb->queue, key);
		return;
	}
	log_info("object=Service/%s assigned=%s", key, ip4_text(ip, text));
	kube_event(lb->role->kube, svc, COMPONENT, "Normal", "IPAllocated", "Assigned IP [\"%s\"]", text);
	status_write(lb, key, svc, ip);
}

/* A status that we wrote must not outlive the reason for it. Another class's is not ours to touch. */
static void status_clear_if_stale(struct lb *lb, const char *key, const json_t *svc, bool pending)
{
	uint32_t ip = assign_status_ip(svc);

	if (ip && !jx_str(svc, "metadata.deletionTimestamp") && (pending || pool_has(&lb->assign.pool, ip)) &&
	    (pending || !c_eq(jx_str(svc, "spec.type"), "LoadBalancer")))
		status_write(lb, key, svc, 0);
}

static void reconcile(void *ctx, const char *key)
{
	struct lb *lb = ctx;
	const json_t *svc = service_get(lb, key);
	struct assign_result r;

	assign_decide(&lb->assign, key, svc, &r);
	if (r.released)
		release(lb, key, r.released);
	if (r.verdict == ASSIGN_HAS) {
		address_apply(lb, key, svc, r.ip);
		return;
	}
	if (r.verdict == ASSIGN_PENDING)
		pending_tell(lb, key, svc, r.why);
	else
		free(map_del_c(&lb->pending, key));
	status_clear_if_stale(lb, key, svc, r.verdict == ASSIGN_PENDING);
}

/* --- events --- */

/* Nothing is decided before all Services are known: their addresses are taken. */
static void queue_one(struct lb *lb, const json_t *svc)
{
	cleanup(freep) char *key = key_of(svc);

	if (informer_synced(lb->services))
		workqueue_add(lb->queue, key);
}

static void service_added(void *ctx, const json_t *svc)
{
	queue_one(ctx, svc);
}

static void service_updated(void *ctx, const json_t *old_svc, const json_t *svc)
{
	(void)old_svc;
	queue_one(ctx, svc);
}

static bool adopt_one(void *ctx, const json_t *svc)
{
	struct lb *lb = ctx;
	cleanup(freep) char *key = key_of(svc);

	assign_adopt(&lb->assign, key, svc);
	workqueue_add(lb->queue, key);
	return true;
}

static void leftover_drop(void *ctx, uint32_t ip)
{
	struct lb *lb = ctx;
	struct err e;

	if (!assign_owner(&lb->assign, ip) && announce_del(ip, &e) < 0)
		log_warn("%s, skipping", e.message);
}

static void services_synced(void *ctx)
{
	struct lb *lb = ctx;
	struct err e;

	informer_each(lb->services, NULL, adopt_one, lb);
	if (announce_each(leftover_drop, lb, &e) < 0)
		log_warn("%s, skipping", e.message);
	role_ready();
}

/* Of the many that are no LoadBalancers only a status that is still to be cleared counts. */
static void service_trim(json_t *obj)
{
	static const char *const root[] = { "kind", "apiVersion", "metadata", "spec", "status", NULL };
	static const char *const other_root[] = { "metadata", NULL };
	static const char *const metadata[] = { "name",	       "namespace",	    "uid", "resourceVersion",
						"annotations", "deletionTimestamp", NULL };
	static const char *const spec[] = { "type", "loadBalancerClass", "loadBalancerIP", NULL };

	jx_keep(obj, root);
	jx_keep(json_object_get(obj, "metadata"), metadata);
	jx_keep(json_object_get(obj, "spec"), spec);
	if (c_eq(jx_str(obj, "spec.type"), "LoadBalancer"))
		return;
	jx_del(obj, "metadata.annotations");
	if (!jx_at(obj, "status.loadBalancer.ingress"))
		jx_keep(obj, other_root);
}

static const struct informer_handlers handlers = {
	.added = service_added,
	.updated = service_updated,
	.deleted = service_added,
	.synced = services_synced,
	.transform = service_trim,
};

static int lb_start(struct role_ctx *ctx, struct err *e)
{
	static const struct informer_options all = { 0 };
	struct lb *lb = xcalloc(1, sizeof(*lb));
	struct pool pool = { 0 };

	ctx->state = lb;
	lb->role = ctx;
	lb->announce.arp_fd = -1;
	map_init(&lb->pending);
	int rc = pool_parse(ctx->config->lb_pool, &pool, e);
	assign_init(&lb->assign, &pool, in_use, lb);
	if (rc < 0 || announce_init(&lb->announce, e) < 0)
		return -1;
	lb->queue = workqueue_new(ctx->loop, reconcile, lb);
	lb->services = informer_new(ctx->kube, services_gvr, &all, &handlers, lb);
	return 0;
}

static void lb_stop(struct role_ctx *ctx)
{
	struct lb *lb = ctx->state;

	if (!lb)
		return;
	informer_free(lb->services);
	if (lb->queue)
		workqueue_free(lb->queue);
	announce_done(&lb->announce);
	assign_done(&lb->assign);
	map_done(&lb->pending, free);
	free(lb);
	ctx->state = NULL;
}

const struct role role_lb = {
	.name = "lb",
	.summary = "Gives Services of type LoadBalancer an address and answers for it.",
	.caps_keep = 1ull << CAP_NET_ADMIN | 1ull << CAP_NET_RAW,
	.start = lb_start,
	.stop = lb_stop,
};
