/* HTTP/1: what a parsed head says becomes the request of an exchange. */
#include "roles/ingress/http/down_h1_int.h"

#include "roles/ingress/http/header.h"

static void tokens_to_drop(struct header_list *l, struct str connection)
{
	while (connection.ptr) {
		struct str token = str_trim(str_cut(connection, ',', &connection));
		size_t kept = 0;
		for (size_t i = 0; i < l->n && token.len; i++)
			if (!str_ieq(l->at[i].name, token))
				l->at[kept++] = l->at[i];
		l->n = token.len ? kept : l->n;
	}
}

static bool plain_connection(struct str v)
{
	return str_ieq(v, STR("close")) || str_ieq(v, STR("keep-alive")) || str_ieq(v, STR("upgrade")) || v.len == 0;
}

/* nginx's ignore_invalid_headers: letters, digits and '-'; '_' by a setting of its own. Others are not passed on, because
 * CGI-like upstreams read X_Y as X-Y. */
static bool name_passes(struct str name, bool underscores)
{
	static const bool passes[256] = { ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true };

	for (size_t i = 0; i < name.len; i++)
		if (!passes[(unsigned char)name.ptr[i]] && !(name.ptr[i] == '_' && underscores))
			return false;
	return true;
}

/* Tunnelled HTTP/2 would be requests that nobody here has looked at. */
static bool offers_h2c(struct str protocols)
{
	while (protocols.ptr)
		if (str_ieq(str_trim(str_cut(protocols, ',', &protocols)), STR("h2c")))
			return true;
	return false;
}

/* Sorts out what concerns this hop only; the rest stays in place. */
static void take_headers(struct exchange *x, struct http1_head *h, const struct globals *g)
{
	struct header_list *l = &x->req.headers;
	struct str connections[EXCHANGE_HEADERS_MAX];
	size_t n_connections = 0;

	l->at = h->headers;
	l->cap = h->max_headers;
	for (size_t i = 0; i < h->n_headers; i++) {
		struct http_header f = h->headers[i];
		switch (header_id(f.name)) {
		case H_HOP: case H_LENGTH: case H_HOST: case H_EXPECT:
			continue;
		case H_CONNECTION:
			if (!plain_connection(f.value))
				connections[n_connections++] = f.value;
			continue;
		case H_UPGRADE:
			if (h->upgrade && !offers_h2c(f.value))
				x->req.upgrade = f.value;
			continue;
		case H_TE:
			x->req.te_trailers = x->req.te_trailers || str_ieq(f.value, STR("trailers"));
			continue;
		case H_FORWARDED: case H_REQUEST_ID: case H_PROXY:
			x->req.has_ours = true;
			break;
		case H_CONTENT_TYPE:
			x->req.is_grpc = str_starts(f.value, STR("application/grpc")) && !str_starts(f.value, STR("application/grpc-web"));
			break;
		case H_OTHER:
			if (g->ignore_invalid_headers && !name_passes(f.name, g->enable_underscores_in_headers))
				continue;
			break;
		}
		l->at[l->n++] = f;
	}
	for (size_t i = 0; i < n_connections; i++)
		tokens_to_drop(l, connections[i]);
}

static bool idempotent(struct str m)
{
	switch (m.len) {
	case 3: return str_eq(m, STR("GET")) || str_eq(m, STR("PUT"));
	case 4: return str_eq(m, STR("HEAD"));
	case 5: return str_eq(m, STR("TRACE"));
	case 6: return str_eq(m, STR("DELETE"));
	case 7: return str_eq(m, STR("OPTIONS"));
	default: return false;
	}
}

/* Of an absolute-form target what an origin-form one would have been: what redirects, $request_uri and an authenticating
 * service are told is a path. nginx's unparsed_uri is so, too. */
static struct str target_of(struct exchange *x, const struct http1_head *h)
{
	if (!h->target.len || h->target.ptr[0] == '/' || !h->path.len || h->path.ptr[0] != '/')
		return h->target;
	const char *end = h->target.ptr + h->target.len;
	if (h->path.ptr > h->target.ptr && h->path.ptr < end)
		return (struct str){ h->path.ptr, (size_t)(end - h->path.ptr) };
	return h->query.len ? x_printf(x, "/?" STR_FMT, STR_ARG(h->query)) : STR("/"); /* "http://host?query" */
}

void down_h1_take_line(struct exchange *x, const struct http1_head *h, bool https)
{
	struct request *q = &x->req;

	q->https = https;
	q->scheme = https ? STR("https") : STR("http");
	q->method = h->method;
	q->authority = h->authority;
	q->target = target_of(x, h);
	q->path = h->path;
	q->query = h->query;
	q->protocol = h->minor ? STR("HTTP/1.1") : STR("HTTP/1.0");
}

void down_h1_take_fields(struct exchange *x, struct http1_head *h, size_t head_bytes)
{
	struct request *q = &x->req;

	take_headers(x, h, globals_now(x->worker->shared));
	q->bytes = head_bytes;
	q->is_head = str_eq(q->method, STR("HEAD"));
	q->idempotent = idempotent(q->method);
	q->expect_continue = h->expect_continue;
	q->has_body = h->framing != HTTP1_NO_BODY;
	q->content_length = h->framing == HTTP1_CHUNKED || !h->has_length ? -1 : (int64_t)h->content_length;
	x->request_body_done = !q->has_body;
}

void down_h1_take_head(struct exchange *x, struct http1_head *h, size_t head_bytes, bool https)
{
	down_h1_take_line(x, h, https);
	down_h1_take_fields(x, h, head_bytes);
}
