#include "roles/ingress/route/model_int.h"

#include <stdio.h>

#define INCOMING_KEPT 256 /* after more than that at once, the table's memory is given back */

enum { CLASS_KNOWN = 1, CLASS_OURS = 2 };

/* ---- classes ---- */

void model_set_class(struct model *m, const json_t *obj)
{
	const char *name = jx_str(obj, "metadata.name");
	const char *ours = m->config.controller;
	uintptr_t flags = CLASS_KNOWN;

	if (!name)
		return;
	if (c_eq(jx_str(obj, "spec.controller"), ours))
		flags |= CLASS_OURS;
	if ((uintptr_t)map_put_c(&m->classes, name, (void *)flags) != flags)
		m->classes_dirty = true;
}

void model_del_class(struct model *m, const char *name)
{
	if (map_del_c(&m->classes, name))
		m->classes_dirty = true;
}

/* ingress-nginx's order: ingressClassName, then the old annotation, then neither. The annotation needs no IngressClass.
 * The default class is the API server's to give, when an Ingress is made: one that has none now was made without. */
static bool is_ours(const struct model *m, const struct ingress *i)
{
	const char *name = ingress_class_name(i), *old = ingress_class_annotation(i);
	const char *asked = name ? name : old;
	uintptr_t flags = asked ? (uintptr_t)map_get_c(&m->classes, asked) : 0;

	if (m->config.watch_namespace && strcmp(ingress_ns(i), m->config.watch_namespace) != 0)
		return false;
	if (!asked || !asked[0])
		return m->config.watch_without_class;
	if (flags)
		return flags & CLASS_OURS;
	/* Standalone, before anybody has made the object, its well-known name is enough. */
	return strcmp(asked, m->config.class_name) == 0;
}

/* ---- Ingresses ---- */

static void each_secret(struct model *m, struct ingress *i, void (*fn)(struct model *m, struct object *o, struct ingress *i))
{
	struct ingress_iter it;
	struct ingress_path path;
	struct ingress_tls tls;

	if (!i->n_tls)
		return;
	ingress_begin(i, &it);
	while (ingress_next_path(&it, &path))
		;
	while (ingress_next_tls(&it, &tls)) {
		for (unsigned k = 0; k < tls.n_hosts; k++)
			ingress_next_host(&it);
		if (tls.secret[0])
			fn(m, known_object_ref(m, MODEL_SECRET, ingress_ns(i), tls.secret), i);
	}
}

static void add_tls_ref(struct model *m, struct object *o, struct ingress *i)
{
	(void)m;
	object_add_tls_user(o, i);
}

static void drop_tls_refs(struct model *m, struct ingress *i)
{
	each_secret(m, i, object_del_tls_user);
}

/* It is in no table any more. */
static void ingress_forget(struct model *m, struct ingress *i)
{
	drop_tls_refs(m, i);
	use_put(m, i->use);
	i->use = NULL;
	ingress_unref(i);
}

static void drop_incoming(struct model *m, const char *key)
{
	struct ingress *waiting = names_del(m->incoming, str_of(key));

	if (waiting)
		ingress_forget(m, waiting);
}

static void parse_failed(const struct model *m, const json_t *obj, const struct err *e)
{
	struct model_object about = { "Ingress", "networking.k8s.io/v1", jx_namespace(obj), jx_name(obj), jx_uid(obj) };

	if (m->ops.problem && about.ns && about.name)
		m->ops.problem(m->ctx, &about, NULL, "InvalidIngress", e->message);
}

bool model_set_ingress(struct model *m, json_t *obj)
{
	struct err e;

	ingress_normalise(obj);
	if (jx_str(obj, "metadata.deletionTimestamp")) {
		model_del_ingress(m, jx_namespace(obj), jx_name(obj));
		return true;
	}
	struct ingress *i = ingress_new(obj, &e);
	if (!i) {
		parse_failed(m, obj, &e);
		return false;
	}
	struct ingress *have = names_get(m->ingresses, str_of(i->key));
	drop_incoming(m, i->key);
	if (have && ingress_same(have, i)) {
		have->status = i->status;
		ingress_unref(i);
		return false;
	}
	each_secret(m, i, add_tls_ref);
	i->ours = is_ours(m, i);
	names_put(m->incoming, i);
	return true;
}

static void leave(struct model *m, struct ingress *i)
{
	if (i->linked)
		claims_unlink(m, i);
}

void model_del_ingress(struct model *m, const char *ns, const char *name)
{
	cleanup(freep) char *key = xasprintf("%s/%s", ns ? ns : "", name ? name : "");
	struct ingress *have = names_del(m->ingresses, str_of(key));

	drop_incoming(m, key);
	if (!have)
		return;
	leave(m, have);
	problems_forget(m, have);
	ingress_forget(m, have);
}

static void need_now(struct model *m, struct object *o, struct ingress *i)
{
	(void)i;
	object_need(m, o, false);
}

static void look_waiting(struct model *m, struct object *o, struct ingress *i)
{
	(void)i;
	m->found_waiting = m->found_waiting || o->state == OBJECT_WANTED;
}

/* Everything that it refers to is known: what is served now stays until then. */
static bool ready(struct model *m, struct ingress *i)
{
	if (!i->ours)
		return true;
	if (!i->use)
		i->use = use_get(m, i);
	each_secret(m, i, need_now);
	m->found_waiting = use_waits(i->use);
	each_secret(m, i, look_waiting);
	return !m->found_waiting;
}

static void adopt(struct model *m, struct ingress *i)
{
	struct ingress *old = names_put(m->ingresses, i);

	if (old) {
		leave(m, old);
		i->troubled = old->troubled;
		ingress_forget(m, old);
		problem_begin_all(m, i);
	}
	if (!i->ours)
		return;
	use_report(m, i);
	claims_link(m, i);
}

static void adopt_if_ready(void *ctx, void *obj)
{
	struct model *m = ctx;
	struct ingress *i = obj;

	i->ours = is_ours(m, i);
	if (!ready(m, i))
		return;
	names_del(m->incoming, str_of(i->key));
	adopt(m, i);
}

static void adopt_incoming(struct model *m)
{
	if (names_count(m->incoming) == 0)
		return;
	bool many = names_count(m->incoming) > INCOMING_KEPT;
	names_each(m->incoming, adopt_if_ready, m);
	if (many && names_count(m->incoming) == 0) {
		names_free(m->incoming, NULL);
		m->incoming = names_new_inline(NULL, offsetof(struct ingress, key));
	}
}

/* ---- classes have changed: who is ours? ---- */

struct strangers {
	struct model *m;
	struct ingress **at;
	size_t n, cap;
};

static void collect_changed(void *ctx, void *obj)
{
	struct strangers *s = ctx;
	struct ingress *i = obj;

	if (is_ours(s->m, i) != i->ours)
		array_push(s->at, s->n, s->cap, i);
}

static void classes_flush(struct model *m)
{
	struct strangers s = { .m = m };

	if (!m->classes_dirty)
		return;
	m->classes_dirty = false;
	names_each(m->ingresses, collect_changed, &s);
	for (size_t k = 0; k < s.n; k++) {
		struct ingress *i = s.at[k];

		leave(m, i);
		i->ours = !i->ours;
		problem_begin_all(m, i);
		if (!i->ours) {
			use_put(m, i->use);
			i->use = NULL;
			continue;
		}
		ready(m, i);
		use_report(m, i);
		claims_link(m, i);
	}
	free(s.at);
}

/* ---- putting into effect ---- */

static void spread_to_aliases(struct model *m, const struct hostname *h)
{
	for (size_t k = 0; k < h->n; k++) {
		struct claim c = claim_at(h, k);
		const struct str_list *alias = &c.ingress->use->set->server_alias;

		for (size_t n = 0; c.kind == CLAIM_RULE && n < alias->n; n++) {
			cleanup(freep) char *folded = fold_name(alias->at[n]);

			hostname_dirty(m, hostname_get(m, folded), true, true);
		}
	}
}

static void all_hosts_dirty(void *ctx, void *obj)
{
	hostname_dirty(ctx, obj, true, false);
}

static void hostname_flush(struct model *m, struct hostname *h)
{
	bool routes = h->dirty_routes, cert = h->dirty_cert;

	h->dirty_routes = h->dirty_cert = h->queued = false;
	if (routes)
		host_build(m, h);
	if (cert)
		host_cert(m, h);
	if (h->n || h->published || h->queued || (!h->name[0] && m->default_backend))
		return;
	names_del(m->hosts, str_of(h->name));
	hostname_free(h);
}

static void hosts_flush(struct model *m)
{
	if (m->globals_changed)
		names_each(m->hosts, all_hosts_dirty, m);
	m->globals_changed = false;
	/* What this puts before the first is not looked at: an alias has no aliases. */
	for (struct hostname *h = m->dirty_hosts; h; h = h->next_dirty)
		if (h->dirty_routes)
			spread_to_aliases(m, h);
	while (m->dirty_hosts) {
		struct hostname *h = m->dirty_hosts;

		m->dirty_hosts = h->next_dirty;
		hostname_flush(m, h);
	}
}

void model_flush(struct model *m)
{
	objects_flush(m);
	globals_flush(m);
	uses_flush(m);
	classes_flush(m);
	adopt_incoming(m);
	services_flush(m);
	hosts_flush(m);
	problems_settle(m);
}

void model_sweep(struct model *m)
{
	services_sweep(m);
}

/* ---- life ---- */

static void watch_object(struct model *m, enum model_kind kind, const char *key, bool cert)
{
	struct str name, ns = str_cut(str_of(key), '/', &name);
	cleanup(freep) char *ns_text = str_dup(ns);
	struct object *o;

	if (!name.ptr)
		return;
	o = known_object_ref(m, kind, ns_text, name.ptr);
	o->for_default_cert = o->for_default_cert || cert;
	o->for_globals += !cert;
}

struct model *model_new(const struct model_config *c, const struct model_ops *ops, void *ctx, struct routes *r,
			struct backends *bs)
{
	struct model *m = xcalloc(1, sizeof(*m));

	*m = (struct model){ .config = *c, .ops = *ops, .ctx = ctx, .routes = r, .backends = bs, .globals_dirty = true };
	m->config.controller = c->controller ? c->controller : MODEL_CONTROLLER;
	m->config.class_name = c->class_name ? c->class_name : MODEL_CLASS;
	map_init(&m->classes);
	map_init(&m->uses);
	m->ingresses = names_new_inline(NULL, offsetof(struct ingress, key));
	m->incoming = names_new_inline(NULL, offsetof(struct ingress, key));
	m->hosts = names_new_inline(NULL, offsetof(struct hostname, name));
	problems_init(m);
	m->secrets = names_new(NULL, offsetof(struct object, key));
	m->configmaps = names_new(NULL, offsetof(struct object, key));
	m->services = names_new(NULL, offsetof(struct service, key));
	m->slices = names_new(NULL, 0);
	m->resolved = names_new(NULL, 0);
	list_init(&m->dirty_objects);
	list_init(&m->dirty_uses);
	list_init(&m->dirty_services);
	if (c->configmap)
		watch_object(m, MODEL_CONFIGMAP, c->configmap, false);
	if (c->default_ssl_certificate)
		watch_object(m, MODEL_SECRET, c->default_ssl_certificate, true);
	if (c->default_backend_service) {
		struct str name, ns = str_cut(str_of(c->default_backend_service), '/', &name);
		cleanup(freep) char *ns_text = str_dup(ns);

		if (name.ptr) {
			m->default_backend = model_get_backend(m, ns_text, name.ptr, "", false);
			hostname_dirty(m, hostname_get(m, ""), true, false);
		}
	}
	return m;
}

static void forget_one(void *ctx, void *obj)
{
	struct ingress *i = obj;

	(void)ctx;
	ingress_unref(i);
}

void model_free(struct model *m)
{
	if (!m)
		return;
	backend_unref(m->default_backend);
	names_each(m->incoming, forget_one, m);
	names_free(m->incoming, NULL);
	names_each(m->ingresses, forget_one, m);
	names_free(m->ingresses, NULL);
	names_free(m->hosts, hostname_free);
	problems_free(m);
	map_done(&m->uses, use_free);
	names_free(m->secrets, object_free);
	names_free(m->configmaps, object_free);
	services_free(m);
	map_done(&m->classes, NULL);
	free(m->globals_deps);
	if (!m->ops.globals)
		globals_unref(m->globals);
	free(m);
}

/* ---- questions ---- */

const struct model_ingress *model_get_ingress(struct model *m, const char *ns, const char *name)
{
	cleanup(freep) char *key = xasprintf("%s/%s", ns, name);
	struct ingress *i = names_get(m->incoming, str_of(key));

	if (!i)
		i = names_get(m->ingresses, str_of(key));
	if (!i)
		return NULL;
	m->described = ingress_describe(i);
	return &m->described;
}

struct each_ingress {
	void (*fn)(void *ctx, const struct model_ingress *i);
	void *ctx;
};

static void each_ingress(void *ctx, void *obj)
{
	struct each_ingress *e = ctx;
	struct model_ingress i = ingress_describe(obj);

	e->fn(e->ctx, &i);
}

void model_each_ingress(struct model *m, void (*fn)(void *ctx, const struct model_ingress *i), void *ctx)
{
	struct each_ingress e = { fn, ctx };

	names_each(m->ingresses, each_ingress, &e);
}

struct backend *model_backend(struct model *m, const char *ns, const char *service, const char *port)
{
	return model_get_backend(m, ns, service, port, false);
}

const struct globals *model_globals(const struct model *m)
{
	return m->globals;
}

bool model_waits(const struct model *m)
{
	return names_count(m->incoming) > 0 || m->globals_wait;
}
