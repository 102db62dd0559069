/* top_sample.h - what happened between two of the proxy's totals. */
#pragma once

#include "codec/jx.h"

struct top_rate {
	const char *ns, *ingress, *service, *host, *path; /* of the newer document */
	double per_s, class_per_s[6], in_per_s, out_per_s; /* requests, requests by hundred, bytes */
	double p50_ms, p99_ms;				    /* -1: no request */
};
struct top_endpoint {
	const char *backend, *address, *pod, *health;
	double per_s, errors_per_s, average_ms;
	int64_t in_flight, ejected_ms;
	bool draining;
};
struct top_sample {
	json_t *doc; /* owned */
	double seconds;
	struct top_rate all; /* ns NULL */
	int64_t active, waiting;
	double accepted_per_s, retries_per_s, ejections_per_s;
	double reused; /* share of upstream requests on kept connections; -1: none */
	struct top_rate *routes; /* the busiest first; those without a request left out */
	size_t n_routes;
	struct top_endpoint *endpoints;
	size_t n_endpoints;
};
/* Takes `now` over. `before` NULL: since the proxy started, as far as it can be told (rates are 0). */
void top_sample_init(struct top_sample *s, const json_t *before, json_t *now);
void top_sample_done(struct top_sample *s);
/* By linear interpolation within a bucket; -1 when all are 0. `bounds`: n_bounds upper ends, microseconds. */
double top_quantile_ms(const int64_t *counts, const json_t *bounds, double q);
json_t *top_sample_json(const struct top_sample *s);
