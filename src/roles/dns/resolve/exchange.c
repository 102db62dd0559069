/* One question, from its first try until it is answered or given up. */
#include "roles/dns/resolve/exchange_int.h"

#include "roles/dns/observe/metrics.h"

#include <stdio.h>

#define KNOWN_MS (10u * 60 * 1000) /* what an upstream was found not to do is tried again after that */
#define PATIENCE_DOUBLINGS 3

struct attempt {
	struct list link;
	struct exchange *x;
	struct try t;
	uint8_t which;	 /* upstream */
	bool late;	 /* others are asked meanwhile */
	bool tcp;
	bool case_doubt; /* its answer over UDP had letters of another case */
	bool no_edns;	 /* it was refused with EDNS */
};

struct exchange {
	struct forwarder_worker *fw;
	struct list age; /* in the order they began */
	struct ways *ways;
	struct str key; /* owned */
	struct dns_query q;
	struct list waits;    /* struct forward_wait */
	struct list attempts; /* struct attempt */
	uint8_t order[UPSTREAMS_MAX];
	size_t n_order, at;
	unsigned n_tries, max_tries, doublings;
	bool ending;	 /* its askers are being told */
	uint16_t failed; /* a bit for each upstream that need not be asked again */
	uint64_t born_ms, end_ms;
	struct timer timer;
	char why[ADDR_TEXT_BYTES + 2 + LINE_WHY_BYTES];
	struct forward_answer fallback; /* a failure, or a truncated answer: better than nothing; owned */
};

static struct upstream *upstream_of(const struct attempt *a)
{
	return a->t.line->upstream;
}

static uint64_t now_ms(const struct exchange *x)
{
	return loop_now_ms(x->fw->pool.loop);
}

static bool known(const uint64_t *until, uint64_t now)
{
	return now < __atomic_load_n(until, __ATOMIC_RELAXED);
}

/* ---- the end ---- */

static void attempt_free(struct attempt *a)
{
	try_stop(&a->t);
	list_del(&a->link);
	free(a);
}

static void wait_leave(struct forward_wait *w)
{
	struct forwarder_worker *fw = w->x_->fw;

	list_del(&w->link_);
	w->x_ = NULL;
	fw->n_askers--;
	__atomic_sub_fetch(&fw->f->concurrent, 1, __ATOMIC_RELAXED);
}

static void exchange_free(struct exchange *x)
{
	timer_stop(&x->timer);
	list_for(n, tmp, &x->attempts)
		attempt_free(list_entry(n, struct attempt, link));
	ways_unref(x->ways);
	free((char *)x->fallback.message.ptr);
	free((char *)x->key.ptr);
	free(x);
}

static void exchange_unlist(struct exchange *x)
{
	map_del(&x->fw->exchanges, x->key);
	list_del(&x->age);
}

/* Nobody new may join, and nothing more may come, while the askers are told. */
static void exchange_finish(struct exchange *x, struct forward_answer a)
{
	x->ending = true;
	timer_stop(&x->timer);
	exchange_unlist(x);
	list_for(n, tmp, &x->attempts)
		attempt_free(list_entry(n, struct attempt, link));
	a.tries = x->n_tries;
	a.why = x->why;
	while (!list_empty(&x->waits)) {
		struct forward_wait *w = list_entry(x->waits.next, struct forward_wait, link_);
		wait_leave(w);
		w->done(w, &a);
	}
	exchange_free(x);
}

static void exchange_give_up(struct exchange *x)
{
	exchange_finish(x, x->fallback);
}

/* ---- tries ---- */

static uint64_t patience_ms(const struct exchange *x, const struct upstream *u)
{
	uint64_t ms = upstream_patience_ms(u) << x->doublings;

	return MIN(ms, x->fw->f->o.read_timeout_ms);
}

static bool attempt_start(struct attempt *a)
{
	const struct exchange *x = a->x;
	const struct upstream *u = upstream_of(a);
	struct try_how how = {
		.tcp = a->tcp,
		.edns = !a->no_edns && !known(&u->no_edns_until_ms, now_ms(x)),
		.cased = !known(&u->no_case_until_ms, now_ms(x)),
	};

	return try_start(&a->t, &x->q, how);
}

/* The next that has not failed yet; -1: there is none. */
static int next_upstream(struct exchange *x)
{
	for (size_t n = 0; n < x->n_order; n++) {
		uint8_t which = x->order[x->at++ % x->n_order];
		if (!(x->failed & 1u << which) && !__atomic_load_n(&x->ways->set->at[which].looping, __ATOMIC_RELAXED))
			return which;
	}
	return -1;
}

static void on_answered(struct try *t, enum try_end end, enum upstream_reply reply, const struct dns_message *m);

static void suspect(struct attempt *a)
{
	if (line_pool_full(&a->x->fw->pool))
		return;
	health_suspect(&a->x->ways->at[a->which].health);
}

/* For people, if nobody else answers. */
static void note_failure(struct attempt *a, const char *why)
{
	snprintf(a->x->why, sizeof(a->x->why), "%s: %s", upstream_of(a)->text, why);
}

static bool attempt_new(struct exchange *x, uint8_t which)
{
	struct attempt *a = xcalloc(1, sizeof(*a));

	a->x = x;
	a->which = which;
	try_init(&a->t, &x->ways->at[which].line, on_answered);
	list_append(&x->attempts, &a->link);
	if (attempt_start(a))
		return true;
	x->failed |= (uint16_t)(1u << which);
	note_failure(a, a->t.line->why);
	suspect(a);
	attempt_free(a);
	return false;
}

/* Asks one more, if there is one to ask. May be the end of x. */
static void exchange_next(struct exchange *x)
{
	uint64_t now = now_ms(x), left = x->end_ms - MIN(x->end_ms, now);
	int which = -1;

	while (x->n_tries < x->max_tries && (which = next_upstream(x)) >= 0) {
		x->n_tries++;
		if (attempt_new(x, (uint8_t)which))
			break;
		which = -1;
	}
	if (list_empty(&x->attempts)) {
		exchange_give_up(x);
		return;
	}
	uint64_t wait = which >= 0 ? patience_ms(x, &x->ways->set->at[which]) : left;
	timer_start(x->fw->pool.loop, &x->timer, MIN(wait, left));
}

/* It is time to ask another one; those that were asked may still answer. */
static void on_timer(struct timer *t)
{
	struct exchange *x = t->ctx;

	list_for(n, tmp, &x->attempts) {
		struct attempt *a = list_entry(n, struct attempt, link);
		if (a->late)
			continue;
		a->late = true;
		note_failure(a, "no answer in time");
		try_is_late(&a->t);
		suspect(a);
	}
	if (now_ms(x) >= x->end_ms) {
		exchange_give_up(x);
		return;
	}
	x->doublings = MIN(x->doublings + 1, (unsigned)PATIENCE_DOUBLINGS);
	exchange_next(x);
}

/* ---- answers ---- */

static void attempt_failed(struct attempt *a)
{
	struct exchange *x = a->x;

	x->failed |= (uint16_t)(1u << a->which);
	attempt_free(a);
	exchange_next(x);
}

static void attempt_again(struct attempt *a)
{
	if (attempt_start(a))
		return;
	suspect(a);
	attempt_failed(a);
}

static void attempt_tcp(struct attempt *a)
{
	a->tcp = true;
	attempt_again(a);
}

static size_t clean(struct exchange *x, const struct dns_message *m)
{
	return upstream_reply_clean(&x->q, &x->fw->f->o.from, m, x->fw->out);
}

/* The newest failure is the one that is told, but a truncated answer is better than any. */
static void keep_fallback(struct attempt *a, const struct dns_message *m, unsigned rcode)
{
	struct exchange *x = a->x;
	bool has_cut = x->fallback.message.len && x->fallback.rcode == DNS_NOERROR;
	size_t n = rcode <= DNS_FLAGS_RCODE && !has_cut ? clean(x, m) : 0;

	if (!n)
		return;
	free((char *)x->fallback.message.ptr);
	if (m->flags & DNS_FLAG_TC)
		x->fw->out[2] |= DNS_FLAG_TC >> 8;
	x->fallback = (struct forward_answer){
		.message = { xstrndup((char *)x->fw->out, n), n },
		.upstream = &upstream_of(a)->addr,
		.rcode = rcode,
	};
}

/* Another upstream may know better. */
static bool is_failure(const struct exchange *x, unsigned rcode)
{
	return rcode == DNS_SERVFAIL || rcode == DNS_FORMERR || rcode == DNS_REFUSED || rcode > DNS_FLAGS_RCODE ||
	       x->fw->f->o.failover >> rcode & 1;
}

static void take_answer(struct attempt *a, const struct dns_message *m)
{
	struct exchange *x = a->x;
	struct upstream *u = upstream_of(a);
	unsigned rcode = upstream_reply_rcode(m);

	upstream_answered(u, x->fw->pool.worker, rcode, loop_now_us(x->fw->pool.loop) - a->t.sent_us);
	if (m->flags & DNS_FLAG_TC && !a->t.stream_wanted) {
		keep_fallback(a, m, rcode);
		attempt_tcp(a);
		return;
	}
	if (is_failure(x, rcode)) {
		keep_fallback(a, m, rcode);
		attempt_failed(a);
		return;
	}
	if (a->no_edns && (rcode == DNS_NOERROR || rcode == DNS_NXDOMAIN))
		__atomic_store_n(&u->no_edns_until_ms, now_ms(x) + KNOWN_MS, __ATOMIC_RELAXED);
	size_t n = m->flags & DNS_FLAG_TC ? 0 : clean(x, m);
	if (!n) {
		note_failure(a, "answered something else");
		__atomic_add_fetch(&u->foreign, 1, __ATOMIC_RELAXED);
		attempt_failed(a);
		return;
	}
	exchange_finish(x, (struct forward_answer){
				   .message = { (char *)x->fw->out, n }, .upstream = &u->addr, .rcode = rcode });
}

static void forget_case(struct attempt *a)
{
	__atomic_store_n(&upstream_of(a)->no_case_until_ms, now_ms(a->x) + KNOWN_MS, __ATOMIC_RELAXED);
}

/* The connection could not be had, or ended. */
static void attempt_unreachable(struct attempt *a)
{
	if (!a->case_doubt || !a->tcp) {
		note_failure(a, a->t.line->why);
		suspect(a);
		attempt_failed(a);
		return;
	}
	/* It is only there over UDP, and does not keep the case: its port and id are what protects it. */
	a->case_doubt = a->tcp = false;
	forget_case(a);
	attempt_again(a);
}

static void on_answered(struct try *t, enum try_end end, enum upstream_reply reply, const struct dns_message *m)
{
	struct attempt *a = container_of(t, struct attempt, t);

	if (end == TRY_UNREACHABLE) {
		attempt_unreachable(a);
		return;
	}
	if (end == TRY_SUSPECT) {
		attempt_tcp(a);
		return;
	}
	unsigned rcode = reply == REPLY_BARE ? DNS_FORMERR : upstream_reply_rcode(m);
	if (t->query.edns && (rcode == DNS_FORMERR || rcode == DNS_NOTIMP || rcode == DNS_BADVERS)) {
		a->no_edns = true;
		attempt_again(a);
		return;
	}
	if (reply == REPLY_BARE) {
		attempt_failed(a);
		return;
	}
	if (reply == REPLY_OTHER_CASE && t->query.cased && !t->stream_wanted) {
		a->case_doubt = true;
		attempt_tcp(a); /* where nobody else can answer */
		return;
	}
	if (reply == REPLY_OTHER_CASE && t->query.cased)
		forget_case(a);
	take_answer(a, m);
}

/* ---- asking ---- */

#define KEY_BYTES (DNS_NAME_BYTES_MAX + 5)

/* What makes two questions one. */
static struct str key_of(const struct dns_query *q, uint8_t out[KEY_BYTES])
{
	uint8_t *p = out;

	*p++ = (uint8_t)(q->type >> 8);
	*p++ = (uint8_t)q->type;
	*p++ = (uint8_t)(q->class >> 8);
	*p++ = (uint8_t)q->class;
	*p++ = (uint8_t)(q->dnssec_ok | (q->flags & DNS_FLAG_CD ? 2 : 0));
	p = mempcpy(p, q->name.wire, q->name.len);
	return (struct str){ (char *)out, (size_t)(p - out) };
}

static unsigned tries_for(const struct forwarder *f, size_t n)
{
	unsigned by_number = (unsigned)MAX(2 * n, (size_t)FORWARD_TRIES_MIN);

	return MIN(f->o.max_tries ? f->o.max_tries : by_number, (unsigned)FORWARD_TRIES_MAX);
}

static struct exchange *exchange_new(struct forwarder_worker *fw, const struct dns_query *q, struct str key)
{
	struct exchange *x = xcalloc(1, sizeof(*x));

	x->fw = fw;
	x->ways = ways_now(fw);
	x->key = (struct str){ xstrndup(key.ptr, key.len), key.len };
	x->q = *q;
	x->q.question = x->q.options = x->q.reply_options = STR_NONE;
	list_init(&x->waits);
	list_init(&x->attempts);
	x->n_order = ways_order(fw, x->ways, x->order);
	x->max_tries = tries_for(fw->f, x->n_order);
	x->born_ms = now_ms(x);
	x->end_ms = x->born_ms + FORWARD_TOTAL_MS;
	x->timer = (struct timer){ .fire = on_timer, .ctx = x };
	x->fallback.unhealthy = x->n_order == 0;
	map_put(&fw->exchanges, x->key, x);
	list_append(&fw->by_age, &x->age);
	return x;
}

static bool too_many(struct forwarder_worker *fw, bool fresh)
{
	uint64_t max = fw->f->o.max_concurrent;

	return fw->n_askers >= FORWARD_ASKERS_MAX || (fresh && (fw->exchanges.count >= FORWARD_QUESTIONS_MAX || line_pool_full(&fw->pool))) ||
	       (max && __atomic_load_n(&fw->f->concurrent, __ATOMIC_RELAXED) >= max);
}

#define CROWDED(n, max) (4 * (uint64_t)(n) >= 3 * (uint64_t)(max))

/* Soon there will be no room for new questions. */
static bool is_crowded(const struct forwarder_worker *fw)
{
	uint64_t max = fw->f->o.max_concurrent;

	return CROWDED(fw->exchanges.count, FORWARD_QUESTIONS_MAX) || CROWDED(fw->pool.n_sockets, LINE_SOCKETS_MAX) ||
	       CROWDED(fw->n_askers, FORWARD_ASKERS_MAX) || (max && CROWDED(__atomic_load_n(&fw->f->concurrent, __ATOMIC_RELAXED), max));
}

/* Names whose own servers do not answer, a thousand random ones perhaps, leave room for those that are answered. */
static void on_crowd(struct defer *d)
{
	struct forwarder_worker *fw = container_of(d, struct forwarder_worker, crowd);

	while (!list_empty(&fw->by_age) && is_crowded(fw)) {
		struct exchange *oldest = list_entry(fw->by_age.next, struct exchange, age);
		if (now_ms(oldest) < oldest->born_ms + FORWARD_CROWD_MS)
			break;
		snprintf(oldest->why, sizeof(oldest->why), "no answer in time, and many others wait");
		exchange_give_up(oldest);
	}
}

bool forwarder_ask(struct forwarder_worker *fw, const struct dns_query *q, struct forward_wait *w)
{
	uint8_t space[KEY_BYTES];
	struct str key = key_of(q, space);
	struct exchange *x = map_get(&fw->exchanges, key);
	bool fresh = !x;

	if (is_crowded(fw))
		loop_defer(fw->pool.loop, &fw->crowd);
	if (too_many(fw, fresh)) {
		if (fw->f->m_rejects)
			metric_add(fw->f->m_rejects, fw->pool.worker, 1);
		return false;
	}
	if (fresh)
		x = exchange_new(fw, q, key);
	w->x_ = x;
	list_append(&x->waits, &w->link_);
	fw->n_askers++;
	__atomic_add_fetch(&fw->f->concurrent, 1, __ATOMIC_RELAXED);
	if (fresh)
		exchange_next(x);
	return true;
}

void forwarder_forget(struct forward_wait *w)
{
	struct exchange *x = w->x_;

	if (!x)
		return;
	wait_leave(w);
	if (x->ending || !list_empty(&x->waits))
		return;
	exchange_unlist(x);
	exchange_free(x);
}

struct forwarder_worker *forwarder_worker_new(struct forwarder *f, struct loop *l, unsigned worker)
{
	struct forwarder_worker *fw = xcalloc(1, sizeof(*fw));

	fw->f = f;
	fw->pool.loop = l;
	fw->pool.worker = worker;
	fw->turn = worker;
	map_init(&fw->exchanges);
	list_init(&fw->by_age);
	fw->crowd.run = on_crowd;
	return fw;
}

void forwarder_worker_free(struct forwarder_worker *fw)
{
	if (!fw)
		return;
	defer_cancel(&fw->crowd);
	for (struct map_iter it = { 0 }; map_next(&fw->exchanges, &it);) {
		struct exchange *x = it.value;
		list_for(n, tmp, &x->waits)
			wait_leave(list_entry(n, struct forward_wait, link_));
		exchange_free(x);
	}
	map_done(&fw->exchanges, NULL);
	ways_unref(fw->ways);
	free(fw);
}
