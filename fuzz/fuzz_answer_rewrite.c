/* proxy_cookie_*, proxy_redirect: "domain\npath\nfrom\nto\nvalue", the value as a cookie, a Location and a Refresh. What comes out is
 * one line, and not endlessly long. */
#include "../tests/unit/ingress_fake.h"
#include "roles/ingress/config/answer_rewrites.h"
#include "roles/ingress/http/variable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINE_BYTES_MAX (64u << 10)

static void ignore(void *ctx, const char *name, const char *instead, const struct err *e)
{
	(void)ctx, (void)name, (void)instead, (void)e;
}

static char *next(struct str *rest)
{
	struct str line = str_cut(*rest, '\n', rest);

	return xstrndup(line.ptr ? line.ptr : "", line.ptr ? strnlen(line.ptr, line.len) : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "set-cookie", "location", "refresh" };
	struct str rest = { (const char *)data, size };
	struct fake f;

	fake_init(&f, "GET", "https://A.test/x?y");
	f.set.proxy_cookie_domain = next(&rest);
	f.set.proxy_cookie_path = next(&rest);
	f.set.proxy_redirect_from = next(&rest);
	f.set.proxy_redirect_to = next(&rest);
	answer_rewrites_make(&f.set, NULL, ignore, NULL);
	fake_header(&f, "x-a", "\r\nx: y");
	struct header_list *l = &f.x.ans.headers;
	struct str value = x_dup(&f.x, rest.ptr ? rest : STR(""));
	bool one_line = !value.len || (!memchr(value.ptr, '\n', value.len) && !memchr(value.ptr, '\r', value.len));
	for (size_t i = 0; one_line && i < ARRAY_LEN(names); i++)
		header_add(&f.x, l, names[i], value);
	(void)fake_answer(&f, &filter_answer_rewrite, 200);
	for (size_t i = 0; i < l->n; i++) {
		struct str v = l->at[i].value;
		assert(v.len <= MAX(LINE_BYTES_MAX, value.len));
		assert(!v.len || (!memchr(v.ptr, '\n', v.len) && !memchr(v.ptr, '\r', v.len)));
	}
	free(f.set.proxy_cookie_domain);
	free(f.set.proxy_cookie_path);
	free(f.set.proxy_redirect_from);
	free(f.set.proxy_redirect_to);
	answer_rewrites_free(f.set.answer_rewrites);
	fake_done(&f);
	return 0;
}
