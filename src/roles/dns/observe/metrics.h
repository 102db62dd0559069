/* metrics.h - what was asked and answered, under CoreDNS' metric names: counted per worker, added up when scraped. */
#pragma once

#include "base/buf.h"
#include "roles/dns/serve/request.h"

struct dns_metrics;
struct metrics_shard_dns;
struct dns_metrics *dns_metrics_new(unsigned n_workers);
void dns_metrics_free(struct dns_metrics *m);
struct metrics_shard_dns *dns_metrics_shard(struct dns_metrics *m, unsigned worker);

struct metrics_question {
	const struct dns_block *block; /* its server name and zone label */
	enum dns_proto proto;
	bool ipv6, dnssec_ok;
	uint16_t type;
	enum dns_rcode rcode;
	size_t question_bytes, answer_bytes;
	uint64_t duration_us;
};
/* One answered question. Cheap: a few additions in the worker's own memory. */
void dns_metrics_count(struct metrics_shard_dns *m, const struct metrics_question *q);

/* For plug-ins: a counter or gauge with labels ("coredns_cache_hits_total", "server=\"dns://:53\",type=\"success\"…"), made
 * once, counted per worker. Returns a handle, the same for the same name and labels. */
struct metric;
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };
struct metric *dns_metric(struct dns_metrics *m, const char *name, enum metric_kind kind, const char *help, const char *labels);
void metric_add(struct metric *m, unsigned worker, int64_t by);
void metric_observe_us(struct metric *m, unsigned worker, uint64_t us); /* METRIC_HISTOGRAM, CoreDNS' duration buckets */
void dns_metrics_write(struct dns_metrics *m, const struct dns_shared *s, struct buf *out); /* Prometheus' text format */
