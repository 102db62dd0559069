/* udp.h - DNS over a UDP socket of one worker's own, in batches. */
#pragma once

#include "roles/dns/serve/server.h"

struct dns_udp;
/* Takes `fd`, a bound socket; on failure it stays the caller's. */
struct dns_udp *dns_udp_new(struct dns_worker *w, int fd, const struct dns_entrance *en, struct err *e) must_check;
void dns_udp_stop(struct dns_udp *u); /* reads no more: somebody else reads the same socket */
/* Answers what has arrived. True: nothing is owed to anybody now, it may be freed. Not from within its own call-backs. */
bool dns_udp_finish(struct dns_udp *u);
void dns_udp_free(struct dns_udp *u); /* NULL is nothing; answers still to come are dropped */
void dns_udp_worker_done(struct dns_worker *w);
