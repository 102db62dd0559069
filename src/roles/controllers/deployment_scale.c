/* Scaling while a rollout is under way or paused: every active ReplicaSet gets its share. */
#include "roles/controllers/deployment.h"

#include <math.h>
#include <stdlib.h>

static struct rs_plan *newest(const struct rollout *r)
{
	return r->n ? &r->rs[r->n - 1] : NULL; /* sorted by creation */
}

/* The one that alone has replicas, or, if none has, the new or the newest one; NULL if several have. */
static struct rs_plan *active_or_latest(const struct rollout *r)
{
	struct rs_plan *active = NULL;

	for (size_t i = 0; i < r->n; i++) {
		if (!r->rs[i].replicas)
			continue;
		if (active)
			return NULL;
		active = &r->rs[i];
	}
	if (active)
		return active;
	return r->new_rs ? r->new_rs : newest(r);
}

static int64_t annotation_number(const json_t *obj, const char *name, int64_t fallback)
{
	const char *text = jx_annotation(obj, name);

	return text ? strtoll(text, NULL, 10) : fallback;
}

static bool saturated(const struct rollout *r)
{
	const struct rs_plan *rs = r->new_rs;

	return rs && rs->replicas == r->replicas && rs->available == r->replicas &&
	       annotation_number(rs->obj, DESIRED_REPLICAS, -1) == r->replicas;
}

/* How much of a change falls to `rs`, by its share of what the Deployment had at most before. */
static int64_t share(const struct rollout *r, const struct rs_plan *rs, int64_t to_add,
		     int64_t added)
{
	int64_t before = annotation_number(rs->obj, MAX_REPLICAS, 0), left = to_add - added, part;

	if (!rs->replicas || !to_add || !left)
		return 0;
	if (before <= 0)
		before = MAX(jx_int(r->d, "status.replicas", 0), 1);
	if (!r->replicas)
		part = -rs->replicas;
	else
		part = llround((double)rs->replicas * (double)(r->replicas + r->max_surge) /
			       (double)before) -
		       rs->replicas;
	return to_add > 0 ? MIN(part, left) : MAX(part, left);
}

static int by_size_newer(const void *a, const void *b)
{
	const struct rs_plan *x = *(struct rs_plan *const *)a, *y = *(struct rs_plan *const *)b;

	if (x->replicas != y->replicas)
		return x->replicas > y->replicas ? -1 : 1;
	return x > y ? -1 : x < y; /* the array is sorted by creation */
}

static int by_size_older(const void *a, const void *b)
{
	const struct rs_plan *x = *(struct rs_plan *const *)a, *y = *(struct rs_plan *const *)b;

	if (x->replicas != y->replicas)
		return x->replicas > y->replicas ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void scale_in_proportion(struct rollout *r)
{
	struct rs_plan **active = xcalloc(r->n + 1, sizeof(*active));
	int64_t *size = xcalloc(r->n + 1, sizeof(*size));
	int64_t total = 0, added = 0, to_add;
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->rs[i].replicas > 0) {
			active[n++] = &r->rs[i];
			total += r->rs[i].replicas;
		}
	to_add = (r->replicas > 0 ? r->replicas + r->max_surge : 0) - total;
	qsort(active, n, sizeof(struct rs_plan *), to_add > 0 ? by_size_newer : by_size_older);
	for (size_t i = 0; i < n; i++) {
		int64_t part = share(r, active[i], to_add, added);
		size[i] = active[i]->replicas + part;
		added += part;
	}
	if (n)
		size[0] = MAX(size[0] + to_add - added, 0);
	for (size_t i = 0; i < n; i++)
		rs_scale(r, active[i], size[i]);
	free(active);
	free(size);
}

void rollout_scale(struct rollout *r)
{
	struct rs_plan *only = active_or_latest(r);

	if (only) {
		rs_scale(r, only, r->replicas);
	} else if (saturated(r)) {
		for (size_t i = 0; i < r->n; i++)
			if (&r->rs[i] != r->new_rs)
				rs_scale(r, &r->rs[i], 0);
	} else if (r->rolling) {
		scale_in_proportion(r);
	}
}
