/* proxy_protocol.h - who a connection is really from, told in front of it by a load balancer.
 *
 * The PROXY protocol, versions 1 (a line of text) and 2 (binary): haproxy, doc/proxy-protocol.txt, revision 2020/03/05.
 * Whether a header is believed is the caller's business: anybody can write one.
 */
#pragma once

#include "base/err.h"

#include <sys/socket.h>

#define PROXY_V1_BYTES_MAX 107	/* the longest line there can be, its end included (section 2.1) */
#define PROXY_HEADER_BYTES_MAX 4096 /* version 2 allows 64 KiB of additions; nginx takes as much as this */
#define PROXY_HEADER_WRITE_BYTES PROXY_V1_BYTES_MAX

struct proxy_header {
	unsigned version;
	/* The connection's own addresses count: a health check of the balancer itself (LOCAL), or one that it could not
	 * describe (UNKNOWN, UNSPEC, a Unix socket). */
	bool local;
	bool datagram; /* the client came by UDP */
	struct sockaddr_storage source, destination; /* unless local; both AF_INET or both AF_INET6 */
	socklen_t addr_len;
};
/* Reads a header at the front of `bytes`: > 0, its length; 0, more bytes are needed; -1, there is none, or it is broken. */
ssize_t proxy_header_parse(const void *bytes, size_t len, struct proxy_header *ret, struct err *e) must_check;
/* Writes one for a connection from `source` to `destination`; either may be NULL or no internet address, then it says that
 * nothing is known. Returns its length. */
size_t proxy_header_write(unsigned version, const struct sockaddr_storage *source,
			  const struct sockaddr_storage *destination, char out[PROXY_HEADER_WRITE_BYTES]);
