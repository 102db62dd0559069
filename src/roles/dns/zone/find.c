/* A name below the zone to what it stands for. Every question passes here: one look-up, whatever comes of it. */
#include "roles/dns/zone/zone_int.h"

#include <ctype.h>

bool label_is(const uint8_t *label, const char *text)
{
	return strlen(text) == label[0] && memcmp(label + 1, text, label[0]) == 0;
}

bool prefix_of(const struct dns_name *name, const struct dns_name *zone, struct prefix *ret)
{
	size_t at = 0;

	if (name->len < zone->len)
		return false;
	ret->bytes = (size_t)name->len - zone->len;
	if (memcmp(name->wire + ret->bytes, zone->wire, zone->len) != 0)
		return false;
	for (ret->n = 0; at < ret->bytes; ret->n++) {
		if (ret->n < PREFIX_LABELS_MAX)
			ret->at[ret->n] = (uint8_t)at;
		at += 1 + (size_t)name->wire[at];
	}
	return at == ret->bytes; /* not within a label */
}

/* ---- ports ---- */

bool port_passes(const struct port_filter *f, const struct port_entry *e)
{
	if (!f->name)
		return true;
	size_t n = f->name[0] - (size_t)f->name_skip;
	return f->protocol == e->protocol && n == e->name[0] && memcmp(f->name + 1 + f->name_skip, e->name + 1, n) == 0;
}

size_t set_count(const struct service *s, const struct port_set *set, const struct port_filter *f)
{
	const uint8_t *p = port_first(s, set);
	struct port_entry e;
	size_t n = 0;

	if (!f->name)
		return MAX(set->n, (uint16_t)1);
	for (size_t i = 0; i < set->n; i++) {
		p = port_read(p, &e);
		n += port_passes(f, &e);
	}
	return n;
}

/* "_tcp", or "tcp": CoreDNS takes both. */
static uint8_t protocol_of_label(const uint8_t *label)
{
	static const char *const names[] = { [PROTOCOL_TCP] = "tcp", [PROTOCOL_UDP] = "udp", [PROTOCOL_SCTP] = "sctp" };
	size_t skip = label[0] > 1 && label[1] == '_';

	for (uint8_t i = PROTOCOL_TCP; i < ARRAY_LEN(names); i++)
		if (strlen(names[i]) == label[0] - skip && memcmp(names[i], label + 1 + skip, label[0] - skip) == 0)
			return i;
	return 0;
}

static bool has_port(const struct service *s, const struct port_filter *f)
{
	const struct port_set *sets = service_sets(s);

	if (s->kind == KIND_CLUSTER_IP)
		return set_count(s, &sets[0], f) > 0;
	for (size_t i = 1; i < s->n_sets; i++)
		if (sets[i].endpoints && set_count(s, &sets[i], f))
			return true;
	return false;
}

/* ---- services ---- */

struct members members_all(const struct service *s)
{
	return (struct members){ .n_plain = (uint16_t)service_endpoints(s) };
}

/* An endpoint whose hostname is that label, and those which have none and that address. */
static struct members find_members(const struct service *s, const uint8_t *label)
{
	uint8_t usual[DNS_LABEL_BYTES_MAX + 1];
	struct members m = { 0 };
	size_t first;

	if (s->n_named) {
		m.n_named = (uint16_t)service_find_named(s, label, &first);
		m.named_at = (uint16_t)first;
	}
	if (s->n_named == service_endpoints(s))
		return m;
	struct ip ip = ip_of_label(label);
	if (!ip.len || label_cmp(ip_label(ip.bytes, ip.len, usual), label) != 0)
		return m;
	size_t n = service_find_ip(s, ip.bytes, ip.len, &first);
	/* Among those of one address, those with a hostname come first. */
	for (; n && endpoint_host_at(s, first); n--)
		first++;
	m.plain_at = (uint16_t)first;
	m.n_plain = (uint16_t)n;
	return m;
}

bool service_exists(const struct zone *z, const struct service *s)
{
	switch ((enum service_kind)s->kind) {
	case KIND_EXTERNAL:
		return service_external(s)[0];
	case KIND_HEADLESS:
		return service_endpoints(s); /* without a ready endpoint there is no such name (kubernetes/dns#234) */
	case KIND_CLUSTER_IP:
		break;
	}
	return !z->options.ignore_empty_service || service_endpoints(s);
}

void service_find(const uint8_t *wire, const struct prefix *p, struct found *ret)
{
	const struct service *s = ret->service;

	if (p->n == 3)
		ret->kind = s->kind == KIND_EXTERNAL ? FOUND_EXTERNAL : FOUND_SERVICE;
	if (p->n == 3 || s->kind == KIND_EXTERNAL)
		return;
	if (p->n == 4) {
		ret->members = find_members(s, wire + p->at[0]);
		if (members_count(&ret->members))
			ret->kind = FOUND_ENDPOINT;
		return;
	}
	const uint8_t *name = wire + p->at[0];
	ret->port = (struct port_filter){ name, name[0] > 1 && name[1] == '_', protocol_of_label(wire + p->at[1]) };
	if (ret->port.protocol && has_port(s, &ret->port))
		ret->kind = FOUND_PORT;
}

static void find_service(const struct zone *z, const uint8_t *wire, const struct prefix *p, struct found *ret)
{
	const struct space *space;

	if (p->n == 1) {
		ret->kind = FOUND_EMPTY;
		return;
	}
	if (p->n == 2) {
		space = zone_space(z, wire);
		ret->kind = space && space_exposed(space) ? FOUND_EMPTY : FOUND_NOTHING;
		return;
	}
	if (p->n > PREFIX_LABELS_MAX)
		return;
	size_t at = p->at[p->n - 3];
	ret->service = zone_service(z, wire + at, p->at[p->n - 1] - at);
	if (ret->service && service_visible(ret->service) && service_exists(z, ret->service))
		service_find(wire, p, ret);
}

/* ---- pods ---- */

static bool pod_in(const struct zone *z, const struct ip *ip, const uint8_t *ns)
{
	struct pods_search s = pods_search(&z->pods, ip);

	for (const struct pod *p; (p = pods_next(&s));)
		if (memcmp(p->bytes, ns, 1 + (size_t)ns[0]) == 0)
			return true;
	return false;
}

static void find_pod(const struct zone *z, const uint8_t *wire, const struct prefix *p, struct found *ret)
{
	if (p->n == 1) {
		ret->kind = FOUND_EMPTY;
		return;
	}
	if (z->options.pods == ZONE_PODS_DISABLED || p->n > 3)
		return;
	const uint8_t *ns = wire + p->at[p->n - 2];
	const struct space *space = zone_space(z, ns);
	if (!space || !space_exposed(space))
		return;
	if (p->n == 2) {
		ret->kind = FOUND_EMPTY;
		return;
	}
	ret->ip = ip_of_label(wire);
	if (ret->ip.len && (z->options.pods == ZONE_PODS_INSECURE || pod_in(z, &ret->ip, ns)))
		ret->kind = FOUND_ADDRESS;
}

/* ---- the zone ---- */

const struct service *zone_own_service(const struct zone *z)
{
	static const uint8_t key[] = "\10kube-dns\13kube-system";
	const struct service *s = zone_service(z, key, sizeof(key) - 1);

	return s && service_visible(s) && s->kind == KIND_CLUSTER_IP && (s->n_a || s->n_aaaa) ? s : NULL;
}

void zone_find(const struct zone *z, const struct dns_name *name, const struct prefix *p, struct found *ret)
{
	const uint8_t *wire = name->wire, *last;

	ret->kind = FOUND_NOTHING;
	ret->port.name = NULL;
	if (p->n == 0) {
		ret->kind = FOUND_APEX;
		return;
	}
	if (p->n > PREFIX_LABELS_MAX)
		return;
	last = wire + p->at[p->n - 1];
	if (label_is(last, "svc")) {
		find_service(z, wire, p, ret);
	} else if (label_is(last, "pod")) {
		find_pod(z, wire, p, ret);
	} else if (label_is(last, "dns-version")) {
		ret->kind = p->n == 1 ? FOUND_VERSION : FOUND_NOTHING;
	} else if (label_is(last, "dns") && p->n == 2 && label_is(wire, "ns")) {
		ret->kind = FOUND_NAMESERVER;
	} else if (label_is(last, "dns") && p->n == 1) {
		ret->kind = FOUND_EMPTY;
	}
}
