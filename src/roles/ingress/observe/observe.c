#include "roles/ingress/observe/observe.h"

#include "base/log.h"
#include "loop/quiesce.h"
#include "roles/ingress/http/subrequest.h"
#include "roles/ingress/observe/access_log.h"
#include "roles/ingress/observe/trace.h"

struct observe {
	struct shared *shared;
	struct subrequests *via; /* of the main loop; made for the first collector */
	char *collector;	 /* NULL: none */
};

static void reopen(void *ctx, int signo)
{
	struct observe *o = ctx;
	struct err e;

	(void)signo;
	if (access_log_reopen(o->shared->access_log, &e) < 0)
		log_warn("%s: the old file stays in use", e.message);
	else
		log_info("access log reopened");
}

struct observe *observe_new(struct shared *s, struct err *e)
{
	struct observe *o = xcalloc(1, sizeof(*o));

	o->shared = s;
	s->access_log = access_log_new(s->main_loop, s->quiesce, s->n_workers);
	if (loop_on_signal(s->main_loop, SIGUSR1, reopen, o, e) < 0) {
		observe_free(o);
		return NULL;
	}
	return o;
}

void observe_free(struct observe *o)
{
	if (!o)
		return;
	access_log_free(TAKE_PTR(o->shared->access_log));
	trace_free(TAKE_PTR(o->shared->trace));
	subrequests_free(o->via);
	free(o->collector);
	free(o);
}

static void drop_trace(void *t)
{
	trace_free(t);
}

static void set_collector(struct observe *o, const char *url)
{
	struct trace *now = NULL;
	struct err e;

	if (c_eq(o->collector, url))
		return;
	if (url && !o->via)
		o->via = subrequests_new(o->shared->main_loop);
	if (url && !(now = trace_new(o->shared->main_loop, o->via, url, &e))) {
		log_warn("%s: traces go on as before", e.message);
		return;
	}
	struct trace *old = __atomic_exchange_n(&o->shared->trace, now, __ATOMIC_ACQ_REL);
	if (old)
		quiesce_retire(o->shared->quiesce, drop_trace, old);
	free(o->collector);
	o->collector = xstrdup(url);
}

/* A log in the wrong place is better than none. */
static void set_log(struct observe *o, const struct globals *g)
{
	struct access_log *l = o->shared->access_log;
	struct globals plain = { 0 };
	struct err e, ignored;

	if (access_log_configure(l, g, &e) == 0)
		return;
	bool before = access_log_active(l);
	log_warn("%s: the access log %s", e.message, before ? "goes on as before" : "goes to standard output in the default format");
	if (!before && access_log_configure(l, &plain, &ignored) < 0)
		log_warn("%s: no access log", ignored.message);
}

void observe_globals(struct observe *o, const struct globals *g)
{
	set_log(o, g);
	set_collector(o, g->otlp_endpoint && g->otlp_endpoint[0] ? g->otlp_endpoint : NULL);
	if (o->shared->trace && g->otel_service_name)
		trace_set_service(o->shared->trace, g->otel_service_name);
}
