/* grpc.h - unary gRPC calls over an HTTP/2 client. github.com/grpc/grpc, PROTOCOL-HTTP2.md. */
#pragma once

#include "net/http_client.h"

/* containerd caps ExecSync's output at 16 MiB, twice gRPC's default message. */
#define GRPC_MESSAGE_BYTES (20u << 20)

/* `e` NULL: status OK, `message` is the answer (borrowed). Otherwise e->message is grpc-message. */
typedef void grpc_done_fn(void *ctx, struct str message, const struct err *e);
struct grpc_call;
struct grpc_call *grpc_unary(struct http_client *c, const char *path, struct str message,
			     uint64_t timeout_ms, grpc_done_fn *done, void *ctx);
void grpc_cancel(struct grpc_call *call); /* no call-back; NULL is nothing */

/* Pure parts. */
enum { GRPC_OK = 0, GRPC_DEADLINE_EXCEEDED = 4, GRPC_NOT_FOUND = 5 };
enum err_reason grpc_reason(unsigned status);
#define GRPC_FRAME_HEAD_BYTES 5
/* The one message in a complete body; -1 when the framing is wrong or it is compressed. */
int grpc_unframe(struct str body, struct str *ret_message, struct err *e) must_check;
