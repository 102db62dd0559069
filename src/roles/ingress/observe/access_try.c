/* What is remembered of each attempt at an endpoint, for the log. */
#include "roles/ingress/observe/access_log.h"

static struct access_try *open_try(const struct exchange *x)
{
	if (list_empty(&x->tries_log))
		return NULL;
	struct access_try *t = list_entry(x->tries_log.prev, struct access_try, link);
	return t->ended_us ? NULL : t;
}

void access_log_try(struct exchange *x)
{
	struct access_try *t = arena_alloc(&x->arena, sizeof(*t));

	if (!t)
		return;
	memcpy(t->addr, x->endpoint->text, sizeof(t->addr));
	t->started_us = x->try_us ? x->try_us : x_now_us(x);
	list_append(&x->tries_log, &t->link);
}

void access_log_try_done(struct exchange *x, int status)
{
	struct access_try *t = open_try(x);

	if (!t)
		return;
	t->status = status;
	t->connected_us = x->connected_us >= t->started_us ? x->connected_us : 0;
	t->head_us = x->head_us >= t->started_us ? x->head_us : 0;
	t->ended_us = MAX(x_now_us(x), t->started_us);
	t->bytes = x->up_answer_bytes;
}

static int put_time(struct buf *out, uint64_t from, uint64_t to)
{
	uint64_t ms = to >= from ? (to - from) / 1000 : 0; /* cut off, as nginx does */
	char part[] = { '.', (char)('0' + ms / 100 % 10), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10) };

	if (!to)
		return buf_putc(out, '-');
	return buf_put_u64(out, ms / 1000) < 0 ? -1 : buf_put(out, part, sizeof(part));
}

static int put_field(const struct access_try *t, enum access_try_field f, struct buf *out)
{
	switch (f) {
	case TRY_ADDR:
		return buf_puts(out, t->addr);
	case TRY_STATUS:
		return t->status > 0 ? buf_put_u64(out, (uint64_t)t->status) : buf_putc(out, '-');
	case TRY_CONNECT_TIME:
		return put_time(out, t->started_us, t->connected_us);
	case TRY_HEADER_TIME:
		return put_time(out, t->started_us, t->head_us);
	case TRY_RESPONSE_TIME:
		return put_time(out, t->started_us, t->ended_us);
	case TRY_RESPONSE_LENGTH:
		return buf_put_u64(out, t->bytes);
	}
	return 0;
}

int access_log_tries_write(const struct exchange *x, enum access_try_field f, struct buf *out)
{
	for (const struct list *at = x->tries_log.next; at && at != &x->tries_log; at = at->next) {
		const struct access_try *t = list_entry(at, const struct access_try, link);
		if (at != x->tries_log.next && buf_puts(out, ", ") < 0)
			return -1;
		if (put_field(t, f, out) < 0)
			return -1;
	}
	return 0;
}
