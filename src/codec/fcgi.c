#include "codec/fcgi.h"

#define VERSION 1
#define ROLE_RESPONDER 1
#define SHORT_LENGTH_MAX 127
#define END_BYTES 8 /* of FCGI_EndRequestBody */

/* ---- writing ---- */

void fcgi_header(uint8_t out[FCGI_HEADER_BYTES], enum fcgi_type type, size_t content_bytes)
{
	const uint8_t header[FCGI_HEADER_BYTES] = { VERSION, (uint8_t)type, FCGI_REQUEST_ID >> 8, FCGI_REQUEST_ID & 0xff,
						    (uint8_t)(content_bytes >> 8), (uint8_t)content_bytes };

	memcpy(out, header, sizeof(header));
}

int fcgi_begin(struct buf *out)
{
	static const uint8_t body[8] = { 0, ROLE_RESPONDER };
	uint8_t header[FCGI_HEADER_BYTES];

	fcgi_header(header, FCGI_BEGIN_REQUEST, sizeof(body));
	return buf_put(out, header, sizeof(header)) < 0 ? -1 : buf_put(out, body, sizeof(body));
}

static int record_open(struct fcgi_params *p)
{
	uint8_t header[FCGI_HEADER_BYTES];

	p->record = p->out->len;
	fcgi_header(header, FCGI_PARAMS, 0);
	return buf_put(p->out, header, sizeof(header));
}

static size_t record_bytes(const struct fcgi_params *p)
{
	return p->out->len - p->record - FCGI_HEADER_BYTES;
}

static void record_close(struct fcgi_params *p)
{
	fcgi_header((uint8_t *)p->out->ptr + p->record, FCGI_PARAMS, record_bytes(p));
}

int fcgi_params_begin(struct fcgi_params *p, struct buf *out)
{
	*p = (struct fcgi_params){ .out = out };
	return record_open(p);
}

static size_t length_write(uint8_t *out, size_t len)
{
	if (len <= SHORT_LENGTH_MAX) {
		out[0] = (uint8_t)len;
		return 1;
	}
	const uint32_t flagged = (uint32_t)len | FCGI_LONG_LENGTH_FLAG;
	for (int i = 0; i < 4; i++)
		out[i] = (uint8_t)(flagged >> (24 - 8 * i));
	return 4;
}

int fcgi_params_put(struct fcgi_params *p, struct str name, struct str value)
{
	uint8_t lengths[8];

	if (name.len > FCGI_CONTENT_BYTES_MAX || value.len > FCGI_CONTENT_BYTES_MAX)
		return -1;
	size_t n = length_write(lengths, name.len);
	n += length_write(lengths + n, value.len);
	size_t pair = n + name.len + value.len;
	if (pair > FCGI_CONTENT_BYTES_MAX)
		return -1;
	if (record_bytes(p) + pair > FCGI_CONTENT_BYTES_MAX) {
		record_close(p);
		if (record_open(p) < 0)
			return -1;
	}
	if (buf_put(p->out, lengths, n) < 0 || buf_put_str(p->out, name) < 0)
		return -1;
	return buf_put_str(p->out, value);
}

/* An empty record ends the stream: the one under way may be it. */
int fcgi_params_end(struct fcgi_params *p)
{
	if (record_bytes(p) == 0)
		return 0;
	record_close(p);
	return record_open(p);
}

/* ---- reading ---- */

static ssize_t bad(struct err *e, const char *rule)
{
	return err_set(e, ERR_BAD_REQUEST, "malformed FastCGI: %s", rule);
}

static bool is_stream(uint8_t type)
{
	return type == FCGI_STDOUT || type == FCGI_STDERR;
}

static ssize_t check_header(const struct fcgi_reader *r, const uint8_t *h, size_t content, struct err *e)
{
	if (h[0] != VERSION)
		return bad(e, "a version other than 1");
	if (!is_stream(h[1]) && h[1] != FCGI_END_REQUEST)
		return bad(e, "a record of a type that applications do not send to a request");
	if (h[2] << 8 != (FCGI_REQUEST_ID & 0xff00) || h[3] != (FCGI_REQUEST_ID & 0xff))
		return bad(e, "a record of another request");
	if (h[1] == FCGI_END_REQUEST && content != END_BYTES)
		return bad(e, "END_REQUEST is not of eight bytes");
	if (h[1] == FCGI_STDOUT && r->stdout_ended_)
		return bad(e, "more of STDOUT after its end");
	return 0;
}

static ssize_t take_header(struct fcgi_reader *r, const uint8_t *h, size_t len, struct fcgi_piece *ret, struct err *e)
{
	if (len < FCGI_HEADER_BYTES)
		return 0;
	size_t content = (size_t)h[4] << 8 | h[5];
	if (check_header(r, h, content, e) < 0)
		return -1;
	if (content == 0) {
		if (++r->empty_ > FCGI_EMPTY_RECORDS_MAX)
			return bad(e, "too many empty records");
		*ret = (struct fcgi_piece){ .type = h[1], .end = true };
		r->stdout_ended_ = r->stdout_ended_ || h[1] == FCGI_STDOUT;
	}
	r->type_ = h[1];
	r->left_ = (uint16_t)content;
	r->padding_ = h[6];
	return FCGI_HEADER_BYTES;
}

static ssize_t take_end(struct fcgi_reader *r, const uint8_t *b, size_t len, struct fcgi_piece *ret)
{
	if (len < END_BYTES)
		return 0;
	*ret = (struct fcgi_piece){ .type = FCGI_END_REQUEST, .status = b[4],
				    .app_status = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] };
	r->left_ = 0;
	r->ended_ = true;
	return END_BYTES;
}

ssize_t fcgi_next(struct fcgi_reader *r, const uint8_t *bytes, size_t len, struct fcgi_piece *ret, struct err *e)
{
	*ret = (struct fcgi_piece){ 0 };
	if (len == 0)
		return 0;
	if (r->left_ && r->type_ == FCGI_END_REQUEST)
		return take_end(r, bytes, len, ret);
	if (r->left_) {
		size_t n = MIN(len, (size_t)r->left_);
		*ret = (struct fcgi_piece){ .type = r->type_, .data = { (const char *)bytes, n } };
		r->left_ = (uint16_t)(r->left_ - n);
		return (ssize_t)n;
	}
	if (r->padding_) {
		size_t n = MIN(len, (size_t)r->padding_);
		r->padding_ = (uint8_t)(r->padding_ - n);
		return (ssize_t)n;
	}
	if (r->ended_)
		return bad(e, "a record behind END_REQUEST");
	return take_header(r, bytes, len, ret, e);
}

/* ---- pairs ---- */

static int length_read(struct str *rest, size_t *ret)
{
	const uint8_t *p = (const uint8_t *)rest->ptr;
	size_t n = rest->len && p[0] > SHORT_LENGTH_MAX ? 4 : 1;

	if (rest->len < n)
		return -1;
	*ret = n == 1 ? p[0] : (((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]) & ~(size_t)FCGI_LONG_LENGTH_FLAG);
	*rest = (struct str){ rest->ptr + n, rest->len - n };
	return 0;
}

int fcgi_pair_next(struct str *rest, struct str *ret_name, struct str *ret_value, struct err *e)
{
	struct str s = *rest;
	size_t name, value;

	if (s.len == 0)
		return 0;
	if (length_read(&s, &name) < 0 || length_read(&s, &value) < 0 || name > s.len || value > s.len - name)
		return (int)bad(e, "a name or value is longer than its record");
	*ret_name = (struct str){ s.ptr, name };
	*ret_value = (struct str){ s.ptr + name, value };
	*rest = (struct str){ s.ptr + name + value, s.len - name - value };
	return 1;
}
