#include "roles/node/hook.h"

#include "roles/node/action.h"

struct hook {
	struct action *action;
	void (*done)(void *ctx, const struct err *e);
	void *ctx;
};

static void on_done(void *ctx, bool ok, const char *output)
{
	struct hook *h = ctx;
	void (*done)(void *ctx, const struct err *e) = h->done;
	void *done_ctx = h->ctx;
	struct err e = { 0 };

	free(h);
	if (!ok)
		err_set(&e, ERR_INTERNAL, "%s", output);
	done(done_ctx, ok ? NULL : &e);
}

struct hook *hook_run(struct ctr *c, const json_t *handler, uint64_t timeout_ms,
		      void (*done)(void *ctx, const struct err *e), void *ctx)
{
	struct hook *h = xcalloc(1, sizeof(*h));

	*h = (struct hook){ .done = done, .ctx = ctx };
	h->action = action_run(c, handler, timeout_ms, on_done, h);
	return h;
}

void hook_cancel(struct hook *h)
{
	if (!h)
		return;
	action_cancel(h->action);
	free(h);
}
