/* cache.h - answers of upstream servers, kept as long as they allow. Never used for the cluster's
 * own zone. */
#pragma once

#include "codec/dns.h"

struct dns_cache;
struct dns_cache *old_dns_cache_new(void);
void old_dns_cache_free(struct dns_cache *c); /* NULL is nothing */

/* What tells one kept answer from another: name, type, class and how it was asked. */
struct dns_cache_key {
	uint8_t bytes[DNS_NAME_BYTES_MAX + 5];
};
struct str old_dns_cache_key(const struct dns_query *q, struct dns_cache_key *out);

/* Keeps the answer if its TTLs and rcode allow it. */
void old_dns_cache_put(struct dns_cache *c, struct str key, const struct dns_message *m,
		   uint64_t now_ms);
/* Copies the answer into `out`, its TTLs counted down. False: there is none, or it is too old. */
bool old_dns_cache_get(struct dns_cache *c, struct str key, uint64_t now_ms,
		   uint8_t out[DNS_MESSAGE_BYTES_MAX], struct dns_message *ret) must_check;
