#include "roles/node/action_int.h"

#include "codec/jx.h"
#include "roles/node/cri.h"

#include <stdio.h>

static void action_free(struct action *a)
{
	timer_stop(&a->timer);
	defer_cancel(&a->end);
	if (a->kind && a->kind->stop)
		a->kind->stop(a);
	buf_done(&a->output);
	free(a);
}

static void on_end(struct defer *d)
{
	struct action *a = container_of(d, struct action, end);
	action_done_fn *done = a->done;
	void *ctx = a->ctx;
	bool ok = a->ok;
	char *output = a->output.len ? buf_take(&a->output) : xstrdup("");

	action_free(a);
	done(ctx, ok, output);
	free(output);
}

/* Ends at the end of the turn: whatever calls this may still stand on what is freed then. */
void action_end(struct action *a, bool ok, const char *fmt, ...)
{
	char text[ACTION_OUTPUT_BYTES];
	va_list ap;

	if (a->ended)
		return;
	a->ended = true;
	a->ok = ok;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_clear(&a->output);
	buf_puts(&a->output, text);
	timer_stop(&a->timer);
	loop_defer(a->ctr->pod->node->loop, &a->end);
}

static int named_port(const struct ctr *c, const char *name, uint16_t *ret_port, struct err *e)
{
	size_t i;
	const json_t *p;

	json_array_foreach(json_object_get(c->spec, "ports"), i, p)
	{
		if (!c_eq(jx_str(p, "name"), name))
			continue;
		*ret_port = (uint16_t)jx_int(p, "containerPort", 0);
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND, "couldn't find port: %s", name);
}

int action_target(const struct action *a, const json_t *spec, const char **ret_ip,
		  uint16_t *ret_port, struct err *e)
{
	const struct pod *p = a->ctr->pod;
	const json_t *port = json_object_get(spec, "port");
	const char *own = jx_bool(p->obj, "spec.hostNetwork", false) ? p->node->ip : p->sandbox_ip;
	const char *host = jx_str_or(spec, "host", "");
	uint64_t n;

	*ret_ip = host[0] ? host : own;
	if (!*ret_ip)
		return err_set(e, ERR_UNAVAILABLE, "the pod has no address");
	if (json_is_integer(port)) {
		*ret_port = (uint16_t)json_integer_value(port);
		return 0;
	}
	const char *name = json_is_string(port) ? json_string_value(port) : "";
	if (str_to_u64(str_of(name), 65535, &n)) {
		*ret_port = (uint16_t)n;
		return 0;
	}
	return named_port(a->ctr, name, ret_port, e);
}

static void on_exec(void *ctx, const void *response, const struct err *e)
{
	struct action *a = ctx;
	const Cri__ExecSyncResponse *r = response;

	a->cri_call = NULL;
	if (e) {
		action_end(a, false, "%s", e->message);
		return;
	}
	action_end(a, r->exit_code == 0, "%.*s%.*s",
		   (int)MIN(r->stdout.len, ACTION_OUTPUT_BYTES / 2), (const char *)r->stdout.data,
		   (int)MIN(r->stderr.len, ACTION_OUTPUT_BYTES / 2), (const char *)r->stderr.data);
}

static void exec_start(struct action *a, const json_t *spec)
{
	const json_t *command = json_object_get(spec, "command"), *word;
	Cri__ExecSyncRequest q = CRI__EXEC_SYNC_REQUEST__INIT;
	cleanup(freep) char **words = xcalloc(json_array_size(command) + 1, sizeof(*words));
	size_t i;

	json_array_foreach(command, i, word) words[q.n_cmd++] = (char *)json_string_value(word);
	q.cmd = words;
	q.container_id = a->ctr->id;
	q.timeout = (int64_t)((a->timeout_ms + 999) / 1000);
	a->cri_call =
		cri_send(a->ctr->pod->node->cri, CRI_EXEC_SYNC, &q, a->timeout_ms, on_exec, a);
}

static void exec_stop(struct action *a)
{
	cri_cancel(a->cri_call);
}

static void on_slept(struct timer *t)
{
	action_end(t->ctx, true, "%s", "");
}

static void sleep_start(struct action *a, const json_t *spec)
{
	timer_stop(&a->timer);
	a->timer = (struct timer){ .fire = on_slept, .ctx = a };
	timer_start(a->ctr->pod->node->loop, &a->timer,
		    (uint64_t)MAX(jx_int(spec, "seconds", 0), 0) * 1000);
}

static const struct action_kind action_exec = { "exec", exec_start, exec_stop };
static const struct action_kind action_sleep = { "sleep", sleep_start, NULL };
static const struct action_kind *const kinds[] = { &action_http, &action_tcp, &action_exec,
						   &action_grpc, &action_sleep };

static void on_timeout(struct timer *t)
{
	struct action *a = t->ctx;
	action_end(a, false, "%s timed out after %llus",
		   a->kind == &action_exec ? "command" : "request",
		   (unsigned long long)(a->timeout_ms / 1000));
}

struct action *action_run(struct ctr *c, const json_t *handler, uint64_t timeout_ms,
			  action_done_fn *done, void *ctx)
{
	struct action *a = xcalloc(1, sizeof(*a));
	const json_t *spec = NULL;

	*a = (struct action){
		.ctr = c, .done = done, .ctx = ctx, .timeout_ms = timeout_ms, .end.run = on_end
	};
	buf_init(&a->output, ACTION_OUTPUT_BYTES);
	for (size_t i = 0; i < ARRAY_LEN(kinds) && !spec; i++) {
		spec = json_object_get(handler, kinds[i]->member);
		a->kind = kinds[i];
	}
	a->timer = (struct timer){ .fire = on_timeout, .ctx = a };
	if (!spec) {
		a->kind = NULL;
		action_end(a, false, "%s", "the handler names no action");
		return a;
	}
	if (timeout_ms)
		timer_start(c->pod->node->loop, &a->timer, timeout_ms);
	a->kind->start(a, spec);
	return a;
}

void action_cancel(struct action *a)
{
	if (a)
		action_free(a);
}
