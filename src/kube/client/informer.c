#include "kube/client/informer.h"

#include "base/limits.h"
#include "base/map.h"
#include "kube/client/client_int.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define PAGE_LIMIT 500		     /* client-go's pager */
#define LIST_TIMEOUT_MS 60000
#define WATCH_SECONDS_MIN 300	     /* client-go: 5 to 10 minutes, so that watches do not end together */
#define WATCH_GRACE_MS 30000	     /* a watch this much older than its timeoutSeconds is dead */
#define WATCH_SHORT_MS 1000	     /* ended sooner and without an event: counts as a failure */
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 2000
#define BACKOFF_DOUBLINGS 6
#define LINE_BYTES_MAX (2 * LIMIT_OBJECT_BYTES) /* an object with its escapes */

#define ACCEPT_METADATA_LIST \
	"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
#define ACCEPT_METADATA "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"

struct cached {
	json_t *obj;
	unsigned generation; /* of the list that last contained it, or that was current when it was watched */
};

enum phase { PHASE_LIST, PHASE_WATCH };

struct informer {
	struct kube_client *kube;
	struct loop *loop;
	struct informer_handlers on;
	void *ctx;
	struct map cache; /* "ns/name" or "name" → struct cached */

	char *path, *selectors; /* selectors: "&labelSelector=…", or "" */
	bool metadata_only;
	char *kind, *api_version; /* of items, learnt from the list */
	char *version;		  /* resourceVersion to watch from */
	char *next_page;	  /* the list's continue token, or NULL */
	uint64_t version_number;
	unsigned generation;

	enum phase phase;
	struct http_call *call;
	struct buf in; /* the list's body, or the watch's unfinished line */
	size_t scanned; /* bytes of `in` known to hold no line end */
	int status;
	uint64_t started_ms, failed_ms;
	bool got_event, relist, synced, freed, failing;
	unsigned failures;
	struct timer retry;
	struct defer reaper;
	struct err last_error;
};

static void informer_start(struct informer *i);

/* ---- the cache ---- */

static char *object_key(const json_t *obj)
{
	const char *ns = jx_namespace(obj), *name = jx_str_or(obj, "metadata.name", "");

	return ns && ns[0] ? xasprintf("%s/%s", ns, name) : xstrdup(name);
}

static void take_version(struct informer *i, const char *version)
{
	uint64_t n;

	if (!version || !version[0] || c_eq(version, i->version))
		return;
	free(i->version);
	i->version = xstrdup(version);
	if (str_to_u64(str_of(version), UINT64_MAX, &n))
		i->version_number = n;
}

static void item_prepare(struct informer *i, json_t *obj)
{
	json_t *meta = json_object_get(obj, "metadata");

	json_object_del(meta, "managedFields");
	if (i->kind && !json_object_get(obj, "kind"))
		json_object_set_new(obj, "kind", json_string(i->kind));
	if (i->api_version && !json_object_get(obj, "apiVersion"))
		json_object_set_new(obj, "apiVersion", json_string(i->api_version));
	if (i->on.transform)
		i->on.transform(obj);
}

static void cache_remove(struct informer *i, const char *key)
{
	struct cached *c = map_del_c(&i->cache, key);

	if (!c)
		return;
	if (i->on.deleted)
		i->on.deleted(i->ctx, c->obj);
	json_decref(c->obj);
	free(c);
}

static void cache_add(struct informer *i, const char *key, json_t *obj)
{
	struct cached *c = xcalloc(1, sizeof(*c));

	c->obj = json_incref(obj);
	c->generation = i->generation;
	map_put_c(&i->cache, key, c);
	if (i->on.added)
		i->on.added(i->ctx, obj);
}

static void cache_replace(struct informer *i, struct cached *c, json_t *obj)
{
	json_t *old = c->obj;

	c->obj = json_incref(obj);
	if (i->on.updated)
		i->on.updated(i->ctx, old, obj);
	json_decref(old);
}

/* An object as it is now, from a list or a watch. */
static void cache_apply(struct informer *i, json_t *obj)
{
	cleanup(freep) char *key = object_key(obj);
	struct cached *c = map_get_c(&i->cache, key);

	if (c && !c_eq(jx_uid(c->obj), jx_uid(obj))) {
		cache_remove(i, key); /* another object of the same name: consumers see both ends */
		c = NULL;
	}
	if (i->freed)
		return;
	if (!c) {
		item_prepare(i, obj);
		cache_add(i, key, obj);
		return;
	}
	c->generation = i->generation;
	if (c_eq(jx_str(c->obj, "metadata.resourceVersion"), jx_str(obj, "metadata.resourceVersion")))
		return;
	item_prepare(i, obj);
	cache_replace(i, c, obj);
}

/* What the list that has just ended did not contain was deleted while nobody watched. */
static void cache_sweep(struct informer *i)
{
	size_t n = 0;
	char **gone = xcalloc(i->cache.count + 1, sizeof(*gone));

	for (struct map_iter it = { 0 }; map_next(&i->cache, &it);)
		if (((struct cached *)it.value)->generation != i->generation)
			gone[n++] = str_dup(it.key);
	for (size_t k = 0; k < n; k++) {
		if (!i->freed)
			cache_remove(i, gone[k]);
		free(gone[k]);
	}
	free(gone);
}

/* ---- what comes next ---- */

static uint64_t jittered(uint64_t ms)
{
	static uint64_t counter;
	uint64_t r = hash_keyed(&counter, sizeof(counter));

	counter++;
	return ms * 3 / 4 + r % (ms / 2 + 1);
}

static void retry_fired(struct timer *t)
{
	informer_start(container_of(t, struct informer, retry));
}

static void informer_next(struct informer *i, uint64_t after_ms)
{
	if (i->freed)
		return;
	i->retry.fire = retry_fired;
	timer_start(i->loop, &i->retry, after_ms);
}

static void informer_failed(struct informer *i, const struct err *e)
{
	uint64_t ms = (uint64_t)BACKOFF_FIRST_MS << MIN(i->failures, BACKOFF_DOUBLINGS);

	i->failures++;
	i->failing = true;
	i->failed_ms = loop_now_ms(i->loop);
	i->last_error = *e;
	informer_next(i, jittered(MIN(ms, BACKOFF_MAX_MS)));
}

static void informer_expired(struct informer *i)
{
	i->relist = true;
	free(i->next_page);
	i->next_page = NULL;
}

/* ---- list ---- */

static void learn_kind(struct informer *i, const json_t *list)
{
	const char *kind = jx_str(list, "kind");
	size_t len = kind ? strlen(kind) : 0;

	if (i->kind || len <= 4 || strcmp(kind + len - 4, "List") != 0)
		return;
	i->kind = xstrndup(kind, len - 4);
	i->api_version = xstrdup(jx_str(list, "apiVersion"));
}

static void list_complete(struct informer *i)
{
	cache_sweep(i);
	i->relist = false;
	if (i->freed)
		return;
	if (!i->synced) {
		i->synced = true;
		if (i->on.synced)
			i->on.synced(i->ctx);
	}
	if (!i->freed && i->on.progressed)
		i->on.progressed(i->ctx);
	informer_next(i, 0);
}

static void list_page(struct informer *i, const json_t *list)
{
	const char *more = jx_str(list, "metadata.continue");
	json_t *item;
	size_t n;

	learn_kind(i, list);
	json_array_foreach(json_object_get(list, "items"), n, item)
	{
		if (i->freed)
			return;
		cache_apply(i, item);
	}
	free(i->next_page);
	i->next_page = more && more[0] ? xstrdup(more) : NULL;
	if (i->next_page) {
		informer_next(i, 0);
		return;
	}
	take_version(i, jx_str(list, "metadata.resourceVersion"));
	list_complete(i);
}

static void list_done(struct informer *i)
{
	struct err e = { 0 };
	cleanup(json_decrefp) json_t *body = NULL;

	if (i->in.overflow)
		err_set(&e, ERR_TOO_LARGE, "the list is larger than %u bytes", LIMIT_RESPONSE_BODY_BYTES);
	else
		body = jx_parse(buf_str(&i->in), LIMIT_RESPONSE_BODY_BYTES, &e);
	buf_done(&i->in);
	if (i->status == 410)
		informer_expired(i);
	if (i->status != 200) {
		kube_status_error(i->status, body, &e);
		informer_failed(i, &e);
	} else if (!body) {
		informer_failed(i, &e);
	} else {
		i->failing = false;
		list_page(i, body);
	}
}

/* ---- watch ---- */

static void watch_error(struct informer *i, const json_t *status)
{
	int code = (int)jx_int(status, "code", 500);
	struct err e;

	if (code == 410 || code == 504 || c_eq(jx_str(status, "reason"), "Expired"))
		informer_expired(i);
	kube_status_error(code, status, &e);
	http_call_cancel(i->call);
	i->call = NULL;
	informer_failed(i, &e);
}

static void watch_event(struct informer *i, json_t *event)
{
	const char *type = jx_str_or(event, "type", "");
	json_t *obj = json_object_get(event, "object");

	if (strcmp(type, "ERROR") == 0) {
		watch_error(i, obj);
		return;
	}
	i->got_event = true;
	i->failures = 0;
	/* Handlers compare versions to learn whether their own writes have arrived: it must be current first. */
	take_version(i, jx_str(obj, "metadata.resourceVersion"));
	if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
		cache_apply(i, obj);
	} else if (strcmp(type, "DELETED") == 0) {
		cleanup(freep) char *key = object_key(obj);
		cache_remove(i, key);
	} else if (i->on.progressed) {
		i->on.progressed(i->ctx);
	}
}

static void watch_broken(struct informer *i, enum err_reason r, const char *why)
{
	struct err e;

	err_set(&e, r, "%s", why);
	informer_expired(i);
	http_call_cancel(i->call);
	i->call = NULL;
	informer_failed(i, &e);
}

static void watch_line(struct informer *i, struct str line)
{
	struct err e;

	if (!str_trim(line).len)
		return;
	cleanup(json_decrefp) json_t *event = jx_parse(line, LINE_BYTES_MAX, &e);
	if (!event || !json_is_object(event))
		watch_broken(i, ERR_INTERNAL, event ? "a watch event is no object" : e.message);
	else
		watch_event(i, event);
}

/* `in` holds the start of a line and `bytes` goes on. */
static void watch_bytes(struct informer *i, struct str bytes)
{
	size_t at = 0;

	if (buf_put_str(&i->in, bytes) < 0) {
		watch_broken(i, ERR_TOO_LARGE, "a watch event is too large");
		return;
	}
	while (i->call && !i->freed) {
		char *end = memchr(i->in.ptr + i->scanned, '\n', i->in.len - i->scanned);
		if (!end)
			break;
		size_t stop = (size_t)(end - i->in.ptr);
		watch_line(i, (struct str){ i->in.ptr + at, stop - at });
		at = i->scanned = stop + 1;
	}
	if (!i->call || i->freed)
		return;
	buf_consume(&i->in, at);
	i->scanned = i->in.len;
	if (!i->in.len && i->in.cap > CONN_LOW_WATER_BYTES)
		buf_done(&i->in); /* one large object must not stay for ever */
}

static void watch_refused(struct informer *i)
{
	struct err e, ignored;
	cleanup(json_decrefp) json_t *body = jx_parse(buf_str(&i->in), LINE_BYTES_MAX, &ignored);

	if (i->status == 410 || i->status == 504)
		informer_expired(i);
	kube_status_error(i->status, body, &e);
	informer_failed(i, &e);
}

static void watch_done(struct informer *i)
{
	uint64_t lasted = loop_now_ms(i->loop) - i->started_ms;
	struct err e;

	if (i->status != 200) {
		watch_refused(i);
	} else if (i->got_event || lasted >= WATCH_SHORT_MS) {
		i->failures = 0;
		informer_next(i, 0);
	} else {
		err_set(&e, ERR_UNAVAILABLE, "the watch ended after %" PRIu64 " ms", lasted);
		informer_failed(i, &e);
	}
}

/* ---- calls ---- */

static void on_response(void *ctx, int status, struct http_headers headers)
{
	struct informer *i = ctx;

	(void)headers;
	i->status = status;
	if (i->phase == PHASE_WATCH && status == 200)
		i->failing = false;
}

static void on_data(void *ctx, struct str bytes)
{
	struct informer *i = ctx;

	if (i->phase == PHASE_WATCH && i->status == 200)
		watch_bytes(i, bytes);
	else
		buf_put_str(&i->in, bytes);
}

static void on_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct informer *i = ctx;

	(void)trailers;
	i->call = NULL;
	if (e)
		informer_failed(i, e);
	else if (i->phase == PHASE_LIST)
		list_done(i);
	else
		watch_done(i);
}

static const struct http_call_ops ops = { .response = on_response, .data = on_data, .done = on_done };

static void put_escaped(struct buf *b, const char *s)
{
	for (; *s; s++)
		if (isalnum((unsigned char)*s) || strchr("-._~", *s))
			buf_putc(b, *s);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
}

static char *list_path(const struct informer *i)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 2); /* our own words and a token that the server made */
	buf_printf(&b, "%s?limit=%d%s", i->path, PAGE_LIMIT, i->selectors);
	if (i->next_page) {
		buf_puts(&b, "&continue=");
		put_escaped(&b, i->next_page);
	}
	return buf_take(&b);
}

static void informer_start(struct informer *i)
{
	bool watch = i->version && !i->relist && i->synced && !i->next_page;
	uint64_t seconds = WATCH_SECONDS_MIN + jittered(WATCH_SECONDS_MIN / 2);
	cleanup(freep) char *path =
		watch ? xasprintf("%s?allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%" PRIu64
				  "&watch=true%s",
				  i->path, i->version, seconds, i->selectors) :
			list_path(i);

	if (!watch && !i->next_page)
		i->generation++;
	i->phase = watch ? PHASE_WATCH : PHASE_LIST;
	i->status = 0;
	i->got_event = false;
	i->started_ms = loop_now_ms(i->loop);
	i->scanned = 0;
	buf_done(&i->in);
	buf_init(&i->in, watch ? LINE_BYTES_MAX : LIMIT_RESPONSE_BODY_BYTES);
	i->call = kube_raw_send(i->kube,
				&(struct kube_raw){ .method = "GET",
						    .path = path,
						    .accept = !i->metadata_only ? NULL :
							      watch		? ACCEPT_METADATA :
										  ACCEPT_METADATA_LIST,
						    .timeout_ms = watch ? seconds * 1000 + WATCH_GRACE_MS :
									  LIST_TIMEOUT_MS },
				&ops, i);
}

/* ---- public ---- */

static char *selector_query(const struct informer_options *o)
{
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	buf_puts(&b, "");
	if (o && o->label_selector) {
		buf_puts(&b, "&labelSelector=");
		put_escaped(&b, o->label_selector);
	}
	if (o && o->field_selector) {
		buf_puts(&b, "&fieldSelector=");
		put_escaped(&b, o->field_selector);
	}
	return buf_take(&b);
}

struct informer *informer_new(struct kube_client *k, struct kube_gvr gvr, const struct informer_options *o,
			      const struct informer_handlers *h, void *ctx)
{
	struct informer *i = xcalloc(1, sizeof(*i));

	i->kube = k;
	i->loop = kube_client_loop(k);
	if (h)
		i->on = *h;
	i->ctx = ctx;
	i->path = kube_path(gvr, o ? o->ns : NULL, NULL, NULL);
	i->selectors = selector_query(o);
	i->metadata_only = o && o->metadata_only;
	map_init(&i->cache);
	informer_next(i, 0); /* not now: no handler runs before the caller has the pointer */
	return i;
}

static void cached_free(void *value)
{
	struct cached *c = value;

	json_decref(c->obj);
	free(c);
}

static void informer_reap(struct defer *d)
{
	struct informer *i = container_of(d, struct informer, reaper);

	map_done(&i->cache, cached_free);
	buf_done(&i->in);
	free(i->path);
	free(i->selectors);
	free(i->kind);
	free(i->api_version);
	free(i->version);
	free(i->next_page);
	free(i);
}

void informer_free(struct informer *i)
{
	if (!i || i->freed)
		return;
	i->freed = true;
	timer_stop(&i->retry);
	http_call_cancel(i->call);
	i->call = NULL;
	i->reaper.run = informer_reap;
	loop_defer(i->loop, &i->reaper);
}

bool informer_synced(const struct informer *i)
{
	return i->synced;
}

uint64_t informer_version(const struct informer *i)
{
	return i->version_number;
}

const char *informer_error(const struct informer *i)
{
	return i->failing ? i->last_error.message : NULL;
}

uint64_t informer_failed_ms(const struct informer *i)
{
	return i->failed_ms;
}

const json_t *informer_get(const struct informer *i, const char *ns, const char *name)
{
	cleanup(freep) char *key = ns ? xasprintf("%s/%s", ns, name) : NULL;
	const struct cached *c = map_get_c(&i->cache, key ? key : name);

	return c ? c->obj : NULL;
}

size_t informer_count(const struct informer *i)
{
	return i->cache.count;
}

void informer_each(const struct informer *i, const char *ns, bool (*fn)(void *ctx, const json_t *obj),
		   void *ctx)
{
	for (struct map_iter it = { 0 }; map_next(&i->cache, &it);) {
		const json_t *obj = ((const struct cached *)it.value)->obj;

		if (ns && !c_eq(jx_namespace(obj), ns))
			continue;
		if (!fn(ctx, obj))
			return;
	}
}
