#include "roles/apiserver/admission.h"

#include "roles/apiserver/admission_int.h"
#include "roles/apiserver/status.h"

static const struct resource *find(const char *group, const char *version, const char *plural)
{
	return resource_find(str_of(group), str_of(version), str_of(plural));
}

json_t *admission_get(const struct admission_view *v, const char *group, const char *plural, const char *ns,
		      const char *name)
{
	const struct resource *r = find(group, "v1", plural);

	return r ? v->get(v->ctx, r, ns, name) : NULL;
}

void admission_each(const struct admission_view *v, const char *group, const char *plural,
		    bool (*fn)(void *arg, const json_t *obj), void *arg)
{
	const struct resource *r = find(group, "v1", plural);

	if (r)
		v->each(v->ctx, r, fn, arg);
}

/* A name that is still to be generated is shown by what is known of it. */
int admission_forbid(const struct admission_request *q, struct err *e, const char *fmt, ...)
{
	cleanup(freep) char *why = NULL;
	const char *name = q->name;
	va_list ap;

	if (!name || !name[0])
		name = jx_str(q->obj, "metadata.name");
	if (!name || !name[0])
		name = jx_str_or(q->obj, "metadata.generateName", "Unknown");
	va_start(ap, fmt);
	if (vasprintf(&why, fmt, ap) < 0)
		abort();
	va_end(ap);
	return err_forbidden(e, q->r, name, why);
}

static bool is_kind(const struct resource *r, const char *group, const char *plural)
{
	return strcmp(r->group, group) == 0 && strcmp(r->plural, plural) == 0;
}

static bool is_immortal(const char *ns)
{
	static const char *const immortal[] = { "default", "kube-system", "kube-public" };

	for (size_t i = 0; i < ARRAY_LEN(immortal); i++)
		if (c_eq(ns, immortal[i]))
			return true;
	return false;
}

static int check_terminating(const struct admission_request *q, const json_t *ns, json_t **ret_causes,
			     struct err *e)
{
	if (!c_eq(jx_str(ns, "status.phase"), "Terminating"))
		return 0;
	if (ret_causes) {
		cleanup(freep) char *message = xasprintf("namespace %s is being terminated", q->ns);
		*ret_causes = json_pack("[{s:s,s:s,s:s}]", "reason", "NamespaceTerminating", "message",
					message, "field", "metadata.namespace");
	}
	return admission_forbid(
		q, e, "unable to create new content in namespace %s because it is being terminated", q->ns);
}

static int check_namespace(const struct admission_view *v, const struct admission_request *q,
			   json_t **ret_causes, struct err *e)
{
	if (is_kind(q->r, "", "namespaces"))
		return q->op == ADMIT_DELETE && is_immortal(q->name)
			       ? admission_forbid(q, e, "this namespace may not be deleted")
			       : 0;
	if (!q->ns || q->op == ADMIT_DELETE || strcmp(q->r->group, "authorization.k8s.io") == 0)
		return 0;
	cleanup(json_decrefp) json_t *ns = admission_get(v, "", "namespaces", NULL, q->ns);
	if (!ns)
		return err_set(e, ERR_NOT_FOUND, "namespaces \"%s\" not found", q->ns);
	return q->op == ADMIT_CREATE ? check_terminating(q, ns, ret_causes, e) : 0;
}

/* The newest of the IngressClasses that say they are the default; of two as new, the first by name. */
struct default_class {
	char *name;
	int64_t created_ms;
};

static bool consider_class(void *arg, const json_t *class)
{
	struct default_class *best = arg;
	int64_t created_ms = 0;

	if (!c_eq(jx_annotation(class, "ingressclass.kubernetes.io/is-default-class"), "true"))
		return true;
	if (time_parse(jx_str(class, "metadata.creationTimestamp"), &created_ms) < 0)
		created_ms = 0;
	if (best->name && (created_ms < best->created_ms ||
			   (created_ms == best->created_ms && strcmp(jx_name(class), best->name) > 0)))
		return true;
	free(best->name);
	best->name = xstrdup(jx_name(class));
	best->created_ms = created_ms;
	return true;
}

static void default_ingress_class(const struct admission_view *v, json_t *ingress)
{
	struct default_class best = { 0 };

	if (jx_str(ingress, "spec.ingressClassName") || jx_annotation(ingress, "kubernetes.io/ingress.class"))
		return;
	admission_each(v, "networking.k8s.io", "ingressclasses", consider_class, &best);
	if (best.name)
		jx_set_str(ingress, "spec.ingressClassName", best.name);
	free(best.name);
}

int admission_check(const struct admission_view *v, const struct admission_request *q, json_t **ret_causes,
		    struct err *e)
{
	if (ret_causes)
		*ret_causes = NULL;
	if (check_namespace(v, q, ret_causes, e) < 0)
		return -1;
	if (q->op == ADMIT_DELETE || q->subresource || !q->obj)
		return 0;
	if (q->op == ADMIT_CREATE && is_kind(q->r, "networking.k8s.io", "ingresses"))
		default_ingress_class(v, q->obj);
	if (is_kind(q->r, "", "pods"))
		return q->op == ADMIT_CREATE ? admission_pod_create(v, q, e) : admission_pod_update(q);
	return 0;
}
