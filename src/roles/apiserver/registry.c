#include "roles/apiserver/registry.h"

#include "kube/schema/decode.h"
#include "kube/schema/validate.h"
#include "roles/apiserver/admission.h"
#include "roles/apiserver/status.h"
#include "roles/apiserver/strategy.h"

#include <stdio.h>

#define NAME_ATTEMPTS 8 /* 27^5 suffixes: eight collisions in a row mean the prefix is full */

void written_done(struct written *w)
{
	object_unref(w->obj);
	json_decref(w->status);
	*w = (struct written){ 0 };
}

static int refuse(struct written *ret, const struct err *e, const struct resource *r,
		  const char *name)
{
	ret->status = status_of_err(e, r, name);
	return -1;
}

static int refuse_fields(struct written *ret, const struct resource *r, const char *name,
			 struct field_errors *fe)
{
	ret->status = status_invalid(r, name, fe);
	field_errors_done(fe);
	return -1;
}

/* Admission looks at other objects through this. */

static json_t *view_get(void *ctx, const struct resource *r, const char *ns, const char *name)
{
	struct apiserver *api = ctx;
	struct object *o = table_get(store_table(api->store, r), ns, name);
	struct err e;

	return o ? object_tree(o, &e) : NULL;
}

static void view_each(void *ctx, const struct resource *r, bool (*fn)(void *arg, const json_t *obj),
		      void *arg)
{
	struct apiserver *api = ctx;
	const struct table *t = store_table(api->store, r);
	bool more = true;
	struct err e;

	for (size_t i = 0; more && i < t->n; i++) {
		cleanup(json_decrefp) json_t *tree = object_tree(t->at[i], &e);
		more = !tree || fn(arg, tree);
	}
}

static int admit(const struct write *w, enum admission_op op, const char *name, json_t *obj,
		 const json_t *old, struct written *ret)
{
	const struct admission_view view = { .ctx = w->api, .get = view_get, .each = view_each };
	const struct admission_request q = { .op = op,
					     .r = w->table->res,
					     .subresource = w->subresource,
					     .ns = w->ns,
					     .name = name,
					     .obj = obj,
					     .old = old };
	json_t *causes = NULL;
	struct err e;

	if (admission_check(&view, &q, &causes, &e) == 0)
		return 0;
	refuse(ret, &e, w->table->res, name);
	if (causes)
		json_object_set_new(json_object_get(ret->status, "details"), "causes", causes);
	return -1;
}

/* Allocation: what a Service was given is its own only when the write is durable. */

struct pending_alloc {
	struct store_wait wait;
	struct alloc *alloc;
	struct alloc_change change;
};

static bool is_service(const struct table *t)
{
	return t->res->group[0] == '\0' && c_eq(t->res->plural, "services");
}

static void alloc_settled(struct store_wait *wait, const struct err *e)
{
	struct pending_alloc *p = container_of(wait, struct pending_alloc, wait);

	if (e)
		alloc_rollback(p->alloc, &p->change);
	else
		alloc_commit(p->alloc, &p->change);
	free(p);
}

static void alloc_settle_later(const struct write *w, struct alloc_change *change)
{
	if (!change->n_take && !change->n_drop) {
		alloc_commit(w->api->alloc, change);
		return;
	}
	struct pending_alloc *p = xcalloc(1, sizeof(*p));
	p->wait.done = alloc_settled;
	p->alloc = w->api->alloc;
	p->change = *change;
	store_wait(w->api->store, &p->wait, store_rv(w->api->store));
}

/* Storing */

static void set_rv(json_t *obj, uint64_t rv)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)rv);
	jx_set_str(obj, "metadata.resourceVersion", text);
}

static struct object *make(const struct write *w, json_t *obj, struct written *ret)
{
	struct err e;
	struct object *o = object_new(w->table->res, obj, &e);

	if (!o)
		refuse(ret, &e, w->table->res, jx_name(obj));
	return o;
}

/* A Service's addresses and ports, before its validation: that is upstream's order, and so its
 * errors'. */
static int reserve(const struct write *w, json_t *obj, const json_t *old,
		   struct alloc_change *change, struct written *ret)
{
	struct field_errors fe = { 0 };

	if (!is_service(w->table) || w->subresource ||
	    alloc_service(w->api->alloc, obj, old, w->dry_run, change, &fe) == 0)
		return 0;
	return refuse_fields(ret, w->table->res, jx_name(obj), &fe);
}

static int commit(const struct write *w, json_t *obj, struct alloc_change *change,
		  struct written *ret)
{
	if (!w->dry_run)
		set_rv(obj, store_next_rv(w->api->store));
	struct object *o = make(w, obj, ret);
	if (!o)
		return -1;
	if (w->dry_run) {
		ret->obj = o;
		alloc_rollback(w->api->alloc, change);
		return 0;
	}
	ret->obj = object_ref(o);
	store_put(w->api->store, w->table, o);
	alloc_settle_later(w, change);
	return 0;
}

int registry_store(const struct write *w, json_t *obj, struct written *ret)
{
	struct alloc_change none = { 0 };

	*ret = (struct written){ 0 };
	return commit(w, obj, &none, ret);
}

/* Create */

static int unique_name(const struct write *w, json_t *obj, bool generated, struct written *ret)
{
	struct err e;

	for (int i = 0; table_get(w->table, w->ns, jx_str_or(obj, "metadata.name", "")); i++) {
		if (!generated || i == NAME_ATTEMPTS) {
			err_already_exists(&e, w->table->res, jx_name(obj));
			return refuse(ret, &e, w->table->res, jx_name(obj));
		}
		strategy_generate_name(obj);
	}
	return 0;
}

static int create_reserved(const struct write *w, json_t *obj, struct alloc_change *change,
			   struct written *ret)
{
	const struct resource *r = w->table->res;
	bool generated = !jx_str_or(obj, "metadata.name", "")[0];
	struct field_errors fe = { 0 };

	strategy_prepare_create(r, obj, w->ns, wall_now_ms());
	object_validate(r, obj, NULL, &fe);
	if (fe.n)
		return refuse_fields(ret, r, jx_str_or(obj, "metadata.name", ""), &fe);
	if (unique_name(w, obj, generated, ret) < 0)
		return -1;
	return commit(w, obj, change, ret);
}

int registry_create(const struct write *w, json_t *obj, struct written *ret)
{
	struct alloc_change change = { 0 };

	*ret = (struct written){ 0 };
	if (admit(w, ADMIT_CREATE, jx_name(obj), obj, NULL, ret) < 0 ||
	    reserve(w, obj, NULL, &change, ret) < 0)
		return -1;
	if (create_reserved(w, obj, &change, ret) < 0) {
		alloc_rollback(w->api->alloc, &change);
		return -1;
	}
	return 0;
}

/* Update */

static int check_version(const struct write *w, const json_t *obj, const struct object *old,
			 struct written *ret)
{
	const struct resource *r = w->table->res;
	const char *rv = jx_str_or(obj, "metadata.resourceVersion", ""),
		   *uid = jx_str_or(obj, "metadata.uid", "");
	struct err e;
	uint64_t n;

	if (!rv[0] && !w->subresource && (strategy_of(r)->flags & STRATEGY_NEEDS_VERSION)) {
		struct field_errors fe = { 0 };
		field_error_add(&fe, "FieldValueInvalid", "metadata.resourceVersion",
				"Invalid value: 0x0: must be specified for an update");
		return refuse_fields(ret, r, old->name, &fe);
	}
	if (uid[0] && !c_eq(uid, old->uid)) {
		cleanup(freep) char *why = xasprintf(
			"Precondition failed: UID in precondition: %s, UID in object meta: %s", uid,
			old->uid);
		err_conflict(&e, r, old->name, why);
		return refuse(ret, &e, r, old->name);
	}
	if (!rv[0] || c_eq(rv, "0") || (str_to_u64(str_of(rv), INT64_MAX, &n) && n == old->rv))
		return 0;
	err_conflict(&e, r, old->name, CONFLICT_MODIFIED);
	return refuse(ret, &e, r, old->name);
}

static bool is_namespace(const struct table *t)
{
	return t->res->group[0] == '\0' && c_eq(t->res->plural, "namespaces");
}

/* Has the last thing that kept a deleted object been taken away by this update? */
static bool update_completes_deletion(const struct write *w, const json_t *obj)
{
	if (!jx_at(obj, "metadata.deletionTimestamp") || jx_len(obj, "metadata.finalizers"))
		return false;
	if (is_namespace(w->table))
		return jx_len(obj, "spec.finalizers") == 0;
	return jx_int(obj, "metadata.deletionGracePeriodSeconds", 0) == 0;
}

static int remove_now(const struct write *w, json_t *obj, struct written *ret)
{
	struct alloc_change change = { 0 };

	if (!w->dry_run)
		set_rv(obj, store_next_rv(w->api->store));
	struct object *o = make(w, obj, ret);
	if (!o)
		return -1;
	ret->obj = object_ref(o);
	if (w->dry_run) {
		object_unref(o);
		return 0;
	}
	store_remove(w->api->store, w->table, o);
	if (is_service(w->table)) {
		alloc_delete(w->api->alloc, obj, &change);
		alloc_settle_later(w, &change);
	}
	return 0;
}

static int update_reserved(const struct write *w, json_t *obj, const json_t *old,
			   struct object *old_obj, struct alloc_change *change, struct written *ret)
{
	const struct resource *r = w->table->res;
	struct field_errors fe = { 0 };

	strategy_prepare_update(r, obj, old, w->subresource);
	object_validate_update(r, obj, old, w->subresource, &fe);
	if (fe.n)
		return refuse_fields(ret, r, old_obj->name, &fe);
	if (update_completes_deletion(w, obj)) {
		alloc_rollback(w->api->alloc, change);
		return remove_now(w, obj, ret);
	}
	set_rv(obj, old_obj->rv);
	if (json_equal(obj, old)) {
		alloc_rollback(w->api->alloc, change);
		ret->obj = object_ref(old_obj);
		return 0;
	}
	return commit(w, obj, change, ret);
}

int registry_update(const struct write *w, json_t *obj, struct object *old_obj, struct written *ret)
{
	struct alloc_change change = { 0 };
	struct err e;

	*ret = (struct written){ 0 };
	cleanup(json_decrefp) json_t *old = object_tree(old_obj, &e);
	if (!old)
		return refuse(ret, &e, w->table->res, old_obj->name);
	if (check_version(w, obj, old_obj, ret) < 0 ||
	    admit(w, ADMIT_UPDATE, old_obj->name, obj, old, ret) < 0 ||
	    reserve(w, obj, old, &change, ret) < 0)
		return -1;
	if (update_reserved(w, obj, old, old_obj, &change, ret) < 0) {
		alloc_rollback(w->api->alloc, &change);
		return -1;
	}
	return 0;
}

/* Delete */

static int check_preconditions(const struct write *w, const struct object *old,
			       const struct delete_options *o, struct written *ret)
{
	cleanup(freep) char *why = NULL;
	char rv[24];
	struct err e;

	snprintf(rv, sizeof(rv), "%llu", (unsigned long long)old->rv);
	if (o->uid && !c_eq(o->uid, old->uid))
		why = xasprintf("the UID in the precondition (%s) does not match the UID in record "
				"(%s). The object might "
				"have been deleted and then recreated",
				o->uid, old->uid);
	else if (o->resource_version && !c_eq(o->resource_version, rv))
		why = xasprintf("the ResourceVersion in the precondition (%s) does not match the "
				"ResourceVersion in record "
				"(%s). The object might have been modified",
				o->resource_version, rv);
	if (!why)
		return 0;
	err_set(&e, ERR_CONFLICT, "Operation cannot be fulfilled on %s \"%s\": %s",
		w->table->res->kind, old->name, why);
	return refuse(ret, &e, w->table->res, old->name);
}

static void finalizer_set(json_t *obj, const char *name, bool wanted)
{
	json_t *list = jx_at(obj, "metadata.finalizers"), *v;
	size_t i, found = SIZE_MAX;

	json_array_foreach(list, i, v) if (c_eq(json_string_value(v), name)) found = i;
	if (wanted == (found != SIZE_MAX))
		return;
	if (!wanted) {
		json_array_remove(list, found);
		if (!json_array_size(list))
			jx_del(obj, "metadata.finalizers");
		return;
	}
	if (!json_is_array(list)) {
		list = json_array();
		jx_set(obj, "metadata.finalizers", list);
	}
	json_array_append_new(list, json_string(name));
}

/* The propagation policy is kept in the object itself, where the garbage collector finds it. */
static void set_propagation(json_t *obj, enum propagation p)
{
	if (p == PROPAGATE_DEFAULT)
		return;
	finalizer_set(obj, "foregroundDeletion", p == PROPAGATE_FOREGROUND);
	finalizer_set(obj, "orphan", p == PROPAGATE_ORPHAN);
}

static bool deletion_must_wait(const struct write *w, const json_t *obj, int64_t grace_s)
{
	return grace_s > 0 || jx_len(obj, "metadata.finalizers") ||
	       (is_namespace(w->table) && jx_len(obj, "spec.finalizers"));
}

static int delete_later(const struct write *w, json_t *obj, struct object *old_obj, int64_t grace_s,
			struct written *ret)
{
	strategy_mark_deleted(w->table->res, obj, grace_s, wall_now_ms());
	if (is_namespace(w->table))
		jx_set_str(obj, "status.phase", "Terminating");
	struct err e;
	cleanup(json_decrefp) json_t *old = object_tree(old_obj, &e);
	if (old && json_equal(obj, old)) {
		ret->obj = object_ref(old_obj);
		return 0;
	}
	if (!w->dry_run)
		set_rv(obj, store_next_rv(w->api->store));
	struct object *o = make(w, obj, ret);
	if (!o)
		return -1;
	ret->obj = object_ref(o);
	if (w->dry_run)
		object_unref(o);
	else
		store_put(w->api->store, w->table, o);
	return 0;
}

int registry_delete(const struct write *w, struct object *old_obj, const struct delete_options *o,
		    struct written *ret)
{
	const struct resource *r = w->table->res;
	struct err e;

	*ret = (struct written){ 0 };
	cleanup(json_decrefp) json_t *obj = object_tree(old_obj, &e);
	if (!obj)
		return refuse(ret, &e, r, old_obj->name);
	if (check_preconditions(w, old_obj, o, ret) < 0 ||
	    admit(w, ADMIT_DELETE, old_obj->name, NULL, obj, ret) < 0)
		return -1;
	int64_t grace_s = strategy_grace_s(r, obj, o->grace_s);
	set_propagation(obj, o->propagation);
	if (deletion_must_wait(w, obj, grace_s))
		return delete_later(w, obj, old_obj, grace_s, ret);
	if (remove_now(w, obj, ret) < 0)
		return -1;
	if (!(strategy_of(r)->flags & STRATEGY_REPLY_OBJECT))
		ret->status = status_deleted(r, old_obj->name, old_obj->uid);
	return 0;
}
