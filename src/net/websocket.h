/* websocket.h - WebSocket framing (RFC 6455) over a connection that was upgraded, by wslay.
 *
 * Serves Kubernetes' channel protocols too: the first byte of a binary message is its channel,
 * and in v5.channel.k8s.io channel 255 carries the number of a channel that is now closed.
 */
#pragma once

#include "net/conn.h"
#include "net/http.h"

struct ws;
struct ws_ops {
	void (*message)(void *ctx, bool binary, struct str payload);
	void (*drained)(void *ctx);				/* may be NULL */
	void (*closed)(void *ctx, int code, struct str reason); /* once; the ws is freed after it */
};
/* The value of Sec-WebSocket-Accept for a key; out needs 29 bytes. */
void ws_accept_key(struct str key, char out[29]);
/* Takes over the connection (conn_set_ops). `client`: we are the client, frames are masked. */
struct ws *ws_new(struct conn *c, bool client, size_t message_max, const struct ws_ops *ops,
		  void *ctx);
void ws_send(struct ws *w, bool binary, struct str payload);
void ws_send_channel(struct ws *w, uint8_t channel, struct str payload);
size_t ws_pending(const struct ws *w);
void ws_pause(struct ws *w);
void ws_resume(struct ws *w);
void ws_close(struct ws *w,
	      int code); /* sends a close frame, closes after it; no call-back; NULL is nothing */
