/* Set-Cookie's Domain and Path, Location and Refresh of the upstream's answers, rewritten as config/answer_rewrites.h says. What
 * others add to an answer, the affinity's cookie among it, stays as it is. */
#include "roles/ingress/config/answer_rewrites.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/route/pattern.h"

#include <strings.h>

#define COOKIE_ATTRIBUTES_MAX 64	 /* RFC 6265 knows eight */
#define REWRITTEN_BYTES_MAX (16u << 10)	 /* of a header: no browser keeps such a cookie, and groups may be repeated */

struct attribute {
	struct str name, value; /* value.ptr NULL: there is no '=' */
};

static struct str after(struct str s, size_t n)
{
	return (struct str){ s.ptr + n, s.len - n };
}

/* ---- one value ---- */

/* `old` of `value` replaced; false: there is no room for it. */
static bool replace(struct exchange *x, struct str *value, struct str old, struct str by)
{
	size_t before = (size_t)(old.ptr - value->ptr), behind = value->len - before - old.len, len = before + by.len + behind;

	if (!by.ptr || len > REWRITTEN_BYTES_MAX)
		return false;
	char *out = arena_alloc(&x->arena, len + 1);
	if (!out)
		return false;
	memcpy(out, value->ptr, before);
	memcpy(out + before, by.ptr, by.len);
	memcpy(out + before + by.len, old.ptr + old.len, behind);
	*value = str_trim((struct str){ out, len });
	return true;
}

/* What a rule without regular expression replaces of `s`; ptr NULL: it does not concern it. */
static struct str found(struct exchange *x, const struct rewrite_rule *r, bool domain, struct str s)
{
	struct str want = variable_text_value(r->from, x);

	if (!want.ptr)
		return STR_NONE;
	if (domain) {
		if (str_starts(s, STR(".")))
			s = after(s, 1);
		return str_ieq(s, want) ? s : STR_NONE;
	}
	return str_starts(s, want) ? (struct str){ s.ptr, want.len } : STR_NONE;
}

/* The part of *value from `at` on. False: it is as before. */
static bool rewrite(struct exchange *x, enum answer_rewrite which, struct str *value, size_t at)
{
	const struct rewrite_rule *r = x->loc->set->answer_rewrites->rule[which];
	struct variable_locals locals = { 0 };
	struct pattern_match groups;

	if (!r)
		return false;
	if (!value->ptr)
		*value = STR("");
	struct str old = after(*value, at);
	if (!r->pattern)
		old = found(x, r, which == ANSWER_COOKIE_DOMAIN, old);
	else if (pattern_match(r->pattern, old, &groups))
		locals.groups = &groups;
	else
		return false;
	return old.ptr && replace(x, value, old, variable_text_value_local(r->to, x, &locals));
}

/* ---- Location, Refresh ---- */

/* As nginx: a path that was put there becomes an address of this host, in lower case and without port. */
static struct str absolute(struct exchange *x, struct str path)
{
	size_t scheme = x->req.scheme.len + 3, host = x->req.host.len;
	char *out = host ? arena_alloc(&x->arena, scheme + host + path.len + 1) : NULL;

	if (!out)
		return path;
	memcpy(mempcpy(out, x->req.scheme.ptr, x->req.scheme.len), "://", 3);
	for (size_t i = 0; i < host; i++)
		out[scheme + i] = (char)(x->req.host.ptr[i] >= 'A' && x->req.host.ptr[i] <= 'Z' ? x->req.host.ptr[i] | 0x20 : x->req.host.ptr[i]);
	memcpy(out + scheme + host, path.ptr, path.len);
	return (struct str){ out, scheme + host + path.len };
}

static void location(struct exchange *x, struct str *value)
{
	if (rewrite(x, ANSWER_REDIRECT, value, 0) && str_starts(*value, STR("/")) && !x->loc->set->relative_redirects)
		*value = absolute(x, *value);
}

/* "5; url=http://…" */
static void refresh(struct exchange *x, struct str *value)
{
	for (size_t i = 0; i + 4 <= value->len; i++)
		if (strncasecmp(value->ptr + i, "url=", 4) == 0) {
			rewrite(x, ANSWER_REDIRECT, value, i + 4);
			return;
		}
}

/* ---- Set-Cookie ---- */

static struct str trim_blanks(struct str s)
{
	while (s.len && s.ptr[0] == ' ')
		s = after(s, 1);
	while (s.len && s.ptr[s.len - 1] == ' ')
		s.len--;
	return s;
}

/* 0: more than anybody sends. */
static size_t split(struct str cookie, struct attribute out[COOKIE_ATTRIBUTES_MAX])
{
	size_t n = 0;

	do {
		if (n == COOKIE_ATTRIBUTES_MAX)
			return 0;
		struct str part = str_cut(cookie, ';', &cookie), value;
		struct str name = str_cut(part, '=', &value);
		out[n++] = (struct attribute){ trim_blanks(name), value.ptr ? trim_blanks(value) : STR_NONE };
	} while (cookie.ptr);
	return n;
}

static struct str join(struct exchange *x, const struct attribute *at, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++)
		len += at[i].name.len + 1 + at[i].value.len + 2;
	char *out = len <= 2 * REWRITTEN_BYTES_MAX ? arena_alloc(&x->arena, len) : NULL, *end = out;
	if (!out)
		return STR_NONE;
	for (size_t i = 0; i < n; i++) {
		if (i)
			end = mempcpy(end, "; ", 2);
		end = mempcpy(end, at[i].name.ptr, at[i].name.len);
		if (!at[i].value.ptr)
			continue;
		*end++ = '=';
		end = mempcpy(end, at[i].value.ptr, at[i].value.len);
	}
	return str_trim((struct str){ out, (size_t)(end - out) });
}

/* The upstream does not know it. */
static bool is_sticky(const struct exchange *x, struct str cookie)
{
	struct str value;

	str_cut(cookie, '=', &value);
	return x->sticky.len && value.ptr && str_starts(value, x->sticky);
}

static void cookie(struct exchange *x, struct str *value)
{
	struct attribute at[COOKIE_ATTRIBUTES_MAX];
	size_t n = split(*value, at);
	bool changed = false;

	if (n == 0 || !at[0].value.ptr || is_sticky(x, *value))
		return;
	for (size_t i = 1; i < n; i++) {
		if (!at[i].value.ptr)
			continue;
		if (str_ieq(at[i].name, STR("domain")))
			changed |= rewrite(x, ANSWER_COOKIE_DOMAIN, &at[i].value, 0);
		else if (str_ieq(at[i].name, STR("path")))
			changed |= rewrite(x, ANSWER_COOKIE_PATH, &at[i].value, 0);
	}
	struct str joined = changed ? join(x, at, n) : STR_NONE;
	if (joined.ptr)
		*value = joined;
}

/* ---- the filter ---- */

static bool wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	return loc->set->answer_rewrites != NULL;
}

static enum filter_verdict answer(struct exchange *x, void **state)
{
	struct header_list *l = &x->ans.headers;

	(void)state;
	for (size_t i = 0; !x->answer_own && i < l->n; i++) {
		struct str name = l->at[i].name;
		if (str_ieq(name, STR("set-cookie")))
			cookie(x, &l->at[i].value);
		else if (str_ieq(name, STR("location")))
			location(x, &l->at[i].value);
		else if (str_ieq(name, STR("refresh")))
			refresh(x, &l->at[i].value);
	}
	return FILTER_NEXT;
}

const struct filter filter_answer_rewrite = {
	.name = "answer_rewrite",
	.pure = true,
	.wanted = wanted,
	.answer = answer,
};
