#include "roles/apiserver/handlers.h"

#include "base/limits.h"
#include "roles/apiserver/selection.h"
#include "roles/apiserver/status.h"
#include "roles/apiserver/store/snapshot.h"

#include <stdio.h>

#define BOOKMARK_MS 60000    /* as kube-apiserver's watch cache: about a minute */
#define WATCH_DEFAULT_S 1800 /* half an hour to an hour when the client names no end */
#define WATCH_PENDING_BYTES                                                                        \
	(8u << 20) /* a client that is this far behind lists anew sooner than it catches up */

/* Lives in its exchange's arena; registered with its table until the reply ends. */
struct watcher {
	struct request *q;
	struct list link; /* in table->watchers; a node of its own until then */
	struct selection sel;
	struct render rd;
	struct timer bookmark, end;
};

static void watcher_unlink(struct watcher *w)
{
	list_del(&w->link);
	timer_stop(&w->bookmark);
	timer_stop(&w->end);
	selection_done(&w->sel);
	w->q->api->metrics.watches--;
	request_detach(w->q);
}

static void watcher_closed(void *ctx)
{
	watcher_unlink(ctx);
}

static void watcher_end(struct watcher *w)
{
	struct http_exchange *x = w->q->x;

	watcher_unlink(w);
	http_reply_end(x);
}

static void watcher_abort(struct watcher *w)
{
	struct http_exchange *x = w->q->x;

	watcher_unlink(w);
	http_reply_abort(x);
}

/* Sending */

static const char *const type_names[] = {
	[EVENT_ADDED] = "{\"type\":\"ADDED\",\"object\":",
	[EVENT_MODIFIED] = "{\"type\":\"MODIFIED\",\"object\":",
	[EVENT_DELETED] = "{\"type\":\"DELETED\",\"object\":",
};

static void send_line(struct watcher *w, enum event_type type, struct str object)
{
	http_reply_write(w->q->x, str_of(type_names[type]));
	http_reply_write(w->q->x, object);
	http_reply_write(w->q->x, STR("}\n"));
	w->q->api->metrics.watch_events++;
}

static void send_object(struct watcher *w, enum event_type type, const struct object *o)
{
	struct err e;
	struct buf b;

	if (w->rd.form == FORM_JSON && !w->rd.res->storage) {
		send_line(w, type, (struct str){ o->json, o->json_len });
		return;
	}
	buf_init(&b, LIMIT_RESPONSE_BODY_BYTES);
	w->rd.now_ms = wall_now_ms();
	if (render_object(&w->rd, o, &b, &e) == 0)
		send_line(w, type, buf_str(&b));
	buf_done(&b);
}

static void send_status(struct watcher *w, enum err_reason reason, const char *message)
{
	cleanup(json_decrefp) json_t *ev =
		json_pack("{s:s,s:o}", "type", "ERROR", "object", status_failure(reason, message));
	cleanup(freep) char *text = jx_dump_text(ev);

	http_reply_write(w->q->x, str_of(text));
	http_reply_write(w->q->x, STR("\n"));
}

#define INITIAL_EVENTS_END "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"},"

static void send_bookmark(struct watcher *w, const char *annotations)
{
	const struct resource *r = w->rd.res;
	unsigned long long rv = store_durable_rv(w->q->api->store);
	struct buf b;

	buf_init(&b, 4096);
	if (w->rd.form == FORM_TABLE || w->rd.form == FORM_TABLE_V1BETA1)
		buf_printf(&b,
			   "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Table\",\"apiVersion\":"
			   "\"meta.k8s.io/%s\","
			   "\"metadata\":{%s\"resourceVersion\":\"%llu\"},\"columnDefinitions\":"
			   "null,\"rows\":[]}}\n",
			   w->rd.form == FORM_TABLE ? "v1" : "v1beta1", annotations, rv);
	else if (w->rd.form == FORM_JSON)
		buf_printf(&b,
			   "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"%s\",\"apiVersion\":\"%s%"
			   "s%s\","
			   "\"metadata\":{%s\"resourceVersion\":\"%llu\"}}}\n",
			   r->kind, r->group, r->group[0] ? "/" : "", r->version, annotations, rv);
	else
		buf_printf(&b,
			   "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"PartialObjectMetadata\","
			   "\"apiVersion\":"
			   "\"meta.k8s.io/v1\",\"metadata\":{%s\"resourceVersion\":\"%llu\"}}}\n",
			   annotations, rv);
	http_reply_write(w->q->x, buf_str(&b));
	buf_done(&b);
}

/* What an event is for this watcher: an object may enter or leave what it selected. */
static void send_event(struct watcher *w, const struct event *ev)
{
	bool before = ev->prev && selection_has(&w->sel, ev->prev);
	bool after = ev->type != EVENT_DELETED && selection_has(&w->sel, ev->obj);

	if (after) {
		send_object(w, before ? EVENT_MODIFIED : EVENT_ADDED, ev->obj);
	} else if (before && ev->type == EVENT_DELETED) {
		send_object(w, EVENT_DELETED, ev->obj);
	} else if (before) {
		struct err e;
		struct object *last = object_with_rv(ev->table->res, ev->prev, ev->rv, &e);
		if (last)
			send_object(w, EVENT_DELETED, last);
		object_unref(last);
	}
}

static void replay_event(void *ctx, const struct event *ev)
{
	send_event(ctx, ev);
}

void watch_dispatch(struct apiserver *api, const struct event *ev)
{
	(void)api;
	list_for(l, tmp, &ev->table->watchers)
	{
		struct watcher *w = list_entry(l, struct watcher, link);

		send_event(w, ev);
		if (http_reply_pending(w->q->x) > WATCH_PENDING_BYTES)
			watcher_abort(w);
	}
}

/* Starting */

static void bookmark_fire(struct timer *t)
{
	struct watcher *w = t->ctx;

	send_bookmark(w, "");
	timer_start(w->q->api->loop, t, BOOKMARK_MS);
}

static void end_fire(struct timer *t)
{
	struct watcher *w = t->ctx;

	if (w->q->opt.bookmarks)
		send_bookmark(w, "");
	watcher_end(w);
}

static void send_initial(struct watcher *w)
{
	struct snapshot sn;
	struct store *s = w->q->api->store;

	snapshot_take(s, w->q->table, store_durable_rv(s), &sn);
	for (size_t i = 0; i < sn.n; i++)
		if (selection_has(&w->sel, sn.at[i]))
			send_object(w, EVENT_ADDED, sn.at[i]);
	snapshot_done(&sn);
	if (w->q->opt.send_initial && w->q->opt.bookmarks)
		send_bookmark(w, INITIAL_EVENTS_END);
}

/* false when the watch cannot begin there: it has got its ERROR event. */
static bool resume(struct watcher *w, uint64_t rv)
{
	struct store *s = w->q->api->store;
	char text[96];

	/* A version from the future is one of another database's past: the client must list anew as
	 * well. */
	if (rv >= store_oldest_rv(s) && rv <= MAX(store_rv(s), store_next_rv(s) - 1)) {
		store_replay(s, w->q->table, rv, replay_event, w);
		return true;
	}
	snprintf(text, sizeof(text), "too old resource version: %llu (%llu)",
		 (unsigned long long)rv, (unsigned long long)store_oldest_rv(s));
	send_status(w, ERR_EXPIRED, text);
	return false;
}

static int check_options(const struct request *q, uint64_t *ret_rv, struct err *e)
{
	const char *rv = q->opt.resource_version;

	*ret_rv = 0;
	if (rv && rv[0] && !str_to_u64(str_of(rv), INT64_MAX, ret_rv))
		return err_set(e, ERR_BAD_REQUEST,
			       "Invalid value: \"%s\": resource version must be a number", rv);
	if (q->opt.send_initial_given && q->opt.rv_match != RV_MATCH_NOT_OLDER)
		return err_set(
			e, ERR_INVALID,
			"ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
			"sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	if (q->opt.rv_match != RV_MATCH_NONE && !q->opt.send_initial_given)
		return err_set(
			e, ERR_INVALID,
			"ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
			"resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
			"provided");
	if (q->opt.send_initial && *ret_rv > store_rv(q->api->store))
		return err_set(
			e, ERR_TIMEOUT, "Timeout: Too large resource version: %llu, current: %llu",
			(unsigned long long)*ret_rv, (unsigned long long)store_rv(q->api->store));
	return 0;
}

static void watcher_arm(struct watcher *w)
{
	struct loop *l = w->q->api->loop;
	int64_t end_s = w->q->opt.timeout_s;

	/* Spread over half an hour, so that clients which began together do not come back together.
	 */
	if (end_s <= 0)
		end_s = WATCH_DEFAULT_S + (int64_t)(loop_now_ms(l) % WATCH_DEFAULT_S);
	w->end = (struct timer){ .fire = end_fire, .ctx = w };
	timer_start(l, &w->end, (uint64_t)end_s * 1000);
	w->bookmark = (struct timer){ .fire = bookmark_fire, .ctx = w };
	if (w->q->opt.bookmarks)
		timer_start(l, &w->bookmark, BOOKMARK_MS);
	list_append(&w->q->table->watchers, &w->link);
}

static struct watcher *watcher_new(struct request *q, uint64_t *ret_rv, struct err *e)
{
	struct watcher *w = arena_alloc(q->arena, sizeof(*w));

	if (!w) {
		err_set(e, ERR_TOO_LARGE, "the request is too large");
		return NULL;
	}
	list_init(&w->link);
	w->q = q;
	w->rd = (struct render){ .res = q->res,
				 .form = q->form,
				 .include_object = q->opt.include_object };
	if (check_options(q, ret_rv, e) < 0 ||
	    selection_init(&w->sel, q->res, &q->info, &q->opt, e) < 0)
		return NULL;
	return w;
}

void handle_watch(struct request *q)
{
	const struct http_header headers[] = { { STR("content-type"), STR("application/json") },
					       { STR("cache-control"), STR("no-cache, private") } };
	struct err e;
	uint64_t rv;
	struct watcher *w = watcher_new(q, &rv, &e);

	if (!w) {
		reply_error(q, &e);
		return;
	}
	q->api->metrics.watches++;
	http_on_closed(q->x, watcher_closed, w);
	http_reply_start(q->x, 200, headers, ARRAY_LEN(headers));
	/* No version, or "any", has always meant: begin with what is there. */
	if (q->opt.send_initial || (!q->opt.send_initial_given && rv == 0)) {
		send_initial(w);
	} else if (rv && !resume(w, rv)) {
		watcher_end(w);
		return;
	}
	watcher_arm(w);
}
