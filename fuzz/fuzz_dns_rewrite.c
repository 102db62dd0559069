#include "roles/dns/plugin/rewrite_rule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A name goes through a rule, and what came of it through its answers. */
static void use(const struct rewrite_rule *r, const char *name)
{
	char text[DNS_NAME_TEXT_BYTES];
	struct dns_name n, zone;

	if (!r->pattern.from || !dns_name_from_text(STR("cluster.local"), &zone))
		return;
	rewrite_fits(&r->pattern, name);
	rewrite_pattern_touches(&r->pattern, &zone);
	if (!r->to || !rewrite_name(&r->pattern, r->to, name, &n))
		return;
	for (size_t i = 0; i < r->n_answers; i++)
		if (rewrite_name(&r->answers[i].pattern, r->answers[i].to, dns_name_text(&n, text), &n) &&
		    (n.len == 0 || n.wire[n.len - 1] != 0))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = xstrndup((const char *)data, size), *save = NULL;
	const char *words[64];
	struct rewrite_rule r;
	struct err e;
	size_t n = 0;

	for (char *word = strtok_r(copy, " \n", &save); word && n < ARRAY_LEN(words); word = strtok_r(NULL, " \n", &save))
		words[n++] = word;
	if (rewrite_rule_read(words, n, &r, &e) == 0) {
		use(&r, "ftp-us-west-1.service.example.org.");
		use(&r, ".");
		use(&r, "a\\.b\\000.c.");
	}
	rewrite_rule_done(&r);
	free(copy);
	return 0;
}
