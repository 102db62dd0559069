/* Label and field selectors. What parses has a canonical text that parses to the same text. */
#include "kube/object/quantity.h"
#include "kube/object/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct err e;
	struct field_selector fields;
	struct selector *s = selector_parse(text, &e);

	if (s) {
		char *canonical = selector_text(s);
		struct selector *again = selector_parse(str_of(canonical), &e);
		char *twice = again ? selector_text(again) : NULL;

		if (!twice || strcmp(canonical, twice) != 0)
			abort();
		selector_matches(s, NULL);
		free(canonical);
		free(twice);
		selector_free(again);
		selector_free(s);
	}
	if (field_selector_parse(text, &fields, &e) == 0)
		field_selector_done(&fields);

	char *quantity = quantity_canonical(text);
	if (quantity && quantity_problem(str_of(quantity)))
		abort();
	free(quantity);
	return 0;
}
