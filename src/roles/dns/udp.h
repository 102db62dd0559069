/* udp.h - DNS over one UDP socket, in batches. For several (SO_REUSEPORT) make several. */
#pragma once

#include "loop/loop.h"
#include "roles/dns/server.h"

struct dns_udp;
/* Takes `fd`, a bound socket. */
struct dns_udp *old_dns_udp_new(struct loop *l, int fd, struct dns_server *s, struct err *e);
void old_dns_udp_free(struct dns_udp *u); /* NULL is nothing; answers still to come are dropped */
