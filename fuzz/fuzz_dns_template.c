#include "roles/dns/plugin/template_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct regex *expression;
	struct name_groups match;
	struct err e;
	struct buf out;

	if (!expression)
		expression = name_regex_new("^(?P<a>[0-9a-f]+)-(?P<b>.*?)(x)?[.]", &e);
	char *text = xstrndup((const char *)data, size);
	struct template_text *t = template_text_new(text, (const struct regex *const *)&expression, 1, &e);
	if (t && name_regex_match(expression, STR("7f-web.example."), &match)) {
		struct template_values v = { .name = "7f-web.example.", .zone = "example.", .class = "IN", .type = "A", .remote = "::1",
					     .regex = "^", .question_name = "x.", .expression = expression, .match = &match };
		buf_init(&out, 4096);
		if (template_text_expand(t, &v, &out, &e) == 0 && out.len > 4096)
			abort();
		buf_done(&out);
	}
	template_text_free(t);
	free(text);
	return 0;
}
