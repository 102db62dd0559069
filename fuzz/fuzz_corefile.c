/* A Corefile's text, without files to import: words keep to their lines, and what is read once is read the same again. */
#include "roles/dns/config/corefile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct err e = { 0 };
	struct corefile *c = corefile_parse(text, "Corefile", NULL, &e), *again;
	uint64_t number;

	if (!c) {
		if (strncmp(e.message, "Corefile:", 9) != 0)
			abort();
		return 0;
	}
	again = corefile_parse(text, "Corefile", NULL, &e);
	if (!again || again->digest != c->digest || again->n_blocks != c->n_blocks)
		abort();
	for (size_t b = 0; b < c->n_blocks; b++)
		for (size_t i = 0; i < c->blocks[b].n; i++) {
			const struct directive *d = &c->blocks[b].directives[i];
			if (d->head.n == 0 || d->head.words[d->head.n])
				abort();
			for (size_t j = 0; j < d->n_body; j++)
				if (d->body[j].n == 0 || d->body[j].words[d->body[j].n])
					abort();
			for (size_t j = 0; j < d->head.n; j++)
				if (directive_duration_ms(d->head.words[j], 1000, &number) && number > 1000)
					abort();
		}
	corefile_free(again);
	corefile_free(c);
	return 0;
}
