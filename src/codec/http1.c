#include "codec/http1.h"
#include "codec/http1_chars.h"

#include <stdio.h>

#define METHOD_BYTES_MAX 32 /* the longest registered one has 18 */
#define LENGTH_DIGITS_MAX 19

#define T4(c) c, c + 1, c + 2, c + 3
#define T8(c) T4(c), T4(c + 4)
/* clang-format off */
const uint8_t http1_token_lower[256] = {
	['!'] = '!', ['#'] = '#', ['$'] = '$', ['%'] = '%', ['&'] = '&', ['\''] = '\'', ['*'] = '*',
	['+'] = '+', ['-'] = '-', ['.'] = '.', ['^'] = '^', ['_'] = '_', ['`'] = '`', ['|'] = '|',
	['~'] = '~',
	['0'] = T8('0'), '8', '9',
	['A'] = T8('a'), T8('i'), T8('q'), 'y', 'z',
	['a'] = T8('a'), T8('i'), T8('q'), 'y', 'z',
};
/* clang-format on */

/* --- errors: a refusal names its rule and its status --- */

#define LINE_MORE 0
#define LINE_BAD (-1)

static ssize_t refuse(struct http1_head *h, int status, struct err *e, const char *rule)
{
	h->refuse_status = status;
	return err_set(e, ERR_BAD_REQUEST, "malformed HTTP: %s", rule);
}

/* At `p` a line must end. Returns the length of CRLF, LINE_MORE or LINE_BAD. */
static ssize_t line_end(struct http1_head *h, const char *p, const char *end, struct err *e)
{
	if (p == end)
		return LINE_MORE;
	if (*p == '\n')
		return refuse(h, 400, e, "a line ends with LF alone");
	if (*p != '\r')
		return refuse(h, 400, e, "control character in a line");
	if (p + 1 == end)
		return LINE_MORE;
	if (p[1] != '\n')
		return refuse(h, 400, e, "CR without LF");
	return 2;
}

/* --- where a request goes --- */

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 3986 §3.2.2: unreserved, sub-delims, or the start of a percent-encoding. */
static const bool name_char[256] = {
	['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['-'] = true, ['.'] = true, ['_'] = true, ['~'] = true,
	['!'] = true, ['$'] = true, ['&'] = true, ['\''] = true, ['('] = true, [')'] = true, ['*'] = true, ['+'] = true,
	[','] = true, [';'] = true, ['='] = true, ['%'] = true,
};

/* host [ ":" port ], without user information. */
static bool authority_ok(struct str s)
{
	const char *p = s.ptr, *end = s.ptr + s.len;
	const char *host = p;
	uint64_t port;

	if (s.len == 0)
		return false;
	if (*p == '[') {
		for (p++; p < end && (is_hex(*p) || *p == ':' || *p == '.'); p++)
			;
		if (p == end || *p != ']' || p - host < 3)
			return false;
		p++;
	} else {
		while (p < end && name_char[(uint8_t)*p])
			p++;
		if (p == host)
			return false;
	}
	if (p == end)
		return true;
	if (*p++ != ':')
		return false;
	return p == end || str_to_u64((struct str){p, (size_t)(end - p)}, UINT16_MAX, &port);
}

static const char root_path[] = "/";

static void set_path(struct http1_head *h, struct str path_query)
{
	h->path = str_cut(path_query, '?', &h->query);
}

static ssize_t target_absolute(struct http1_head *h, size_t scheme_len, struct err *e)
{
	struct str rest = {h->target.ptr + scheme_len, h->target.len - scheme_len};
	size_t n = 0;

	while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
		n++;
	h->authority = (struct str){rest.ptr, n};
	if (!authority_ok(h->authority))
		return refuse(h, 400, e, "invalid authority in the request target");
	set_path(h, (struct str){rest.ptr + n, rest.len - n});
	if (h->path.len == 0)
		h->path = (struct str){root_path, 1};
	return 0;
}

static ssize_t target_parse(struct http1_head *h, struct err *e)
{
	struct str t = h->target;

	if (memchr(t.ptr, '#', t.len))
		return refuse(h, 400, e, "fragment in the request target");
	if (str_eq(h->method, STR("CONNECT"))) {
		h->authority = t;
		return authority_ok(t) ? 0
				       : refuse(h, 400, e, "CONNECT needs host:port as its target");
	}
	if (t.ptr[0] == '/') {
		set_path(h, t);
		return 0;
	}
	if (t.len > 7 && str_ieq((struct str){t.ptr, 7}, STR("http://")))
		return target_absolute(h, 7, e);
	if (t.len > 8 && str_ieq((struct str){t.ptr, 8}, STR("https://")))
		return target_absolute(h, 8, e);
	if (t.len == 1 && t.ptr[0] == '*' && str_eq(h->method, STR("OPTIONS"))) {
		h->path = t;
		return 0;
	}
	return refuse(h, 400, e, "the request target is neither a path nor a URL");
}

/* --- first lines --- */

/* "HTTP/1.x" at p. Returns its length, LINE_MORE or LINE_BAD. */
static ssize_t version_parse(struct http1_head *h, const char *p, const char *end, struct err *e)
{
	static const char prefix[] = "HTTP/";
	size_t have = MIN((size_t)(end - p), (size_t)5);

	if (memcmp(p, prefix, have) != 0)
		return refuse(h, 400, e,
			      "no HTTP version where one must be (a blank in the target?)");
	if (end - p < 8)
		return LINE_MORE;
	if (p[5] < '0' || p[5] > '9' || p[6] != '.' || p[7] < '0' || p[7] > '9')
		return refuse(h, 400, e, "malformed HTTP version");
	if (p[5] != '1' || p[7] > '1')
		return refuse(h, 505, e, "only HTTP/1.0 and HTTP/1.1 are served here");
	h->minor = p[7] - '0';
	return 8;
}

static ssize_t request_line(struct http1_head *h, char *line, const char *end, struct err *e)
{
	const char *p = line;
	ssize_t n;

	for (; p < end && http1_token_lower[(uint8_t)*p]; p++)
		if (p - line == METHOD_BYTES_MAX)
			return refuse(h, 501, e, "the method is too long");
	if (p == end)
		return LINE_MORE;
	if (p == line || *p != ' ')
		return refuse(h, 400, e, "invalid method");
	h->method = (struct str){line, (size_t)(p - line)};
	const char *target = ++p;
	while (p < end && (uint8_t)*p > ' ' && *p != 0x7f)
		p++;
	if (p == end)
		return LINE_MORE;
	if (p == target || *p != ' ')
		return refuse(h, 400, e, "invalid request target");
	h->target = (struct str){target, (size_t)(p - target)};
	p++;
	n = version_parse(h, p, end, e);
	if (n <= 0)
		return n;
	p += n;
	n = line_end(h, p, end, e);
	if (n <= 0)
		return n;
	return target_parse(h, e) < 0 ? LINE_BAD : p + n - line;
}

static ssize_t status_line(struct http1_head *h, const char *line, const char *end, struct err *e)
{
	const char *p = line;
	ssize_t n = version_parse(h, p, end, e);

	if (n <= 0)
		return n;
	p += n;
	if (end - p < 5)
		return LINE_MORE;
	if (p[0] != ' ' || p[1] < '1' || p[1] > '9' || p[2] < '0' || p[2] > '9' || p[3] < '0' ||
	    p[3] > '9')
		return refuse(h, 400, e, "the status is not of three digits");
	h->status = (p[1] - '0') * 100 + (p[2] - '0') * 10 + (p[3] - '0');
	p += 4;
	/* The blank is mandatory even before an empty reason; many servers leave it out. */
	if (*p != ' ' && *p != '\r')
		return refuse(h, 400, e, "junk behind the status");
	const char *reason = *p == ' ' ? ++p : p;
	p = http1_value_end(p, end);
	h->reason = (struct str){reason, (size_t)(p - reason)};
	n = line_end(h, p, end, e);
	return n <= 0 ? n : p + n - line;
}

/* --- fields that frame the message --- */

static ssize_t on_length(struct http1_head *h, struct str v, struct err *e)
{
	if (h->has_length)
		return refuse(h, 400, e, "several Content-Length");
	if (v.len > LENGTH_DIGITS_MAX || !str_to_u64(v, INT64_MAX, &h->content_length))
		return refuse(h, 400, e, "invalid Content-Length");
	h->has_length = true;
	return 0;
}

static ssize_t on_coding(struct http1_head *h, struct str v, struct err *e)
{
	if (h->chunked_)
		return refuse(h, 400, e, "several Transfer-Encoding");
	if (!str_ieq(v, STR("chunked")))
		return refuse(h, 501, e, "Transfer-Encoding other than chunked");
	h->chunked_ = true;
	return 0;
}

static ssize_t on_host(struct http1_head *h, struct str v, struct err *e)
{
	if (h->kind == HTTP1_RESPONSE)
		return 0;
	if (h->n_host_++)
		return refuse(h, 400, e, "several Host");
	if (!authority_ok(v))
		return refuse(h, 400, e, "invalid Host");
	if (h->authority.len == 0)
		h->authority = v;
	else if (!str_ieq(h->authority, v))
		return refuse(h, 400, e, "Host differs from the request target");
	return 0;
}

static ssize_t on_connection(struct http1_head *h, struct str v, struct err *e)
{
	struct str rest = v;

	(void)e;
	while (rest.ptr) {
		struct str token = str_trim(str_cut(rest, ',', &rest));

		h->close_ = h->close_ || str_ieq(token, STR("close"));
		h->keep_ = h->keep_ || str_ieq(token, STR("keep-alive"));
		h->upgrade = h->upgrade || str_ieq(token, STR("upgrade"));
	}
	return 0;
}

static ssize_t on_expect(struct http1_head *h, struct str v, struct err *e)
{
	(void)e;
	h->expect_continue = h->minor == 1 && str_ieq(v, STR("100-continue"));
	return 0;
}

static bool is_name(struct str name, const char *lower)
{
	for (size_t i = 0; i < name.len; i++)
		if (http1_token_lower[(uint8_t)name.ptr[i]] != (uint8_t)lower[i])
			return false;
	return true;
}

static ssize_t on_field(struct http1_head *h, struct str name, struct str value, struct err *e)
{
	switch (name.len) {
	case 4:
		return is_name(name, "host") ? on_host(h, value, e) : 0;
	case 6:
		return is_name(name, "expect") ? on_expect(h, value, e) : 0;
	case 10:
		return is_name(name, "connection") ? on_connection(h, value, e) : 0;
	case 14:
		return is_name(name, "content-length") ? on_length(h, value, e) : 0;
	case 17:
		return is_name(name, "transfer-encoding") ? on_coding(h, value, e) : 0;
	default:
		return 0;
	}
}

/* --- header lines --- */

static ssize_t bad_name(struct http1_head *h, const char *line, const char *at, struct err *e)
{
	if (at == line && (*at == ' ' || *at == '\t'))
		return refuse(h, 400, e, "folded line, or a blank before the first header");
	if (at == line && *at == ':')
		return refuse(h, 400, e, "empty header name");
	if (*at == ' ' || *at == '\t')
		return refuse(h, 400, e, "blank before the colon of a header");
	if (*at == '\n' && at > line)
		return refuse(h, 400, e, "header line without a colon");
	if (*at == '\n')
		return refuse(h, 400, e, "a line ends with LF alone");
	return refuse(h, 400, e, "invalid character in a header name");
}

/* Returns the line's length, LINE_MORE or LINE_BAD. */
static ssize_t header_line(struct http1_head *h, char *line, const char *end, struct err *e)
{
	char *p = line;

	if (h->keep_case)
		while (p < end && http1_token_lower[(uint8_t)*p])
			p++;
	else
		for (uint8_t c; p < end && (c = http1_token_lower[(uint8_t)*p]); p++)
			*p = (char)c;
	if (p == end)
		return LINE_MORE;
	if (p == line || *p != ':')
		return bad_name(h, line, p, e);
	struct str name = {line, (size_t)(p - line)};
	p++;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	const char *stop = http1_value_end(p, end);
	ssize_t n = line_end(h, stop, end, e);
	if (n <= 0)
		return n;
	struct str value = str_trim((struct str){p, (size_t)(stop - p)});
	if (h->n_headers == h->max_headers)
		return refuse(h, 431, e, "too many headers");
	h->headers[h->n_headers++] = (struct http_header){name, value};
	return on_field(h, name, value, e) < 0 ? LINE_BAD : stop + n - line;
}

/* --- the whole head --- */

void http1_head_init(struct http1_head *h, enum http1_kind kind, struct http_header *table,
		     size_t max)
{
	*h = (struct http1_head){.kind = kind, .headers = table, .max_headers = max};
}

static void str_rebase(struct str *s, const char *from, const char *to)
{
	/* The path of a URL without one is not among the bytes. */
	if (s->ptr && s->ptr != root_path)
		s->ptr = to + (s->ptr - from);
}

void http1_head_move(struct http1_head *h, const char *to)
{
	const char *from = h->base_;

	h->base_ = to;
	if (!from || from == to)
		return;
	str_rebase(&h->method, from, to);
	str_rebase(&h->target, from, to);
	str_rebase(&h->path, from, to);
	str_rebase(&h->query, from, to);
	str_rebase(&h->authority, from, to);
	str_rebase(&h->reason, from, to);
	for (size_t i = 0; i < h->n_headers; i++) {
		str_rebase(&h->headers[i].name, from, to);
		str_rebase(&h->headers[i].value, from, to);
	}
}

static ssize_t head_finish(struct http1_head *h, struct err *e)
{
	if (h->chunked_ && h->has_length)
		return refuse(h, 400, e, "Content-Length together with Transfer-Encoding");
	if (h->chunked_ && h->minor == 0)
		return refuse(h, 400, e, "Transfer-Encoding in HTTP/1.0");
	if (h->kind == HTTP1_REQUEST && h->minor == 1 && h->n_host_ == 0)
		return refuse(h, 400, e, "no Host");
	h->keep_alive = !h->close_ && (h->minor == 1 || h->keep_);
	if (h->chunked_)
		h->framing = HTTP1_CHUNKED;
	else if (h->has_length)
		h->framing = h->content_length ? HTTP1_LENGTH : HTTP1_NO_BODY;
	else
		h->framing = h->kind == HTTP1_REQUEST ? HTTP1_NO_BODY : HTTP1_UNTIL_CLOSE;
	return 0;
}

ssize_t http1_head_parse(struct http1_head *h, char *bytes, size_t len, struct err *e)
{
	const char *end = bytes + len;
	ssize_t n;

	http1_head_move(h, bytes);
	if (!h->line_done_) {
		n = h->kind == HTTP1_REQUEST ? request_line(h, bytes, end, e)
					     : status_line(h, bytes, end, e);
		if (n <= 0)
			return n;
		h->at_ = (size_t)n;
		h->line_done_ = true;
	}
	for (;; h->at_ += (size_t)n) {
		char *line = bytes + h->at_;

		if (line < end && *line == '\r') {
			n = line_end(h, line, end, e);
			if (n <= 0)
				return n;
			return head_finish(h, e) < 0 ? -1 : (ssize_t)h->at_ + n;
		}
		n = header_line(h, line, end, e);
		if (n <= 0)
			return n;
	}
}

enum http1_framing http1_response_framing(const struct http1_head *h, bool request_was_head)
{
	if (request_was_head || h->status / 100 == 1 || h->status == 204 || h->status == 304)
		return HTTP1_NO_BODY;
	return h->framing;
}
