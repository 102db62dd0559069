#include "roles/apiserver/page.h"

#include "codec/jx.h"
#include "codec/base64url.h"

#include <stdio.h>

#define TOKEN_BYTES_MAX 4096

char *page_token_make(uint64_t rv, const char *ns, const char *name)
{
	cleanup(json_decrefp) json_t *v = json_pack("{s:s,s:I,s:s,s:s}", "v", "meta.k8s.io/v1",
						    "rv", (json_int_t)rv, "ns", ns, "start", name);
	cleanup(freep) char *text = jx_dump_text(v);
	struct buf b;

	buf_init(&b, TOKEN_BYTES_MAX);
	base64url_put(&b, str_of(text));
	return buf_take(&b);
}

int page_token_parse(const char *text, struct page_token *ret_token, struct err *e)
{
	struct page_token t = { 0 };
	struct buf b;
	json_t *v = NULL;

	buf_init(&b, TOKEN_BYTES_MAX);
	if (base64url_decode(str_of(text), &b) == 0)
		v = jx_parse(buf_str(&b), TOKEN_BYTES_MAX, e);
	buf_done(&b);
	const char *ns = jx_str(v, "ns"), *name = jx_str(v, "start");
	int64_t rv = jx_int(v, "rv", -1);
	bool ok =
		ns && name && rv > 0 && strlen(ns) < sizeof(t.ns) && strlen(name) < sizeof(t.name);

	if (ok) {
		t.rv = (uint64_t)rv;
		snprintf(t.ns, sizeof(t.ns), "%s", ns);
		snprintf(t.name, sizeof(t.name), "%s", name);
		*ret_token = t;
	}
	json_decref(v);
	return ok ? 0 : err_set(e, ERR_BAD_REQUEST, "continue key is not valid");
}
