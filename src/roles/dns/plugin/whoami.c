/* whoami.c - tells the asker what address and port he came from. CoreDNS' plugin/whoami. */
#include "roles/dns/plugin/net_set.h"
#include "roles/dns/plugin/reply.h"

#include <arpa/inet.h>

static int whoami_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)scope;
	(void)settings;
	return d->head.n > 1 ? directive_error(e, &d->head, "whoami", "takes no arguments") : 0;
}

static uint16_t port_of(const struct addr *a)
{
	return a->ss.ss_family == AF_INET6 ? ntohs(((const struct sockaddr_in6 *)&a->ss)->sin6_port) :
					     ntohs(((const struct sockaddr_in *)&a->ss)->sin_port);
}

static enum plugin_verdict whoami_ask(struct request *r, struct plugin_instance *i)
{
	const char *label = r->client.proto == DNS_UDP ? "\4_udp" : "\4_tcp";
	const uint16_t port = port_of(&r->client.addr);
	const uint8_t srv[] = { 0, 0, 0, 0, (uint8_t)(port >> 8), (uint8_t)port, 0 };
	struct dns_rdata rd = { .fixed = srv, .fixed_len = sizeof(srv) };
	struct dns_name owner = { .labels = r->query.name.labels + 1 };
	struct dns_writer w;
	uint8_t ip[16];

	(void)i;
	net_ip(&r->client.addr, ip);
	reply_start(r, &w);
	if (net_ip_is_4(ip))
		reply_put(&w, DNS_ADDITIONAL, DNS_A, 0, ip + 12, 4);
	else
		reply_put(&w, DNS_ADDITIONAL, DNS_AAAA, 0, ip, 16);
	if (r->query.name.len + 5 <= DNS_NAME_BYTES_MAX) {
		memcpy(owner.wire, label, 5);
		memcpy(owner.wire + 5, r->query.name.wire, r->query.name.len);
		owner.len = r->query.name.len + 5;
		dns_put_named(&w, DNS_ADDITIONAL, &owner, DNS_SRV, 0, &rd);
	}
	reply_finish(r, &w, DNS_NOERROR, true, FROM_PLUGIN);
	return PLUGIN_ANSWERED;
}

/* It comes behind everything that answers. */
static bool whoami_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	(void)i;
	(void)zone;
	return false;
}

const struct plugin plugin_whoami = {
	.name = "whoami",
	.doc = "answers every question with the asker's address (A or AAAA) and port (SRV) in the additional section",
	.once = true,
	.parse = whoami_parse,
	.ask = whoami_ask,
	.touches = whoami_touches,
};
