#include "roles/controllers/replicaset.h"

#include "kube/object/selector.h"

#include <inttypes.h>
#include <string.h>

struct state {
	const struct replicaset_view *v;
	const json_t *rs;
	struct actions *out;
	const json_t **pods; /* ours and active */
	size_t n;
};

static json_t *pod_of(const json_t *rs)
{
	const json_t *tmpl = jx_at(rs, "spec.template"), *meta = jx_at(tmpl, "metadata");
	static const char *const copied[] = { "labels", "annotations", "finalizers" };
	json_t *pod = json_object(), *owners = json_array();

	jx_set_str(pod, "apiVersion", "v1");
	jx_set_str(pod, "kind", "Pod");
	cleanup(freep) char *prefix = xasprintf("%s-", jx_name(rs));
	jx_set_str(pod, "metadata.generateName", prefix);
	jx_set_str(pod, "metadata.namespace", jx_namespace(rs));
	for (size_t i = 0; i < ARRAY_LEN(copied); i++) {
		const json_t *v = json_object_get(meta, copied[i]);
		if (v)
			json_object_set_new(json_object_get(pod, "metadata"), copied[i],
					    json_deep_copy(v));
	}
	json_array_append_new(owners, controller_ref_new(rs));
	jx_set(pod, "metadata.ownerReferences", owners);
	jx_set(pod, "spec", json_deep_copy(jx_at(tmpl, "spec")));
	return pod;
}

/* 1, 2, 4, … at a time: when pods cannot be made, few tries show it, not hundreds. */
static void create_pods(struct state *s, int64_t n)
{
	for (int64_t batch = 1; n > 0; batch *= 2, s->out->stage++)
		for (int64_t i = 0; i < batch && n > 0; i++, n--) {
			struct action *a = act_create(s->out, KK_POD, pod_of(s->rs));
			act_note_done(a, s->rs, "SuccessfulCreate", "Created pod: %%name");
			act_note_failed(a, s->rs, "FailedCreate", "Error creating: ");
		}
}

static void delete_pods(struct state *s, int64_t n)
{
	pods_sort_for_deletion(s->pods, s->n, s->v->related, s->v->now_ms);
	for (int64_t i = 0; i < n; i++) {
		struct action *a = act_delete(s->out, KK_POD, s->pods[i], -1);
		act_note_done(a, s->rs, "SuccessfulDelete", "Deleted pod: %s", jx_name(s->pods[i]));
		act_note_failed(a, s->rs, "FailedDelete", "Error deleting: ");
	}
}

static void manage(struct state *s)
{
	int64_t missing = jx_int(s->rs, "spec.replicas", 1) - (int64_t)s->n;

	if (missing > 0)
		create_pods(s, MIN(missing, BURST_REPLICAS));
	else if (missing < 0)
		delete_pods(s, MIN(-missing, BURST_REPLICAS));
	s->out->stage++;
}

/* ---- status ---- */

static bool fully_labeled(const json_t *pod, const json_t *labels)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)labels, name, value)
		if (!c_eq(jx_label(pod, name), json_string_value(value)))
			return false;
	return true;
}

static json_t *conditions_of(const struct state *s)
{
	const json_t *old = jx_at(s->rs, "status.conditions"),
		     *had = condition_get(s->rs, "ReplicaFailure");
	json_t *list = old ? json_deep_copy(old) : json_array(), *c;
	char now[TIME_TEXT_BYTES];

	if (had && s->v->create_error)
		return list;
	if (had)
		json_array_remove(list, condition_at(list, "ReplicaFailure"));
	if (!s->v->create_error)
		return list;
	c = json_object();
	jx_set_str(c, "type", "ReplicaFailure");
	jx_set_str(c, "status", "True");
	jx_set_str(c, "lastTransitionTime", time_text(s->v->now_ms, now));
	jx_set_str(c, "reason", "FailedCreate");
	jx_set_str(c, "message", s->v->create_error->message);
	json_array_append_new(list, c);
	return list;
}

static json_t *status_of(const struct state *s, int64_t *ret_ready, int64_t *ret_available)
{
	const json_t *labels = jx_at(s->rs, "spec.template.metadata.labels");
	int64_t min_ready_s = jx_int(s->rs, "spec.minReadySeconds", 0), labeled = 0, ready = 0,
		available = 0;
	json_t *status = json_object(), *conditions = conditions_of(s);

	for (size_t i = 0; i < s->n; i++) {
		labeled += fully_labeled(s->pods[i], labels);
		ready += pod_is_ready(s->pods[i]);
		available += pod_is_available(s->pods[i], min_ready_s, s->v->now_ms);
	}
	jx_set_int(status, "replicas", (int64_t)s->n);
	set_nonzero(status, "fullyLabeledReplicas", labeled);
	set_nonzero(status, "readyReplicas", ready);
	set_nonzero(status, "availableReplicas", available);
	set_nonzero(status, "observedGeneration", jx_int(s->rs, "metadata.generation", 0));
	if (json_array_size(conditions))
		jx_set(status, "conditions", conditions);
	else
		json_decref(conditions);
	*ret_ready = ready;
	*ret_available = available;
	return status;
}

/* When the next ready pod becomes available. */
static void requeue_for_availability(const struct state *s)
{
	int64_t min_ready_ms = jx_int(s->rs, "spec.minReadySeconds", 0) * 1000, since;

	for (size_t i = 0; i < s->n; i++) {
		since = pod_ready_since_ms(s->pods[i]);
		if (since && since + min_ready_ms > s->v->now_ms)
			actions_requeue(s->out,
					(uint64_t)(since + min_ready_ms - s->v->now_ms) + 1);
	}
}

static void report(struct state *s)
{
	const json_t *old = jx_at(s->rs, "status");
	int64_t ready, available;
	json_t *wanted = status_of(s, &ready, &available), *patch;

	if (available < ready)
		requeue_for_availability(s);
	if (json_equal(old, wanted)) {
		json_decref(wanted);
		return;
	}
	patch = json_object();
	json_object_set_new(patch, "status", merge_members(old, wanted));
	act_patch(s->out, KK_REPLICASET, s->rs, "status", KUBE_MERGE_PATCH, patch);
}

/* ---- the whole ---- */

/* Adopts, releases, and collects what is ours and alive. True when an owner changes. */
static bool claim(struct state *s, const struct selector *sel)
{
	const char *uid = jx_uid(s->rs);
	bool changed = false;

	for (size_t i = 0; i < s->v->pods.n; i++) {
		const json_t *pod = s->v->pods.at[i];
		bool ours = c_eq(controller_uid(pod), uid);
		bool chosen = selector_matches(sel, jx_at(pod, "metadata.labels"));

		if (!pod_is_active(pod))
			continue;
		if (ours && chosen)
			s->pods[s->n++] = pod;
		else if (being_deleted(s->rs) || (!ours && (!chosen || controller_ref(pod))))
			continue;
		else {
			act_patch(s->out, KK_POD, pod, NULL, KUBE_STRATEGIC_PATCH,
				  ours ? release_patch(pod, s->rs) : adopt_patch(pod, s->rs));
			changed = true;
		}
	}
	return changed;
}

void replicaset_reconcile(const struct replicaset_view *v, struct actions *out)
{
	struct err e;
	struct state s = { .v = v, .rs = v->replicaset, .out = out };
	struct selector *sel = selector_of_label_selector(jx_at(s.rs, "spec.selector"), &e);

	if (!sel || !workload_is_sound(s.rs)) {
		selector_free(sel);
		return;
	}
	s.pods = xcalloc(v->pods.n + 1, sizeof(*s.pods));
	if (!claim(&s, sel)) {
		if (!being_deleted(s.rs) && !v->create_error)
			manage(&s);
		report(&s);
		if (!being_deleted(s.rs) && v->create_error) {
			out->stage++;
			manage(&s); /* behind the report of the failure, which a new failure would cut off */
		}
	}
	free(s.pods);
	selector_free(sel);
}
