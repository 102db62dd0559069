#include "roles/node/pod_tokens.h"

#include "roles/node/event.h"
#include "roles/node/node.h"
#include "roles/node/pod_worker.h"

#define EXPIRATION_DEFAULT_S 3600
#define RENEW_MAX_MS (24 * 3600 * 1000) /* as kubelet: at 80 % of the life-time, at least daily */
#define RETRY_MS 1000

struct token {
	struct pod_tokens *tokens;
	char *audience; /* "" is the API server's own */
	int64_t expiration_s;
	char *value;
	struct kube_call *call;
	struct timer renew;
	struct list link;
};

struct pod_tokens {
	struct pod *pod;
	struct list all;
};

struct pod_tokens *pod_tokens_new(struct pod *p)
{
	struct pod_tokens *t = xcalloc(1, sizeof(*t));

	t->pod = p;
	list_init(&t->all);
	return t;
}

void pod_tokens_free(struct pod_tokens *ts)
{
	if (!ts)
		return;
	list_for(pos, tmp, &ts->all)
	{
		struct token *t = list_entry(pos, struct token, link);
		kube_cancel(t->call);
		timer_stop(&t->renew);
		list_del(&t->link);
		free(t->audience);
		free(t->value);
		free(t);
	}
	free(ts);
}

static void on_answer(void *ctx, int status, const json_t *obj, const struct err *e)
{
	struct token *t = ctx;
	struct pod *p = t->tokens->pod;
	int64_t expires_at_ms;

	(void)status;
	t->call = NULL;
	if (e || !jx_str(obj, "status.token")) {
		event_pod(p, "Warning", "FailedMount", "failed to fetch token: %s",
			  e ? e->message : "empty answer");
		timer_start(p->node->loop, &t->renew, RETRY_MS);
		return;
	}
	free(t->value);
	t->value = xstrdup(jx_str(obj, "status.token"));
	if (time_parse(jx_str_or(obj, "status.expirationTimestamp", ""), &expires_at_ms) < 0)
		expires_at_ms = wall_now_ms() + t->expiration_s * 1000;
	int64_t in_ms = (expires_at_ms - wall_now_ms()) * 8 / 10;
	timer_start(p->node->loop, &t->renew, (uint64_t)MIN(MAX(in_ms, RETRY_MS), RENEW_MAX_MS));
	pod_objects_changed(p);
}

static void request(struct token *t)
{
	struct pod *p = t->tokens->pod;
	const char *account = jx_str_or(p->obj, "spec.serviceAccountName", "default");
	cleanup(freep) char *path = kube_path(GVR_SERVICE_ACCOUNTS, p->ns, account, "token");
	cleanup(json_decrefp) json_t *body =
		json_pack("{s:s, s:s, s:{s:I, s:{s:s, s:s, s:s, s:s}}}", "apiVersion",
			  "authentication.k8s.io/v1", "kind", "TokenRequest", "spec",
			  "expirationSeconds", (json_int_t)t->expiration_s, "boundObjectRef",
			  "apiVersion", "v1", "kind", "Pod", "name", p->name, "uid", p->uid);

	if (t->audience[0])
		json_object_set_new(json_object_get(body, "spec"), "audiences",
				    json_pack("[s]", t->audience));
	t->call = kube_request(p->node->kube, "POST", path, KUBE_JSON, body, on_answer, t);
}

static void on_renew(struct timer *timer)
{
	request(timer->ctx);
}

const char *pod_token(struct pod_tokens *ts, const json_t *source)
{
	const char *audience = jx_str_or(source, "audience", "");
	int64_t expiration_s = jx_int(source, "expirationSeconds", EXPIRATION_DEFAULT_S);

	list_for(pos, tmp, &ts->all)
	{
		struct token *t = list_entry(pos, struct token, link);
		if (c_eq(t->audience, audience) && t->expiration_s == expiration_s)
			return t->value;
	}
	struct token *t = xcalloc(1, sizeof(*t));
	*t = (struct token){ .tokens = ts,
			     .audience = xstrdup(audience),
			     .expiration_s = expiration_s };
	t->renew = (struct timer){ .fire = on_renew, .ctx = t };
	list_append(&ts->all, &t->link);
	request(t);
	return NULL;
}
