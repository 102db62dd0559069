/* The order of a merged list: the patch's before the server's, and what only the server has keeps its
 * place among its neighbours. Indexed by hash, as a patch may bring long lists. */
#include "kube/schema/patch_int.h"

#include "base/map.h"

char *item_id(const json_t *item, const char *merge_key, struct err *e)
{
	const json_t *id = merge_key ? json_object_get(item, merge_key) : item;

	if (id)
		return jx_dump_text(id);
	char *text = go_value_text(item);
	err_set(e, ERR_BAD_REQUEST, "map: %s does not contain declared merge key: %s", text,
		merge_key);
	free(text);
	return NULL;
}

int positions(struct map *m, const json_t *list, const char *merge_key, struct err *e)
{
	map_init(m);
	for (size_t i = 0; i < json_array_size(list); i++) {
		cleanup(freep) char *id = item_id(json_array_get(list, i), merge_key, e);

		if (!id) {
			map_done(m, NULL);
			return -1;
		}
		if (!map_get_c(m, id))
			map_put_c(m, id, (void *)(uintptr_t)(i + 1));
	}
	return 0;
}

struct item {
	json_t *v;
	size_t server_at, patch_at; /* position + 1 in either order, 0 when not in it */
	size_t at;
};

static int by_patch_order(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->patch_at != y->patch_at ? (x->patch_at > y->patch_at) * 2 - 1
					  : (x->at > y->at) - (x->at < y->at);
}

static int by_server_order(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->server_at != y->server_at ? (x->server_at > y->server_at) * 2 - 1
					    : (x->at > y->at) - (x->at < y->at);
}

/* Each of `servers` goes before the first of `patched` that stood behind it on the server. */
static json_t *interleave(const struct item *servers, size_t n_servers, const struct item *patched,
			  size_t n_patched)
{
	json_t *out = json_array();

	for (size_t i = 0, k = 0; i < n_servers || k < n_patched;) {
		bool server_first = k == n_patched || (i < n_servers && patched[k].server_at &&
						       servers[i].server_at &&
						       servers[i].server_at < patched[k].server_at);
		json_array_append(out, server_first ? servers[i++].v : patched[k++].v);
	}
	return out;
}

json_t *order_items(const json_t *merged, const json_t *patch_order,
			   const json_t *server_order, const char *merge_key, struct err *e)
{
	struct map in_patch, on_server;
	size_t n = json_array_size(merged), n_servers = 0, n_patched = 0;
	json_t *out = NULL;

	if (positions(&in_patch, patch_order, merge_key, e) < 0)
		return NULL;
	if (positions(&on_server, server_order, merge_key, e) < 0) {
		map_done(&in_patch, NULL);
		return NULL;
	}
	struct item *servers = xcalloc(n + 1, sizeof(*servers)),
		    *patched = xcalloc(n + 1, sizeof(*patched));
	size_t i;
	for (i = 0; i < n; i++) {
		json_t *v = json_array_get(merged, i);
		cleanup(freep) char *id = item_id(v, merge_key, e);
		if (!id)
			break;
		struct item item = { v, (uintptr_t)map_get_c(&on_server, id),
				     (uintptr_t)map_get_c(&in_patch, id), i };
		if (item.patch_at)
			patched[n_patched++] = item;
		else
			servers[n_servers++] = item;
	}
	if (i == n) {
		qsort(servers, n_servers, sizeof(*servers), by_server_order);
		qsort(patched, n_patched, sizeof(*patched), by_patch_order);
		out = interleave(servers, n_servers, patched, n_patched);
	}
	free(servers);
	free(patched);
	map_done(&in_patch, NULL);
	map_done(&on_server, NULL);
	return out;
}
