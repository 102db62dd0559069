#include "roles/apiserver/handlers.h"

#include "base/limits.h"
#include "roles/apiserver/page.h"
#include "roles/apiserver/selection.h"
#include "roles/apiserver/status.h"
#include "roles/apiserver/store/snapshot.h"

void handle_get(struct request *q)
{
	const struct object *o = table_get(q->table, q->info.ns, q->info.name);
	struct err e;

	if (o) {
		reply_object(q, 200, o);
		return;
	}
	err_not_found(&e, q->res, q->info.name);
	reply_error(q, &e);
}

/* What the query asks a list to be. */
struct listing {
	struct selection sel;
	struct page_token from; /* rv 0: from the beginning */
	uint64_t rv;		/* the state to show */
	uint64_t limit;
	bool past; /* rv is not the current state */
};

static int check_rv(struct request *q, uint64_t *ret_rv, struct err *e)
{
	const char *text = q->opt.resource_version;

	*ret_rv = 0;
	if (text && text[0] && !str_to_u64(str_of(text), INT64_MAX, ret_rv))
		return err_set(e, ERR_BAD_REQUEST,
			       "Invalid value: \"%s\": resource version must be a number", text);
	if (q->opt.rv_match != RV_MATCH_NONE && (!text || !text[0]))
		return err_set(
			e, ERR_INVALID,
			"ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
			"resourceVersionMatch is forbidden unless resourceVersion is provided");
	if (q->opt.rv_match == RV_MATCH_EXACT && !*ret_rv)
		return err_set(
			e, ERR_INVALID,
			"ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
			"resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
	if (*ret_rv > store_rv(q->api->store))
		return err_set(
			e, ERR_TIMEOUT, "Timeout: Too large resource version: %llu, current: %llu",
			(unsigned long long)*ret_rv, (unsigned long long)store_rv(q->api->store));
	return 0;
}

/* The words of k8s.io/apiserver pkg/storage, which clients look for. */
static int expired(struct err *e, bool paged)
{
	if (!paged)
		return err_set(e, ERR_EXPIRED,
			       "The resourceVersion for the provided list is too old.");
	return err_set(e, ERR_EXPIRED,
		       "The provided continue parameter is too old to display a consistent list "
		       "result. You must start "
		       "a new list without the continue parameter.");
}

static int listing_init(struct listing *l, struct request *q, struct err *e)
{
	uint64_t asked;
	struct store *s = q->api->store;

	/* The newest version at which this table is what it is now, so that a quiet kind waits for
	 * nobody's write. */
	*l = (struct listing){ .rv = MAX(store_durable_rv(s), q->table->last_rv),
			       .limit = MIN(q->opt.limit, LIMIT_LIST_PAGE_MAX) };
	if (check_rv(q, &asked, e) < 0)
		return -1;
	/* "Any state" is served whole, as from a cache. */
	if (c_eq(q->opt.resource_version, "0") && !q->opt.continue_token)
		l->limit = 0;
	if (q->opt.continue_token && q->opt.continue_token[0]) {
		if (page_token_parse(q->opt.continue_token, &l->from, e) < 0)
			return -1;
		asked = l->from.rv;
	}
	if (l->from.rv || q->opt.rv_match == RV_MATCH_EXACT) {
		if (asked < store_oldest_rv(s) || asked > l->rv)
			return expired(e, l->from.rv != 0);
		l->past = q->table->last_rv > asked;
		l->rv = asked;
	}
	return selection_init(&l->sel, q->res, &q->info, &q->opt, e);
}

static size_t lower(struct object *const *at, size_t n, const char *ns, const char *name)
{
	struct table t = { .at = (struct object **)at, .n = n };

	return table_lower(&t, ns, name);
}

/* The first object that may be in the page. */
static size_t page_begin(const struct listing *l, struct object *const *at, size_t n)
{
	if (l->from.rv) {
		size_t i = lower(at, n, l->from.ns, l->from.name);
		bool same = i < n && c_eq(at[i]->ns, l->from.ns) && c_eq(at[i]->name, l->from.name);
		return i + same;
	}
	return l->sel.ns ? lower(at, n, l->sel.ns, "") : 0;
}

static void list_send(struct request *q, const struct listing *l, struct object *const *at,
		      size_t n)
{
	struct render_list out = { .rv = l->rv };
	cleanup(freep) char *token = NULL;
	size_t i = page_begin(l, at, n), end = n;

	/* The namespace's end: the first object of any later one ("x\1" is the least name behind
	 * "x"). */
	if (l->sel.ns) {
		cleanup(freep) char *next = xasprintf("%s\1", l->sel.ns);
		end = lower(at, n, next, "");
	}
	struct object **picked = xcalloc(end > i ? end - i : 1, sizeof(*picked));
	for (; i < end; i++) {
		if (!selection_has(&l->sel, at[i]))
			continue;
		if (l->limit && out.n == l->limit)
			break;
		picked[out.n++] = at[i];
	}
	if (i < end) {
		token = page_token_make(l->rv, picked[out.n - 1]->ns, picked[out.n - 1]->name);
		out.continue_token = token;
		out.remaining = selection_is_all(&l->sel) ? end - i : 0;
	}
	out.at = picked;
	reply_list(q, &out);
	free(picked);
}

void handle_list(struct request *q)
{
	struct listing l;
	struct err e;

	if (listing_init(&l, q, &e) < 0) {
		reply_error(q, &e);
		return;
	}
	if (l.past) {
		struct snapshot sn;
		snapshot_take(q->api->store, q->table, l.rv, &sn);
		list_send(q, &l, sn.at, sn.n);
		snapshot_done(&sn);
	} else {
		list_send(q, &l, q->table->at, q->table->n);
	}
	selection_done(&l.sel);
}
