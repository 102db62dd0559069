/* admin.h - what operators ask the role over HTTP: --dns-admin-address, and the listeners of prometheus, health and ready.
 *
 *   /metrics  Prometheus      /health  the process turns its loop     /ready  zones are synced, not going away
 *   /query    ?name=&type=&pod=NS/POD|client=IP&proto=   how an answer comes about, as JSON
 *   /log      ?name=&client=&rcode=   questions as they are answered, a JSON object a line, until the reader goes
 *   /top      ?seconds=        what was asked during these seconds, for `portico dns top`
 * Main thread. No authentication: the default address is loopback, and nothing here changes anything.
 */
#pragma once

#include "base/err.h"
#include "net/addr.h"
#include "roles/dns/worker.h"

struct dns_admin;
/* `fd` listens and is taken. `paths` limits what is served (NULL-terminated, NULL: all). */
struct dns_admin *dns_admin_new(struct dns_shared *s, int fd, const char *const *paths, struct err *e) must_check;
void dns_admin_free(struct dns_admin *a); /* NULL is nothing */

/* ---- listeners of plug-ins: one for each address, however many ask for it ---- */

enum dns_admin_path { ADMIN_METRICS, ADMIN_HEALTH, ADMIN_READY, ADMIN_QUERY, ADMIN_LOG, ADMIN_TOP, ADMIN_PATHS };

/* "localhost:9153", ":8080", "[::1]:8181": is it an address that one can listen on? */
bool dns_admin_address(const char *text, struct addr *ret, struct err *e) must_check;
/* From now on `path` is served there, too. */
struct dns_admin *dns_admin_share(struct dns_shared *s, const char *address, enum dns_admin_path path, struct err *e) must_check;
void dns_admin_unshare(struct dns_admin *a, enum dns_admin_path path); /* the last one closes it */
