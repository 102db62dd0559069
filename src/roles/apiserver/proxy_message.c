#include "roles/apiserver/proxy_message.h"

#include "base/buf.h"

#define PATH_BYTES (256u << 10) /* a path of 64 KiB, each of its bytes encoded, with its query */
#define EXTRA_HEADERS 3

/* ---- paths ---- */

/* Go's escape() in its encodePath mode. */
static void put_path(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
		    strchr("-_.~$&+,/:;=@", c))
			buf_putc(b, (char)c);
		else
			buf_printf(b, "%%%02X", c);
	}
}

static const char *take_text(struct arena *a, struct buf *b)
{
	const char *text = b->overflow ? NULL : arena_strndup(a, b->ptr ? b->ptr : "", b->len);

	buf_done(b);
	return text;
}

const char *proxy_message_path(const struct proxy_message *m, struct str query)
{
	struct buf b;

	buf_init(&b, PATH_BYTES);
	buf_putc(&b, '/');
	put_path(&b, m->rest ? m->rest : "");
	if (query.len) {
		buf_putc(&b, '?');
		buf_put_str(&b, query);
	}
	return take_text(m->arena, &b);
}

/* How much of the path leads to the subresource, its name included. */
static size_t prefix_len(const struct proxy_message *m)
{
	size_t len = m->rest ? (size_t)(m->rest - m->path) : strlen(m->path);

	while (len && m->path[len - 1] == '/')
		len--;
	return len;
}

/* ---- headers ---- */

static const char *const hop_headers[] = {
	"connection",	       "content-length",   "keep-alive", "proxy-authenticate",
	"proxy-authorization", "proxy-connection", "te",	 "trailer",
	"transfer-encoding",   "upgrade",
};
/* Meant for this server: whoever runs in a pod must not get them. */
static const char *const own_headers[] = {"authorization", "expect", "host", "x-forwarded-for",
					  "x-forwarded-uri"};
static const char *const answered_here[] = {"date"};

static bool is_one_of(struct str name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq_c(name, list[i]))
			return true;
	return false;
}

static bool is_hop(struct http_headers all, struct str name)
{
	if (is_one_of(name, hop_headers, ARRAY_LEN(hop_headers)))
		return true;
	struct str connection = http_header_get(all, "connection");
	while (connection.ptr)
		if (str_ieq(str_trim(str_cut(connection, ',', &connection)), name))
			return true;
	return false;
}

static bool goes_to_target(struct http_headers all, struct str name)
{
	return !is_hop(all, name) && !is_one_of(name, own_headers, ARRAY_LEN(own_headers)) &&
	       !str_starts(name, STR("impersonate-"));
}

static bool goes_to_client(struct http_headers all, struct str name)
{
	return !is_hop(all, name) && !is_one_of(name, answered_here, ARRAY_LEN(answered_here)) &&
	       !str_starts(name, STR("access-control-"));
}

static const char *forwarded_for(const struct proxy_message *m, struct http_headers from)
{
	struct buf b;

	buf_init(&b, PATH_BYTES);
	for (size_t i = 0; i < from.n; i++) {
		if (!str_eq(from.at[i].name, STR("x-forwarded-for")))
			continue;
		buf_put_str(&b, from.at[i].value);
		buf_puts(&b, ", ");
	}
	buf_puts(&b, m->client);
	return take_text(m->arena, &b);
}

static const char *forwarded_uri(const struct proxy_message *m)
{
	struct buf b;

	buf_init(&b, PATH_BYTES);
	put_path(&b, m->path);
	return take_text(m->arena, &b);
}

static bool has_method_with_body(struct str method)
{
	return str_eq_c(method, "POST") || str_eq_c(method, "PUT") || str_eq_c(method, "PATCH");
}

int proxy_message_request(const struct proxy_message *m, const struct http_request *r,
			  struct http_headers *ret, struct err *e)
{
	struct http_header *to =
		arena_alloc(m->arena, (r->headers.n + EXTRA_HEADERS) * sizeof(*to));
	const char *by = forwarded_for(m, r->headers), *uri = forwarded_uri(m);
	size_t n = 0;

	if (!to || !by || !uri)
		return err_set(e, ERR_BAD_REQUEST, "the request is too large");
	for (size_t i = 0; i < r->headers.n; i++)
		if (goes_to_target(r->headers, r->headers.at[i].name))
			to[n++] = r->headers.at[i];
	if (by[0])
		to[n++] = (struct http_header){STR("x-forwarded-for"), str_of(by)};
	to[n++] = (struct http_header){STR("x-forwarded-uri"), str_of(uri)};
	if (!r->body.len && has_method_with_body(r->method))
		to[n++] = (struct http_header){STR("content-length"), STR("0")};
	*ret = (struct http_headers){to, n};
	return 0;
}

/* ---- redirects ---- */

/* What stands behind "scheme:" and "//host" of a reference; *ret_host is STR_NONE when it names
 * none. RFC 3986 §3. */
static struct str location_path(struct str s, struct str *ret_host)
{
	size_t scheme = 0;

	*ret_host = STR_NONE;
	while (scheme < s.len && !memchr(":/?#", s.ptr[scheme], 4))
		scheme++;
	struct str rest = s;
	if (scheme && scheme < s.len && s.ptr[scheme] == ':')
		rest = (struct str){s.ptr + scheme + 1, s.len - scheme - 1};
	if (!str_starts(rest, STR("//")))
		return rest.ptr == s.ptr ? rest : STR_NONE; /* "mailto:x" leads nowhere here */
	size_t end = 2;
	while (end < rest.len && !memchr("/?#", rest.ptr[end], 3))
		end++;
	*ret_host = (struct str){rest.ptr + 2, end - 2};
	return (struct str){rest.ptr + end, rest.len - end};
}

/* Only what leads to the target, from its root, is led through here instead; anything else stays as
 * it is. */
static struct str location_for_client(const struct proxy_message *m, struct str location)
{
	struct str host, path = location_path(location, &host);
	const char *prefix = arena_strndup(m->arena, m->path, prefix_len(m));
	struct buf b;

	if (!prefix || !str_starts(path, STR("/")) ||
	    (host.ptr && !str_eq_c(host, m->authority) && !str_ieq(host, m->own_authority)))
		return location;
	buf_init(&b, PATH_BYTES);
	if (!str_starts(path, str_of(prefix)))
		put_path(&b, prefix);
	buf_put_str(&b, path);
	const char *text = take_text(m->arena, &b);
	return text ? str_of(text) : location;
}

int proxy_message_answer(const struct proxy_message *m, struct http_headers from,
			 struct http_headers *ret, struct err *e)
{
	struct http_header *to = arena_alloc(m->arena, MAX(from.n, (size_t)1) * sizeof(*to));
	size_t n = 0, bytes = 0;

	for (size_t i = 0; to && i < from.n; i++) {
		if (!goes_to_client(from, from.at[i].name))
			continue;
		to[n] = from.at[i];
		if (str_eq(to[n].name, STR("location")))
			to[n].value = location_for_client(m, to[n].value);
		bytes += to[n].name.len + to[n].value.len + 4;
		n++;
	}
	if (!to || bytes > PROXY_ANSWER_HEADER_BYTES)
		return err_set(e, ERR_UNAVAILABLE,
			       "error trying to reach service: the answer's headers are too large");
	*ret = (struct http_headers){to, n};
	return 0;
}
