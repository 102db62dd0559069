/* auth_cache.h - answers of auth-url that are remembered (auth-cache-key, auth-cache-duration), by the rules of nginx's
 * proxy_cache as ingress-nginx's template uses it: ngx_http_proxy_module's documentation, RFC 9111.
 *
 * An answer belongs to one path of one Ingress and one record of its settings: when they change, it is not found any more.
 * Requests that miss at the same time all ask (there, too: no proxy_cache_lock). Nothing is served after its time.
 */
#pragma once

#include "roles/ingress/http/exchange.h"

/* ---- what settings ask for ---- */
#define AUTH_CACHE_TIMES_MAX 64 /* statuses with a time: more than any service answers with */
/* "200 202 10m, 401 5m": statuses or `any`, then one time with its unit; without statuses 200, 301 and 302 are meant. */
bool auth_cache_durations_ok(struct str text);

/* The key, parsed, and the times. No other policy of this process has or had its number. */
struct auth_cache_policy;
/* Both were found right before; `durations` without any is "200 202 401 5m". */
struct auth_cache_policy *auth_cache_policy_new(const char *key, const char *durations);
void auth_cache_policy_free(struct auth_cache_policy *p); /* NULL is nothing */

#define AUTH_CACHE_VARY_BYTES_MAX 128 /* nginx's: an answer with a longer Vary is not remembered */
/* For how long an answer counts: by its X-Accel-Expires, Cache-Control or Expires, else by the durations. 0: it is not
 * remembered, as nothing with Set-Cookie is. now_s: since 1970. `ret_vary`: the names of its Vary. */
uint64_t auth_cache_life_ms(const struct auth_cache_policy *p, int status, struct http_headers headers, int64_t now_s,
			    char ret_vary[AUTH_CACHE_VARY_BYTES_MAX + 1]);

/* ---- what is remembered, by all workers for all ---- */
#define AUTH_CACHE_BYTES_MAX (32u << 20)       /* of all; those unused for longest make room. Some 100,000 answers */
#define AUTH_CACHE_ENTRY_BYTES_MAX (16u << 10) /* of one: a longer one is not remembered */
#define AUTH_CACHE_KEY_BYTES_MAX (64u << 10)   /* of a key's text: a longer one is not looked for. Heads end before it */
#define AUTH_CACHE_IDLE_MS (30u * 60 * 1000)   /* unused for so long, an answer is forgotten: the template's `inactive` */

/* What the verdict and its headers need. */
struct auth_answer {
	int status;
	struct http_headers forward, www_authenticate;
};
struct auth_cache_key {
	uint8_t sha256[32]; /* finding another text with it is what TLS rests on, too */
};
/* Of x, which has a location. false: it has none, being too long. */
bool auth_cache_key_of(struct exchange *x, const struct auth_cache_policy *p, struct auth_cache_key *ret) must_check;

struct auth_cache; /* any thread */
struct auth_cache *auth_cache_new(void);
void auth_cache_free(struct auth_cache *c); /* NULL is nothing */
size_t auth_cache_count(const struct auth_cache *c);
/* false: nobody knows. The answer is of x's arena; times are CLOCK_MONOTONIC's. */
bool auth_cache_find(struct auth_cache *c, const struct auth_cache_key *k, struct exchange *x, uint64_t now_ms,
		     struct auth_answer *ret) must_check;
void auth_cache_put(struct auth_cache *c, const struct auth_cache_key *k, struct exchange *x, const struct auth_answer *a,
		    const char *vary, uint64_t now_ms, uint64_t life_ms);
