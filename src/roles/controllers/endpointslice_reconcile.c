/* Wanted endpoints are grouped by the ports they serve, and laid over the slices that exist with as few
 * changes as possible: what already is in a slice stays there. */
#include "roles/controllers/endpoints.h"

#include "base/map.h"

#include <string.h>

struct wanted { /* one endpoint */
	json_t *endpoint;
	const json_t *pod;
	bool placed;
};
struct group { /* the endpoints that serve the same ports */
	json_t *ports;
	struct wanted *at;
	size_t n, cap;
};
struct slice {			   /* an existing or a new slice and what it will hold */
	const json_t *old;	   /* NULL: to be created */
	const struct group *group; /* NULL: nobody needs it so far */
	json_t *endpoints;
	const char *trigger; /* newest change among its endpoints */
	bool changed;
};
struct family {
	const struct endpoints_view *v;
	struct actions *out;
	const char *address_type; /* "IPv4" */
	struct group *groups;
	size_t n_groups;
	struct slice *slices;
	size_t n_slices;
};

/* ---- what there should be ---- */

static const char *address_of(const json_t *pod, bool v6)
{
	const char *ip = jx_str(pod, "status.podIP");
	const json_t *entry;
	size_t i;

	json_array_foreach(jx_at(pod, "status.podIPs"), i, entry) {
		const char *one = jx_str(entry, "ip");
		if (one && !!strchr(one, ':') == v6)
			return one;
	}
	return ip && ip[0] && !!strchr(ip, ':') == v6 ? ip : NULL;
}

static json_t *endpoint_of(const struct family *f, const json_t *pod, const char *address)
{
	const json_t *service = f->v->service;
	const char *node = jx_str(pod, "spec.nodeName");
	bool serving = pod_is_ready(pod), terminating = being_deleted(pod);
	bool publish = jx_bool(service, "spec.publishNotReadyAddresses", false);
	json_t *ep = json_object(), *addresses = json_array();

	json_array_append_new(addresses, json_string(address));
	json_object_set_new(ep, "addresses", addresses);
	jx_set_bool(ep, "conditions.ready", publish || (serving && !terminating));
	jx_set_bool(ep, "conditions.serving", serving);
	jx_set_bool(ep, "conditions.terminating", terminating);
	json_object_set_new(ep, "targetRef", pod_target_ref(pod));
	jx_set_str(ep, "nodeName", node);
	jx_set_str(ep, "zone", node && f->v->zone_of ? f->v->zone_of(f->v->ctx, node) : NULL);
	jx_set_str(ep, "hostname", pod_hostname_in(pod, service));
	return ep;
}

static struct group *group_of(struct family *f, json_t *ports)
{
	for (size_t i = 0; i < f->n_groups; i++)
		if (json_equal(f->groups[i].ports, ports)) {
			json_decref(ports);
			return &f->groups[i];
		}
	f->groups = xrealloc(f->groups, (f->n_groups + 1) * sizeof(*f->groups));
	f->groups[f->n_groups] = (struct group){ .ports = ports };
	return &f->groups[f->n_groups++];
}

static void collect(struct family *f)
{
	bool v6 = strcmp(f->address_type, "IPv6") == 0;

	for (size_t i = 0; i < f->v->pods.n; i++) {
		const json_t *pod = f->v->pods.at[i];
		const char *address = address_of(pod, v6);

		if (!address || pod_is_terminal(pod))
			continue;
		struct group *g = group_of(f, service_ports_of(f->v->service, pod));
		if (g->n == g->cap) {
			g->cap = g->cap ? g->cap * 2 : 8;
			g->at = xrealloc(g->at, g->cap * sizeof(*g->at));
		}
		g->at[g->n++] = (struct wanted){ endpoint_of(f, pod, address), pod, false };
	}
}

/* ---- where it goes ---- */

static bool ports_equal(const json_t *a, const json_t *b)
{
	if (!json_array_size(a) || !json_array_size(b))
		return !json_array_size(a) && !json_array_size(b);
	return json_equal(a, b);
}

static void note_trigger(struct slice *s, const json_t *pod)
{
	const char *t = pod_trigger_time(pod);

	s->changed = true;
	if (t && (!s->trigger || strcmp(t, s->trigger) > 0)) /* RFC 3339 in UTC sorts as text */
		s->trigger = t;
}

static void place(struct slice *s, struct wanted *w, bool changed)
{
	json_array_append(s->endpoints, w->endpoint);
	w->placed = true;
	if (changed)
		note_trigger(s, w->pod);
}

/* What is in the slice and still wanted stays; the rest goes. */
static void keep_endpoints(struct slice *s, struct group *g)
{
	struct map by_uid;
	const json_t *old;
	size_t i;

	map_init(&by_uid);
	for (i = 0; i < g->n; i++)
		if (!g->at[i].placed)
			map_put_c(&by_uid, jx_str_or(g->at[i].endpoint, "targetRef.uid", ""),
				  &g->at[i]);
	json_array_foreach(json_object_get(s->old, "endpoints"), i, old) {
		struct wanted *w = map_get_c(&by_uid, jx_str_or(old, "targetRef.uid", ""));
		if (w && !w->placed)
			place(s, w, !json_equal(w->endpoint, old));
		else
			s->changed = true;
	}
	map_done(&by_uid, NULL);
}

static struct slice *slice_add(struct family *f, const json_t *old)
{
	f->slices = xrealloc(f->slices, (f->n_slices + 1) * sizeof(*f->slices));
	f->slices[f->n_slices] = (struct slice){ .old = old, .endpoints = json_array() };
	return &f->slices[f->n_slices++];
}

static void take_existing(struct family *f)
{
	for (size_t i = 0; i < f->v->slices.n; i++) {
		const json_t *old = f->v->slices.at[i];
		if (c_eq(jx_label(old, SLICE_MANAGED_BY_LABEL), SLICE_MANAGED_BY) &&
		    !being_deleted(old) && c_eq(jx_str(old, "addressType"), f->address_type) &&
		    c_eq(controller_uid(old), jx_uid(f->v->service)))
			slice_add(f, old);
	}
	for (size_t i = 0; i < f->n_slices; i++)
		for (size_t k = 0; k < f->n_groups && !f->slices[i].group; k++)
			if (ports_equal(json_object_get(f->slices[i].old, "ports"),
					f->groups[k].ports)) {
				f->slices[i].group = &f->groups[k];
				keep_endpoints(&f->slices[i], &f->groups[k]);
			}
}

/* A slice with room: one of the group that changes anyway, any of the group, an idle one, a new one. */
static struct slice *slice_with_room(struct family *f, const struct group *g)
{
	struct slice *found = NULL;

	for (size_t i = 0; i < f->n_slices; i++) {
		struct slice *s = &f->slices[i];
		if (s->group == g && json_array_size(s->endpoints) < SLICE_ENDPOINTS_MAX &&
		    (!found || (s->changed && !found->changed)))
			found = s;
	}
	for (size_t i = 0; i < f->n_slices && !found; i++)
		if (!f->slices[i].group)
			found = &f->slices[i];
	if (!found)
		found = slice_add(f, NULL);
	found->group = g;
	return found;
}

static void place_rest(struct family *f)
{
	for (size_t k = 0; k < f->n_groups; k++)
		for (size_t i = 0; i < f->groups[k].n; i++)
			if (!f->groups[k].at[i].placed)
				place(slice_with_room(f, &f->groups[k]), &f->groups[k].at[i], true);
}

/* ---- what to do ---- */

static json_t *slice_labels(const struct family *f)
{
	const char *const extra[] = { SERVICE_NAME_LABEL, jx_name(f->v->service),
				      SLICE_MANAGED_BY_LABEL, SLICE_MANAGED_BY, NULL };

	return service_labels(f->v->service, extra);
}

static json_t *slice_new(const struct family *f)
{
	json_t *obj = json_object(), *owners = json_array();
	cleanup(freep) char *prefix = xasprintf("%s-", jx_name(f->v->service));

	json_array_append_new(owners, controller_ref_new(f->v->service));
	jx_set_str(obj, "apiVersion", "discovery.k8s.io/v1");
	jx_set_str(obj, "kind", "EndpointSlice");
	jx_set_str(obj, "metadata.generateName", prefix);
	jx_set_str(obj, "metadata.namespace", jx_namespace(f->v->service));
	jx_set(obj, "metadata.ownerReferences", owners);
	jx_set_str(obj, "addressType", f->address_type);
	return obj;
}

static void slice_emit(struct family *f, struct slice *s, json_t *labels)
{
	json_t *obj = s->old ? json_deep_copy(s->old) : slice_new(f);
	struct action *a;

	json_object_set(json_object_get(obj, "metadata"), "labels", labels);
	json_object_set(obj, "endpoints", s->endpoints);
	json_object_set_new(obj, "ports", s->group ? json_incref(s->group->ports) : json_array());
	set_trigger_time(obj, s->trigger);
	if (s->old)
		a = act_update(f->out, KK_ENDPOINTSLICE, NULL, obj);
	else
		a = act_create(f->out, KK_ENDPOINTSLICE, obj);
	act_note_failed(a, f->v->service, "FailedToUpdateEndpointSlices",
			"Error updating Endpoint Slices for Service %s/%s: ",
			jx_namespace(f->v->service), jx_name(f->v->service));
}

static bool slice_differs(const struct slice *s, const json_t *labels)
{
	const json_t *ports = s->group ? s->group->ports : NULL;

	return !s->old || s->changed || !ports_equal(json_object_get(s->old, "ports"), ports) ||
	       json_array_size(json_object_get(s->old, "endpoints")) !=
		       json_array_size(s->endpoints) ||
	       !json_equal(jx_at(s->old, "metadata.labels"), labels);
}

/* A Service without endpoints keeps one empty slice, which says that we have looked. */
static void emit(struct family *f)
{
	cleanup(json_decrefp) json_t *labels = slice_labels(f);
	bool any = false;

	for (size_t i = 0; i < f->n_slices; i++)
		any |= json_array_size(f->slices[i].endpoints) > 0;
	if (!any && !f->n_slices)
		slice_add(f, NULL);
	for (size_t i = 0; i < f->n_slices; i++) {
		struct slice *s = &f->slices[i];
		bool placeholder = !any && i == 0;

		if (placeholder)
			s->group = NULL;
		if (!placeholder && !json_array_size(s->endpoints))
			act_delete(f->out, KK_ENDPOINTSLICE, s->old, -1);
		else if (slice_differs(s, labels))
			slice_emit(f, s, labels);
	}
}

static void family_done(struct family *f)
{
	for (size_t k = 0; k < f->n_groups; k++) {
		for (size_t i = 0; i < f->groups[k].n; i++)
			json_decref(f->groups[k].at[i].endpoint);
		free(f->groups[k].at);
		json_decref(f->groups[k].ports);
	}
	for (size_t i = 0; i < f->n_slices; i++)
		json_decref(f->slices[i].endpoints);
	free(f->groups);
	free(f->slices);
}

static void reconcile_family(const struct endpoints_view *v, struct actions *out,
			     const char *address_type)
{
	struct family f = { .v = v, .out = out, .address_type = address_type };

	collect(&f);
	take_existing(&f);
	place_rest(&f);
	emit(&f);
	family_done(&f);
}

void endpointslice_reconcile(const struct endpoints_view *v, struct actions *out)
{
	const json_t *families = jx_at(v->service, "spec.ipFamilies"), *family;
	size_t i;

	if (!service_selects(v->service) || being_deleted(v->service))
		return;
	if (!json_array_size(families))
		reconcile_family(v, out, "IPv4");
	json_array_foreach(families, i, family)
		reconcile_family(v, out, c_eq(json_string_value(family), "IPv6") ? "IPv6" : "IPv4");
}
