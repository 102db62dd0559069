#include "roles/dns/kernel/choose.h"

#include "base/log.h"
#include "roles/config.h"
#include "roles/dns/config/config.h"
#include "roles/dns/nodelocal/follow.h"
#include "roles/dns/zone/cluster.h"

#include <netinet/in.h>

#define TARGETS_MAX (2 * DNS_ENDPOINTS_MAX + NODELOCAL_TARGETS_MAX + 1)

struct kernel_choice {
	struct dns_shared *shared;
	const struct dns_listen *listen;
	struct follow *follow;	       /* not in standalone: there the Service is known */
	struct nodelocal_targets service; /* of the cluster's DNS */
	struct zone *zone;	       /* referenced */
	bool looked;
};

/* ---- the zone ---- */

static const struct dns_name *domain_of(const struct dns_block *b)
{
	return &zone_options(b->direct)->domain;
}

/* Would another block be asked about some names of its zone? */
static bool shares_names(const struct dns_config *c, const struct dns_block *of)
{
	for (size_t i = 0; i < c->n_blocks; i++) {
		const struct dns_block *b = &c->blocks[i];
		for (size_t z = 0; b != of && b->transport == of->transport && b->port == of->port && z < b->n_zones; z++)
			if (dns_name_under(&b->zones[z], domain_of(of)))
				return true;
	}
	return false;
}

const struct dns_block *kernel_block(const struct dns_config *c)
{
	for (size_t i = 0; i < c->n_blocks; i++) {
		const struct dns_block *b = &c->blocks[i];
		if (b->direct && b->transport == DNS_PLAIN && !b->n_guards && !b->n_leaves && !shares_names(c, b) &&
		    dns_config_block(c, b->transport, b->port, domain_of(b)) == b)
			return b;
	}
	return NULL;
}

/* ---- the addresses ---- */

struct targets {
	struct kernel_target at[TARGETS_MAX];
	size_t n;
};

static void add(struct targets *t, const char *ip, uint16_t port)
{
	struct err e;

	if (ip && ip[0] && t->n < ARRAY_LEN(t->at) && addr_from_ip(ip, port, &t->at[t->n].addr, &e) == 0)
		t->n++;
}

static bool is_any(const struct addr *a)
{
	const struct sockaddr_in *v4 = (const void *)&a->ss;
	const struct sockaddr_in6 *v6 = (const void *)&a->ss;

	return a->ss.ss_family == AF_INET ? v4->sin_addr.s_addr == INADDR_ANY : IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

static uint16_t port_of(const struct addr *a)
{
	return ntohs(((const struct sockaddr_in *)&a->ss)->sin_port); /* IPv6 has it at the same place */
}

static void add_own(struct targets *t, const struct kernel_choice *c, uint16_t port)
{
	for (size_t i = 0; i < c->listen->n; i++) {
		const struct dns_endpoint *ep = c->listen->at[i];
		if (ep->entrance.transport != DNS_PLAIN || ep->entrance.port != port)
			continue;
		if (is_any(&ep->addr)) {
			add(t, c->shared->settings->node_ip, port_of(&ep->addr));
			add(t, c->shared->settings->node_local, port_of(&ep->addr));
		} else if (t->n < ARRAY_LEN(t->at)) {
			t->at[t->n++].addr = ep->addr;
		}
	}
}

static bool is_among(const struct targets *t, const struct nodelocal_target *which)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct sockaddr_in *v4 = (const void *)&t->at[i].addr.ss;
		if (v4->sin_family == AF_INET && v4->sin_addr.s_addr == which->addr && v4->sin_port == which->port)
			return true;
	}
	return false;
}

static void add_service(struct targets *t, const struct nodelocal_targets *service)
{
	bool ours = false;

	for (size_t i = 0; i < service->n; i++)
		ours = ours || is_among(t, &service->at[i]);
	for (size_t i = 0; ours && i < service->n && t->n < ARRAY_LEN(t->at); i++) {
		struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = service->at[i].port,
					  .sin_addr.s_addr = service->at[i].addr };
		struct addr *a = &t->at[t->n++].addr;
		memcpy(&a->ss, &v4, sizeof(v4));
		a->len = sizeof(v4);
	}
}

/* ---- both ---- */

void kernel_choice_look(struct kernel_choice *c)
{
	const struct dns_config *config = c ? c->shared->config : NULL;
	const struct dns_block *b = config ? kernel_block(config) : NULL;
	struct targets t = { .n = 0 };
	struct zone *before;

	if (!c)
		return;
	c->looked = true;
	if (b)
		add_own(&t, c, b->port);
	if (b && c->shared->settings->standalone)
		add(&t, c->shared->settings->dns_ip, DNS_PORT);
	add_service(&t, &c->service);
	before = c->zone;
	c->zone = b && t.n ? cluster_zone(c->shared->cluster, zone_options(b->direct)) : NULL;
	kernel_answers_serve(c->shared->kernel, c->shared->main_loop, c->zone, t.at, t.n);
	if (before)
		cluster_zone_put(c->shared->cluster, before);
}

static void on_service(void *ctx, const struct nodelocal_targets *t)
{
	struct kernel_choice *c = ctx;

	c->service = *t;
	if (c->looked)
		kernel_choice_look(c);
}

struct kernel_choice *kernel_choice_new(struct dns_shared *s, const struct dns_listen *l)
{
	struct kernel_choice *c = s->kernel ? xcalloc(1, sizeof(*c)) : NULL;

	if (!c)
		return NULL;
	c->shared = s;
	c->listen = l;
	if (!s->settings->standalone)
		c->follow = follow_new(s->main_loop, s->kube, true, on_service, c);
	return c;
}

void kernel_choice_free(struct kernel_choice *c)
{
	if (!c)
		return;
	follow_free(c->follow);
	kernel_answers_serve(c->shared->kernel, c->shared->main_loop, NULL, NULL, 0);
	if (c->zone)
		cluster_zone_put(c->shared->cluster, c->zone);
	free(c);
}
