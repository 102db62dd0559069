/* page.h - the continue tokens of paged lists: where the next page begins, and the state it is
 * taken from.
 *
 * The form is k8s.io/apiserver's (pkg/storage/continue.go), opaque to clients.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define PAGE_NAME_BYTES 254 /* a DNS subdomain and its NUL */
struct page_token {
	uint64_t rv;
	char ns[PAGE_NAME_BYTES], name[PAGE_NAME_BYTES]; /* the last object of the page before */
};
char *page_token_make(uint64_t rv, const char *ns, const char *name); /* on the heap */
int page_token_parse(const char *text, struct page_token *ret_token, struct err *e) must_check;
