/* stream_translate.h - Kubernetes' WebSocket channels on one side, the kubelet's SPDY streams on
 * the other.
 *
 * No I/O: bytes and messages go in, bytes and messages come out of the call-backs. Each channel is
 * a SPDY stream that we open: stdin, stdout, stderr, error (a Status, at the end) and resize.
 */
#pragma once

#include "base/err.h"
#include "roles/apiserver/stream_request.h"

enum stream_channel {
	CHANNEL_STDIN,
	CHANNEL_STDOUT,
	CHANNEL_STDERR,
	CHANNEL_ERROR,
	CHANNEL_RESIZE,
	CHANNELS,
	CHANNEL_CLOSE = 255, /* v5: the message is the number of a channel that is closed */
};
#define STREAM_STATUS_BYTES_MAX (64u << 10) /* what a runtime may say about how a command ended */

struct translate_ops {
	void (*to_node)(void *ctx, struct str bytes);
	/* Every stream was accepted. Until then nothing may be passed in from the client. */
	void (*ready)(void *ctx);
	void (*to_client)(void *ctx, enum stream_channel channel, struct str payload);
	/* Once, after all output. `status` is what the error stream said; empty means success. */
	void (*finished)(void *ctx, struct str status);
};
struct translate;
/* Calls to_node at once. */
struct translate *translate_new(const struct stream_options *o, const struct translate_ops *ops,
				void *ctx);
void translate_free(struct translate *t); /* NULL is nothing; not from inside a call-back */
/* Returns the bytes used, or -1 when the node does not speak SPDY properly. */
ssize_t translate_from_node(struct translate *t, struct str bytes, struct err *e) must_check;
/* Unknown and not requested channels are ignored. */
void translate_from_client(struct translate *t, uint8_t channel, struct str payload);
/* The node's connection ended: finishes if the error stream had said how, else -1. */
int translate_node_gone(struct translate *t, struct err *e) must_check;
