#include "roles/dns/plugin/chaos.h"

#include "base/version.h"

#include <unistd.h>

#define TEXT_BYTES_MAX 255 /* of a string in TXT */
#define AUTHORS_MAX 16	   /* they fit into an answer over UDP */

struct chaos {
	const char *version;
	const char *const *authors; /* NULL-terminated, of the Corefile */
};

static int chaos_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct chaos *c = *settings = xcalloc(1, sizeof(*c));

	(void)scope;
	c->version = d->head.n > 1 ? d->head.words[1] : "portico-" PORTICO_VERSION;
	c->authors = d->head.words + MIN(d->head.n, 2u);
	if (d->head.n > 2 + AUTHORS_MAX)
		return directive_error(e, &d->head, "chaos", "more than %u authors", AUTHORS_MAX);
	return 0;
}

static void put_text(struct dns_writer *w, const char *text)
{
	uint8_t rdata[1 + TEXT_BYTES_MAX];
	size_t len = MIN(strlen(text), (size_t)TEXT_BYTES_MAX);
	struct dns_rdata rd = { .fixed = rdata, .fixed_len = 1 + len };
	uint16_t at;

	rdata[0] = (uint8_t)len;
	memcpy(rdata + 1, text, len);
	at = dns_put(w, DNS_ANSWER, DNS_QUESTION_AT, DNS_TXT, 0, &rd);
	if (at)
		w->ptr[at - 7] = DNS_CLASS_CH; /* behind it: TTL and length */
}

enum what { VERSION, AUTHORS, HOST, UNKNOWN };

static enum what what_is_asked(const struct dns_name *name)
{
	static const struct {
		const char *name;
		enum what what;
	} names[] = { { "version.bind", VERSION }, { "version.server", VERSION }, { "authors.bind", AUTHORS }, { "hostname.bind", HOST }, { "id.server", HOST } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct dns_name own;
		if (dns_name_from_text(str_of(names[i].name), &own) && own.len == name->len && memcmp(own.wire, name->wire, own.len) == 0)
			return names[i].what;
	}
	return UNKNOWN;
}

size_t chaos_answer(const void *settings, const struct dns_query *q, uint8_t *out, size_t max)
{
	const struct chaos *c = settings;
	enum what what = q->type == DNS_TXT ? what_is_asked(&q->name) : UNKNOWN;
	char host[TEXT_BYTES_MAX + 1] = "localhost";
	struct dns_writer w;

	if (what == UNKNOWN)
		return dns_answer_error(out, max, q, DNS_REFUSED);
	dns_answer_start(&w, out, max, q);
	if (what == VERSION)
		put_text(&w, c->version);
	for (const char *const *a = c->authors; what == AUTHORS && *a; a++)
		put_text(&w, *a);
	if (what == HOST) {
		gethostname(host, sizeof(host) - 1);
		put_text(&w, host);
	}
	return dns_answer_finish(&w, DNS_NOERROR, true);
}

const struct plugin plugin_chaos = {
	.name = "chaos",
	.args = "[VERSION [AUTHORS…]]",
	.doc = "answers TXT questions of class CH: version.bind and version.server (VERSION; portico's without it), authors.bind, hostname.bind and id.server "
	       "(the host's name). Without it, and for other names, that class is REFUSED",
	.once = true,
	.parse = chaos_parse,
	.free_settings = free,
};
