#include "codec/spdy.h"

#include <zlib.h>

/* Section 2.6.10.1: both ends prime their compressors with these bytes. Words with their lengths,
 * then text. */
static const char dictionary[] =
	"\000\000\000\007options"
	"\000\000\000\004head"
	"\000\000\000\004post"
	"\000\000\000\003put"
	"\000\000\000\006delete"
	"\000\000\000\005trace"
	"\000\000\000\006accept"
	"\000\000\000\016accept-charset"
	"\000\000\000\017accept-encoding"
	"\000\000\000\017accept-language"
	"\000\000\000\015accept-ranges"
	"\000\000\000\003age"
	"\000\000\000\005allow"
	"\000\000\000\015authorization"
	"\000\000\000\015cache-control"
	"\000\000\000\012connection"
	"\000\000\000\014content-base"
	"\000\000\000\020content-encoding"
	"\000\000\000\020content-language"
	"\000\000\000\016content-length"
	"\000\000\000\020content-location"
	"\000\000\000\013content-md5"
	"\000\000\000\015content-range"
	"\000\000\000\014content-type"
	"\000\000\000\004date"
	"\000\000\000\004etag"
	"\000\000\000\006expect"
	"\000\000\000\007expires"
	"\000\000\000\004from"
	"\000\000\000\004host"
	"\000\000\000\010if-match"
	"\000\000\000\021if-modified-since"
	"\000\000\000\015if-none-match"
	"\000\000\000\010if-range"
	"\000\000\000\023if-unmodified-since"
	"\000\000\000\015last-modified"
	"\000\000\000\010location"
	"\000\000\000\014max-forwards"
	"\000\000\000\006pragma"
	"\000\000\000\022proxy-authenticate"
	"\000\000\000\023proxy-authorization"
	"\000\000\000\005range"
	"\000\000\000\007referer"
	"\000\000\000\013retry-after"
	"\000\000\000\006server"
	"\000\000\000\002te"
	"\000\000\000\007trailer"
	"\000\000\000\021transfer-encoding"
	"\000\000\000\007upgrade"
	"\000\000\000\012user-agent"
	"\000\000\000\004vary"
	"\000\000\000\003via"
	"\000\000\000\007warning"
	"\000\000\000\020www-authenticate"
	"\000\000\000\006method"
	"\000\000\000\003get"
	"\000\000\000\006status"
	"\000\000\000\006200 OK"
	"\000\000\000\007version"
	"\000\000\000\010HTTP/1.1"
	"\000\000\000\003url"
	"\000\000\000\006public"
	"\000\000\000\012set-cookie"
	"\000\000\000\012keep-alive"
	"\000\000\000\006origin"
	"10010120120220520630030230330430530630740240540640740840941041141241341441541641"
	"7502504505203 Non-Authoritative Information204 No Content301 Moved Permanently40"
	"0 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error"
	"501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept O"
	"ct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,imag"
	"e/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/"
	"javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1"
	",utf-,*,enq=0.";
#define DICTIONARY_BYTES (sizeof(dictionary) - 1)

#define VERSION 3
#define HEAD_BYTES 8
#define FLAG_FIN 0x01
#define DEFLATE_CHUNK_BYTES 512
#define INFLATE_CHUNK_BYTES 4096

struct spdy {
	z_stream inflate, deflate;
	struct buf block; /* the header block of the last event, inflated */
	struct spdy_header headers[SPDY_HEADERS_MAX];
	uint32_t data_stream, data_left; /* inside a data frame: what is still to come */
	uint32_t skip_left;		 /* inside a control frame that is ignored */
	bool data_fin;
};

static uint32_t get_u32(const char *p)
{
	const uint8_t *b = (const uint8_t *)p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static uint32_t get_u31(const char *p)
{
	return get_u32(p) & 0x7fffffff;
}

static uint32_t get_u24(const char *p)
{
	return get_u32(p) & 0xffffff;
}

static void set_u32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (24 - 8 * i));
}

struct spdy *spdy_new(void)
{
	struct spdy *s = xcalloc(1, sizeof(*s));

	/* Out of memory is the only way these fail. */
	if (inflateInit(&s->inflate) != Z_OK || deflateInit(&s->deflate, Z_BEST_SPEED) != Z_OK ||
	    deflateSetDictionary(&s->deflate, (const Bytef *)dictionary, DICTIONARY_BYTES) != Z_OK)
		abort();
	buf_init(&s->block, SPDY_HEADER_BLOCK_BYTES_MAX);
	return s;
}

void spdy_free(struct spdy *s)
{
	if (!s)
		return;
	inflateEnd(&s->inflate);
	deflateEnd(&s->deflate);
	buf_done(&s->block);
	free(s);
}

static int inflate_block(struct spdy *s, struct str in, struct err *e)
{
	z_stream *z = &s->inflate;

	buf_clear(&s->block);
	z->next_in = (Bytef *)in.ptr;
	z->avail_in = (uInt)in.len;
	for (;;) {
		size_t room = MIN((size_t)INFLATE_CHUNK_BYTES, s->block.max - s->block.len);
		if (room == 0 || buf_reserve(&s->block, room) < 0)
			return err_set(e, ERR_TOO_LARGE,
				       "SPDY header block is larger than %u bytes",
				       SPDY_HEADER_BLOCK_BYTES_MAX);
		z->next_out = (Bytef *)s->block.ptr + s->block.len;
		z->avail_out = (uInt)room;
		int r = inflate(z, Z_SYNC_FLUSH);
		s->block.len += room - z->avail_out;
		if (r == Z_NEED_DICT)
			r = inflateSetDictionary(z, (const Bytef *)dictionary, DICTIONARY_BYTES);
		else if ((r == Z_OK || r == Z_BUF_ERROR) && z->avail_in == 0 && z->avail_out)
			return 0; /* a buffer error here: the block had filled the last chunk
				     exactly */
		if (r != Z_OK)
			return err_set(e, ERR_BAD_REQUEST, "SPDY header block does not inflate");
	}
}

/* A length and that many bytes; false when they are not there. */
static bool take_string(struct str *rest, struct str *ret)
{
	if (rest->len < 4)
		return false;
	uint32_t n = get_u32(rest->ptr);
	if (n > rest->len - 4)
		return false;
	*ret = (struct str){ rest->ptr + 4, n };
	*rest = (struct str){ rest->ptr + 4 + n, rest->len - 4 - n };
	return true;
}

static bool lower_case_name(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z')
			return false;
	return name.len > 0;
}

static int parse_headers(struct spdy *s, struct str compressed, struct spdy_event *ret,
			 struct err *e)
{
	if (inflate_block(s, compressed, e) < 0)
		return -1;
	struct str rest = buf_str(&s->block);
	if (rest.len < 4)
		return err_set(e, ERR_BAD_REQUEST, "SPDY header block is cut short");
	uint32_t n = get_u32(rest.ptr);
	rest = (struct str){ rest.ptr + 4, rest.len - 4 };
	if (n > SPDY_HEADERS_MAX)
		return err_set(e, ERR_TOO_LARGE, "SPDY frame has more than %d headers",
			       SPDY_HEADERS_MAX);
	for (uint32_t i = 0; i < n; i++) {
		struct spdy_header *h = &s->headers[i];
		if (!take_string(&rest, &h->name) || !take_string(&rest, &h->value))
			return err_set(e, ERR_BAD_REQUEST, "SPDY header block is cut short");
		if (!lower_case_name(h->name))
			return err_set(e, ERR_BAD_REQUEST,
				       "SPDY header name is empty or not in lower case");
	}
	if (rest.len)
		return err_set(e, ERR_BAD_REQUEST,
			       "SPDY header block has bytes behind its headers");
	ret->headers = s->headers;
	ret->n_headers = n;
	return 0;
}

/* id and value of INITIAL_WINDOW_SIZE (7) is all that could matter to us. */
static int parse_settings(struct str p, struct spdy_event *ret, struct err *e)
{
	uint32_t n = get_u32(p.ptr);

	if ((uint64_t)n * 8 != p.len - 4)
		return err_set(e, ERR_BAD_REQUEST, "SPDY SETTINGS frame has a wrong length");
	for (uint32_t i = 0; i < n; i++)
		if (get_u24(p.ptr + 4 + 8 * i) == 7)
			ret->value = get_u31(p.ptr + 8 + 8 * i);
	return 0;
}

/* What follows the common head: `fixed` bytes, then headers or nothing. */
static const struct control_shape {
	uint8_t fixed;
	bool headers, exact; /* exact: nothing may follow */
	bool has_stream;     /* the first word is a stream id, which may not be 0 */
} shapes[] = {
	[SPDY_SYN_STREAM] = { 10, .headers = true, .has_stream = true },
	[SPDY_SYN_REPLY] = { 4, .headers = true, .has_stream = true },
	[SPDY_RST_STREAM] = { 8, .exact = true, .has_stream = true },
	[SPDY_SETTINGS] = { 4 },
	[SPDY_PING] = { 4, .exact = true },
	[SPDY_GOAWAY] = { 8, .exact = true },
	[SPDY_HEADERS] = { 4, .headers = true, .has_stream = true },
	[SPDY_WINDOW_UPDATE] = { 8, .exact = true },
};

static int parse_payload(struct spdy *s, uint16_t type, struct str p, struct spdy_event *ret,
			 struct err *e)
{
	const struct control_shape *shape = &shapes[type];

	if (p.len < shape->fixed || (shape->exact && p.len != shape->fixed))
		return err_set(e, ERR_BAD_REQUEST, "SPDY frame of type %u has a wrong length",
			       type);
	ret->stream = type == SPDY_PING ? get_u32(p.ptr) : get_u31(p.ptr);
	if (shape->has_stream && ret->stream == 0)
		return err_set(e, ERR_BAD_REQUEST, "SPDY frame of type %u is for stream 0", type);
	if (shape->exact && shape->fixed == 8)
		ret->value = get_u32(p.ptr + 4);
	if (type == SPDY_SETTINGS)
		return parse_settings(p, ret, e);
	if (!shape->headers)
		return 0;
	return parse_headers(s, (struct str){ p.ptr + shape->fixed, p.len - shape->fixed }, ret, e);
}

static ssize_t parse_control(struct spdy *s, struct str in, struct spdy_event *ret, struct err *e)
{
	uint32_t word = get_u32(in.ptr), len = get_u24(in.ptr + 4);
	uint16_t type = word & 0xffff;

	if ((word >> 16 & 0x7fff) != VERSION)
		return err_set(e, ERR_BAD_REQUEST, "SPDY version %u, not 3", word >> 16 & 0x7fff);
	if (type >= ARRAY_LEN(shapes) || !shapes[type].fixed) {
		s->skip_left = len;
		ret->type = SPDY_IGNORED;
		return HEAD_BYTES;
	}
	if (len > SPDY_CONTROL_BYTES_MAX)
		return err_set(e, ERR_TOO_LARGE, "SPDY control frame of %u bytes", len);
	if (in.len < HEAD_BYTES + len)
		return 0;
	ret->type = (enum spdy_type)type;
	ret->fin = (in.ptr[4] & FLAG_FIN) && shapes[type].headers;
	if (parse_payload(s, type, (struct str){ in.ptr + HEAD_BYTES, len }, ret, e) < 0)
		return -1;
	return HEAD_BYTES + (ssize_t)len;
}

static void take_data(struct spdy *s, struct str in, struct spdy_event *ret)
{
	uint32_t n = (uint32_t)MIN((size_t)s->data_left, in.len);

	s->data_left -= n;
	ret->type = SPDY_DATA;
	ret->stream = s->data_stream;
	ret->data = (struct str){ in.ptr, n };
	ret->fin = s->data_fin && s->data_left == 0;
}

static ssize_t parse_data(struct spdy *s, struct str in, struct spdy_event *ret, struct err *e)
{
	s->data_stream = get_u31(in.ptr);
	s->data_fin = in.ptr[4] & FLAG_FIN;
	s->data_left = get_u24(in.ptr + 4);
	if (s->data_stream == 0)
		return err_set(e, ERR_BAD_REQUEST, "SPDY data for stream 0");
	take_data(s, (struct str){ in.ptr + HEAD_BYTES, in.len - HEAD_BYTES }, ret);
	return HEAD_BYTES + (ssize_t)ret->data.len;
}

ssize_t spdy_parse(struct spdy *s, struct str in, struct spdy_event *ret, struct err *e)
{
	*ret = (struct spdy_event){ .type = SPDY_IGNORED };
	if (in.len == 0)
		return 0;
	if (s->skip_left) {
		uint32_t n = (uint32_t)MIN((size_t)s->skip_left, in.len);
		s->skip_left -= n;
		return n;
	}
	if (s->data_left) {
		take_data(s, in, ret);
		return (ssize_t)ret->data.len;
	}
	if (in.len < HEAD_BYTES)
		return 0;
	return in.ptr[0] & 0x80 ? parse_control(s, in, ret, e) : parse_data(s, in, ret, e);
}

struct str spdy_header_get(const struct spdy_event *ev, const char *name)
{
	for (size_t i = 0; i < ev->n_headers; i++)
		if (str_eq_c(ev->headers[i].name, name))
			return ev->headers[i].value;
	return STR_NONE;
}

static void set_control_head(char *p, enum spdy_type type, bool fin, uint32_t payload)
{
	set_u32(p, 0x80000000u | VERSION << 16 | type);
	set_u32(p + 4, (fin ? (uint32_t)FLAG_FIN << 24 : 0) | payload);
}

static int deflate_into(struct spdy *s, struct buf *out, const void *data, size_t len, int flush)
{
	z_stream *z = &s->deflate;

	z->next_in = (Bytef *)data;
	z->avail_in = (uInt)len;
	do {
		char chunk[DEFLATE_CHUNK_BYTES];
		z->next_out = (Bytef *)chunk;
		z->avail_out = sizeof(chunk);
		deflate(z, flush); /* Z_BUF_ERROR only says that there was nothing left to do */
		if (buf_put(out, chunk, sizeof(chunk) - z->avail_out) < 0)
			return -1;
	} while (z->avail_out == 0);
	return 0;
}

static int deflate_string(struct spdy *s, struct buf *out, struct str v)
{
	char len[4];

	set_u32(len, (uint32_t)v.len);
	return deflate_into(s, out, len, 4, Z_NO_FLUSH) < 0
		       ? -1
		       : deflate_into(s, out, v.ptr, v.len, Z_NO_FLUSH);
}

static int deflate_headers(struct spdy *s, struct buf *out, const struct spdy_header *h, size_t n)
{
	char count[4];

	set_u32(count, (uint32_t)n);
	if (deflate_into(s, out, count, 4, Z_NO_FLUSH) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (deflate_string(s, out, h[i].name) < 0 || deflate_string(s, out, h[i].value) < 0)
			return -1;
	return deflate_into(s, out, NULL, 0, Z_SYNC_FLUSH);
}

static int put_with_headers(struct spdy *s, struct buf *out, enum spdy_type type, uint32_t stream,
			    bool fin, const struct spdy_header *h, size_t n)
{
	size_t start = out->len, fixed = shapes[type].fixed, total = 0;
	char head[HEAD_BYTES + 10] = { 0 };

	for (size_t i = 0; i < n; i++)
		total += h[i].name.len + h[i].value.len + 8;
	if (n > SPDY_HEADERS_MAX || total > SPDY_CONTROL_BYTES_MAX / 2)
		return -1;
	set_u32(head + HEAD_BYTES, stream);
	if (buf_put(out, head, HEAD_BYTES + fixed) < 0)
		return -1;
	if (deflate_headers(s, out, h, n) < 0) {
		out->len = start;
		out->ptr[start] = '\0';
		return -1;
	}
	set_control_head(out->ptr + start, type, fin, (uint32_t)(out->len - start - HEAD_BYTES));
	return 0;
}

int spdy_put_syn_stream(struct spdy *s, struct buf *out, uint32_t stream, bool fin,
			const struct spdy_header *h, size_t n)
{
	return put_with_headers(s, out, SPDY_SYN_STREAM, stream, fin, h, n);
}

int spdy_put_syn_reply(struct spdy *s, struct buf *out, uint32_t stream, bool fin,
		       const struct spdy_header *h, size_t n)
{
	return put_with_headers(s, out, SPDY_SYN_REPLY, stream, fin, h, n);
}

int spdy_put_headers(struct spdy *s, struct buf *out, uint32_t stream, bool fin,
		     const struct spdy_header *h, size_t n)
{
	return put_with_headers(s, out, SPDY_HEADERS, stream, fin, h, n);
}

int spdy_put_data(struct buf *out, uint32_t stream, bool fin, struct str data)
{
	char head[HEAD_BYTES];

	if (data.len > SPDY_DATA_BYTES_MAX || buf_reserve(out, HEAD_BYTES + data.len) < 0)
		return -1;
	set_u32(head, stream);
	set_u32(head + 4, (fin ? (uint32_t)FLAG_FIN << 24 : 0) | (uint32_t)data.len);
	return buf_put(out, head, HEAD_BYTES) < 0 ? -1 : buf_put_str(out, data);
}

static int put_words(struct buf *out, enum spdy_type type, uint32_t a, uint32_t b)
{
	char frame[HEAD_BYTES + 8];
	size_t fixed = shapes[type].fixed;

	set_control_head(frame, type, false, (uint32_t)fixed);
	set_u32(frame + HEAD_BYTES, a);
	set_u32(frame + HEAD_BYTES + 4, b);
	return buf_put(out, frame, HEAD_BYTES + fixed);
}

int spdy_put_rst(struct buf *out, uint32_t stream, enum spdy_rst status)
{
	return put_words(out, SPDY_RST_STREAM, stream, status);
}

int spdy_put_ping(struct buf *out, uint32_t id)
{
	return put_words(out, SPDY_PING, id, 0);
}

int spdy_put_goaway(struct buf *out, uint32_t last_good_stream, uint32_t status)
{
	return put_words(out, SPDY_GOAWAY, last_good_stream, status);
}

int spdy_put_window_update(struct buf *out, uint32_t stream, uint32_t delta)
{
	return put_words(out, SPDY_WINDOW_UPDATE, stream, delta);
}
