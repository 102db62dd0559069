/* metrics_int.h - the metrics' memory: one writer for each word, read by whoever scrapes. */
#pragma once

#include "roles/dns/kernel/kernel.h"
#include "roles/dns/observe/metrics.h"

#include <pthread.h>

#define TYPES 20	 /* those that CoreDNS tells apart, and "other" */
#define RCODES 25	 /* 0 to 23, and all others */
#define ROWS_MAX 72	 /* who answers: metrics_row_name */
#define ROWS_FIXED 6	 /* told by the source alone; then dns_plugins[] */
#define DURATIONS 17	 /* TimeBuckets and +Inf */
#define SIZES 15
#define PLACES_MAX 4096	 /* zones of server blocks, also of configurations before; more are counted as "other" */
#define RUNS_MAX 65536	 /* zones in a row, as blocks have them */
#define SERIES_MAX 16384 /* of plug-ins: some for each upstream and code; more are not shown */
#define HISTOGRAM_BUCKETS_MAX 21

static inline void relaxed_add(uint64_t *at, uint64_t n)
{
	__atomic_store_n(at, __atomic_load_n(at, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}
static inline uint64_t relaxed_load(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

/* Questions about one zone that came to one worker. */
struct metrics_cell {
	uint64_t requests[2][2][TYPES]; /* [TCP][IPv6] */
	uint64_t durations[DURATIONS], duration_us;
	uint64_t in[2][SIZES], in_bytes[2]; /* [TCP] */
	uint64_t out[2][SIZES], out_bytes[2];
	uint64_t dnssec_ok;
	uint64_t source[FROM_PLUGIN + 1];
	uint64_t *rows[ROWS_MAX]; /* RCODES each; made by the worker when first needed */
};
struct metrics_place {
	char *server, *zone;
};
struct metrics_shard_dns {
	struct dns_metrics *of;
	struct metrics_cell **cells; /* atomic: by block->metrics_id and the zone's number */
	struct metrics_cell *by_place[PLACES_MAX];
};

/* A worker's part of a series; the last one is the main thread's. */
struct metric_slot {
	uint64_t n[HISTOGRAM_BUCKETS_MAX], sum; /* a counter or gauge is n[0] */
} __attribute__((aligned(64)));
struct metric {
	struct metric *next;
	struct metric_family *family;
	char *labels;
	unsigned n_slots;
	struct metric_slot *slots;
};
struct metric_family {
	struct metric_family *next;
	char *name, *help;
	enum metric_kind kind;
	struct metric *first, **last;
};

struct dns_metrics {
	unsigned n_workers;
	struct metrics_shard_dns **shards;
	struct metrics_place places[PLACES_MAX];
	uint16_t *runs; /* places; the shards' cells in the same order */
	size_t n_places, n_runs, cap_runs;
	struct metrics_cell ***old_cells; /* arrays that a worker may still read */
	size_t n_old_cells;
	uint8_t row_of_plugin[ROWS_MAX];
	pthread_mutex_t lock; /* of the families */
	struct metric_family *families, **last_family;
	size_t n_series;
	struct metric *nowhere; /* for those above SERIES_MAX */
	struct metric *programmed[2]; /* [headless] */
};

const char *metrics_row_name(const struct dns_metrics *m, unsigned row);
extern const char *const metrics_type_names[TYPES];
const char *metrics_rcode_name(unsigned rcode, char out[16]); /* RCODES - 1: "other" */
unsigned metrics_size_bucket(size_t bytes);
unsigned metrics_duration_bucket(uint64_t us);
unsigned metrics_histogram_bounds(enum metric_kind kind, uint64_t out_us[HISTOGRAM_BUCKETS_MAX]); /* how many; without +Inf */
extern const uint32_t metrics_size_bounds[SIZES - 1];
void metrics_series_init(struct dns_metrics *m);
void metrics_series_done(struct dns_metrics *m);
void metrics_put_process(struct buf *out);
/* `kernel` NULL: it answers nothing; `kernel_for`: of which block it answers the zone. `c` may be NULL. */
void metrics_write_with(const struct dns_metrics *m, const struct dns_config *c, const struct kernel_counts *kernel,
			const struct dns_block *kernel_for, struct buf *out);
