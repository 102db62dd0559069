#include "roles/ingress/observe/top.h"

#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/upstream/upstream.h"

#define relaxed(p) (unsigned long long)__atomic_load_n(&(p), __ATOMIC_RELAXED)

struct top {
	struct buf *out;
	size_t n, n_bounds;
	uint64_t now_ms;
};

static void put_text(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "\"%s\":", name);
	buf_put_json(out, str_of(value ? value : ""));
	buf_putc(out, ',');
}

static void put_route(void *ctx, const struct metrics_route *r)
{
	struct top *t = ctx;
	const char *comma = "";

	buf_puts(t->out, t->n++ ? ",{" : "{");
	put_text(t->out, "namespace", r->ns);
	put_text(t->out, "ingress", r->ingress);
	put_text(t->out, "service", r->service);
	put_text(t->out, "host", r->host);
	put_text(t->out, "path", r->path);
	buf_printf(t->out, "\"requests\":%llu,\"status\":[", (unsigned long long)r->requests);
	for (size_t i = 0; i < ARRAY_LEN(r->by_class); i++)
		buf_printf(t->out, "%s%llu", i ? "," : "", (unsigned long long)r->by_class[i]);
	buf_printf(t->out, "],\"bytesIn\":%llu,\"bytesOut\":%llu,\"timeUs\":%llu,\"duration\":[", (unsigned long long)r->bytes_in,
		   (unsigned long long)r->bytes_out, (unsigned long long)r->time_us);
	for (size_t i = 0; i <= t->n_bounds; i++)
		if (r->duration[i]) {
			buf_printf(t->out, "%s[%zu,%llu]", comma, i, (unsigned long long)r->duration[i]);
			comma = ",";
		}
	buf_puts(t->out, "]}");
}

static void put_endpoint(struct top *t, const struct backend *b, const struct endpoint *e, bool draining)
{
	static const char *const health[] = { "unchecked", "healthy", "unhealthy" };
	uint64_t until = relaxed(e->ejected_until_ms);

	buf_puts(t->out, t->n++ ? ",{" : "{");
	put_text(t->out, "backend", b->key);
	put_text(t->out, "address", e->text);
	put_text(t->out, "pod", e->pod);
	put_text(t->out, "health", health[MIN(relaxed(e->health), 2ull)]);
	buf_printf(t->out,
		   "\"inFlight\":%llu,\"ewmaUs\":%llu,\"requests\":%llu,\"errors\":%llu,\"ejectedMs\":%llu,\"draining\":%s}",
		   relaxed(e->in_flight), relaxed(e->ewma_us), relaxed(e->requests), relaxed(e->errors),
		   (unsigned long long)(until > t->now_ms ? until - t->now_ms : 0), draining ? "true" : "false");
}

static void put_backend(void *ctx, struct backend *b)
{
	const struct endpoints *es = backend_endpoints(b);

	for (size_t i = 0; i < es->n; i++)
		put_endpoint(ctx, b, es->at[i], es->draining && es->draining[i]);
}

static void put_totals(struct buf *out, const struct metrics *m)
{
	static const struct {
		const char *name;
		enum metric which;
	} rows[] = {
		{ "accepted", METRIC_CONNECTIONS_ACCEPTED }, { "requests", METRIC_REQUESTS }, { "retries", METRIC_RETRIES },
		{ "ejections", METRIC_EJECTIONS }, { "circuitOpen", METRIC_CIRCUIT_OPEN }, { "upstreamConnects", METRIC_UP_CONNECTS },
		{ "upstreamReused", METRIC_UP_REUSED }, { "tlsHandshakes", METRIC_TLS_HANDSHAKES },
		{ "tlsResumed", METRIC_TLS_RESUMED }, { "badRequests", METRIC_BAD_REQUESTS }, { "logDropped", METRIC_LOG_DROPPED },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		buf_printf(out, "%s\"%s\":%llu", i ? "," : "", rows[i].name, (unsigned long long)metrics_total(m, rows[i].which));
}

void top_write(const struct shared *s, struct buf *out)
{
	struct top t = { .out = out, .now_ms = loop_now_ms(s->main_loop) };
	const uint32_t *bounds = metrics_duration_bounds(&t.n_bounds);
	struct metrics_connections c = metrics_connections(s->metrics);

	buf_printf(out, "{\"nowUs\":%llu,\"connections\":{\"active\":%llu,\"waiting\":%llu},\"totals\":{",
		   (unsigned long long)loop_now_us(s->main_loop), (unsigned long long)c.active, (unsigned long long)c.waiting);
	put_totals(out, s->metrics);
	buf_puts(out, "},\"boundsUs\":[");
	for (size_t i = 0; i < t.n_bounds; i++)
		buf_printf(out, "%s%u", i ? "," : "", bounds[i]);
	buf_puts(out, "],\"routes\":[");
	metrics_each_route(s->metrics, put_route, &t);
	buf_puts(out, "],\"endpoints\":[");
	t.n = 0;
	backends_each(s->backends, put_backend, &t);
	buf_puts(out, "]}\n");
}
