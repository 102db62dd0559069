/* metrics_int.h - what recording and exposition share. */
#pragma once

#include "roles/ingress/observe/metrics.h"

#include "base/map.h"

#include <pthread.h>

/* Histograms of a cell, one behind the other in low[]. The request's duration has finer buckets than ingress-nginx's, so
 * that quantiles below its smallest (5 ms) can be told; response_size and bytes_sent share the union of their bounds. */
#define DURATION_BUCKETS 36
#define TIME_BUCKETS 12
#define IN_BUCKETS 11
#define OUT_BUCKETS 16
enum {
	AT_DURATION = 0,
	AT_RESPONSE = AT_DURATION + DURATION_BUCKETS,
	AT_HEADER = AT_RESPONSE + TIME_BUCKETS,
	AT_CONNECT = AT_HEADER + TIME_BUCKETS,
	AT_IN = AT_CONNECT + TIME_BUCKETS,
	AT_OUT = AT_IN + IN_BUCKETS,
	CELL_BUCKETS = AT_OUT + OUT_BUCKETS,
};
enum cell_sum { SUM_DURATION, SUM_RESPONSE, SUM_HEADER, SUM_CONNECT, SUM_IN, SUM_OUT, CELL_SUMS };

extern const uint32_t metrics_duration_bounds_us[DURATION_BUCKETS - 1]; /* microseconds */
extern const uint32_t metrics_time_bounds[TIME_BUCKETS - 1];
extern const uint32_t metrics_in_bounds[IN_BUCKETS - 1];	       /* bytes */
extern const uint32_t metrics_out_bounds[OUT_BUCKETS - 1];

enum method {
	METHOD_GET, METHOD_HEAD, METHOD_POST, METHOD_PUT, METHOD_DELETE, METHOD_PATCH, METHOD_OPTIONS, METHOD_CONNECT,
	METHOD_TRACE, METHOD_OTHER, METHOD_COUNT,
};
extern const char *const metrics_method_names[METHOD_COUNT];
#define STATUS_OTHER 0

/* Counts of 16 bits, as most cells see few requests; their carries are in a record of their own that only busy cells
 * have. high[i] is twice the number of carries, odd while one is under way (a sequence lock). */
struct metrics_cell {
	struct metrics_cell *next; /* atomic, as the worker appends */
	uint32_t *high;		   /* atomic; CELL_BUCKETS; NULL: no carry yet */
	char *canary;		   /* owned; NULL: the primary */
	uint16_t status;
	uint8_t method;
	uint16_t low[CELL_BUCKETS];
	uint64_t sum[CELL_SUMS];
};
struct metrics_slot {
	struct metrics_cell *head;   /* atomic */
	struct metrics_cell *recent; /* the worker's: the one used last */
};
#define CHUNK_SLOTS 256
#define CHUNKS_MAX (METRICS_LOCATIONS_MAX / CHUNK_SLOTS)
struct metrics_chunk {
	struct metrics_slot at[CHUNK_SLOTS];
};
uint64_t metrics_cell_count(const struct metrics_cell *c, unsigned bucket);
uint64_t metrics_cell_sum(const struct metrics_cell *c, enum cell_sum which);
struct metrics_cell *metrics_shard_cells(const struct metrics_shard *s, unsigned id); /* the first; NULL */
struct metrics_cell *metrics_cell_next(const struct metrics_cell *c);
bool metrics_cell_same(const struct metrics_cell *a, const struct metrics_cell *b); /* labels */

/* ---- labels of slots ---- */
enum slot_label { LABEL_NS, LABEL_INGRESS, LABEL_SERVICE, LABEL_HOST, LABEL_PATH, SLOT_LABELS };
struct slot_info {
	char *text;	/* the labels, each with its NUL; NULL: free */
	uint32_t hash, next; /* chain of the hash table */
	uint32_t refs;
	bool dying;	/* in metrics.dead */
};
struct cert_info {
	size_t at; /* in metrics.certs */
	char *host, *ns, *secret;
	X509 *cert;
};
struct metrics {
	char *labels; /* controller_class="…",controller_namespace="…",controller_pod="…" */
	const struct routes *routes;
	struct metrics_shard **shards;
	size_t n_shards;
	struct slot_info *slots; /* main thread; refs and dying under the lock */
	uint32_t n_slots, cap_slots, n_used;
	uint32_t *table, n_table; /* first id of each chain; 0: none */
	uint32_t *free_ids, n_free, cap_free;
	pthread_mutex_t lock; /* refs, dying, dead */
	uint32_t *dead, n_dead, cap_dead;
	struct cert_info **certs;
	struct map cert_of; /* by host */
	size_t n_certs, cap_certs;
	bool last_ok;
	void (*each_problem)(void *source, metrics_problem_fn *fn, void *ctx); /* NULL: none */
	void *problems;
	uint64_t applied, failed;
	int64_t applied_at_ms, began_at_ms;
};
void metrics_slot_labels(const struct metrics *m, uint32_t id, const char *ret[SLOT_LABELS]);
void metrics_reap(struct metrics *m); /* main thread: the slots without references */
/* Appends `value` as a label's: \, " and line feeds escaped. */
void metrics_label_escape(struct buf *out, const char *value);

/* ---- exposition: metrics_text.c, metrics_own.c ---- */
void metrics_put_head(struct buf *out, const char *name, const char *type, const char *help);
void metrics_put_pair(struct buf *out, const char *name, const char *value); /* name="value" */
void metrics_put_own(const struct metrics *m, struct buf *out);
/* From *next on; false: `until` is reached, and *next has moved. */
bool metrics_put_certs(const struct metrics *m, struct buf *out, bool expiry, uint32_t *next, size_t until);
