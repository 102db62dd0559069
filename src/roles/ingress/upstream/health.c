#include "roles/ingress/upstream/health.h"

#include "base/map.h"
#include "net/http_client.h"
#include "roles/ingress/upstream/balance_int.h"

#include <stdio.h>

#define SWEEP_MS 1000	    /* how soon endpoints that came or went are noticed */
#define FULL_RETRY_MS 100   /* when HEALTH_CHECKS_MAX are under way */
#define FIRST_SPREAD_MS 1000 /* first checks of many endpoints do not begin together */

/* What one location asks for. */
struct want {
	struct list link;
	struct backend *backend;
	const struct settings *set;
	char *host; /* for the Host header; NULL: the endpoint's address */
};
struct wanter { /* a host with such locations */
	struct list wants;
};

struct check {
	struct health *health;
	struct endpoint *endpoint;
	const struct settings *set;
	char *host;
	unsigned generation; /* of the sweep that last wanted it */
	struct timer timer;
	struct http_client *client; /* NULL: none under way */
	struct defer close;
	bool ended;
	int status;
	size_t body_bytes;
	unsigned passed, failed; /* in a row */
};

struct health {
	struct loop *loop;
	struct tls *tls;
	struct map wanters; /* host name → struct wanter */
	struct map checks;  /* endpoint->text → struct check */
	unsigned generation, under_way;
	struct timer sweep;
};

/* ---- one check ---- */

static void check_close(struct check *c)
{
	if (!c->client)
		return;
	http_client_free(c->client);
	c->client = NULL;
	c->health->under_way--;
}

static void check_closed(struct defer *d)
{
	check_close(container_of(d, struct check, close));
}

static void check_next(struct check *c)
{
	uint64_t ms = (uint64_t)MAX(c->set->health_check_interval_s, 1u) * 1000;

	timer_start(c->health->loop, &c->timer, ms - ms / 20 + random_below((uint32_t)(ms / 10) + 1));
}

static void health_becomes(struct endpoint *e, enum endpoint_health health)
{
	__atomic_store_n(&e->health, health, __ATOMIC_RELAXED);
}

/* ALB's thresholds: a first success is enough. */
static void check_result(struct check *c, enum health_reason reason)
{
	struct endpoint *e = c->endpoint;
	enum endpoint_health was = (enum endpoint_health)__atomic_load_n(&e->health, __ATOMIC_RELAXED);
	bool passed = reason == HEALTH_PASSED;

	if (c->ended)
		return;
	c->ended = true;
	c->passed = passed ? c->passed + 1 : 0;
	c->failed = passed ? 0 : c->failed + 1;
	__atomic_store_n(&e->health_status, (uint32_t)c->status, __ATOMIC_RELAXED);
	/* While it is down the reason is why it went down; a success that does not yet count changes nothing. */
	if (!passed || was != HEALTH_DOWN)
		__atomic_store_n(&e->health_reason, reason, __ATOMIC_RELAXED);
	if (passed && (was == HEALTH_UNKNOWN || c->passed >= c->set->health_check_healthy)) {
		__atomic_store_n(&e->health_reason, HEALTH_PASSED, __ATOMIC_RELAXED);
		health_becomes(e, HEALTH_UP);
	}
	if (!passed && c->failed >= MAX(c->set->health_check_unhealthy, 1u))
		health_becomes(e, HEALTH_DOWN);
	c->close.run = check_closed; /* not now: the client's code is on the stack */
	loop_defer(c->health->loop, &c->close);
	check_next(c);
}

static void check_status(struct check *c)
{
	check_result(c, c->status >= 200 && c->status < 400 ? HEALTH_PASSED : HEALTH_BAD_STATUS);
}

static void on_response(void *ctx, int status, struct http_headers headers)
{
	struct check *c = ctx;

	(void)headers;
	c->status = status;
}

static void on_data(void *ctx, struct str bytes)
{
	struct check *c = ctx;

	c->body_bytes += bytes.len;
	if (c->body_bytes > HEALTH_BODY_BYTES_MAX)
		check_status(c);
}

static void on_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct check *c = ctx;

	(void)trailers;
	if (e)
		check_result(c, e->reason == ERR_TIMEOUT ? HEALTH_TIMED_OUT : HEALTH_NO_ANSWER);
	else
		check_status(c);
}

static const struct http_call_ops check_ops = { .response = on_response, .data = on_data, .done = on_done };

static bool speaks_tls(const struct settings *s)
{
	return s->backend_protocol == PROTOCOL_HTTPS || s->backend_protocol == PROTOCOL_GRPCS;
}

static void check_begin(struct check *c)
{
	static const struct http_header agent = { STR("user-agent"), STR("portico-health-checker") };
	const struct settings *s = c->set;
	uint64_t timeout_ms = (uint64_t)MAX(s->health_check_timeout_s, 1u) * 1000;

	c->ended = false;
	c->status = 0;
	c->body_bytes = 0;
	c->health->under_way++;
	c->client = http_client_new(c->health->loop,
				    &(struct http_client_config){
					    .to = c->endpoint->addr,
					    .authority = c->host ? c->host : c->endpoint->text,
					    .server_name = c->host,
					    .tls = speaks_tls(s) ? c->health->tls : NULL,
					    .h2 = s->backend_protocol == PROTOCOL_GRPC || s->backend_protocol == PROTOCOL_GRPCS,
					    .connect_timeout_ms = timeout_ms });
	http_client_send(c->client,
			 &(struct http_call_request){ .method = "GET", .path = s->health_check_path, .headers = &agent,
						      .n_headers = 1, .timeout_ms = timeout_ms },
			 &check_ops, c);
}

static void check_due(struct timer *t)
{
	struct check *c = container_of(t, struct check, timer);

	if (c->client || c->health->under_way >= HEALTH_CHECKS_MAX)
		timer_start(c->health->loop, &c->timer, FULL_RETRY_MS);
	else
		check_begin(c);
}

static void check_free(struct check *c)
{
	timer_stop(&c->timer);
	defer_cancel(&c->close);
	check_close(c);
	health_becomes(c->endpoint, HEALTH_UNKNOWN);
	__atomic_store_n(&c->endpoint->health_reason, HEALTH_NOT_CHECKED, __ATOMIC_RELAXED);
	endpoint_unref(c->endpoint);
	settings_unref(c->set);
	free(c->host);
	free(c);
}

static void check_free_value(void *value)
{
	check_free(value);
}

/* ---- which checks there are ---- */

static struct check *check_new(struct health *h, struct endpoint *e, const struct want *w)
{
	struct check *c = xcalloc(1, sizeof(*c));

	c->health = h;
	c->endpoint = endpoint_ref(e);
	c->set = settings_ref(w->set);
	c->host = w->host ? xstrdup(w->host) : NULL;
	c->timer.fire = check_due;
	map_put_c(&h->checks, e->text, c);
	__atomic_store_n(&e->health_reason, HEALTH_CHECKING, __ATOMIC_RELAXED);
	timer_start(h->loop, &c->timer, random_below(FIRST_SPREAD_MS));
	return c;
}

/* The same address may have come back as another object, or its Ingress may ask otherwise now. */
static bool still_right(const struct check *c, const struct endpoint *e, const struct want *w)
{
	return c->endpoint == e && c->set == w->set && c_eq(c->host, w->host);
}

static void want_endpoint(struct health *h, struct endpoint *e, const struct want *w)
{
	struct check *c = map_get_c(&h->checks, e->text);

	if (c && c->generation == h->generation)
		return; /* an earlier rule's */
	if (c && !still_right(c, e, w)) {
		map_del_c(&h->checks, e->text);
		check_free(c);
		c = NULL;
	}
	if (!c)
		c = check_new(h, e, w);
	c->generation = h->generation;
}

static void drop_unwanted(struct health *h)
{
	size_t n = 0;
	struct check **gone = xcalloc(h->checks.count + 1, sizeof(*gone));

	for (struct map_iter it = { 0 }; map_next(&h->checks, &it);)
		if (((struct check *)it.value)->generation != h->generation)
			gone[n++] = it.value;
	for (size_t i = 0; i < n; i++) {
		map_del_c(&h->checks, gone[i]->endpoint->text);
		check_free(gone[i]);
	}
	free(gone);
}

static void on_sweep(struct timer *t)
{
	struct health *h = container_of(t, struct health, sweep);

	h->generation++;
	for (struct map_iter it = { 0 }; map_next(&h->wanters, &it);)
		list_for(pos, tmp, &((struct wanter *)it.value)->wants) {
			const struct want *w = list_entry(pos, struct want, link);
			struct endpoints *es = backend_endpoints(w->backend);
			for (size_t i = 0; i < es->n && (h->tls || !speaks_tls(w->set)); i++)
				want_endpoint(h, es->at[i], w);
		}
	drop_unwanted(h);
	if (h->wanters.count)
		timer_start(h->loop, &h->sweep, SWEEP_MS);
}

/* ---- what hosts ask for ---- */

static void wanter_free(void *value)
{
	struct wanter *by = value;

	list_for(pos, tmp, &by->wants) {
		struct want *w = list_entry(pos, struct want, link);
		list_del(&w->link);
		backend_unref(w->backend);
		settings_unref(w->set);
		free(w->host);
		free(w);
	}
	free(by);
}

static void add_want(struct wanter *by, const struct location *loc, struct backend *b)
{
	struct want *w = xcalloc(1, sizeof(*w));
	bool named = loc->rule_host && loc->rule_host[0] && loc->rule_host[0] != '*';

	w->backend = backend_ref(b);
	w->set = settings_ref(loc->set);
	w->host = named ? xstrdup(loc->rule_host) : NULL;
	list_append(&by->wants, &w->link);
}

static void put_wanter(struct health *h, const char *name, struct wanter *by)
{
	struct wanter *old = by ? map_put_c(&h->wanters, name, by) : map_del_c(&h->wanters, name);

	if (old)
		wanter_free(old);
	if (by || old) /* soon, and once for many changes */
		timer_start(h->loop, &h->sweep, 0);
}

void health_host(struct health *h, const struct host *host)
{
	struct wanter *by = NULL;

	for (size_t i = 0; i < host->n_all; i++) {
		const struct location *loc = host->all[i];
		if (!loc->set->health_check_path || !loc->backend)
			continue;
		if (!by) {
			by = xcalloc(1, sizeof(*by));
			list_init(&by->wants);
		}
		add_want(by, loc, loc->backend);
		for (size_t k = 0; k < loc->n_canaries; k++)
			if (loc->canaries[k].backend)
				add_want(by, loc, loc->canaries[k].backend);
	}
	put_wanter(h, host->name, by);
}

void health_host_gone(struct health *h, const char *name)
{
	put_wanter(h, name, NULL);
}

struct health *health_new(struct loop *l, struct tls *tls)
{
	struct health *h = xcalloc(1, sizeof(*h));

	h->loop = l;
	h->tls = tls ? tls_ref(tls) : NULL;
	h->sweep.fire = on_sweep;
	map_init(&h->wanters);
	map_init(&h->checks);
	return h;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	timer_stop(&h->sweep);
	map_done(&h->checks, check_free_value);
	map_done(&h->wanters, wanter_free);
	tls_unref(h->tls);
	free(h);
}
