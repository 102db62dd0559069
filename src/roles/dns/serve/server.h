/* server.h - one question in, one answer out, whoever carries them: at once from the zone, or through the plug-ins.
 */
#pragma once

#include "roles/dns/serve/request.h"

/* What a transport gives, so that an answer can come later. */
struct dns_asker {
	void *ctx;
	/* The answer will come later: makes a lasting handle. NULL: no more of them, the question is given up. */
	void *(*keep)(void *ctx);
	/* Once for every handle. Empty bytes: there is no answer. */
	void (*answer)(void *kept, struct str bytes);
};

#define DNS_LATER 0
#define DNS_DROP (-1)

/* Where questions come in: the blocks for one transport and port. */
struct dns_entrance {
	enum dns_transport transport;
	uint16_t port; /* as in the Corefile, whatever port really listens */
};

/* Returns the answer's length in `out` (which has room for `max`), DNS_LATER, or DNS_DROP when it is none of ours to answer.
 * Over UDP the question's own limit on the size counts as well. `now_us` is for the duration's histogram. */
ssize_t dns_server_ask(struct dns_worker *w, const struct dns_entrance *en, const struct dns_client *c, struct str question,
		       uint8_t *out, size_t max, const struct dns_asker *asker);
