/* The scale subresource: an autoscaling/v1 Scale as a view of what has spec.replicas. */
#include "roles/apiserver/handlers.h"

#include "roles/apiserver/body.h"
#include "roles/apiserver/registry.h"
#include "roles/apiserver/status.h"

static json_t *scale_metadata(const json_t *obj)
{
	static const char *const members[] = { "name", "namespace", "uid", "resourceVersion",
					       "creationTimestamp" };
	json_t *meta = json_object(), *from = json_object_get(obj, "metadata");

	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		if (json_object_get(from, members[i]))
			json_object_set(meta, members[i], json_object_get(from, members[i]));
	return meta;
}

/* ReplicationControllers select by a plain map, all others by a LabelSelector. */
static char *selector_text_of(const json_t *obj)
{
	const json_t *sel = jx_at(obj, "spec.selector");
	bool plain =
		!json_object_get(sel, "matchLabels") && !json_object_get(sel, "matchExpressions");
	struct err e;
	struct selector *s = plain ? selector_of_map(sel) : selector_of_label_selector(sel, &e);
	char *text = s ? selector_text(s) : NULL;

	selector_free(s);
	return text;
}

static json_t *scale_of(const json_t *obj)
{
	json_t *scale =
		json_pack("{s:s,s:s,s:o,s:{},s:{s:I}}", "kind", "Scale", "apiVersion",
			  "autoscaling/v1", "metadata", scale_metadata(obj), "spec", "status",
			  "replicas", (json_int_t)jx_int(obj, "status.replicas", 0));
	cleanup(freep) char *selector = selector_text_of(obj);

	if (jx_int(obj, "spec.replicas", 0))
		jx_set_int(scale, "spec.replicas", jx_int(obj, "spec.replicas", 0));
	if (selector && selector[0])
		jx_set_str(scale, "status.selector", selector);
	return scale;
}

/* The object behind the request's scale; NULL when the request has got its 404. */
static struct object *scaled(struct request *q, json_t **ret_tree)
{
	struct object *o = table_get(q->table, q->info.ns, q->info.name);
	struct err e;

	*ret_tree = NULL;
	if (!o)
		err_not_found(&e, q->res, q->info.name);
	else
		*ret_tree = object_tree(o, &e);
	if (*ret_tree)
		return o;
	reply_error(q, &e);
	return NULL;
}

void handle_scale_get(struct request *q)
{
	cleanup(json_decrefp) json_t *obj = NULL;

	if (scaled(q, &obj))
		reply_json(q, 200, scale_of(obj));
}

static void reply_negative(struct request *q, int64_t replicas)
{
	static const struct resource scale = { .group = "autoscaling",
					       .version = "v1",
					       .kind = "Scale" };
	struct field_errors fe = { 0 };

	field_error_add(&fe, "FieldValueInvalid", "spec.replicas",
			"Invalid value: %lld: must be greater than or equal to 0",
			(long long)replicas);
	json_t *status = status_invalid(&scale, q->info.name, &fe);
	field_errors_done(&fe);
	reply_status(q, status);
}

static void scale_write(struct request *q, struct object *old, json_t *obj, const json_t *scale)
{
	const struct write w = {
		.api = q->api, .table = q->table, .ns = q->info.ns, .dry_run = q->opt.dry_run
	};
	int64_t replicas = jx_int(scale, "spec.replicas", 0);
	struct written out;
	struct err e;

	if (replicas < 0 || replicas > INT32_MAX) {
		reply_negative(q, replicas);
		return;
	}
	jx_set_int(obj, "spec.replicas", replicas);
	jx_set_str(obj, "metadata.resourceVersion", jx_str(scale, "metadata.resourceVersion"));
	if (registry_update(&w, obj, old, &out) < 0) {
		reply_status(q, TAKE_PTR(out.status));
	} else {
		cleanup(json_decrefp) json_t *new = object_tree(out.obj, &e);
		reply_json(q, 200, scale_of(new));
	}
	written_done(&out);
}

void handle_scale_update(struct request *q)
{
	cleanup(json_decrefp) json_t *obj = NULL;
	struct object *old = scaled(q, &obj);
	struct err e;

	if (!old)
		return;
	cleanup(json_decrefp) json_t *scale = body_typed(q, "autoscaling.v1.Scale", &e);
	if (scale)
		scale_write(q, old, obj, scale);
	else
		reply_error(q, &e);
}

void handle_scale_patch(struct request *q)
{
	cleanup(json_decrefp) json_t *obj = NULL;
	struct object *old = scaled(q, &obj);
	struct err e;

	if (!old)
		return;
	const struct schema_type *type = schema_type_find("autoscaling.v1.Scale");
	cleanup(json_decrefp) json_t *now = scale_of(obj);
	cleanup(json_decrefp) json_t *scale = body_patch(q, type, now, &e);
	if (scale && object_check_type(type, scale, &e) == 0)
		scale_write(q, old, obj, scale);
	else
		reply_error(q, &e);
}
