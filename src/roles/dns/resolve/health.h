/* health.h - is an upstream there? Asked only after something went wrong, until it answers, by one worker for all.
 *
 * As CoreDNS does: any answer counts; so many failed checks in a row, and it is down.
 */
#pragma once

#include "roles/dns/resolve/line.h"

#define HEALTH_INTERVAL_MS 500	/* CoreDNS' */
#define HEALTH_TIMEOUT_MS 1000
#define HEALTH_MAX_FAILS 2	/* CoreDNS' */

struct health_options {
	unsigned max_fails;   /* 0: never down, never checked */
	uint64_t interval_ms;
	bool no_recursion;
	struct dns_name name; /* whose NS are asked for */
};
struct health {
	struct line *line;
	const struct health_options *options;
	struct try t;
	struct timer timer;
	bool active; /* this worker does the checking now */
};
void health_init(struct health *h, struct line *l, const struct health_options *o);
void health_suspect(struct health *h); /* something went wrong: checks, unless somebody does */
void health_stop(struct health *h);
