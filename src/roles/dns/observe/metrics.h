/* metrics.h - what was asked and answered, under CoreDNS' metric names: counted per worker, added up when scraped.
 *
 * Names, labels and buckets: coredns plugin/metrics/vars, plugin/plugin.go (TimeBuckets, SlimTimeBuckets).
 */
#pragma once

#include "base/buf.h"
#include "roles/dns/serve/request.h"

struct dns_metrics;
struct metrics_shard_dns;
struct dns_metrics *dns_metrics_new(unsigned n_workers);
void dns_metrics_free(struct dns_metrics *m);
struct metrics_shard_dns *dns_metrics_shard(struct dns_metrics *m, unsigned worker);
/* Main thread, before workers see the configuration: gives every block its place (block->metrics_id). */
void dns_metrics_config(struct dns_metrics *m, struct dns_config *c);

struct metrics_question {
	const struct dns_block *block; /* its server name and zone label; NULL: none took it ("dropped") */
	const struct dns_name *name;   /* lower case: which of the block's zones; NULL: the first */
	enum dns_proto proto;
	bool ipv6, dnssec_ok;
	uint16_t type;
	enum dns_rcode rcode;
	enum request_source source;
	const struct plugin_instance *plugin; /* who answered, of this block; NULL: told by `source` */
	size_t question_bytes, answer_bytes;
	uint64_t duration_us;
};
/* One answered question. Cheap: a few additions in the worker's own memory. */
void dns_metrics_count(struct metrics_shard_dns *m, const struct metrics_question *q);

/* For plug-ins: a series with labels ("server=\"dns://:53\",type=\"success\"", "" for none), made once, counted per
 * worker. Returns a handle, the same for the same name and labels; it lasts as long as `m`. Any thread. Texts are copied. */
struct metric;
enum metric_kind {
	METRIC_COUNTER,
	METRIC_GAUGE,
	METRIC_HISTOGRAM,      /* of durations: 0.25 ms, doubled 16 times */
	METRIC_HISTOGRAM_SLIM, /* 0.25 ms, times ten, five times */
	METRIC_HISTOGRAM_LONG, /* 1 ms, doubled 20 times */
};
#define METRIC_MAIN UINT32_MAX /* in place of a worker's number: the main thread */
struct metric *dns_metric(struct dns_metrics *m, const char *name, enum metric_kind kind, const char *help, const char *labels);
void metric_add(struct metric *m, unsigned worker, int64_t by);
void metric_set(struct metric *m, int64_t to); /* METRIC_GAUGE that nobody adds to; main thread */
void metric_observe_us(struct metric *m, unsigned worker, uint64_t us); /* METRIC_HISTOGRAM… */
int64_t metric_value(const struct metric *m); /* of all workers; histograms: how many */
/* `,name="value"` behind what is in `labels`, escaped as the format wants it; without the comma when that is empty. */
void metric_label(struct buf *labels, const char *name, const char *value);

/* The SLI "DNS programming latency": an EndpointSlice's change is in the zone now. Not for what the first list brings.
 * Slices without endpoints.kubernetes.io/last-change-trigger-time are not counted. Main thread. */
void dns_metrics_programmed(struct dns_metrics *m, const json_t *slice, bool headless);

void dns_metrics_write(struct dns_metrics *m, const struct dns_shared *s, struct buf *out); /* Prometheus' text format */

/* All blocks together, for `portico dns top`. */
struct dns_totals {
	uint64_t questions, rcode[24], udp, tcp, by_source[FROM_PLUGIN + 1], duration_us;
};
void dns_metrics_totals(const struct dns_metrics *m, struct dns_totals *ret);
