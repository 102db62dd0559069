/* bufsize.c - the most that an answer over UDP may have, whatever the asker says. CoreDNS' plugin/bufsize. */
#include "roles/dns/plugin/reply.h"

#define BUFSIZE_MAX 4096 /* CoreDNS' */

struct bufsize {
	uint16_t bytes;
};

static int bufsize_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct bufsize *b = xcalloc(1, sizeof(*b));
	uint64_t v = DNS_UDP_BYTES_MAX;

	(void)scope;
	*settings = b;
	if (d->head.n > 2 || (d->head.n == 2 && !directive_number(d->head.words[1], DNS_UDP_BYTES_MIN, BUFSIZE_MAX, &v)))
		return directive_error(e, &d->head, "bufsize", "is one number of bytes, %d to %d", DNS_UDP_BYTES_MIN, BUFSIZE_MAX);
	b->bytes = (uint16_t)v;
	return 0;
}

static enum plugin_verdict bufsize_guard(struct plugin_instance *i, struct dns_worker *w, const struct dns_client *c,
					 struct dns_query *q, struct dns_edns_reply *reply, struct plugin_refusal *ret)
{
	const struct bufsize *b = i->settings;

	(void)w;
	(void)c;
	(void)reply;
	(void)ret;
	q->udp_bytes = MIN(q->udp_bytes, b->bytes);
	return PLUGIN_NEXT;
}

/* The kernel's answers know one limit, which is ours. */
static bool bufsize_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	const struct bufsize *b = i->settings;

	(void)zone;
	return b->bytes < DNS_UDP_BYTES_MAX;
}

const struct plugin plugin_bufsize = {
	.name = "bufsize",
	.args = "[SIZE]",
	.doc = "the most bytes of an answer over UDP, 512 to 4096; 1232 unless given, and never more than that: larger ones are "
	       "lost on paths that do not take fragments",
	.once = true,
	.parse = bufsize_parse,
	.free_settings = free,
	.guard = bufsize_guard,
	.touches = bufsize_touches,
};
