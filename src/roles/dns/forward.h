/* forward.h - questions about other zones, asked of the machine's own name servers.
 *
 * Each try has a socket, and so a source port, and an id of its own; only an answer from that
 * server to that question counts (RFC 5452). Equal questions that are under way are asked once. A
 * server that does not answer, or answers with a failure, is followed by the next; a truncated
 * answer is asked for again over TCP.
 */
#pragma once

#include "codec/dns.h"
#include "loop/loop.h"

struct forwarder_config {
	const char *resolv_conf;    /* read again when it changes; borrowed, as own_ips */
	const char *const *own_ips; /* NULL-terminated: name servers that would lead back here */
	uint16_t port;		    /* 53 */
};
struct forwarder;
struct forwarder *old_forwarder_new(struct loop *l, const struct forwarder_config *c);
void old_forwarder_free(struct forwarder *f); /* questions under way end unanswered, and none may
					     follow; NULL is nothing */

/* `answer` is NULL when no server answered. Its bytes are a copy that may be changed until the
 * return. */
typedef void forward_done_fn(void *ctx, struct dns_message *answer);
/* `done` is called once, possibly before this returns. `q` is not needed afterwards. */
void old_forward_ask(struct forwarder *f, const struct dns_query *q, forward_done_fn *done, void *ctx);
