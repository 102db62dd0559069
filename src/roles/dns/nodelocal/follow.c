#include "roles/dns/nodelocal/follow.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define NAMESPACE "kube-system"
#define APP_LABEL "k8s-app=kube-dns" /* kubeadm's, and most distributions' */
/* NodeLocal DNSCache's own way to the central instances: it must go on to lead there. */
#define UPSTREAM_SERVICE "kube-dns-upstream"
#define SERVICE_LABEL "kubernetes.io/service-name"
#define DNS_PORT 53

/* ---- pure ---- */

static void add(struct nodelocal_targets *t, const char *ip, uint16_t port, const struct nodelocal_target *shown)
{
	struct nodelocal_target row = { .port = htons(port) };
	struct in_addr a;

	if (t->n == NODELOCAL_TARGETS_MAX || inet_pton(AF_INET, ip, &a) != 1)
		return;
	row.addr = a.s_addr;
	row.shown_addr = shown ? shown->shown_addr : row.addr;
	row.shown_port = shown ? shown->shown_port : row.port;
	for (size_t i = 0; i < t->n; i++)
		if (t->at[i].addr == row.addr && t->at[i].port == row.port)
			return;
	t->at[t->n++] = row;
}

/* The name of the Service's port 53, "" when it has none; NULL: no such port. */
static const char *dns_port_name(const json_t *service)
{
	const json_t *port;
	size_t i;

	json_array_foreach(jx_at(service, "spec.ports"), i, port)
		if (jx_int(port, "port", 0) == DNS_PORT)
			return jx_str_or(port, "name", "");
	return NULL;
}

bool targets_add_service(struct nodelocal_targets *t, const json_t *service)
{
	const json_t *ips = jx_at(service, "spec.clusterIPs"), *ip;
	size_t before = t->n, i;

	if (c_eq(jx_name(service), UPSTREAM_SERVICE) || !dns_port_name(service))
		return false;
	if (!json_array_size(ips))
		add(t, jx_str_or(service, "spec.clusterIP", ""), DNS_PORT, NULL);
	json_array_foreach(ips, i, ip)
		add(t, json_is_string(ip) ? json_string_value(ip) : "", DNS_PORT, NULL);
	return t->n > before;
}

static bool has_port_name(const json_t *service, const char *name)
{
	const json_t *port;
	size_t i;

	json_array_foreach(jx_at(service, "spec.ports"), i, port)
		if (jx_int(port, "port", 0) == DNS_PORT && strcmp(jx_str_or(port, "name", ""), name) == 0)
			return true;
	return false;
}

void targets_add_slice(struct nodelocal_targets *t, const json_t *service, const json_t *slice)
{
	struct nodelocal_targets own = { 0 };
	const json_t *port, *endpoint, *ip;
	size_t p, i, k;

	if (!targets_add_service(&own, service) || !c_eq(jx_label(slice, SERVICE_LABEL), jx_name(service)))
		return;
	json_array_foreach(jx_at(slice, "ports"), p, port) {
		int64_t number = jx_int(port, "port", 0);
		if (number < 1 || number > UINT16_MAX || !has_port_name(service, jx_str_or(port, "name", "")))
			continue;
		json_array_foreach(jx_at(slice, "endpoints"), i, endpoint)
			json_array_foreach(jx_at(endpoint, "addresses"), k, ip)
				add(t, json_is_string(ip) ? json_string_value(ip) : "", (uint16_t)number, &own.at[0]);
	}
}

/* ---- following ---- */

struct follow {
	struct informer *services, *slices;
	void (*told)(void *ctx, const struct nodelocal_targets *t);
	void *ctx;
	struct loop *loop;
	struct defer look;
	struct nodelocal_targets now;
};

struct walk {
	struct nodelocal_targets *t;
	const struct follow *f;
	const json_t *service;
};

static bool each_slice(void *ctx, const json_t *slice)
{
	struct walk *w = ctx;

	targets_add_slice(w->t, w->service, slice);
	return true;
}

static bool each_service(void *ctx, const json_t *service)
{
	struct walk *w = ctx;

	w->service = service;
	if (targets_add_service(w->t, service) && w->f->slices)
		informer_each(w->f->slices, NULL, each_slice, w);
	return true;
}

static void look(struct defer *d)
{
	struct follow *f = container_of(d, struct follow, look);
	struct nodelocal_targets t = { 0 };

	informer_each(f->services, NULL, each_service, &(struct walk){ &t, f, NULL });
	if (memcmp(&t, &f->now, sizeof(t)) == 0)
		return;
	f->now = t;
	f->told(f->ctx, &t);
}

static void changed(void *ctx, const json_t *obj)
{
	struct follow *f = ctx;

	(void)obj;
	loop_defer(f->loop, &f->look);
}

struct follow *follow_new(struct loop *l, struct kube_client *k, bool endpoints,
			  void (*told)(void *ctx, const struct nodelocal_targets *t), void *ctx)
{
	static const struct informer_handlers handlers = { .put = changed, .deleted = changed };
	static const struct informer_options labelled = { .ns = NAMESPACE, .label_selector = APP_LABEL }, all = { .ns = NAMESPACE };
	struct follow *f = xcalloc(1, sizeof(*f));

	f->loop = l;
	f->told = told;
	f->ctx = ctx;
	f->look.run = look;
	f->services = informer_new(k, (struct kube_gvr){ "", "v1", "services" }, &labelled, &handlers, f);
	if (endpoints)
		f->slices = informer_new(k, (struct kube_gvr){ "discovery.k8s.io", "v1", "endpointslices" }, &all, &handlers, f);
	return f;
}

void follow_free(struct follow *f)
{
	if (!f)
		return;
	defer_cancel(&f->look);
	informer_free(f->services);
	if (f->slices)
		informer_free(f->slices);
	free(f);
}
