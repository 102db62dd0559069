/* stream_pipe.h - two connections as one: what comes in at one end leaves at the other.
 *
 * A slow reader stops its writer. When either side ends, what is on its way is still delivered and
 * then the other side is closed. Both ends are taken over; the pipe frees itself.
 */
#pragma once

#include "net/conn.h"

#define STREAM_MESSAGE_BYTES_MAX (1u << 20) /* a WebSocket message; client-go sends 32 KiB */

/* For a connection that is about to be joined: it keeps what arrives. */
extern const struct conn_ops stream_hold_ops;

void stream_pipe_join(struct loop *l, struct conn *a, struct conn *b);
/* `client` is a WebSocket connection, past its handshake, whose binary messages are the bytes. */
void stream_tunnel_join(struct loop *l, struct conn *client, struct conn *node);
