/* Findings: what the model says, and what the annotations themselves say. */
#include "roles/ingress/check/check.h"

#include "base/map.h"
#include "roles/ingress/config/annotations.h"
#include "roles/ingress/config/snippet.h"
#include "roles/ingress/observe/deviation.h"
#include "roles/ingress/route/model.h"

#include <stdio.h>

struct check {
	struct routes *routes;
	struct backends *backends;
	struct model *model;
	char *configmap;
	struct map ingresses; /* "ns/name" → struct checked */
	struct checked **order;
	size_t n;
	struct map services, classes; /* by "ns/name", by name; no values */
	json_t *config_findings, *unreadable, *remarks;
	bool has_secrets, has_services, has_configmap;
	bool deviates[64]; /* deviations[] that show somewhere */
};
struct checked {
	char *key, *from;
	json_t *obj;
	json_t *findings;
	enum verdict worst;
	bool asks_regex, regex_host; /* it makes paths regular expressions; one of its hosts has some */
	char *regex_hosts;	     /* by others: for the note */
};

const char *verdict_name(enum verdict v)
{
	static const char *const names[] = { "works", "note", "ignored", "differs", "wrong" };

	return names[v];
}

/* ---- findings ---- */

static json_t *finding(enum verdict v, const char *annotation, const char *reason, const char *message)
{
	json_t *f = json_object();

	jx_set_str(f, "kind", verdict_name(v));
	jx_set_str(f, "annotation", annotation);
	jx_set_str(f, "reason", reason);
	jx_set_str(f, "message", message);
	return f;
}

static void found(struct checked *i, enum verdict v, const char *annotation, const char *reason, const char *fmt, ...)
	printf_like(5, 6);
static void found(struct checked *i, enum verdict v, const char *annotation, const char *reason, const char *fmt, ...)
{
	char message[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	json_array_append_new(i->findings, finding(v, annotation, reason, message));
	i->worst = MAX(i->worst, v);
}

/* What the model reports, by its reason; all others are wrong. */
static const struct {
	const char *reason;
	enum verdict verdict;
} reasons[] = {
	{ REASON_UNSUPPORTED, WORKS }, /* told for each annotation by itself */
	{ REASON_IGNORED, IGNORED },
	{ REASON_UNKNOWN, IGNORED },
	{ REASON_NO_SETTING, IGNORED },
	{ REASON_PATH_TYPE, NOTED },
};

static enum verdict verdict_of(const struct check *c, const char *reason)
{
	if (strcmp(reason, REASON_NO_SECRET) == 0 && !c->has_secrets)
		return WORKS;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (strcmp(reasons[i].reason, reason) == 0)
			return reasons[i].verdict;
	return WRONG;
}

static void on_problem(void *ctx, const struct model_object *o, const char *annotation, const char *reason, const char *message)
{
	struct check *c = ctx;
	cleanup(freep) char *key = xasprintf("%s/%s", o->ns ? o->ns : "", o->name ? o->name : "");
	struct checked *i = strcmp(o->kind, "Ingress") == 0 ? map_get_c(&c->ingresses, key) : NULL;
	enum verdict v = verdict_of(c, reason);

	if (v == WORKS)
		return;
	if (i)
		found(i, v, annotation, reason, "%s", message);
	else
		json_array_append_new(c->config_findings, finding(v, annotation, reason, message));
}

/* ---- objects ---- */

struct check *check_new(const char *configmap)
{
	static const struct model_ops ops = { .problem = on_problem };
	struct check *c = xcalloc(1, sizeof(*c));

	c->configmap = xstrdup(configmap);
	c->routes = routes_new(NULL);
	c->backends = backends_new(NULL);
	c->model = model_new(&(struct model_config){ .configmap = c->configmap, .watch_without_class = true }, &ops, c, c->routes, c->backends);
	map_init(&c->ingresses);
	map_init(&c->services);
	map_init(&c->classes);
	c->config_findings = json_array();
	c->unreadable = json_array();
	c->remarks = json_array();
	return c;
}

static void checked_free(void *p)
{
	struct checked *i = p;

	free(i->key);
	free(i->from);
	free(i->regex_hosts);
	json_decref(i->obj);
	json_decref(i->findings);
	free(i);
}

void check_free(struct check *c)
{
	if (!c)
		return;
	model_free(c->model);
	routes_free(c->routes);
	backends_free(c->backends);
	map_done(&c->ingresses, checked_free);
	map_done(&c->services, NULL);
	map_done(&c->classes, NULL);
	json_decref(c->config_findings);
	json_decref(c->unreadable);
	json_decref(c->remarks);
	free(c->order);
	free(c->configmap);
	free(c);
}

static void add_ingress(struct check *c, const json_t *obj, const char *key, const char *from)
{
	struct checked *i = xcalloc(1, sizeof(*i));

	*i = (struct checked){ .key = xstrdup(key), .from = xstrdup(from), .obj = json_deep_copy(obj), .findings = json_array() };
	ingress_normalise(i->obj);
	struct checked *old = map_put_c(&c->ingresses, key, i);
	if (!old) {
		c->order = xrealloc(c->order, (c->n + 1) * sizeof(struct checked *));
		c->order[c->n++] = i;
		return;
	}
	found(i, WRONG, NULL, "DuplicateObject", "%s has an Ingress of the same name: only the last one counts", old->from);
	for (size_t k = 0; k < c->n; k++)
		if (c->order[k] == old)
			c->order[k] = i;
	checked_free(old);
}

static void add_service(struct check *c, const json_t *obj, const char *key, const char *from)
{
	(void)from;
	c->has_services = true;
	map_put_c(&c->services, key, c);
	model_set_service(c->model, obj);
}

static void add_secret(struct check *c, const json_t *obj, const char *key, const char *from)
{
	(void)key;
	(void)from;
	c->has_secrets = true;
	model_set_secret(c->model, obj);
}

static void add_configmap(struct check *c, const json_t *obj, const char *key, const char *from)
{
	(void)from;
	c->has_configmap |= strcmp(key, c->configmap) == 0;
	model_set_configmap(c->model, obj);
}

static void add_class(struct check *c, const json_t *obj, const char *key, const char *from)
{
	(void)key;
	(void)from;
	map_put_c(&c->classes, jx_name(obj), c);
	model_set_class(c->model, obj);
}

static void add_slice(struct check *c, const json_t *obj, const char *key, const char *from)
{
	(void)key;
	(void)from;
	model_set_slice(c->model, obj);
}

void check_add(struct check *c, const struct resource *storage, const json_t *obj, const char *from)
{
	static const struct {
		const char *kind;
		void (*add)(struct check *c, const json_t *obj, const char *key, const char *from);
	} kinds[] = { { "Ingress", add_ingress }, { "Service", add_service }, { "Secret", add_secret }, { "ConfigMap", add_configmap },
		      { "IngressClass", add_class }, { "EndpointSlice", add_slice } };
	cleanup(freep) char *key = xasprintf("%s/%s", jx_namespace(obj) ? jx_namespace(obj) : "", jx_name(obj) ? jx_name(obj) : "");

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		if (strcmp(kinds[k].kind, storage->kind) == 0)
			kinds[k].add(c, obj, key, from);
}

void check_complete(struct check *c, const char *kind)
{
	c->has_secrets |= strcmp(kind, "Secret") == 0;
	c->has_services |= strcmp(kind, "Service") == 0;
}

void check_unreadable(struct check *c, const char *from, const char *message)
{
	json_array_append_new(c->unreadable, json_pack("{s:s,s:s}", "from", from, "message", message));
}

void check_remark(struct check *c, const char *from, const char *message)
{
	json_array_append_new(c->remarks, json_pack("{s:s,s:s}", "from", from, "message", message));
}

/* ---- what the annotations say by themselves ---- */

struct snippet_check {
	struct checked *i;
	const char *name;
};

static void snippet_differs(void *ctx, unsigned line, const char *what)
{
	const struct snippet_check *s = ctx;

	found(s->i, DIFFERS, s->name, "Differs", "%s: line %u: %s", s->name, line, what);
}

/* Snippets are read even where the ConfigMap does not allow them (yet). */
static void check_snippet(const struct check *c, struct checked *i, const char *name, const char *text)
{
	struct err e;
	struct snippet *s = snippet_new(text, &e);

	if (!c->has_configmap)
		found(i, NOTED, name, "Snippets", "%s needs allow-snippet-annotations: \"true\" in the ConfigMap", name);
	if (s)
		snippet_each_difference(s, snippet_differs, &(struct snippet_check){ i, name });
	snippet_free(s);
}

static void check_annotation(const struct check *c, struct checked *i, const char *key, const char *value)
{
	struct str name;
	const struct field *table = annotation_table(str_of(key), &name);
	const struct field *f = table ? field_find(table, name) : NULL;

	if (!f)
		return;
	if (f->type == FIELD_NONE && !(f->flags & FIELD_SILENT))
		found(i, IGNORED, f->name, REASON_UNSUPPORTED, "%s has no effect: %s", f->name, f->doc);
	else if (f->differs && !(f->flags & FIELD_FOOTNOTE) && !c_eq(f->same_with, value))
		found(i, DIFFERS, f->name, "Differs", "%s: %s", f->name, f->differs);
	if (c_eq(f->acts, "snippets") && f->type != FIELD_NONE)
		check_snippet(c, i, f->name, value);
	if (c_eq(f->name, "rewrite-target") || (c_eq(f->name, "use-regex") && c_eq(value, "true")))
		i->asks_regex = true;
}

static void check_annotations(const struct check *c, struct checked *i)
{
	const char *key;
	json_t *value;

	json_object_foreach(jx_at(i->obj, "metadata.annotations"), key, value)
		if (json_string_value(value))
			check_annotation(c, i, key, json_string_value(value));
}

/* ---- what the objects say together ---- */

static void check_service(const struct check *c, struct checked *i, const json_t *backend)
{
	const char *name = jx_str(backend, "service.name");
	cleanup(freep) char *key = xasprintf("%s/%s", jx_namespace(i->obj), name ? name : "");

	if (c->has_services && name && !map_get_c(&c->services, key))
		found(i, WRONG, NULL, "MissingService", "Service %s does not exist: its requests are answered with 503", key);
}

static void check_services(const struct check *c, struct checked *i)
{
	json_t *rule, *path;
	size_t r, p;

	check_service(c, i, jx_at(i->obj, "spec.defaultBackend"));
	json_array_foreach(jx_at(i->obj, "spec.rules"), r, rule)
		json_array_foreach(jx_at(rule, "http.paths"), p, path)
			check_service(c, i, json_object_get(path, "backend"));
}

static void see_host(void *ctx, const struct host *h)
{
	struct check *c = ctx;

	for (size_t k = 0; k < h->n_all; k++) {
		const struct location *loc = h->all[k];
		cleanup(freep) char *key = xasprintf("%s/%s", loc->ns, loc->ingress);
		struct checked *i = map_get_c(&c->ingresses, key);

		for (size_t d = 0; deviations[d].id && d < ARRAY_LEN(c->deviates); d++)
			c->deviates[d] |= deviations[d].applies && deviations[d].applies(loc);
		if (i && h->regex && !i->asks_regex && !i->regex_host) {
			i->regex_host = true;
			i->regex_hosts = xstrdup(h->name[0] ? h->name : "*");
		}
	}
}

/* nginx's documented surprise: one Ingress changes how the paths of all others on its host match. */
static void check_regex(struct checked *i)
{
	if (i->regex_host)
		found(i, NOTED, NULL, "RegexHost",
		      "host %s: another Ingress has use-regex or rewrite-target, so the paths here are case-insensitive regular expressions, too "
		      "(/x also matches /xyz and /X; Exact has no meaning), as in ingress-nginx", i->regex_hosts);
}

/* ---- the report ---- */

static json_t *hosts_of(const json_t *obj)
{
	json_t *hosts = json_array(), *rule;
	size_t r;

	json_array_foreach(jx_at(obj, "spec.rules"), r, rule)
		json_array_append_new(hosts, json_string(jx_str_or(rule, "host", "*")));
	return hosts;
}

/* The worst first. */
static json_t *sorted(const json_t *findings)
{
	json_t *list = json_array(), *f;
	size_t k;

	for (int v = N_VERDICTS - 1; v >= 0; v--)
		json_array_foreach(findings, k, f)
			if (c_eq(jx_str(f, "kind"), verdict_name((enum verdict)v)))
				json_array_append(list, f);
	return list;
}

static json_t *report_of(struct check *c, const struct checked *i)
{
	const struct model_ingress *m = model_get_ingress(c->model, jx_namespace(i->obj), jx_name(i->obj));
	const char *class = jx_str_or(i->obj, "spec.ingressClassName", jx_annotation(i->obj, CLASS_ANNOTATION));
	json_t *r = json_object();

	jx_set_str(r, "namespace", jx_namespace(i->obj));
	jx_set_str(r, "name", jx_name(i->obj));
	jx_set_str(r, "from", i->from);
	jx_set_str(r, "class", class);
	json_object_set_new(r, "hosts", hosts_of(i->obj));
	jx_set_str(r, "verdict", m && !m->ours ? "skipped" : verdict_name(i->worst == NOTED ? WORKS : i->worst));
	json_object_set_new(r, "findings", sorted(i->findings));
	return r;
}

/* Manifests name the class, but seldom bring it along. */
static void assume_class(struct check *c, const char *name)
{
	if (map_get_c(&c->classes, name))
		return;
	json_t *class = json_pack("{s:s,s:s,s:{s:s},s:{s:s}}", "apiVersion", "networking.k8s.io/v1", "kind", "IngressClass", "metadata", "name",
				  name, "spec", "controller", MODEL_CONTROLLER);
	model_set_class(c->model, class);
	json_decref(class);
}

/* Snippets are judged by what they say when nothing says that they are not allowed. */
static void assume_configmap(struct check *c)
{
	struct str name;
	cleanup(freep) char *ns = str_dup(str_cut(str_of(c->configmap), '/', &name));

	if (c->has_configmap || !name.ptr)
		return;
	json_t *configmap = json_pack("{s:s,s:s,s:{s:s,s:s},s:{s:s}}", "apiVersion", "v1", "kind", "ConfigMap", "metadata", "namespace", ns,
				      "name", name.ptr, "data", "allow-snippet-annotations", "true");
	model_set_configmap(c->model, configmap);
	json_decref(configmap);
}

static json_t *not_checked(const struct check *c)
{
	json_t *list = json_array();

	if (!c->has_secrets)
		json_array_append_new(list, json_string("Secrets"));
	if (!c->has_services)
		json_array_append_new(list, json_string("Services"));
	return list;
}

static json_t *everywhere(const struct check *c)
{
	json_t *list = json_array();

	for (size_t d = 0; deviations[d].id && d < ARRAY_LEN(c->deviates); d++)
		if (c->deviates[d] || !deviations[d].applies)
			json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "id", deviations[d].id, "nginx", deviations[d].nginx, "portico",
							      deviations[d].portico));
	return list;
}

json_t *check_report(struct check *c, enum verdict *ret_worst)
{
	unsigned counts[N_VERDICTS] = { 0 }, skipped = 0;
	json_t *list = json_array(), *summary = json_object(), *f;
	size_t k;

	*ret_worst = json_array_size(c->unreadable) ? WRONG : WORKS;
	assume_class(c, MODEL_CLASS);
	assume_configmap(c);
	for (size_t i = 0; i < c->n; i++)
		model_set_ingress(c->model, c->order[i]->obj);
	model_flush(c->model);
	for (size_t i = 0; i < c->n; i++)
		check_annotations(c, c->order[i]);
	routes_each_host(c->routes, see_host, c);
	for (size_t i = 0; i < c->n; i++) {
		check_services(c, c->order[i]);
		check_regex(c->order[i]);
		json_t *one = report_of(c, c->order[i]);
		json_array_append_new(list, one);
		if (c_eq(jx_str(one, "verdict"), "skipped")) {
			skipped++;
			continue;
		}
		counts[c->order[i]->worst == NOTED ? WORKS : c->order[i]->worst]++;
		*ret_worst = MAX(*ret_worst, c->order[i]->worst);
	}
	json_array_foreach(c->config_findings, k, f)
		*ret_worst = MAX(*ret_worst, c_eq(jx_str(f, "kind"), "wrong") ? WRONG : IGNORED);
	for (int v = WORKS; v < N_VERDICTS; v++)
		if (v != NOTED)
			jx_set_int(summary, verdict_name((enum verdict)v), counts[v]);
	jx_set_int(summary, "skipped", skipped);
	return json_pack("{s:o,s:{s:s,s:b,s:O},s:O,s:O,s:o,s:o,s:o}", "ingresses", list, "configMap", "name", c->configmap, "read",
			 c->has_configmap, "findings", c->config_findings, "unreadable", c->unreadable, "remarks", c->remarks, "everywhere",
			 everywhere(c), "notChecked", not_checked(c), "summary", summary);
}
