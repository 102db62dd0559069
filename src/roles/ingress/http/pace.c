#include "roles/ingress/http/pace.h"

#include "roles/ingress/http/exchange_int.h"

#define TICKS_PER_S 4 /* so often a paced answer goes on: a client sees no gaps, and few bytes do not make many packets */
/* Beyond what an upstream is read ahead by: what it had under way when it was stopped, and that compressed. */
#define HELD_MAX_BYTES (READ_AHEAD_MAX_BYTES + (16u << 20))
#define HELD_CROWDED_BYTES (32u << 10) /* by each answer, where all of a worker's hold too much: a read's worth */

struct pace {
	struct exchange *x;
	uint64_t rate, after;
	struct buf held; /* behind `at`: what may not go yet */
	size_t at;
	size_t counted; /* of worker->paced_bytes */
	struct header_list trailers; /* end the body, if there are any */
	struct timer timer;	     /* runs while bytes are held that the client would take */
	bool ended;		     /* all of the body is here */
	bool blocked;		     /* the client does not take what may go */
};

/* ---- how much, and when ---- */

/* Of so much time; the most there is when it is more. */
static uint64_t earned(uint64_t rate, uint64_t ms)
{
	uint64_t whole;

	if (__builtin_mul_overflow(rate, ms / 1000, &whole))
		return UINT64_MAX / 2;
	return MIN(whole, UINT64_MAX / 2) + rate * (ms % 1000) / 1000;
}

uint64_t pace_credit(uint64_t rate, uint64_t after, uint64_t sent, uint64_t elapsed_ms)
{
	uint64_t may = after + rate + earned(rate, elapsed_ms);

	return may > sent ? may - sent : 0;
}

uint64_t pace_wait_ms(uint64_t rate, uint64_t after, uint64_t sent, uint64_t elapsed_ms, uint64_t more)
{
	uint64_t credit = pace_credit(rate, after, sent, elapsed_ms);

	if (credit >= more)
		return 0;
	uint64_t owed = sent + more - after - rate; /* by time alone */
	uint64_t at_ms = owed / rate * 1000 + (owed % rate * 1000 + rate - 1) / rate;
	return MAX(at_ms, elapsed_ms + 1) - elapsed_ms;
}

static uint64_t elapsed_ms(const struct pace *p)
{
	return (x_now_us(p->x) - p->x->started_us) / 1000;
}

static size_t held_len(const struct pace *p)
{
	return p->held.len - p->at;
}

/* Either time or the client limits it. */
static size_t may_send(struct pace *p)
{
	struct exchange *x = p->x;

	p->blocked = x->down_ops->pending(x) > CONN_HIGH_WATER_BYTES;
	return p->blocked ? 0 : pace_credit(p->rate, p->after, x->answer_body_bytes, elapsed_ms(p));
}

/* ---- what goes out ---- */

/* Returns what may not go yet. x may be over afterwards. */
static struct str send_some(struct pace *p, struct str data)
{
	size_t n = MIN(data.len, may_send(p));
	struct str part = { data.ptr, n }, rest = { data.ptr + n, data.len - n };

	if (n)
		exchange_answer_pass(p->x, part, p->ended && !rest.len && !p->trailers.n);
	return rest;
}

static void drop_front(struct pace *p, size_t left)
{
	p->at = p->held.len - left;
	if (left == 0) {
		buf_clear(&p->held);
		p->at = 0;
	} else if (p->at > p->held.len / 2) {
		buf_consume(&p->held, p->at);
		p->at = 0;
	}
}

static void finish(struct pace *p)
{
	struct exchange *x = p->x;

	if (p->trailers.n)
		exchange_answer_trailers(x, &p->trailers);
	else
		exchange_answer_pass(x, STR_NONE, true);
}

/* Memory, whether or not there is something in it just now. */
static void count_held(struct pace *p)
{
	p->x->worker->paced_bytes += p->held.cap - p->counted;
	p->counted = p->held.cap;
}

/* One connection of HTTP/2 has many answers, which what its window holds back does not bound: they wait here, before it. */
static size_t may_hold(const struct pace *p)
{
	return p->x->worker->paced_bytes > PACE_HELD_MAX_BYTES ? HELD_CROWDED_BYTES : exchange_read_ahead_bytes(p->x);
}

/* The upstream is read ahead as for a slow client, and no further. */
static void steer_upstream(struct pace *p)
{
	struct exchange *x = p->x;

	if (!x->up)
		return;
	if (!x->answer_paused && held_len(p) > may_hold(p)) {
		x->answer_paused = true;
		x->up_ops->want_body(x, false);
	} else if (x->answer_paused && !p->blocked && held_len(p) <= MIN(may_hold(p) / 2, (size_t)CONN_LOW_WATER_BYTES)) {
		x->answer_paused = false;
		attempt_answer_goes_on(x);
		x->up_ops->want_body(x, true);
	}
}

/* When a tick's worth of it may go, or the rest. */
static void wait_for_time(struct pace *p)
{
	struct exchange *x = p->x;
	uint64_t tick = MIN((uint64_t)held_len(p), p->rate / TICKS_PER_S + 1);

	if (held_len(p) && !p->blocked && !timer_active(&p->timer))
		timer_start(x->worker->loop, &p->timer, pace_wait_ms(p->rate, p->after, x->answer_body_bytes, elapsed_ms(p), tick));
}

/* After anything was sent or has come. */
static void go_on(struct pace *p)
{
	if (!held_len(p) && p->ended) {
		finish(p);
		return;
	}
	count_held(p);
	wait_for_time(p);
	steer_upstream(p);
}

static void send_held(struct pace *p)
{
	if (held_len(p)) {
		struct str rest = send_some(p, (struct str){ p->held.ptr + p->at, held_len(p) });
		if (p->x->closing)
			return;
		drop_front(p, rest.len);
	}
	go_on(p);
}

static void on_tick(struct timer *t)
{
	send_held(t->ctx);
}

void pace_drained(struct exchange *x)
{
	struct pace *p = x->pace;

	x->slow_client = false; /* it has read */
	p->blocked = false;
	if (timer_active(&p->timer))
		steer_upstream(p);
	else
		send_held(p);
}

/* ---- what comes in ---- */

/* All of it is here: its upstream is free for others, and what is left of the request is of no use to anybody. */
static void upstream_done(struct pace *p)
{
	struct exchange *x = p->x;

	attempt_drop(x, false);
	x->answer_own = true;
	x->answer_paused = false;
	if (x->request_paused) {
		x->request_paused = false;
		x->down_ops->want_body(x, true);
	}
}

void pace_body(struct exchange *x, struct str data, bool end)
{
	struct pace *p = x->pace;

	p->ended = end;
	if (!held_len(p) && data.len)
		data = send_some(p, data);
	if (x->closing)
		return;
	if (data.len && buf_put_str(&p->held, data) < 0) {
		exchange_abort(x);
		return;
	}
	if (end)
		upstream_done(p);
	go_on(p);
}

void pace_trailers(struct exchange *x, const struct header_list *h)
{
	x->pace->trailers = *h;
	pace_body(x, STR_NONE, true);
}

/* ---- for the exchange ---- */

bool pace_waits_for_time(const struct exchange *x)
{
	return timer_active(&x->pace->timer) && (x->answer_paused || !x->up);
}

bool pace_waits_for_client(const struct exchange *x)
{
	return x->pace->blocked;
}

void pace_stop(struct exchange *x)
{
	timer_stop(&x->pace->timer);
}

void pace_free(struct exchange *x)
{
	buf_done(&x->pace->held);
	count_held(x->pace);
	x->pace = NULL;
}

void pace_begin(struct exchange *x, uint64_t rate, uint64_t after)
{
	struct pace *p = x->pace;

	if (rate == 0 || rate >= PACE_RATE_MAX)
		return;
	if (!p) {
		p = arena_alloc(&x->arena, sizeof(*p));
		if (!p)
			return;
		*p = (struct pace){ .x = x, .timer = { .fire = on_tick, .ctx = p } };
		buf_init(&p->held, HELD_MAX_BYTES);
	}
	p->rate = rate;
	p->after = MIN(after, UINT64_MAX / 4);
	x->pace = p;
	x->body_filters |= BODY_PACED;
}
