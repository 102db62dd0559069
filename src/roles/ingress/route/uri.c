#include "roles/ingress/route/routes.h"

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

			if (hi < 0 || lo < 0)
				return -1;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (c == '\0' || buf_putc(out, c) < 0)
			return -1;
	}
	return 0;
}

/* One element between slashes. `to` is the length of what has been written so far; -1: above the root. */
static ssize_t resolve_element(char *p, size_t to, size_t from, size_t len, bool *ret_folder)
{
	*ret_folder = true;
	if (len == 0 || (len == 1 && p[from] == '.'))
		return (ssize_t)to;
	if (len == 2 && p[from] == '.' && p[from + 1] == '.') {
		if (to == 0)
			return -1;
		while (p[--to] != '/')
			;
		return (ssize_t)to;
	}
	p[to] = '/';
	memmove(p + to + 1, p + from, len);
	*ret_folder = false;
	return (ssize_t)(to + 1 + len);
}

/* Rewrites the decoded path in place: it only ever gets shorter. A path that ended in "/", "/." or "/.." names a folder. */
static int resolve(struct buf *b, size_t start)
{
	char *p = b->ptr + start;
	size_t len = b->len - start, to = 0, from = 0;
	bool folder = true;

	while (from < len) {
		size_t begin = ++from; /* behind the slash */

		while (from < len && p[from] != '/')
			from++;
		ssize_t now = resolve_element(p, to, begin, from - begin, &folder);
		if (now < 0)
			return -1;
		to = (size_t)now;
	}
	if (folder)
		p[to++] = '/';
	b->len = start + to;
	b->ptr[b->len] = '\0';
	return 0;
}

bool uri_is_normal(struct str path)
{
	/* What ends a run of bytes that need no look: escapes, the query, slashes, NUL. */
	static const bool special[256] = { ['%'] = true, ['?'] = true, ['#'] = true, ['/'] = true, ['\0'] = true };

	if (path.len == 0 || path.ptr[0] != '/')
		return false;
	for (size_t i = 0; i < path.len; i++) {
		if (!special[(unsigned char)path.ptr[i]])
			continue;
		if (path.ptr[i] != '/' || (i + 1 < path.len && (path.ptr[i + 1] == '/' || path.ptr[i + 1] == '.')))
			return false;
	}
	return true;
}

int uri_normalise(struct str path, struct buf *out)
{
	size_t q = 0, start = out->len;

	if (uri_is_normal(path))
		return buf_put_str(out, path);
	while (q < path.len && path.ptr[q] != '?' && path.ptr[q] != '#')
		q++;
	path.len = q;
	if (path.len == 0 || path.ptr[0] != '/' || decode(path, out) < 0)
		return -1;
	return resolve(out, start);
}

int uri_encode(struct buf *out, struct str text, const char *more)
{
	int rc = 0;

	for (size_t i = 0; i < text.len && rc == 0; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		rc = c <= ' ' || c >= 0x7f || strchr(more, c) ? buf_printf(out, "%%%02X", c) : buf_putc(out, (char)c);
	}
	return rc;
}

/* A group is decoded text: among the target's arguments whatever would end one of them, or the line, is encoded anew. */
static int put_group(struct buf *out, struct str text, bool argument)
{
	if (!text.ptr)
		return 0;
	return argument ? uri_encode(out, text, "#%&+?") : buf_put_str(out, text);
}

/* *ret_query: where the target's own '?' has come to stand, SIZE_MAX before that. */
static int put_target(const char *target, const struct pattern_match *m, struct buf *out, size_t *ret_query)
{
	int rc = 0;

	for (const char *p = target; *p && rc == 0; p++) {
		bool group = p[0] == '$' && p[1] >= '1' && p[1] <= '9';

		if (group) {
			rc = put_group(out, m->group[*++p - '0'], *ret_query != SIZE_MAX);
			continue;
		}
		if (*p == '?' && *ret_query == SIZE_MAX)
			*ret_query = out->len;
		rc = buf_putc(out, *p);
	}
	return rc;
}

int location_rewrite_split(const struct location *loc, struct str path, struct buf *out, size_t *ret_query)
{
	struct pattern_match m;

	enum regex_result r = loc->rewrite ? pattern_try(loc->rewrite, path, &m) : REGEX_NO;

	*ret_query = SIZE_MAX;
	if (r == REGEX_LIMIT)
		return -1; /* as it came, the path might be one that the target is to hide */
	if (r == REGEX_NO)
		return buf_put_str(out, path);
	return put_target(loc->set->rewrite_target, &m, out, ret_query);
}
