/* any.c - questions of type ANY get one small record (RFC 8482, 4.2). CoreDNS' plugin/any. */
#include "roles/dns/plugin/reply.h"

#define HINFO 13
#define ANY_TTL 8482

static int any_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)scope;
	(void)settings;
	return d->head.n > 1 ? directive_error(e, &d->head, "any", "takes no arguments") : 0;
}

static enum plugin_verdict any_ask(struct request *r, struct plugin_instance *i)
{
	static const char data[] = "\15ANY obsoleted\14See RFC 8482";
	struct dns_writer w;

	(void)i;
	if (r->query.type != DNS_ANY)
		return PLUGIN_NEXT;
	reply_start(r, &w);
	reply_put(&w, DNS_ANSWER, HINFO, ANY_TTL, data, sizeof(data) - 1);
	reply_finish(r, &w, DNS_NOERROR, false, FROM_PLUGIN);
	return PLUGIN_ANSWERED;
}

const struct plugin plugin_any = {
	.name = "any",
	.doc = "questions for all types get the small answer of RFC 8482",
	.once = true,
	.parse = any_parse,
	.ask = any_ask,
};
