#include "net/http.h"

struct str http_header_get(struct http_headers h, const char *lower_name)
{
	size_t len = strlen(lower_name);

	for (size_t i = 0; i < h.n; i++)
		if (h.at[i].name.len == len && memcmp(h.at[i].name.ptr, lower_name, len) == 0)
			return h.at[i].value;
	return STR_NONE;
}

static bool list_has_token(struct str list, struct str token)
{
	while (list.ptr)
		if (str_ieq(str_trim(str_cut(list, ',', &list)), token))
			return true;
	return false;
}

bool http_header_has_token(struct http_headers h, const char *lower_name, const char *token)
{
	struct str name = str_of(lower_name);

	for (size_t i = 0; i < h.n; i++)
		if (str_eq(h.at[i].name, name) && list_has_token(h.at[i].value, str_of(token)))
			return true;
	return false;
}

/* RFC 9110 §15, RFC 6585, RFC 7725. */
static const struct {
	int status;
	const char *text;
} statuses[] = {
	{100, "Continue"},
	{101, "Switching Protocols"},
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{206, "Partial Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Request Entity Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Entity"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
};

const char *http_status_text(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return "Unknown";
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 3986 §2.1; in a query '+' is a blank (the HTML form encoding, which Go's url.Values uses). */
static const char *percent_decode(struct str s, bool query, struct arena *a)
{
	char *out = arena_alloc(a, s.len + 1), *to = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c == '%') {
			bool whole = s.len - i > 2;
			int hi = whole ? hex_value(s.ptr[i + 1]) : -1;
			int lo = whole ? hex_value(s.ptr[i + 2]) : -1;

			if (hi < 0 || lo < 0 || (hi | lo) == 0)
				return NULL;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && query) {
			c = ' ';
		}
		*to++ = c;
	}
	*to = '\0';
	return out;
}

const char *uri_decode(struct str s, struct arena *a)
{
	return percent_decode(s, false, a);
}

const char *http_query_get_nth(struct str query, const char *name, size_t i, struct arena *a)
{
	while (query.ptr) {
		struct str value, pair = str_cut(query, '&', &query);
		struct str key = str_cut(pair, '=', &value);
		bool plain = !memchr(key.ptr ? key.ptr : "", '%', key.len) &&
			     !memchr(key.ptr ? key.ptr : "", '+', key.len);
		const char *decoded = plain ? NULL : percent_decode(key, true, a);

		if (plain ? !str_eq_c(key, name) : !c_eq(decoded, name))
			continue;
		if (i-- == 0)
			return percent_decode(value, true, a);
	}
	return NULL;
}

const char *http_query_get(struct str query, const char *name, struct arena *a)
{
	return http_query_get_nth(query, name, 0, a);
}
