#include "roles/ingress/route/model_int.h"

char *fold_name(const char *name)
{
	char *folded = xstrdup(name);

	for (char *p = folded; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p + ('a' - 'A'));
	return folded;
}

/* ---- host names ---- */

struct hostname *hostname_get(struct model *m, const char *folded)
{
	struct hostname *h = names_get(m->hosts, str_of(folded));
	size_t len = strlen(folded) + 1;

	if (h)
		return h;
	h = xcalloc(1, sizeof(*h) + len);
	memcpy(h->name, folded, len);
	names_put(m->hosts, h);
	return h;
}

void hostname_free(void *p)
{
	struct hostname *h = p;

	if (h->n > 1)
		free(h->many);
	free(h);
}

void hostname_dirty(struct model *m, struct hostname *h, bool routes, bool cert)
{
	h->dirty_routes = h->dirty_routes || routes;
	h->dirty_cert = h->dirty_cert || cert;
	if (h->queued)
		return;
	h->queued = true;
	h->next_dirty = m->dirty_hosts;
	m->dirty_hosts = h;
}

/* ---- claims ---- */

static uintptr_t word_of(struct ingress *i, enum claim_kind kind)
{
	return (uintptr_t)i | (uintptr_t)kind;
}

static uintptr_t *words(struct hostname *h)
{
	return h->n > 1 ? h->many : &h->one;
}

static void push(struct hostname *h, uintptr_t word)
{
	uintptr_t one = h->one;

	if (h->n == 0) {
		h->one = word;
	} else if (h->n == 1) {
		h->many = xmalloc(2 * sizeof(*h->many));
		h->many[0] = one;
		h->many[1] = word;
	} else {
		if ((h->n & (h->n - 1)) == 0)
			h->many = xrealloc(h->many, 2 * h->n * sizeof(*h->many));
		h->many[h->n] = word;
	}
	h->n++;
}

static void take_out(struct hostname *h, size_t k)
{
	uintptr_t *at = words(h), *many = at;

	at[k] = at[h->n - 1];
	h->n--;
	if (h->n != 1)
		return;
	h->one = many[0];
	free(many);
}

void claims_sort(struct hostname *h, int (*cmp)(const struct claim *a, const struct claim *b))
{
	uintptr_t *at = words(h);

	/* Insertion: hardly any host has more than a few, and those are nearly in order. */
	for (size_t k = 1; k < h->n; k++)
		for (size_t to = k; to > 0; to--) {
			struct claim a = claim_at(h, to - 1), b = claim_at(h, to);

			if (cmp(&a, &b) <= 0)
				break;
			at[to - 1] = word_of(b.ingress, b.kind);
			at[to] = word_of(a.ingress, a.kind);
		}
}

/* A stronger claim of the same Ingress replaces a weaker one. */
static void claim_add(struct model *m, const char *name, struct ingress *i, enum claim_kind kind)
{
	cleanup(freep) char *folded = fold_name(name);
	struct hostname *h = hostname_get(m, folded);

	hostname_dirty(m, h, true, true);
	for (size_t k = 0; k < h->n; k++) {
		struct claim have = claim_at(h, k);

		if (have.ingress != i)
			continue;
		words(h)[k] = word_of(i, MIN(have.kind, kind));
		return;
	}
	push(h, word_of(i, kind));
}

static void claim_del(struct model *m, const char *name, struct ingress *i, enum claim_kind kind)
{
	cleanup(freep) char *folded = fold_name(name);
	struct hostname *h = names_get(m->hosts, str_of(folded));

	(void)kind;
	if (!h)
		return;
	hostname_dirty(m, h, true, true);
	for (size_t k = 0; k < h->n; k++)
		if (claim_at(h, k).ingress == i) {
			take_out(h, k);
			return;
		}
}

/* "www.h" of "h", "h" of "www.h". */
static char *other_name(const char *host)
{
	if (!host[0] || host[0] == '*')
		return NULL;
	return strncasecmp(host, "www.", 4) == 0 ? xstrdup(host + 4) : xasprintf("www.%s", host);
}

struct each_name {
	struct model *m;
	struct ingress *i;
	void (*fn)(struct model *m, const char *name, struct ingress *i, enum claim_kind kind);
};

static void each_rule_name(const struct each_name *e, struct ingress_iter *it)
{
	const struct settings *set = e->i->use->set;
	const char *last = NULL;
	struct ingress_path path;

	while (ingress_next_path(it, &path)) {
		if (path.host == last)
			continue; /* the same rule goes on */
		last = path.host;
		e->fn(e->m, path.host, e->i, CLAIM_RULE);
		cleanup(freep) char *other = set->from_to_www_redirect ? other_name(path.host) : NULL;
		if (other)
			e->fn(e->m, other, e->i, CLAIM_WWW);
	}
	if (!last && (ingress_default_backend(e->i).service == NULL || ingress_default_backend(e->i).service[0]))
		e->fn(e->m, "", e->i, CLAIM_RULE);
	for (size_t k = 0; last && k < set->server_alias.n; k++)
		e->fn(e->m, set->server_alias.at[k], e->i, CLAIM_ALIAS);
}

static void each_name(const struct each_name *e)
{
	struct ingress_iter it;
	struct ingress_tls tls;

	ingress_begin(e->i, &it);
	each_rule_name(e, &it);
	while (ingress_next_tls(&it, &tls))
		for (unsigned k = 0; k < tls.n_hosts; k++) {
			const char *name = ingress_next_host(&it);
			if (name[0])
				e->fn(e->m, name, e->i, CLAIM_TLS);
		}
}

void claims_link(struct model *m, struct ingress *i)
{
	struct each_name e = { m, i, claim_add };

	each_name(&e);
	i->linked = true;
}

void claims_unlink(struct model *m, struct ingress *i)
{
	struct each_name e = { m, i, claim_del };

	each_name(&e);
	i->linked = false;
}

static void make_cert_dirty(struct model *m, const char *name, struct ingress *i, enum claim_kind kind)
{
	cleanup(freep) char *folded = fold_name(name);
	struct hostname *h = names_get(m->hosts, str_of(folded));

	(void)i, (void)kind;
	if (h)
		hostname_dirty(m, h, false, true);
}

void claims_dirty_certs(struct model *m, struct ingress *i)
{
	struct each_name e = { m, i, make_cert_dirty };

	each_name(&e);
}
