/* core/v1 Events, correlated as client-go's tools/record does: equal ones are counted up. */
#include "kube/client/client_int.h"

#include "base/map.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define MESSAGE_BYTES_MAX 1024 /* the API's limit for Event.message */
#define SAME_WITHIN_MS 600000  /* client-go's correlation interval */
#define REMEMBERED_MAX 4096    /* client-go's LRU size */

static const struct kube_gvr events_gvr = { "", "v1", "events" };

struct remembered {
	struct list age; /* oldest first */
	char *ns, *name, *key;
	int64_t count, last_ms;
	bool lost; /* the server does not have it */
};

struct kube_events {
	struct kube_client *kube;
	struct map by_key;
	struct list by_age;
	struct list counting; /* struct counting: patches under way */
};

struct counting {
	struct list link;
	struct kube_events *ev;
	char *key; /* the record may be gone when the answer comes */
};

struct kube_events *kube_events_new(struct kube_client *k)
{
	struct kube_events *ev = xcalloc(1, sizeof(*ev));

	ev->kube = k;
	map_init(&ev->by_key);
	list_init(&ev->by_age);
	list_init(&ev->counting);
	return ev;
}

static void remembered_free(struct remembered *r)
{
	list_del(&r->age);
	free(r->ns);
	free(r->name);
	free(r->key);
	free(r);
}

static void forget(struct kube_events *ev, struct remembered *r)
{
	map_del_c(&ev->by_key, r->key);
	remembered_free(r);
}

static void counting_free(struct counting *c)
{
	list_del(&c->link);
	free(c->key);
	free(c);
}

void kube_events_free(struct kube_events *ev)
{
	if (!ev)
		return;
	list_for(pos, tmp, &ev->counting)
		counting_free(list_entry(pos, struct counting, link));
	list_for(pos, tmp, &ev->by_age)
		remembered_free(list_entry(pos, struct remembered, age));
	map_done(&ev->by_key, NULL);
	free(ev);
}

static json_t *involved_object(const json_t *obj)
{
	json_t *ref = json_object();

	jx_set_str(ref, "kind", jx_str(obj, "kind"));
	jx_set_str(ref, "namespace", jx_namespace(obj));
	jx_set_str(ref, "name", jx_name(obj));
	jx_set_str(ref, "uid", jx_uid(obj));
	jx_set_str(ref, "apiVersion", jx_str(obj, "apiVersion"));
	jx_set_str(ref, "resourceVersion", jx_str(obj, "metadata.resourceVersion"));
	return ref;
}

static void write_new(struct kube_events *ev, const struct remembered *r, const json_t *obj,
		      const char *component, const char *type, const char *reason,
		      const char *message)
{
	cleanup(json_decrefp) json_t *event = json_object();
	char now[TIME_TEXT_BYTES];

	time_text(r->last_ms, now);
	jx_set_str(event, "apiVersion", "v1");
	jx_set_str(event, "kind", "Event");
	jx_set_str(event, "metadata.name", r->name);
	jx_set_str(event, "metadata.namespace", r->ns);
	jx_set(event, "involvedObject", involved_object(obj));
	jx_set_str(event, "reason", reason);
	jx_set_str(event, "message", message);
	jx_set_str(event, "source.component", component);
	jx_set_str(event, "firstTimestamp", now);
	jx_set_str(event, "lastTimestamp", now);
	jx_set_int(event, "count", 1);
	jx_set_str(event, "type", type);
	jx_set_str(event, "reportingComponent", component);
	jx_set_str(event, "reportingInstance", "");
	kube_create(ev->kube, events_gvr, event, NULL, NULL);
}

/* An event that expired meanwhile is written anew the next time. */
static void counted_up(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct counting *c = ctx;
	struct remembered *r = map_get_c(&c->ev->by_key, c->key);

	(void)obj;
	(void)e;
	if (status == 404 && r)
		r->lost = true;
	counting_free(c);
}

static void count_up(struct kube_events *ev, struct remembered *r, const char *message)
{
	cleanup(json_decrefp) json_t *patch = json_object();
	struct counting *c = xcalloc(1, sizeof(*c));
	char now[TIME_TEXT_BYTES];

	c->ev = ev;
	c->key = xstrdup(r->key);
	list_append(&ev->counting, &c->link);
	r->count++;
	r->last_ms = wall_now_ms();
	list_del(&r->age);
	list_append(&ev->by_age, &r->age);
	jx_set_int(patch, "count", r->count);
	jx_set_str(patch, "lastTimestamp", time_text(r->last_ms, now));
	jx_set_str(patch, "message", message);
	kube_patch(ev->kube, events_gvr, r->ns, r->name, NULL, KUBE_STRATEGIC_PATCH, patch,
		   counted_up, c);
}

static struct remembered *remember(struct kube_events *ev, const json_t *obj, char *key)
{
	struct remembered *r = xcalloc(1, sizeof(*r));
	const char *ns = jx_namespace(obj);
	struct timespec now;

	if (ev->by_key.count >= REMEMBERED_MAX)
		forget(ev, list_entry(ev->by_age.next, struct remembered, age));
	clock_gettime(CLOCK_REALTIME, &now);
	r->key = key;
	r->ns = xstrdup(ns && ns[0] ? ns : "default");
	r->name = xasprintf("%s.%" PRIx64, jx_str_or(obj, "metadata.name", ""),
			    (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	r->count = 1;
	r->last_ms = wall_now_ms();
	list_append(&ev->by_age, &r->age);
	map_put_c(&ev->by_key, key, r);
	return r;
}

void kube_event(struct kube_client *k, const json_t *obj, const char *component, const char *type,
		const char *reason, const char *fmt, ...)
{
	struct kube_events *ev = kube_client_events(k);
	char message[MESSAGE_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	char *key =
		xasprintf("%s %s %s %s %s %s", component, type, reason, jx_str_or(obj, "kind", ""),
			  jx_str_or(obj, "metadata.uid", ""), message);
	struct remembered *r = map_get_c(&ev->by_key, key);

	if (r && !r->lost && wall_now_ms() - r->last_ms < SAME_WITHIN_MS) {
		free(key);
		count_up(ev, r, message);
		return;
	}
	if (r)
		forget(ev, r);
	r = remember(ev, obj, key);
	write_new(ev, r, obj, component, type, reason, message);
}
