/* Series of plug-ins: a name, labels, a number or histogram for each worker. */
#include "roles/dns/observe/metrics_int.h"

#include <stdio.h>
#include <time.h>

unsigned metrics_histogram_bounds(enum metric_kind kind, uint64_t out[HISTOGRAM_BUCKETS_MAX])
{
	static const struct {
		uint64_t first, factor;
		unsigned n;
	} rows[] = {
		[METRIC_HISTOGRAM] = { 250, 2, DURATIONS - 1 },
		[METRIC_HISTOGRAM_SLIM] = { 250, 10, 5 },
		[METRIC_HISTOGRAM_LONG] = { 1000, 2, 20 },
	};
	uint64_t bound = rows[kind].first;

	for (unsigned i = 0; i < rows[kind].n; i++, bound *= rows[kind].factor)
		out[i] = bound;
	return rows[kind].n;
}

static struct metric_family *family(struct dns_metrics *m, const char *name, enum metric_kind kind, const char *help)
{
	for (struct metric_family *f = m->families; f; f = f->next)
		if (strcmp(f->name, name) == 0)
			return f->kind == kind ? f : NULL;
	struct metric_family *f = xcalloc(1, sizeof(*f));
	*f = (struct metric_family){ .name = xstrdup(name), .help = xstrdup(help), .kind = kind };
	f->last = &f->first;
	*m->last_family = f;
	m->last_family = &f->next;
	return f;
}

static struct metric *series(struct dns_metrics *m, struct metric_family *f, const char *labels)
{
	struct metric *s = xcalloc(1, sizeof(*s));

	*s = (struct metric){ .family = f, .labels = xstrdup(labels), .n_slots = m->n_workers + 1 };
	s->slots = aligned_alloc(_Alignof(struct metric_slot), s->n_slots * sizeof(*s->slots));
	if (!s->slots)
		abort();
	memset(s->slots, 0, s->n_slots * sizeof(*s->slots));
	return s;
}

struct metric *dns_metric(struct dns_metrics *m, const char *name, enum metric_kind kind, const char *help, const char *labels)
{
	struct metric *s = NULL;

	pthread_mutex_lock(&m->lock);
	struct metric_family *f = family(m, name, kind, help);
	for (s = f ? f->first : NULL; s && strcmp(s->labels, labels ? labels : "") != 0; s = s->next)
		;
	if (!s && f && m->n_series < SERIES_MAX) {
		s = series(m, f, labels ? labels : "");
		*f->last = s;
		f->last = &s->next;
		m->n_series++;
	}
	if (!s)
		s = m->nowhere;
	pthread_mutex_unlock(&m->lock);
	return s;
}

static struct metric_slot *slot(struct metric *s, unsigned worker)
{
	return &s->slots[MIN(worker, s->n_slots - 1)];
}

void metric_add(struct metric *s, unsigned worker, int64_t by)
{
	relaxed_add(&slot(s, worker)->n[0], (uint64_t)by);
}

void metric_set(struct metric *s, int64_t to)
{
	__atomic_store_n(&slot(s, METRIC_MAIN)->n[0], (uint64_t)to, __ATOMIC_RELAXED);
}

void metric_observe_us(struct metric *s, unsigned worker, uint64_t us)
{
	struct metric_slot *at = slot(s, worker);
	uint64_t bounds[HISTOGRAM_BUCKETS_MAX];
	unsigned i = 0;

	if (!s->family || s->family->kind < METRIC_HISTOGRAM)
		return;
	if (s->family->kind == METRIC_HISTOGRAM) {
		i = metrics_duration_bucket(us);
	} else {
		unsigned n = metrics_histogram_bounds(s->family->kind, bounds);
		while (i < n && us > bounds[i])
			i++;
	}
	relaxed_add(&at->n[i], 1);
	relaxed_add(&at->sum, us);
}

int64_t metric_value(const struct metric *s)
{
	unsigned n = s->family && s->family->kind >= METRIC_HISTOGRAM ? HISTOGRAM_BUCKETS_MAX : 1;
	uint64_t sum = 0;

	for (unsigned w = 0; w < s->n_slots; w++)
		for (unsigned i = 0; i < n; i++)
			sum += relaxed_load(&s->slots[w].n[i]);
	return (int64_t)sum;
}

void metric_label(struct buf *labels, const char *name, const char *value)
{
	buf_printf(labels, "%s%s=\"", labels->len ? "," : "", name);
	for (; *value; value++)
		if (*value == '\n')
			buf_puts(labels, "\\n");
		else
			buf_printf(labels, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
	buf_putc(labels, '"');
}

/* ---- how long a change took to become visible ---- */

/* RFC 3339 with any fraction. */
static int64_t trigger_time_ms(const json_t *slice)
{
	const char *text = jx_annotation(slice, "endpoints.kubernetes.io/last-change-trigger-time");
	int64_t ms;

	return text && time_parse(text, &ms) == 0 ? ms : -1;
}

void dns_metrics_programmed(struct dns_metrics *m, const json_t *slice, bool headless)
{
	int64_t at = trigger_time_ms(slice), now = wall_now_ms();

	if (at >= 0)
		metric_observe_us(m->programmed[headless], METRIC_MAIN, now > at ? (uint64_t)(now - at) * 1000 : 0);
}

/* ---- life ---- */
static void series_free(struct metric *s)
{
	free(s->labels);
	free(s->slots);
	free(s);
}

void metrics_series_init(struct dns_metrics *m)
{
	static const char name[] = "coredns_kubernetes_dns_programming_duration_seconds",
			  help[] = "Histogram of the time (in seconds) it took to program a dns instance.";

	pthread_mutex_init(&m->lock, NULL);
	m->last_family = &m->families;
	m->nowhere = series(m, NULL, "");
	m->programmed[0] = dns_metric(m, name, METRIC_HISTOGRAM_LONG, help, "service_kind=\"cluster_ip\"");
	m->programmed[1] = dns_metric(m, name, METRIC_HISTOGRAM_LONG, help, "service_kind=\"headless_with_selector\"");
	dns_metric(m, "coredns_panics_total", METRIC_COUNTER, "A metrics that counts the number of panics.", "");
	dns_metric(m, "coredns_reload_failed_total", METRIC_COUNTER, "Counter of the number of failed reload attempts.", "");
}

void metrics_series_done(struct dns_metrics *m)
{
	for (struct metric_family *f = m->families, *next; f; f = next) {
		next = f->next;
		for (struct metric *s = f->first, *after; s; s = after) {
			after = s->next;
			series_free(s);
		}
		free(f->name);
		free(f->help);
		free(f);
	}
	series_free(m->nowhere);
	pthread_mutex_destroy(&m->lock);
}
