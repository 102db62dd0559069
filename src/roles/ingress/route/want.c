#include "roles/ingress/route/sync_int.h"

#define RETRY_MS 500 /* after an answer that was none */

struct wants {
	struct loop *loop;
	struct kube_client *kube;
	const struct wants_ops *ops;
	void *ctx;
	struct list open;
	struct fetches *fetches;
};
struct want {
	struct list link;
	struct wants *owner; /* NULL: nobody listens any more */
	enum model_kind kind;
	struct timer retry;
	char *ns, *name;
};

static const struct kube_gvr want_gvr[] = { [MODEL_SECRET] = { "", "v1", "secrets" }, [MODEL_CONFIGMAP] = { "", "v1", "configmaps" } };

static void want_free(struct want *w)
{
	timer_stop(&w->retry);
	free(w->ns);
	free(w->name);
	free(w);
}

static void want_answered(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct want *w = ctx;
	struct wants *s = w->owner;

	if (!s) {
		want_free(w);
		return;
	}
	if (e && (status == 0 || status >= 500 || status == 429)) {
		timer_start(s->loop, &w->retry, RETRY_MS);
		return;
	}
	list_del(&w->link);
	s->ops->got(s->ctx, w->kind, w->ns, w->name, e ? NULL : obj);
	want_free(w);
}

static void want_send(struct timer *t)
{
	struct want *w = t->ctx;

	kube_get(w->owner->kube, want_gvr[w->kind], w->ns, w->name, want_answered, w);
}

static void on_fetched(void *ctx, const char *url, const json_t *obj)
{
	struct wants *s = ctx;

	s->ops->got(s->ctx, MODEL_CONFIGMAP, SOURCE_URL_NAMESPACE, url, obj);
}

static bool is_wanted(void *ctx, const char *url)
{
	struct wants *s = ctx;

	return s->ops->refers(s->ctx, MODEL_CONFIGMAP, SOURCE_URL_NAMESPACE, url);
}

struct wants *wants_new(struct loop *l, struct kube_client *k, const struct wants_ops *ops, void *ctx)
{
	struct wants *ws = xcalloc(1, sizeof(*ws));

	*ws = (struct wants){ .loop = l, .kube = k, .ops = ops, .ctx = ctx };
	list_init(&ws->open);
	ws->fetches = fetches_new(l, on_fetched, is_wanted, ws);
	return ws;
}

void want_start(struct wants *ws, enum model_kind kind, const char *ns, const char *name)
{
	if (strcmp(ns, SOURCE_URL_NAMESPACE) == 0) {
		fetch_start(ws->fetches, name);
		return;
	}
	struct want *w = xcalloc(1, sizeof(*w));

	*w = (struct want){ .owner = ws, .kind = kind, .retry = { .fire = want_send, .ctx = w }, .ns = xstrdup(ns),
			    .name = xstrdup(name) };
	list_append(&ws->open, &w->link);
	timer_start(ws->loop, &w->retry, 0);
}

void wants_free(struct wants *ws)
{
	if (!ws)
		return;
	list_for(at, tmp, &ws->open) {
		struct want *w = list_entry(at, struct want, link);
		bool waiting = timer_active(&w->retry);

		list_del(&w->link);
		w->owner = NULL;
		if (waiting)
			want_free(w);
	}
	fetches_free(ws->fetches);
	free(ws);
}
