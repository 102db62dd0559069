/* watch.h - questions as they are answered, for the query log, for statistics and for whoever looks: on request.
 *
 * Off, it costs one load of a flag per question. On, workers put a copy of each into a ring of their own, and the main
 * thread hands them to taps; what does not fit is counted, not waited for. The kernel answers nothing meanwhile.
 */
#pragma once

#include "base/buf.h"
#include "roles/dns/serve/request.h"

struct dns_watch;
struct dns_event;
struct dns_watch *dns_watch_new(struct dns_shared *s); /* when n_workers and main_loop are known */
void dns_watch_free(struct dns_watch *w);	       /* the workers have ended; NULL is nothing */

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
	struct str answer;	       /* the message as it leaves; empty: not told */
};
extern bool dns_watch_on_; /* atomic, relaxed */
static inline bool dns_watch_on(void)
{
	return __atomic_load_n(&dns_watch_on_, __ATOMIC_RELAXED);
}
/* Only when dns_watch_on(). Worker. */
void dns_watch_see(struct dns_worker *w, const struct watch_question *q);

/* ---- main thread ---- */

struct watch_tap {
	void (*event)(void *ctx, const struct dns_event *e);
	void (*drained)(void *ctx); /* behind some events; may be NULL */
	void *ctx;
	struct list link_;
};
void dns_watch_add(struct dns_watch *w, struct watch_tap *t);
/* Nothing runs any more for it. Allowed inside its own call-backs. */
void dns_watch_remove(struct dns_watch *w, struct watch_tap *t);
/* Hands out what the workers have put there so far. */
void dns_watch_drain(struct dns_watch *w);
uint64_t dns_watch_lost(const struct dns_watch *w); /* events that found a full ring, since the beginning */
