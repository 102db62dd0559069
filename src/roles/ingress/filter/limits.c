/* limit-rps, limit-rpm, limit-connections: what a request may cost its client at one Ingress. */
#include "roles/ingress/filter/limits.h"

#include "roles/ingress/filter/filters.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/observe/metrics.h"

#include <netinet/in.h>
#include <pthread.h>

#define LIMIT_STATUS 503   /* limit-req-status-code, limit-conn-status-code */
#define KEY_BYTES_MAX 4096 /* of limit-key's value */

/* For the whole process: a client's requests come to any worker. Apart, so that rates' states never keep a connection
 * from being counted. */
static struct limiter *rates, *connections;
static pthread_once_t limiters_once = PTHREAD_ONCE_INIT;

static void limiters_make(void)
{
	rates = limiter_new(LIMIT_STATES_MAX);
	connections = limiter_new(LIMIT_STATES_MAX);
}

static struct str address_bytes(const struct addr *a)
{
	if (a->ss.ss_family == AF_INET)
		return (struct str){ (const char *)&((const struct sockaddr_in *)&a->ss)->sin_addr, 4 };
	if (a->ss.ss_family == AF_INET6)
		return (struct str){ (const char *)&((const struct sockaddr_in6 *)&a->ss)->sin6_addr, 16 };
	return STR_NONE;
}

/* false: this one is not limited. */
static bool client_key(struct exchange *x, struct limit_key *ret)
{
	const struct settings *set = x->loc->set;
	if (cidr_list_has(&set->limit_allow, &x->req.client))
		return false;
	if (set->limit_key == NULL) {
		*ret = limit_key_make(x->loc->ns, x->loc->ingress, address_bytes(&x->req.client));
		return true;
	}
	struct buf text;
	buf_init(&text, KEY_BYTES_MAX);
	/* Too long a value counts with its beginning. As in nginx, nothing is limited by an empty one. */
	if (variable_text_write(set->limit_key, x, ESCAPE_NONE, &text) != 0 && text.len == 0)
		buf_puts(&text, "-");
	bool limited = text.len > 0;
	if (limited)
		*ret = limit_key_make(x->loc->ns, x->loc->ingress, buf_str(&text));
	buf_done(&text);
	return limited;
}

static bool limits_wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	return loc->set->limit_rps > 0 || loc->set->limit_rpm > 0 || loc->set->limit_connections > 0;
}

static enum filter_verdict limits_refuse(struct exchange *x, enum metric m, unsigned status)
{
	metrics_inc(x->worker->metrics, m);
	exchange_answer_error(x, status == 0 ? LIMIT_STATUS : (int)status);
	return FILTER_ANSWERED;
}

static bool rates_pass(struct exchange *x, const struct limit_key *k)
{
	const struct settings *set = x->loc->set;
	struct limit_rate r[2];
	size_t n = 0;
	if (set->limit_rps > 0)
		r[n++] = limit_rate_make(LIMIT_PER_SECOND, set->limit_rps, set->limit_burst_multiplier);
	if (set->limit_rpm > 0)
		r[n++] = limit_rate_make(LIMIT_PER_MINUTE, set->limit_rpm, set->limit_burst_multiplier);
	return n == 0 || limiter_request(rates, k, r, n, loop_now_ms(x->worker->loop));
}

static enum filter_verdict limits_request(struct exchange *x, void **state)
{
	const struct settings *set = x->loc->set;
	struct limit_key k;
	if (!client_key(x, &k))
		return FILTER_NEXT;
	pthread_once(&limiters_once, limiters_make);
	if (!rates_pass(x, &k))
		return limits_refuse(x, METRIC_LIMIT_REQUESTS, set->limit_req_status);
	if (set->limit_connections == 0)
		return FILTER_NEXT;
	struct limit_key *held = arena_alloc(&x->arena, sizeof(*held));
	if (held == NULL || !limiter_enter(connections, &k, set->limit_connections))
		return limits_refuse(x, METRIC_LIMIT_CONNECTIONS, set->limit_conn_status);
	*held = k;
	*state = held;
	return FILTER_NEXT;
}

static void limits_done(struct exchange *x, void **state)
{
	(void)x;
	if (*state != NULL)
		limiter_leave(connections, *state);
}

const struct filter filter_limits = {
	.name = "limits",
	.wanted = limits_wanted,
	.request = limits_request,
	.done = limits_done,
};
