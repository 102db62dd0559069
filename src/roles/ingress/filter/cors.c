/* Cross-origin resource sharing (Fetch standard, 3.2), as ingress-nginx answers it: the proxy itself answers preflights, and
 * its headers replace the backend's on every answer. */
#include "roles/ingress/filter/cors.h"

#include "roles/ingress/filter/filters.h"

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

bool cors_origin_matches(struct str pattern, struct str origin)
{
	const char *star = pattern.len == 0 ? NULL : memchr(pattern.ptr, '*', pattern.len);
	if (star == NULL)
		return pattern.len > 0 && str_ieq(pattern, origin);
	struct str before = { pattern.ptr, (size_t)(star - pattern.ptr) };
	struct str behind = { star + 1, pattern.len - before.len - 1 };
	if (origin.len <= before.len + behind.len)
		return false;
	struct str label = { origin.ptr + before.len, origin.len - before.len - behind.len };
	for (size_t i = 0; i < label.len; i++)
		if (!is_label_char(label.ptr[i]))
			return false;
	return str_ieq(before, (struct str){ origin.ptr, before.len }) &&
	       str_ieq(behind, (struct str){ label.ptr + label.len, behind.len });
}

static bool any_origin(const struct settings *set)
{
	for (size_t i = 0; i < set->cors_allow_origin.n; i++)
		if (c_eq(set->cors_allow_origin.at[i], "*"))
			return true;
	return false;
}

/* "a.example:8080" is let pass when the list is read, as by ingress-nginx, and is no origin: nothing equals it. */
static bool is_complete(struct str origin)
{
	return str_eq_c(origin, "null") || memmem(origin.ptr, origin.len, "://", 3);
}

/* The value of Access-Control-Allow-Origin; STR_NONE: this origin gets no CORS headers. */
static struct str allowed_origin(const struct exchange *x)
{
	const struct settings *set = x->loc->set;
	if (any_origin(set))
		return STR("*");
	struct str origin = header_get(&x->req.headers, "origin");
	for (size_t i = 0; i < set->cors_allow_origin.n && origin.len > 0 && is_complete(origin); i++)
		if (cors_origin_matches(str_of(set->cors_allow_origin.at[i]), origin))
			return origin;
	return STR_NONE;
}

static void set_unless_empty(struct exchange *x, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		header_set(x, &x->ans.headers, name, str_of(value));
}

static bool cors_wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	return loc->set->enable_cors;
}

static enum filter_verdict cors_request(struct exchange *x, void **state)
{
	(void)state;
	if (!str_eq(x->req.method, STR("OPTIONS")) || allowed_origin(x).len == 0)
		return FILTER_NEXT;
	/* The rest of the headers is added by cors_answer, as to any answer. */
	exchange_answer(x, 204, STR("text/plain charset=UTF-8"), STR(""));
	return FILTER_ANSWERED;
}

static enum filter_verdict cors_answer(struct exchange *x, void **state)
{
	(void)state;
	const struct settings *set = x->loc->set;
	struct header_list *h = &x->ans.headers;
	/* Caches must not give one origin's answer to another; not in ingress-nginx. */
	if (!any_origin(set))
		header_add(x, h, "Vary", STR("Origin"));
	struct str origin = allowed_origin(x);
	if (origin.len == 0)
		return FILTER_NEXT;
	header_set(x, h, "Access-Control-Allow-Origin", origin);
	if (set->cors_allow_credentials)
		header_set(x, h, "Access-Control-Allow-Credentials", STR("true"));
	set_unless_empty(x, "Access-Control-Allow-Methods", set->cors_allow_methods);
	set_unless_empty(x, "Access-Control-Allow-Headers", set->cors_allow_headers);
	set_unless_empty(x, "Access-Control-Expose-Headers", set->cors_expose_headers);
	header_set(x, h, "Access-Control-Max-Age", x_printf(x, "%u", set->cors_max_age_s));
	return FILTER_NEXT;
}

const struct filter filter_cors = {
	.name = "cors",
	.pure = true,
	.wanted = cors_wanted,
	.request = cors_request,
	.answer = cors_answer,
};
