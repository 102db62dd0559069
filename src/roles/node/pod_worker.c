#include "roles/node/pod_worker.h"

#include "codec/jx.h"
#include "roles/node/ctr.h"
#include "roles/node/cri_spec.h"
#include "roles/node/node.h"
#include "roles/node/pod_steps.h"
#include "roles/node/volumes.h"

static void (*const steps[])(struct pod *p) = {
	[POD_RUNNING] = pod_step_running,
	[POD_KILLING] = pod_step_killing,
	[POD_CLEANING] = pod_step_cleaning,
	[POD_ENDED] = pod_step_ended,
};

bool pod_is_dying(const struct pod *p)
{
	return p->gone || p->terminal || p->fail_reason ||
	       jx_str(p->obj, "metadata.deletionTimestamp");
}

static void on_sync(struct defer *d)
{
	struct pod *p = container_of(d, struct pod, sync_defer);
	enum pod_stage before;

	if (p->stage == POD_RUNNING && pod_is_dying(p))
		p->stage = POD_KILLING;
	do {
		before = p->stage;
		if (before < ARRAY_LEN(steps) && steps[before])
			steps[before](p);
	} while (p->stage != before);
	pod_push(p);
}

static void on_timer(struct timer *t)
{
	pod_wake(t->ctx);
}

void pod_wake(struct pod *p)
{
	loop_defer(p->node->loop, &p->sync_defer);
}

void pod_wake_after(struct pod *p, uint64_t after_ms)
{
	uint64_t at_ms = loop_now_ms(p->node->loop) + after_ms;

	if (timer_active(&p->sync_timer) && p->sync_timer.at_ms_ <= at_ms)
		return;
	timer_start(p->node->loop, &p->sync_timer, after_ms);
}

struct ctr *pod_ctr(struct pod *p, const char *name)
{
	for (size_t i = 0; i < p->n_ctrs; i++)
		if (c_eq(p->ctrs[i].name, name))
			return &p->ctrs[i];
	return NULL;
}

static void make_ctrs(struct pod *p)
{
	const json_t *init = jx_at(p->obj, "spec.initContainers"),
		     *mains = jx_at(p->obj, "spec.containers"), *c;
	size_t i;

	p->ctrs = xcalloc(json_array_size(init) + json_array_size(mains) + 1, sizeof(*p->ctrs));
	json_array_foreach(init, i, c)
		ctr_init(&p->ctrs[p->n_ctrs++], p, c,
			 c_eq(jx_str(c, "restartPolicy"), "Always") ? CTR_SIDECAR : CTR_INIT);
	json_array_foreach(mains, i, c) ctr_init(&p->ctrs[p->n_ctrs++], p, c, CTR_MAIN);
}

static int64_t start_time_of(const json_t *obj)
{
	int64_t ms;

	return time_parse(jx_str_or(obj, "status.startTime", ""), &ms) == 0 ? ms : wall_now_ms();
}

struct pod *pod_new(struct node *n, const char *uid, const char *ns, const char *name, json_t *obj)
{
	struct pod *p = xcalloc(1, sizeof(*p));

	*p = (struct pod){ .node = n,
			   .uid = xstrdup(uid),
			   .ns = xstrdup(ns),
			   .name = xstrdup(name),
			   .key = xasprintf("%s_%s(%s)", name, ns, uid),
			   .start_at_ms = start_time_of(obj) };
	p->obj = obj ? json_incref(obj)
		     : json_pack("{s:s, s:s, s:{s:s, s:s, s:s}}", "apiVersion", "v1", "kind", "Pod",
				 "metadata", "name", name, "namespace", ns, "uid", uid);
	p->gone = !obj;
	p->sync_defer.run = on_sync;
	p->sync_timer = (struct timer){ .fire = on_timer, .ctx = p };
	p->pushed = json_incref(jx_at(p->obj, "status"));
	make_ctrs(p);
	p->volumes = volumes_new(p);
	return p;
}

void pod_free(struct pod *p)
{
	pod_push_cancel(p);
	timer_stop(&p->sync_timer);
	defer_cancel(&p->sync_defer);
	cri_cancel(p->sandbox_call);
	for (size_t i = 0; i < p->n_ctrs; i++)
		ctr_done(&p->ctrs[i]);
	free(p->ctrs);
	volumes_free(p->volumes);
	json_decref(p->obj);
	json_decref(p->pushed);
	free(p->uid);
	free(p->ns);
	free(p->name);
	free(p->key);
	free(p->fail_reason);
	free(p->fail_message);
	free(p->sandbox_id);
	free(p->sandbox_ip);
	free(p);
}

/* Containers point into the object: they move to the new one by name. */
static void rebind_ctrs(struct pod *p, const char *list)
{
	size_t i;
	const json_t *c;

	json_array_foreach(jx_at(p->obj, list), i, c)
	{
		struct ctr *ctr = pod_ctr(p, jx_str_or(c, "name", ""));
		if (ctr)
			ctr->spec = c;
	}
}

void pod_update(struct pod *p, json_t *obj)
{
	json_t *old = p->obj;

	p->obj = json_incref(obj);
	rebind_ctrs(p, "spec.initContainers");
	rebind_ctrs(p, "spec.containers");
	if (!json_equal(json_object_get(json_object_get(old, "metadata"), "labels"),
			json_object_get(json_object_get(obj, "metadata"), "labels")) ||
	    !json_equal(json_object_get(json_object_get(old, "metadata"), "annotations"),
			json_object_get(json_object_get(obj, "metadata"), "annotations")))
		volumes_changed(p->volumes);
	json_decref(old);
	pod_wake(p);
}

void pod_set_gone(struct pod *p)
{
	p->gone = true;
	pod_push_cancel(p);
	pod_wake(p);
}

void pod_adopted(struct pod *p)
{
	const char *phase = jx_str_or(p->obj, "status.phase", "");

	p->stage = POD_RUNNING;
	p->terminal = c_eq(phase, "Succeeded") || c_eq(phase, "Failed");
	pod_wake(p);
}

void pod_objects_changed(struct pod *p)
{
	volumes_changed(p->volumes);
	for (size_t i = 0; i < p->n_ctrs; i++)
		p->ctrs[i].failed_at_ms = 0;
	pod_wake(p);
}
