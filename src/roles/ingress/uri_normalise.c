#include "roles/ingress/route.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int decode(struct str path, struct buf *out)
{
	for (size_t i = 0; i < path.len; i++) {
		char c = path.ptr[i];
		if (c == '%') {
			int hi = i + 2 < path.len ? hex(path.ptr[i + 1]) : -1;
			int lo = i + 2 < path.len ? hex(path.ptr[i + 2]) : -1;
			if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
				return -1;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (c == '\0' || buf_putc(out, c) < 0)
			return -1;
	}
	return 0;
}

/* Rewrites the decoded path in place: it only ever gets shorter. */
static int resolve(struct buf *b)
{
	size_t to = 0, from = 0;

	while (from < b->len) {
		while (from < b->len && b->ptr[from] == '/')
			from++;
		size_t end = from;
		while (end < b->len && b->ptr[end] != '/')
			end++;
		size_t len = end - from;
		bool last = end == b->len;
		if (len == 2 && b->ptr[from] == '.' && b->ptr[from + 1] == '.') {
			if (to == 0)
				return -1;
			while (to > 0 && b->ptr[--to] != '/')
				;
			len = 0;
		} else if (len == 1 && b->ptr[from] == '.') {
			len = 0;
		}
		if (len) {
			b->ptr[to++] = '/';
			memmove(b->ptr + to, b->ptr + from, len);
			to += len;
		}
		/* A path that ended in "/", "/." or "/.." names a folder. */
		if (last && len == 0 && (to == 0 || b->ptr[to - 1] != '/'))
			b->ptr[to++] = '/';
		if (!last && end + 1 == b->len) {
			b->ptr[to++] = '/';
			break;
		}
		from = end;
	}
	b->len = to;
	b->ptr[to] = '\0';
	return 0;
}

int uri_normalise(struct str path, struct buf *out)
{
	size_t q = 0;

	while (q < path.len && path.ptr[q] != '?' && path.ptr[q] != '#')
		q++;
	path.len = q;
	if (path.len == 0 || path.ptr[0] != '/' || decode(path, out) < 0)
		return -1;
	return resolve(out);
}
