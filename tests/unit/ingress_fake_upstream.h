/* ingress_fake_upstream.h - backends and endpoints built by hand, for tests of balancing.
 *
 * Stands in for backends.c's functions, weakly: a test that links the real ones gets those.
 */
#pragma once

#include "roles/ingress/http/variable.h"
#include "roles/ingress/upstream/hash.h"
#include "ingress_fake.h"

#define FAKE_ENDPOINTS 1024

struct fake_backend {
	struct backend b;
	struct endpoints es;
	struct endpoint e[FAKE_ENDPOINTS];
	struct endpoint *at[FAKE_ENDPOINTS];
	bool draining[FAKE_ENDPOINTS];
	char name[64];
};

fake_weak struct endpoints *backend_endpoints(const struct backend *b)
{
	return b->now_;
}
fake_weak struct endpoint *endpoint_ref(struct endpoint *e)
{
	e->refs_++;
	return e;
}
fake_weak void endpoint_unref(struct endpoint *e)
{
	e->refs_--;
}

/* A pattern is a text that is to be found in the subject; an upstream_hash_by is the key itself. */
fake_weak bool pattern_match(const struct regex *p, struct str subject, struct pattern_match *ret)
{
	(void)ret;
	return memmem(subject.ptr, subject.len, (const char *)p, strlen((const char *)p));
}
fake_weak int variable_text_write(const struct variable_text *t, struct exchange *x, enum variable_escape how, struct buf *out)
{
	(void)x;
	(void)how;
	return buf_puts(out, (const char *)t);
}
#define fake_text_is(text, type) ((type *)(uintptr_t)(text))

/* As exchange.c notes tries. */
fake_own void fake_tried(struct exchange *x, const struct endpoint *e)
{
	if (x->n_tried < EXCHANGE_TRIED_MAX)
		x->tried[x->n_tried] = e->id;
	x->n_tried++;
}

/* `n` endpoints 10.0.<number / 250>.<1 + number % 250>:8080, numbered from `first`. */
fake_own void fake_backend_init(struct fake_backend *fb, const char *name, size_t n, unsigned first)
{
	memset(fb, 0, sizeof(*fb));
	snprintf(fb->name, sizeof(fb->name), "%s", name);
	fb->b.name = fb->name;
	fb->b.now_ = &fb->es;
	fb->es = (struct endpoints){ .n = n, .at = fb->at, .draining = fb->draining };
	for (size_t i = 0; i < n; i++) {
		unsigned number = first + (unsigned)i;
		char ip[32];
		struct err e;
		snprintf(ip, sizeof(ip), "10.0.%u.%u", number / 250, 1 + number % 250);
		if (addr_from_ip(ip, 8080, &fb->e[i].addr, &e) != 0)
			abort();
		snprintf(fb->e[i].text, sizeof(fb->e[i].text), "%s:8080", ip);
		fb->e[i].id = 1000 + number;
		fb->at[i] = &fb->e[i];
	}
}

fake_own void fake_backend_done(struct fake_backend *fb)
{
	hash_ring_free(fb->es.ring);
	fb->es.ring = NULL;
}
