/* stream.h - pods/exec, attach and portforward: the client's upgraded connection, joined to the
 * kubelet's.
 *
 * Three ways in, as kube-apiserver 1.31 and later (KEP-4006, k8s.io/apiserver/pkg/util/proxy):
 *   SPDY/3.1                       bytes are passed through unchanged
 *   WebSocket [v4.|v5.]channel.k8s.io (and base64) for exec and attach: translated to SPDY/3.1
 *   WebSocket SPDY/3.1+portforward.k8s.io: binary messages are SPDY's bytes, un-tunnelled
 * Towards the node it is always SPDY/3.1 on the kubelet's own paths. The caller has authenticated
 * and authorized the request, found the pod, its node and the container.
 */
#pragma once

#include "loop/loop.h"
#include "net/http_server.h"

enum stream_kind { STREAM_EXEC, STREAM_ATTACH, STREAM_PORTFORWARD };

/* Everything is borrowed until stream_proxy returns; `tls` is referenced. */
struct stream_target {
	enum stream_kind kind;
	struct addr kubelet;	 /* the node's address, port 10250 */
	struct tls *tls;	 /* has the client certificate that the kubelet accepts */
	const char *server_name; /* what the kubelet's certificate says: its address or name */
	const char *ns, *pod;
	const char *container; /* NULL for portforward */
};

/* Takes over the exchange: answers it with 101 or with an error, now or later. The query
 * (stdin, stdout, stderr, tty, command; port) is read from the request. */
void stream_proxy(struct loop *l, struct http_exchange *x, const struct stream_target *t);
