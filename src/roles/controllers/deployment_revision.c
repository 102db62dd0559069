/* Revisions: the ReplicaSet of a template, its name and annotations, and the history that is kept. */
#include "roles/controllers/deployment.h"

#include "base/fnv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HISTORY_BYTES_MAX 2000 /* of the revision-history annotation; upstream's limit */

/* No vowels and no digits that look like them: no hash spells a word (apimachinery util/rand). */
static const char safe_alphabet[] = "bcdfghjklmnpqrstvwxz2456789";

void template_hash(const json_t *tmpl, int64_t collisions, char out[16])
{
	char *text = json_dumps(tmpl, JSON_COMPACT | JSON_SORT_KEYS);
	cleanup(freep) char *salted = xasprintf("%s#%" PRId64, text, collisions);
	char digits[16];
	size_t i;

	free(text);
	snprintf(digits, sizeof(digits), "%" PRIu32, fnv1a_32(FNV1A_32, salted, strlen(salted)));
	for (i = 0; digits[i]; i++)
		out[i] = safe_alphabet[(unsigned char)digits[i] % (sizeof(safe_alphabet) - 1)];
	out[i] = '\0';
}

/* kube-apiserver writes "creationTimestamp": null into templates, and may stop doing so. */
static void drop_nulls(json_t *v)
{
	const char *name;
	json_t *member;
	void *tmp;
	size_t i;

	json_object_foreach_safe(v, tmp, name, member) {
		if (json_is_null(member))
			json_object_del(v, name);
		else
			drop_nulls(member);
	}
	json_array_foreach(v, i, member)
		drop_nulls(member);
}

static json_t *template_normal(const json_t *tmpl)
{
	json_t *t = json_deep_copy(tmpl);
	json_t *labels = jx_at(t, "metadata.labels");

	json_object_del(labels, HASH_LABEL);
	drop_nulls(t);
	return t;
}

bool template_equal(const json_t *a, const json_t *b)
{
	cleanup(json_decrefp) json_t *x = template_normal(a);
	cleanup(json_decrefp) json_t *y = template_normal(b);

	return json_equal(x, y);
}

static int64_t revision_of(const json_t *obj)
{
	const char *text = jx_annotation(obj, REVISION);

	return text ? strtoll(text, NULL, 10) : 0;
}

static void annotation_set(json_t *obj, const char *name, const char *value)
{
	json_t *meta = json_object_get(obj, "metadata");

	if (!meta) {
		meta = json_object();
		json_object_set_new(obj, "metadata", meta);
	}
	json_t *annotations = json_object_get(meta, "annotations");
	if (!annotations) {
		annotations = json_object();
		json_object_set_new(meta, "annotations", annotations);
	}
	json_object_set_new(annotations, name, json_string(value));
}

void rs_annotate(struct rs_plan *rs, const char *name, const char *value)
{
	if (rs->made) {
		annotation_set((json_t *)rs->obj, name, value);
		return;
	}
	const char *old = jx_annotation(rs->patch, name);
	if (c_eq(old ? old : jx_annotation(rs->obj, name), value))
		return;
	if (!rs->patch)
		rs->patch = json_object();
	annotation_set(rs->patch, name, value);
}

static bool annotation_copied(const char *name)
{
	static const char *const own[] = { "kubectl.kubernetes.io/last-applied-configuration",
					   REVISION,
					   REVISION_HISTORY,
					   DESIRED_REPLICAS,
					   MAX_REPLICAS,
					   "deprecated.deployment.rollback.to" };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (strcmp(name, own[i]) == 0)
			return false;
	return true;
}

static void history_append(struct rs_plan *rs, int64_t revision)
{
	const char *old = jx_annotation(rs->obj, REVISION_HISTORY);
	cleanup(freep) char *text = old && old[0] ? xasprintf("%s,%" PRId64, old, revision)
						  : xasprintf("%" PRId64, revision);
	const char *kept = text;

	while (strlen(kept) > HISTORY_BYTES_MAX && strchr(kept, ','))
		kept = strchr(kept, ',') + 1;
	rs_annotate(rs, REVISION_HISTORY, kept);
}

/* Annotations of the Deployment (kubernetes.io/change-cause above all), and the revision. */
static void sync_annotations(struct rollout *r, struct rs_plan *rs, int64_t revision)
{
	int64_t old = revision_of(rs->obj);
	char text[24];
	const char *name;
	json_t *value;

	json_object_foreach(jx_at(r->d, "metadata.annotations"), name, value)
		if (annotation_copied(name) && json_is_string(value))
			rs_annotate(rs, name, json_string_value(value));
	if (old >= revision)
		return;
	snprintf(text, sizeof(text), "%" PRId64, revision);
	rs_annotate(rs, REVISION, text);
	if (old > 0)
		history_append(rs, old);
}

static void sync_deployment_revision(struct rollout *r, const char *revision)
{
	json_t *patch;

	if (!revision || c_eq(jx_annotation(r->d, REVISION), revision))
		return;
	patch = json_object();
	annotation_set(patch, REVISION, revision);
	act_patch(r->out, KK_DEPLOYMENT, r->d, NULL, KUBE_MERGE_PATCH, patch);
}

static const char *planned_revision(const struct rs_plan *rs)
{
	const char *patched = jx_annotation(rs->patch, REVISION);

	return patched ? patched : jx_annotation(rs->obj, REVISION);
}

static int64_t next_revision(const struct rollout *r)
{
	int64_t max = 0;

	for (size_t i = 0; i < r->n; i++)
		if (&r->rs[i] != r->new_rs)
			max = MAX(max, revision_of(r->rs[i].obj));
	return max + 1;
}

static json_t *with_hash(const json_t *labels, const char *hash)
{
	json_t *copy = labels ? json_deep_copy(labels) : json_object();

	json_object_set_new(copy, HASH_LABEL, json_string(hash));
	return copy;
}

static json_t *replicaset_of(const struct rollout *r)
{
	const json_t *tmpl = jx_at(r->d, "spec.template");
	cleanup(json_decrefp) json_t *normal = template_normal(tmpl);
	json_t *rs = json_object(), *copy = json_deep_copy(tmpl), *selector, *owners = json_array();
	char hash[16];

	template_hash(normal, r->collisions, hash);
	jx_set(copy, "metadata.labels", with_hash(jx_at(tmpl, "metadata.labels"), hash));
	selector = json_deep_copy(jx_at(r->d, "spec.selector"));
	jx_set(selector, "matchLabels", with_hash(jx_at(selector, "matchLabels"), hash));
	json_array_append_new(owners, controller_ref_new(r->d));
	jx_set_str(rs, "apiVersion", "apps/v1");
	jx_set_str(rs, "kind", "ReplicaSet");
	cleanup(freep) char *name = xasprintf("%s-%s", jx_name(r->d), hash);
	jx_set_str(rs, "metadata.name", name);
	jx_set_str(rs, "metadata.namespace", jx_namespace(r->d));
	jx_set(rs, "metadata.labels", json_deep_copy(jx_at(copy, "metadata.labels")));
	jx_set(rs, "metadata.ownerReferences", owners);
	jx_set_int(rs, "spec.replicas", 0);
	if (jx_int(r->d, "spec.minReadySeconds", 0))
		jx_set_int(rs, "spec.minReadySeconds", jx_int(r->d, "spec.minReadySeconds", 0));
	jx_set(rs, "spec.selector", selector);
	jx_set(rs, "spec.template", copy);
	return rs;
}

void rs_annotate_size(const struct rollout *r, struct rs_plan *rs)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, r->replicas);
	rs_annotate(rs, DESIRED_REPLICAS, text);
	snprintf(text, sizeof(text), "%" PRId64, r->replicas + r->max_surge);
	rs_annotate(rs, MAX_REPLICAS, text);
}

static void make_new(struct rollout *r)
{
	struct rs_plan *rs = &r->rs[r->n];
	json_t *obj = replicaset_of(r);
	int64_t revision = next_revision(r);

	*rs = (struct rs_plan){ .obj = obj, .name = jx_name(obj), .made = true, .scaled_from = -1 };
	r->n++;
	r->new_rs = rs;
	rs->replicas = rollout_new_size(r, rs);
	jx_set_int(obj, "spec.replicas", rs->replicas);
	sync_annotations(r, rs, revision);
	rs_annotate_size(r, rs);
	struct action *a = act_create(r->out, KK_REPLICASET, obj);
	if (rs->replicas > 0)
		act_note_done(a, r->d, "ScalingReplicaSet",
			      "Scaled up replica set %s from 0 to %" PRId64, rs->name,
			      rs->replicas);
	act_note_failed(a, r->d, "ReplicaSetCreateError",
			"Failed to create new replica set \"%s\": ", rs->name);
	if (r->deadline_s >= 0 && r->v->create_error)
		rollout_condition(r, "Progressing", "False", "ReplicaSetCreateError",
				  "Failed to create new replica set \"%s\": %s", rs->name,
				  r->v->create_error->message);
	else if (r->deadline_s >= 0)
		rollout_condition(r, "Progressing", "True", "NewReplicaSetCreated",
				  "Created new replica set \"%s\"", rs->name);
}

static void keep_new(struct rollout *r)
{
	struct rs_plan *rs = r->new_rs;
	int64_t min_ready = jx_int(r->d, "spec.minReadySeconds", 0);

	sync_annotations(r, rs, next_revision(r));
	if (jx_int(rs->obj, "spec.minReadySeconds", 0) != min_ready) {
		if (!rs->patch)
			rs->patch = json_object();
		jx_set_int(rs->patch, "spec.minReadySeconds", min_ready);
	}
	if (r->deadline_s >= 0 && condition_at(r->conditions, "Progressing") == SIZE_MAX)
		rollout_condition(r, "Progressing", "True", "FoundNewReplicaSet",
				  "Found new replica set \"%s\"", rs->name);
}

void rollout_find_new(struct rollout *r, bool create)
{
	const json_t *tmpl = jx_at(r->d, "spec.template");

	for (size_t i = 0; i < r->n && !r->new_rs; i++)
		if (template_equal(jx_at(r->rs[i].obj, "spec.template"), tmpl))
			r->new_rs = &r->rs[i];
	if (r->new_rs)
		keep_new(r);
	else if (create)
		make_new(r);
	if (r->new_rs)
		sync_deployment_revision(r, planned_revision(r->new_rs));
}

static int by_revision(const void *a, const void *b)
{
	int64_t x = revision_of((*(struct rs_plan *const *)a)->obj);
	int64_t y = revision_of((*(struct rs_plan *const *)b)->obj);

	return (x > y) - (x < y);
}

void rollout_clean_up(struct rollout *r)
{
	int64_t limit = jx_int(r->d, "spec.revisionHistoryLimit", INT32_MAX);
	struct rs_plan **old = xcalloc(r->n + 1, sizeof(*old));
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (&r->rs[i] != r->new_rs && !being_deleted(r->rs[i].obj))
			old[n++] = &r->rs[i];
	qsort(old, n, sizeof(struct rs_plan *), by_revision);
	for (size_t i = 0; (int64_t)i < (int64_t)n - limit; i++) {
		const json_t *o = old[i]->obj;
		if (old[i]->actual || old[i]->replicas ||
		    jx_int(o, "metadata.generation", 0) > jx_int(o, "status.observedGeneration", 0))
			continue;
		act_delete(r->out, KK_REPLICASET, o, -1);
	}
	free(old);
}
