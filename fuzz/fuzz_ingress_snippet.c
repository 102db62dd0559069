/* Snippets of annotations: whatever the text, an error or a program whose blocks lie inside it. */
#include "roles/ingress/config/snippet_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(freep) char *text = xstrndup((const char *)data, size);
	struct err e;
	struct snippet *s = snippet_new(text, &e);

	for (size_t i = 0; s && i < s->n; i++) {
		assert(s->at[i].parent <= s->n_ifs);
		assert(s->at[i].kind != ST_IF || (s->at[i].next > i && s->at[i].next <= s->n));
		assert(s->at[i].kind != ST_SET || s->at[i].index < s->n_sets);
	}
	snippet_free(s);
	return 0;
}
