#include "codec/cgi_head.h"
#include "codec/fcgi.h"

#include <assert.h>

/* What an application may send, cut anywhere: the streams and the end must be the same. */
struct heard {
	struct buf out, err;
	int ends, status;
	bool bad;
};

static void hear(struct heard *h, struct fcgi_reader *r, const uint8_t *bytes, size_t len, size_t *at)
{
	struct fcgi_piece p;
	struct err e;

	while (!h->bad && *at < len) {
		ssize_t n = fcgi_next(r, bytes + *at, len - *at, &p, &e);
		assert(n <= (ssize_t)(len - *at));
		h->bad = n < 0;
		if (n <= 0)
			return;
		*at += (size_t)n;
		assert(p.type == FCGI_NONE || p.type == FCGI_STDOUT || p.type == FCGI_STDERR || p.type == FCGI_END_REQUEST);
		assert(!p.end || p.data.len == 0);
		buf_put_str(p.type == FCGI_STDERR ? &h->err : &h->out, p.data);
		h->ends += p.end;
		if (p.type == FCGI_END_REQUEST)
			h->status = p.status + 1;
	}
}

static void head(struct str s, size_t split)
{
	static struct http_header table[16];
	size_t seen = 0, whole = 0;
	struct cgi_head h;
	struct err e;

	size_t end = cgi_head_end(s.ptr, split, &seen);
	end = end ? end : cgi_head_end(s.ptr, s.len, &seen);
	assert(end == cgi_head_end(s.ptr, s.len, &whole) && end <= s.len);
	if (cgi_head_parse(&h, s.ptr, end ? end : s.len, table, ARRAY_LEN(table), &e) < 0)
		return;
	assert(h.status >= 200 && h.status <= 999 && h.n_headers <= ARRAY_LEN(table));
	for (size_t i = 0; i < h.n_headers; i++) {
		assert(h.headers[i].name.len && h.headers[i].name.ptr >= s.ptr);
		assert(h.headers[i].value.ptr + h.headers[i].value.len <= s.ptr + s.len);
		assert(!memchr(h.headers[i].value.ptr, '\n', h.headers[i].value.len));
	}
}

/* Pairs that are read are written as pairs that are read alike. */
static void pairs(struct str rest)
{
	struct str name, value, again_name, again_value;
	struct fcgi_params p;
	struct buf out;
	struct err e;

	buf_init(&out, 1 << 20);
	while (fcgi_pair_next(&rest, &name, &value, &e) > 0) {
		buf_clear(&out);
		if (fcgi_params_begin(&p, &out) < 0 || fcgi_params_put(&p, name, value) < 0)
			continue;
		struct str back = { out.ptr + FCGI_HEADER_BYTES, out.len - FCGI_HEADER_BYTES };
		assert(fcgi_pair_next(&back, &again_name, &again_value, &e) == 1 && back.len == 0);
		assert(str_eq(name, again_name) && str_eq(value, again_value));
	}
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard whole = { 0 }, cut = { 0 };
	struct fcgi_reader a = { 0 }, b = { 0 };
	size_t at = 0, at_cut = 0;

	if (size < 2)
		return 0;
	size_t len = size - 1, split = (size_t)data[0] * len / 256;
	uint8_t *bytes = xmalloc(len);
	memcpy(bytes, data + 1, len);
	for (struct heard *h = &whole; h; h = h == &whole ? &cut : NULL) {
		buf_init(&h->out, 1 << 20);
		buf_init(&h->err, 1 << 20);
	}
	hear(&whole, &a, bytes, len, &at);
	hear(&cut, &b, bytes, split, &at_cut);
	hear(&cut, &b, bytes, len, &at_cut);
	assert(whole.bad == cut.bad && at == at_cut && whole.ends == cut.ends && whole.status == cut.status);
	assert(str_eq(buf_str(&whole.out), buf_str(&cut.out)) && str_eq(buf_str(&whole.err), buf_str(&cut.err)));
	if (whole.out.len)
		head(buf_str(&whole.out), whole.out.len * data[0] / 256);
	head((struct str){ (char *)bytes, len }, split);
	pairs((struct str){ (char *)bytes, len });
	for (struct heard *h = &whole; h; h = h == &whole ? &cut : NULL) {
		buf_done(&h->out);
		buf_done(&h->err);
	}
	free(bytes);
	return 0;
}
