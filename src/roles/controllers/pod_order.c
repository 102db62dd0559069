/* Which pods a ReplicaSet gives up first: those that do least, on nodes that have most of them. */
#include "roles/controllers/replicaset.h"

#include <math.h>
#include <string.h>

struct ranked {
	const json_t *pod;
	bool bound, ready;
	int phase; /* Pending 0, Unknown 1, Running 2 */
	int64_t cost, rank, ready_for, restarts,
		age; /* ready_for, age: logarithmic buckets, -1 unknown */
	const char *uid;
};

static int phase_order(const char *phase)
{
	return strcmp(phase, "Pending") == 0 ? 0 : strcmp(phase, "Unknown") == 0 ? 1 : 2;
}

/* Seconds in powers of two: pods of about the same age are chosen at random (KEP-2185), here by uid. */
static int64_t bucket(int64_t since_ms, int64_t now_ms)
{
	int64_t s = (now_ms - since_ms) / 1000;

	if (!since_ms)
		return -1;
	return s > 0 ? (int64_t)log2((double)s) : 0;
}

static int64_t most_restarts(const json_t *pod)
{
	const json_t *s;
	int64_t most = 0;
	size_t i;

	json_array_foreach(jx_at(pod, "status.containerStatuses"), i, s)
		most = MAX(most, jx_int(s, "restartCount", 0));
	return most;
}

static int64_t count_on_node(struct objects related, const char *node)
{
	int64_t n = 0;

	for (size_t i = 0; i < related.n; i++)
		if (pod_is_active(related.at[i]) &&
		    c_eq(jx_str(related.at[i], "spec.nodeName"), node))
			n++;
	return n;
}

static struct ranked rank(const json_t *pod, struct objects related, int64_t now_ms)
{
	const char *node = jx_str(pod, "spec.nodeName");
	const char *cost = jx_annotation(pod, "controller.kubernetes.io/pod-deletion-cost");

	return (struct ranked){ .pod = pod,
				.bound = node && node[0],
				.phase = phase_order(jx_str_or(pod, "status.phase", "Pending")),
				.ready = pod_is_ready(pod),
				.cost = cost ? strtoll(cost, NULL, 10) : 0,
				.rank = node ? count_on_node(related, node) : 0,
				.ready_for = bucket(pod_ready_since_ms(pod), now_ms),
				.restarts = most_restarts(pod),
				.age = bucket(created_ms(pod), now_ms),
				.uid = jx_str_or(pod, "metadata.uid", "") };
}

static int sign(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare(const void *x, const void *y)
{
	const struct ranked *a = x, *b = y;
	int d;

	if ((d = sign(a->bound, b->bound)) || (d = sign(a->phase, b->phase)) ||
	    (d = sign(a->ready, b->ready)) || (d = sign(a->cost, b->cost)) ||
	    (d = sign(b->rank, a->rank)))
		return d;
	if (a->ready && (d = sign(a->ready_for, b->ready_for)))
		return d;
	if ((d = sign(b->restarts, a->restarts)) || (d = sign(a->age, b->age)))
		return d;
	return strcmp(a->uid, b->uid);
}

void pods_sort_for_deletion(const json_t **pods, size_t n, struct objects related, int64_t now_ms)
{
	struct ranked *r = xcalloc(n + 1, sizeof(*r));

	for (size_t i = 0; i < n; i++)
		r[i] = rank(pods[i], related, now_ms);
	qsort(r, n, sizeof(*r), compare);
	for (size_t i = 0; i < n; i++)
		pods[i] = r[i].pod;
	free(r);
}
