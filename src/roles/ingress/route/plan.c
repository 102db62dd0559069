#include "roles/ingress/route/plan.h"

#include "roles/ingress/config/annotations.h"

#include <ctype.h>

static int claim_by_age(const struct claim *a, const struct claim *b)
{
	return ingress_age_cmp(a->ingress, b->ingress);
}

/* nginx's own test, (?i)^/[[:alnum:]._\-/]*$ */
static bool plain_path(const char *path)
{
	if (*path != '/')
		return false;
	for (; *path; path++)
		if (!isalnum((unsigned char)*path) && !strchr("._-/", *path))
			return false;
	return true;
}

static bool path_ok(const struct plan *p, const struct plan_path *one)
{
	static const char *const names[] = { "Exact", "Prefix", "ImplementationSpecific" };
	const char *path = one->p.path;

	if (path[0] != '/') {
		plan_problem(p, one->ingress, NULL, "InvalidPath", "path \"%s\" must begin with '/'", path);
		return false;
	}
	/* ingress-nginx's webhook refuses it in an Ingress that is new or changed; its controller serves those that are there. */
	if (one->p.type != PATH_IMPLEMENTATION && p->m->globals->strict_validate_path_type && !plain_path(path))
		plan_problem(p, one->ingress, NULL, REASON_PATH_TYPE,
			       "path %s cannot be used with pathType %s, says ingress-nginx's webhook; it is served", path,
			       names[one->p.type]);
	return true;
}

bool plan_rewrites(const struct settings *set, const char *path)
{
	return set->rewrite_target && set->rewrite_target[0] && strcmp(set->rewrite_target, path) != 0;
}

static void plan_add(struct plan *p, const struct plan_path *one)
{
	struct plan_path with_order = *one;

	with_order.order = p->next_order++;
	if (one->set->canary) {
		array_push(p->canaries, p->n_canaries, p->cap_canaries, with_order);
		return;
	}
	p->regex = p->regex || one->set->use_regex || plan_rewrites(one->set, one->p.path);
	array_push(p->paths, p->n, p->cap, with_order);
}

static bool same_host(const char *rule, const char *folded)
{
	return strcasecmp(rule, folded) == 0;
}

static void plan_ciphers(struct plan *p, const struct settings *set)
{
	if (!p->ciphers && set->ssl_ciphers)
		p->ciphers = set;
	if (!p->prefers && set->ssl_prefer_server_ciphers >= 0)
		p->prefers = set;
}

/* Its rules for this host. */
static void plan_ingress(struct plan *p, struct ingress *i)
{
	struct plan_path one = { .ingress = i, .set = i->use->set };
	struct ingress_backend fallback = ingress_default_backend(i);
	struct ingress_iter it;
	const char *rule_host = "";

	if (!one.set->canary) {
		p->primaries = true;
		p->tls = p->tls || i->n_tls > 0;
		p->first = p->first ? p->first : i;
	}
	ingress_begin(i, &it);
	while (ingress_next_path(&it, &one.p)) {
		if (!same_host(one.p.host, p->host))
			continue;
		rule_host = one.p.host;
		if (!one.set->canary)
			plan_ciphers(p, one.set);
		if (one.p.path && path_ok(p, &one))
			plan_add(p, &one);
	}
	if (fallback.service && !fallback.service[0])
		return;
	one.fallback = true;
	one.p = (struct ingress_path){ rule_host, "/", PATH_PREFIX, fallback };
	plan_add(p, &one);
}

static void plan_global_default(struct plan *p)
{
	struct plan_path one = { .set = p->m->globals->defaults, .fallback = true, .order = SIZE_MAX };

	if (!p->m->default_backend)
		return;
	one.p = (struct ingress_path){ p->host, "/", PATH_PREFIX, { "", "" } };
	array_push(p->paths, p->n, p->cap, one);
}

void plan_claims(struct plan *p, struct hostname *h)
{
	claims_sort(h, claim_by_age);
	for (size_t k = 0; k < h->n; k++)
		if (claim_at(h, k).kind == CLAIM_RULE)
			plan_ingress(p, claim_at(h, k).ingress);
	if (p->primaries || !h->name[0])
		plan_global_default(p);
}

/* ---- duplicates ---- */

static size_t trimmed(const struct plan_path *a, bool regex)
{
	size_t len = strlen(a->p.path);

	return a->p.type == PATH_PREFIX && !regex && a->p.path[len - 1] == '/' ? len - 1 : len;
}

int plan_cmp_place(const struct plan_path *a, const struct plan_path *b, bool regex)
{
	size_t la = trimmed(a, regex), lb = trimmed(b, regex);
	int c = memcmp(a->p.path, b->p.path, MIN(la, lb));

	if (c == 0)
		c = la == lb ? 0 : la < lb ? -1 : 1;
	/* On hosts of regular expressions the type has no meaning. */
	return c || regex ? c : (int)a->p.type - (int)b->p.type;
}

static int cmp_plain(const void *pa, const void *pb)
{
	const struct plan_path *a = pa, *b = pb;
	int c = plan_cmp_place(a, b, false);

	if (c == 0)
		c = (int)a->fallback - (int)b->fallback;
	return c ? c : a->order < b->order ? -1 : a->order > b->order;
}

static int cmp_regex(const void *pa, const void *pb)
{
	const struct plan_path *a = pa, *b = pb;
	int c = plan_cmp_place(a, b, true);

	if (c == 0)
		c = (int)a->fallback - (int)b->fallback;
	return c ? c : a->order < b->order ? -1 : a->order > b->order;
}

/* "/" of type ImplementationSpecific makes a fallback pointless, too. */
static bool root_taken(const struct plan *p)
{
	for (size_t k = 0; k < p->n; k++)
		if (!p->paths[k].fallback && p->paths[k].p.type != PATH_EXACT && strcmp(p->paths[k].p.path, "/") == 0)
			return true;
	return false;
}

void plan_settle(struct plan *p)
{
	bool root = root_taken(p);
	size_t kept = 0;

	if (p->n > 1)
		qsort(p->paths, p->n, sizeof(*p->paths), p->regex ? cmp_regex : cmp_plain);
	for (size_t k = 0; k < p->n; k++) {
		struct plan_path *one = &p->paths[k], *last = kept ? &p->paths[kept - 1] : NULL;

		if (one->fallback && root)
			continue;
		if (last && plan_cmp_place(last, one, p->regex) == 0) {
			if (!one->fallback)
				plan_problem(p, one->ingress, NULL, "DuplicatePath",
					       "host \"%s\" and path \"%s\" is already defined in ingress %s", p->host,
					       one->p.path, last->ingress ? last->ingress->key : "");
			continue;
		}
		p->paths[kept++] = *one;
	}
	p->n = kept;
}

void plan_done(struct plan *p)
{
	free(p->paths);
	free(p->canaries);
}
