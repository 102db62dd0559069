/* search.h - which names a pod's resolver asks for, one after the other, and what people should know about it. Pure.
 *
 * glibc's res_search(3): resolv.conf(5), search and ndots.
 */
#pragma once

#include "base/buf.h"
#include "kube/object/pod_dns.h"

#define SEARCH_NAMES_MAX (POD_DNS_LIST_MAX + 1)
#define SEARCH_NDOTS_MAX 15 /* glibc's RES_MAXNDOTS */

struct search_plan {
	char *names[SEARCH_NAMES_MAX]; /* with their last dot */
	size_t n;
	size_t as_is;	/* which of them is the name itself */
	unsigned ndots, dots;
};
/* `name` as the program wrote it. */
void search_plan_make(struct search_plan *ret, const char *name, const struct pod_dns *d);
void search_plan_done(struct search_plan *p);
/* In plain words; `found`: which name had an answer, n for none. NULL: nothing to say. On the heap. */
char *search_hint(const struct search_plan *p, size_t found);
