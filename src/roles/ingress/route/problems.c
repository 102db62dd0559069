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

static void touch(struct model *m, struct ingress *i)
{
	if (i->touched)
		return;
	i->touched = true;
	i->next_touched = m->touched;
	m->touched = i;
}

void problem_begin(struct model *m, struct ingress *i, uint64_t tag)
{
	for (struct problem *p = i->problems; p; p = p->next)
		if (p->tag == tag) {
			p->stale = true;
			touch(m, i);
		}
}

void problem_begin_all(struct model *m, struct ingress *i)
{
	for (struct problem *p = i->problems; p; p = p->next)
		p->stale = true;
	if (i->problems)
		touch(m, i);
}

static void emit(const struct model *m, const struct ingress *i, const struct problem *p)
{
	struct model_object obj = { "Ingress", "networking.k8s.io/v1", i->pub.ns, i->pub.name, i->pub.uid };

	if (m->ops.problem)
		m->ops.problem(m->ctx, &obj, p->annotation, p->reason, p->message);
}

/* True: it is known, by this step or another. */
static bool find_known(struct ingress *i, uint64_t tag, uint64_t hash, size_t *ret_n, bool *ret_elsewhere)
{
	*ret_n = 0;
	*ret_elsewhere = false;
	for (struct problem *p = i->problems; p; p = p->next, ++*ret_n) {
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
	if (find_known(i, tag, hash, &n, &elsewhere) || n >= PROBLEMS_MAX)
		return;
	struct problem *p = xcalloc(1, sizeof(*p));
	*p = (struct problem){ i->problems, tag, hash, false, xstrdup(annotation), xstrdup(reason), xstrdup(text) };
	i->problems = p;
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

void problems_settle(struct model *m)
{
	while (m->touched) {
		struct ingress *i = m->touched;

		m->touched = i->next_touched;
		i->touched = false;
		for (struct problem **at = &i->problems; *at;) {
			struct problem *p = *at;

			if (!p->stale) {
				at = &p->next;
				continue;
			}
			*at = p->next;
			problem_free(m, p);
		}
	}
}

/* To another record of the same object: what still is wrong is not told again. */
void problems_move(struct ingress *from, struct ingress *to)
{
	to->problems = from->problems;
	from->problems = NULL;
}

static void untouch(struct model *m, struct ingress *i)
{
	struct ingress **at = &m->touched;

	if (!i->touched)
		return;
	while (*at != i)
		at = &(*at)->next_touched;
	*at = i->next_touched;
	i->touched = false;
}

void problems_free(struct model *m, struct ingress *i)
{
	untouch(m, i);
	while (i->problems) {
		struct problem *p = i->problems;

		i->problems = p->next;
		problem_free(m, p);
	}
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
	const struct ingress *i = obj;
	struct each *e = ctx;

	for (const struct problem *p = i->problems; p; p = p->next)
		e->fn(e->ctx, i->key, p->reason, p->message);
}

void model_each_problem(const struct model *m, void (*fn)(void *ctx, const char *ingress, const char *reason,
							     const char *message), void *ctx)
{
	struct each e = { fn, ctx };

	names_each(m->ingresses, each_of, &e);
}
