/* A resolv.conf behind a name: what is tried, and what is said about it. */
#include "roles/dns/observe/search.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct search_plan p;
	struct pod_dns d;
	struct str rest, name = str_cut((struct str){ (const char *)data, size }, '\n', &rest);

	if (size == 0)
		return 0;
	cleanup(freep) char *text = str_dup(name);
	pod_dns_parse(rest, &d);
	search_plan_make(&p, text, &d);
	for (size_t found = 0; found <= p.n; found++)
		free(search_hint(&p, found));
	search_plan_done(&p);
	pod_dns_done(&d);
	return 0;
}
