/* nsid - tells which server answers to whom asks (RFC 5001). */
#include "codec/dns_edns.h"
#include "roles/dns/plugin/plugin.h"
#include "roles/dns/serve/request.h"

#include <unistd.h>

#define NSID_BYTES_MAX 64 /* of an answer's options, which have room for 128 */

/* Its words, joined by spaces; the host's name without any. */
static char *identifier(const struct corefile_line *l)
{
	char host[NSID_BYTES_MAX + 1] = "";
	size_t len = 0;
	char *out;

	if (l->n == 1) {
		gethostname(host, sizeof(host) - 1);
		return xstrdup(host);
	}
	for (size_t i = 1; i < l->n; i++)
		len += strlen(l->words[i]) + 1;
	out = xcalloc(1, len + 1);
	for (size_t i = 1; i < l->n; i++)
		strcat(strcat(out, i > 1 ? " " : ""), l->words[i]);
	return out;
}

static int nsid_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)scope;
	*settings = identifier(&d->head);
	if (strlen(*settings) > NSID_BYTES_MAX)
		return directive_error(e, &d->head, "nsid", "more than %u bytes", NSID_BYTES_MAX);
	return 0;
}

static enum plugin_verdict nsid_guard(struct plugin_instance *i, struct dns_worker *w, const struct dns_client *c, struct dns_query *q,
				      struct dns_edns_reply *reply, struct plugin_refusal *ret)
{
	(void)w;
	(void)c;
	(void)ret;
	if (q->edns && q->options.len)
		for (struct dns_edns_option o = { 0 }; dns_edns_next(q->options, &o);)
			if (o.code == DNS_OPTION_NSID) {
				(void)!dns_edns_put(reply, DNS_OPTION_NSID, i->settings, strlen(i->settings));
				break;
			}
	return PLUGIN_NEXT;
}

const struct plugin plugin_nsid = {
	.name = "nsid",
	.args = "[TEXT…]",
	.doc = "tells clients that ask for it (EDNS option 3) which server answers: TEXT, or the host's name",
	.once = true,
	.parse = nsid_parse,
	.free_settings = free,
	.guard = nsid_guard,
};
