#include "roles/node/volumes.h"

#include "base/file.h"
#include "base/log.h"
#include "kube/object/quantity.h"
#include "roles/node/env_source.h"
#include "roles/node/event.h"
#include "roles/node/node.h"
#include "roles/node/pod_refs.h"
#include "roles/node/pod_tokens.h"
#include "roles/node/pod_worker.h"
#include "roles/node/volume_task.h"

/* Kubelet: 0.5 s doubling to 2 min; a missing object wakes the pod at once anyway. */
#define RETRY_MS 2000

struct volume {
	char *name, *path;
	bool written; /* files: payload is what lies there */
	struct payload payload;
};

struct volume_job {
	struct work work;
	struct volumes *volumes; /* NULL: the owner went away meanwhile */
	struct volume_task *tasks;
	size_t n_tasks;
	size_t *volume_of_task;
	bool failed;
	size_t failed_task;
	struct err error;
};

struct volumes {
	struct pod *pod;
	struct pod_refs *refs;
	struct pod_tokens *tokens;
	struct volume *at;
	size_t n;
	struct volume_job *job;
	struct teardown *teardown;
	bool ready, dirty;
	int64_t failed_at_ms;
};

char *pod_dir(const struct pod *p)
{
	return xasprintf("%s/%s", p->node->pods_dir, p->uid);
}

static const json_t *spec_volume(const struct volumes *v, size_t i)
{
	return json_array_get(jx_at(v->pod->obj, "spec.volumes"), i);
}

/* "configMap" of { name, configMap: {…} } */
static const char *volume_kind(const json_t *volume)
{
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)volume, key, member) if (json_is_object(member)) return key;
	return "emptyDir";
}

struct volumes *volumes_new(struct pod *p)
{
	struct volumes *v = xcalloc(1, sizeof(*v));

	v->pod = p;
	v->refs = pod_refs_new(p);
	v->tokens = pod_tokens_new(p);
	v->n = jx_len(p->obj, "spec.volumes");
	v->at = xcalloc(v->n + 1, sizeof(*v->at));
	for (size_t i = 0; i < v->n; i++) {
		const json_t *spec = spec_volume(v, i);
		const char *kind = volume_kind(spec);
		v->at[i].name = xstrdup(jx_str_or(spec, "name", ""));
		v->at[i].path = c_eq(kind, "hostPath")
					? xstrdup(jx_str_or(spec, "hostPath.path", "/"))
					: xasprintf("%s/%s/volumes/kubernetes.io~%s/%s",
						    p->node->pods_dir, p->uid, kind, v->at[i].name);
	}
	return v;
}

static void job_free(struct volume_job *j)
{
	for (size_t i = 0; i < j->n_tasks; i++)
		volume_task_done(&j->tasks[i]);
	free(j->tasks);
	free(j->volume_of_task);
	free(j);
}

static const json_t *find_object(void *ctx, const char *resource, const char *name, bool *ret_known)
{
	return volumes_object(ctx, resource, name, ret_known);
}

static const char *find_token(void *ctx, const json_t *source)
{
	return pod_token(((struct volumes *)ctx)->tokens, source);
}

static char *find_resource_field(void *ctx, const json_t *ref)
{
	return resource_field_value(((const struct volumes *)ctx)->pod, NULL, ref);
}

/* A token is as private as the process that reads it: kubelet's rule for one common runAsUser. */
static int64_t common_user(const json_t *pod)
{
	int64_t pod_user = jx_int(pod, "spec.securityContext.runAsUser", -1), user = -1;
	size_t i;
	const json_t *c;

	json_array_foreach(jx_at(pod, "spec.containers"), i, c)
	{
		int64_t own = jx_int(c, "securityContext.runAsUser", pod_user);
		if (i && own != user)
			return -1;
		user = own;
	}
	return user;
}

static int plan_files(struct volumes *v, const json_t *spec, struct volume_task *t, struct err *e)
{
	struct payload_sources s = { v->pod->obj, v, find_object, find_token, find_resource_field };

	t->kind = TASK_FILES;
	t->tmpfs = json_object_get(spec, "secret") || json_object_get(spec, "projected");
	if (json_object_get(spec, "projected") && t->owner.gid < 0)
		t->owner.uid = common_user(v->pod->obj);
	return payload_build(spec, &s, &t->payload, e);
}

static int plan_empty_dir(struct volumes *v, const json_t *spec, struct volume_task *t,
			  struct err *e)
{
	const char *limit = jx_str(spec, "emptyDir.sizeLimit");

	(void)v;
	(void)e;
	t->kind = TASK_EMPTY_DIR;
	t->tmpfs = c_eq(jx_str(spec, "emptyDir.medium"), "Memory");
	if (limit && quantity_value(str_of(limit), &t->tmpfs_bytes) < 0)
		t->tmpfs_bytes = 0;
	return 0;
}

static int plan_host_path(struct volumes *v, const json_t *spec, struct volume_task *t,
			  struct err *e)
{
	const char *type = jx_str_or(spec, "hostPath.type", "");

	(void)v;
	t->kind = TASK_HOST_PATH;
	t->host_type = host_path_type_find(type);
	return t->host_type ? 0 : err_set(e, ERR_INVALID, "hostPath type \"%s\" is unknown", type);
}

static const struct volume_plan {
	const char *kind;
	int (*plan)(struct volumes *v, const json_t *spec, struct volume_task *t, struct err *e);
} plans[] = {
	{ "configMap", plan_files },	{ "secret", plan_files },
	{ "projected", plan_files },	{ "downwardAPI", plan_files },
	{ "emptyDir", plan_empty_dir }, { "hostPath", plan_host_path },
};

static int plan_volume(struct volumes *v, size_t i, struct volume_task *t, struct err *e)
{
	const json_t *spec = spec_volume(v, i);
	const char *kind = volume_kind(spec);

	*t = (struct volume_task){ .path = xstrdup(v->at[i].path),
				   .owner = { -1, jx_int(v->pod->obj,
							 "spec.securityContext.fsGroup", -1) } };
	for (size_t k = 0; k < ARRAY_LEN(plans); k++)
		if (c_eq(kind, plans[k].kind))
			return plans[k].plan(v, spec, t, e);
	return err_set(e, ERR_INVALID, "volumes of kind %s are not supported", kind);
}

static void volumes_fail(struct volumes *v, const char *name, const struct err *e)
{
	event_pod(v->pod, "Warning", "FailedMount",
		  "MountVolume.SetUp failed for volume \"%s\" : %s", name, e->message);
	v->failed_at_ms = wall_now_ms();
	pod_wake_after(v->pod, RETRY_MS);
}

static void on_run(struct work *w)
{
	struct volume_job *j = container_of(w, struct volume_job, work);

	for (size_t i = 0; i < j->n_tasks && !j->failed; i++) {
		j->failed = volume_task_run(&j->tasks[i], &j->error) < 0;
		j->failed_task = i;
	}
}

static void job_commit(struct volumes *v, struct volume_job *j)
{
	for (size_t i = 0; i < j->n_tasks; i++) {
		struct volume *vol = &v->at[j->volume_of_task[i]];
		payload_done(&vol->payload);
		vol->payload = j->tasks[i].payload;
		vol->written = true;
		j->tasks[i].payload = (struct payload){ 0 };
	}
	v->ready = true;
}

static void on_done(struct work *w)
{
	struct volume_job *j = container_of(w, struct volume_job, work);
	struct volumes *v = j->volumes;

	if (v) {
		v->job = NULL;
		if (j->failed) {
			v->dirty = true;
			volumes_fail(v, v->at[j->volume_of_task[j->failed_task]].name, &j->error);
		} else {
			job_commit(v, j);
		}
		pod_wake(v->pod);
	}
	job_free(j);
}

/* Adds a task for volume i unless it lies there as it should. */
static int job_add(struct volumes *v, struct volume_job *j, size_t i, struct err *e)
{
	struct volume_task *t = &j->tasks[j->n_tasks];
	struct volume *vol = &v->at[i];
	int rc = plan_volume(v, i, t, e);

	if (rc < 0 || (vol->written &&
		       (t->kind != TASK_FILES || payload_equal(&t->payload, &vol->payload)))) {
		volume_task_done(t);
		return rc;
	}
	j->volume_of_task[j->n_tasks++] = i;
	return 0;
}

static void job_start(struct volumes *v)
{
	struct volume_job *j = xcalloc(1, sizeof(*j));
	struct err e;

	j->tasks = xcalloc(v->n + 1, sizeof(*j->tasks));
	j->volume_of_task = xcalloc(v->n + 1, sizeof(*j->volume_of_task));
	for (size_t i = 0; i < v->n; i++) {
		if (job_add(v, j, i, &e) == 0)
			continue;
		/* What is not known yet wakes the pod by itself. */
		if (e.reason != ERR_UNAVAILABLE)
			volumes_fail(v, v->at[i].name, &e);
		v->dirty = true;
		job_free(j);
		return;
	}
	v->dirty = false;
	if (!j->n_tasks) {
		v->ready = true;
		job_free(j);
		return;
	}
	j->volumes = v;
	j->work = (struct work){ .run = on_run, .done = on_done };
	v->job = j;
	loop_work(v->pod->node->loop, &j->work);
}

bool volumes_step(struct volumes *v)
{
	bool due = !v->ready || v->dirty;
	int64_t rested_ms = wall_now_ms() - v->failed_at_ms;

	if (!due || v->job || v->teardown)
		return v->ready;
	if (v->failed_at_ms && rested_ms < RETRY_MS)
		pod_wake_after(v->pod, (uint64_t)(RETRY_MS - rested_ms));
	else
		job_start(v);
	return v->ready;
}

void volumes_changed(struct volumes *v)
{
	v->dirty = true;
	v->failed_at_ms = 0;
}

const char *volume_path(const struct volumes *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (c_eq(v->at[i].name, name))
			return v->at[i].path;
	return NULL;
}

bool volume_allows_creation(const struct volumes *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (c_eq(v->at[i].name, name))
			return c_eq(volume_kind(spec_volume(v, i)), "emptyDir") ||
			       c_eq(volume_kind(spec_volume(v, i)), "hostPath");
	return false;
}

const json_t *volumes_object(const struct volumes *v, const char *resource, const char *name,
			     bool *ret_known)
{
	return pod_refs_get(v->refs, resource, name, ret_known);
}

bool volumes_busy(const struct volumes *v)
{
	return v->job || v->teardown;
}

struct teardown {
	struct work work;
	char *dir, *uid;
	struct volumes *volumes;
	void (*done)(void *ctx);
	void *ctx;
	bool failed;
	struct err error;
};

static void on_teardown_run(struct work *w)
{
	struct teardown *t = container_of(w, struct teardown, work);

	t->failed = unmount_below(t->dir, &t->error) < 0 || dir_remove(t->dir, &t->error) < 0;
}

static void on_teardown_done(struct work *w)
{
	struct teardown *t = container_of(w, struct teardown, work);

	if (t->failed)
		log_warn("pod=%s remove volumes: %s, skipping", t->uid, t->error.message);
	if (t->volumes) {
		t->volumes->teardown = NULL;
		t->done(t->ctx);
	}
	free(t->dir);
	free(t->uid);
	free(t);
}

void volumes_teardown(struct volumes *v, void (*done)(void *ctx), void *ctx)
{
	struct teardown *t = xcalloc(1, sizeof(*t));

	*t = (struct teardown){ .work = { .run = on_teardown_run, .done = on_teardown_done },
				.dir = pod_dir(v->pod),
				.uid = xstrdup(v->pod->uid),
				.volumes = v,
				.done = done,
				.ctx = ctx };
	v->teardown = t;
	v->ready = false;
	loop_work(v->pod->node->loop, &t->work);
}

void volumes_free(struct volumes *v)
{
	if (!v)
		return;
	if (v->job)
		v->job->volumes = NULL;
	if (v->teardown)
		v->teardown->volumes = NULL;
	for (size_t i = 0; i < v->n; i++) {
		free(v->at[i].name);
		free(v->at[i].path);
		payload_done(&v->at[i].payload);
	}
	free(v->at);
	pod_refs_free(v->refs);
	pod_tokens_free(v->tokens);
	free(v);
}
