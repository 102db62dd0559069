#include "codec/cgi_head.h"
#include "codec/http1_chars.h"

#define LENGTH_DIGITS_MAX 19

size_t cgi_head_end(const char *bytes, size_t len, size_t *seen)
{
	const char *end = bytes + len, *p = bytes + *seen;

	/* `p` is where a line begins. */
	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		if (!lf)
			break;
		if (lf == p || (lf == p + 1 && *p == '\r'))
			return (size_t)(lf + 1 - bytes);
		p = lf + 1;
	}
	*seen = (size_t)(p - bytes);
	return 0;
}

static int bad(struct err *e, const char *rule)
{
	return err_set(e, ERR_BAD_REQUEST, "malformed CGI answer: %s", rule);
}

/* "404 Not Found" */
static int on_status(struct cgi_head *h, struct str v, struct err *e)
{
	uint64_t status;

	if (h->status)
		return 0; /* nginx: the first counts */
	if (v.len < 3 || !str_to_u64((struct str){ v.ptr, 3 }, 999, &status) || (v.len > 3 && v.ptr[3] != ' '))
		return bad(e, "Status is not of three digits");
	if (status < 200)
		return bad(e, "Status is that of an interim answer");
	h->status = (int)status;
	h->reason = v.len > 4 ? str_trim((struct str){ v.ptr + 4, v.len - 4 }) : STR_NONE;
	return 0;
}

static int on_length(struct cgi_head *h, struct str v, struct err *e)
{
	if (h->has_length)
		return bad(e, "several Content-Length");
	if (v.len == 0 || v.len > LENGTH_DIGITS_MAX || !str_to_u64(v, INT64_MAX, &h->content_length))
		return bad(e, "invalid Content-Length");
	h->has_length = true;
	return 0;
}

/* What is said while the head is read: a program that chunks its answer knows no Content-Length. */
struct said {
	bool location, chunked;
};

static int on_field(struct cgi_head *h, struct http_header f, size_t max, struct said *said, struct err *e)
{
	if (str_ieq(f.name, STR("status")))
		return on_status(h, f.value, e);
	if (str_ieq(f.name, STR("content-length")))
		return on_length(h, f.value, e);
	if (str_ieq(f.name, STR("transfer-encoding"))) {
		said->chunked = true;
		return 0;
	}
	said->location = said->location || str_ieq(f.name, STR("location"));
	if (h->n_headers == max)
		return bad(e, "too many headers");
	h->headers[h->n_headers++] = f;
	return 0;
}

static int take_line(struct cgi_head *h, struct str line, size_t max, struct said *said, struct err *e)
{
	const char *p = line.ptr, *end = line.ptr + line.len;

	if (str_starts(line, STR("HTTP/")))
		return 0; /* of programs that were written to speak past the server */
	while (p < end && http1_token_lower[(uint8_t)*p])
		p++;
	if (p == line.ptr || p == end || *p != ':')
		return bad(e, "a line that is no header");
	struct http_header f = { .name = { line.ptr, (size_t)(p - line.ptr) } };
	p++;
	if (http1_value_end(p, end) != end)
		return bad(e, "control character in a header");
	f.value = str_trim((struct str){ p, (size_t)(end - p) });
	return on_field(h, f, max, said, e);
}

int cgi_head_parse(struct cgi_head *h, const char *bytes, size_t len, struct http_header *table, size_t max, struct err *e)
{
	struct said said = { 0 };
	struct str rest = { bytes, len };

	*h = (struct cgi_head){ .headers = table };
	while (rest.len) {
		struct str line = str_cut(rest, '\n', &rest);
		if (line.len && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (line.len && take_line(h, line, max, &said, e) < 0)
			return -1;
	}
	if (said.chunked && h->has_length)
		return bad(e, "Content-Length together with Transfer-Encoding");
	if (!h->status)
		h->status = said.location ? 302 : 200;
	return 0;
}
