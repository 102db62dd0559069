/* server.h - one question in, one answer out, whoever carries them: from the zone, or from
 * upstream. */
#pragma once

#include "roles/dns/forward.h"
#include "roles/dns/zone.h"

struct dns_server {
	struct zone *zone;
	struct forwarder *forwarder;
	uint32_t pick; /* counts questions: rotates many addresses */
};

/* What a transport gives, so that an answer can come later. */
struct dns_asker {
	void *ctx;
	/* The answer will come later: makes a lasting handle. NULL: no more of them, the question
	 * is given up. */
	void *(*keep)(void *ctx);
	/* Once for every handle. Empty bytes: there is no answer. */
	void (*answer)(void *kept, struct str bytes);
};

#define DNS_LATER 0
#define DNS_DROP (-1)

/* Returns the answer's length in `out` (which has room for `max`), DNS_LATER, or DNS_DROP when it
 * is none of ours to answer. `tcp` lifts the question's own limit on the size. */
ssize_t old_dns_server_ask(struct dns_server *s, struct str question, bool tcp, uint8_t *out,
		       size_t max, const struct dns_asker *asker);
