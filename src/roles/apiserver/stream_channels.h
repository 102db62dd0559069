/* stream_channels.h - one exec or attach over WebSocket channels, from the node's 101 to the exit
 * code. */
#pragma once

#include "net/http_server.h"
#include "roles/apiserver/stream_request.h"

/* `node` has switched to SPDY/3.1. Takes over both; the client is answered 101 once the node has
 * accepted the streams. */
void stream_channels_run(struct loop *l, struct http_exchange *x, const struct stream_protocol *p,
			 const struct stream_options *o, struct conn *node);
/* There is no command to talk to: the client is told so in the way of its protocol, on the error
 * channel. */
void stream_channels_refuse(struct loop *l, struct http_exchange *x,
			    const struct stream_protocol *p, const char *message);

/* Answers 101 to a WebSocket handshake and gives the connection, NULL when the client is gone. */
struct conn *stream_ws_upgrade(struct http_exchange *x, const struct stream_protocol *p);
