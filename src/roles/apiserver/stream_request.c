#include "roles/apiserver/stream_request.h"

#include <strings.h>

#define PATH_BYTES_MAX (64u << 10) /* as the request's own head */
#define TUNNEL_PREFIX "SPDY/3.1+"

/* k8s.io/apimachinery/pkg/util/remotecommand; the last row is a client that names no protocol. */
static const struct channel_protocol {
	const char *name;
	enum stream_dialect dialect;
	bool json_status, half_close;
} channel_protocols[] = {
	{ "v5.channel.k8s.io", STREAM_CHANNELS, true, true },
	{ "v4.channel.k8s.io", STREAM_CHANNELS, true, false },
	{ "v4.base64.channel.k8s.io", STREAM_CHANNELS_BASE64, true, false },
	{ "channel.k8s.io", STREAM_CHANNELS, false, false },
	{ "base64.channel.k8s.io", STREAM_CHANNELS_BASE64, false, false },
	{ "", STREAM_CHANNELS, false, false },
};

static bool choose_channels(struct str name, struct stream_protocol *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(channel_protocols); i++) {
		const struct channel_protocol *p = &channel_protocols[i];
		if (!str_eq_c(name, p->name))
			continue;
		*ret = (struct stream_protocol){ p->dialect, name, p->json_status, p->half_close };
		return true;
	}
	return false;
}

static bool choose_tunnel(struct str name, struct stream_protocol *ret)
{
	if (!str_eq_c(name, TUNNEL_PREFIX "portforward.k8s.io"))
		return false;
	*ret = (struct stream_protocol){ .dialect = STREAM_TUNNEL, .subprotocol = name };
	return true;
}

/* The client lists what it speaks in order of preference, in one header or in several. */
static bool choose_subprotocol(enum stream_kind kind, struct http_headers h,
			       struct stream_protocol *ret)
{
	bool named = false;

	for (size_t i = 0; i < h.n; i++) {
		if (!str_eq_c(h.at[i].name, "sec-websocket-protocol"))
			continue;
		for (struct str rest = h.at[i].value; rest.ptr;) {
			struct str name = str_trim(str_cut(rest, ',', &rest));
			named = named || name.len;
			if (name.len && (kind == STREAM_PORTFORWARD ? choose_tunnel(name, ret)
								    : choose_channels(name, ret)))
				return true;
		}
	}
	return !named && kind != STREAM_PORTFORWARD && choose_channels(STR(""), ret);
}

int stream_protocol_choose(enum stream_kind kind, const struct http_request *r,
			   struct stream_protocol *ret, struct err *e)
{
	struct str upgrade = http_header_get(r->headers, "upgrade");

	if (r->h2 || !http_header_has_token(r->headers, "connection", "upgrade"))
		return err_set(e, ERR_BAD_REQUEST, "Upgrade request required");
	if (str_ieq(upgrade, STR("SPDY/3.1"))) {
		*ret = (struct stream_protocol){ .dialect = STREAM_SPDY };
		return 0;
	}
	if (!str_ieq(upgrade, STR("websocket")))
		return err_set(e, ERR_BAD_REQUEST,
			       "unable to upgrade: unknown protocol \"" STR_FMT "\"",
			       (int)MIN(upgrade.len, (size_t)60), upgrade.ptr ? upgrade.ptr : "");
	if (!str_eq(r->method, STR("GET")) ||
	    !http_header_get(r->headers, "sec-websocket-key").len ||
	    !str_eq_c(http_header_get(r->headers, "sec-websocket-version"), "13"))
		return err_set(e, ERR_BAD_REQUEST,
			       "unable to upgrade: not a WebSocket handshake of version 13");
	if (!choose_subprotocol(kind, r->headers, ret))
		return err_set(e, ERR_BAD_REQUEST,
			       "unable to upgrade: no requested subprotocol is served here");
	return 0;
}

static bool query_bool(struct str query, const char *name, struct arena *a)
{
	const char *v = http_query_get(query, name, a);

	return v && strcmp(v, "0") != 0 && strcasecmp(v, "false") != 0;
}

int stream_options_parse(struct str query, struct arena *a, struct stream_options *ret,
			 struct err *e)
{
	*ret = (struct stream_options){
		.in = query_bool(query, "stdin", a),
		.out = query_bool(query, "stdout", a),
		.err = query_bool(query, "stderr", a),
		.tty = query_bool(query, "tty", a),
	};
	if (ret->tty)
		ret->err = false;
	if (!ret->in && !ret->out && !ret->err)
		return err_set(e, ERR_BAD_REQUEST,
			       "you must specify at least 1 of stdin, stdout, stderr");
	return 0;
}

static void put_encoded(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
		    strchr("-._~", c))
			buf_putc(b, (char)c);
		else
			buf_printf(b, "%%%02X", c);
	}
}

static void put_flag(struct buf *b, const char *name, bool on)
{
	if (on)
		buf_printf(b, "%s=1&", name);
}

static void put_each(struct buf *b, struct str query, const char *name, struct arena *a)
{
	const char *v;

	for (size_t i = 0; (v = http_query_get_nth(query, name, i, a)); i++) {
		buf_printf(b, "%s=", name);
		put_encoded(b, v);
		buf_putc(b, '&');
	}
}

static const char *const verbs[] = {
	[STREAM_EXEC] = "exec",
	[STREAM_ATTACH] = "attach",
	[STREAM_PORTFORWARD] = "portForward",
};

const char *stream_kubelet_path(const struct stream_target *t, struct str query,
				const struct stream_options *o, struct arena *a)
{
	struct buf b;

	buf_init(&b, PATH_BYTES_MAX);
	buf_printf(&b, "/%s/%s/%s%s%s?", verbs[t->kind], t->ns, t->pod, t->container ? "/" : "",
		   t->container ? t->container : "");
	if (t->kind == STREAM_EXEC)
		put_each(&b, query, "command", a);
	if (t->kind == STREAM_PORTFORWARD)
		put_each(&b, query, "port", a);
	put_flag(&b, "input", o->in);
	put_flag(&b, "output", o->out);
	put_flag(&b, "error", o->err);
	put_flag(&b, "tty", o->tty);
	b.len--; /* the last '&', or '?' */
	const char *path = b.overflow ? NULL : arena_strndup(a, b.ptr, b.len);
	buf_done(&b);
	return path;
}
