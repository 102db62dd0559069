#include "loop/quiesce.h"

#define READERS_MAX 64 /* threads: more than one machine's cores would need */

struct retired {
	void (*fn)(void *ptr);
	void *ptr;
	struct list link;
};

/* What was retired in one turn of the writer. Every reader's loop gets one message about it. */
struct batch {
	struct quiesce *q;
	struct list retired;
	unsigned waiting; /* readers that have not answered; atomic */
	struct list link;
};

struct quiesce {
	struct loop *writer;
	struct loop *readers[READERS_MAX];
	size_t n_readers;
	struct batch *open;   /* collects until the writer's turn ends */
	struct list under_way; /* struct batch */
	struct defer send;
};

static void batch_run(struct batch *b)
{
	list_for(at, tmp, &b->retired) {
		struct retired *r = list_entry(at, struct retired, link);

		r->fn(r->ptr);
		free(r);
	}
	list_del(&b->link);
	free(b);
}

static void all_answered(void *ctx)
{
	batch_run(ctx);
}

/* On a reader's loop: posts are call-backs of their own, so no call-back that may hold a pointer is on its stack. */
static void reader_answers(void *ctx)
{
	struct batch *b = ctx;

	if (__atomic_sub_fetch(&b->waiting, 1, __ATOMIC_ACQ_REL) == 0)
		loop_post(b->q->writer, all_answered, b);
}

static void send_batch(struct defer *d)
{
	struct quiesce *q = container_of(d, struct quiesce, send);
	struct batch *b = q->open;

	q->open = NULL;
	list_append(&q->under_way, &b->link);
	if (q->n_readers == 0) {
		batch_run(b);
		return;
	}
	b->waiting = (unsigned)q->n_readers;
	for (size_t i = 0; i < q->n_readers; i++)
		loop_post(q->readers[i], reader_answers, b);
}

struct quiesce *quiesce_new(struct loop *writer)
{
	struct quiesce *q = xcalloc(1, sizeof(*q));

	q->writer = writer;
	q->send.run = send_batch;
	list_init(&q->under_way);
	return q;
}

void quiesce_free(struct quiesce *q)
{
	if (!q)
		return;
	defer_cancel(&q->send);
	if (q->open) {
		list_append(&q->under_way, &q->open->link);
		q->open = NULL;
	}
	list_for(at, tmp, &q->under_way)
		batch_run(list_entry(at, struct batch, link));
	free(q);
}

void quiesce_add(struct quiesce *q, struct loop *reader)
{
	assert(q->n_readers < READERS_MAX);
	q->readers[q->n_readers++] = reader;
}

void quiesce_remove(struct quiesce *q, struct loop *reader)
{
	for (size_t i = 0; i < q->n_readers; i++)
		if (q->readers[i] == reader) {
			q->readers[i] = q->readers[--q->n_readers];
			return;
		}
}

void quiesce_retire(struct quiesce *q, void (*fn)(void *ptr), void *ptr)
{
	if (!q || q->n_readers == 0) {
		fn(ptr);
		return;
	}
	if (!q->open) {
		q->open = xcalloc(1, sizeof(*q->open));
		q->open->q = q;
		list_init(&q->open->retired);
		loop_defer(q->writer, &q->send);
	}
	struct retired *r = xmalloc(sizeof(*r));
	*r = (struct retired){ .fn = fn, .ptr = ptr };
	list_append(&q->open->retired, &r->link);
}
