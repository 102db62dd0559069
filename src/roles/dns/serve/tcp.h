/* tcp.h - DNS over TCP (RFC 7766) and TLS (RFC 7858): many questions on a connection, answered in whatever order they are
 * ready.
 */
#pragma once

#include "roles/dns/serve/server.h"

struct dns_tcp;
/* `fd` listens and stays the caller's; several workers may accept from it. `tls` (referenced): DNS over TLS; NULL without. */
struct dns_tcp *dns_tcp_new(struct dns_worker *w, int fd, const struct dns_entrance *en, struct tls *tls, struct err *e) must_check;
/* Accepts no more; connections end when what they asked is answered, quiet ones soon. */
void dns_tcp_drain(struct dns_tcp *t);
bool dns_tcp_is_done(const struct dns_tcp *t); /* has no connection left */
void dns_tcp_free(struct dns_tcp *t); /* closes every connection; NULL is nothing */
