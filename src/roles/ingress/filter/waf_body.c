/* Bodies taken apart: forms, JSON, multipart (RFC 7578). What is malformed is a fact for the rules, never an error. */
#include "roles/ingress/filter/waf.h"

#define BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */

static struct str skip_blanks(struct str s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || (s.ptr[0] >= '\t' && s.ptr[0] <= '\r')))
		s = (struct str){ s.ptr + 1, s.len - 1 };
	return s;
}

static bool starts_ignoring_case(struct str s, struct str with)
{
	return s.len >= with.len && str_ieq((struct str){ s.ptr, with.len }, with);
}

/* The value of `name` in "…; name=value" or "…; name="value"". ptr NULL: none. */
static struct str parameter(struct str header, struct str name)
{
	str_cut(header, ';', &header);
	while (header.ptr != NULL) {
		header = skip_blanks(header);
		struct str value;
		struct str key = str_trim(str_cut(header, '=', &value));
		if (value.ptr == NULL)
			return STR_NONE;
		struct str rest;
		value = skip_blanks(value);
		if (value.len > 0 && value.ptr[0] == '"') {
			const char *p = value.ptr + 1, *end = value.ptr + value.len;
			while (p < end && *p != '"')
				p += *p == '\\' && p + 1 < end ? 2 : 1;
			rest = (struct str){ p, (size_t)(end - p) };
			value = (struct str){ value.ptr + 1, (size_t)(p - value.ptr - 1) };
			str_cut(rest, ';', &rest);
		} else {
			value = str_trim(str_cut(value, ';', &rest));
		}
		if (str_ieq(key, name))
			return value;
		header = rest;
	}
	return STR_NONE;
}

enum waf_body_type waf_body_type(struct str content_type, struct str *ret_boundary)
{
	struct str rest, type = str_trim(str_cut(content_type, ';', &rest));
	*ret_boundary = STR_NONE;
	if (str_ieq(type, STR("application/x-www-form-urlencoded")))
		return WAF_BODY_FORM;
	if (str_ieq(type, STR("application/json")) || (type.len > 5 && str_ieq((struct str){ type.ptr + type.len - 5, 5 }, STR("+json"))))
		return WAF_BODY_JSON;
	if (starts_ignoring_case(type, STR("multipart/"))) {
		*ret_boundary = parameter(content_type, STR("boundary"));
		return WAF_BODY_MULTIPART;
	}
	if (starts_ignoring_case(type, STR("text/")) || str_ieq(type, STR("application/xml")) ||
	    (type.len > 4 && str_ieq((struct str){ type.ptr + type.len - 4, 4 }, STR("+xml"))) || str_ieq(type, STR("application/graphql")))
		return WAF_BODY_TEXT;
	return WAF_BODY_UNREAD;
}

/* ---- JSON: only its strings matter, so it is read as a row of tokens ---- */

static size_t utf8_put(char *out, unsigned code)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	out[0] = (char)(0xe0 | code >> 12);
	out[1] = (char)(0x80 | (code >> 6 & 0x3f));
	out[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

static bool hex4(const char *p, unsigned *ret)
{
	unsigned v = 0;
	for (int i = 0; i < 4; i++) {
		char c = (char)(p[i] | 0x20);
		if (p[i] >= '0' && p[i] <= '9')
			v = v << 4 | (unsigned)(p[i] - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (unsigned)(c - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return true;
}

/* From behind the opening quote to behind the closing one; `out` has room for all of it. NULL: it does not end. Each
 * escape is longer than what it stands for. */
static const char *json_string(const char *p, const char *end, char *out, size_t *ret_n, bool *bad)
{
	static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
	size_t n = 0;
	while (p < end && *p != '"') {
		unsigned code;
		if (*p != '\\') {
			out[n++] = *p++;
			continue;
		}
		if (end - p < 2)
			return NULL;
		if (p[1] == 'u' && end - p >= 6 && hex4(p + 2, &code)) {
			n += utf8_put(out + n, code);
			p += 6;
			continue;
		}
		const char *known = NULL;
		for (const char *k = escapes; *k != '\0' && known == NULL; k += 2)
			if (*k == p[1])
				known = k;
		*bad |= known == NULL;
		out[n++] = known != NULL ? known[1] : p[1];
		p += 2;
	}
	*ret_n = n;
	return p < end ? p + 1 : NULL;
}

static void inspect_json(struct waf_result *r, struct str body, bool complete)
{
	char *room = xmalloc(body.len + 1);
	const char *p = body.ptr, *end = body.ptr + body.len;
	bool bad = false;
	int depth = 0;
	while (p < end) {
		char c = *p++;
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		if (c != '"')
			continue;
		size_t n = 0;
		const char *behind = json_string(p, end, room, &n, &bad);
		if (behind == NULL) {
			/* What is there is looked at all the same. */
			waf_inspect(r, WAF_BODY_ARG, STR_NONE, (struct str){ p, (size_t)(end - p) }, WAF_AS_IS);
			bad |= complete;
			depth = 0;
			break;
		}
		struct str next = skip_blanks((struct str){ behind, (size_t)(end - behind) });
		bool is_key = next.len > 0 && next.ptr[0] == ':';
		waf_inspect(r, is_key ? WAF_ARG_NAME : WAF_BODY_ARG, STR_NONE, (struct str){ room, n }, WAF_AS_IS);
		p = behind;
	}
	if (bad || (complete && depth != 0))
		waf_fact_found(r, WAF_BAD_JSON);
	free(room);
}

/* ---- multipart ---- */

static struct str line_cut(struct str *rest)
{
	struct str line = str_cut(*rest, '\n', rest);
	if (str_ends(line, STR("\r")))
		line.len--;
	return line;
}

/* One part's header lines and content. */
static void inspect_part(struct waf_result *r, struct str part)
{
	struct str name = STR_NONE, filename = STR_NONE;
	bool disposition = false;
	while (part.ptr != NULL) {
		struct str value, line = line_cut(&part);
		if (line.len == 0)
			break;
		struct str key = str_trim(str_cut(line, ':', &value));
		if (!str_ieq(key, STR("content-disposition")) || value.ptr == NULL)
			continue;
		/* Two of them, and the application may believe the other one. */
		if (disposition)
			waf_fact_found(r, WAF_BAD_MULTIPART);
		disposition = true;
		name = parameter(value, STR("name"));
		filename = parameter(value, STR("filename"));
		if (filename.ptr == NULL)
			filename = parameter(value, STR("filename*"));
	}
	if (!disposition || part.ptr == NULL) {
		waf_fact_found(r, WAF_BAD_MULTIPART);
		return;
	}
	waf_inspect(r, WAF_ARG_NAME, STR_NONE, name, WAF_AS_IS);
	waf_inspect(r, WAF_FILENAME, STR_NONE, filename, WAF_AS_IS);
	/* A file's bytes are no argument; but many take a part whose file name is empty ("", utf-8'') for a field. */
	if (filename.len == 0 || str_ends(filename, STR("''")))
		waf_inspect(r, WAF_BODY_ARG, STR_NONE, part, WAF_AS_IS);
}

/* Where "--boundary" begins a line; NULL: nowhere. */
static const char *delimiter_find(struct str in, const char *delimiter, size_t n)
{
	struct str rest = in;
	while (rest.len >= n) {
		const char *at = memmem(rest.ptr, rest.len, delimiter, n);
		if (at == NULL || at == in.ptr || at[-1] == '\n')
			return at;
		rest = (struct str){ at + 1, (size_t)(rest.ptr + rest.len - at - 1) };
	}
	return NULL;
}

static void inspect_multipart(struct waf_result *r, struct str boundary, struct str body, bool complete)
{
	char delimiter[2 + BOUNDARY_MAX];
	if (boundary.len == 0 || boundary.len > BOUNDARY_MAX) {
		waf_fact_found(r, WAF_BAD_MULTIPART);
		return;
	}
	memcpy(delimiter, "--", 2);
	memcpy(delimiter + 2, boundary.ptr, boundary.len);
	size_t n = 2 + boundary.len;
	const char *end = body.ptr + body.len, *at = delimiter_find(body, delimiter, n);
	if (at == NULL) {
		waf_fact_found(r, WAF_BAD_MULTIPART);
		return;
	}
	while (at != NULL) {
		struct str rest = { at + n, (size_t)(end - at) - n };
		if (str_starts(rest, STR("--")))
			return;
		struct str line = line_cut(&rest);
		if (rest.ptr == NULL)
			break;
		if (str_trim(line).len > 0)
			waf_fact_found(r, WAF_BAD_MULTIPART);
		if (++r->n_args > WAF_ARGS_MAX) {
			waf_fact_found(r, WAF_TOO_MANY_ARGS);
			return;
		}
		at = delimiter_find(rest, delimiter, n);
		struct str part = { rest.ptr, (size_t)((at == NULL ? end : at) - rest.ptr) };
		if (str_ends(part, STR("\n")))
			part.len--;
		if (str_ends(part, STR("\r")))
			part.len--;
		inspect_part(r, part);
	}
	if (complete)
		waf_fact_found(r, WAF_BAD_MULTIPART); /* it has no end */
}

void waf_inspect_body(struct waf_result *r, enum waf_body_type type, struct str boundary, struct str body, bool complete)
{
	if (body.len == 0)
		return;
	switch (type) {
	case WAF_BODY_FORM:
		waf_inspect_args(r, WAF_BODY_ARG, body);
		break;
	case WAF_BODY_JSON:
		inspect_json(r, body, complete);
		break;
	case WAF_BODY_MULTIPART:
		inspect_multipart(r, boundary, body, complete);
		break;
	case WAF_BODY_TEXT:
		waf_inspect(r, WAF_BODY, STR_NONE, body, WAF_AS_IS);
		break;
	case WAF_BODY_UNREAD:
		break;
	}
}
