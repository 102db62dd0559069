#include "kube/client/informer.h"

#include "base/map.h"

#include <string.h>

#define BACKOFF_FIRST_MS 5
#define BACKOFF_MAX_MS 60000
#define BACKOFF_DOUBLINGS 14 /* 5 ms << 14 is above the maximum */
#define TURN_BUDGET_MS 5     /* keys reconciled without letting the loop see its descriptors */

struct item {
	struct list ready;  /* in workqueue.ready, or alone */
	struct timer delay; /* workqueue_add_after */
	uint64_t due_ms;    /* of `delay` */
	struct workqueue *q;
	unsigned failures;
	char key[];
};

struct workqueue {
	struct loop *loop;
	void (*reconcile)(void *ctx, const char *key);
	void *ctx;
	struct map items;
	struct list ready;
	struct timer pump;
	bool pumping, freed;
};

static struct item *item_get(struct workqueue *q, const char *key)
{
	struct item *it = map_get_c(&q->items, key);

	if (it)
		return it;
	size_t len = strlen(key);
	it = xcalloc(1, sizeof(*it) + len + 1);
	memcpy(it->key, key, len);
	it->q = q;
	list_init(&it->ready);
	map_put_c(&q->items, key, it);
	return it;
}

/* A key that nothing is known about needs no item. */
static void item_release(struct item *it)
{
	if (!list_empty(&it->ready) || timer_active(&it->delay) || it->failures)
		return;
	map_del_c(&it->q->items, it->key);
	free(it);
}

static void item_enqueue(struct item *it)
{
	struct workqueue *q = it->q;

	timer_stop(&it->delay);
	if (!list_empty(&it->ready))
		return;
	list_append(&q->ready, &it->ready);
	if (!q->pumping && !timer_active(&q->pump))
		timer_start(q->loop, &q->pump, 0);
}

static void item_due(struct timer *t)
{
	item_enqueue(container_of(t, struct item, delay));
}

static void item_delay(struct item *it, uint64_t after_ms)
{
	uint64_t due = loop_now_ms(it->q->loop) + after_ms;

	if (!list_empty(&it->ready) || (timer_active(&it->delay) && it->due_ms <= due))
		return; /* it runs before that anyway */
	it->due_ms = due;
	it->delay.fire = item_due;
	timer_start(it->q->loop, &it->delay, after_ms);
}

static void queue_destroy(struct workqueue *q)
{
	for (struct map_iter i = { 0 }; map_next(&q->items, &i);)
		timer_stop(&((struct item *)i.value)->delay);
	map_done(&q->items, free);
	timer_stop(&q->pump);
	free(q);
}

static void queue_pump(struct timer *t)
{
	struct workqueue *q = container_of(t, struct workqueue, pump);
	int64_t until = wall_now_ms() + TURN_BUDGET_MS;

	q->pumping = true;
	while (!q->freed && !list_empty(&q->ready)) {
		struct item *it = list_entry(q->ready.next, struct item, ready);
		cleanup(freep) char *key = xstrdup(it->key);

		list_del(&it->ready);
		q->reconcile(q->ctx, key);
		it = q->freed ? NULL : map_get_c(&q->items, key);
		if (it)
			item_release(it);
		if (wall_now_ms() >= until)
			break;
	}
	q->pumping = false;
	if (q->freed)
		queue_destroy(q);
	else if (!list_empty(&q->ready))
		timer_start(q->loop, &q->pump, 0);
}

struct workqueue *workqueue_new(struct loop *l, void (*reconcile)(void *ctx, const char *key),
				void *ctx)
{
	struct workqueue *q = xcalloc(1, sizeof(*q));

	q->loop = l;
	q->reconcile = reconcile;
	q->ctx = ctx;
	map_init(&q->items);
	list_init(&q->ready);
	q->pump.fire = queue_pump;
	return q;
}

void workqueue_free(struct workqueue *q)
{
	if (!q)
		return;
	q->freed = true;
	if (!q->pumping)
		queue_destroy(q);
}

void workqueue_add(struct workqueue *q, const char *key)
{
	item_enqueue(item_get(q, key));
}

void workqueue_add_after(struct workqueue *q, const char *key, uint64_t after_ms)
{
	if (after_ms == 0)
		workqueue_add(q, key);
	else
		item_delay(item_get(q, key), after_ms);
}

void workqueue_retry(struct workqueue *q, const char *key)
{
	struct item *it = item_get(q, key);
	uint64_t wait = (uint64_t)BACKOFF_FIRST_MS << MIN(it->failures, BACKOFF_DOUBLINGS);

	it->failures++;
	item_delay(it, MIN(wait, BACKOFF_MAX_MS));
}

void workqueue_forget(struct workqueue *q, const char *key)
{
	struct item *it = map_get_c(&q->items, key);

	if (!it)
		return;
	it->failures = 0;
	item_release(it);
}
