#include "roles/ingress/route/match.h"
#include "roles/ingress/route/plan.h"

#include "roles/ingress/http/filter.h"
#include "roles/ingress/tls/client_auth.h"
#include "roles/ingress/tls/host_ciphers.h"

#define FILTER_LISTS_MAX 128 /* different ones that are shared */

/* ---- what a host owns: one block for itself and its locations ---- */

struct own_location {
	struct location pub;
	struct ingress *ingress; /* NULL: made for the global default backend */
	bool own_filters;	 /* not shared with other locations */
};
struct own_host {
	struct host pub;
	void (*location_unref)(void *ctx, unsigned id);
	void *location_ctx;
	struct own_location *locations;
	char *paths; /* where the next one's text goes */
};

static void location_done(const struct own_host *h, struct own_location *l)
{
	for (size_t k = 0; k < l->pub.n_canaries; k++) {
		settings_unref(l->pub.canaries[k].set);
		backend_unref(l->pub.canaries[k].backend);
		ingress_unref(container_of(l->pub.canaries[k].ingress, struct ingress, key));
	}
	free(l->pub.canaries);
	settings_unref(l->pub.set);
	backend_unref(l->pub.backend);
	backend_unref(l->pub.default_backend);
	regex_free(l->pub.regex);
	regex_free(l->pub.rewrite);
	if (l->own_filters && l->pub.filters->filter)
		free(l->pub.filters);
	if (h->location_unref)
		h->location_unref(h->location_ctx, l->pub.metrics_id);
	ingress_unref(l->ingress);
}

static void host_free(struct host *pub)
{
	struct own_host *h = container_of(pub, struct own_host, pub);

	for (size_t k = 0; k < pub->n_all; k++)
		location_done(h, &h->locations[k]);
	host_index_free(pub);
	settings_unref(pub->passthrough);
	backend_unref(pub->passthrough_backend);
	client_auth_free(pub->client_auth);
	host_ciphers_free(pub->ciphers);
	free(h);
}

/* Locations live in the block, but h->all is sorted: `locations` keeps them in the order they were made. */
static struct own_host *host_new(const struct model *m, const char *name, size_t n_locations, size_t path_bytes,
				 const char *redirect_to)
{
	size_t len = strlen(name) + 1, redirect = redirect_to ? strlen(redirect_to) + 1 : 0;
	size_t texts = (len + redirect + 7) & ~(size_t)7;
	size_t bytes = n_locations * (sizeof(struct own_location) + sizeof(struct location *)) + texts + path_bytes;
	struct own_host *h = xcalloc(1, sizeof(*h) + bytes);

	h->pub.refs_ = 1;
	h->pub.free_ = host_free;
	h->location_unref = m->ops.location_unref;
	h->location_ctx = m->ops.location_ctx;
	/* What a look-up reads comes first: among ten thousand hosts each line of the cache counts. */
	h->pub.name = memcpy(h + 1, name, len);
	if (redirect)
		h->pub.redirect_to = memcpy(h->pub.name + len, redirect_to, redirect);
	h->pub.all = (struct location **)((char *)(h + 1) + texts);
	h->locations = (struct own_location *)(h->pub.all + n_locations);
	h->paths = (char *)(h->locations + n_locations);
	return h;
}

/* ---- locations ---- */

struct backend *model_get_backend(struct model *m, const char *ns, const char *service, const char *port, bool cluster_ip)
{
	struct backend *b = cluster_ip ? backends_get_cluster_ip(m->backends, ns, service, port) :
					 backends_get(m->backends, ns, service, port);

	service_add_backend(m, b);
	return b;
}

static struct backend *backend_of(const struct plan *p, const struct plan_path *one)
{
	const struct ingress_backend *b = &one->p.backend;

	if (!one->ingress)
		return backend_ref(p->m->default_backend);
	if (!b->service) {
		plan_problem(p, one->ingress, NULL, "ResourceBackend",
			       "path \"%s\": resource backends are not supported, use a Service", one->p.path);
		return NULL;
	}
	if (!b->service[0]) {
		plan_problem(p, one->ingress, NULL, "InvalidBackend", "path \"%s\" has no backend", one->p.path);
		return NULL;
	}
	return model_get_backend(p->m, ingress_ns(one->ingress), b->service, b->port, one->set->service_upstream);
}

static struct regex *compile(const struct plan *p, const struct plan_path *one, bool from_start)
{
	cleanup(freep) char *text = xasprintf("%s%s", from_start ? "^" : "", one->p.path);
	struct err e;
	struct regex *re = pattern_new(text, true, false, &e);

	if (!re && one->ingress)
		plan_problem(p, one->ingress, NULL, "InvalidPath", "path \"%s\": %s", one->p.path, e.message);
	return re;
}

/* False: the path cannot be used. */
static bool location_patterns(const struct plan *p, const struct plan_path *one, struct location *l)
{
	if (p->regex && !(l->regex = compile(p, one, true)))
		return false;
	return !plan_rewrites(one->set, one->p.path) || (l->rewrite = compile(p, one, false));
}

static struct backend *default_backend_of(const struct plan *p, const struct plan_path *one)
{
	const char *service = one->set->default_backend;

	if (service && one->ingress)
		return model_get_backend(p->m, ingress_ns(one->ingress), service, "", false);
	return backend_ref(p->m->default_backend);
}

static void location_fill(const struct plan *p, const struct plan_path *one, struct own_host *h, struct own_location *own)
{
	static char none[] = "";
	struct location *l = &own->pub;

	l->host = &h->pub;
	l->path = h->paths;
	h->paths = stpcpy(h->paths, one->p.path) + 1;
	l->type = one->p.type;
	l->rule_host = (char *)(one->ingress ? one->p.host : h->pub.name);
	l->ns = one->ingress ? (char *)ingress_ns(one->ingress) : none;
	l->ingress = one->ingress ? (char *)ingress_name(one->ingress) : none;
	own->ingress = one->ingress ? ingress_ref(one->ingress) : NULL;
	l->set = settings_ref(one->set);
	l->backend = backend_of(p, one);
	l->default_backend = default_backend_of(p, one);
	l->tls = h->pub.tls;
}

static void add_location(const struct plan *p, const struct plan_path *one, struct own_host *h)
{
	struct own_location *own = &h->locations[h->pub.n_all];

	if (!location_patterns(p, one, &own->pub)) {
		regex_free(own->pub.regex);
		own->pub.regex = NULL;
		return;
	}
	location_fill(p, one, h, own);
	h->pub.all[h->pub.n_all++] = &own->pub;
}

/* ---- canaries ---- */

static struct own_location *find_primary(const struct own_host *h, const struct plan_path *canary)
{
	struct plan_path at = { 0 };

	for (size_t k = 0; k < h->pub.n_all; k++) {
		at.p.path = h->locations[k].pub.path;
		at.p.type = h->locations[k].pub.type;
		if (h->locations[k].ingress && plan_cmp_place(&at, canary, h->pub.regex) == 0)
			return &h->locations[k];
	}
	return NULL;
}

static void add_canary(const struct plan *p, const struct plan_path *one, struct own_host *h)
{
	struct own_location *l = find_primary(h, one);
	size_t n;

	if (!l) {
		plan_problem(p, one->ingress, "canary", "NoPrimary",
			       "no Ingress that is not a canary has host \"%s\" and path \"%s\": the canary is ignored", p->host,
			       one->p.path);
		return;
	}
	n = l->pub.n_canaries;
	struct backend *b = backend_of(p, one);
	if (!b)
		return;
	l->pub.canaries = xrealloc(l->pub.canaries, (n + 1) * sizeof(*l->pub.canaries));
	l->pub.canaries[n] = (struct canary){ settings_ref(one->set), b, ingress_ref(one->ingress)->key };
	l->pub.n_canaries = n + 1;
}

/* ---- hosts ---- */

static void set_passthrough(const struct plan *p, struct own_host *h)
{
	if (!p->first || !p->first->use->set->ssl_passthrough)
		return;
	for (size_t k = 0; k < h->pub.n_all; k++) {
		struct location *l = &h->locations[k].pub;

		if (strcmp(l->path, "/") != 0 || !l->backend || !h->locations[k].ingress)
			continue;
		h->pub.passthrough = settings_ref(l->set);
		h->pub.passthrough_backend = backend_ref(l->backend);
		return;
	}
	plan_problem(p, p->first, "ssl-passthrough", "NoRootPath",
		       "ssl-passthrough of host \"%s\" needs a path \"/\" whose backend gets the connections", p->host);
}

/* The oldest Ingress that asks for certificates decides for the whole host, as in ingress-nginx. */
static void set_client_auth(const struct plan *p, struct own_host *h)
{
	cleanup(freep) char *why = NULL;
	const struct plan_path *by = NULL;

	for (size_t k = 0; k < p->n; k++)
		if (p->paths[k].set->auth_tls_ca && (!by || p->paths[k].order < by->order))
			by = &p->paths[k];
	if (by)
		h->pub.client_auth = client_auth_new(p->name->name, by->set, &why);
	if (why)
		plan_problem(p, by->ingress, "auth-tls-secret", "BadAuthority", "%s: every request to host \"%s\" is refused", why,
			     p->host);
}

/* The oldest Ingress that has the annotation decides, of each of the two. */
static void set_ciphers(const struct plan *p, struct own_host *h)
{
	h->pub.ciphers = host_ciphers_new(p->ciphers ? p->ciphers->ssl_ciphers : NULL,
					  p->prefers ? p->prefers->ssl_prefer_server_ciphers : -1, h->pub.client_auth);
}

static bool same_filters(const struct filter_use *a, const struct filter_use *b)
{
	for (; a->filter == b->filter; a++, b++)
		if (!a->filter)
			return true;
	return false;
}

/* There are a handful of different lists in a cluster, and a location on ten thousand hosts needs the same one: they are kept
 * for good and shared. NULL: too many different ones. */
static struct filter_use *share_filters(const struct filter_use *mine)
{
	static struct filter_use *shared[FILTER_LISTS_MAX];
	size_t n = 0, k;

	while (mine[n].filter)
		n++;
	for (k = 0; k < FILTER_LISTS_MAX && shared[k]; k++)
		if (same_filters(shared[k], mine))
			return shared[k];
	if (k == FILTER_LISTS_MAX)
		return NULL;
	shared[k] = memcpy(xmalloc((n + 1) * sizeof(*mine)), mine, (n + 1) * sizeof(*mine));
	return shared[k];
}

static void set_filters(const struct model *m, struct own_location *own)
{
	struct filter_use *mine = m->ops.filters_for(&own->pub, m->globals);
	struct filter_use *shared = share_filters(mine);

	own->pub.filters = shared ? shared : mine;
	own->own_filters = !shared;
	if (shared && mine->filter) /* an empty list is not on the heap */
		free(mine);
}

/* When all else is known of each location. */
static void finish_locations(const struct model *m, struct own_host *h)
{
	for (size_t k = 0; k < h->pub.n_all; k++) {
		struct location *l = &h->locations[k].pub;

		if (m->ops.location_ref)
			l->metrics_id = m->ops.location_ref(m->ops.location_ctx, l);
		if (m->ops.filters_for)
			set_filters(m, &h->locations[k]);
	}
}

/* Its own Ingresses have spec.tls, or those of the wildcard above it. */
static bool counts_as_tls(const struct plan *p)
{
	const char *dot = strchr(p->name->name, '.');

	if (!p->name->name[0])
		return false; /* what is asked for is no name of a certificate */
	if (p->tls || !dot || dot == p->name->name || p->name->name[0] == '*')
		return p->tls;
	cleanup(freep) char *wildcard = xasprintf("*%s", dot);
	const struct hostname *w = names_get(p->m->hosts, str_of(wildcard));
	return w && w->tls;
}

static struct host *make(struct plan *p)
{
	struct own_host *h;
	size_t path_bytes = 0;

	plan_settle(p);
	for (size_t k = 0; k < p->n; k++)
		path_bytes += strlen(p->paths[k].p.path) + 1;
	h = host_new(p->m, p->name->name, p->n, path_bytes, NULL);
	h->pub.regex = p->regex;
	h->pub.tls = counts_as_tls(p);
	for (size_t k = 0; k < p->n; k++)
		add_location(p, &p->paths[k], h);
	for (size_t k = 0; k < p->n_canaries; k++)
		add_canary(p, &p->canaries[k], h);
	set_passthrough(p, h);
	set_client_auth(p, h);
	set_ciphers(p, h);
	finish_locations(p->m, h);
	host_index(&h->pub);
	return &h->pub;
}

static struct ingress *oldest(struct hostname *h, enum claim_kind kind)
{
	struct ingress *best = NULL;

	for (size_t k = 0; k < h->n; k++) {
		struct claim c = claim_at(h, k);

		if (c.kind == kind && (!best || ingress_age_cmp(c.ingress, best) < 0))
			best = c.ingress;
	}
	return best;
}

/* The host of its first rule: what an alias is another name for. */
static const char *first_host(const struct ingress *i)
{
	struct ingress_iter it;
	struct ingress_path path;

	ingress_begin(i, &it);
	return ingress_next_path(&it, &path) ? path.host : "";
}

/* The rule's host whose other name this is. */
static const char *www_origin(const struct ingress *i, const char *name)
{
	struct ingress_iter it;
	struct ingress_path path;

	ingress_begin(i, &it);
	while (ingress_next_path(&it, &path))
		if ((strncasecmp(name, "www.", 4) == 0 && strcasecmp(path.host, name + 4) == 0) ||
		    (strncasecmp(path.host, "www.", 4) == 0 && strcasecmp(path.host + 4, name) == 0))
			return path.host;
	return NULL;
}

static struct host *make_alias(struct model *m, struct plan *p, const struct ingress *of)
{
	cleanup(freep) char *origin_name = fold_name(first_host(of));
	struct hostname *origin = names_get(m->hosts, str_of(origin_name));

	if (!origin)
		return NULL;
	p->host = origin_name;
	p->quiet = true;
	plan_claims(p, origin);
	return p->primaries ? make(p) : NULL;
}

static struct host *make_redirect(struct model *m, struct hostname *h, const struct ingress *of)
{
	const char *origin = www_origin(of, h->name);
	cleanup(freep) char *folded = origin ? fold_name(origin) : NULL;
	struct own_host *own = folded ? host_new(m, h->name, 0, 0, folded) : NULL;

	if (!own)
		return NULL;
	own->pub.tls = of->n_tls > 0;
	return &own->pub;
}

static struct host *make_any(struct model *m, struct plan *p, struct hostname *h)
{
	struct ingress *alias = oldest(h, CLAIM_ALIAS), *www = oldest(h, CLAIM_WWW);

	plan_claims(p, h);
	if (p->primaries || (!h->name[0] && p->n))
		return make(p);
	if (p->n_canaries && !alias) { /* says of each that it has no primary */
		struct host *nothing = make(p);
		host_unref(nothing);
	}
	if (alias)
		return make_alias(m, p, alias);
	return www && !www->use->set->canary ? make_redirect(m, h, www) : NULL;
}

/* Names below a wildcard share its certificate, and so whether plain requests are sent to https. */
struct below {
	struct model *m;
	const char *suffix; /* ".rest" */
};

static void dirty_below(void *ctx, void *obj)
{
	const struct below *b = ctx;
	struct hostname *h = obj;
	const char *dot = strchr(h->name, '.');

	if (dot && h->name[0] != '*' && strcmp(dot, b->suffix) == 0)
		hostname_dirty(b->m, h, true, false);
}

void host_build(struct model *m, struct hostname *h)
{
	struct plan p = { .m = m, .name = h, .host = h->name, .tag = problem_tag(h->name) };

	for (size_t k = 0; k < h->n; k++)
		problem_begin(m, claim_at(h, k).ingress, p.tag);
	struct host *built = make_any(m, &p, h);
	plan_done(&p);
	if (p.tls != h->tls && h->name[0] == '*')
		names_each(m->hosts, dirty_below, &(struct below){ m, h->name + 1 });
	h->tls = p.tls;
	if (m->ops.host)
		m->ops.host(m->ctx, h->name, built);
	if (built)
		routes_put_host(m->routes, built);
	else if (h->published)
		routes_del_host(m->routes, h->name);
	h->published = built != NULL;
}
