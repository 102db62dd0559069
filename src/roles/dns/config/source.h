/* source.h - where the role's configuration comes from, and when it changes: a file (--corefile), a ConfigMap
 * (--dns-configmap), or else what is built in.
 *
 * A file and what it imports are looked at again as its `reload` says; without one, never. Also when a certificate of a `tls`
 * directive has changed. A ConfigMap is watched. Main thread.
 */
#pragma once

#include "roles/dns/config/config.h"

#define DNS_CONFIGMAP_KEY "Corefile"
#define DNS_CONFIGMAP_FOLDER "/etc/coredns" /* what is imported in a ConfigMap's text is relative to this, as where CoreDNS mounts it */

struct dns_source;
struct dns_source_handlers {
	/* A right one, not yet published: it is the callee's. */
	void (*config)(void *ctx, struct dns_config *c);
	/* One that is wrong, or not there: what was before stays. Once for each thing that is wrong. */
	void (*error)(void *ctx, const char *text);
};
/* From a file, or built in: calls config() before it returns, or fails. From a ConfigMap: calls config() when it was seen; with what is
 * built in if it is wrong, not there, or not told by the API server within 4 s. `scope` is copied, what it points to is borrowed. */
struct dns_source *dns_source_new(struct dns_shared *s, const struct plugin_scope *scope, const struct dns_source_handlers *h, void *ctx,
				  struct err *e) must_check;
void dns_source_free(struct dns_source *s); /* NULL is nothing */
