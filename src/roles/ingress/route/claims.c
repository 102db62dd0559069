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
	h->name = memcpy(h + 1, folded, len);
	list_init(&h->dirty);
	names_put(m->hosts, h);
	return h;
}

void hostname_free(void *p)
{
	struct hostname *h = p;

	free(h->claims);
	free(h);
}

void hostname_dirty(struct model *m, struct hostname *h, bool routes, bool cert)
{
	h->dirty_routes = h->dirty_routes || routes;
	h->dirty_cert = h->dirty_cert || cert;
	if (list_empty(&h->dirty))
		list_append(&m->dirty_hosts, &h->dirty);
}

/* ---- claims ---- */

/* A stronger claim of the same Ingress replaces a weaker one. */
static void claim_add(struct model *m, const char *name, struct ingress *i, enum claim_kind kind)
{
	cleanup(freep) char *folded = fold_name(name);
	struct hostname *h = hostname_get(m, folded);

	hostname_dirty(m, h, true, true);
	for (size_t k = 0; k < h->n; k++)
		if (h->claims[k].ingress == i) {
			h->claims[k].kind = MIN(h->claims[k].kind, kind);
			return;
		}
	array_push(h->claims, h->n, h->cap, ((struct claim){ i, kind }));
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
		if (h->claims[k].ingress == i) {
			h->claims[k] = h->claims[--h->n];
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
