/* watch.h - the query log and per-name statistics, on request: what people look at while it happens.
 *
 * Off, it costs one load of a flag per question.
 */
#pragma once

#include "roles/dns/serve/request.h"

struct dns_watch;
struct dns_watch *dns_watch_new(struct dns_shared *s);
void dns_watch_free(struct dns_watch *w);

struct watch_question {
	const struct dns_client *client;
	const struct dns_query *query; /* as the client asked */
	const struct dns_block *block;
	enum dns_rcode rcode;
	uint16_t flags;		       /* of the answer */
	enum request_source source;
	struct addr upstream;	       /* len 0: none */
	size_t question_bytes, answer_bytes;
	uint64_t duration_us;
};
extern bool dns_watch_on_; /* atomic, relaxed */
static inline bool dns_watch_on(void)
{
	return __atomic_load_n(&dns_watch_on_, __ATOMIC_RELAXED);
}
/* Only when dns_watch_on(). Worker. */
void dns_watch_see(struct dns_worker *w, const struct watch_question *q);
