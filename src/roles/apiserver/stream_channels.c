#include "roles/apiserver/stream_channels.h"

#include "codec/base64.h"
#include "codec/jx.h"
#include "net/websocket.h"
#include "roles/apiserver/stream_pipe.h"
#include "roles/apiserver/stream_translate.h"

/* four bytes for three, of what the node sends at a time */
#define BASE64_BYTES_MAX (2 * STREAM_MESSAGE_BYTES_MAX)
#define SUCCESS "{\"metadata\":{},\"status\":\"Success\"}"

struct session {
	struct loop *loop;
	struct http_exchange *x; /* until the client has its 101 */
	struct conn *node;
	struct ws *ws;
	struct translate *translate;
	struct stream_protocol protocol;
	char *subprotocol; /* owns protocol.subprotocol: the request dies with the exchange */
	enum stream_channel first; /* gets an empty message: the client sees that it is connected */
	struct defer reap;
	bool over;
};

static void on_reap(struct defer *d)
{
	struct session *s = container_of(d, struct session, reap);

	translate_free(s->translate);
	free(s->subprotocol);
	free(s);
}

static void session_end(struct session *s)
{
	if (s->over)
		return;
	s->over = true;
	conn_close(s->node);
	ws_close(s->ws, 1000);
	loop_defer(s->loop, &s->reap);
}

/* ---- towards the client ---- */

static void send_base64(struct session *s, uint8_t channel, struct str payload)
{
	struct buf text;

	buf_init(&text, BASE64_BYTES_MAX);
	buf_putc(&text, (char)('0' + channel));
	if (base64_put(&text, payload) == 0)
		ws_send(s->ws, false, buf_str(&text));
	buf_done(&text);
}

static void send_channel(void *ctx, enum stream_channel channel, struct str payload)
{
	struct session *s = ctx;

	if (!s->ws || s->over)
		return;
	if (s->protocol.dialect == STREAM_CHANNELS_BASE64)
		send_base64(s, (uint8_t)channel, payload);
	else
		ws_send_channel(s->ws, (uint8_t)channel, payload);
}

/* ---- from the client ---- */

static void take_message(struct session *s, struct str payload)
{
	uint8_t channel = (uint8_t)payload.ptr[0];

	if (channel == CHANNEL_CLOSE && !s->protocol.half_close)
		return;
	translate_from_client(s->translate, channel,
			      (struct str){ payload.ptr + 1, payload.len - 1 });
}

static void take_base64(struct session *s, struct str payload)
{
	struct buf raw;
	size_t bad_at;

	buf_init(&raw, STREAM_MESSAGE_BYTES_MAX);
	if (base64_decode((struct str){ payload.ptr + 1, payload.len - 1 }, &raw, &bad_at) == 0)
		translate_from_client(s->translate, (uint8_t)(payload.ptr[0] - '0'), buf_str(&raw));
	buf_done(&raw);
}

static void on_message(void *ctx, bool binary, struct str payload)
{
	struct session *s = ctx;

	(void)binary;
	if (s->over || !s->translate || !payload.len)
		return;
	if (s->protocol.dialect == STREAM_CHANNELS_BASE64)
		take_base64(s, payload);
	else
		take_message(s, payload);
	if (!s->over && conn_pending(s->node) > CONN_HIGH_WATER_BYTES)
		ws_pause(s->ws);
}

static void on_ws_drained(void *ctx)
{
	struct session *s = ctx;

	if (!s->over && s->node)
		conn_resume(s->node);
}

static void on_ws_closed(void *ctx, int code, struct str reason)
{
	struct session *s = ctx;

	(void)code, (void)reason;
	s->ws = NULL;
	session_end(s);
}

static const struct ws_ops session_ws_ops = {
	.message = on_message,
	.drained = on_ws_drained,
	.closed = on_ws_closed,
};

struct conn *stream_ws_upgrade(struct http_exchange *x, const struct stream_protocol *p)
{
	const struct http_request *r = http_request_of(x);
	char accept[29];

	ws_accept_key(http_header_get(r->headers, "sec-websocket-key"), accept);
	const struct http_header h[] = {
		{ STR("upgrade"), STR("websocket") },
		{ STR("connection"), STR("Upgrade") },
		{ STR("sec-websocket-accept"), str_of(accept) },
		{ STR("sec-websocket-protocol"), p->subprotocol },
	};
	return http_upgrade(x, h, p->subprotocol.len ? 4 : 3, &stream_hold_ops, NULL);
}

static bool session_upgrade(struct session *s)
{
	struct http_exchange *x = TAKE_PTR(s->x);
	struct conn *client = stream_ws_upgrade(x, &s->protocol);

	if (!client) {
		session_end(s);
		return false;
	}
	s->ws = ws_new(client, false, STREAM_MESSAGE_BYTES_MAX, &session_ws_ops, s);
	send_channel(s, s->first, STR(""));
	return !s->over;
}

/* ---- the end ---- */

static bool is_status(struct str text, char **ret_message)
{
	struct err e;
	cleanup(json_decrefp) json_t *v = jx_parse(text, STREAM_STATUS_BYTES_MAX, &e);
	const char *status = jx_str(v, "status");

	if (!status)
		return false;
	*ret_message = c_eq(status, "Success") ? NULL : xstrdup(jx_str_or(v, "message", "failed"));
	return true;
}

/* metav1.Status as apimachinery's NewInternalError makes it. */
static char *internal_error(const char *message)
{
	json_t *v = json_object(), *cause = json_object();
	cleanup(freep) char *text = xasprintf("Internal error occurred: %s", message);

	jx_set(v, "metadata", json_object());
	jx_set_str(v, "status", "Failure");
	jx_set_str(v, "message", text);
	jx_set_str(v, "reason", "InternalError");
	jx_set_str(cause, "message", message);
	jx_set(v, "details.causes", json_pack("[o]", cause));
	jx_set_int(v, "code", 500);
	char *out = jx_dump_text(v);
	json_decref(v);
	return out;
}

static void say_failure(struct session *s, const char *message)
{
	if (s->over || (s->x && !session_upgrade(s)))
		return;
	cleanup(freep) char *json = internal_error(message);
	send_channel(s, CHANNEL_ERROR, str_of(s->protocol.json_status ? json : message));
	session_end(s);
}

static void on_finished(void *ctx, struct str status)
{
	struct session *s = ctx;
	cleanup(freep) char *message = NULL;

	if (s->over || (s->x && !session_upgrade(s)))
		return;
	if (status.len && !is_status(status, &message)) {
		cleanup(freep) char *text = str_dup(status);
		say_failure(s, text);
		return;
	}
	if (s->protocol.json_status)
		send_channel(s, CHANNEL_ERROR, status.len ? status : STR(SUCCESS));
	else if (message)
		send_channel(s, CHANNEL_ERROR, str_of(message));
	session_end(s);
}

/* ---- the node ---- */

static void to_node(void *ctx, struct str bytes)
{
	struct session *s = ctx;

	if (!s->over && s->node)
		conn_write(s->node, bytes.ptr, bytes.len);
}

static void on_ready(void *ctx)
{
	struct session *s = ctx;

	if (s->x)
		session_upgrade(s);
}

static const struct translate_ops session_translate_ops = {
	.to_node = to_node,
	.ready = on_ready,
	.to_client = send_channel,
	.finished = on_finished,
};

static size_t node_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct session *s = ctx;
	struct err e;
	ssize_t n = translate_from_node(s->translate, (struct str){ (const char *)bytes, len }, &e);

	if (n < 0) {
		say_failure(s, e.message);
		return len;
	}
	if (!s->over && s->ws && ws_pending(s->ws) > CONN_HIGH_WATER_BYTES)
		conn_pause(c);
	return (size_t)n;
}

static void node_drained(struct conn *c, void *ctx)
{
	struct session *s = ctx;

	(void)c;
	if (s->ws)
		ws_resume(s->ws);
}

static void node_gone(struct session *s)
{
	struct err e;

	if (translate_node_gone(s->translate, &e) < 0)
		say_failure(s, e.message);
}

static void node_eof(struct conn *c, void *ctx)
{
	(void)c;
	node_gone(ctx);
}

static void node_failed(struct conn *c, void *ctx, const struct err *e)
{
	struct session *s = ctx;

	(void)c, (void)e;
	s->node = NULL;
	node_gone(s);
}

static const struct conn_ops session_node_ops = {
	.data = node_data,
	.eof = node_eof,
	.drained = node_drained,
	.failed = node_failed,
};

/* ---- the beginning ---- */

static void on_client_gone(void *ctx)
{
	struct session *s = ctx;

	s->x = NULL;
	session_end(s);
}

static struct session *session_new(struct loop *l, struct http_exchange *x,
				   const struct stream_protocol *p)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	s->x = x;
	s->protocol = *p;
	s->subprotocol = str_dup(p->subprotocol);
	s->protocol.subprotocol = str_of(s->subprotocol);
	s->first = CHANNEL_ERROR;
	s->reap.run = on_reap;
	return s;
}

void stream_channels_run(struct loop *l, struct http_exchange *x, const struct stream_protocol *p,
			 const struct stream_options *o, struct conn *node)
{
	struct session *s = session_new(l, x, p);

	s->first = o->out ? CHANNEL_STDOUT : o->err ? CHANNEL_STDERR : CHANNEL_ERROR;
	s->node = node;
	http_on_closed(x, on_client_gone, s);
	conn_set_ops(node, &session_node_ops, s);
	s->translate = translate_new(o, &session_translate_ops, s);
}

void stream_channels_refuse(struct loop *l, struct http_exchange *x,
			    const struct stream_protocol *p, const char *message)
{
	say_failure(session_new(l, x, p), message);
}
