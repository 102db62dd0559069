#include "roles/node/resources.h"

#include "kube/object/pod_field.h"

#define CPU_PERIOD_US 100000  /* the kernel's CFS default; kubelet keeps it */
#define CPU_QUOTA_MIN_US 1000 /* the kernel refuses less */
#define CPU_SHARES_MIN 2
#define CPU_SHARES_MAX 262144
#define OOM_GUARANTEED (-997)
#define OOM_BEST_EFFORT 1000

/* A missing request equals its limit (the API server fills it in; static objects may lack it). */
static int64_t request_milli(const json_t *container, const char *name)
{
	int64_t v = resource_milli(container, "requests", name);

	return v >= 0 ? v : resource_milli(container, "limits", name);
}

struct qos_tally {
	bool any, all_guaranteed;
};

static void qos_count(struct qos_tally *t, const json_t *containers)
{
	static const char *const names[] = { "cpu", "memory" };
	size_t i;
	const json_t *c;

	json_array_foreach(containers, i, c)
	{
		for (size_t n = 0; n < ARRAY_LEN(names); n++) {
			int64_t request = request_milli(c, names[n]);
			int64_t limit = resource_milli(c, "limits", names[n]);
			t->any = t->any || request > 0 || limit > 0;
			t->all_guaranteed = t->all_guaranteed && limit > 0 && request == limit;
		}
	}
}

enum qos qos_of_pod(const json_t *pod)
{
	struct qos_tally t = { .all_guaranteed = true };

	qos_count(&t, jx_at(pod, "spec.containers"));
	qos_count(&t, jx_at(pod, "spec.initContainers"));
	if (!t.any)
		return QOS_BEST_EFFORT;
	return t.all_guaranteed ? QOS_GUARANTEED : QOS_BURSTABLE;
}

const char *qos_name(enum qos q)
{
	static const char *const names[] = { "Guaranteed", "Burstable", "BestEffort" };

	return names[q];
}

char *pod_cgroup_path(const json_t *pod)
{
	static const char *const below[] = { "", "/burstable", "/besteffort" };

	return xasprintf("/kubepods%s/pod%s", below[qos_of_pod(pod)], jx_uid(pod));
}

static int64_t shares_of(int64_t milli_cpu)
{
	int64_t shares = milli_cpu * 1024 / 1000;

	return milli_cpu <= 0 ? CPU_SHARES_MIN : MIN(MAX(shares, CPU_SHARES_MIN), CPU_SHARES_MAX);
}

static int64_t quota_of(int64_t milli_cpu)
{
	return milli_cpu <= 0 ? 0 : MAX(milli_cpu * CPU_PERIOD_US / 1000, CPU_QUOTA_MIN_US);
}

static int64_t oom_score(enum qos q, const json_t *container, int64_t node_memory_bytes)
{
	int64_t request = request_milli(container, "memory") / 1000;

	if (q == QOS_GUARANTEED)
		return OOM_GUARANTEED;
	if (q == QOS_BEST_EFFORT)
		return OOM_BEST_EFFORT;
	/* The more a container asked for, the later it is killed; never before a best-effort one
	 * is. */
	int64_t score =
		1000 - (node_memory_bytes > 0 ? 1000 * MAX(request, 0) / node_memory_bytes : 0);
	return MIN(MAX(score, 1000 + OOM_GUARANTEED), OOM_BEST_EFFORT - 1);
}

struct cpu_memory container_resources(const json_t *pod, const json_t *container,
				      int64_t node_memory_bytes)
{
	return (struct cpu_memory){
		.cpu_shares = shares_of(request_milli(container, "cpu")),
		.cpu_quota_us = quota_of(resource_milli(container, "limits", "cpu")),
		.cpu_period_us = CPU_PERIOD_US,
		.memory_limit_bytes = MAX(resource_milli(container, "limits", "memory"), 0) / 1000,
		.oom_score_adj = oom_score(qos_of_pod(pod), container, node_memory_bytes),
	};
}
