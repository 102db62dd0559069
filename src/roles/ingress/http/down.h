/* down.h - client connections: accepted here, then spoken to by down_h1.c or down_h2.c.
 *
 * Plain sockets begin as HTTP/1; the HTTP/2 preface ("PRI * HTTP/2.0", prior knowledge) hands them to down_h2. TLS ones go
 * where ALPN says. With use-proxy-protocol a PROXY header comes first. Where hosts have ssl-passthrough, the ClientHello is
 * read before TLS answers it, and connections to such a host go to l4/relay.h.
 */
#pragma once

#include "codec/proxy_protocol.h"
#include "net/conn.h"
#include "roles/ingress/worker.h"

#include <netinet/in.h>

#define DOWN_CLIENTS_MAX 8192	/* of one worker; with two descriptors each, 20,000 of them suffice for one worker */

#define DOWN_PEER_BYTES sizeof(struct sockaddr_in6)

/* What is known of a connection whatever is spoken on it: the first member of each codec's own record. */
struct down_conn {
	struct list link;	/* in worker->downs */
	struct worker *worker;
	struct conn *conn;
	bool https, proxied, closing;
	bool plain_to_tls;	  /* HTTP where TLS is spoken: its first request gets nginx's 497 */
	bool h2, greeting, relay; /* which record this is the first member of */
	uint8_t peer_len;
	uint8_t peer_bytes[DOWN_PEER_BYTES]; /* the socket's peer, as accept(2) gave it: a struct addr would be five times that */
	struct addr *peer;	/* PROXY header's source; NULL: the socket's peer */
	struct addr *local;	/* its destination; NULL: the socket's own */
};
/* Who is at the other end: the PROXY header's source, else the socket's peer, written to *room. */
const struct addr *down_peer(const struct down_conn *d, struct addr *room);
/* Only a trusted balancer's word about who its client is counts (proxy-real-ip-cidr). */
void down_believe(struct down_conn *d, const struct proxy_header *h);
/* Into the list and count of d->worker. */
void down_remember(struct down_conn *d);
/* Out of the worker's list and count; its addresses are freed, its memory stays the codec's. */
void down_forget(struct down_conn *d);
/* Counts an accepted connection and notes its peer, when there is room or an idle one was closed for it; else `fd` is
 * closed, and false. d->worker is set. */
bool down_admit(struct down_conn *d, int fd, const struct addr *peer) must_check;
void down_accept(struct worker *w, int fd, const struct addr *peer, bool https);
/* Takes over `conn` (already accepted, any handshake done); bytes it kept are offered to the codec. The
 * addresses of `from` are moved over. */
void down_h1_start(struct worker *w, struct conn *conn, bool https, struct down_conn *from);
void down_h2_start(struct worker *w, struct conn *conn, bool https, struct down_conn *from);
/* No new requests on it: h1 closes when idle or after its answer (Connection: close), h2 sends GOAWAY. */
void down_drain(struct down_conn *d);
void down_close(struct down_conn *d); /* at once, whatever is under way */
void down_h1_close_now(struct down_conn *d);
void down_h2_close_now(struct down_conn *d);
void down_h1_drain(struct down_conn *d);
bool down_h1_close_idle(struct down_conn *d); /* false: it has something to do */
void down_h1_reap(struct worker *w); /* end of a turn: memory of connections that ended in it */
void down_h1_pool_done(struct worker *w);
void down_h2_drain(struct down_conn *d);
