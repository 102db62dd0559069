/* admin.h - what operators ask the role over HTTP: --dns-admin-address, and the listeners of prometheus, health and ready.
 *
 *   /metrics  Prometheus      /health  the process turns its loop     /ready  zones are synced, not going away
 *   /query    ?name=&type=&client=&proto=   how an answer comes about, as JSON
 *   /log      ?follow=1&name=&client=       questions as they are answered, a JSON object a line
 *   /top      ?seconds=                     per-name statistics, for `portico dns top`
 * Main thread. No authentication: the default address is loopback, and nothing here changes anything.
 */
#pragma once

#include "roles/dns/worker.h"

struct dns_admin;
/* `fd` listens and is taken. `paths` limits what is served (NULL-terminated, NULL: all). */
struct dns_admin *dns_admin_new(struct dns_shared *s, int fd, const char *const *paths, struct err *e) must_check;
void dns_admin_free(struct dns_admin *a); /* NULL is nothing */
