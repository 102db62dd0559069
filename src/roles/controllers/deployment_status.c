/* A Deployment's status and its conditions: what `kubectl rollout status` and `kubectl wait` read. */
#include "roles/controllers/deployment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct counts {
	int64_t replicas, updated, ready, available, unavailable;
};

static void condition_put(struct rollout *r, const char *type, const char *status,
			  const char *reason, const char *message, const char *transition)
{
	json_t *c = json_object();
	char now[TIME_TEXT_BYTES];
	size_t at = condition_at(r->conditions, type);

	time_text(r->v->now_ms, now);
	jx_set_str(c, "type", type);
	jx_set_str(c, "status", status);
	jx_set_str(c, "lastUpdateTime", now);
	jx_set_str(c, "lastTransitionTime", transition ? transition : now);
	jx_set_str(c, "reason", reason);
	jx_set_str(c, "message", message);
	json_array_append_new(r->conditions, c);
	if (at != SIZE_MAX)
		json_array_remove(r->conditions, at);
}

static const json_t *condition_of(const struct rollout *r, const char *type)
{
	return json_array_get(r->conditions, condition_at(r->conditions, type));
}

static void condition_drop(struct rollout *r, const char *type)
{
	size_t at = condition_at(r->conditions, type);

	if (at != SIZE_MAX)
		json_array_remove(r->conditions, at);
}

/* Same status and reason: nothing changes, not even the message. Same status: no transition. */
static void condition_set(struct rollout *r, const char *type, const char *status,
			  const char *reason, const char *message)
{
	const json_t *old = condition_of(r, type);
	bool same = c_eq(jx_str(old, "status"), status);

	if (!same || !c_eq(jx_str(old, "reason"), reason))
		condition_put(r, type, status, reason, message,
			      same ? jx_str(old, "lastTransitionTime") : NULL);
}

void rollout_condition(struct rollout *r, const char *type, const char *status, const char *reason,
		       const char *fmt, ...)
{
	char *message;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		abort();
	va_end(ap);
	condition_set(r, type, status, reason, message);
	free(message);
}

static struct counts count(const struct rollout *r)
{
	struct counts c = { 0 };
	int64_t wanted = 0;

	for (size_t i = 0; i < r->n; i++) {
		c.replicas += r->rs[i].actual;
		c.ready += r->rs[i].ready;
		c.available += r->rs[i].available;
		wanted += r->rs[i].replicas;
	}
	c.updated = r->new_rs ? r->new_rs->actual : 0;
	c.unavailable = MAX(wanted - c.available, 0);
	return c;
}

static struct counts observed(const struct rollout *r)
{
	return (struct counts){ .replicas = jx_int(r->d, "status.replicas", 0),
				.updated = jx_int(r->d, "status.updatedReplicas", 0),
				.ready = jx_int(r->d, "status.readyReplicas", 0),
				.available = jx_int(r->d, "status.availableReplicas", 0) };
}

static bool counts_complete(const struct rollout *r, const struct counts *c)
{
	return c->updated == r->replicas && c->replicas == r->replicas &&
	       c->available == r->replicas;
}

bool rollout_complete(const struct rollout *r)
{
	struct counts c = observed(r);

	return counts_complete(r, &c) && jx_int(r->d, "status.observedGeneration", 0) >=
						 jx_int(r->d, "metadata.generation", 0);
}

static bool counts_progress(const struct rollout *r, const struct counts *c)
{
	struct counts o = observed(r);

	return c->updated > o.updated || c->replicas - c->updated < o.replicas - o.updated ||
	       c->ready > o.ready || c->available > o.available;
}

/* When the Progressing condition has to be judged again; -1: it does not have to be. */
static int64_t deadline_ms(const struct rollout *r)
{
	const json_t *p = condition_of(r, "Progressing");
	const char *reason = jx_str_or(p, "reason", "");
	int64_t since;

	if (!p || r->deadline_s < 0 || strcmp(reason, "NewReplicaSetAvailable") == 0 ||
	    strcmp(reason, "ProgressDeadlineExceeded") == 0)
		return -1;
	if (time_parse(jx_str(p, "lastUpdateTime"), &since) < 0)
		return -1;
	return since + r->deadline_s * 1000;
}

static bool timed_out(const struct rollout *r)
{
	const json_t *p = condition_of(r, "Progressing");
	int64_t at = deadline_ms(r);

	if (c_eq(jx_str(p, "reason"), "ProgressDeadlineExceeded"))
		return true;
	return at >= 0 && at < r->v->now_ms;
}

static void judge_progress(struct rollout *r, const struct counts *c)
{
	const json_t *p = condition_of(r, "Progressing");
	bool was_available =
		c->replicas == c->updated && c_eq(jx_str(p, "reason"), "NewReplicaSetAvailable");
	const char *what = r->new_rs ? "ReplicaSet" : "Deployment";
	const char *name = r->new_rs ? r->new_rs->name : jx_name(r->d);
	char message[512];

	if (was_available)
		return;
	if (counts_complete(r, c)) {
		rollout_condition(r, "Progressing", "True", "NewReplicaSetAvailable",
				  "%s \"%s\" has successfully progressed.", what, name);
	} else if (counts_progress(r, c)) {
		bool same = c_eq(jx_str(p, "status"), "True");
		cleanup(freep) char *since = xstrdup(same ? jx_str(p, "lastTransitionTime") : NULL);
		snprintf(message, sizeof(message), "%s \"%s\" is progressing.", what, name);
		condition_put(r, "Progressing", "True", "ReplicaSetUpdated", message, since);
	} else if (timed_out(r)) {
		rollout_condition(r, "Progressing", "False", "ProgressDeadlineExceeded",
				  "%s \"%s\" has timed out progressing.", what, name);
	}
}

/* The ReplicaSets' own failures; the new one's first. */
static void judge_failure(struct rollout *r)
{
	const json_t *c = r->new_rs ? condition_get(r->new_rs->obj, "ReplicaFailure") : NULL;

	for (size_t i = 0; i < r->n && !c; i++)
		c = condition_get(r->rs[i].obj, "ReplicaFailure");
	if (c)
		condition_set(r, "ReplicaFailure", jx_str(c, "status"), jx_str(c, "reason"),
			      jx_str(c, "message"));
	else
		condition_drop(r, "ReplicaFailure");
}

static json_t *status_of(const struct rollout *r, const struct counts *c)
{
	json_t *s = json_object();

	set_nonzero(s, "observedGeneration", jx_int(r->d, "metadata.generation", 0));
	set_nonzero(s, "replicas", c->replicas);
	set_nonzero(s, "updatedReplicas", c->updated);
	set_nonzero(s, "readyReplicas", c->ready);
	set_nonzero(s, "availableReplicas", c->available);
	set_nonzero(s, "unavailableReplicas", c->unavailable);
	if (json_array_size(r->conditions))
		json_object_set(s, "conditions", r->conditions);
	if (jx_at(r->d, "status.collisionCount") || r->collisions)
		jx_set_int(s, "collisionCount", r->collisions);
	return s;
}

static void judge_availability(struct rollout *r, const struct counts *c)
{
	if (c->available >= r->replicas - r->max_unavailable)
		rollout_condition(r, "Available", "True", "MinimumReplicasAvailable",
				  "Deployment has minimum availability.");
	else
		rollout_condition(r, "Available", "False", "MinimumReplicasUnavailable",
				  "Deployment does not have minimum availability.");
}

void rollout_status(struct rollout *r, bool progress)
{
	struct counts c = count(r);
	const json_t *old = jx_at(r->d, "status");
	json_t *wanted, *patch;

	judge_availability(r, &c);
	if (r->deadline_s < 0)
		condition_drop(r, "Progressing");
	else if (progress)
		judge_progress(r, &c);
	if (progress)
		judge_failure(r);
	wanted = status_of(r, &c);
	if (old ? json_equal(old, wanted) : !json_object_size(wanted)) {
		json_decref(wanted);
	} else {
		patch = json_object();
		json_object_set_new(patch, "status", merge_members(old, wanted));
		act_patch(r->out, KK_DEPLOYMENT, r->d, "status", KUBE_MERGE_PATCH, patch);
	}
	if (progress && deadline_ms(r) >= 0)
		actions_requeue(r->out, (uint64_t)MAX(deadline_ms(r) - r->v->now_ms, 0) + 1000);
}
