/* Continues the client's trace on its way to the upstream, or starts one. */
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/observe/trace.h"

#include <sys/random.h>

/* xoroshiro128+ (Blackman, Vigna 2018), seeded once a thread: ids must differ, they keep no secret. */
static uint64_t random_bits(void)
{
	static __thread uint64_t s[2];

	while (!s[0] && !s[1])
		if (getrandom(s, sizeof(s), 0) != sizeof(s))
			s[0] = s[1] = 0;
	uint64_t a = s[0], b = s[1], result = a + b;
	b ^= a;
	s[0] = (a << 24 | a >> 40) ^ b ^ (b << 16);
	s[1] = b << 37 | b >> 27;
	return result;
}

static void random_id(uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t v = random_bits() | 1; /* never all zero */
		memcpy(out + i, &v, 8);
	}
}

static unsigned count_headers(const struct header_list *l, const char *name)
{
	unsigned n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += str_ieq(l->at[i].name, str_of(name));
	return n;
}

/* More than one traceparent is no parent (section 3.2.1). */
static bool parent_of(const struct exchange *x, struct trace_context *ret)
{
	return count_headers(&x->req.headers, "traceparent") == 1 &&
	       trace_parent_parse(header_get(&x->req.headers, "traceparent"), ret);
}

/* By the trace's id, as OpenTelemetry's TraceIdRatioBased does: whoever else asks comes to the same. */
static bool is_sampled(const struct trace_context *c, unsigned per_10000)
{
	uint64_t id;

	memcpy(&id, c->trace_id, sizeof(id));
	return (uint64_t)((unsigned __int128)id * 10000 >> 64) < per_10000;
}

static enum filter_verdict begin(struct exchange *x, void **state)
{
	const struct globals *g = globals_now(x->worker->shared);
	struct trace_context c;
	bool continued = x->loc->set->opentelemetry_trust_incoming_span && parent_of(x, &c);

	if (continued)
		*state = x; /* tracestate may be passed on */
	else
		random_id(c.trace_id, sizeof(c.trace_id));
	if (!continued || !g->trace_parent_based)
		c.sampled = is_sampled(&c, g->trace_sample_per_10000);
	random_id(c.span_id, sizeof(c.span_id));
	trace_parent_write(&c, x->trace_parent);
	return FILTER_NEXT;
}

/* Several tracestate headers are one list (section 3.3.1). */
static struct str state_of(struct exchange *x)
{
	struct str all = STR_NONE;

	for (size_t i = 0; i < x->req.headers.n; i++) {
		const struct http_header *h = &x->req.headers.at[i];
		if (!str_ieq(h->name, STR("tracestate")))
			continue;
		all = all.ptr ? x_printf(x, STR_FMT "," STR_FMT, STR_ARG(all), STR_ARG(h->value)) : h->value;
		if (!all.ptr || all.len > TRACE_STATE_BYTES_MAX)
			return STR_NONE;
	}
	return all;
}

static void to_upstream(struct exchange *x, void **state)
{
	struct str list = *state ? state_of(x) : STR_NONE;

	header_set(x, &x->up_headers, "traceparent", str_of(x->trace_parent));
	header_del(&x->up_headers, "tracestate");
	if (list.ptr && trace_state_valid(list))
		header_add(x, &x->up_headers, "tracestate", list);
}

static bool wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	return loc->set->enable_opentelemetry;
}

const struct filter filter_trace = {
	.name = "trace",
	.pure = true,
	.wanted = wanted,
	.request = begin,
	.upstream = to_upstream,
};
