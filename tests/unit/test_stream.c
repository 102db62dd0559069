/* Exec over WebSocket channels: the kubelet's path, the choice of protocol, the translation to SPDY. */
#include "codec/spdy.h"
#include "roles/apiserver/stream_request.h"
#include "roles/apiserver/stream_translate.h"

#include <setjmp.h>

#include <cmocka.h>

/* ---- a node and a client that write down what they see ---- */

struct peer {
	struct translate *t;
	struct spdy *spdy; /* the node's end */
	struct buf wire;   /* from us to the node */
	struct buf log;
};

static void to_node(void *ctx, struct str bytes)
{
	buf_put_str(&((struct peer *)ctx)->wire, bytes);
}

static void ready(void *ctx)
{
	buf_puts(&((struct peer *)ctx)->log, "ready\n");
}

static void to_client(void *ctx, enum stream_channel channel, struct str payload)
{
	buf_printf(&((struct peer *)ctx)->log, "%d:" STR_FMT "\n", channel, STR_ARG(payload));
}

static void finished(void *ctx, struct str status)
{
	buf_printf(&((struct peer *)ctx)->log, "finished:" STR_FMT "\n", STR_ARG(status));
}

static const struct translate_ops ops = { to_node, ready, to_client, finished };

static void peer_init(struct peer *p, const struct stream_options *o)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->wire, 1 << 20);
	buf_init(&p->log, 1 << 20);
	p->spdy = spdy_new();
	p->t = translate_new(o, &ops, p);
}

static void peer_done(struct peer *p)
{
	translate_free(p->t);
	spdy_free(p->spdy);
	buf_done(&p->wire);
	buf_done(&p->log);
}

/* What the node has received since the last call: "+id type", "id<data", "id." for a FIN. */
static void node_reads(struct peer *p, const char *expected)
{
	struct buf seen;
	struct spdy_event ev;
	struct err e;
	size_t used = 0;

	buf_init(&seen, 10000);
	buf_puts(&seen, "");
	for (ssize_t n; used < p->wire.len; used += (size_t)n) {
		n = spdy_parse(p->spdy, (struct str){ p->wire.ptr + used, p->wire.len - used }, &ev, &e);
		assert_true(n > 0);
		if (ev.type == SPDY_SYN_STREAM)
			buf_printf(&seen, "+%u " STR_FMT " ", ev.stream, STR_ARG(spdy_header_get(&ev, "streamtype")));
		else if (ev.type == SPDY_DATA && ev.data.len)
			buf_printf(&seen, "%u<" STR_FMT " ", ev.stream, STR_ARG(ev.data));
		else if (ev.type != SPDY_DATA)
			buf_printf(&seen, "%u type %d ", ev.stream, ev.type);
		if (ev.fin)
			buf_printf(&seen, "%u. ", ev.stream);
	}
	buf_clear(&p->wire);
	assert_string_equal(seen.ptr, expected);
	buf_done(&seen);
}

static void node_sends(struct peer *p, struct buf *frames)
{
	struct err e;

	assert_int_equal(translate_from_node(p->t, buf_str(frames), &e), frames->len);
	buf_clear(frames);
}

static void node_accepts(struct peer *p, struct buf *f, uint32_t last_id)
{
	for (uint32_t id = 1; id <= last_id; id += 2)
		assert_int_equal(spdy_put_syn_reply(p->spdy, f, id, false, NULL, 0), 0);
	node_sends(p, f);
}

/* ---- tests ---- */

static void test_exec(void **state)
{
	struct peer p;
	struct buf f;

	(void)state;
	buf_init(&f, 1 << 20);
	peer_init(&p, &(struct stream_options){ .in = true, .out = true, .err = true });
	node_reads(&p, "+1 error +3 stdin +5 stdout +7 stderr ");
	assert_int_equal(spdy_put_syn_reply(p.spdy, &f, 1, false, NULL, 0), 0);
	node_sends(&p, &f);
	assert_int_equal(p.log.len, 0); /* not ready before every stream is */
	for (uint32_t id = 3; id <= 7; id += 2)
		assert_int_equal(spdy_put_syn_reply(p.spdy, &f, id, false, NULL, 0), 0);
	node_sends(&p, &f);
	assert_string_equal(p.log.ptr, "ready\n");

	translate_from_client(p.t, CHANNEL_STDIN, STR("abc"));
	translate_from_client(p.t, CHANNEL_STDIN, STR(""));
	translate_from_client(p.t, 9, STR("nobody"));
	translate_from_client(p.t, CHANNEL_RESIZE, STR("{}")); /* no terminal */
	translate_from_client(p.t, CHANNEL_CLOSE, STR("\0"));
	translate_from_client(p.t, CHANNEL_CLOSE, STR("\0"));
	translate_from_client(p.t, CHANNEL_CLOSE, STR("\1"));
	translate_from_client(p.t, CHANNEL_STDIN, STR("late"));
	node_reads(&p, "3<abc 3. ");

	buf_clear(&p.log);
	assert_int_equal(spdy_put_data(&f, 5, false, STR("out")), 0);
	assert_int_equal(spdy_put_data(&f, 7, false, STR("err")), 0);
	assert_int_equal(spdy_put_data(&f, 1, true, STR("{\"status\":\"Failure\"}")), 0);
	assert_int_equal(spdy_put_data(&f, 5, true, STR("more")), 0);
	node_sends(&p, &f);
	assert_string_equal(p.log.ptr, "1:out\n2:err\n1:more\n"); /* stderr is still open */
	assert_int_equal(spdy_put_rst(&f, 7, SPDY_RST_CANCEL), 0);
	node_sends(&p, &f);
	assert_string_equal(p.log.ptr, "1:out\n2:err\n1:more\nfinished:{\"status\":\"Failure\"}\n");
	peer_done(&p);
	buf_done(&f);
}

static void test_tty_resizes(void **state)
{
	struct peer p;
	struct buf f;

	(void)state;
	buf_init(&f, 1 << 20);
	peer_init(&p, &(struct stream_options){ .in = true, .out = true, .tty = true });
	node_reads(&p, "+1 error +3 stdin +5 stdout +7 resize ");
	node_accepts(&p, &f, 7);
	translate_from_client(p.t, CHANNEL_RESIZE, STR("{\"Width\":80}"));
	node_reads(&p, "7<{\"Width\":80} ");
	assert_int_equal(spdy_put_ping(&f, 2), 0);
	assert_int_equal(spdy_put_ping(&f, 3), 0); /* an answer to one of ours, had we sent one */
	node_sends(&p, &f);
	node_reads(&p, "2 type 6 ");
	peer_done(&p);
	buf_done(&f);
}

static void test_node_ends_early(void **state)
{
	struct peer p;
	struct buf f;
	struct err e;

	(void)state;
	buf_init(&f, 1 << 20);
	peer_init(&p, &(struct stream_options){ .out = true });
	assert_int_equal(translate_node_gone(p.t, &e), -1);
	node_accepts(&p, &f, 3);
	assert_int_equal(translate_node_gone(p.t, &e), -1);
	/* It said how the command ended; stdout was never closed. */
	assert_int_equal(spdy_put_data(&f, 1, false, STR("{}")), 0);
	node_sends(&p, &f);
	assert_int_equal(translate_node_gone(p.t, &e), 0);
	assert_string_equal(p.log.ptr, "ready\nfinished:{}\n");
	peer_done(&p);

	peer_init(&p, &(struct stream_options){ .out = true });
	assert_int_equal(spdy_put_rst(&f, 3, SPDY_RST_REFUSED_STREAM), 0);
	assert_int_equal(translate_from_node(p.t, buf_str(&f), &e), -1);
	peer_done(&p);
	buf_done(&f);
}

static void test_status_limit(void **state)
{
	static char big[STREAM_STATUS_BYTES_MAX + 1];
	struct peer p;
	struct buf f;
	struct err e;

	(void)state;
	buf_init(&f, 1 << 20);
	peer_init(&p, &(struct stream_options){ .out = true });
	node_accepts(&p, &f, 3);
	assert_int_equal(spdy_put_data(&f, 1, true, (struct str){ big, sizeof(big) }), 0);
	assert_int_equal(translate_from_node(p.t, buf_str(&f), &e), -1);
	assert_int_equal(e.reason, ERR_TOO_LARGE);
	peer_done(&p);
	buf_done(&f);
}

static void test_kubelet_path(void **state)
{
	static const struct {
		enum stream_kind kind;
		const char *container, *query, *path;
	} rows[] = {
		{ STREAM_EXEC, "c", "command=sh&command=-c&command=echo+%22a%26b%22&stdin=true&stdout=true&stderr=true",
		  "/exec/ns/pod/c?command=sh&command=-c&command=echo%20%22a%26b%22&input=1&output=1&error=1" },
		{ STREAM_EXEC, "c", "command=sh&stdin=1&stdout=1&stderr=1&tty=true",
		  "/exec/ns/pod/c?command=sh&input=1&output=1&tty=1" },
		{ STREAM_EXEC, "c", "command=sh&stdin=false&stdout=true&stderr=0",
		  "/exec/ns/pod/c?command=sh&output=1" },
		{ STREAM_ATTACH, "c", "stdout=true&command=ignored", "/attach/ns/pod/c?output=1" },
		{ STREAM_PORTFORWARD, NULL, "", "/portForward/ns/pod" },
		{ STREAM_PORTFORWARD, NULL, "port=80&port=81", "/portForward/ns/pod?port=80&port=81" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct stream_target t = {
			.kind = rows[i].kind, .ns = "ns", .pod = "pod", .container = rows[i].container
		};
		struct stream_options o = { 0 };
		struct arena a;
		struct err e;

		arena_init(&a, 1 << 20);
		if (t.kind != STREAM_PORTFORWARD)
			assert_int_equal(stream_options_parse(str_of(rows[i].query), &a, &o, &e), 0);
		assert_string_equal(stream_kubelet_path(&t, str_of(rows[i].query), &o, &a), rows[i].path);
		arena_done(&a);
	}
}

static void test_protocol(void **state)
{
	static const struct {
		enum stream_kind kind;
		const char *method, *upgrade, *subprotocols;
		int dialect; /* -1: refused */
		const char *chosen;
		bool half_close;
	} rows[] = {
		{ STREAM_EXEC, "POST", "SPDY/3.1", NULL, STREAM_SPDY, "" },
		{ STREAM_EXEC, "POST", "spdy/3.1", NULL, STREAM_SPDY, "" },
		{ STREAM_EXEC, "GET", "websocket", "v5.channel.k8s.io", STREAM_CHANNELS, "v5.channel.k8s.io", true },
		{ STREAM_EXEC, "GET", "WebSocket", "v9.x, v4.channel.k8s.io", STREAM_CHANNELS, "v4.channel.k8s.io" },
		{ STREAM_ATTACH, "GET", "websocket", "base64.channel.k8s.io", STREAM_CHANNELS_BASE64,
		  "base64.channel.k8s.io" },
		{ STREAM_EXEC, "GET", "websocket", NULL, STREAM_CHANNELS, "" },
		{ STREAM_EXEC, "GET", "websocket", "chat", -1 },
		{ STREAM_EXEC, "POST", "websocket", "v5.channel.k8s.io", -1 },
		{ STREAM_EXEC, "GET", "h2c", NULL, -1 },
		{ STREAM_PORTFORWARD, "GET", "websocket", "SPDY/3.1+portforward.k8s.io", STREAM_TUNNEL,
		  "SPDY/3.1+portforward.k8s.io" },
		{ STREAM_PORTFORWARD, "GET", "websocket", "v4.channel.k8s.io", -1 },
		{ STREAM_PORTFORWARD, "GET", "websocket", NULL, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct http_header h[] = {
			{ STR("connection"), STR("keep-alive, Upgrade") },
			{ STR("upgrade"), str_of(rows[i].upgrade) },
			{ STR("sec-websocket-key"), STR("x") },
			{ STR("sec-websocket-version"), STR("13") },
			{ STR("sec-websocket-protocol"), str_of(rows[i].subprotocols) },
		};
		const struct http_request r = {
			.method = str_of(rows[i].method), .headers = { h, rows[i].subprotocols ? 5 : 4 }
		};
		struct stream_protocol p;
		struct err e;
		int rc = stream_protocol_choose(rows[i].kind, &r, &p, &e);

		assert_int_equal(rc, rows[i].dialect < 0 ? -1 : 0);
		if (rc < 0)
			continue;
		assert_int_equal(p.dialect, rows[i].dialect);
		assert_int_equal(p.half_close, rows[i].half_close);
		assert_true(str_eq_c(p.subprotocol, rows[i].chosen));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_tty_resizes),
		cmocka_unit_test(test_node_ends_early),
		cmocka_unit_test(test_status_limit),
		cmocka_unit_test(test_kubelet_path),
		cmocka_unit_test(test_protocol),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
