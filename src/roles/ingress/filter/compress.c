/* Compression of answers (use-gzip, enable-brotli, enable-zstd): nginx's rules for what is worth it, the client's wishes for
 * how. RFC 9110, 8.4 and 12.5.3. */
#include "roles/ingress/filter/coding.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/worker.h"

static bool wanted(const struct location *loc, const struct globals *g)
{
	(void)loc;
	return g->gzip || g->brotli || g->zstd;
}

static bool type_in(struct str type, const struct str_list *types)
{
	for (size_t i = 0; i < types->n; i++)
		if (c_eq(types->at[i], "*") || str_ieq(type, str_of(types->at[i])))
			return true;
	return str_ieq(type, STR("text/html")); /* as nginx: always */
}

/* The codings that this answer's type and size allow. */
static unsigned offered(const struct exchange *x, const struct globals *g)
{
	struct str rest, type = str_trim(str_cut(header_get(&x->ans.headers, "content-type"), ';', &rest));
	uint64_t bytes = x->ans.content_length < 0 ? UINT64_MAX : (uint64_t)x->ans.content_length;
	bool gzip_type = type_in(type, &g->gzip_types) && bytes >= g->gzip_min_bytes;
	unsigned bits = 0;

	if (type.len == 0)
		return 0;
	if (g->gzip && gzip_type)
		bits |= 1u << CODING_GZIP;
	if (g->zstd && gzip_type)
		bits |= 1u << CODING_ZSTD;
	if (g->brotli && type_in(type, &g->brotli_types) && bytes >= g->brotli_min_bytes)
		bits |= 1u << CODING_BR;
	return bits;
}

static bool list_has_token(const struct header_list *l, const char *name, struct str token)
{
	for (size_t i = 0; i < l->n; i++) {
		struct str rest = l->at[i].value;

		while (rest.ptr && str_ieq(l->at[i].name, str_of(name)))
			if (str_ieq(str_trim(str_cut(rest, ',', &rest)), token))
				return true;
	}
	return false;
}

/* Whether the answer may be changed at all: nginx's statuses, nobody's coding yet, and leave to transform (RFC 9111, 5.2.2.6). */
static bool may_transform(const struct exchange *x)
{
	const struct answer *a = &x->ans;

	if (a->status != 200 && a->status != 403 && a->status != 404)
		return false;
	return header_get(&a->headers, "content-encoding").len == 0 &&
	       header_get(&a->headers, "content-range").len == 0 && !x->req.is_grpc &&
	       !list_has_token(&a->headers, "cache-control", STR("no-transform"));
}

static void add_vary(struct exchange *x)
{
	struct header_list *l = &x->ans.headers;

	if (!list_has_token(l, "vary", STR("accept-encoding")) && !list_has_token(l, "vary", STR("*")))
		header_add(x, l, "Vary", STR("Accept-Encoding"));
}

static enum coding choose(const struct exchange *x, unsigned bits)
{
	const struct header_list *l = &x->req.headers;
	struct accept_encoding a;

	accept_encoding_init(&a);
	for (size_t i = 0; i < l->n; i++)
		if (str_ieq(l->at[i].name, STR("accept-encoding")))
			accept_encoding_add(&a, l->at[i].value);
	return accept_encoding_choose(&a, bits);
}

/* What spoke of the bytes as they were. */
static void change_head(struct exchange *x, enum coding c)
{
	static const char *const stale[] = {"accept-ranges", "content-md5", "content-digest", "repr-digest",
					    "digest", "content-length"};
	struct header_list *l = &x->ans.headers;
	struct str etag = header_get(l, "etag");

	for (size_t i = 0; i < ARRAY_LEN(stale); i++)
		header_del(l, stale[i]);
	if (etag.len && !str_starts(etag, STR("W/")))
		header_set(x, l, "ETag", x_printf(x, "W/" STR_FMT, STR_ARG(etag)));
	header_add(x, l, "Content-Encoding", coding_name(c));
	x->ans.content_length = -1;
}

/* What a stream needs to know while it runs. */
struct compress {
	struct coder *coder;
	bool flush; /* each part that the upstream sends can be read at once: it may be waiting for an answer */
};

static enum filter_verdict answer(struct exchange *x, void **state)
{
	const struct globals *g = globals_now(x->worker->shared);
	const int levels[CODINGS] = {
		[CODING_ZSTD] = g->zstd_level, [CODING_BR] = g->brotli_level, [CODING_GZIP] = g->gzip_level};
	unsigned bits = may_transform(x) ? offered(x, g) : 0;
	bool unsized = x->ans.content_length < 0;

	if (bits == 0)
		return FILTER_NEXT;
	add_vary(x);
	enum coding c = choose(x, bits);
	struct compress *s = NULL;
	if (c != CODING_NONE && !x->ans.no_body && !x->req.is_head)
		s = arena_alloc(&x->arena, sizeof(*s));
	if (!s)
		return FILTER_NEXT;
	if (!x->worker->coders)
		x->worker->coders = coders_new();
	s->coder = coder_begin(x->worker->coders, c, levels[c]);
	s->flush = unsized;
	if (!s->coder)
		return FILTER_NEXT;
	change_head(x, c);
	*state = s;
	return FILTER_NEXT;
}

static bool body_wanted(struct exchange *x, void **state)
{
	(void)x;
	return *state != NULL;
}

static int body(struct exchange *x, void **state, struct str data, bool end, struct str *ret_out)
{
	struct compress *s = *state;

	(void)x;
	if (!s)
		return -1;
	return coder_feed(s->coder, data, end ? CODER_END : s->flush ? CODER_FLUSH : CODER_MORE, ret_out);
}

static void done(struct exchange *x, void **state)
{
	struct compress *s = *state;

	(void)x;
	if (s)
		coder_end(TAKE_PTR(s->coder));
}

const struct filter filter_compress = {
	.name = "compress",
	.wanted = wanted,
	.answer = answer,
	.body_wanted = body_wanted,
	.body = body,
	.done = done,
};
