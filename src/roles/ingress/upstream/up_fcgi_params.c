/* What a FastCGI program is told about a request. */
#include "roles/ingress/upstream/up_fcgi_int.h"

#include "roles/ingress/config/fastcgi.h"
#include "roles/ingress/http/variable.h"

#define VALUE_BYTES_MAX (128u << 10) /* of one parameter: several headers of a name are one, and a head may be that long */
#define NAME_BYTES_MAX 1024

struct teller {
	struct exchange *x;
	int (*put)(void *ctx, struct str name, struct str value);
	void *ctx;
	struct buf value;
};

/* ---- parameters of the settings ---- */

/* nginx's variables speak of the path as it was rewritten; $request_uri never names a host. Given back by the caller. */
static int rewritten(struct exchange *x)
{
	struct str query, path = str_cut(x->up_target, '?', &query);
	struct request *q = &x->req;
	struct buf uri;

	if (q->target.len && q->target.ptr[0] != '/' && q->target.ptr[0] != '*')
		q->target = q->query.ptr ? x_printf(x, STR_FMT "?" STR_FMT, STR_ARG(q->path), STR_ARG(q->query)) : q->path;
	q->query = query;
	if (str_eq(path, q->path) || str_eq(path, STR("*")))
		return 0;
	buf_init(&uri, path.len + 2);
	int rc = uri_normalise(path, &uri);
	q->uri = rc == 0 ? x_dup(x, buf_str(&uri)) : STR_NONE;
	buf_done(&uri);
	return q->uri.ptr ? 0 : -1;
}

static int tell_param(struct teller *t, const struct fastcgi_param *p, const struct variable_locals *locals)
{
	buf_clear(&t->value);
	if (!p->value)
		return 0;
	if (variable_text_write_local(p->value, t->x, locals, ESCAPE_NONE, &t->value) < 0)
		return -1;
	return p->skip_empty && !t->value.len ? 0 : t->put(t->ctx, p->name, buf_str(&t->value));
}

static int tell_params(struct teller *t, const struct fastcgi *f)
{
	struct exchange *x = t->x;
	struct pattern_match groups = { 0 };
	struct variable_locals locals = { .groups = &groups };
	struct str uri = x->req.uri, query = x->req.query, target = x->req.target;
	bool regex = x->loc->rewrite || x->loc->regex;

	if (regex && !pattern_match(x->loc->rewrite ? x->loc->rewrite : x->loc->regex, uri, &groups))
		groups = (struct pattern_match){ 0 };
	int rc = rewritten(x);
	for (size_t i = 0; rc == 0 && i < f->n; i++)
		rc = tell_param(t, &f->at[i], &locals);
	x->req.uri = uri;
	x->req.query = query;
	x->req.target = target;
	return rc;
}

/* ---- headers ---- */

static char cgi_char(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c == '-' ? '_' : c;
}

static bool same_variable(struct str a, struct str b)
{
	for (size_t i = 0; a.len == b.len && i < a.len; i++)
		if (cgi_char(a.ptr[i]) != cgi_char(b.ptr[i]))
			return false;
	return a.len == b.len;
}

/* Told together with one before it; or another spelling of a name that has none of its underscores: X_User must not speak for
 * X-User. */
static bool is_passed_over(const struct header_list *l, size_t at)
{
	struct str name = l->at[at].name;
	bool underscore = memchr(name.ptr, '_', name.len);

	for (size_t i = 0; i < l->n; i++) {
		bool same = str_ieq(l->at[i].name, name);
		if ((same && i < at) || (!same && underscore && same_variable(l->at[i].name, name)))
			return true;
	}
	return false;
}

static int join_values(struct teller *t, const struct header_list *l, size_t first)
{
	struct str between = str_ieq(l->at[first].name, STR("cookie")) ? STR("; ") : STR(", ");

	buf_clear(&t->value);
	buf_put_str(&t->value, l->at[first].value);
	for (size_t i = first + 1; i < l->n; i++)
		if (str_ieq(l->at[i].name, l->at[first].name)) {
			buf_put_str(&t->value, between);
			buf_put_str(&t->value, l->at[i].value);
		}
	return t->value.overflow ? -1 : 0;
}

static int tell_header(struct teller *t, struct str header)
{
	char name[NAME_BYTES_MAX] = "HTTP_";
	size_t n = 5;

	if (header.len > sizeof(name) - n)
		return -1;
	for (size_t i = 0; i < header.len; i++)
		name[n++] = cgi_char(header.ptr[i]);
	if (fastcgi_replaces(t->x->loc->set->fastcgi, (struct str){ name, n }))
		return 0;
	return t->put(t->ctx, (struct str){ name, n }, buf_str(&t->value));
}

static int tell_own(struct teller *t, const char *header, struct str value)
{
	buf_clear(&t->value);
	return value.len == 0 ? 0 : buf_put_str(&t->value, value) < 0 ? -1 : tell_header(t, str_of(header));
}

/* Host and Content-Length are kept apart by the codecs; nginx has them among the headers. */
static int tell_headers(struct teller *t)
{
	struct exchange *x = t->x;
	const struct header_list *l = &x->up_headers;
	struct str length = x->req.content_length >= 0 ? x_printf(x, "%lld", (long long)x->req.content_length) : STR_NONE;

	if (tell_own(t, "Host", x->up_host) < 0 || tell_own(t, "Content-Length", length) < 0)
		return -1;
	for (size_t i = 0; i < l->n; i++)
		if (!is_passed_over(l, i) && (join_values(t, l, i) < 0 || tell_header(t, l->at[i].name) < 0))
			return -1;
	return 0;
}

int up_fcgi_params(struct exchange *x, int (*put)(void *ctx, struct str name, struct str value), void *ctx)
{
	struct teller t = { .x = x, .put = put, .ctx = ctx };

	buf_init(&t.value, VALUE_BYTES_MAX);
	int rc = tell_params(&t, x->loc->set->fastcgi);
	if (rc == 0)
		rc = tell_headers(&t);
	buf_done(&t.value);
	return rc;
}
