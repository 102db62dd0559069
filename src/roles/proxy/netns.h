/* netns.h - which network namespace is a pod's, as the cookie by which BPF programs know it.
 *
 * The host end of a pod's veth tells the number of the other end's namespace; the namespace itself is
 * found among those that CNI runtimes keep in /run/netns, else among those of running processes.
 */
#pragma once

#include "base/err.h"

#define NETNS_SEARCH_MAX 4096 /* namespaces looked at in one search: as many pods as a large node has */

/* The calling process' own. */
int netns_cookie_own(uint64_t *ret_cookie, struct err *e) must_check;

struct netns_wanted {
	int32_t nsid;
	uint64_t cookie; /* 0 until found */
};
/* Fills in cookies; what is not found stays 0. Enters the namespaces found and returns: CAP_SYS_ADMIN. */
int netns_search(struct netns_wanted *wanted, size_t n, struct err *e) must_check;
