/* /top: what was asked during some seconds. Each reader has counters of its own, for as long as it waits. */
#include "roles/dns/observe/admin_int.h"
#include "roles/dns/observe/event.h"
#include "roles/dns/observe/metrics_int.h"
#include "roles/dns/observe/pods.h"
#include "roles/dns/observe/topk.h"

#include "codec/dns_text.h"

#include <stdio.h>

#define COLLECTORS_MAX 8
#define SECONDS_MAX 60
#define KEPT 512	  /* names and clients that are counted at once: 300 KB of one reader */
#define SHOWN 100	  /* of them told */
#define UPSTREAMS_MAX 64

struct upstream {
	struct event_addr addr;
	uint64_t count, failed, us, buckets[DURATIONS];
};
struct collector {
	struct dns_shared *shared;
	struct http_exchange *x;
	struct watch_tap tap;
	struct timer timer;
	uint64_t start_us, lost_before, seen;
	struct dns_totals before;
	uint64_t kinds[EVENT_OTHERERROR + 1];
	struct topk names, clients;
	size_t n_upstreams;
	struct upstream upstreams[UPSTREAMS_MAX];
};
static unsigned n_collectors;

enum { EXTRA_DENIED, EXTRA_FAILED };

/* ---- collecting ---- */
static void count_upstream(struct collector *c, const struct dns_event *e)
{
	struct upstream *u = c->upstreams, *end = u + c->n_upstreams;

	while (u < end && memcmp(&u->addr, &e->upstream, sizeof(u->addr)) != 0)
		u++;
	if (u == end) {
		if (c->n_upstreams == UPSTREAMS_MAX)
			return;
		*u = (struct upstream){ .addr = e->upstream };
		c->n_upstreams++;
	}
	u->count++;
	u->failed += e->class == EVENT_ERROR;
	u->us += e->duration_us;
	u->buckets[metrics_duration_bucket(e->duration_us)]++;
}

static void count_key(struct topk *t, const struct dns_event *e, const void *key, size_t len)
{
	struct topk_entry *entry = topk_count(t, key, len);

	entry->extra[EXTRA_DENIED] += e->class == EVENT_DENIAL;
	entry->extra[EXTRA_FAILED] += e->class == EVENT_ERROR;
}

static void on_event(void *ctx, const struct dns_event *e)
{
	struct collector *c = ctx;
	struct event_addr client = e->client;

	client.port = 0;
	c->seen++;
	c->kinds[e->kind]++;
	count_key(&c->names, e, e->name.wire, e->name.len);
	count_key(&c->clients, e, &client, sizeof(client));
	if (e->upstream.family)
		count_upstream(c, e);
}

/* ---- telling ---- */
static json_t *entry_json(const struct topk_entry *e)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)topk_sure(e), "atMost", (json_int_t)e->count, "denied", (json_int_t)e->extra[EXTRA_DENIED], "failed",
			 (json_int_t)e->extra[EXTRA_FAILED]);
}

static json_t *names_json(const struct topk *t)
{
	const struct topk_entry *sorted[KEPT];
	json_t *list = json_array();

	topk_sorted(t, sorted);
	for (uint32_t i = 0; i < t->n && i < SHOWN; i++) {
		struct dns_name n = { .len = (uint8_t)sorted[i]->len };
		char text[DNS_NAME_TEXT_BYTES + 1];
		json_t *v = entry_json(sorted[i]);
		memcpy(n.wire, sorted[i]->key, sorted[i]->len);
		jx_set_str(v, "name", event_name_text(&n, text));
		json_array_append_new(list, v);
	}
	return list;
}

static json_t *clients_json(const struct topk *t)
{
	const struct topk_entry *sorted[KEPT];
	json_t *list = json_array();

	topk_sorted(t, sorted);
	for (uint32_t i = 0; i < t->n && i < SHOWN; i++) {
		struct event_addr a;
		char text[EVENT_ADDR_BYTES];
		json_t *v = entry_json(sorted[i]);
		memcpy(&a, sorted[i]->key, sizeof(a));
		jx_set_str(v, "client", event_addr_text(&a, text));
		jx_set_str(v, "pod", watch_pods_find(&a));
		json_array_append_new(list, v);
	}
	return list;
}

/* The upper end of the bucket in which the q-th part of all lies. */
static double quantile_ms(const struct upstream *u, double q)
{
	double seen = 0, bound = 0.25;

	for (size_t i = 0; i < DURATIONS; i++, bound *= 2) {
		seen += (double)u->buckets[i];
		if (seen >= q * (double)u->count)
			break;
	}
	return bound;
}

static json_t *upstreams_json(const struct collector *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < c->n_upstreams; i++) {
		const struct upstream *u = &c->upstreams[i];
		char ip[EVENT_ADDR_BYTES];
		cleanup(freep) char *text =
			xasprintf(u->addr.family == 6 ? "[%s]:%u" : "%s:%u", event_addr_text(&u->addr, ip), u->addr.port);
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:f, s:f, s:f}", "upstream", text, "count", (json_int_t)u->count,
						      "failed", (json_int_t)u->failed, "averageMs", (double)u->us / 1000 / (double)u->count,
						      "p50Ms", quantile_ms(u, 0.5), "p99Ms", quantile_ms(u, 0.99)));
	}
	return list;
}

static json_t *counts_json(const struct collector *c, const struct dns_totals *now)
{
	json_t *v = json_object(), *codes = json_object(), *sources = json_object();
	char text[DNS_TEXT_TYPE_BYTES];

	for (uint16_t i = 0; i < ARRAY_LEN(now->rcode); i++)
		if (now->rcode[i] > c->before.rcode[i])
			jx_set_int(codes, dns_rcode_text(i, text), (int64_t)(now->rcode[i] - c->before.rcode[i]));
	for (unsigned i = 0; i <= FROM_PLUGIN; i++)
		if (now->by_source[i] > c->before.by_source[i])
			json_object_set_new(sources, event_source_names[i],
					    json_integer((json_int_t)(now->by_source[i] - c->before.by_source[i])));
	json_object_set_new(v, "rcodes", codes);
	json_object_set_new(v, "sources", sources);
	jx_set_int(v, "questions", (int64_t)(now->questions - c->before.questions));
	jx_set_int(v, "tcp", (int64_t)(now->tcp - c->before.tcp));
	jx_set_int(v, "nodata", (int64_t)c->kinds[EVENT_NODATA]);
	return v;
}

static void collector_free(struct collector *c)
{
	dns_watch_remove(c->shared->watch, &c->tap);
	timer_stop(&c->timer);
	watch_pods_release();
	topk_done(&c->names);
	topk_done(&c->clients);
	free(c);
	n_collectors--;
}

static void on_closed(void *ctx)
{
	collector_free(ctx);
}

static void on_timer(struct timer *t)
{
	struct collector *c = t->ctx;
	struct dns_totals now;

	dns_watch_drain(c->shared->watch);
	dns_metrics_totals(c->shared->metrics, &now);
	json_t *v = counts_json(c, &now);
	json_object_set_new(v, "seconds", json_real((double)(loop_fresh_us() - c->start_us) / 1e6));
	json_object_set_new(v, "seen", json_integer((json_int_t)c->seen));
	json_object_set_new(v, "lost", json_integer((json_int_t)(dns_watch_lost(c->shared->watch) - c->lost_before)));
	json_object_set_new(v, "kernelPaused", json_boolean(c->shared->kernel != NULL));
	json_object_set_new(v, "names", names_json(&c->names));
	json_object_set_new(v, "clients", clients_json(&c->clients));
	json_object_set_new(v, "upstreams", upstreams_json(c));
	cleanup(freep) char *text = jx_dump_text(v);
	struct http_exchange *x = c->x;
	http_on_closed(x, NULL, NULL);
	collector_free(c);
	admin_reply(x, 200, "application/json", str_of(text));
	json_decref(v);
}

void admin_top(struct dns_shared *s, struct http_exchange *x)
{
	const char *text = http_query_get(http_request_of(x)->query, "seconds", http_arena(x));
	uint64_t seconds = 1;

	if (text && (!str_to_u64(str_of(text), SECONDS_MAX, &seconds) || seconds == 0)) {
		admin_reply_text(x, 400, "seconds is a number from 1 to 60");
		return;
	}
	if (n_collectors == COLLECTORS_MAX) {
		admin_reply_text(x, 503, "as many look as may: 8");
		return;
	}
	n_collectors++;
	struct collector *c = xcalloc(1, sizeof(*c));
	c->shared = s;
	c->x = x;
	c->start_us = loop_fresh_us();
	c->lost_before = dns_watch_lost(s->watch);
	c->tap = (struct watch_tap){ .event = on_event, .ctx = c };
	c->timer = (struct timer){ .fire = on_timer, .ctx = c };
	topk_init(&c->names, KEPT);
	topk_init(&c->clients, KEPT);
	watch_pods_hold(s);
	dns_watch_add(s->watch, &c->tap);
	dns_metrics_totals(s->metrics, &c->before);
	http_on_closed(x, on_closed, c);
	timer_start(s->main_loop, &c->timer, seconds * 1000);
}
