#include "roles/ingress/filter/filters.h"

const struct filter *const all_filters[] = {
	&filter_compress, &filter_headers, &filter_pace, &filter_trace, &filter_auth_tls, &filter_block, &filter_app_root, &filter_cors,
	&filter_snippet, &filter_redirect, &filter_limits, &filter_access, &filter_waf, &filter_basic_auth, &filter_digest_auth,
	&filter_jwt, &filter_auth_url, &filter_access_end, &filter_mirror,
	&filter_answer_rewrite, &filter_custom_errors, NULL,
};

struct filter_use *filters_for(const struct location *loc, const struct globals *g)
{
	static struct filter_use none[1];
	struct filter_use uses[ARRAY_LEN(all_filters)] = { 0 };
	size_t n = 0;

	for (size_t i = 0; all_filters[i]; i++)
		if (all_filters[i]->wanted(loc, g))
			uses[n++].filter = all_filters[i];
	if (n == 0)
		return none;
	struct filter_use *out = xcalloc(n + 1, sizeof(*out));
	memcpy(out, uses, n * sizeof(*out));
	return out;
}
