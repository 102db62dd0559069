#include "kube/client/informer.h"

#include "base/limits.h"
#include "kube/client/files_int.h"
#include "kube/client/informer_int.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define PAGE_LIMIT 500 /* client-go's pager */
#define LIST_TIMEOUT_MS 60000
#define WATCH_SECONDS_MIN 300 /* client-go: 5 to 10 minutes, so that watches do not end together */
#define WATCH_GRACE_MS 30000  /* a watch this much older than its timeoutSeconds is dead */
#define WATCH_SHORT_MS 1000   /* ended sooner and without an event: counts as a failure */
#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 2000
#define BACKOFF_DOUBLINGS 6
#define LINE_BYTES_MAX (2 * LIMIT_OBJECT_BYTES) /* an object with its escapes */

#define ACCEPT_METADATA_LIST                                                                       \
	"application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
#define ACCEPT_METADATA                                                                            \
	"application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"

static void informer_start(struct informer *i);

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

/* Items do not say what they are: the list does, if it is a typed one. */
static bool learn_kind(void *ctx, const json_t *list)
{
	struct informer *i = ctx;
	const char *kind = jx_str(list, "kind");
	size_t len = kind ? strlen(kind) : 0;

	if (i->kind || len <= 4 || strcmp(kind + len - 4, "List") != 0)
		return i->kind;
	i->kind = xstrndup(kind, len - 4);
	i->api_version = xstrdup(jx_str(list, "apiVersion"));
	return true;
}

static bool list_item(void *ctx, json_t *item)
{
	struct informer *i = ctx;

	cache_apply(i, item);
	return !i->freed;
}

static const struct list_stream_ops list_ops = { .head = learn_kind, .item = list_item };

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

	free(i->next_page);
	i->next_page = more && more[0] ? xstrdup(more) : NULL;
	if (i->next_page) {
		informer_next(i, 0);
		return;
	}
	cache_take_version(i, jx_str(list, "metadata.resourceVersion"));
	list_complete(i);
}

static void list_bytes(struct informer *i, struct str bytes)
{
	struct err e;

	if (list_stream_put(&i->list, bytes, &e) == 0)
		return;
	http_call_cancel(i->call);
	i->call = NULL;
	list_stream_done(&i->list);
	informer_failed(i, &e);
}

static void list_refused(struct informer *i)
{
	struct err e, ignored;
	cleanup(json_decrefp) json_t *body = jx_parse(buf_str(&i->in), LINE_BYTES_MAX, &ignored);

	if (i->status == 410)
		informer_expired(i);
	kube_status_error(i->status, body, &e);
	informer_failed(i, &e);
}

static void list_done(struct informer *i)
{
	struct err e;

	if (i->status != 200) {
		list_refused(i);
		return;
	}
	cleanup(json_decrefp) json_t *list = list_stream_end(&i->list, &e);
	list_stream_done(&i->list);
	if (i->freed)
		return;
	if (!list) {
		informer_failed(i, &e);
		return;
	}
	i->failing = false;
	list_page(i, list);
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
	cache_take_version(i, jx_str(obj, "metadata.resourceVersion"));
	if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
		cache_apply(i, obj);
	} else if (strcmp(type, "DELETED") == 0) {
		cache_remove(i, obj);
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
	cleanup(json_decrefp) json_t *event = jx_parse_read(line, LINE_BYTES_MAX, i->unread, &e);
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

	if (i->status != 200)
		buf_put_str(&i->in, bytes); /* cut short it is no JSON, and the status has to do */
	else if (i->phase == PHASE_LIST)
		list_bytes(i, bytes);
	else
		watch_bytes(i, bytes);
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

static const struct http_call_ops ops = { .response = on_response,
					  .data = on_data,
					  .done = on_done };

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
	if (kube_client_files(i->kube)) {
		files_subscribe(kube_client_files(i->kube), i);
		return;
	}
	bool watch = i->version && !i->relist && i->synced && !i->next_page;
	uint64_t seconds = WATCH_SECONDS_MIN + jittered(WATCH_SECONDS_MIN / 2);
	cleanup(freep) char *path = watch ? xasprintf("%s?allowWatchBookmarks=true&resourceVersion="
						      "%s&timeoutSeconds=%" PRIu64 "&watch=true%s",
						      i->path, i->version, seconds, i->selectors)
					  : list_path(i);

	if (!watch && !i->next_page)
		i->generation++;
	i->phase = watch ? PHASE_WATCH : PHASE_LIST;
	i->status = 0;
	i->got_event = false;
	i->started_ms = loop_now_ms(i->loop);
	i->scanned = 0;
	buf_done(&i->in);
	buf_init(&i->in, LINE_BYTES_MAX);
	list_stream_done(&i->list);
	if (!watch)
		list_stream_init(&i->list, &list_ops, i, i->unread);
	i->call = kube_raw_send(
		i->kube,
		&(struct kube_raw){ .method = "GET",
				    .path = path,
				    .accept = !i->metadata_only ? NULL
					      : watch		? ACCEPT_METADATA
								: ACCEPT_METADATA_LIST,
				    .timeout_ms = watch ? seconds * 1000 + WATCH_GRACE_MS
							: LIST_TIMEOUT_MS },
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

/* A server would answer 400, again and again. */
static int informer_selectors(struct informer *i, const struct informer_options *o)
{
	if (o && o->label_selector && !(i->labels = selector_parse(str_of(o->label_selector), &i->last_error)))
		i->failing = true;
	if (o && o->field_selector && field_selector_parse(str_of(o->field_selector), &i->fields, &i->last_error) < 0)
		i->failing = true;
	return i->failing ? -1 : 0;
}

struct informer *informer_new(struct kube_client *k, struct kube_gvr gvr,
			      const struct informer_options *o, const struct informer_handlers *h,
			      void *ctx)
{
	static const struct jx_unread nothing_else[] = { INFORMER_UNREAD, INFORMER_UNREAD_END };
	struct informer *i = xcalloc(1, sizeof(*i));

	i->kube = k;
	i->loop = kube_client_loop(k);
	if (h)
		i->on = *h;
	i->ctx = ctx;
	i->path = kube_path(gvr, o ? o->ns : NULL, NULL, NULL);
	i->selectors = selector_query(o);
	i->metadata_only = o && o->metadata_only;
	i->handlers_only = o && o->handlers_only;
	i->unread = o && o->unread ? o->unread : nothing_else;
	i->group = xstrdup(gvr.group);
	i->plural = xstrdup(gvr.resource);
	i->ns = o ? xstrdup(o->ns) : NULL;
	list_init(&i->files_link);
	cache_init(i);
	if (!kube_client_files(k) || informer_selectors(i, o) == 0)
		informer_next(i, 0); /* not now: no handler runs before the caller has the pointer */
	return i;
}

static void informer_reap(struct defer *d)
{
	struct informer *i = container_of(d, struct informer, reaper);

	cache_done(i);
	list_stream_done(&i->list);
	buf_done(&i->in);
	free(i->path);
	free(i->selectors);
	free(i->kind);
	free(i->api_version);
	free(i->version);
	free(i->next_page);
	free(i->group);
	free(i->plural);
	free(i->ns);
	selector_free(i->labels);
	field_selector_done(&i->fields);
	list_del(&i->files_link);
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
