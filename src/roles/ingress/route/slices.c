/* EndpointSlices, each with its Service. */
#include "roles/ingress/route/services_int.h"

#include <stdio.h>

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
