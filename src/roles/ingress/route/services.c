#include "roles/ingress/route/model_int.h"

#include <netinet/in.h>
#include <stdio.h>

/* A Service's spec, one block: what follows is cluster_ip and external_name, then each port's name and target. */
struct service_port {
	const char *name, *target; /* target: a name, or a number as text; "" */
	uint16_t number;
	bool udp;
};

/* One EndpointSlice, one block. Addresses of type FQDN are names, which are resolved. */
struct slice_port {
	const char *name;
	uint16_t number;
	bool udp;
};
struct slice_endpoint {
	const char *address, *pod; /* pod: "ns/name" or "" */
	bool draining;
};
struct slice {
	char *key; /* "ns/name" */
	struct slice *next;
	struct service *service;
	unsigned n_ports, n_endpoints;
	bool fqdn;
	struct slice_port *ports;
	struct slice_endpoint *endpoints;
};

struct resolved {
	char *name;
	struct addr *at;
	size_t n;
	bool used;
};

/* ---- finding ---- */

static struct service *service_get(struct model *m, const char *ns, const char *name)
{
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);
	struct service *s = names_get(m->services, str_of(key));

	if (s)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->key = TAKE_PTR(key);
	list_init(&s->dirty);
	names_put(m->services, s);
	return s;
}

static void service_dirty(struct model *m, struct service *s)
{
	if (s->n_backends && list_empty(&s->dirty))
		list_append(&m->dirty_services, &s->dirty);
}

static void service_free(void *p)
{
	struct service *s = p;

	free(s->backends);
	free(s->spec);
	free(s->key);
	free(s);
}

static void service_release(struct model *m, struct service *s)
{
	if (s->exists || s->slices || s->n_backends)
		return;
	names_del(m->services, str_of(s->key));
	list_del(&s->dirty);
	service_free(s);
}

/* ---- Services ---- */

static void put_text(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s) + 1);
}

enum { PORT_END, PORT_TCP, PORT_UDP }; /* before each port of a spec */

static void put_port(struct buf *b, const json_t *port)
{
	const json_t *target = json_object_get(port, "targetPort");
	uint16_t number = (uint16_t)jx_int(port, "port", 0);
	const char *protocol = jx_str_or(port, "protocol", "TCP");
	char text[16] = "";

	if (c_eq(protocol, "SCTP"))
		return;
	if (json_is_integer(target))
		snprintf(text, sizeof(text), "%u", (unsigned)(uint16_t)json_integer_value(target));
	buf_putc(b, c_eq(protocol, "UDP") ? PORT_UDP : PORT_TCP);
	buf_put(b, &number, sizeof(number));
	put_text(b, jx_str_or(port, "name", ""));
	put_text(b, json_is_string(target) ? json_string_value(target) : text);
}

static char *spec_of(const json_t *obj, size_t *ret_len)
{
	const char *cluster_ip = jx_str_or(obj, "spec.clusterIP", "");
	bool external = c_eq(jx_str(obj, "spec.type"), "ExternalName");
	json_t *port;
	struct buf b;
	size_t i;

	buf_init(&b, 2u << 20);
	put_text(&b, c_eq(cluster_ip, "None") ? "" : cluster_ip);
	put_text(&b, external ? jx_str_or(obj, "spec.externalName", "") : "");
	json_array_foreach(jx_at(obj, "spec.ports"), i, port)
		put_port(&b, port);
	buf_putc(&b, PORT_END);
	*ret_len = b.len;
	char *spec = b.overflow ? NULL : memcpy(xmalloc(b.len), b.ptr, b.len);
	buf_done(&b);
	return spec;
}

static bool same_spec(const struct service *s, const char *spec, size_t len)
{
	size_t have = s->spec ? s->spec_bytes : 0;

	return s->exists && have == len && memcmp(s->spec, spec, len) == 0;
}

void model_set_service(struct model *m, const json_t *obj)
{
	size_t len;

	if (!jx_namespace(obj) || !jx_name(obj))
		return;
	char *spec = spec_of(obj, &len);
	struct service *s = service_get(m, jx_namespace(obj), jx_name(obj));
	if (!spec || same_spec(s, spec, len)) {
		free(spec);
		return;
	}
	free(s->spec);
	s->spec = spec;
	s->spec_bytes = len;
	s->exists = true;
	service_dirty(m, s);
}

void model_del_service(struct model *m, const char *ns, const char *name)
{
	struct service *s = service_get(m, ns, name);

	s->exists = false;
	free(s->spec);
	s->spec = NULL;
	s->spec_bytes = 0;
	service_dirty(m, s);
	service_release(m, s);
}

static const char *take_text(const char **at)
{
	const char *s = *at;

	*at = s + strlen(s) + 1;
	return s;
}

static bool next_port(const char **at, struct service_port *ret)
{
	char kind = *(*at)++;

	if (kind == PORT_END)
		return false;
	ret->udp = kind == PORT_UDP;
	memcpy(&ret->number, *at, sizeof(ret->number));
	*at += sizeof(ret->number);
	ret->name = take_text(at);
	ret->target = take_text(at);
	return true;
}

/* By name or number, else by target, as ingress-nginx does; "" is the first. Names and numbers of UDP's ports end with
 * MODEL_UDP: DNS has 53 twice. */
static bool find_port(const struct service *s, const char *want_text, struct service_port *ret)
{
	bool udp = str_ends(str_of(want_text), STR(MODEL_UDP));
	cleanup(freep) char *want = udp ? str_dup((struct str){ want_text, strlen(want_text) - strlen(MODEL_UDP) }) : xstrdup(want_text);
	const char *start = s->spec;
	uint64_t number = 0;

	take_text(&start);
	take_text(&start);
	bool by_number = str_to_u64(str_of(want), UINT16_MAX, &number);
	const char *at = start;
	while (next_port(&at, ret))
		if (ret->udp == udp && (!want[0] || (by_number ? ret->number == number : strcmp(ret->name, want) == 0)))
			return true;
	at = start;
	while (next_port(&at, ret))
		if (ret->udp == udp && strcmp(ret->target, want) == 0)
			return true;
	return false;
}

/* ---- slices ---- */

static bool usable(const json_t *ep, bool *ret_draining)
{
	bool ready = jx_bool(ep, "conditions.ready", true);
	bool serving = jx_bool(ep, "conditions.serving", ready);

	*ret_draining = !ready;
	return ready || (serving && jx_bool(ep, "conditions.terminating", false));
}

static size_t text_bytes(const json_t *obj, unsigned *n_ports, unsigned *n_endpoints)
{
	size_t bytes = strlen(jx_namespace(obj)) + strlen(jx_name(obj)) + 2, i, k;
	json_t *one, *address;
	bool ignored;

	json_array_foreach(json_object_get(obj, "ports"), i, one) {
		bytes += strlen(jx_str_or(one, "name", "")) + 1;
		++*n_ports;
	}
	json_array_foreach(json_object_get(obj, "endpoints"), i, one) {
		if (!usable(one, &ignored))
			continue;
		bytes += strlen(jx_str_or(one, "targetRef.namespace", "")) + strlen(jx_str_or(one, "targetRef.name", "")) + 2;
		json_array_foreach(json_object_get(one, "addresses"), k, address)
			if (json_is_string(address)) {
				bytes += json_string_length(address) + 1;
				++*n_endpoints;
			}
	}
	return bytes;
}

static const char *copy_text(char **to, const char *s)
{
	size_t len = strlen(s) + 1;
	char *start = memcpy(*to, s, len);

	*to += len;
	return start;
}

static void fill_endpoint(struct slice *s, const json_t *ep, char **text)
{
	const char *ns = jx_str(ep, "targetRef.namespace"), *name = jx_str(ep, "targetRef.name"), *pod = *text;
	json_t *address;
	bool draining;
	size_t k;

	if (!usable(ep, &draining))
		return;
	if (ns && name && c_eq(jx_str_or(ep, "targetRef.kind", "Pod"), "Pod"))
		*text += sprintf(*text, "%s/%s", ns, name);
	*(*text)++ = '\0';
	json_array_foreach(json_object_get(ep, "addresses"), k, address)
		if (json_is_string(address))
			s->endpoints[s->n_endpoints++] =
				(struct slice_endpoint){ copy_text(text, json_string_value(address)), pod, draining };
}

static struct slice *slice_new(const json_t *obj)
{
	unsigned n_ports = 0, n_endpoints = 0;
	size_t bytes = text_bytes(obj, &n_ports, &n_endpoints), i;
	struct slice *s = xcalloc(1, sizeof(*s) + n_ports * sizeof(*s->ports) + n_endpoints * sizeof(*s->endpoints) + bytes);
	json_t *one;

	s->ports = (struct slice_port *)(s + 1);
	s->endpoints = (struct slice_endpoint *)(s->ports + n_ports);
	char *text = (char *)(s->endpoints + n_endpoints);
	s->key = text;
	text += sprintf(text, "%s/%s", jx_namespace(obj), jx_name(obj)) + 1;
	s->fqdn = c_eq(jx_str(obj, "addressType"), "FQDN");
	json_array_foreach(json_object_get(obj, "ports"), i, one) {
		const char *protocol = jx_str_or(one, "protocol", "TCP");
		uint16_t number = c_eq(protocol, "SCTP") ? 0 : (uint16_t)jx_int(one, "port", 0);

		s->ports[s->n_ports++] =
			(struct slice_port){ copy_text(&text, jx_str_or(one, "name", "")), number, c_eq(protocol, "UDP") };
	}
	json_array_foreach(json_object_get(obj, "endpoints"), i, one)
		fill_endpoint(s, one, &text);
	return s;
}

static void slice_unlink(struct model *m, struct slice *s)
{
	struct slice **at = &s->service->slices;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	service_dirty(m, s->service);
	service_release(m, s->service);
	free(s);
}

void model_set_slice(struct model *m, const json_t *obj)
{
	const char *service = jx_label(obj, "kubernetes.io/service-name");

	if (!jx_namespace(obj) || !jx_name(obj))
		return;
	if (!service) {
		model_del_slice(m, jx_namespace(obj), jx_name(obj));
		return;
	}
	struct slice *s = slice_new(obj);
	s->service = service_get(m, jx_namespace(obj), service);
	s->next = s->service->slices;
	s->service->slices = s;
	service_dirty(m, s->service);
	struct slice *old = names_put(m->slices, s);
	if (old)
		slice_unlink(m, old);
}

void model_del_slice(struct model *m, const char *ns, const char *name)
{
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);
	struct slice *old = names_del(m->slices, str_of(key));

	if (old)
		slice_unlink(m, old);
}

/* ---- resolved names ---- */

static const struct resolved *resolve(struct model *m, const char *name)
{
	struct resolved *r = names_get(m->resolved, str_of(name));

	if (!r) {
		r = xcalloc(1, sizeof(*r));
		r->name = xstrdup(name);
		names_put(m->resolved, r);
		if (m->ops.resolve)
			m->ops.resolve(m->ctx, name);
	}
	r->used = true;
	return r;
}

static void resolved_free(void *p)
{
	struct resolved *r = p;

	free(r->at);
	free(r->name);
	free(r);
}

static void dirty_by_name(void *ctx, void *obj)
{
	struct service *s = obj;

	if (s->by_name)
		service_dirty(ctx, s);
}

void model_resolved(struct model *m, const char *host_name, const struct addr *at, size_t n)
{
	struct resolved *r = names_get(m->resolved, str_of(host_name));

	if (!r || n == 0 || (r->n == n && memcmp(r->at, at, n * sizeof(*at)) == 0))
		return;
	free(r->at);
	r->at = memcpy(xmalloc(n * sizeof(*at)), at, n * sizeof(*at));
	r->n = n;
	names_each(m->services, dirty_by_name, m);
}

struct each_resolved {
	void (*fn)(void *ctx, const char *host_name);
	void *ctx;
};

static void each_resolved(void *ctx, void *obj)
{
	struct each_resolved *e = ctx;

	e->fn(e->ctx, ((struct resolved *)obj)->name);
}

void model_each_name(struct model *m, void (*fn)(void *ctx, const char *host_name), void *ctx)
{
	struct each_resolved e = { fn, ctx };

	names_each(m->resolved, each_resolved, &e);
}

/* ---- endpoints of a backend ---- */

struct wants {
	struct model *m;
	struct endpoint_want *at;
	size_t n, cap;
};

static void want_ip(struct wants *w, const char *ip, uint16_t port, const char *pod, bool draining)
{
	struct endpoint_want one = { .pod = pod && pod[0] ? pod : NULL, .draining = draining };
	struct err ignored;

	if (port && addr_from_ip(ip, port, &one.addr, &ignored) == 0)
		array_push(w->at, w->n, w->cap, one);
}

static void set_port(struct addr *a, uint16_t port)
{
	if (a->ss.ss_family == AF_INET)
		((struct sockaddr_in *)&a->ss)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)&a->ss)->sin6_port = htons(port);
}

static void want_name(struct wants *w, struct service *s, const char *name, uint16_t port, bool draining)
{
	const struct resolved *r = resolve(w->m, name);

	s->by_name = true;
	for (size_t i = 0; port && i < r->n; i++) {
		struct endpoint_want one = { .addr = r->at[i], .host_name = r->name, .draining = draining };

		set_port(&one.addr, port);
		array_push(w->at, w->n, w->cap, one);
	}
}

static uint16_t slice_port(const struct slice *s, const struct service_port *port)
{
	for (unsigned k = 0; k < s->n_ports; k++)
		if (s->ports[k].udp == port->udp && (strcmp(s->ports[k].name, port->name) == 0 || !port->name[0]))
			return s->ports[k].number;
	return 0;
}

static void want_slice(struct wants *w, struct service *s, const struct slice *slice, const struct service_port *wanted)
{
	uint16_t port = slice_port(slice, wanted);

	for (unsigned k = 0; k < slice->n_endpoints; k++) {
		const struct slice_endpoint *ep = &slice->endpoints[k];

		if (slice->fqdn)
			want_name(w, s, ep->address, port, ep->draining);
		else
			want_ip(w, ep->address, port, ep->pod, ep->draining);
	}
}

/* As in ingress-nginx, a name for this machine is refused: it would open what listens on loopback here. */
static bool loopback_name(const char *name)
{
	return strcasecmp(name, "localhost") == 0 || strncmp(name, "127.", 4) == 0 || strcmp(name, "::1") == 0;
}

static void want_external(struct wants *w, struct service *s, const char *name, const char *port_text)
{
	uint64_t number = 0;
	struct service_port port;
	struct addr ip;
	struct err ignored;

	if (loopback_name(name))
		return;
	if (find_port(s, port_text, &port))
		port_text = port.target[0] ? port.target : port_text;
	if (!str_to_u64(str_of(port_text), UINT16_MAX, &number) && find_port(s, port_text, &port))
		number = port.number;
	if (addr_from_ip(name, 0, &ip, &ignored) == 0)
		want_ip(w, name, (uint16_t)number, NULL, false);
	else
		want_name(w, s, name, (uint16_t)number, false);
}

static void fill(struct model *m, struct service *s, struct backend *b)
{
	struct wants w = { .m = m };
	struct service_port port = { 0 };
	const char *at = s->spec;

	b->service_missing = !s->exists;
	if (s->exists) {
		const char *cluster_ip = take_text(&at), *external = take_text(&at);
		bool has_port = find_port(s, b->port, &port);

		backend_set_external_name(m->backends, b, external);
		b->service_missing = !has_port && !external[0];
		if (external[0])
			want_external(&w, s, external, b->port);
		else if (has_port && b->cluster_ip && cluster_ip[0])
			want_ip(&w, cluster_ip, port.number, NULL, false);
		else if (has_port)
			for (const struct slice *slice = s->slices; slice; slice = slice->next)
				want_slice(&w, s, slice, &port);
	}
	backend_set(m->backends, b, w.at, w.n);
	free(w.at);
}

/* ---- for the model ---- */

static bool knows_backend(const struct service *s, const struct backend *b)
{
	for (size_t k = 0; k < s->n_backends; k++)
		if (s->backends[k] == b)
			return true;
	return false;
}

void service_add_backend(struct model *m, struct backend *b)
{
	struct service *s = service_get(m, b->ns, b->service);

	if (knows_backend(s, b))
		return;
	array_push(s->backends, s->n_backends, s->cap_backends, b);
	fill(m, s, b);
}

void services_flush(struct model *m)
{
	list_for(at, tmp, &m->dirty_services) {
		struct service *s = list_entry(at, struct service, dirty);

		list_del(&s->dirty);
		for (size_t k = 0; k < s->n_backends; k++)
			fill(m, s, s->backends[k]);
	}
}

static void backend_gone(void *ctx, struct backend *b)
{
	struct model *m = ctx;
	struct service *s = service_get(m, b->ns, b->service);

	for (size_t k = 0; k < s->n_backends; k++)
		if (s->backends[k] == b) {
			s->backends[k] = s->backends[--s->n_backends];
			break;
		}
	service_release(m, s);
}

static void forget_use(void *ctx, void *obj)
{
	(void)ctx;
	((struct resolved *)obj)->used = false;
}

static void refill_by_name(void *ctx, void *obj)
{
	struct service *s = obj;

	if (!s->by_name)
		return;
	s->by_name = false; /* set again if it still is */
	for (size_t k = 0; k < s->n_backends; k++)
		fill(ctx, s, s->backends[k]);
}

static void drop_unused(void *ctx, void *obj)
{
	struct model *m = ctx;
	struct resolved *r = obj;

	if (r->used)
		return;
	names_del(m->resolved, str_of(r->name));
	resolved_free(r);
}

void services_sweep(struct model *m)
{
	backends_sweep(m->backends, backend_gone, m);
	names_each(m->resolved, forget_use, NULL);
	names_each(m->services, refill_by_name, m);
	names_each(m->resolved, drop_unused, m);
}

void services_free(struct model *m)
{
	names_free(m->slices, free);
	names_free(m->services, service_free);
	names_free(m->resolved, resolved_free);
}
