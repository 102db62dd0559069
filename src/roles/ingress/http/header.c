#include "roles/ingress/http/header.h"

#include "codec/http1.h"
#include "codec/http_date.h"
#include "roles/ingress/http/exchange.h"

#include <stdio.h>
#include <time.h>

static const struct known {
	const char *name;
	uint8_t len;
	uint8_t id;
} known[] = {
#define KNOWN(text, id) { text, sizeof(text) - 1, id }
	/* sorted by length: header_id() starts at the first of its length */
	KNOWN("te", H_TE),
	KNOWN("host", H_HOST),
	KNOWN("proxy", H_PROXY),
	KNOWN("expect", H_EXPECT),
	KNOWN("upgrade", H_UPGRADE),
	KNOWN("x-scheme", H_FORWARDED),
	KNOWN("x-real-ip", H_FORWARDED),
	KNOWN("connection", H_CONNECTION),
	KNOWN("keep-alive", H_HOP),
	KNOWN("x-request-id", H_REQUEST_ID),
	KNOWN("content-type", H_CONTENT_TYPE),
	KNOWN("content-length", H_LENGTH),
	KNOWN("x-forwarded-for", H_FORWARDED),
	KNOWN("proxy-connection", H_HOP),
	KNOWN("x-forwarded-host", H_FORWARDED),
	KNOWN("x-forwarded-port", H_FORWARDED),
	KNOWN("transfer-encoding", H_HOP),
	KNOWN("x-forwarded-proto", H_FORWARDED),
	KNOWN("x-forwarded-scheme", H_FORWARDED),
	KNOWN("x-original-forwarded-for", H_FORWARDED),
	KNOWN("x-original-forwarded-host", H_FORWARDED),
#undef KNOWN
};
#define NAME_MAX_BYTES 25

static uint8_t first_of_length[NAME_MAX_BYTES + 2]; /* index into known + 1 */

static void __attribute__((constructor)) index_by_length(void)
{
	for (size_t i = ARRAY_LEN(known); i-- > 0;)
		first_of_length[known[i].len] = (uint8_t)(i + 1);
}

enum header_id header_id(struct str name)
{
	if (name.len > NAME_MAX_BYTES || name.len == 0 || !first_of_length[name.len])
		return H_OTHER;
	for (size_t i = first_of_length[name.len] - 1u; i < ARRAY_LEN(known) && known[i].len == name.len; i++)
		if ((name.ptr[0] | 0x20) == known[i].name[0] && str_ieq(name, (struct str){ known[i].name, known[i].len }))
			return known[i].id;
	return H_OTHER;
}

struct str header_get(const struct header_list *l, const char *name)
{
	struct str want = str_of(name);

	for (size_t i = 0; i < l->n; i++)
		if (str_ieq(l->at[i].name, want))
			return l->at[i].value;
	return STR_NONE;
}

static bool list_grow(struct exchange *x, struct header_list *l)
{
	size_t cap = MIN(MAX(l->cap * 2, (size_t)16), (size_t)HEADER_LIST_MAX);
	struct http_header *at = l->n < cap ? arena_alloc(&x->arena, cap * sizeof(*at)) : NULL;

	if (!at)
		return false;
	if (l->n)
		memcpy(at, l->at, l->n * sizeof(*at));
	l->at = at;
	l->cap = cap;
	return true;
}

void header_add_str(struct exchange *x, struct header_list *l, struct str name, struct str value)
{
	if (l->n < l->cap || list_grow(x, l))
		l->at[l->n++] = (struct http_header){ name, value };
}

struct header_list trailers_of(struct exchange *x, struct str lines)
{
	struct http_header table[EXCHANGE_HEADERS_MAX];
	size_t n = http1_trailers(x_dup(x, lines), table, ARRAY_LEN(table));
	struct header_list out = { 0 };

	for (size_t i = 0; i < n; i++)
		if (header_id(table[i].name) == H_OTHER)
			header_add_str(x, &out, table[i].name, table[i].value);
	return out;
}

void header_del(struct header_list *l, const char *name)
{
	struct str want = str_of(name);
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++)
		if (!str_ieq(l->at[i].name, want))
			l->at[kept++] = l->at[i];
	l->n = kept;
}

void header_set(struct exchange *x, struct header_list *l, const char *name, struct str value)
{
	header_del(l, name);
	header_add(x, l, name, value);
}

static struct str date_now(void)
{
	static _Thread_local char text[HTTP_DATE_BYTES];
	static _Thread_local time_t at;
	time_t now = time(NULL);

	if (now != at) {
		http_date(now, text);
		at = now;
	}
	return str_of(text);
}

void header_add_date(struct exchange *x, struct header_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->at[i].name.len == 4 && str_ieq(l->at[i].name, STR("date")))
			return;
	header_add_str(x, l, STR("Date"), date_now());
}

/* RFC 6265 §4.2.1: "a=1; b=2". Of several with one name the first counts, as in nginx. */
static struct str cookie_in(struct str cookies, struct str want)
{
	while (cookies.ptr) {
		struct str value, pair = str_trim(str_cut(cookies, ';', &cookies));
		struct str name = str_trim(str_cut(pair, '=', &value));
		if (str_eq(name, want))
			return value;
	}
	return STR_NONE;
}

struct str request_cookie(const struct exchange *x, const char *name)
{
	const struct header_list *l = &x->req.headers;

	for (size_t i = 0; i < l->n; i++) {
		struct str v = str_ieq(l->at[i].name, STR("cookie")) ? cookie_in(l->at[i].value, str_of(name)) : STR_NONE;
		if (v.ptr)
			return v;
	}
	return STR_NONE;
}

struct str x_printf(struct exchange *x, const char *fmt, ...)
{
	char small[512];
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	char *text = n < 0 ? NULL : arena_alloc(&x->arena, (size_t)n + 1);
	if (text && (size_t)n < sizeof(small))
		memcpy(text, small, (size_t)n + 1);
	else if (text)
		vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	va_end(ap);
	return text ? (struct str){ text, (size_t)n } : STR_NONE;
}

struct str x_dup(struct exchange *x, struct str s)
{
	char *text = s.ptr ? arena_strndup(&x->arena, s.ptr, s.len) : NULL;

	return text ? (struct str){ text, s.len } : STR_NONE;
}
