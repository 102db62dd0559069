/* A request's parts for the filter by rules: the first byte says which, the second the level. */
#include "roles/ingress/filter/waf.h"
#include "roles/ingress/filter/waf_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=B",
					     "text/xml", "multipart/mixed; x=\"a\\\"b\" ; boundary=\"B\"" };
	struct waf_result r;
	struct str boundary;
	if (size < 2)
		return 0;
	struct str in = { (const char *)data + 2, size - 2 };
	waf_result_init(&r, data[1]);
	if (data[0] < ARRAY_LEN(types)) {
		enum waf_body_type t = waf_body_type(str_of(types[data[0]]), &boundary);
		waf_inspect_body(&r, t, boundary, in, data[1] & 4);
	} else if (data[0] < 32) {
		waf_inspect(&r, data[0] % WAF_TARGETS, STR("x-any"), in, data[1] & 4);
	} else if (data[0] < 64) {
		waf_inspect_cookies(&r, in);
	} else if (data[0] < 96) {
		waf_body_type(in, &boundary);
	} else {
		waf_inspect_args(&r, WAF_QUERY_ARG, in);
	}
	unsigned ids[4], score = 0;
	size_t n = waf_matched(&r, ids, 4);
	for (size_t i = 0; i < n_waf_rules; i++)
		score += r.matched.word[i / 64] >> i % 64 & 1 ? waf_rules[i].severity : 0;
	if (score != r.score || (n == 0) != (score == 0))
		abort();
	return 0;
}
