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

/* Calls fn(ctx, i) inside the namespace nsids[i], for each that is found. The calling thread enters them and
 * returns: CAP_SYS_ADMIN. fn's failure ends the visit. */
int netns_visit(const int32_t *nsids, size_t n, int (*fn)(void *ctx, size_t i, struct err *e), void *ctx,
		struct err *e) must_check;
/* ret_cookies[i] is 0 for what was not found. */
int netns_cookies(const int32_t *nsids, size_t n, uint64_t *ret_cookies, struct err *e) must_check;
