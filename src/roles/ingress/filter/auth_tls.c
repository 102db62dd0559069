/* Client certificates, by host: what the handshake found out is acted upon for each request, as nginx does.
 *
 * On plain connections nobody is asked, as in nginx: ssl-redirect sends clients to where they are.
 */
#include "roles/ingress/filter/filters.h"
#include "roles/ingress/http/variable.h"
#include "roles/ingress/tls/client_auth.h"

#include <openssl/x509v3.h>
#include <pthread.h>

enum { NOT_VERIFIED = 495, NOT_SENT = 496 }; /* nginx's numbers for two kinds of 400 */

/* ---- what the upstream is told: client_auth's host never lets a client's own headers of these names through ---- */

static struct told {
	const char *name, *source;
	struct variable_text *value;
} told[] = {
	{ "ssl-client-verify", "$ssl_client_verify", NULL },
	{ "ssl-client-subject-dn", "$ssl_client_s_dn", NULL },
	{ "ssl-client-issuer-dn", "$ssl_client_i_dn", NULL },
	{ "ssl-client-cert", "$ssl_client_escaped_cert", NULL }, /* the last: only when it is asked for */
};
static struct variable_text *subject; /* "$ssl_client_s_dn" */

/* For as long as the process lives. */
static void make_texts(void)
{
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		told[i].value = variable_text_new(told[i].source, &e);
	subject = told[1].value;
}

static void texts(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_texts);
}

static bool auth_tls_wanted(const struct location *loc, const struct globals *g)
{
	(void)g;
	if (loc->host && loc->host->client_auth)
		texts();
	return loc->host && loc->host->client_auth;
}

static void auth_tls_upstream(struct exchange *x, void **state)
{
	const struct settings *set = client_auth_settings(x->loc->host->client_auth);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(told); i++) {
		bool last = i == ARRAY_LEN(told) - 1;
		struct str value = last && !set->auth_tls_pass_certificate ? STR_NONE : variable_text_value(told[i].value, x);

		header_del(&x->up_headers, told[i].name);
		if (value.len)
			header_add(x, &x->up_headers, told[i].name, value);
	}
}

/* ---- what the client may ---- */

static enum filter_verdict refuse(struct exchange *x, const struct settings *set, int status)
{
	const char *page = set->auth_tls_error_page;

	if (page && status != 421 && (str_starts(str_of(page), STR("http://")) || str_starts(str_of(page), STR("https://"))))
		exchange_redirect(x, 302, str_of(page));
	else
		exchange_answer_error(x, status);
	return FILTER_ANSWERED;
}

/* optional_no_ca: an unknown authority is the backend's business, a bad signature or an expired certificate is not. */
static bool is_only_unknown(long result)
{
	return result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT || result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
	       result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || result == X509_V_ERR_CERT_UNTRUSTED ||
	       result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

/* 0, or why not. */
static int check(const struct client_auth *a, const struct tls_info *tls)
{
	const struct settings *set = client_auth_settings(a);
	bool needed = set->auth_tls_verify_client == VERIFY_ON;

	if (set->auth_tls_verify_client == VERIFY_OFF)
		return 0;
	/* The handshake was for another host, or for this one when other things were asked: 421 brings a new connection
	 * (RFC 9110, section 15.5.20). A client that names no host would only come back the same. */
	if (tls->asked_for != client_auth_id(a))
		return tls->server_name || tls->peer ? 421 : needed ? NOT_SENT : 0;
	if (tls->verify_result != X509_V_OK &&
	    (set->auth_tls_verify_client != VERIFY_OPTIONAL_NO_CA || !is_only_unknown(tls->verify_result)))
		return NOT_VERIFIED;
	return needed && !tls->peer ? NOT_SENT : 0;
}

static enum filter_verdict auth_tls_request(struct exchange *x, void **state)
{
	const struct client_auth *a = x->loc->host->client_auth;
	const struct settings *set = client_auth_settings(a);
	int status;

	(void)state;
	if (client_auth_broken(a)) {
		exchange_answer_error(x, 403);
		return FILTER_ANSWERED;
	}
	status = x->req.tls ? check(a, x->req.tls) : 0;
	if (status)
		return refuse(x, set, status);
	if (set->auth_tls_match_cn && !pattern_match(set->auth_tls_match_cn, variable_text_value(subject, x), NULL)) {
		exchange_answer(x, 403, STR("text/html"), STR("client certificate unauthorized"));
		return FILTER_ANSWERED;
	}
	return FILTER_NEXT;
}

const struct filter filter_auth_tls = {
	.name = "auth_tls",
	.pure = true,
	.wanted = auth_tls_wanted,
	.request = auth_tls_request,
	.upstream = auth_tls_upstream,
};
