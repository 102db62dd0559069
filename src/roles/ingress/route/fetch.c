/* Documents by URL: a set of keys that an identity provider publishes. Each is fetched again and again for as long as it is wanted;
 * while that fails, what came last stays. */
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/route/sync_int.h"

#include "base/log.h"

#define FETCHES_MAX 256		   /* different URLs */
#define FETCH_MS 10000		   /* for a whole answer */
#define FETCH_BYTES_MAX (1u << 20) /* as large as a Secret or ConfigMap may be */
#define FRESH_MS 600000		   /* providers announce new keys hours before they sign with them */
#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 60000

struct fetches {
	struct loop *loop;
	struct subrequests *set;
	fetched_fn *fetched;
	fetch_wanted_fn *wanted;
	void *ctx;
	struct list all;
	size_t n; /* of them have a place */
};

struct fetch {
	struct list link;
	struct fetches *owner;
	struct timer timer;
	struct subrequest *request;
	struct buf body;
	char *url;
	int status;
	bool has_place, came;
	uint64_t retry_ms;
};

static void again_after(struct fetch *f, uint64_t ms)
{
	timer_start(f->owner->loop, &f->timer, ms);
}

static void tell(struct fetch *f, struct str text)
{
	json_t *obj = NULL;

	if (text.ptr)
		obj = json_pack("{s:{s:s, s:s}, s:{s:o}}", "metadata", "namespace", SOURCE_URL_NAMESPACE, "name", f->url, "data",
				SOURCE_URL_KEY, json_stringn(text.ptr, text.len));
	f->owner->fetched(f->owner->ctx, f->url, obj);
	json_decref(obj);
}

static void failed(struct fetch *f, const char *why)
{
	log_warn("%s: %s", f->url, why);
	if (!f->came)
		tell(f, STR_NONE);
	f->retry_ms = f->retry_ms ? MIN(2 * f->retry_ms, (uint64_t)RETRY_MAX_MS) : RETRY_FIRST_MS;
	again_after(f, f->retry_ms);
}

static void on_head(void *ctx, int status, struct http_headers headers)
{
	(void)headers;
	((struct fetch *)ctx)->status = status;
}

static void on_data(void *ctx, struct str bytes)
{
	buf_put_str(&((struct fetch *)ctx)->body, bytes); /* no longer than answer_body_max */
}

static void on_done(void *ctx, const struct err *e)
{
	struct fetch *f = ctx;
	struct err bad;

	f->request = NULL;
	if (!e && f->status != 200) {
		err_set(&bad, ERR_UNAVAILABLE, "the answer is %d", f->status);
		e = &bad;
	}
	if (e) {
		failed(f, e->message);
	} else {
		f->came = true;
		f->retry_ms = 0;
		tell(f, f->body.len ? buf_str(&f->body) : STR(""));
		again_after(f, FRESH_MS);
	}
	buf_done(&f->body);
}

static void fetch_free(struct fetch *f)
{
	list_del(&f->link);
	timer_stop(&f->timer);
	subrequest_cancel(f->request);
	buf_done(&f->body);
	f->owner->n -= f->has_place;
	free(f->url);
	free(f);
}

/* Before one is refused: who named many URLs for a while keeps nobody else out. */
static bool make_room(struct fetches *all)
{
	if (all->n < FETCHES_MAX)
		return true;
	list_for(at, tmp, &all->all) {
		struct fetch *f = list_entry(at, struct fetch, link);

		if (!all->wanted(all->ctx, f->url))
			fetch_free(f);
	}
	return all->n < FETCHES_MAX;
}

static void ask(struct timer *t)
{
	static const struct subrequest_ops ops = { .head = on_head, .data = on_data, .done = on_done };
	struct fetch *f = t->ctx;

	if (!f->owner->wanted(f->owner->ctx, f->url)) {
		fetch_free(f);
		return;
	}
	if (!f->has_place && !make_room(f->owner)) {
		failed(f, "more URLs are wanted than may be: 256");
		return;
	}
	f->owner->n += !f->has_place;
	f->has_place = true;
	f->status = 0;
	buf_init(&f->body, FETCH_BYTES_MAX);
	f->request = subrequest_send(f->owner->set,
				     &(struct subrequest_ask){ .method = STR("GET"), .url = str_of(f->url), .timeout_ms = FETCH_MS,
							       .answer_body_max = FETCH_BYTES_MAX },
				     &ops, f);
}

struct fetches *fetches_new(struct loop *l, fetched_fn *fetched, fetch_wanted_fn *wanted, void *ctx)
{
	struct fetches *all = xcalloc(1, sizeof(*all));

	*all = (struct fetches){ .loop = l, .fetched = fetched, .wanted = wanted, .ctx = ctx };
	list_init(&all->all);
	return all;
}

void fetch_start(struct fetches *all, const char *url)
{
	list_for(at, tmp, &all->all) {
		struct fetch *f = list_entry(at, struct fetch, link);

		if (strcmp(f->url, url) != 0)
			continue;
		if (!f->request)
			again_after(f, 0); /* what came before was not kept */
		return;
	}
	if (!all->set)
		all->set = subrequests_new(all->loop);
	struct fetch *f = xcalloc(1, sizeof(*f));
	*f = (struct fetch){ .owner = all, .url = xstrdup(url) };
	f->timer = (struct timer){ .fire = ask, .ctx = f };
	list_append(&all->all, &f->link);
	again_after(f, 0);
}

void fetches_free(struct fetches *all)
{
	if (!all)
		return;
	list_for(at, tmp, &all->all)
		fetch_free(list_entry(at, struct fetch, link));
	subrequests_free(all->set);
	free(all);
}
