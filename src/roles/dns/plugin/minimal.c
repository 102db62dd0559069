/* minimal.c - answers without what was not asked for. CoreDNS' plugin/minimal. */
#include "roles/dns/plugin/reply.h"

static int minimal_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)scope;
	(void)settings;
	return d->head.n > 1 ? directive_error(e, &d->head, "minimal", "takes no arguments") : 0;
}

/* Denials and referrals live by their authority section: they stay as they are. */
static enum plugin_verdict minimal_answer(struct request *r, struct plugin_instance *i)
{
	struct dns_message m;
	struct dns_writer w;

	(void)i;
	if (!reply_message(r, &m) || (m.flags & DNS_FLAGS_RCODE) != DNS_NOERROR || !m.counts[DNS_ANSWER] ||
	    (!m.counts[DNS_AUTHORITY] && !m.counts[DNS_ADDITIONAL]))
		return PLUGIN_NEXT;
	reply_start(r, &w);
	reply_copy(&w, &m, true, false, false);
	reply_finish_as(r, &w, &m, r->source);
	return PLUGIN_NEXT;
}

const struct plugin plugin_minimal = {
	.name = "minimal",
	.doc = "answers that have records go out without their authority and additional sections",
	.once = true,
	.parse = minimal_parse,
	.answer = minimal_answer,
};
