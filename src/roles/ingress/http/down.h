/* down.h - client connections: accepted here, then spoken to by down_h1.c or down_h2.c.
 *
 * Plain sockets begin as HTTP/1; the HTTP/2 preface ("PRI * HTTP/2.0", prior knowledge) hands them to down_h2. TLS ones go
 * where ALPN says. With use-proxy-protocol a PROXY header comes first.
 */
#pragma once

#include "net/conn.h"
#include "roles/ingress/worker.h"

#define DOWN_CLIENTS_MAX 8192	/* of one worker; with two descriptors each, 20,000 of them suffice for one worker */

/* What is known of a connection whatever is spoken on it: the first member of each codec's own record. */
struct down_conn {
	struct list link;	/* in worker->downs */
	struct worker *worker;
	struct conn *conn;
	bool https, proxied, closing;
	bool h2;
	struct addr *peer;	/* PROXY header's source; NULL: conn_peer() */
	struct addr *local;	/* its destination; NULL: the socket's own */
};
void down_accept(struct worker *w, int fd, const struct addr *peer, bool https);
/* Takes over `conn` (already accepted, any handshake done); bytes it kept are offered to the codec. `from` may be NULL,
 * else its peer, local and proxied are moved over. */
void down_h1_start(struct worker *w, struct conn *conn, bool https, struct down_conn *from);
void down_h2_start(struct worker *w, struct conn *conn, bool https, struct down_conn *from);
/* No new requests on it: h1 closes when idle or after its answer (Connection: close), h2 sends GOAWAY. */
void down_drain(struct down_conn *d);
void down_h1_drain(struct down_conn *d);
void down_h2_drain(struct down_conn *d);
