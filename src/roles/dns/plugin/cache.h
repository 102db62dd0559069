/* cache.h - the settings of a block's `cache` directive. */
#pragma once

#include "roles/dns/plugin/zone_set.h"
#include "roles/dns/resolve/answer_cache.h"

#define CACHE_TTL_MAX_S 3600	     /* CoreDNS' */
#define CACHE_DENIAL_TTL_MAX_S 1800  /* CoreDNS' */
#define CACHE_TTL_MIN_S 5	     /* CoreDNS'; but a TTL of 0 is obeyed */
#define CACHE_SERVFAIL_S 5
#define CACHE_SERVFAIL_MAX_S 300     /* RFC 2308, 7.1 */
#define CACHE_PREFETCH_GAP_MS 60000
#define CACHE_PREFETCH_PERCENT 10
#define CACHE_STALE_MS 3600000	     /* CoreDNS' */
#define CACHE_STALE_WAIT_MS 1800     /* RFC 8767, 5: the client response timer */
#define CACHE_STALE_TTL_S 30	     /* RFC 8767, 4 */
#define CACHE_STALE_RECHECK_MS 30000 /* RFC 8767, 5: the failure recheck timer */

struct cache_settings {
	struct answer_cache_options o;
	struct zone_set zones;			 /* only names below these */
	struct zone_set except[ANSWER_KINDS];	 /* disable */
	uint32_t ttl_max_s[ANSWER_KINDS], ttl_min_s[ANSWER_KINDS], servfail_s;
	bool ttl_min_given[ANSWER_KINDS];
	bool stale_first;			 /* serve_stale immediate */
	uint64_t stale_wait_ms, stale_recheck_ms;
};
extern const struct plugin plugin_cache;
int cache_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e) must_check;
void cache_free(void *settings);
extern const struct plugin_property cache_properties[];
