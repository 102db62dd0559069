#include "roles/apiserver/handlers.h"

#include "base/limits.h"
#include "kube/schema/decode.h"
#include "kube/schema/patch.h"
#include "roles/apiserver/body.h"
#include "roles/apiserver/convert.h"
#include "roles/apiserver/registry.h"
#include "roles/apiserver/status.h"
#include "roles/apiserver/strategy.h"

#define FIELD_MANAGER_BYTES_MAX 128 /* metav1.FieldManagerMaxLength */

static struct write write_of(const struct request *q)
{
	return (struct write){ .api = q->api,
			       .table = q->table,
			       .ns = q->res->namespaced ? q->info.ns : NULL,
			       .subresource = q->info.subresource,
			       .dry_run = q->opt.dry_run };
}

static void reply_written(struct request *q, int status, struct written *w)
{
	if (w->status)
		reply_status(q, TAKE_PTR(w->status));
	else
		reply_object(q, status, w->obj);
	written_done(w);
}

static enum field_validation validation_of(const struct request *q)
{
	if (c_eq(q->opt.field_validation, "Strict"))
		return FV_STRICT;
	return c_eq(q->opt.field_validation, "Ignore") ? FV_IGNORE : FV_WARN;
}

static int check_manager(const struct request *q, const char *options, struct err *e)
{
	if (q->opt.field_manager && strlen(q->opt.field_manager) > FIELD_MANAGER_BYTES_MAX)
		return err_set(e, ERR_INVALID,
			       "%s.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be "
			       "more than %d bytes",
			       options, FIELD_MANAGER_BYTES_MAX);
	return 0;
}

/* The object's own namespace may be left out, but not be another. */
static int check_namespace(const struct request *q, json_t *obj, struct err *e)
{
	const char *ns = jx_str_or(obj, "metadata.namespace", "");

	if (!q->res->namespaced) {
		jx_del(obj, "metadata.namespace");
		return 0;
	}
	if (ns[0] && !c_eq(ns, q->info.ns))
		return err_set(e, ERR_BAD_REQUEST,
			       "the namespace of the provided object does not match the namespace "
			       "sent on the request");
	jx_set_str(obj, "metadata.namespace", q->info.ns);
	return 0;
}

static int check_name(const struct request *q, json_t *obj, struct err *e)
{
	const char *name = jx_str_or(obj, "metadata.name", "");

	if (!name[0])
		jx_set_str(obj, "metadata.name", q->info.name);
	else if (!c_eq(name, q->info.name))
		return err_set(
			e, ERR_BAD_REQUEST,
			"the name of the object (%s) does not match the name on the URL (%s)", name,
			q->info.name);
	return 0;
}

/* From the asked version to the stored one, with defaults; steals `obj`. Field ownership is not
 * tracked. */
static json_t *to_storage(const struct request *q, json_t *obj)
{
	const struct resource *stored = q->table->res;
	json_t *out = object_convert(q->res, stored, obj);

	json_decref(obj);
	jx_del(out, "metadata.managedFields");
	jx_del(out, "metadata.selfLink");
	object_default(stored, out);
	return out;
}

static json_t *read_object(struct request *q, struct err *e)
{
	json_t *obj = body_object(q, q->res, validation_of(q), e);

	if (!obj)
		return NULL;
	if (!json_is_object(json_object_get(obj, "metadata")))
		jx_set(obj, "metadata", json_object());
	if (check_namespace(q, obj, e) < 0) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}

void handle_create(struct request *q)
{
	struct write w = write_of(q);
	struct written out;
	struct err e;
	json_t *obj = check_manager(q, "CreateOptions", &e) < 0 ? NULL : read_object(q, &e);

	if (!obj) {
		reply_error(q, &e);
		return;
	}
	cleanup(json_decrefp) json_t *stored = to_storage(q, obj);
	(void)!registry_create(&w, stored, &out);
	reply_written(q, 201, &out);
}

static void put_creates(struct request *q, json_t *obj)
{
	struct write w = write_of(q);
	struct written out;

	(void)!registry_create(&w, obj, &out);
	reply_written(q, 201, &out);
}

void handle_update(struct request *q)
{
	struct write w = write_of(q);
	struct object *old = table_get(q->table, q->info.ns, q->info.name);
	struct written out;
	struct err e;
	json_t *obj = check_manager(q, "UpdateOptions", &e) < 0 ? NULL : read_object(q, &e);

	if (obj && check_name(q, obj, &e) < 0) {
		json_decref(obj);
		obj = NULL;
	}
	if (!obj) {
		reply_error(q, &e);
		return;
	}
	cleanup(json_decrefp) json_t *stored = to_storage(q, obj);
	if (!old && !q->info.subresource &&
	    (strategy_of(q->table->res)->flags & STRATEGY_CREATE_BY_PUT) &&
	    !jx_str_or(stored, "metadata.resourceVersion", "")[0]) {
		put_creates(q, stored);
		return;
	}
	if (!old) {
		err_not_found(&e, q->res, q->info.name);
		reply_error(q, &e);
		return;
	}
	(void)!registry_update(&w, stored, old, &out);
	reply_written(q, 200, &out);
}

/* Patch */

enum patch_type { PATCH_MERGE, PATCH_JSON, PATCH_STRATEGIC };

static int patch_type_of(struct str content_type, enum patch_type *ret_type, struct err *e)
{
	static const struct {
		const char *type;
		enum patch_type patch;
	} types[] = {
		{ "application/merge-patch+json", PATCH_MERGE },
		{ "application/json-patch+json", PATCH_JSON },
		{ "application/strategic-merge-patch+json", PATCH_STRATEGIC },
	};
	struct str params, type = str_trim(str_cut(content_type, ';', &params));

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_ieq(type, str_of(types[i].type))) {
			*ret_type = types[i].patch;
			return 0;
		}
	return err_set(
		e, ERR_UNSUPPORTED_MEDIA,
		"the body of the request was in an unknown format - accepted media types include: "
		"application/json-patch+json, application/merge-patch+json, "
		"application/strategic-merge-patch+json");
}

static json_t *apply_patch(const struct schema_type *t, const json_t *obj, struct str content_type,
			   struct str body, struct err *e)
{
	enum patch_type type;

	if (patch_type_of(content_type, &type, e) < 0)
		return NULL;
	cleanup(json_decrefp) json_t *patch = jx_parse(body, LIMIT_REQUEST_BODY_BYTES, e);
	if (!patch) {
		err_wrap(e, "error decoding patch");
		return NULL;
	}
	switch (type) {
	case PATCH_JSON:
		return patch_json(obj, patch, e);
	case PATCH_STRATEGIC:
		return patch_strategic(t, obj, patch, e);
	default:
		return patch_merge(obj, patch, e);
	}
}

json_t *body_patch(struct request *q, const struct schema_type *t, const json_t *obj, struct err *e)
{
	json_t *out = apply_patch(t, obj, http_header_get(q->http->headers, "content-type"),
				  q->http->body, e);

	if (out && !json_is_object(out)) {
		json_decref(out);
		err_set(e, ERR_BAD_REQUEST, "the patch does not leave an object");
		return NULL;
	}
	return out;
}

static json_t *patched(struct request *q, struct object *old, struct err *e)
{
	cleanup(json_decrefp) json_t *tree = object_tree(old, e);
	if (!tree)
		return NULL;
	cleanup(json_decrefp) json_t *view = object_convert(q->table->res, q->res, tree);
	json_t *obj = body_patch(q, q->res->type, view, e);

	if (!obj)
		return NULL;
	json_t *warnings = NULL;
	int rc = object_check_types(q->res, obj, validation_of(q), &warnings, e);
	request_warn(q, warnings);
	if (rc < 0 || check_namespace(q, obj, e) < 0 || check_name(q, obj, e) < 0) {
		json_decref(obj);
		return NULL;
	}
	return obj;
}

void handle_patch(struct request *q)
{
	struct write w = write_of(q);
	struct object *old = table_get(q->table, q->info.ns, q->info.name);
	struct written out;
	struct err e;
	enum patch_type type;
	json_t *obj = NULL;

	if (check_manager(q, "PatchOptions", &e) == 0 &&
	    patch_type_of(http_header_get(q->http->headers, "content-type"), &type, &e) == 0) {
		if (old)
			obj = patched(q, old, &e);
		else
			err_not_found(&e, q->res, q->info.name);
	}
	if (!obj) {
		reply_error(q, &e);
		return;
	}
	cleanup(json_decrefp) json_t *stored = to_storage(q, obj);
	(void)!registry_update(&w, stored, old, &out);
	reply_written(q, 200, &out);
}
