#include "roles/ingress/route/services_int.h"

#include <stdio.h>

/* ---- finding ---- */

struct service *service_get(struct model *m, const char *ns, const char *name)
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

void service_dirty(struct model *m, struct service *s)
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

void service_release(struct model *m, struct service *s)
{
	if (s->exists || s->slices || s->n_backends)
		return;
	names_del(m->services, str_of(s->key));
	list_del(&s->dirty);
	service_free(s);
}

/* ---- Services ---- */

/* A Service's spec is one block: cluster_ip and external_name, then for each port its kind, number, name and target. */
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

void service_addresses(const struct service *s, const char **ret_cluster_ip, const char **ret_external)
{
	const char *at = s->spec;

	*ret_cluster_ip = take_text(&at);
	*ret_external = take_text(&at);
}

bool service_find_port(const struct service *s, const char *want_text, struct service_port *ret)
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
	service_fill(m, s, b);
}

void services_flush(struct model *m)
{
	list_for(at, tmp, &m->dirty_services) {
		struct service *s = list_entry(at, struct service, dirty);

		list_del(&s->dirty);
		for (size_t k = 0; k < s->n_backends; k++)
			service_fill(m, s, s->backends[k]);
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

static void refill_by_name(void *ctx, void *obj)
{
	struct service *s = obj;

	if (!s->by_name)
		return;
	s->by_name = false; /* set again if it still is */
	for (size_t k = 0; k < s->n_backends; k++)
		service_fill(ctx, s, s->backends[k]);
}

void services_sweep(struct model *m)
{
	backends_sweep(m->backends, backend_gone, m);
	resolved_sweep_begin(m);
	names_each(m->services, refill_by_name, m);
	resolved_sweep_end(m);
}

void services_free(struct model *m)
{
	names_free(m->slices, free);
	names_free(m->services, service_free);
	names_free(m->resolved, resolved_free);
}
