/* limits.h - rates and concurrency per client, shared by all workers: nginx's limit_req and limit_conn.
 *
 * A limiter is a hash in shards with a lock each; a state is found, changed and let go under one of them. It never holds
 * more than LIMIT_STATES_MAX states. When rates' are full, those unused for longest make room; when connections' are
 * full, newcomers are refused: both as nginx's zones do.
 */
#pragma once

#include "base/base.h"

#define LIMIT_STATES_MAX (1u << 18) /* 16 MiB; an ingress-nginx zone (5 MiB) has 81,920. A state that is evicted among so
				     * many clients has mostly been idle long enough to have drained */

/* Who is limited, by which Ingress: a digest. */
struct limit_key {
	uint64_t word[2];
};
struct limit_key limit_key_make(const char *ns, const char *ingress, struct str client);

/* ngx_http_limit_req_module: a bucket that leaks `rate` thousandths of a request per second and overflows at `burst`
 * thousandths above the request that is being asked for (nodelay). */
enum limit_kind { LIMIT_PER_SECOND, LIMIT_PER_MINUTE, LIMIT_CONNECTIONS };
struct limit_rate {
	enum limit_kind kind;
	uint64_t rate, burst;
};
/* limit-rps or limit-rpm and limit-burst-multiplier, in nginx's integers. */
struct limit_rate limit_rate_make(enum limit_kind kind, unsigned limit, unsigned burst_multiplier);

struct limiter;
struct limiter *limiter_new(size_t states_max);
void limiter_free(struct limiter *l); /* NULL is nothing */
/* Counts one request at every rate, or at none when one of them is exceeded: false. `now_ms` may differ a little between
 * workers. Any thread. */
bool limiter_request(struct limiter *l, const struct limit_key *k, const struct limit_rate *rates, size_t n, uint64_t now_ms)
	must_check;
/* One more at a time; false when there are `max` already, or no room. limiter_leave gives a place back. Any thread. */
bool limiter_enter(struct limiter *l, const struct limit_key *k, unsigned max) must_check;
void limiter_leave(struct limiter *l, const struct limit_key *k);
size_t limiter_states(struct limiter *l);
