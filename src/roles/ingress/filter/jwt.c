/* Bearer tokens (jwt-secret, jwt-configmap): RFC 6750 for what clients see. */
#include "roles/ingress/filter/jwt.h"

#include "codec/jx.h"
#include "roles/ingress/filter/access.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/observe/metrics.h"
#include "roles/ingress/worker.h"

#define CLAIM_BYTES_MAX (8u << 10) /* as a header: servers take lines up to here */

struct jwt {
	json_t *claims;	       /* of a token that passed; NULL: none did */
	struct str challenge; /* WWW-Authenticate, when it refused; ptr NULL: not */
};

static bool wanted(const struct location *loc, const struct globals *g)
{
	return loc->set->jwt_jwks && !location_is_listed(loc, &g->no_auth_locations);
}

/* The only one; empty: there is none, or it cannot be said which. */
static struct str bearer_token(const struct exchange *x)
{
	struct str token = STR_NONE;
	size_t n = 0;

	for (size_t i = 0; i < x->req.headers.n; i++) {
		const struct http_header *h = &x->req.headers.at[i];

		if (!str_ieq(h->name, STR("authorization")))
			continue;
		struct str rest, scheme = str_cut(str_trim(h->value), ' ', &rest);
		if (str_ieq(scheme, STR("bearer")))
			token = str_trim(rest);
		n++;
	}
	return n == 1 ? token : STR_NONE;
}

static enum filter_verdict refuse(struct exchange *x, struct jwt *j, const char *why)
{
	const char *realm = x->loc->set->auth_realm ? x->loc->set->auth_realm : x->loc->rule_host;

	metrics_inc(x->worker->metrics, METRIC_DENIED_AUTH);
	if (strpbrk(realm, "\"\\\r\n"))
		realm = "";
	if (why)
		j->challenge = x_printf(x, "Bearer realm=\"%s\", error=\"invalid_token\", error_description=\"%s\"", realm, why);
	else
		j->challenge = x_printf(x, "Bearer realm=\"%s\"", realm);
	return access_refuse(x, 401);
}

static enum filter_verdict request(struct exchange *x, void **state)
{
	const struct settings *set = x->loc->set;
	struct jwt *j = arena_alloc(&x->arena, sizeof(*j));
	struct jwt_rules rules = {.issuer = set->jwt_issuer,
				  .audiences = set->jwt_audiences.at,
				  .n_audiences = set->jwt_audiences.n,
				  .now_s = wall_now_ms() / 1000};
	struct str token = bearer_token(x);
	struct err e;

	*state = j;
	if (!j) {
		exchange_answer_error(x, 500);
		return FILTER_ANSWERED;
	}
	if (access_settled(x))
		return FILTER_NEXT;
	if (token.len == 0)
		return refuse(x, j, NULL);
	if (!x->worker->jwt_cache)
		x->worker->jwt_cache = jwt_cache_new();
	json_t *claims = jwt_cache_verify(x->worker->jwt_cache, set->jwt_jwks, token, rules.now_s, &e);
	if (!claims || jwt_check(claims, &rules, &e) < 0) {
		json_decref(claims);
		return refuse(x, j, e.message);
	}
	j->claims = claims;
	const json_t *sub = json_object_get(claims, "sub");
	if (json_is_string(sub) && x->remote_user.len == 0)
		x->remote_user = x_dup(x, (struct str){json_string_value(sub), json_string_length(sub)});
	return access_grant(x);
}

/* ---- claims for the upstream ---- */

/* "a.b" is the member of that name, or else member b of a. */
static const json_t *claim_get(const json_t *claims, const char *name)
{
	const json_t *v = json_object_get(claims, name);

	return v ? v : jx_at(claims, name);
}

/* Lists of texts with commas between, as most programs read them; what is no text as JSON. */
static int put_claim(struct buf *out, const json_t *v)
{
	const json_t *one;
	size_t i;

	if (json_is_string(v))
		return buf_put(out, json_string_value(v), json_string_length(v));
	if (!json_is_array(v))
		return jx_dump(v, out);
	json_array_foreach(v, i, one) {
		if ((i && buf_putc(out, ',') < 0) || json_is_array(one) || put_claim(out, one) < 0)
			return -1;
	}
	return 0;
}

/* A claim that could end the header is not passed on at all: half of it would be a lie. */
static struct str claim_value(struct exchange *x, const json_t *v)
{
	struct str value = STR_NONE;
	struct buf out;

	buf_init(&out, CLAIM_BYTES_MAX);
	if (v && put_claim(&out, v) == 0)
		value = buf_str(&out);
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.ptr[i] < ' ' || value.ptr[i] == 0x7f)
			value.len = 0;
	if (value.len)
		value = x_dup(x, value);
	buf_done(&out);
	return value.len ? value : STR_NONE;
}

static bool is_header_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '_'))
			return false;
	}
	return s.len > 0;
}

/* "claim", or "claim=Header" */
static void forward(struct exchange *x, const json_t *claims, const char *row)
{
	struct str name, claim = str_cut(str_of(row), '=', &name);
	char *claim_text = arena_strndup(&x->arena, claim.ptr, claim.len);

	if (!name.ptr)
		name = x_printf(x, "X-Jwt-Claim-%s", row);
	char *header = arena_strndup(&x->arena, name.ptr ? name.ptr : "", name.len);
	if (!claim_text || !header || !is_header_name(name))
		return;
	/* Never the client's own. */
	header_del(&x->up_headers, header);
	struct str value = claims ? claim_value(x, claim_get(claims, claim_text)) : STR_NONE;
	if (value.len)
		header_add(x, &x->up_headers, header, value);
}

static void upstream(struct exchange *x, void **state)
{
	const struct jwt *j = *state;
	const struct str_list *rows = &x->loc->set->jwt_forward_claims;

	for (size_t i = 0; i < rows->n; i++)
		forward(x, j ? j->claims : NULL, rows->at[i]);
}

static enum filter_verdict answer(struct exchange *x, void **state)
{
	const struct jwt *j = *state;

	if (j && j->challenge.ptr && x->answer_own && x->ans.status == 401)
		header_add(x, &x->ans.headers, "WWW-Authenticate", j->challenge);
	return FILTER_NEXT;
}

static void done(struct exchange *x, void **state)
{
	struct jwt *j = *state;

	(void)x;
	if (j)
		json_decref(TAKE_PTR(j->claims));
}

const struct filter filter_jwt = {
	.name = "jwt",
	.wanted = wanted,
	.request = request,
	.upstream = upstream,
	.answer = answer,
	.done = done,
};
