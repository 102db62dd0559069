#include "roles/dns/ensure.h"

#include "base/log.h"

#define NAMESPACE "kube-system"
#define SERVICE "kube-dns"
#define SLICE "kube-dns-portico"
#define DNS_PORT 53
#define CHECK_FIRST_MS 500   /* while something is missing: the namespace may not be there yet */
#define CHECK_LATER_MS 10000 /* somebody may delete them */

static const struct kube_gvr services_gvr = { "", "v1", "services" };
static const struct kube_gvr slices_gvr = { "discovery.k8s.io", "v1", "endpointslices" };

struct dns_ensure {
	struct kube_client *kube;
	const struct informer *services, *slices;
	const char *cluster_ip, *node_ip;
	uint16_t port;
	char *checked; /* the slice's resourceVersion that was found right */
	struct timer timer;
	unsigned in_flight;
	bool failed_before, freed;
};

static json_t *port_of(const char *name, int port, const char *protocol)
{
	json_t *p = json_object();

	jx_set_str(p, "name", name);
	jx_set_int(p, "port", port);
	jx_set_str(p, "protocol", protocol);
	return p;
}

/* The ports carry the names that join the Service's to the slice's. */
static json_t *ports(int port)
{
	json_t *list = json_array();

	json_array_append_new(list, port_of("dns", port, "UDP"));
	json_array_append_new(list, port_of("dns-tcp", port, "TCP"));
	return list;
}

static json_t *labels(const char *first, const char *first_value, const char *second,
		      const char *second_value)
{
	json_t *l = json_object();

	json_object_set_new(l, first, json_string(first_value));
	json_object_set_new(l, second, json_string(second_value));
	return l;
}

static json_t *object_of(const char *api_version, const char *kind, const char *name)
{
	json_t *o = json_object();

	jx_set_str(o, "apiVersion", api_version);
	jx_set_str(o, "kind", kind);
	jx_set_str(o, "metadata.name", name);
	jx_set_str(o, "metadata.namespace", NAMESPACE);
	return o;
}

static json_t *service_object(const struct dns_ensure *d)
{
	json_t *o = object_of("v1", "Service", SERVICE);

	jx_set(o, "metadata.labels",
	       labels("k8s-app", "kube-dns", "kubernetes.io/name", "CoreDNS"));
	jx_set_str(o, "spec.clusterIP", d->cluster_ip);
	jx_set_str(o, "spec.type", "ClusterIP");
	jx_set(o, "spec.ports", ports(DNS_PORT));
	return o;
}

static json_t *slice_object(const struct dns_ensure *d)
{
	json_t *o = object_of("discovery.k8s.io/v1", "EndpointSlice", SLICE),
	       *endpoint = json_object();

	jx_set(o, "metadata.labels",
	       labels("kubernetes.io/service-name", SERVICE,
		      "endpointslice.kubernetes.io/managed-by", "dns.portico"));
	jx_set_str(o, "addressType", strchr(d->node_ip, ':') ? "IPv6" : "IPv4");
	jx_set(endpoint, "addresses", json_pack("[s]", d->node_ip));
	jx_set_bool(endpoint, "conditions.ready", true);
	jx_set(o, "endpoints", json_pack("[o]", endpoint));
	jx_set(o, "ports", ports(d->port));
	return o;
}

static void ensure_done(struct dns_ensure *d)
{
	free(d->checked);
	free(d);
}

static void on_done(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct dns_ensure *d = ctx;

	(void)obj;
	d->in_flight--;
	if (d->freed) {
		if (d->in_flight == 0)
			ensure_done(d);
		return;
	}
	if (e && status != 409 && !d->failed_before)
		log_warn("kube-dns: %s, trying again", e->message);
	d->failed_before = e;
}

static void create(struct dns_ensure *d, struct kube_gvr gvr, json_t *obj)
{
	d->in_flight++;
	kube_create(d->kube, gvr, obj, on_done, d);
	json_decref(obj);
}

static bool slice_is_right(const struct dns_ensure *d, const json_t *slice)
{
	const json_t *endpoints = jx_at(slice, "endpoints"),
		     *p = json_array_get(jx_at(slice, "ports"), 0),
		     *addresses = jx_at(json_array_get(endpoints, 0), "addresses");

	return json_array_size(endpoints) == 1 && jx_len(slice, "ports") == 2 &&
	       c_eq(json_string_value(json_array_get(addresses, 0)), d->node_ip) &&
	       jx_int(p, "port", 0) == d->port;
}

/* A slice's address family cannot be changed, so a wrong one is deleted; the next look creates it.
 */
static void on_slice(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct dns_ensure *d = ctx;
	bool wrong = !d->freed && !e && !slice_is_right(d, obj);

	if (!d->freed && !e && !wrong) {
		free(d->checked);
		d->checked = xstrdup(jx_str(obj, "metadata.resourceVersion"));
	}
	if (wrong) {
		d->in_flight++;
		kube_delete(d->kube, slices_gvr, NAMESPACE, SLICE, NULL, on_done, d);
	}
	on_done(d, status, NULL, e);
}

static void check_slice(struct dns_ensure *d)
{
	const json_t *slice = informer_get(d->slices, NAMESPACE, SLICE);

	if (!slice) {
		create(d, slices_gvr, slice_object(d));
	} else if (!c_eq(jx_str(slice, "metadata.resourceVersion"), d->checked)) {
		d->in_flight++;
		kube_get(d->kube, slices_gvr, NAMESPACE, SLICE, on_slice, d);
	}
}

static void check(struct dns_ensure *d)
{
	bool missing = !informer_get(d->services, NAMESPACE, SERVICE) ||
		       !informer_get(d->slices, NAMESPACE, SLICE);

	timer_start(kube_client_loop(d->kube), &d->timer,
		    missing ? CHECK_FIRST_MS : CHECK_LATER_MS);
	if (d->in_flight || !informer_synced(d->services) || !informer_synced(d->slices))
		return;
	if (!informer_get(d->services, NAMESPACE, SERVICE))
		create(d, services_gvr, service_object(d));
	check_slice(d);
}

static void on_timer(struct timer *t)
{
	check(t->ctx);
}

struct dns_ensure *dns_ensure_new(struct kube_client *k, const struct informer *services,
				  const struct informer *slices, const char *cluster_ip,
				  const char *node_ip, uint16_t port)
{
	struct dns_ensure *d = xcalloc(1, sizeof(*d));

	*d = (struct dns_ensure){ .kube = k,
				  .services = services,
				  .slices = slices,
				  .cluster_ip = cluster_ip,
				  .node_ip = node_ip,
				  .port = port,
				  .timer = { .fire = on_timer, .ctx = d } };
	check(d);
	return d;
}

void dns_ensure_free(struct dns_ensure *d)
{
	if (!d)
		return;
	timer_stop(&d->timer);
	d->freed = true;
	if (d->in_flight == 0)
		ensure_done(d);
}
