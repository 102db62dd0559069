#include "roles/dns/zone/cluster.h"

#include "kube/client/informer.h"
#include "roles/dns/zone/pods.h"

#include <netinet/in.h>

static const struct kube_gvr services_gvr = { "", "v1", "services" }, namespaces_gvr = { "", "v1", "namespaces" },
			     pods_gvr = { "", "v1", "pods" }, slices_gvr = { "discovery.k8s.io", "v1", "endpointslices" };

/* A zone and what it is made from. Selectors are the API server's to apply: what they leave out is not even sent. */
struct source {
	struct list link;
	struct cluster *cluster;
	struct zone *zone;
	unsigned refs;
	struct informer *services, *slices, *namespaces, *pods; /* slices, pods: NULL when not wanted */
	struct defer turn_ended;
};

struct cluster {
	struct loop *loop;
	struct kube_client *kube;
	struct quiesce *quiesce;
	struct list sources;
	struct pods pods; /* for cluster_pod_namespace */
	struct informer *pods_informer;
	void (*synced)(void *ctx);
	void *synced_ctx;
	bool told; /* synced has run */
	struct timer tell;
	void (*sliced)(void *ctx, const json_t *slice, bool headless);
	void *sliced_ctx;
};

/* ---- from informers into the zone ---- */

static void changed(struct source *s)
{
	loop_defer(s->cluster->loop, &s->turn_ended);
}

static void turn_ended(struct defer *d)
{
	zone_tell_changes(container_of(d, struct source, turn_ended)->zone);
}

#define HANDLERS(what)                                                          \
	static void what##_put(void *ctx, const json_t *obj)                    \
	{                                                                       \
		struct source *s = ctx;                                         \
		zone_put_##what(s->zone, obj);                                  \
		changed(s);                                                     \
	}                                                                       \
	static void what##_deleted(void *ctx, const json_t *obj)                \
	{                                                                       \
		struct source *s = ctx;                                         \
		zone_del_##what(s->zone, obj);                                  \
		changed(s);                                                     \
	}
HANDLERS(service)
HANDLERS(namespace)
HANDLERS(pod)

static void slice_put(void *ctx, const json_t *obj)
{
	struct source *s = ctx;

	zone_put_slice(s->zone, obj);
	changed(s);
	if (s->cluster->sliced && zone_synced(s->zone))
		s->cluster->sliced(s->cluster->sliced_ctx, obj, zone_slice_headless(s->zone, obj));
}

static void slice_deleted(void *ctx, const json_t *obj)
{
	struct source *s = ctx;

	zone_del_slice(s->zone, obj);
	changed(s);
}

/* ---- all is there ---- */

static bool listed(const struct informer *i)
{
	return !i || informer_synced(i);
}

static void tell_synced(struct timer *t)
{
	struct cluster *c = container_of(t, struct cluster, tell);

	if (c->told || !c->synced || !listed(c->pods_informer))
		return;
	list_for(l, tmp, &c->sources)
		if (!zone_synced(list_entry(l, struct source, link)->zone))
			return;
	c->told = true;
	c->synced(c->synced_ctx);
}

/* Not within the handler: who is told may start and stop informers. */
static void look_if_synced(struct cluster *c)
{
	if (!c->told)
		timer_start(c->loop, &c->tell, 0);
}

static void source_listed(void *ctx)
{
	struct source *s = ctx;

	if (zone_synced(s->zone) || !listed(s->services) || !listed(s->slices) || !listed(s->namespaces) || !listed(s->pods))
		return;
	zone_set_synced(s->zone);
	look_if_synced(s->cluster);
}

static const struct informer_handlers service_handlers = { .put = service_put, .deleted = service_deleted, .synced = source_listed },
				      slice_handlers = { .put = slice_put, .deleted = slice_deleted, .synced = source_listed },
				      namespace_handlers = { .put = namespace_put, .deleted = namespace_deleted, .synced = source_listed },
				      pod_handlers = { .put = pod_put, .deleted = pod_deleted, .synced = source_listed };

/* ---- what is never looked at ---- */

#define ALL_METADATA INFORMER_UNREAD, { STR("metadata"), STR("ownerReferences") }, { STR("metadata"), STR("finalizers") }
#define WHOLE(name) { STR(""), STR(name) }, { STR("object"), STR(name) }

/* A slice's annotations say when its change began. */
static const struct jx_unread slice_unread[] = { ALL_METADATA, INFORMER_UNREAD_END };
static const struct jx_unread namespace_unread[] = { ALL_METADATA, { STR("metadata"), STR("annotations") }, WHOLE("spec"),
						     WHOLE("status"), INFORMER_UNREAD_END };
static const struct jx_unread service_unread[] = { ALL_METADATA, { STR("metadata"), STR("annotations") },
						   { STR("spec"), STR("selector") }, WHOLE("status"), INFORMER_UNREAD_END };
static const struct jx_unread pod_unread[] = { ALL_METADATA,
					       { STR("metadata"), STR("annotations") },
					       { STR("spec"), STR("containers") },
					       { STR("spec"), STR("initContainers") },
					       { STR("spec"), STR("volumes") },
					       { STR("spec"), STR("affinity") },
					       { STR("spec"), STR("tolerations") },
					       { STR("status"), STR("conditions") },
					       { STR("status"), STR("containerStatuses") },
					       { STR("status"), STR("initContainerStatuses") },
					       INFORMER_UNREAD_END };

static struct informer *watch(struct cluster *c, struct kube_gvr gvr, const struct informer_options *o, const struct jx_unread *unread,
			      const struct informer_handlers *h, void *ctx)
{
	struct informer_options own = *o;

	own.handlers_only = true;
	own.unread = unread;
	return informer_new(c->kube, gvr, &own, h, ctx);
}

/* ---- zones ---- */

static struct source *source_new(struct cluster *c, const struct zone_options *o)
{
	struct source *s = xcalloc(1, sizeof(*s));
	const struct informer_options all = { 0 };
	struct informer_options own = { 0 };

	s->cluster = c;
	s->zone = zone_new(o, (uint32_t)(wall_now_ms() / 1000), c->quiesce);
	s->turn_ended.run = turn_ended;
	o = zone_options(s->zone); /* informers borrow its texts */
	if (o->namespaces && o->namespaces[0] && !o->namespaces[1])
		own.ns = o->namespaces[0];
	own.label_selector = o->labels;
	s->namespaces = watch(c, namespaces_gvr, &all, namespace_unread, &namespace_handlers, s);
	s->services = watch(c, services_gvr, &own, service_unread, &service_handlers, s);
	if (!o->no_endpoints)
		s->slices = watch(c, slices_gvr, &own, slice_unread, &slice_handlers, s);
	if (o->pods == ZONE_PODS_VERIFIED)
		s->pods = watch(c, pods_gvr, &own, pod_unread, &pod_handlers, s);
	list_append(&c->sources, &s->link);
	return s;
}

static void zone_gone(void *zone)
{
	zone_free(zone);
}

static void source_free(struct source *s)
{
	informer_free(s->services);
	informer_free(s->slices);
	informer_free(s->namespaces);
	informer_free(s->pods);
	defer_cancel(&s->turn_ended);
	list_del(&s->link);
	quiesce_retire(s->cluster->quiesce, zone_gone, s->zone);
	free(s);
}

struct zone *cluster_zone(struct cluster *c, const struct zone_options *o)
{
	list_for(l, tmp, &c->sources) {
		struct source *s = list_entry(l, struct source, link);
		if (zone_options_equal(zone_options(s->zone), o)) {
			s->refs++;
			return s->zone;
		}
	}
	struct source *s = source_new(c, o);
	s->refs = 1;
	return s->zone;
}

void cluster_zone_put(struct cluster *c, struct zone *z)
{
	list_for(l, tmp, &c->sources) {
		struct source *s = list_entry(l, struct source, link);
		if (s->zone != z || --s->refs)
			continue;
		source_free(s);
		look_if_synced(c);
		return;
	}
}

/* ---- pods by address ---- */

static void any_pod_put(void *ctx, const json_t *obj)
{
	struct cluster *c = ctx;

	pods_put(&c->pods, obj);
}

static void any_pod_deleted(void *ctx, const json_t *obj)
{
	struct cluster *c = ctx;

	pods_del(&c->pods, obj);
}

static void any_pods_listed(void *ctx)
{
	look_if_synced(ctx);
}

void cluster_want_pods(struct cluster *c)
{
	static const struct informer_options all = { 0 };
	static const struct informer_handlers handlers = { .put = any_pod_put, .deleted = any_pod_deleted, .synced = any_pods_listed };

	if (!c->pods_informer)
		c->pods_informer = watch(c, pods_gvr, &all, pod_unread, &handlers, c);
}

static struct ip ip_of(const struct addr *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&a->ss;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&a->ss;
	struct ip ip = { 0 };

	if (a->ss.ss_family == AF_INET) {
		ip.len = 4;
		memcpy(ip.bytes, &v4->sin_addr, 4);
	} else if (a->ss.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		ip.len = 4;
		memcpy(ip.bytes, v6->sin6_addr.s6_addr + 12, 4);
	} else if (a->ss.ss_family == AF_INET6) {
		ip.len = 16;
		memcpy(ip.bytes, &v6->sin6_addr, 16);
	}
	return ip;
}

bool cluster_pod_namespace(const struct cluster *c, const struct addr *a, char *out, size_t size)
{
	struct ip ip = ip_of(a);
	struct pods_search s = pods_search(&c->pods, &ip);

	for (const struct pod *p; ip.len && (p = pods_next(&s));) {
		if (p->host_network || p->bytes[0] >= size)
			continue;
		memcpy(out, p->bytes + 1, p->bytes[0]);
		out[p->bytes[0]] = '\0';
		return true;
	}
	return false;
}

/* ---- life ---- */

struct cluster *cluster_new(struct loop *l, struct kube_client *k, struct quiesce *q)
{
	struct cluster *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->kube = k;
	c->quiesce = q;
	c->tell.fire = tell_synced;
	list_init(&c->sources);
	pods_init(&c->pods, q);
	return c;
}

static void cluster_gone(void *ptr)
{
	struct cluster *c = ptr;

	pods_done(&c->pods);
	free(c);
}

void cluster_free(struct cluster *c)
{
	if (!c)
		return;
	timer_stop(&c->tell);
	informer_free(c->pods_informer);
	list_for(l, tmp, &c->sources)
		source_free(list_entry(l, struct source, link));
	quiesce_retire(c->quiesce, cluster_gone, c);
}

void cluster_on_synced(struct cluster *c, void (*synced)(void *ctx), void *ctx)
{
	c->told = false;
	c->synced = synced;
	c->synced_ctx = ctx;
	look_if_synced(c);
}

void cluster_on_slice(struct cluster *c, void (*seen)(void *ctx, const json_t *slice, bool headless), void *ctx)
{
	c->sliced = seen;
	c->sliced_ctx = ctx;
}

bool cluster_zone_informers(const struct cluster *c, const struct zone *z, const struct informer **ret_services,
			    const struct informer **ret_slices)
{
	list_for(l, tmp, (struct list *)&c->sources) {
		const struct source *s = list_entry(l, struct source, link);
		if (s->zone != z)
			continue;
		*ret_services = s->services;
		*ret_slices = s->slices;
		return s->slices != NULL;
	}
	return false;
}
