#include "roles/cli/top_sample.h"

#include "base/map.h"

#define BUCKETS_MAX 64

static int64_t at(const json_t *array, size_t i)
{
	return (int64_t)json_integer_value(json_array_get(array, i));
}

/* What was added to a counter; one that fell has begun anew. */
static int64_t grown(int64_t before, int64_t now)
{
	return now >= before ? now - before : now;
}

static int64_t grown_at(const json_t *before, const json_t *now, const char *path)
{
	return grown(jx_int(before, path, 0), jx_int(now, path, 0));
}

static void counts_add(const json_t *pairs, int64_t sign, int64_t out[BUCKETS_MAX])
{
	json_t *p;
	size_t i;

	json_array_foreach(pairs, i, p)
		if (at(p, 0) >= 0 && at(p, 0) < BUCKETS_MAX)
			out[at(p, 0)] += sign * at(p, 1);
}

double top_quantile_ms(const int64_t *counts, const json_t *bounds, double q)
{
	size_t n = json_array_size(bounds);
	double total = 0, seen = 0;

	for (size_t i = 0; i <= n && i < BUCKETS_MAX; i++)
		total += (double)MAX(counts[i], 0);
	if (total == 0)
		return -1;
	for (size_t i = 0; i <= n && i < BUCKETS_MAX; i++) {
		double here = (double)MAX(counts[i], 0), from = i ? (double)at(bounds, i - 1) : 0;
		if (here > 0 && seen + here >= q * total)
			return (i == n ? from : from + ((double)at(bounds, i) - from) * (q * total - seen) / here) / 1000;
		seen += here;
	}
	return (double)at(bounds, n - 1) / 1000;
}

static void rate_init(struct top_rate *r, const json_t *before, const json_t *now, double seconds, const json_t *bounds,
		      int64_t all[BUCKETS_MAX])
{
	int64_t counts[BUCKETS_MAX] = { 0 };

	r->ns = jx_str_or(now, "namespace", "");
	r->ingress = jx_str_or(now, "ingress", "");
	r->service = jx_str_or(now, "service", "");
	r->host = jx_str_or(now, "host", "");
	r->path = jx_str_or(now, "path", "");
	if (seconds <= 0)
		seconds = 1e12;
	r->per_s = (double)grown_at(before, now, "requests") / seconds;
	r->in_per_s = (double)grown_at(before, now, "bytesIn") / seconds;
	r->out_per_s = (double)grown_at(before, now, "bytesOut") / seconds;
	for (size_t i = 0; i < ARRAY_LEN(r->class_per_s); i++)
		r->class_per_s[i] = (double)grown(at(jx_at(before, "status"), i), at(jx_at(now, "status"), i)) / seconds;
	counts_add(jx_at(now, "duration"), 1, counts);
	if (jx_int(before, "requests", 0) <= jx_int(now, "requests", 0))
		counts_add(jx_at(before, "duration"), -1, counts);
	r->p50_ms = top_quantile_ms(counts, bounds, 0.50);
	r->p99_ms = top_quantile_ms(counts, bounds, 0.99);
	for (size_t i = 0; i < BUCKETS_MAX; i++)
		all[i] += counts[i];
}

static void rate_add(struct top_rate *sum, const struct top_rate *r)
{
	sum->per_s += r->per_s;
	sum->in_per_s += r->in_per_s;
	sum->out_per_s += r->out_per_s;
	for (size_t i = 0; i < ARRAY_LEN(r->class_per_s); i++)
		sum->class_per_s[i] += r->class_per_s[i];
}

/* ---- the same thing in both documents ---- */
static char *key_of(const json_t *v, const char *const *members)
{
	struct buf b;

	buf_init(&b, 64u << 10);
	for (; *members; members++) {
		buf_puts(&b, jx_str_or(v, *members, ""));
		buf_putc(&b, '\n');
	}
	return buf_take(&b);
}

static const char *const route_key[] = { "namespace", "ingress", "service", "host", "path", NULL };
static const char *const endpoint_key[] = { "backend", "address", NULL };

static void index_by(struct map *m, const json_t *list, const char *const *members)
{
	json_t *v;
	size_t i;

	map_init(m);
	json_array_foreach(list, i, v) {
		cleanup(freep) char *key = key_of(v, members);
		map_put_c(m, key, v);
	}
}

static const json_t *same(const struct map *m, const json_t *v, const char *const *members)
{
	cleanup(freep) char *key = key_of(v, members);

	return map_get_c(m, key);
}

static int busier(const void *a, const void *b)
{
	const struct top_rate *x = a, *y = b;

	if (x->per_s != y->per_s)
		return x->per_s < y->per_s ? 1 : -1;
	int c = strcmp(x->host, y->host);
	return c ? c : strcmp(x->path, y->path);
}

static void take_routes(struct top_sample *s, const json_t *before)
{
	const json_t *list = jx_at(s->doc, "routes"), *bounds = jx_at(s->doc, "boundsUs");
	int64_t all[BUCKETS_MAX] = { 0 };
	struct map old;
	json_t *v;
	size_t i;

	index_by(&old, jx_at(before, "routes"), route_key);
	s->routes = xcalloc(json_array_size(list) + 1, sizeof(*s->routes));
	json_array_foreach(list, i, v) {
		struct top_rate *r = &s->routes[s->n_routes++];
		rate_init(r, same(&old, v, route_key), v, s->seconds, bounds, all);
		rate_add(&s->all, r);
	}
	s->all.p50_ms = top_quantile_ms(all, bounds, 0.50);
	s->all.p99_ms = top_quantile_ms(all, bounds, 0.99);
	qsort(s->routes, s->n_routes, sizeof(*s->routes), busier);
	map_done(&old, NULL);
}

static void take_endpoints(struct top_sample *s, const json_t *before)
{
	const json_t *list = jx_at(s->doc, "endpoints");
	double seconds = s->seconds > 0 ? s->seconds : 1e12;
	struct map old;
	json_t *v;
	size_t i;

	index_by(&old, jx_at(before, "endpoints"), endpoint_key);
	s->endpoints = xcalloc(json_array_size(list) + 1, sizeof(*s->endpoints));
	json_array_foreach(list, i, v) {
		const json_t *was = same(&old, v, endpoint_key);
		s->endpoints[s->n_endpoints++] = (struct top_endpoint){
			.backend = jx_str_or(v, "backend", ""), .address = jx_str_or(v, "address", ""), .pod = jx_str_or(v, "pod", ""),
			.health = jx_str_or(v, "health", ""), .per_s = (double)grown_at(was, v, "requests") / seconds,
			.errors_per_s = (double)grown_at(was, v, "errors") / seconds,
			.average_ms = (double)jx_int(v, "ewmaUs", 0) / 1000, .in_flight = jx_int(v, "inFlight", 0),
			.ejected_ms = jx_int(v, "ejectedMs", 0), .draining = jx_bool(v, "draining", false),
		};
	}
	map_done(&old, NULL);
}

void top_sample_init(struct top_sample *s, const json_t *before, json_t *now)
{
	*s = (struct top_sample){ .doc = now };
	s->seconds = before ? (double)(jx_int(now, "nowUs", 0) - jx_int(before, "nowUs", 0)) / 1e6 : 0;
	s->active = jx_int(now, "connections.active", 0);
	s->waiting = jx_int(now, "connections.waiting", 0);
	double seconds = s->seconds > 0 ? s->seconds : 1e12;
	s->accepted_per_s = (double)grown_at(before, now, "totals.accepted") / seconds;
	s->retries_per_s = (double)grown_at(before, now, "totals.retries") / seconds;
	s->ejections_per_s = (double)grown_at(before, now, "totals.ejections") / seconds;
	double reused = (double)grown_at(before, now, "totals.upstreamReused");
	double made = (double)grown_at(before, now, "totals.upstreamConnects");
	s->reused = reused + made > 0 ? reused / (reused + made) : -1;
	take_routes(s, before);
	take_endpoints(s, before);
}

void top_sample_done(struct top_sample *s)
{
	json_decref(s->doc);
	free(s->routes);
	free(s->endpoints);
}

/* ---- as JSON ---- */
static json_t *rate_json(const struct top_rate *r)
{
	json_t *v = json_pack("{s:f, s:f, s:f, s:{s:f, s:f, s:f, s:f, s:f}}", "requestsPerSecond", r->per_s, "bytesInPerSecond",
			      r->in_per_s, "bytesOutPerSecond", r->out_per_s, "statusPerSecond", "1xx", r->class_per_s[1], "2xx",
			      r->class_per_s[2], "3xx", r->class_per_s[3], "4xx", r->class_per_s[4], "5xx", r->class_per_s[5]);

	if (r->p50_ms >= 0) {
		json_object_set_new(v, "p50Ms", json_real(r->p50_ms));
		json_object_set_new(v, "p99Ms", json_real(r->p99_ms));
	}
	if (!r->ns)
		return v;
	jx_set_str(v, "namespace", r->ns);
	jx_set_str(v, "ingress", r->ingress);
	jx_set_str(v, "service", r->service);
	jx_set_str(v, "host", r->host);
	jx_set_str(v, "path", r->path);
	return v;
}

static json_t *endpoint_json(const struct top_endpoint *e)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:I, s:I, s:b}", "backend", e->backend, "address", e->address, "pod",
			 e->pod, "health", e->health, "requestsPerSecond", e->per_s, "errorsPerSecond", e->errors_per_s, "averageMs",
			 e->average_ms, "inFlight", (json_int_t)e->in_flight, "ejectedMs", (json_int_t)e->ejected_ms, "draining",
			 e->draining);
}

json_t *top_sample_json(const struct top_sample *s)
{
	json_t *routes = json_array(), *endpoints = json_array();

	for (size_t i = 0; i < s->n_routes; i++)
		json_array_append_new(routes, rate_json(&s->routes[i]));
	for (size_t i = 0; i < s->n_endpoints; i++)
		json_array_append_new(endpoints, endpoint_json(&s->endpoints[i]));
	json_t *v = json_pack("{s:f, s:o, s:{s:I, s:I, s:f}, s:f, s:f, s:o, s:o}", "seconds", s->seconds, "all", rate_json(&s->all),
			      "connections", "active", (json_int_t)s->active, "waiting", (json_int_t)s->waiting, "acceptedPerSecond",
			      s->accepted_per_s, "retriesPerSecond", s->retries_per_s, "ejectionsPerSecond", s->ejections_per_s,
			      "routes", routes, "endpoints", endpoints);
	if (s->reused >= 0)
		json_object_set_new(v, "upstreamReused", json_real(s->reused));
	return v;
}
