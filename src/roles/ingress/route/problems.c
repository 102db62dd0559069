#include "roles/ingress/route/model_int.h"

#include <stdio.h>

#define MESSAGE_BYTES 1024	 /* the API's limit of an event's message */
#define PROBLEMS_MAX 64		 /* of one Ingress: the rest would be more of the same */

static uint64_t hash_words(const char *reason, const char *message)
{
	uint64_t h = hash_keyed(reason, strlen(reason));

	return h * 31 + hash_keyed(message, strlen(message));
}

uint64_t problem_tag(const char *host_name)
{
	return hash_keyed(host_name, strlen(host_name)) | 1u << 8; /* never one of the numbered ones */
}

struct trouble {
	struct problem *first;
	struct trouble *next_touched;
	bool touched;
	char key[];
};

void problems_init(struct model *m)
{
	m->troubles = names_new_inline(NULL, offsetof(struct trouble, key));
}

static struct trouble *trouble_of(const struct model *m, const struct ingress *i)
{
	return i->troubled ? names_get(m->troubles, str_of(i->key)) : NULL;
}

static struct trouble *trouble_new(struct model *m, struct ingress *i)
{
	struct trouble *t = names_get(m->troubles, str_of(i->key));
	size_t len = strlen(i->key) + 1;

	i->troubled = true;
	if (t)
		return t;
	t = xcalloc(1, sizeof(*t) + len);
	memcpy(t->key, i->key, len);
	names_put(m->troubles, t);
	return t;
}

static void touch(struct model *m, struct trouble *t)
{
	if (t->touched)
		return;
	t->touched = true;
	t->next_touched = m->touched;
	m->touched = t;
}

void problem_begin(struct model *m, struct ingress *i, uint64_t tag)
{
	struct trouble *t = trouble_of(m, i);

	for (struct problem *p = t ? t->first : NULL; p; p = p->next)
		if (p->tag == tag) {
			p->stale = true;
			touch(m, t);
		}
}

void problem_begin_all(struct model *m, struct ingress *i)
{
	struct trouble *t = trouble_of(m, i);

	for (struct problem *p = t ? t->first : NULL; p; p = p->next)
		p->stale = true;
	if (t)
		touch(m, t);
}

static void emit(const struct model *m, const struct ingress *i, const struct problem *p)
{
	struct model_object obj = { "Ingress", "networking.k8s.io/v1", ingress_ns(i), ingress_name(i), ingress_uid(i) };

	if (m->ops.problem)
		m->ops.problem(m->ctx, &obj, p->annotation, p->reason, p->message);
}

/* True: it is known, by this step or another. */
static bool find_known(struct trouble *t, uint64_t tag, uint64_t hash, size_t *ret_n, bool *ret_elsewhere)
{
	*ret_n = 0;
	*ret_elsewhere = false;
	for (struct problem *p = t->first; p; p = p->next, ++*ret_n) {
		if (p->hash != hash)
			continue;
		if (p->tag == tag) {
			p->stale = false;
			return true;
		}
		*ret_elsewhere = true;
	}
	return false;
}

void problem_report(struct model *m, struct ingress *i, uint64_t tag, const char *annotation, const char *reason,
		    const char *fmt, ...)
{
	char text[MESSAGE_BYTES];
	bool elsewhere;
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	uint64_t hash = hash_words(reason, text);
	struct trouble *t = trouble_new(m, i);
	if (find_known(t, tag, hash, &n, &elsewhere) || n >= PROBLEMS_MAX)
		return;
	struct problem *p = xcalloc(1, sizeof(*p));
	*p = (struct problem){ t->first, tag, hash, false, xstrdup(annotation), xstrdup(reason), xstrdup(text) };
	t->first = p;
	m->n_problems++;
	if (!elsewhere)
		emit(m, i, p);
}

static void problem_free(struct model *m, struct problem *p)
{
	m->n_problems--;
	free(p->annotation);
	free(p->reason);
	free(p->message);
	free(p);
}

static void drop_stale(struct model *m, struct trouble *t)
{
	for (struct problem **at = &t->first; *at;) {
		struct problem *p = *at;

		if (!p->stale) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		problem_free(m, p);
	}
}

void problems_settle(struct model *m)
{
	while (m->touched) {
		struct trouble *t = m->touched;

		m->touched = t->next_touched;
		t->touched = false;
		drop_stale(m, t);
		if (t->first)
			continue;
		names_del(m->troubles, str_of(t->key));
		free(t);
	}
}

void problems_forget(struct model *m, struct ingress *i)
{
	problem_begin_all(m, i);
	problems_settle(m);
}

static void free_all(void *ctx, void *obj)
{
	struct trouble *t = obj;

	for (struct problem *p = t->first; p; p = p->next)
		p->stale = true;
	drop_stale(ctx, t);
	free(t);
}

void problems_free(struct model *m)
{
	names_each(m->troubles, free_all, m);
	names_free(m->troubles, NULL);
}

size_t model_problem_count(const struct model *m)
{
	return m->n_problems;
}

struct each {
	void (*fn)(void *ctx, const char *ingress, const char *reason, const char *message);
	void *ctx;
};

static void each_of(void *ctx, void *obj)
{
	const struct trouble *t = obj;
	struct each *e = ctx;

	for (const struct problem *p = t->first; p; p = p->next)
		e->fn(e->ctx, t->key, p->reason, p->message);
}

void model_each_problem(const struct model *m, void (*fn)(void *ctx, const char *ingress, const char *reason,
							     const char *message), void *ctx)
{
	struct each e = { fn, ctx };

	names_each(m->troubles, each_of, &e);
}
