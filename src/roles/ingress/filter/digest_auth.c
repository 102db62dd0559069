/* Digest authentication (RFC 7616): auth-type digest, with MD5 and SHA-256.
 *
 * Nothing is remembered between requests: a nonce is the time and a MAC of it, by a key of this process. Within its life the
 * same request could be sent again by who has overheard it; nothing else could. A client whose nonce is too old, or from the
 * process before, is told so (stale) and asks again without asking its user.
 */
#include "roles/ingress/filter/digest_auth.h"

#include "roles/ingress/filter/access.h"
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/observe/metrics.h"

#include <openssl/crypto.h>

/* Nobody's: that there is no such user takes as long to find out. */
static const char no_ha1[] = "0000000000000000000000000000000000000000000000000000000000000000";

/* A filter's state: why it refused. */
static char wrong, stale;

static const char *realm_of(const struct exchange *x)
{
	return x->loc->set->auth_realm ? x->loc->set->auth_realm : "";
}

static bool digest_wanted(const struct location *loc, const struct globals *g)
{
	return loc->set->auth_type == AUTH_DIGEST && !location_is_listed(loc, &g->no_auth_locations);
}

static bool response_right(const struct exchange *x, const struct digest_credentials *c)
{
	const char *ha1 = htdigest_find(x->loc->set->htdigest, c->username, realm_of(x), c->algorithm);
	char wanted[HTDIGEST_HEX_MAX + 1];

	if (!digest_response(c, ha1 ? ha1 : no_ha1, x->req.method, wanted))
		return false;
	return ha1 && c->response.len == strlen(wanted) && CRYPTO_memcmp(wanted, c->response.ptr, c->response.len) == 0;
}

static enum filter_verdict digest_request(struct exchange *x, void **state)
{
	struct digest_credentials c;

	if (access_settled(x))
		return FILTER_NEXT;
	if (!x->loc->set->htdigest) { /* a Secret that nobody has read */
		exchange_answer_error(x, 503);
		return FILTER_ANSWERED;
	}
	bool right = digest_credentials_parse(header_get(&x->req.headers, "authorization"), &c) && str_eq_c(c.realm, realm_of(x)) &&
		     str_eq(c.uri, x->req.target) && response_right(x, &c);
	if (right && digest_nonce_fresh(c.nonce, realm_of(x), loop_now_ms(x->worker->loop))) {
		x->remote_user = x_dup(x, c.username);
		return access_grant(x);
	}
	*state = right ? &stale : &wrong;
	metrics_inc(x->worker->metrics, METRIC_DENIED_AUTH);
	return access_refuse(x, 401);
}

static void digest_upstream(struct exchange *x, void **state)
{
	(void)state;
	if (!x->loc->set->fastcgi)
		header_del(&x->up_headers, "authorization");
}

static void challenge(struct exchange *x, enum digest_algorithm a, bool is_stale)
{
	char nonce[DIGEST_NONCE_BYTES];
	struct buf b;

	digest_nonce_make(realm_of(x), loop_now_ms(x->worker->loop), nonce);
	buf_init(&b, 4096);
	buf_puts(&b, "Digest realm=\"");
	for (const char *p = realm_of(x); *p; p++) {
		if (*p == '"' || *p == '\\')
			buf_putc(&b, '\\');
		buf_putc(&b, *p);
	}
	buf_printf(&b, "\", qop=\"auth\", algorithm=%s, nonce=\"%s\"%s", digest_names[a], nonce, is_stale ? ", stale=true" : "");
	header_add(x, &x->ans.headers, "WWW-Authenticate", x_dup(x, buf_str(&b)));
	buf_done(&b);
}

/* The better one first: a client takes the first that it knows (RFC 7616, 3.7). */
static enum filter_verdict digest_answer(struct exchange *x, void **state)
{
	if ((*state != &wrong && *state != &stale) || !x->answer_own || x->ans.status != 401)
		return FILTER_NEXT;
	for (int a = 0; a < DIGEST_ALGORITHMS; a++)
		if (a == DIGEST_MD5 || htdigest_knows(x->loc->set->htdigest, realm_of(x), (enum digest_algorithm)a))
			challenge(x, (enum digest_algorithm)a, *state == &stale);
	return FILTER_NEXT;
}

const struct filter filter_digest_auth = {
	.name = "digest_auth",
	.wanted = digest_wanted,
	.request = digest_request,
	.upstream = digest_upstream,
	.answer = digest_answer,
};
