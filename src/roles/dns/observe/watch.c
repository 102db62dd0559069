#include "roles/dns/observe/watch.h"

#include "roles/dns/kernel/kernel.h"
#include "roles/dns/observe/event.h"
#include "roles/dns/observe/log_rule.h"
#include "roles/dns/observe/pods.h"

#include <time.h>

#define RING_EVENTS 4096 /* of one worker, 1.6 MB: more than come within DRAIN_MS at 400,000 a second */
#define DRAIN_MS 10
#define LINGER_MS 3000 /* who polls comes back: the kernel is not switched on and off each time */

/* Written by its worker, read by the main thread. */
struct ring {
	uint32_t head;	   /* atomic: the worker's */
	uint64_t lost;	   /* atomic */
	struct dns_event *at; /* atomic: made when first needed */
	uint32_t tail __attribute__((aligned(64))); /* atomic: the main thread's */
};
struct dns_watch {
	struct dns_shared *shared;
	struct list taps;
	struct timer drain, linger;
	bool on, draining;
	unsigned n_rings;
	struct ring rings[];
};

bool dns_watch_on_;

/* ---- worker ---- */
static uint64_t wall_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void dns_watch_see(struct dns_worker *w, const struct watch_question *q)
{
	struct ring *r = w->shared->watch ? &w->shared->watch->rings[w->number] : NULL;
	struct dns_event *at = r ? __atomic_load_n(&r->at, __ATOMIC_ACQUIRE) : NULL;
	uint32_t head;

	if (!at)
		return;
	head = __atomic_load_n(&r->head, __ATOMIC_RELAXED);
	if (head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE) >= RING_EVENTS) {
		__atomic_store_n(&r->lost, __atomic_load_n(&r->lost, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
		return;
	}
	struct dns_event *e = &at[head % RING_EVENTS];
	event_init(e, q, wall_us());
	e->log = q->block ? log_rule_of(q->block, e) : NULL;
	__atomic_store_n(&r->head, head + 1, __ATOMIC_RELEASE);
}

/* ---- main thread ---- */
/* The oldest event that any worker has put there; NULL: none. */
static struct ring *oldest(struct dns_watch *w)
{
	struct ring *best = NULL;

	for (unsigned i = 0; i < w->n_rings; i++) {
		struct ring *r = &w->rings[i];
		if (r->tail == __atomic_load_n(&r->head, __ATOMIC_ACQUIRE))
			continue;
		if (!best || r->at[r->tail % RING_EVENTS].at_us < best->at[best->tail % RING_EVENTS].at_us)
			best = r;
	}
	return best;
}

static void tell(struct dns_watch *w, const struct dns_event *e)
{
	list_for(n, tmp, &w->taps) {
		struct watch_tap *t = list_entry(n, struct watch_tap, link_);
		t->event(t->ctx, e);
	}
}

void dns_watch_drain(struct dns_watch *w)
{
	size_t left = (size_t)w->n_rings * RING_EVENTS; /* those that come meanwhile are the next turn's */
	struct ring *r;
	bool any = false;

	if (w->draining)
		return;
	w->draining = true;
	for (; left && (r = oldest(w)); left--) {
		tell(w, &r->at[r->tail % RING_EVENTS]);
		__atomic_store_n(&r->tail, r->tail + 1, __ATOMIC_RELEASE);
		any = true;
	}
	list_for(n, tmp, &w->taps) {
		struct watch_tap *t = list_entry(n, struct watch_tap, link_);
		if (any && t->drained)
			t->drained(t->ctx);
	}
	w->draining = false;
}

static void turn(struct dns_watch *w, bool on)
{
	if (w->on == on)
		return;
	w->on = on;
	if (w->shared->kernel)
		kernel_answers_pause(w->shared->kernel, on);
	for (unsigned i = 0; on && i < w->n_rings; i++)
		if (!w->rings[i].at)
			__atomic_store_n(&w->rings[i].at, xcalloc(RING_EVENTS, sizeof(struct dns_event)), __ATOMIC_RELEASE);
	__atomic_store_n(&dns_watch_on_, on, __ATOMIC_RELAXED);
	if (on)
		timer_start(w->shared->main_loop, &w->drain, DRAIN_MS);
	else
		timer_stop(&w->drain);
}

static void on_drain(struct timer *t)
{
	struct dns_watch *w = t->ctx;

	dns_watch_drain(w);
	timer_start(w->shared->main_loop, t, DRAIN_MS);
}

static void on_linger(struct timer *t)
{
	struct dns_watch *w = t->ctx;

	if (list_empty(&w->taps))
		turn(w, false);
}

void dns_watch_add(struct dns_watch *w, struct watch_tap *t)
{
	timer_stop(&w->linger);
	turn(w, true);
	dns_watch_drain(w); /* what was before is not for it */
	list_append(&w->taps, &t->link_);
}

void dns_watch_remove(struct dns_watch *w, struct watch_tap *t)
{
	list_del(&t->link_);
	if (list_empty(&w->taps))
		timer_start(w->shared->main_loop, &w->linger, LINGER_MS);
}

uint64_t dns_watch_lost(const struct dns_watch *w)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < w->n_rings; i++)
		n += __atomic_load_n(&w->rings[i].lost, __ATOMIC_RELAXED);
	return n;
}

struct dns_watch *dns_watch_new(struct dns_shared *s)
{
	size_t bytes = sizeof(struct dns_watch) + s->n_workers * sizeof(struct ring);
	struct dns_watch *w = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	if (!w)
		abort();
	memset(w, 0, bytes);
	w->shared = s;
	w->n_rings = s->n_workers;
	list_init(&w->taps);
	w->drain = (struct timer){ .fire = on_drain, .ctx = w };
	w->linger = (struct timer){ .fire = on_linger, .ctx = w };
	return w;
}

void dns_watch_free(struct dns_watch *w)
{
	if (!w)
		return;
	turn(w, false);
	timer_stop(&w->linger);
	watch_pods_end();
	for (unsigned i = 0; i < w->n_rings; i++)
		free(w->rings[i].at);
	free(w);
}
