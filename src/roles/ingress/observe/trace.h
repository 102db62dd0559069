/* trace.h - W3C Trace Context, and spans for an OpenTelemetry collector.
 *
 * https://www.w3.org/TR/trace-context/ (level 1); OTLP/HTTP with JSON, opentelemetry-proto 1.x.
 * filter_trace (observe/trace_filter.c) continues the client's trace, or starts one, on locations with
 * enable-opentelemetry; elsewhere the headers pass untouched. With opentelemetry-trust-incoming-span: "false" it always
 * starts one. The span goes to the collector when the trace is sampled: as the parent says, else trace_sample_per_10000.
 */
#pragma once

#include "base/err.h"
#include "roles/ingress/worker.h"

#define TRACE_QUEUE_MAX 4096	/* spans that wait on the main thread: some 4 MB */
#define TRACE_BATCH_MAX 512	/* OpenTelemetry's default of max_export_batch_size */
#define TRACE_EXPORT_MS 1000
#define TRACE_TRIES_MAX 3	/* of a batch; then it is dropped */
#define TRACE_SPAN_BYTES_MAX (16u << 10)
#define TRACE_STATE_BYTES_MAX 512   /* of tracestate; longer is dropped, as the recommendation allows */
#define TRACE_STATE_MEMBERS_MAX 32

struct trace_context {
	uint8_t trace_id[16], span_id[8];
	bool sampled;
};
/* Strict: lower-case hex, no zero ids, version ff refused, version 00 exactly 55 bytes. false: a new trace begins. */
bool trace_parent_parse(struct str text, struct trace_context *ret) must_check;
#define TRACE_PARENT_BYTES 56
void trace_parent_write(const struct trace_context *c, char out[TRACE_PARENT_BYTES]);
/* Whether the list is well-formed and within the limits: else it is not passed on. */
bool trace_state_valid(struct str text);

struct trace;
struct subrequests;
/* Main thread. `endpoint`: "http://host:4318" or "https://…"; its path defaults to /v1/traces. `via`: the main loop's. */
struct trace *trace_new(struct loop *main, struct subrequests *via, const char *endpoint, struct err *e) must_check;
void trace_set_service(struct trace *t, const char *name); /* service.name of what is sent from now on; portico-ingress */
void trace_free(struct trace *t); /* the workers have ended; what is queued is lost */
struct trace_stats {
	uint64_t exported, dropped, failed_posts; /* spans, spans, requests to the collector */
	char last_error[128];
};
struct trace_stats trace_stats(const struct trace *t);
/* Worker. The span of a sampled exchange that ends; t NULL: nothing. */
void trace_exchange_done(struct trace *t, struct exchange *x);
