/* header.c - sets and clears flags of questions and answers. CoreDNS' plugin/header. */
#include "roles/dns/plugin/reply.h"

struct header {
	uint16_t set[2], clear[2]; /* of the question, of the answer */
};

static const struct {
	const char *name;
	uint16_t flag;
	bool query, answer; /* where it can be changed */
} flags[] = {
	{ "aa", DNS_FLAG_AA, false, true },
	{ "ad", DNS_FLAG_AD, true, true },
	{ "cd", DNS_FLAG_CD, true, false },
	{ "rd", DNS_FLAG_RD, true, false },
	{ "ra", DNS_FLAG_RA, false, false },
};

static int read_flag(struct header *h, const struct corefile_line *line, const char *word, bool answer, bool set, struct err *e)
{
	size_t i = 0;

	while (i < ARRAY_LEN(flags) && strcmp(flags[i].name, word) != 0)
		i++;
	if (i == ARRAY_LEN(flags))
		return directive_error(e, line, "header", "\"%s\" is not a flag: aa, ad, cd, rd, ra are", word);
	if (flags[i].flag == DNS_FLAG_RA && answer && set)
		return 0; /* every answer has it */
	if (answer ? !flags[i].answer : !flags[i].query)
		return directive_error(e, line, "header", "%s of a %s is not for changing", word, answer ? "response" : "query");
	*(set ? &h->set[answer] : &h->clear[answer]) |= flags[i].flag;
	return 0;
}

static int header_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct header *h = xcalloc(1, sizeof(*h));

	(void)scope;
	*settings = h;
	if (d->head.n > 1 || !d->n_body)
		return directive_error(e, &d->head, "header", "needs lines as \"response set aa\" in its braces");
	for (size_t i = 0; i < d->n_body; i++) {
		const struct corefile_line *line = &d->body[i];
		bool selector = strcmp(line->words[0], "query") == 0 || strcmp(line->words[0], "response") == 0;
		bool answer = strcmp(line->words[0], "query") != 0;
		const char *action = selector ? line->words[1] : line->words[0];
		size_t first = selector ? 2 : 1;
		if (!action || (strcmp(action, "set") != 0 && strcmp(action, "clear") != 0) || line->n <= first)
			return directive_error(e, line, "header", "a line is [query|response] set|clear FLAGS…");
		for (size_t k = first; k < line->n; k++)
			if (read_flag(h, line, line->words[k], answer, action[0] == 's', e))
				return -1;
	}
	return 0;
}

static enum plugin_verdict header_ask(struct request *r, struct plugin_instance *i)
{
	const struct header *h = i->settings;

	r->query.flags = (uint16_t)((r->query.flags | h->set[0]) & ~h->clear[0]);
	return PLUGIN_NEXT;
}

static enum plugin_verdict header_answer(struct request *r, struct plugin_instance *i)
{
	const struct header *h = i->settings;
	uint8_t *p = r->answer.bytes;

	if (r->answer.len < DNS_HEADER_BYTES)
		return PLUGIN_NEXT;
	unsigned v = ((unsigned)(p[2] << 8 | p[3]) | h->set[1]) & ~(unsigned)h->clear[1];
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
	return PLUGIN_NEXT;
}

static const struct plugin_property properties[] = {
	{ "query", "set|clear FLAGS…", "of the question: rd, cd, ad" },
	{ "response", "set|clear FLAGS…", "of the answer: aa, ad; ra is set in every one" },
	{ "set", "FLAGS…", "as response set" },
	{ "clear", "FLAGS…", "as response clear" },
	{ NULL },
};
const struct plugin plugin_header = {
	.name = "header",
	.doc = "sets and clears flags of questions and answers",
	.properties = properties,
	.once = true,
	.parse = header_parse,
	.free_settings = free,
	.ask = header_ask,
	.answer = header_answer,
};
