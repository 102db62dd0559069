#include "roles/cli/explain_env.h"

#include "base/screen.h"
#include "kube/client/client.h"
#include "roles/cli/env_doc.h"
#include "roles/cli/kubeconfig.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#define NAME_COLUMNS_MAX 44
#define VALUE_COLUMNS_MAX 60

/* ---- the cluster's answers ---- */

struct fetch {
	struct loop *loop;
	struct kube_client *kube;
	const char *ns, *pod_name, *container;
	json_t *pod, *services, *objects, *allocatable;
	size_t pending;
	struct err *e;
	bool failed;
};
struct fetch_one {
	struct fetch *f;
	char *key; /* of objects */
};

static void failed(struct fetch *f, const char *what, const struct err *e)
{
	if (!f->failed)
		err_set(f->e, e->reason, "%s: %s", what, e->message);
	f->failed = true;
}

static void answered(struct fetch *f)
{
	if (--f->pending == 0)
		loop_stop(f->loop);
}

static void ask(struct fetch *f, const char *resource, const char *ns, const char *name, kube_done_fn *done, void *ctx)
{
	f->pending++;
	kube_get(f->kube, (struct kube_gvr){ "", "v1", resource }, ns, name, done, ctx);
}

static void on_services(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct fetch *f = ctx;

	(void)status;
	if (e)
		failed(f, "list Services", e);
	else
		json_array_extend(f->services, json_object_get(obj, "items"));
	answered(f);
}

static void on_master(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct fetch *f = ctx;

	if (e && status != 404)
		failed(f, "get Service default/kubernetes", e);
	else if (!e)
		json_array_append(f->services, (json_t *)obj);
	answered(f);
}

static void on_object(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct fetch_one *o = ctx;

	if (e && status != 404)
		json_object_set_new(o->f->objects, o->key, json_string(e->message));
	else if (!e)
		json_object_set(o->f->objects, o->key, (json_t *)obj);
	answered(o->f);
	free(o->key);
	free(o);
}

/* Without it limits that are not set show as 0; not everybody may read Nodes. */
static void on_node(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct fetch *f = ctx;

	(void)status;
	if (!e)
		f->allocatable = json_incref(jx_at(obj, "status.allocatable"));
	answered(f);
}

static void ask_objects(struct fetch *f)
{
	const char *node = jx_str(f->pod, "spec.nodeName"), *key;
	json_t *value;

	f->objects = env_doc_wants(f->pod, f->container);
	json_object_foreach(f->objects, key, value) {
		struct str name, resource = str_cut(str_of(key), '/', &name);
		cleanup(freep) char *resource_text = str_dup(resource), *name_text = str_dup(name);
		struct fetch_one *o = xcalloc(1, sizeof(*o));
		*o = (struct fetch_one){ f, xstrdup(key) };
		ask(f, resource_text, f->ns, name_text, on_object, o);
	}
	if (node && node[0])
		ask(f, "nodes", NULL, node, on_node, f);
}

static void on_pod(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct fetch *f = ctx;

	if (e)
		failed(f, status == 404 ? "is the namespace right (-n NAMESPACE)?" : "get the pod", e);
	else
		f->pod = json_incref((json_t *)obj);
	if (f->pod)
		ask_objects(f);
	answered(f);
}

static struct kube_client *client(const struct config *c, struct loop *l, struct err *e)
{
	struct kube_config kc;

	cleanup(freep) char *path = kubeconfig_find(c);
	if (kube_config_load(path, &kc, e) < 0) {
		err_wrap(e, "which cluster? (--kubeconfig FILE)");
		return NULL;
	}
	struct kube_client *k = kube_client_new(l, &kc, "portico-explain", e);
	kube_config_done(&kc);
	return k;
}

static int fetch_all(struct fetch *f, const struct config *c)
{
	f->loop = loop_new(f->e);
	f->kube = f->loop ? client(c, f->loop, f->e) : NULL;
	if (!f->kube)
		return -1;
	ask(f, "pods", f->ns, f->pod_name, on_pod, f);
	ask(f, "services", f->ns, NULL, on_services, f);
	if (!c_eq(f->ns, "default"))
		ask(f, "services", "default", "kubernetes", on_master, f);
	loop_run(f->loop);
	return f->failed ? -1 : 0;
}

static void fetch_done(struct fetch *f)
{
	kube_client_free(f->kube);
	loop_free(f->loop);
	json_decref(f->pod);
	json_decref(f->services);
	json_decref(f->objects);
	json_decref(f->allocatable);
}

/* ---- text ---- */

/* Values come from the cluster: a terminal must not obey them. */
static char *harmless(const char *text)
{
	char *out = xstrdup(text);

	for (char *p = out; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	return out;
}

static char *shown_value(const json_t *v)
{
	return jx_bool(v, "secret", false) ? xstrdup("(secret)") : harmless(jx_str_or(v, "value", ""));
}

static void widths(const json_t *variables, int *ret_name, int *ret_value)
{
	const json_t *v;
	size_t i;

	*ret_name = 4;
	*ret_value = 5;
	json_array_foreach(variables, i, v) {
		cleanup(freep) char *value = shown_value(v);
		*ret_name = MIN(MAX(*ret_name, (int)strlen(jx_str_or(v, "name", ""))), NAME_COLUMNS_MAX);
		*ret_value = MIN(MAX(*ret_value, (int)strlen(value)), VALUE_COLUMNS_MAX);
	}
}

static void print_variables(const json_t *variables)
{
	bool colour = screen_colours(STDOUT_FILENO);
	int names, values;
	const json_t *v;
	size_t i;

	widths(variables, &names, &values);
	printf("%s%-*s  %-*s  %s%s\n", colour ? "\033[1m" : "", names, "NAME", values, "VALUE", "FROM", colour ? "\033[0m" : "");
	json_array_foreach(variables, i, v) {
		const char *hides = jx_str(v, "hides.text"), *note = jx_str(v, "note");
		cleanup(freep) char *value = shown_value(v), *name = harmless(jx_str_or(v, "name", ""));
		printf("%-*s  %-*s  %s%s%s\n", names, name, values, value, jx_str_or(v, "source.text", ""), hides ? "; hides " : "",
		       hides ? hides : "");
		if (note)
			printf("%-*s  %-*s  %s\n", names, "", values, "", note);
	}
}

static void print_doc(const json_t *doc)
{
	const json_t *row;
	size_t i;

	printf("Pod %s/%s, container %s", jx_str_or(doc, "namespace", ""), jx_str_or(doc, "pod", ""), jx_str_or(doc, "container", ""));
	if (jx_len(doc, "containers") > 1) {
		json_array_foreach(jx_at(doc, "containers"), i, row)
			printf("%s%s", i ? ", " : " (of: ", json_string_value(row));
		printf(")");
	}
	printf("\n\n");
	print_variables(jx_at(doc, "variables"));
	json_array_foreach(jx_at(doc, "problems"), i, row)
		printf("%sProblem: %s%s%s: %s\n", i ? "" : "\n", jx_str_or(row, "field", ""), jx_str(row, "variable") ? ", " : "",
		       jx_str_or(row, "variable", ""), jx_str_or(row, "message", ""));
	json_array_foreach(jx_at(doc, "leftOut"), i, row)
		printf("%sLeft out: Service %s/%s: %s\n", i ? "" : "\n", jx_str_or(row, "namespace", ""), jx_str_or(row, "service", ""),
		       jx_str_or(row, "reason", ""));
}

/* ---- the command ---- */

static int explain(struct config *c, const char *pod, const char *ns, const char *container, bool json, bool secrets)
{
	struct err e;
	struct fetch f = { .ns = ns, .pod_name = pod, .container = container, .services = json_array(), .e = &e };
	json_t *doc = NULL;

	if (fetch_all(&f, c) == 0) {
		struct env_objects o = { f.pod, f.services, f.allocatable, f.objects };
		doc = env_doc(&o, container, secrets, &e);
	}
	fetch_done(&f);
	if (!doc)
		return args_failed(&e);
	if (json) {
		cleanup(freep) char *text = json_dumps(doc, JSON_INDENT(2));
		puts(text);
	} else {
		print_doc(doc);
	}
	bool whole = jx_len(doc, "problems") == 0;
	json_decref(doc);
	return whole ? 0 : 1;
}

int explain_env(struct config *c, const struct args *all)
{
	struct args own = { "explain", "POD [-n NAMESPACE] [--container NAME] [--show-secrets] [--output text|json]", all->argc - 1, all->argv + 1 };
	struct args *a = &own;
	const char *ns = "default", *container = NULL;
	bool json, secrets = args_flag(a, "--show-secrets");

	if (args_json(a, &json) < 0 || args_value(a, "--namespace", "-n", &ns) < 0 || args_value(a, "--container", "-c", &container) < 0 ||
	    args_words(a, 1) < 0)
		return 2;
	if (a->argc < 2)
		return args_usage(a, "whose environment?");
	const char *pod = strncmp(a->argv[1], "pod/", 4) == 0 ? a->argv[1] + 4 : a->argv[1];
	return explain(c, pod, ns, container, json, secrets);
}
