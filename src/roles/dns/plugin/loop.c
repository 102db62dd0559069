/* loop.c - questions that come back to who forwarded them.
 *
 * Each upstream is sent a question that nobody else asks (forward.c, resolve/ways.c). Seeing it here means that the upstream
 * asks us, directly or not: it gets no more questions. CoreDNS ends itself in that case, and its pod crashes in a loop.
 */
#include "roles/dns/plugin/loop.h"

#include "base/log.h"
#include "roles/dns/plugin/forward.h"
#include "roles/dns/serve/request.h"

enum { HINFO = 13 };

static int loop_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)scope, (void)settings;
	return d->head.n == 1 ? 0 : directive_error(e, &d->head, "loop", "takes no arguments");
}

static void found(const char *upstream, const struct dns_block *b)
{
	log_error("loop: what is forwarded to upstream=%s comes back to server=%s: it gets no more questions. Take it out of the "
		  "forward directive, or name the resolvers it should have asked (systemd-resolved's are in "
		  "/run/systemd/resolve/resolv.conf)", upstream, b->server);
}

static enum plugin_verdict loop_question(struct request *r, struct plugin_instance *i)
{
	struct forward *f;
	bool is_probe = false;

	if (r->query.type != HINFO || r->parent)
		return PLUGIN_NEXT;
	f = dns_block_settings(i->block, &plugin_forward);
	for (size_t k = 0; f && k < f->n && !is_probe; k++) {
		const char *upstream = forwarder_probe_seen(f->rules[k].forwarder, &r->query.name, &is_probe);
		if (upstream)
			found(upstream, i->block);
	}
	return is_probe ? PLUGIN_DROP : PLUGIN_NEXT;
}

static bool loop_touches(const struct plugin_instance *i, const struct dns_name *zone)
{
	(void)i, (void)zone;
	return false;
}

const struct plugin plugin_loop = {
	.name = "loop",
	.args = "",
	.doc = "Finds upstreams that ask us what we ask them, at the start: they are named in the log and get no more questions. "
	       "(CoreDNS ends itself.)",
	.parse = loop_parse,
	.ask = loop_question,
	.touches = loop_touches,
};
