/* The first line of a request to the API server: path, options and Accept. */
#include "roles/apiserver/negotiate.h"
#include "roles/apiserver/page.h"
#include "roles/apiserver/request_info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest, line = str_cut((struct str){ (const char *)data, size }, '\n', &rest);
	struct http_request r = { .method = STR("GET"), .target = line };
	struct request_info info;
	struct request_options o;
	struct page_token token;
	struct arena a;
	struct err e;

	r.path = str_cut(line, '?', &r.query);
	arena_init(&a, 1 << 20);
	if (request_info_parse(&r, &a, &info, &e) == 0 && info.is_resource && !info.resource)
		abort();
	if (request_options_parse(&r, &a, &o, &e) == 0 && o.continue_token &&
	    page_token_parse(o.continue_token, &token, &e) == 0 && !token.rv)
		abort();
	(void)negotiate(rest.ptr ? rest : STR(""), ALLOW_OBJECT_FORMS | ALLOW_DISCOVERY);
	arena_done(&a);
	return 0;
}
