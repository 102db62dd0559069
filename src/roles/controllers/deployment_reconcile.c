#include "roles/controllers/deployment.h"

#include "kube/object/selector.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- sizes ---- */

bool rs_scale(struct rollout *r, struct rs_plan *rs, int64_t replicas)
{
	rs_annotate_size(r, rs);
	if (rs->replicas == replicas)
		return false;
	if (rs->made) {
		jx_set_int((json_t *)rs->obj, "spec.replicas", replicas);
	} else {
		if (!rs->patch)
			rs->patch = json_object();
		jx_set_int(rs->patch, "spec.replicas", replicas);
		if (rs->scaled_from < 0)
			rs->scaled_from = rs->replicas;
	}
	rs->replicas = replicas;
	return true;
}

static int64_t planned_total(const struct rollout *r)
{
	int64_t total = 0;

	for (size_t i = 0; i < r->n; i++)
		total += r->rs[i].replicas;
	return total;
}

int64_t rollout_new_size(const struct rollout *r, const struct rs_plan *rs)
{
	int64_t room = r->replicas + r->max_surge - planned_total(r);

	if (!r->rolling)
		return r->replicas;
	if (room <= 0)
		return rs->replicas;
	return rs->replicas + MIN(room, r->replicas - rs->replicas);
}

/* ---- rolling update ---- */

static bool grow_new(struct rollout *r)
{
	struct rs_plan *rs = r->new_rs;

	if (rs->replicas == r->replicas)
		return false;
	if (rs->replicas > r->replicas)
		return rs_scale(r, rs, r->replicas);
	return rs_scale(r, rs, rollout_new_size(r, rs));
}

static int64_t sum_available(const struct rollout *r)
{
	int64_t total = 0;

	for (size_t i = 0; i < r->n; i++)
		total += r->rs[i].available;
	return total;
}

/* Replicas that serve nobody go first: their end costs no availability. */
static int64_t shrink_unhealthy(struct rollout *r, int64_t at_most)
{
	int64_t down = 0;

	for (size_t i = 0; i < r->n && down < at_most; i++) {
		struct rs_plan *rs = &r->rs[i];
		if (rs == r->new_rs || !rs->replicas || rs->replicas == rs->available)
			continue;
		int64_t n = MIN(at_most - down, MAX(rs->replicas - rs->available, 0));
		rs_scale(r, rs, rs->replicas - n);
		down += n;
	}
	return down;
}

static int64_t shrink_available(struct rollout *r)
{
	int64_t spare = sum_available(r) - (r->replicas - r->max_unavailable), down = 0;

	for (size_t i = 0; i < r->n && down < spare; i++) {
		struct rs_plan *rs = &r->rs[i];
		if (rs == r->new_rs || !rs->replicas)
			continue;
		int64_t n = MIN(rs->replicas, spare - down);
		rs_scale(r, rs, rs->replicas - n);
		down += n;
	}
	return down;
}

static bool shrink_old(struct rollout *r)
{
	const struct rs_plan *rs = r->new_rs;
	int64_t total = planned_total(r);
	int64_t most;

	if (total == rs->replicas)
		return false;
	most = total - (r->replicas - r->max_unavailable) - (rs->replicas - rs->available);
	if (most <= 0)
		return false;
	int64_t down = shrink_unhealthy(r, most);
	return down + shrink_available(r) > 0;
}

static void roll(struct rollout *r)
{
	rollout_find_new(r, true);
	if (!grow_new(r) && !shrink_old(r) && rollout_complete(r))
		rollout_clean_up(r);
}

/* ---- recreate ---- */

static bool old_pods_left(const struct rollout *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (&r->rs[i] != r->new_rs && (r->rs[i].actual > 0 || r->rs[i].alive_pods > 0))
			return true;
	return false;
}

static void recreate(struct rollout *r)
{
	bool shrunk = false;

	rollout_find_new(r, false);
	for (size_t i = 0; i < r->n; i++)
		if (&r->rs[i] != r->new_rs && r->rs[i].replicas)
			shrunk |= rs_scale(r, &r->rs[i], 0);
	if (shrunk || old_pods_left(r))
		return;
	if (!r->new_rs)
		rollout_find_new(r, true);
	rs_scale(r, r->new_rs, r->replicas);
	if (rollout_complete(r))
		rollout_clean_up(r);
}

/* ---- the whole ---- */

static void check_paused(struct rollout *r)
{
	const json_t *p = json_array_get(r->conditions, condition_at(r->conditions, "Progressing"));
	const char *reason = jx_str_or(p, "reason", "");
	bool was_paused = strcmp(reason, "DeploymentPaused") == 0;

	if (r->deadline_s < 0 || strcmp(reason, "ProgressDeadlineExceeded") == 0)
		return;
	if (r->paused && !was_paused)
		rollout_condition(r, "Progressing", "Unknown", "DeploymentPaused",
				  "Deployment is paused");
	else if (!r->paused && was_paused)
		rollout_condition(r, "Progressing", "Unknown", "DeploymentResumed",
				  "Deployment is resumed");
}

static bool is_scaling(const struct rollout *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const char *desired = jx_annotation(r->rs[i].obj, DESIRED_REPLICAS);
		if (r->rs[i].replicas && desired && strtoll(desired, NULL, 10) != r->replicas)
			return true;
	}
	return false;
}

static void emit_patches(struct rollout *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct rs_plan *rs = &r->rs[i];
		if (!rs->patch)
			continue;
		struct action *a = act_patch(r->out, KK_REPLICASET, rs->obj, NULL, KUBE_MERGE_PATCH,
					     rs->patch);
		if (rs->scaled_from >= 0)
			act_note_done(a, r->d, "ScalingReplicaSet",
				      "Scaled %s replica set %s from %" PRId64 " to %" PRId64,
				      rs->replicas > rs->scaled_from ? "up" : "down", rs->name,
				      rs->scaled_from, rs->replicas);
	}
	r->out->stage++;
}

static void rollout_run(struct rollout *r)
{
	bool whole = false;

	if (being_deleted(r->d)) {
		rollout_find_new(r, false);
	} else {
		check_paused(r);
		if (r->paused || is_scaling(r)) {
			rollout_find_new(r, false);
			rollout_scale(r);
			if (r->paused)
				rollout_clean_up(r);
		} else {
			whole = true;
			if (r->rolling)
				roll(r);
			else
				recreate(r);
		}
	}
	emit_patches(r);
	rollout_status(r, whole);
}

/* Another ReplicaSet has the name that the hash gives: another hash next time. */
static bool resolve_collision(struct rollout *r)
{
	json_t *patch;

	if (!r->v->create_error || r->v->create_error->reason != ERR_ALREADY_EXISTS)
		return false;
	for (size_t i = 0; i < r->n; i++)
		if (template_equal(jx_at(r->rs[i].obj, "spec.template"),
				   jx_at(r->d, "spec.template")))
			return false;
	patch = json_object();
	jx_set_int(patch, "status.collisionCount", r->collisions + 1);
	act_patch(r->out, KK_DEPLOYMENT, r->d, "status", KUBE_MERGE_PATCH, patch);
	return true;
}

static void take_strategy(struct rollout *r)
{
	const json_t *rolling = jx_at(r->d, "spec.strategy.rollingUpdate");
	int64_t surge, unavailable;

	r->rolling = strcmp(jx_str_or(r->d, "spec.strategy.type", "RollingUpdate"),
			    "RollingUpdate") == 0;
	if (!r->rolling)
		return;
	surge = int_or_percent(jx_at(rolling, "maxSurge"), r->replicas, true,
			       (r->replicas + 3) / 4);
	unavailable = int_or_percent(jx_at(rolling, "maxUnavailable"), r->replicas, false,
				     r->replicas / 4);
	if (!surge && !unavailable)
		unavailable = 1; /* both rounded to nothing: no rollout would ever move */
	r->max_surge = surge;
	r->max_unavailable = MIN(unavailable, r->replicas);
}

static int by_creation(const void *a, const void *b)
{
	const struct rs_plan *x = a, *y = b;

	if (x->created_ms != y->created_ms)
		return x->created_ms < y->created_ms ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void plan_add(struct rollout *r, const json_t *obj, int64_t alive_pods)
{
	r->rs[r->n++] = (struct rs_plan){ .obj = obj,
					  .name = jx_str_or(obj, "metadata.name", ""),
					  .replicas = jx_int(obj, "spec.replicas", 1),
					  .actual = jx_int(obj, "status.replicas", 0),
					  .ready = jx_int(obj, "status.readyReplicas", 0),
					  .available = jx_int(obj, "status.availableReplicas", 0),
					  .created_ms = created_ms(obj),
					  .alive_pods = alive_pods,
					  .scaled_from = -1 };
}

/* Takes in what the selector chooses and nobody controls, lets go what it no longer chooses. */
static bool claim(struct rollout *r, const struct selector *sel)
{
	const struct objects *all = &r->v->replicasets;
	const char *uid = jx_uid(r->d);
	bool changed = false;

	for (size_t i = 0; i < all->n; i++) {
		const json_t *rs = all->at[i];
		bool ours = c_eq(controller_uid(rs), uid);
		bool chosen = selector_matches(sel, jx_at(rs, "metadata.labels"));

		if (ours && chosen)
			plan_add(r, rs, r->v->alive_pods ? r->v->alive_pods[i] : 0);
		else if ((!ours && !chosen) || being_deleted(r->d) || being_deleted(rs))
			continue;
		else if (ours || !controller_ref(rs)) {
			act_patch(r->out, KK_REPLICASET, rs, NULL, KUBE_STRATEGIC_PATCH,
				  ours ? release_patch(rs, r->d) : adopt_patch(rs, r->d));
			changed = true;
		}
	}
	return changed;
}

void deployment_reconcile(const struct deployment_view *v, struct actions *out)
{
	const json_t *old = jx_at(v->deployment, "status.conditions");
	struct err e;
	struct rollout r = { .v = v, .d = v->deployment, .out = out };
	struct selector *sel = selector_of_label_selector(jx_at(r.d, "spec.selector"), &e);

	if (!sel || !workload_is_sound(r.d)) {
		selector_free(sel);
		return;
	}
	r.replicas = jx_int(r.d, "spec.replicas", 1);
	r.paused = jx_bool(r.d, "spec.paused", false);
	r.deadline_s = jx_int(r.d, "spec.progressDeadlineSeconds", -1);
	if (r.deadline_s == INT32_MAX)
		r.deadline_s = -1;
	r.collisions = jx_int(r.d, "status.collisionCount", 0);
	r.conditions = old ? json_deep_copy(old) : json_array();
	take_strategy(&r);
	r.rs = xcalloc(v->replicasets.n + 1, sizeof(*r.rs));
	/* What changes owner is looked at when the caches show it. */
	if (!claim(&r, sel) && !resolve_collision(&r)) {
		qsort(r.rs, r.n, sizeof(*r.rs), by_creation);
		rollout_run(&r);
	}
	json_decref(r.conditions);
	free(r.rs);
	selector_free(sel);
}
