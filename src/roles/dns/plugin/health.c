/* health - whether the process is alive, and how long it goes on when told to end. */
#include "roles/dns/observe/metrics.h"
#include "roles/dns/plugin/listener.h"

#define CHECK_MS 1000
#define LAMEDUCK_MAX_MS (3600ull * 1000) /* pods are killed long before */

extern const struct plugin plugin_health;

/* How long something that happens now waits for its turn: what an HTTP request to oneself would measure. */
struct health {
	struct dns_admin *admin;
	struct dns_shared *shared;
	struct metric *duration;
	struct timer timer;
	uint64_t asked_us;
	bool asking, ended;
};

static int parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct listener_settings *s = *settings = listener_parse(d, "health", ":8080", ADMIN_HEALTH, e);

	(void)scope;
	for (size_t i = 0; s && i < d->n_body; i++)
		if (d->body[i].n != 2 || !directive_duration_ms(d->body[i].words[1], LAMEDUCK_MAX_MS, &s->lameduck_ms))
			return directive_error(e, &d->body[i], "health", "lameduck takes a duration such as 5s, at most 1h");
	return s ? 0 : -1;
}

static void on_turn(void *ctx)
{
	struct health *h = ctx;

	h->asking = false;
	if (h->ended)
		free(h);
	else
		metric_observe_us(h->duration, METRIC_MAIN, loop_fresh_us() - h->asked_us);
}

static void on_timer(struct timer *t)
{
	struct health *h = t->ctx;

	timer_start(h->shared->main_loop, t, CHECK_MS);
	if (h->asking)
		return;
	h->asking = true;
	h->asked_us = loop_fresh_us();
	loop_post(h->shared->main_loop, on_turn, h);
}

static int start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	if (listener_start(i, s, e) < 0)
		return -1;
	struct health *h = xcalloc(1, sizeof(*h));
	*h = (struct health){ .admin = i->started, .shared = s, .timer = { .fire = on_timer, .ctx = h } };
	h->duration = dns_metric(s->metrics, "coredns_health_request_duration_seconds", METRIC_HISTOGRAM_SLIM,
				 "Histogram of the time (in seconds) each request took.", "");
	dns_metric(s->metrics, "coredns_health_request_failures_total", METRIC_COUNTER,
		   "The number of times the health check failed.", "");
	timer_start(s->main_loop, &h->timer, CHECK_MS);
	i->started = h;
	return 0;
}

static void stop(struct plugin_instance *i, struct dns_shared *s)
{
	struct health *h = i->started;

	(void)s;
	timer_stop(&h->timer);
	dns_admin_unshare(h->admin, ADMIN_HEALTH);
	h->ended = true;
	if (!h->asking)
		free(h);
}

uint64_t health_lameduck_ms(const struct dns_config *c)
{
	uint64_t longest = 0;

	for (size_t i = 0; c && i < c->n_blocks; i++) {
		const struct listener_settings *s = dns_block_settings(&c->blocks[i], &plugin_health);
		if (s && s->lameduck_ms > longest)
			longest = s->lameduck_ms;
	}
	return longest;
}

static const struct plugin_property properties[] = {
	{ "lameduck", "DURATION", "when told to end, goes on answering for so long while /ready already says no" },
	{ 0 },
};

const struct plugin plugin_health = {
	.name = "health",
	.args = "[ADDRESS]",
	.doc = "Serves /health at ADDRESS [:8080]: 200 while the process turns its loop.",
	.properties = properties,
	.once = true,
	.parse = parse,
	.free_settings = listener_settings_free,
	.start = start,
	.stop = stop,
	.touches = listener_touches,
};
