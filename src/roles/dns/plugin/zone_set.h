/* zone_set.h - the [ZONES…] of directives: which names a plug-in is responsible for, or lets fall through.
 */
#pragma once

#include "codec/dns.h"
#include "roles/dns/plugin/plugin.h"

struct zone_set {
	struct dns_name *names;
	size_t n;
};
/* Adds words[0…n); "10.0.0.0/24" and "fd00::/64" are the reverse zones of those addresses. */
int zone_set_add(struct zone_set *z, const char *const *words, size_t n, const struct corefile_line *at, const char *plugin,
		 struct err *e) must_check;
/* The zones of a directive; without words the block's. */
int zone_set_parse(struct zone_set *z, const char *const *words, size_t n, const struct corefile_line *at, const char *plugin,
		   const struct plugin_scope *scope, struct err *e) must_check;
/* `fallthrough [ZONES…]`: without zones all names do. */
int zone_set_fallthrough(struct zone_set *z, const struct corefile_line *line, const char *plugin, struct err *e) must_check;
void zone_set_done(struct zone_set *z);
/* The longest that `name` is in; NULL: none. */
const struct dns_name *zone_set_match(const struct zone_set *z, const struct dns_name *name);
/* A name of `zone` may be in one of them. */
bool zone_set_overlaps(const struct zone_set *z, const struct dns_name *zone);
