#include "roles/apiserver/event_ttl.h"

#include "roles/apiserver/registry.h"

#define EVENT_TTL_MS (60 * 60 * 1000) /* kube-apiserver's --event-ttl */
#define SWEEP_MAX 200		      /* per table and sweep: the loop serves others meanwhile */

static int64_t latest(const json_t *ev, const char *path, int64_t than)
{
	const char *text = jx_str(ev, path);
	int64_t ms;

	return text && time_parse(text, &ms) == 0 && ms > than ? ms : than;
}

static int64_t last_written(const json_t *ev)
{
	static const char *const paths[] = { "metadata.creationTimestamp", "lastTimestamp",
					     "eventTime", "series.lastObservedTime",
					     "deprecatedLastTimestamp" };
	int64_t ms = 0;

	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		ms = latest(ev, paths[i], ms);
	return ms;
}

static bool is_old(const struct object *o, int64_t now_ms)
{
	struct err e;
	cleanup(json_decrefp) json_t *tree = object_tree(o, &e);

	return tree && now_ms - last_written(tree) > EVENT_TTL_MS;
}

static void sweep_table(struct apiserver *api, struct table *t)
{
	static const struct delete_options none = { .grace_s = -1 };
	int64_t now_ms = wall_now_ms();
	int n = 0;

	for (size_t i = t->n; i-- > 0 && n < SWEEP_MAX;) {
		if (!is_old(t->at[i], now_ms))
			continue;
		const struct write w = { .api = api, .table = t, .ns = t->at[i]->ns };
		struct written out;
		(void)!registry_delete(&w, t->at[i], &none, &out);
		written_done(&out);
		n++;
	}
}

void event_ttl_sweep(struct apiserver *api)
{
	for (size_t i = 0; i < n_resources; i++)
		if (!resources[i].storage && c_eq(resources[i].plural, "events"))
			sweep_table(api, store_table(api->store, &resources[i]));
}
