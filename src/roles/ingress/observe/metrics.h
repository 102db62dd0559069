/* metrics.h - what Prometheus is told: counters of each worker, added up on the main thread when somebody asks.
 *
 * A worker writes only its own shard, with relaxed atomics and no read-modify-write on the bus; the main thread reads all
 * shards. A request costs one bucket and one sum for each of the histograms, in one record of under five cache lines that
 * belongs to (location, status, method, canary) and is made when the first such request ends.
 *
 * Names, labels and buckets are ingress-nginx's (internal/ingress/metric/collectors, pkg/flags), so that its dashboards
 * and alerts go on working; ours begin with portico_. Text format: Prometheus 0.0.4.
 */
#pragma once

#include "base/buf.h"
#include "roles/ingress/worker.h"

#include <openssl/x509.h>

/* Cardinality: what is beyond is counted all the same, under status="other", method="OTHER" of its location, or under no
 * location at all. */
#define METRICS_LOCATIONS_MAX 262144	 /* slots; 26 times the 10,000 Ingresses that users reported */
#define METRICS_CELLS_PER_LOCATION_MAX 64 /* statuses x methods x canaries: a scanner gets no further */
#define METRICS_CELLS_MAX 65536		 /* of one worker: some 20 MB */
#define METRICS_NO_LOCATION 0		 /* the slot of requests that matched nothing */

/* Counters of a whole worker: X(name, Prometheus name, labels, help). Rows of one Prometheus name stand together. */
#define METRIC_MAP(X)                                                                                                              \
	X(CONNECTIONS_ACCEPTED, "nginx_ingress_controller_nginx_process_connections_total", "state=\"accepted\"",                 \
	  "Client connections, by state: accepted, handled.")                                                                     \
	X(CONNECTIONS_HANDLED, "nginx_ingress_controller_nginx_process_connections_total", "state=\"handled\"", NULL)              \
	X(REQUESTS, "nginx_ingress_controller_nginx_process_requests_total", "", "Requests of clients.")                           \
	X(RETRIES, "portico_upstream_retries_total", "", "Requests tried again at another endpoint.")                              \
	X(RETRIES_DENIED, "portico_upstream_retries_denied_total", "", "Retries that the retry budget did not allow.")             \
	X(UP_CONNECTS, "portico_upstream_connections_total", "", "Connections made to endpoints.")                                 \
	X(UP_CONNECT_FAILURES, "portico_upstream_connect_failures_total", "", "Connections to endpoints that failed.")             \
	X(UP_REUSED, "portico_upstream_reused_total", "", "Requests sent on a kept upstream connection.")                          \
	X(UP_STALE, "portico_upstream_stale_total", "", "Kept upstream connections found closed when they were used.")             \
	X(FCGI_STDERR, "portico_fastcgi_stderr_total", "", "Messages that FastCGI programs wrote to their standard error.")        \
	X(EJECTIONS, "portico_endpoint_ejections_total", "", "Endpoints taken out for consecutive errors.")                        \
	X(CIRCUIT_OPEN, "portico_circuit_open_total", "", "Requests refused because every endpoint was at its limit.")             \
	X(NO_ENDPOINT, "portico_no_endpoint_total", "", "Requests answered 503 because the Service had no endpoint.")              \
	X(LIMIT_REQUESTS, "portico_limited_total", "limit=\"requests\"", "Requests refused by limit-rps, limit-rpm or "            \
									 "limit-connections.")                                      \
	X(LIMIT_CONNECTIONS, "portico_limited_total", "limit=\"connections\"", NULL)                                               \
	X(DENIED_ADDRESS, "portico_denied_total", "by=\"address\"", "Requests refused by access rules.")                           \
	X(DENIED_AUTH, "portico_denied_total", "by=\"auth\"", NULL)                                                                \
	X(DENIED_BLOCK, "portico_denied_total", "by=\"block-list\"", NULL)                                                         \
	X(WAF_BLOCKED, "portico_waf_requests_total", "action=\"blocked\"", "Requests that the request filter matched.")            \
	X(WAF_DETECTED, "portico_waf_requests_total", "action=\"detected\"", NULL)                                                 \
	X(BAD_REQUESTS, "portico_bad_requests_total", "", "Requests refused as malformed.")                                        \
	X(CLIENT_TIMEOUTS, "portico_client_timeouts_total", "", "Clients that took too long to send a head or a body.")            \
	X(CLIENT_ABORTS, "portico_client_aborts_total", "", "Clients that went away before their answer ended.")                   \
	X(H2_STREAMS, "portico_h2_streams_total", "", "HTTP/2 streams opened by clients.")                                         \
	X(H2_RESETS, "portico_h2_resets_total", "", "HTTP/2 streams reset by clients.")                                            \
	X(H2_FLOODS, "portico_h2_floods_total", "", "HTTP/2 connections closed for abuse (rapid reset, pings, settings, "          \
						    "CONTINUATION).")                                                             \
	X(TLS_HANDSHAKES, "portico_tls_handshakes_total", "resumed=\"false\"", "TLS handshakes completed with clients.")           \
	X(TLS_RESUMED, "portico_tls_handshakes_total", "resumed=\"true\"", NULL)                                                   \
	X(TLS_FAILURES, "portico_tls_failures_total", "", "TLS handshakes with clients that failed.")                              \
	X(MIRRORED, "portico_mirrored_total", "", "Copies of requests sent to a mirror.")                                          \
	X(MIRRORS_DROPPED, "portico_mirrors_dropped_total", "", "Copies of requests that a mirror was too slow for.")              \
	X(LOG_LINES, "portico_access_log_lines_total", "", "Lines of the access log.")                                             \
	X(LOG_DROPPED, "portico_access_log_dropped_total", "", "Lines of the access log lost because its reader was too slow.")    \
	X(SPANS, "portico_trace_spans_total", "", "Spans made of sampled requests.")                                               \
	X(SPANS_DROPPED, "portico_trace_spans_dropped_total", "", "Spans lost because the collector was too slow or away.")        \
	X(COLLAPSED, "portico_metrics_collapsed_total", "", "Requests counted without all labels: too many series.")
enum metric {
#define X(id, name, labels, help) METRIC_##id,
	METRIC_MAP(X)
#undef X
	METRIC_COUNT
};

struct metrics_cell;
struct metrics_chunk;
/* Written by its worker alone. */
struct metrics_shard {
	uint64_t count[METRIC_COUNT];
	size_t n_cells;
	const struct worker *worker;
	struct metrics_chunk **chunks; /* of slots, by metrics_id; made when the first request needs one */
};
/* NULL is nothing: tests and helpers that have no worker. */
static inline void metrics_add(struct metrics_shard *s, enum metric m, uint64_t n)
{
	if (s)
		__atomic_store_n(&s->count[m], __atomic_load_n(&s->count[m], __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}
static inline void metrics_inc(struct metrics_shard *s, enum metric m)
{
	metrics_add(s, m, 1);
}

struct metrics;
struct metrics_config {
	const char *controller_class, *controller_namespace, *controller_pod; /* copied: labels of every series */
	const struct routes *routes; /* for orphan_ingress; may be NULL */
};
struct metrics *metrics_new(const struct metrics_config *c);
void metrics_free(struct metrics *m); /* the workers have ended; frees their shards */
/* Main thread, before the worker starts: it becomes w->metrics. `w` stays until metrics_free; its n_downs and
 * n_idle_downs are read. */
struct metrics_shard *metrics_shard_new(struct metrics *m, const struct worker *w);

/* ---- worker ---- */
/* An exchange of this location will be counted: among ten thousand locations its counters are in no cache, and would be waited
 * for one after the other. In two steps, with other work between them. */
void metrics_fetch_slot(const struct exchange *x);
void metrics_fetch_cell(const struct exchange *x);
/* Once, when an exchange ends, before its location is given back. Also those that the codec refused itself. */
void metrics_exchange_done(struct exchange *x);

/* ---- who builds locations ---- */
/* Main thread: the slot for location->metrics_id. The same labels give the same slot, so counters survive a location
 * that is built anew. `host`: as in the rule, "" for the catch-all. m NULL: METRICS_NO_LOCATION. */
unsigned metrics_location_ref(struct metrics *m, const char *ns, const char *ingress, const char *service, const char *host,
			      const char *path);
/* Any thread: the location is freed (nobody counts in it any more). Its series end with its last reference. */
void metrics_location_unref(struct metrics *m, unsigned id);

/* ---- main thread ---- */
/* A change of the cluster has been put into effect, or (ok false) an Ingress could not be. */
void metrics_config_applied(struct metrics *m, bool ok);
/* The certificate served for a name; replaces one of the same name. cert NULL removes. */
void metrics_cert_put(struct metrics *m, const char *host, const char *ns, const char *secret, X509 *cert);

/* What is wrong with Ingresses now ("ns/name"): asked at every scrape, for portico_ingress_problem. */
typedef void metrics_problem_fn(void *ctx, const char *ingress, const char *reason, const char *message);
void metrics_problem_source(struct metrics *m, void (*each)(void *source, metrics_problem_fn *fn, void *ctx), void *source);

/* The exposition, piece by piece, so that 10,000 locations never hold up the main thread:
 *   struct metrics_text *t = metrics_text_new(m, NULL);
 *   while (metrics_text_next(t, &out)) send(out);
 * Every call appends about METRICS_PIECE_BYTES; `out` must take METRICS_PIECE_BYTES_MAX, as one location's cells stay together. */
#define METRICS_PIECE_BYTES (128u << 10)
#define METRICS_PIECE_BYTES_MAX (4u << 20)
struct metrics_text;
/* `exclude`: families of locations that are left out, separated by commas; may be NULL. */
struct metrics_text *metrics_text_new(struct metrics *m, const char *exclude);
bool metrics_text_next(struct metrics_text *t, struct buf *out); /* false: that was all; `out` may have got the last bytes */
void metrics_text_free(struct metrics_text *t);

/* Totals for `portico top`. */
struct metrics_route {
	const char *ns, *ingress, *service, *host, *path; /* borrowed, until the call-back returns */
	uint64_t requests, by_class[6];			  /* [1]: 1xx … [5]: 5xx; [0]: others */
	uint64_t bytes_in, bytes_out, time_us;
	const uint64_t *duration; /* requests in each of metrics_duration_bounds()' buckets, not cumulative */
};
/* In microseconds, ascending; the bucket behind the last has no bound. */
const uint32_t *metrics_duration_bounds(size_t *ret_n);
void metrics_each_route(struct metrics *m, void (*fn)(void *ctx, const struct metrics_route *r), void *ctx);
uint64_t metrics_total(const struct metrics *m, enum metric which);
struct metrics_connections {
	uint64_t active, waiting; /* waiting: idle between requests */
};
struct metrics_connections metrics_connections(const struct metrics *m);
