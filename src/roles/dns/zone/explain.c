/* How an answer came about, for people. */
#include "roles/dns/zone/zone_int.h"

#include <stdio.h>

struct text {
	char label[3][DNS_LABEL_BYTES_MAX + 1];
};

static const char *label_text(const uint8_t *label, char out[DNS_LABEL_BYTES_MAX + 1])
{
	size_t n = label[0];

	for (size_t i = 0; i < n; i++)
		out[i] = (char)(label[1 + i] > ' ' && label[1 + i] < 0x7f ? label[1 + i] : '?');
	out[n] = '\0';
	return out;
}

static const char *kind_text(const struct service *s)
{
	static const char *const names[] = { [KIND_CLUSTER_IP] = "ClusterIP", [KIND_HEADLESS] = "headless", [KIND_EXTERNAL] = "ExternalName" };

	return names[s->kind];
}

static void explain_found(const struct dns_query *q, const struct prefix *p, const struct found *f, char *out, size_t size)
{
	const struct service *s = f->service;
	const uint8_t *wire = q->name.wire;
	struct text t;
	char service[2 * DNS_LABEL_BYTES_MAX + 8] = "";

	if (f->kind == FOUND_SERVICE || f->kind == FOUND_PORT || f->kind == FOUND_ENDPOINT || f->kind == FOUND_EXTERNAL)
		snprintf(service, sizeof(service), "%s/%s", label_text(s->space->label, t.label[0]), label_text(s->name, t.label[1]));
	switch (f->kind) {
	case FOUND_SERVICE:
	case FOUND_EXTERNAL:
		snprintf(out, size, "Service %s (%s, %zu ready addresses)", service, kind_text(s), service_endpoints(s));
		break;
	case FOUND_PORT:
		snprintf(out, size, "port %s %s of Service %s (%s)", label_text(wire, t.label[0]),
			 label_text(wire + p->at[1], t.label[1]), service, kind_text(s));
		break;
	case FOUND_ENDPOINT:
		snprintf(out, size, "endpoint %s of Service %s", label_text(wire, t.label[0]), service);
		break;
	case FOUND_ADDRESS:
		snprintf(out, size, "a pod's address, as its name says");
		break;
	case FOUND_APEX:
	case FOUND_NAMESERVER:
	case FOUND_VERSION:
		snprintf(out, size, "the zone's own record");
		break;
	case FOUND_EMPTY:
	case FOUND_NOTHING:
		snprintf(out, size, "a name that has others below it, but no records");
		break;
	}
}

static void explain_service(const struct zone *z, const uint8_t *wire, const struct prefix *p, char *out, size_t size)
{
	const uint8_t *name = wire + p->at[p->n - 3], *ns = wire + p->at[p->n - 2];
	const struct service *s = zone_service(z, name, (size_t)(wire + p->at[p->n - 1] - name));
	struct text t;

	label_text(ns, t.label[0]);
	label_text(name, t.label[1]);
	if (!s || !s->present)
		snprintf(out, size, "Service %s/%s does not exist%s", t.label[0], t.label[1],
			 s ? ", though it has EndpointSlices" : "");
	else if (s->kind == KIND_EXTERNAL && !service_external(s)[0])
		snprintf(out, size, "Service %s/%s has an externalName that is no DNS name", t.label[0], t.label[1]);
	else if (!service_exists(z, s))
		snprintf(out, size, "Service %s/%s (%s) has no ready endpoint", t.label[0], t.label[1], kind_text(s));
	else if (p->n == 4)
		snprintf(out, size, "Service %s/%s has no ready endpoint '%s'", t.label[0], t.label[1], label_text(wire, t.label[2]));
	else
		snprintf(out, size, "Service %s/%s (%s) has no port of this name and protocol", t.label[0], t.label[1], kind_text(s));
}

static void explain_nothing(const struct zone *z, const struct dns_query *q, const struct prefix *p, char *out, size_t size)
{
	const uint8_t *wire = q->name.wire;
	struct text t;

	snprintf(out, size, "the zone has no such name");
	if (p->n < 2 || p->n > PREFIX_LABELS_MAX)
		return;
	const uint8_t *ns = wire + p->at[p->n - 2], *last = wire + p->at[p->n - 1];
	const struct space *space = zone_space(z, ns);
	bool pod = label_is(last, "pod");
	if (pod && z->options.pods == ZONE_PODS_DISABLED)
		snprintf(out, size, "names of pods are off (pods disabled)");
	else if ((pod || label_is(last, "svc")) && (!space || !space->exists))
		snprintf(out, size, "namespace '%s' does not exist", label_text(ns, t.label[0]));
	else if ((pod || label_is(last, "svc")) && !space_exposed(space))
		snprintf(out, size, "namespace '%s' is hidden by namespace_labels", label_text(ns, t.label[0]));
	else if (pod)
		snprintf(out, size, "no pod of namespace '%s' has such an address", label_text(ns, t.label[0]));
	else if (label_is(last, "svc") && p->n > 2)
		explain_service(z, wire, p, out, size);
}

void zone_explain(const struct zone *z, const struct dns_query *q, char *out, size_t size)
{
	struct prefix p;
	struct found f;

	if (!prefix_of(&q->name, &z->options.domain, &p)) {
		snprintf(out, size, "an address, looked up among ClusterIPs and ready endpoints");
		return;
	}
	if (!zone_synced(z)) {
		snprintf(out, size, "the API server has not been heard completely yet");
		return;
	}
	zone_find(z, &q->name, &p, &f);
	if (f.kind == FOUND_NOTHING)
		explain_nothing(z, q, &p, out, size);
	else
		explain_found(q, &p, &f, out, size);
}
