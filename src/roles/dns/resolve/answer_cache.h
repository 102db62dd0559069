/* answer_cache.h - answers kept as whole messages, each under the very question it answers; shared by all workers.
 *
 * Many shards with a lock and least-recently-used lists of their own: two workers rarely meet. Entries and bytes are bounded.
 * No I/O and no clock. RFC 2308 (denials), 8767 (what has expired is better than nothing). A denial only counts for its own
 * name and type, not for names below it (RFC 8020): servers that deny names which only have others below them are too common,
 * and nobody here has checked a signature.
 */
#pragma once

#include "codec/dns.h"

#define ANSWER_CACHE_SHARDS 32
#define ANSWER_CACHE_ENTRIES 9984     /* of each kind: CoreDNS' default */
#define ANSWER_CACHE_ENTRIES_MAX (4u << 20)
#define ANSWER_CACHE_ENTRY_BYTES 512  /* on average, at most: with the default 5 MB of each kind */
#define ANSWER_CACHE_REFRESH_MS 10000 /* a refresh that took this long is taken for lost */

enum answer_kind { ANSWER_SUCCESS, ANSWER_DENIAL };
#define ANSWER_KINDS 2

struct answer_cache_options {
	size_t entries[ANSWER_KINDS];
	bool keep_ttl;		     /* TTLs are given out as they came */
	uint64_t stale_ms;	     /* what expired less than this ago is still there; 0: not */
	uint32_t stale_ttl;	     /* what such answers are given out with, seconds */
	bool prefer_positive;	     /* a denial does not replace what is still there */
	uint32_t prefetch_hits;	     /* from so many on an answer that is about to expire is to be refreshed; 0: never */
	uint64_t prefetch_gap_ms;    /* with no longer between two of them */
	unsigned prefetch_percent;   /* of its TTL are left */
};
struct answer_cache;
struct answer_cache *answer_cache_new(const struct answer_cache_options *o);
void answer_cache_free(struct answer_cache *c); /* NULL is nothing */
void answer_cache_entries(struct answer_cache *c, size_t ret[ANSWER_KINDS]);

/* What an answer is, and for how many seconds it says it may be kept. False: it may not be kept as success or denial
 * (truncated, a failure, a denial without SOA, a TTL of 0 ; for SERVFAIL the caller decides). */
bool answer_judge(const struct dns_message *m, enum answer_kind *ret_kind, uint32_t *ret_ttl) must_check;
/* Writes this TTL into every record. */
void answer_set_ttls(const struct dns_message *m, uint8_t *bytes, uint32_t ttl);

/* How many entries more, or fewer, there are now; how many had to go for others. */
struct answer_cache_change {
	int entries[ANSWER_KINDS];
	unsigned evicted[ANSWER_KINDS];
};

enum answer_state { ANSWER_NONE, ANSWER_FRESH, ANSWER_STALE };
struct answer_found {
	enum answer_state state;
	enum answer_kind kind;
	size_t len;
	bool refresh; /* whoever is told so asks again, then puts, or says that it failed */
	bool wait;    /* stale, and no refresh failed lately */
	struct answer_cache_change change;
};
/* Copies the answer to this question (name, type, class, DO and CD) into `out`, its TTLs counted down. Any thread. */
void answer_cache_get(struct answer_cache *c, const struct dns_query *q, uint64_t now_ms, uint8_t out[DNS_MESSAGE_BYTES_MAX],
		      struct answer_found *ret);
/* Keeps it for `ttl` seconds, unless what is there is better. `m` is about `q`. */
void answer_cache_put(struct answer_cache *c, const struct dns_query *q, const struct dns_message *m, enum answer_kind kind,
		      uint32_t ttl, uint64_t now_ms, struct answer_cache_change *ret);
/* What is not there is asked for by one worker: true for the one that shall ask (`owner` tells workers apart), false for others
 * while it does. Ends with answer_cache_put, answer_cache_release, or after this time. */
#define ANSWER_CACHE_CLAIM_MS 1000
#define ANSWER_CACHE_CLAIMS 16 /* of a shard; more are asked for by everybody */
bool answer_cache_claim(struct answer_cache *c, const struct dns_query *q, unsigned owner, uint64_t now_ms) must_check;
bool answer_cache_is_claimed(struct answer_cache *c, const struct dns_query *q, unsigned owner, uint64_t now_ms); /* by another one */
void answer_cache_release(struct answer_cache *c, const struct dns_query *q);
/* A refresh failed: no other for that long. */
void answer_cache_refresh_failed(struct answer_cache *c, const struct dns_query *q, uint64_t now_ms, uint64_t recheck_ms);
