#include "roles/controllers/discovery.h"

#include <string.h>

#define ACCEPT                                                                                     \
	"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"                    \
	"application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"

static unsigned verbs_of(const json_t *list)
{
	static const struct {
		const char *name;
		unsigned bit;
	} rows[] = { { "list", DISC_LIST },
		     { "watch", DISC_WATCH },
		     { "delete", DISC_DELETE },
		     { "deletecollection", DISC_DELETE_COLLECTION } };
	const json_t *v;
	unsigned bits = 0;
	size_t i;

	json_array_foreach(list, i, v)
		for (size_t k = 0; k < ARRAY_LEN(rows); k++)
			if (c_eq(json_string_value(v), rows[k].name))
				bits |= rows[k].bit;
	return bits;
}

static bool known(const struct discovery *d, const char *group, const char *resource)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->at[i].group, group) == 0 && strcmp(d->at[i].resource, resource) == 0)
			return true;
	return false;
}

static void add_version(struct discovery *d, const char *group, const json_t *version)
{
	const char *name = jx_str(version, "version");
	const json_t *r;
	size_t i;

	json_array_foreach(json_object_get(version, "resources"), i, r) {
		const char *resource = jx_str(r, "resource"),
			   *kind = jx_str(r, "responseKind.kind");

		if (!name || !resource || !kind || known(d, group, resource))
			continue;
		d->at = xrealloc(d->at, (d->n + 1) * sizeof(*d->at));
		d->at[d->n++] =
			(struct disc_resource){ .group = xstrdup(group),
						.version = xstrdup(name),
						.resource = xstrdup(resource),
						.kind = xstrdup(kind),
						.namespaced =
							c_eq(jx_str(r, "scope"), "Namespaced"),
						.verbs = verbs_of(json_object_get(r, "verbs")) };
	}
}

void discovery_add(struct discovery *d, const json_t *list)
{
	const json_t *group, *version;
	size_t i, k;

	json_array_foreach(json_object_get(list, "items"), i, group)
		json_array_foreach(json_object_get(group, "versions"), k, version)
			add_version(d, jx_str_or(group, "metadata.name", ""), version);
}

void discovery_done(struct discovery *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->at[i].group);
		free(d->at[i].version);
		free(d->at[i].resource);
		free(d->at[i].kind);
	}
	free(d->at);
	*d = (struct discovery){ 0 };
}

const struct disc_resource *discovery_kind(const struct discovery *d, const char *api_version,
					   const char *kind)
{
	struct str version, group = str_cut(str_of(api_version), '/', &version);

	if (!version.ptr)
		group = STR("");
	for (size_t i = 0; i < d->n; i++)
		if (str_eq_c(group, d->at[i].group) && c_eq(d->at[i].kind, kind))
			return &d->at[i];
	return NULL;
}

struct kube_gvr disc_gvr(const struct disc_resource *r)
{
	return (struct kube_gvr){ r->group, r->version, r->resource };
}

/* ---- asking ---- */

struct discovery_call {
	void (*done)(void *ctx, struct discovery *d, const struct err *e);
	void *ctx;
	struct kube_client *kube;
	struct kube_call *call;
	struct discovery found;
	bool groups; /* asking /apis */
};

static void answered(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct discovery_call *c = ctx;

	(void)status;
	c->call = NULL;
	if (!e) {
		discovery_add(&c->found, obj);
		if (!c->groups) {
			c->groups = true;
			c->call = kube_get_as(c->kube, "/apis", ACCEPT, answered, c);
			return;
		}
	}
	c->done(c->ctx, e ? NULL : &c->found, e);
	discovery_cancel(c);
}

struct discovery_call *
discovery_fetch(struct kube_client *k,
		void (*done)(void *ctx, struct discovery *d, const struct err *e), void *ctx)
{
	struct discovery_call *c = xcalloc(1, sizeof(*c));

	c->kube = k;
	c->done = done;
	c->ctx = ctx;
	c->call = kube_get_as(k, "/api", ACCEPT, answered, c);
	return c;
}

void discovery_cancel(struct discovery_call *c)
{
	if (!c)
		return;
	kube_cancel(c->call);
	discovery_done(&c->found);
	free(c);
}
