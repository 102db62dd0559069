/* tcp.h - DNS over TCP (RFC 7766): many questions on a connection, answered in whatever order they
 * are ready. */
#pragma once

#include "loop/loop.h"
#include "roles/dns/server.h"

struct dns_tcp;
/* `fd` listens; it is taken. */
struct dns_tcp *old_dns_tcp_new(struct loop *l, int fd, struct dns_server *s, struct err *e);
void old_dns_tcp_free(struct dns_tcp *t); /* closes every connection; NULL is nothing */
