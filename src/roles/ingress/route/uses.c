#include "roles/ingress/route/model_int.h"

/* Settings are made from a namespace and annotations. Ingresses that agree in both share one record, so ten thousand alike
 * cost one. */

struct evaluation {
	struct model *model;
	struct object **deps;
	size_t n_deps, cap_deps;
	struct said *said;
	bool globals;
};

/* ---- what settings_of_ingress asks ---- */

static const json_t *get_object(struct evaluation *ev, enum model_kind kind, const char *ns, const char *name)
{
	struct object *o = known_object_ref(ev->model, kind, ns, name);
	bool known = false;

	for (size_t k = 0; k < ev->n_deps; k++)
		known = known || ev->deps[k] == o;
	if (!known)
		array_push(ev->deps, ev->n_deps, ev->cap_deps, o);
	object_need(ev->model, o, true);
	return o->state == OBJECT_HERE ? o->data : NULL;
}

static const json_t *get_secret(void *ctx, const char *ns, const char *name)
{
	return get_object(ctx, MODEL_SECRET, ns, name);
}

static const json_t *get_configmap(void *ctx, const char *ns, const char *name)
{
	return get_object(ctx, MODEL_CONFIGMAP, ns, name);
}

static void said_free(struct said *s)
{
	while (s) {
		struct said *next = s->next;

		free(s->annotation);
		free(s->reason);
		free(s->message);
		free(s);
		s = next;
	}
}

static void hear(void *ctx, const char *annotation, const char *reason, const char *message)
{
	struct evaluation *ev = ctx;
	struct said *s = xcalloc(1, sizeof(*s));

	*s = (struct said){ ev->said, xstrdup(annotation), xstrdup(reason), xstrdup(message) };
	ev->said = s;
}

static struct settings_source source_of(struct evaluation *ev)
{
	return (struct settings_source){ ev, get_secret, get_configmap, hear, !ev->model->ops.want };
}

/* ---- making ---- */

/* As much of the object as settings may depend on. */
static json_t *object_of(const struct settings_use *u)
{
	json_t *all = json_object();
	const char *at = u->key, *end = u->key + u->key_len;

	at += u->key_len ? strlen(at) + 1 : 0;
	while (at < end) {
		const char *key = at, *value = at + strlen(at) + 1;

		json_object_set_new(all, key, json_string(value));
		at = value + strlen(value) + 1;
	}
	return json_pack("{s:s, s:s, s:{s:s, s:o}}", "apiVersion", "networking.k8s.io/v1", "kind", "Ingress", "metadata",
			 "namespace", u->key, "annotations", all);
}

static void deps_drop(struct model *m, struct settings_use *u, struct object **deps, size_t n)
{
	for (size_t k = 0; k < n; k++)
		object_del_use(m, deps[k], u);
	free(deps);
}

static void evaluate(struct model *m, struct settings_use *u)
{
	cleanup(json_decrefp) json_t *ingress = object_of(u);
	struct evaluation ev = { .model = m };
	struct settings_source src = source_of(&ev);
	struct object **old_deps = u->deps;
	size_t n_old = u->n_deps;
	const struct settings *old = u->set;

	u->set = settings_of_ingress(ingress, m->globals, &src);
	settings_unref(old);
	said_free(u->said);
	u->said = ev.said;
	u->deps = ev.deps;
	u->n_deps = ev.n_deps;
	for (size_t k = 0; k < u->n_deps; k++)
		object_add_use(u->deps[k], u);
	deps_drop(m, u, old_deps, n_old); /* after: what is still used must not be forgotten in between */
}

struct settings_use *use_get(struct model *m, const struct ingress *i)
{
	struct str annotations = ingress_annotations(i), key;
	size_t ns = annotations.len ? strlen(ingress_ns(i)) + 1 : 0; /* without annotations all namespaces are one */
	cleanup(freep) char *text = xmalloc(ns + annotations.len + 1);

	memcpy(text, ingress_ns(i), ns);
	memcpy(text + ns, annotations.ptr, annotations.len);
	key = (struct str){ text, ns + annotations.len };
	struct settings_use *u = map_get(&m->uses, key);
	if (!u) {
		u = xcalloc(1, sizeof(*u));
		list_init(&u->dirty);
		u->key_len = key.len;
		u->key = text;
		text = NULL;
		u->key[key.len] = '\0';
		map_put(&m->uses, key, u);
		evaluate(m, u);
	}
	u->users++;
	return u;
}

static void use_discard(struct model *m, struct settings_use *u)
{
	deps_drop(m, u, u->deps, u->n_deps);
	u->deps = NULL;
	u->n_deps = 0;
	list_del(&u->dirty);
	use_free(u);
}

void use_put(struct model *m, struct settings_use *u)
{
	if (!u || --u->users)
		return;
	map_del(&m->uses, (struct str){ u->key, u->key_len });
	use_discard(m, u);
}

void use_free(void *p)
{
	struct settings_use *u = p;

	settings_unref(u->set);
	said_free(u->said);
	free(u->deps);
	free(u->key);
	free(u);
}

static bool any_wanted(struct object *const *deps, size_t n)
{
	for (size_t k = 0; k < n; k++)
		if (deps[k]->state == OBJECT_WANTED)
			return true;
	return false;
}

bool use_waits(const struct settings_use *u)
{
	return any_wanted(u->deps, u->n_deps);
}

void use_report(struct model *m, struct ingress *i)
{
	problem_begin(m, i, TAG_SETTINGS);
	for (const struct said *s = i->use->said; s; s = s->next)
		problem_report(m, i, TAG_SETTINGS, s->annotation, s->reason, "%s", s->message);
}

/* ---- changes ---- */

struct users {
	struct ingress **at;
	size_t n, cap;
};

static void collect_user(void *ctx, void *obj)
{
	struct users *users = ctx;
	struct ingress *i = obj;

	if (i->linked && !list_empty(&i->use->dirty))
		array_push(users->at, users->n, users->cap, i);
}

/* Names that settings bring (server-alias) go before they change and come back after. */
void uses_flush(struct model *m)
{
	struct users users = { 0 };

	if (list_empty(&m->dirty_uses))
		return;
	names_each(m->ingresses, collect_user, &users);
	for (size_t k = 0; k < users.n; k++)
		claims_unlink(m, users.at[k]);
	list_for(at, tmp, &m->dirty_uses) {
		struct settings_use *u = list_entry(at, struct settings_use, dirty);

		list_del(&u->dirty);
		evaluate(m, u);
	}
	for (size_t k = 0; k < users.n; k++) {
		use_report(m, users.at[k]);
		claims_link(m, users.at[k]);
	}
	free(users.at);
}

/* ---- the global ConfigMap ---- */

static void report_globals(const struct model *m, const struct said *s)
{
	struct str name, ns = str_cut(str_of(m->config.configmap), '/', &name);
	cleanup(freep) char *ns_text = str_dup(ns);
	struct model_object obj = { "ConfigMap", "v1", ns_text, name.ptr, "" };

	for (; s && m->ops.problem; s = s->next)
		m->ops.problem(m->ctx, &obj, s->annotation, s->reason, s->message);
}

static void globals_deps(struct model *m, struct evaluation *ev)
{
	struct object **old = m->globals_deps;
	size_t n = m->n_globals_deps;

	m->globals_deps = ev->deps;
	m->n_globals_deps = ev->n_deps;
	for (size_t k = 0; k < ev->n_deps; k++)
		ev->deps[k]->for_globals++;
	for (size_t k = 0; k < n; k++)
		object_del_global(m, old[k]);
	free(old);
}

void globals_flush(struct model *m)
{
	struct evaluation ev = { .model = m };
	struct settings_source src = source_of(&ev);
	struct globals *old = m->globals;
	const json_t *map = NULL;

	if (!m->globals_dirty)
		return;
	m->globals_dirty = false;
	if (m->config.configmap) {
		struct str name, ns = str_cut(str_of(m->config.configmap), '/', &name);
		cleanup(freep) char *ns_text = str_dup(ns);

		map = get_configmap(&ev, ns_text, name.ptr ? name.ptr : "");
	}
	struct globals *now = globals_of_configmap(map, &src);
	globals_deps(m, &ev);
	m->globals_wait = any_wanted(m->globals_deps, m->n_globals_deps);
	if (!m->globals_wait)
		report_globals(m, ev.said);
	said_free(ev.said);
	if (m->globals_wait && old) { /* what they name comes soon, or the answer that it does not exist */
		globals_unref(now);
		return;
	}
	m->globals = now;
	for (struct map_iter it = { 0 }; map_next(&m->uses, &it);) {
		struct settings_use *u = it.value;

		if (list_empty(&u->dirty))
			list_append(&m->dirty_uses, &u->dirty);
	}
	m->globals_changed = true;
	if (m->ops.globals)
		m->ops.globals(m->ctx, m->globals, old);
	else
		globals_unref(old);
}
