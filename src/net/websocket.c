#include "net/websocket.h"

#include "base/buf.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <wslay/wslay.h>

#define WS_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 §1.3 */
#define PENDING_MAX_BYTES (16u << 20) /* a peer that sends pings and reads no pongs */
#define CLOSE_WAIT_MS 2000 /* for the peer's close frame: afterwards the connection just ends */

struct ws {
	struct conn *conn;
	struct loop *loop;
	wslay_event_context_ptr wslay;
	const struct ws_ops *ops;
	void *ctx;
	const uint8_t *in; /* being read: lives during on_bytes only */
	size_t in_len;
	bool client, closing, ended, paused;
	int close_code;
	char close_reason[128];
	struct timer timer;
	struct defer flush, reap;
};

void ws_accept_key(struct str key, char out[29])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct buf text;

	buf_init(&text, 4096);
	buf_put_str(&text, key);
	buf_puts(&text, WS_GUID);
	EVP_Digest(text.ptr, text.len, digest, &len, EVP_sha1(), NULL);
	buf_done(&text);
	EVP_EncodeBlock((unsigned char *)out, digest, (int)len);
}

static void ws_reap(struct defer *d)
{
	struct ws *w = container_of(d, struct ws, reap);

	wslay_event_context_free(w->wslay);
	free(w);
}

static void ws_end(struct ws *w, bool tell)
{
	if (w->ended)
		return;
	w->ended = true;
	timer_stop(&w->timer);
	defer_cancel(&w->flush);
	if (w->conn)
		conn_close_after_write(w->conn);
	w->conn = NULL;
	loop_defer(w->loop, &w->reap);
	if (tell && !w->closing && w->ops->closed)
		w->ops->closed(w->ctx, w->close_code, str_of(w->close_reason));
}

/* ---- wslay's view of the connection ---- */

static ssize_t on_recv(wslay_event_context_ptr ctx, uint8_t *out, size_t len, int flags, void *user)
{
	struct ws *w = user;
	/* What is not taken stays with the connection; wslay itself holds no more than 4 KiB. */
	size_t n = w->paused ? 0 : MIN(len, w->in_len);

	(void)flags;
	if (n == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(out, w->in, n);
	w->in += n;
	w->in_len -= n;
	return (ssize_t)n;
}

static ssize_t on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags,
		       void *user)
{
	struct ws *w = user;

	(void)ctx, (void)flags;
	if (w->conn)
		conn_write(w->conn, data, len);
	return (ssize_t)len;
}

static int on_mask(wslay_event_context_ptr ctx, uint8_t *out, size_t len, void *user)
{
	(void)ctx, (void)user;
	return RAND_bytes(out, (int)len) == 1 ? 0 : -1;
}

static void on_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *m,
		       void *user)
{
	struct ws *w = user;

	(void)ctx;
	if (w->ended)
		return;
	if (m->opcode == WSLAY_CONNECTION_CLOSE) {
		w->close_code = m->status_code;
		size_t n =
			m->msg_length > 2 ? MIN(m->msg_length - 2, sizeof(w->close_reason) - 1) : 0;
		if (n)
			memcpy(w->close_reason, m->msg + 2, n);
	} else if (!w->closing &&
		   (m->opcode == WSLAY_TEXT_FRAME || m->opcode == WSLAY_BINARY_FRAME)) {
		w->ops->message(w->ctx, m->opcode == WSLAY_BINARY_FRAME,
				(struct str){(const char *)m->msg, m->msg_length});
	}
}

/* ---- the connection ---- */

static void ws_pump(struct ws *w)
{
	if (wslay_event_want_write(w->wslay) && wslay_event_send(w->wslay) != 0) {
		ws_end(w, true);
		return;
	}
	if (wslay_event_get_close_received(w->wslay) && wslay_event_get_close_sent(w->wslay))
		ws_end(w, true);
}

static void on_flush(struct defer *d)
{
	ws_pump(container_of(d, struct ws, flush));
}

static void ws_want_flush(struct ws *w)
{
	if (!w->ended)
		loop_defer(w->loop, &w->flush);
}

static size_t on_bytes(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct ws *w = ctx;

	(void)c;
	w->in = bytes;
	w->in_len = len;
	if (wslay_event_recv(w->wslay) != 0 && !w->ended) {
		w->close_code = WSLAY_CODE_PROTOCOL_ERROR;
		ws_end(w, true);
	}
	size_t used = w->ended ? len : len - w->in_len;
	if (!w->ended && ws_pending(w) > PENDING_MAX_BYTES)
		ws_end(w, true);
	if (!w->ended)
		ws_pump(w);
	w->in_len = 0;
	return used;
}

static void on_eof(struct conn *c, void *ctx)
{
	struct ws *w = ctx;

	(void)c;
	if (!w->close_code)
		w->close_code = WSLAY_CODE_ABNORMAL_CLOSURE;
	ws_end(w, true);
}

static void on_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct ws *w = ctx;

	(void)e;
	w->conn = NULL;
	on_eof(c, w);
}

static void on_drained(struct conn *c, void *ctx)
{
	struct ws *w = ctx;

	(void)c;
	if (w->ops->drained && !w->closing)
		w->ops->drained(w->ctx);
}

static void on_close_timeout(struct timer *t)
{
	ws_end(t->ctx, false);
}

static const struct conn_ops ws_conn_ops = {
	.data = on_bytes,
	.eof = on_eof,
	.drained = on_drained,
	.failed = on_failed,
};

struct ws *ws_new(struct conn *c, bool client, size_t message_max, const struct ws_ops *ops,
		  void *ctx)
{
	static const struct wslay_event_callbacks callbacks = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.genmask_callback = on_mask,
		.on_msg_recv_callback = on_message,
	};
	struct ws *w = xcalloc(1, sizeof(*w));

	*w = (struct ws){.conn = c,
			 .loop = conn_loop(c),
			 .ops = ops,
			 .ctx = ctx,
			 .client = client,
			 .flush.run = on_flush,
			 .reap.run = ws_reap,
			 .timer = {.fire = on_close_timeout, .ctx = w}};
	if ((client ? wslay_event_context_client_init(&w->wslay, &callbacks, w)
		    : wslay_event_context_server_init(&w->wslay, &callbacks, w)) != 0)
		abort(); /* only for want of memory */
	wslay_event_config_set_max_recv_msg_length(w->wslay, message_max);
	conn_set_ops(c, &ws_conn_ops, w);
	return w;
}

void ws_send(struct ws *w, bool binary, struct str payload)
{
	struct wslay_event_msg m = {binary ? WSLAY_BINARY_FRAME : WSLAY_TEXT_FRAME,
				    (const uint8_t *)payload.ptr, payload.len};

	if (w->ended || w->closing)
		return;
	if (wslay_event_queue_msg(w->wslay, &m) == 0)
		ws_want_flush(w);
}

void ws_send_channel(struct ws *w, uint8_t channel, struct str payload)
{
	char *text = xmalloc(payload.len + 1);

	text[0] = (char)channel;
	if (payload.len)
		memcpy(text + 1, payload.ptr, payload.len);
	ws_send(w, true, (struct str){text, payload.len + 1});
	free(text);
}

size_t ws_pending(const struct ws *w)
{
	return (w->conn ? conn_pending(w->conn) : 0) + wslay_event_get_queued_msg_length(w->wslay);
}

void ws_pause(struct ws *w)
{
	w->paused = true;
	if (w->conn)
		conn_pause(w->conn);
}

void ws_resume(struct ws *w)
{
	w->paused = false;
	if (w->conn)
		conn_resume(w->conn);
}

void ws_close(struct ws *w, int code)
{
	if (!w || w->ended || w->closing)
		return;
	w->closing = true;
	/* wslay lets control frames overtake messages: what was queued goes first. */
	if (wslay_event_want_write(w->wslay))
		wslay_event_send(w->wslay);
	wslay_event_queue_close(w->wslay, (uint16_t)code, NULL, 0);
	ws_want_flush(w);
	timer_start(w->loop, &w->timer, CLOSE_WAIT_MS);
	ws_resume(w); /* the peer's close frame is read even so */
}
