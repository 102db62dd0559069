#include "roles/apiserver/handlers.h"

#include "roles/apiserver/body.h"
#include "roles/apiserver/registry.h"
#include "roles/apiserver/selection.h"
#include "roles/apiserver/status.h"

static int propagation_of(const char *text, enum propagation *ret, struct err *e)
{
	static const char *const names[] = { "", "Background", "Foreground", "Orphan" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (c_eq(text, names[i])) {
			*ret = (enum propagation)i;
			return 0;
		}
	return err_set(e, ERR_INVALID,
		       "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported "
		       "value: \"%s\": supported "
		       "values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
		       text);
}

/* The body's DeleteOptions where there is one, else the query's. The strings live as long as
 * *ret_body. */
static int read_options(struct request *q, struct delete_options *o, json_t **ret_body,
			struct err *e)
{
	*o = (struct delete_options){ .grace_s = q->opt.grace_s,
				      .propagation = q->opt.propagation };
	*ret_body = NULL;
	if (!q->http->body.len)
		return 0;
	json_t *b = *ret_body = body_typed(q, "meta.v1.DeleteOptions", e);
	if (!b)
		return -1;
	o->grace_s = jx_int(b, "gracePeriodSeconds", o->grace_s);
	if (jx_str(b, "propagationPolicy") &&
	    propagation_of(jx_str(b, "propagationPolicy"), &o->propagation, e) < 0)
		return -1;
	if (!jx_str(b, "propagationPolicy") && json_is_boolean(jx_at(b, "orphanDependents")))
		o->propagation = jx_bool(b, "orphanDependents", false) ? PROPAGATE_ORPHAN
								       : PROPAGATE_BACKGROUND;
	o->uid = jx_str(b, "preconditions.uid");
	o->resource_version = jx_str(b, "preconditions.resourceVersion");
	if (c_eq(json_string_value(json_array_get(jx_at(b, "dryRun"), 0)), "All"))
		q->opt.dry_run = true;
	if (o->grace_s < -1)
		return err_set(e, ERR_INVALID,
			       "DeleteOptions.meta.k8s.io \"\" is invalid: gracePeriodSeconds: "
			       "Invalid value: "
			       "%lld: must be greater than or equal to 0",
			       (long long)o->grace_s);
	return 0;
}

void handle_delete(struct request *q)
{
	struct object *old = table_get(q->table, q->info.ns, q->info.name);
	struct delete_options o;
	struct written out;
	struct err e;
	cleanup(json_decrefp) json_t *body = NULL;

	if (read_options(q, &o, &body, &e) < 0) {
		reply_error(q, &e);
		return;
	}
	if (!old) {
		err_not_found(&e, q->res, q->info.name);
		reply_error(q, &e);
		return;
	}
	const struct write w = { .api = q->api,
				 .table = q->table,
				 .ns = q->res->namespaced ? q->info.ns : NULL,
				 .dry_run = q->opt.dry_run };
	(void)!registry_delete(&w, old, &o, &out);
	if (out.status)
		reply_status(q, TAKE_PTR(out.status));
	else
		reply_object(q, 200, out.obj);
	written_done(&out);
}

/* The objects as they are now: deleting changes the table. */
static struct object **pick(const struct table *t, const struct selection *sel, size_t *ret_n)
{
	struct object **at = xcalloc(t->n + 1, sizeof(*at));

	*ret_n = 0;
	for (size_t i = 0; i < t->n; i++)
		if (selection_has(sel, t->at[i]))
			at[(*ret_n)++] = object_ref(t->at[i]);
	return at;
}

/* Answers the list of what was there, as upstream does. */
void handle_delete_collection(struct request *q)
{
	struct delete_options o;
	struct selection sel;
	struct err e;
	size_t n;
	cleanup(json_decrefp) json_t *body = NULL, *refused = NULL;

	if (read_options(q, &o, &body, &e) < 0 ||
	    selection_init(&sel, q->res, &q->info, &q->opt, &e) < 0) {
		reply_error(q, &e);
		return;
	}
	struct object **at = pick(q->table, &sel, &n);
	selection_done(&sel);
	for (size_t i = 0; i < n && !refused; i++) {
		const struct write w = { .api = q->api,
					 .table = q->table,
					 .ns = q->res->namespaced ? at[i]->ns : NULL,
					 .dry_run = q->opt.dry_run };
		struct written out;
		if (registry_delete(&w, at[i], &o, &out) < 0)
			refused = TAKE_PTR(out.status);
		written_done(&out);
	}
	const struct render_list list = {
		.at = at, .n = n, .rv = MAX(store_durable_rv(q->api->store), q->table->last_rv)
	};
	if (refused)
		reply_status(q, TAKE_PTR(refused));
	else
		reply_list(q, &list);
	for (size_t i = 0; i < n; i++)
		object_unref(at[i]);
	free(at);
}
