#include "roles/node/grpc.h"

#include "base/buf.h"

#include <stdio.h>

#define STATUS_TEXT_BYTES ERR_MESSAGE_BYTES

struct grpc_call {
	struct http_call *http;
	grpc_done_fn *done;
	void *ctx;
	struct buf body;
	int http_status;
	int64_t status; /* grpc-status; -1 = not seen */
	char message[STATUS_TEXT_BYTES];
};

static const enum err_reason reasons[] = {
	[1] = ERR_TIMEOUT,	 [2] = ERR_INTERNAL,	      [3] = ERR_BAD_REQUEST,
	[4] = ERR_TIMEOUT,	 [5] = ERR_NOT_FOUND,	      [6] = ERR_ALREADY_EXISTS,
	[7] = ERR_FORBIDDEN,	 [8] = ERR_TOO_MANY_REQUESTS, [9] = ERR_CONFLICT,
	[10] = ERR_CONFLICT,	 [11] = ERR_BAD_REQUEST,      [12] = ERR_METHOD_NOT_ALLOWED,
	[13] = ERR_INTERNAL,	 [14] = ERR_UNAVAILABLE,      [15] = ERR_INTERNAL,
	[16] = ERR_UNAUTHORIZED,
};

enum err_reason grpc_reason(unsigned status)
{
	return status && status < ARRAY_LEN(reasons) ? reasons[status] : ERR_INTERNAL;
}

int grpc_unframe(struct str body, struct str *ret_message, struct err *e)
{
	const uint8_t *p = (const uint8_t *)body.ptr;

	if (body.len < GRPC_FRAME_HEAD_BYTES)
		return err_set(e, ERR_INTERNAL, "gRPC: the answer has no message");
	size_t len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	if (p[0] != 0)
		return err_set(e, ERR_INTERNAL,
			       "gRPC: the answer is compressed, which was not offered");
	if (len != body.len - GRPC_FRAME_HEAD_BYTES)
		return err_set(e, ERR_INTERNAL, "gRPC: the answer's length is wrong");
	*ret_message = (struct str){ body.ptr + GRPC_FRAME_HEAD_BYTES, len };
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* grpc-message is percent-encoded; what is malformed stays as it is. */
static void message_decode(struct str s, char *out, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len && n + 1 < cap; i++) {
		int hi = s.ptr[i] == '%' && i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
		int lo = hi >= 0 ? hex_digit(s.ptr[i + 2]) : -1;
		out[n++] = lo >= 0 ? (char)(hi << 4 | lo) : s.ptr[i];
		if (lo >= 0)
			i += 2;
	}
	out[n] = '\0';
}

/* In the trailers, or in the headers when there is nothing else. */
static void take_status(struct grpc_call *c, struct http_headers h)
{
	uint64_t v;

	if (!str_to_u64(http_header_get(h, "grpc-status"), 1000, &v))
		return;
	c->status = (int64_t)v;
	message_decode(http_header_get(h, "grpc-message"), c->message, sizeof(c->message));
}

static void on_response(void *ctx, int status, struct http_headers headers)
{
	struct grpc_call *c = ctx;

	c->http_status = status;
	take_status(c, headers);
}

static void on_data(void *ctx, struct str bytes)
{
	struct grpc_call *c = ctx;

	buf_put_str(&c->body, bytes); /* an overflow is seen at the end */
}

static int judge(struct grpc_call *c, struct str *ret_message, struct err *e)
{
	if (c->status < 0)
		return err_set(e, ERR_UNAVAILABLE, "gRPC: HTTP status %d without grpc-status",
			       c->http_status);
	if (c->status != GRPC_OK)
		return err_set(e, grpc_reason((unsigned)c->status), "%s", c->message);
	if (c->body.overflow)
		return err_set(e, ERR_TOO_LARGE, "gRPC: the answer is larger than %u bytes",
			       GRPC_MESSAGE_BYTES);
	return grpc_unframe(buf_str(&c->body), ret_message, e);
}

static void call_free(struct grpc_call *c)
{
	buf_done(&c->body);
	free(c);
}

static void on_done(void *ctx, const struct err *e, struct http_headers trailers)
{
	struct grpc_call *c = ctx;
	struct str message = STR_NONE;
	struct err own;

	if (!e) {
		take_status(c, trailers);
		if (judge(c, &message, &own) < 0)
			e = &own;
	}
	c->done(c->ctx, message, e);
	call_free(c);
}

static const struct http_call_ops call_ops = { on_response, on_data, on_done };

struct grpc_call *grpc_unary(struct http_client *client, const char *path, struct str message,
			     uint64_t timeout_ms, grpc_done_fn *done, void *ctx)
{
	struct grpc_call *c = xcalloc(1, sizeof(*c));
	char timeout[32];
	struct http_header headers[] = {
		{ STR("content-type"), STR("application/grpc+proto") },
		{ STR("te"), STR("trailers") },
		{ STR("grpc-timeout"), STR_NONE },
	};
	uint8_t head[GRPC_FRAME_HEAD_BYTES] = { 0, (uint8_t)(message.len >> 24),
						(uint8_t)(message.len >> 16),
						(uint8_t)(message.len >> 8), (uint8_t)message.len };
	struct buf body;

	*c = (struct grpc_call){ .done = done, .ctx = ctx, .status = -1 };
	buf_init(&c->body, GRPC_MESSAGE_BYTES);
	buf_init(&body, GRPC_MESSAGE_BYTES);
	buf_put(&body, head, sizeof(head));
	buf_put_str(&body, message);
	/* At most eight digits are allowed. */
	snprintf(timeout, sizeof(timeout), "%llum", (unsigned long long)MIN(timeout_ms, 99999999u));
	headers[2].value = str_of(timeout);
	struct http_call_request r = { .method = "POST",
				       .path = path,
				       .headers = headers,
				       .n_headers = ARRAY_LEN(headers),
				       .body = buf_str(&body),
				       .timeout_ms = timeout_ms };
	c->http = http_client_send(client, &r, &call_ops, c);
	buf_done(&body);
	return c;
}

void grpc_cancel(struct grpc_call *c)
{
	if (!c)
		return;
	http_call_cancel(c->http);
	call_free(c);
}
