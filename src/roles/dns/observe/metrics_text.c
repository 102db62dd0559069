/* Exposition: Prometheus' text format 0.0.4. */
#include "roles/dns/observe/metrics_int.h"

#include "base/version.h"
#include "roles/dns/kernel/choose.h"

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_u64(struct buf *out, const char *name, const char *suffix, const char *labels, uint64_t v)
{
	buf_printf(out, "%s%s%s%s%s %llu\n", name, suffix, labels[0] ? "{" : "", labels, labels[0] ? "}" : "", (unsigned long long)v);
}

/* ---- of places ---- */
static void labels_of(const struct metrics_place *p, struct buf *labels)
{
	metric_label(labels, "server", p->server);
	metric_label(labels, "zone", p->zone);
	metric_label(labels, "view", "");
}

/* All workers' cells of a place added up; `at` is the number's place in the cell. */
static uint64_t sum_at(const struct dns_metrics *m, size_t place, size_t at)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < m->n_workers; w++)
		n += relaxed_load((const uint64_t *)((const char *)m->shards[w]->by_place[place] + at));
	return n;
}
#define sum_of(m, place, member) sum_at(m, place, offsetof(struct metrics_cell, member))

struct writer {
	const struct dns_metrics *m;
	struct buf *out, labels;
	const char *kernel_zone, *kernel_server; /* NULL: no kernel answers */
	struct kernel_counts kernel;
};

static bool kernel_has(const struct writer *w, size_t place)
{
	const struct metrics_place *p = &w->m->places[place];

	return w->kernel_zone && c_eq(p->zone, w->kernel_zone) && c_eq(p->server, w->kernel_server);
}

static void put_requests(struct writer *w, size_t place)
{
	size_t base = w->labels.len;

	for (unsigned i = 0; i < 4; i++)
		for (unsigned t = 0; t < TYPES; t++) {
			uint64_t n = sum_at(w->m, place, offsetof(struct metrics_cell, requests) + (i * TYPES + t) * sizeof(uint64_t));
			/* The kernel does not tell types apart; it sees IPv4 or IPv6 as the pods have it. */
			if (i == 0 && t == 0 && kernel_has(w, place))
				n += w->kernel.answered + w->kernel.denied;
			if (n == 0)
				continue;
			metric_label(&w->labels, "proto", i & 2 ? "tcp" : "udp");
			metric_label(&w->labels, "family", i & 1 ? "2" : "1");
			metric_label(&w->labels, "type", metrics_type_names[t]);
			put_u64(w->out, "coredns_dns_requests_total", "", w->labels.ptr, n);
			w->labels.ptr[w->labels.len = base] = '\0';
		}
}

static void put_histogram(struct buf *out, const char *name, const char *labels, const uint64_t *counts, const double *bounds, unsigned n,
			  double sum)
{
	const char *comma = labels[0] ? "," : "";
	uint64_t total = 0;

	for (unsigned i = 0; i < n; i++)
		buf_printf(out, "%s_bucket{%s%sle=\"%.15g\"} %llu\n", name, labels, comma, bounds[i],
			   (unsigned long long)(total += counts[i]));
	total += counts[n];
	buf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)total);
	buf_printf(out, labels[0] ? "%s_sum{%s} %.15g\n" : "%s_sum%s %.15g\n", name, labels, sum);
	put_u64(out, name, "_count", labels, total);
}

static void put_durations(struct writer *w, size_t place)
{
	uint64_t counts[DURATIONS], bounds_us[HISTOGRAM_BUCKETS_MAX], any = 0;
	double bounds[DURATIONS];
	unsigned n = metrics_histogram_bounds(METRIC_HISTOGRAM, bounds_us);

	for (unsigned i = 0; i < DURATIONS; i++) {
		any |= counts[i] = sum_at(w->m, place, offsetof(struct metrics_cell, durations) + i * sizeof(uint64_t));
		bounds[i] = i < n ? (double)bounds_us[i] / 1e6 : 0;
	}
	if (any)
		put_histogram(w->out, "coredns_dns_request_duration_seconds", w->labels.ptr, counts, bounds, n,
			      (double)sum_of(w->m, place, duration_us) / 1e6);
}

static void put_sizes(struct writer *w, size_t place, const char *name, size_t counts_at, size_t bytes_at)
{
	double bounds[SIZES - 1];
	size_t base = w->labels.len;

	for (unsigned i = 0; i < SIZES - 1; i++)
		bounds[i] = metrics_size_bounds[i];
	for (unsigned tcp = 0; tcp < 2; tcp++) {
		uint64_t counts[SIZES], any = 0;
		for (unsigned i = 0; i < SIZES; i++)
			any |= counts[i] = sum_at(w->m, place, counts_at + (tcp * SIZES + i) * sizeof(uint64_t));
		if (!any)
			continue;
		metric_label(&w->labels, "proto", tcp ? "tcp" : "udp");
		put_histogram(w->out, name, w->labels.ptr, counts, bounds, SIZES - 1,
			      (double)sum_at(w->m, place, bytes_at + tcp * sizeof(uint64_t)));
		w->labels.ptr[w->labels.len = base] = '\0';
	}
}

static void put_in(struct writer *w, size_t place)
{
	put_sizes(w, place, "coredns_dns_request_size_bytes", offsetof(struct metrics_cell, in), offsetof(struct metrics_cell, in_bytes));
}

static void put_out(struct writer *w, size_t place)
{
	put_sizes(w, place, "coredns_dns_response_size_bytes", offsetof(struct metrics_cell, out),
		  offsetof(struct metrics_cell, out_bytes));
}

static void put_dnssec_ok(struct writer *w, size_t place)
{
	uint64_t n = sum_of(w->m, place, dnssec_ok);

	if (n)
		put_u64(w->out, "coredns_dns_do_requests_total", "", w->labels.ptr, n);
}

static void put_response(struct writer *w, const char *rcode, const char *plugin, uint64_t n)
{
	size_t base = w->labels.len;

	if (n == 0)
		return;
	metric_label(&w->labels, "rcode", rcode);
	metric_label(&w->labels, "plugin", plugin);
	put_u64(w->out, "coredns_dns_responses_total", "", w->labels.ptr, n);
	w->labels.ptr[w->labels.len = base] = '\0';
}

static void put_responses(struct writer *w, size_t place)
{
	char text[16];

	for (unsigned r = 0; r < ROWS_MAX; r++)
		for (unsigned c = 0; c < RCODES; c++) {
			uint64_t n = 0;
			for (unsigned i = 0; i < w->m->n_workers; i++) {
				const uint64_t *row = __atomic_load_n(&w->m->shards[i]->by_place[place]->rows[r], __ATOMIC_ACQUIRE);
				n += row ? relaxed_load(&row[c]) : 0;
			}
			put_response(w, metrics_rcode_name(c, text), metrics_row_name(w->m, n ? r : 0), n);
		}
	if (!kernel_has(w, place))
		return;
	put_response(w, "NOERROR", "kernel", w->kernel.answered);
	put_response(w, "NXDOMAIN", "kernel", w->kernel.denied);
}

static const struct {
	const char *name, *type, *help;
	void (*put)(struct writer *w, size_t place);
} place_families[] = {
	{ "coredns_dns_requests_total", "counter", "Counter of DNS requests made per zone, protocol and family.", put_requests },
	{ "coredns_dns_request_duration_seconds", "histogram", "Histogram of the time (in seconds) each request took per zone.",
	  put_durations },
	{ "coredns_dns_request_size_bytes", "histogram", "Size of the requests in bytes per zone and protocol.", put_in },
	{ "coredns_dns_do_requests_total", "counter", "Counter of DNS requests with DO bit set per zone.", put_dnssec_ok },
	{ "coredns_dns_response_size_bytes", "histogram", "Size of the returned response in bytes.", put_out },
	{ "coredns_dns_responses_total", "counter", "Counter of response status codes.", put_responses },
};

static void put_places(struct writer *w)
{
	for (size_t f = 0; f < ARRAY_LEN(place_families); f++) {
		put_head(w->out, place_families[f].name, place_families[f].type, place_families[f].help);
		for (size_t p = 0; p < w->m->n_places; p++) {
			buf_clear(&w->labels);
			labels_of(&w->m->places[p], &w->labels);
			place_families[f].put(w, p);
		}
	}
}

/* ---- of plug-ins ---- */
static void put_metric_histogram(struct buf *out, const struct metric *s)
{
	uint64_t bounds_us[HISTOGRAM_BUCKETS_MAX], counts[HISTOGRAM_BUCKETS_MAX] = { 0 }, sum = 0;
	unsigned n = metrics_histogram_bounds(s->family->kind, bounds_us);
	double bounds[HISTOGRAM_BUCKETS_MAX];

	for (unsigned i = 0; i <= n; i++) {
		bounds[i] = i < n ? (double)bounds_us[i] / 1e6 : 0;
		for (unsigned w = 0; w < s->n_slots; w++)
			counts[i] += relaxed_load(&s->slots[w].n[i]);
	}
	for (unsigned w = 0; w < s->n_slots; w++)
		sum += relaxed_load(&s->slots[w].sum);
	put_histogram(out, s->family->name, s->labels, counts, bounds, n, (double)sum / 1e6);
}

static void put_metric(struct buf *out, const struct metric *s)
{
	if (s->family->kind >= METRIC_HISTOGRAM)
		put_metric_histogram(out, s);
	else
		buf_printf(out, s->labels[0] ? "%s{%s} %lld\n" : "%s%s %lld\n", s->family->name, s->labels, (long long)metric_value(s));
}

static void put_families(struct writer *w)
{
	static const char *const types[] = { "counter", "gauge", "histogram", "histogram", "histogram" };
	struct dns_metrics *m = (struct dns_metrics *)w->m;

	pthread_mutex_lock(&m->lock);
	for (const struct metric_family *f = m->families; f; f = f->next) {
		put_head(w->out, f->name, types[f->kind], f->help);
		for (const struct metric *s = f->first; s; s = s->next)
			put_metric(w->out, s);
	}
	pthread_mutex_unlock(&m->lock);
}

/* ---- of the configuration ---- */
static void put_build(struct buf *out)
{
	put_head(out, "coredns_build_info", "gauge",
		 "A metric with a constant '1' value labeled by version, revision, and goversion from which it was built.");
	buf_puts(out, "coredns_build_info{version=\"portico-" PORTICO_VERSION "\",revision=\"\",goversion=\"\"} 1\n");
}

static void put_plugins(struct writer *w, const struct dns_config *c)
{
	put_head(w->out, "coredns_plugin_enabled", "gauge",
		 "A metric that indicates whether a plugin is enabled on per server and zone basis.");
	for (size_t i = 0; c && i < c->n_blocks; i++)
		for (size_t z = 0; z < c->blocks[i].n_zones; z++) {
			const struct dns_block *b = &c->blocks[i];
			if (!b->metrics_id)
				continue;
			for (size_t p = 0; p < b->n_plugins; p++) {
				buf_clear(&w->labels);
				labels_of(&w->m->places[w->m->runs[b->metrics_id + z]], &w->labels);
				metric_label(&w->labels, "name", b->plugins[p].plugin->name);
				put_u64(w->out, "coredns_plugin_enabled", "", w->labels.ptr, 1);
			}
		}
}

static void put_kernel(struct writer *w)
{
	static const char name[] = "portico_dns_kernel_answers_total";

	put_head(w->out, name, "counter", "Questions of pods that the kernel answered (answered, denied) or left to user space (passed).");
	put_u64(w->out, name, "", "result=\"answered\"", w->kernel.answered);
	put_u64(w->out, name, "", "result=\"denied\"", w->kernel.denied);
	put_u64(w->out, name, "", "result=\"passed\"", w->kernel.passed);
}

void metrics_write_with(const struct dns_metrics *m, const struct dns_config *c, const struct kernel_counts *kernel,
			const struct dns_block *kernel_for, struct buf *out)
{
	struct writer w = { .m = m, .out = out };

	buf_init(&w.labels, 64u << 10);
	if (kernel)
		w.kernel = *kernel;
	if (kernel && kernel_for && kernel_for->metrics_id) {
		w.kernel_zone = m->places[m->runs[kernel_for->metrics_id]].zone;
		w.kernel_server = m->places[m->runs[kernel_for->metrics_id]].server;
	}
	put_build(out);
	put_places(&w);
	put_plugins(&w, c);
	put_families(&w);
	if (kernel)
		put_kernel(&w);
	metrics_put_process(out);
	buf_done(&w.labels);
}

void dns_metrics_write(struct dns_metrics *m, const struct dns_shared *s, struct buf *out)
{
	const struct dns_config *c = __atomic_load_n(&s->config, __ATOMIC_ACQUIRE);
	struct kernel_counts kernel = { 0 };

	if (s->kernel)
		kernel_answers_counts(s->kernel, &kernel);
	metrics_write_with(m, c, s->kernel ? &kernel : NULL, s->kernel && c ? kernel_block(c) : NULL, out);
}
