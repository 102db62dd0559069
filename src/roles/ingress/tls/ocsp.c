#include "roles/ingress/tls/ocsp.h"

#include "base/buf.h"
#include "base/list.h"
#include "base/log.h"
#include "net/http_client.h"

#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdio.h>
#include <time.h>

#define ANSWER_BYTES_MAX (64u << 10) /* they have one to five KB */
#define TICK_MS 10000
#define CALL_MS 10000
#define CLOCKS_DIFFER_S 300
#define OK 200

/* A certificate that is watched. */
struct watched {
	struct list link;
	struct tls *tls; /* borrowed */
	char *host, *port, *path;
	bool failing; /* said so already */
	uint64_t due_ms, stale_ms; /* when to ask; when what is stapled is no longer true */
};
struct ocsp {
	struct loop *loop;
	struct quiesce *quiesce;
	struct list all;
	struct timer tick;
	/* the one that is asked now */
	struct watched *asking; /* NULL: none */
	struct resolve *resolve;
	struct http_client *http;
	struct http_call *call;
	struct buf answer;
	int status;
};

/* ---- stapling, on the workers ---- */

static int on_status(SSL *ssl, void *arg)
{
	struct tls *t = tls_presented(ssl);
	const struct tls_staple *s = t ? tls_staple(t) : NULL;

	(void)arg;
	if (!s)
		return SSL_TLSEXT_ERR_NOACK;
	unsigned char *copy = OPENSSL_memdup(s->bytes, s->len);
	if (!copy || SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)s->len) != 1) {
		OPENSSL_free(copy);
		return SSL_TLSEXT_ERR_NOACK;
	}
	return SSL_TLSEXT_ERR_OK;
}

void ocsp_use(SSL_CTX *ctx)
{
	SSL_CTX_set_tlsext_status_cb(ctx, on_status);
}

static void staple(struct ocsp *o, struct watched *w, struct str der)
{
	struct tls_staple *s = NULL;

	if (der.len) {
		s = xmalloc(sizeof(*s) + der.len);
		s->len = der.len;
		memcpy(s->bytes, der.ptr, der.len);
	}
	struct tls_staple *old = tls_set_staple(w->tls, s);
	if (old)
		quiesce_retire(o->quiesce, free, old);
}

/* ---- what is asked ---- */

static X509 *issuer_of(const struct tls *t)
{
	STACK_OF(X509) *chain = tls_chain(t);
	X509 *leaf = tls_leaf(t);

	for (int i = 0; chain && i < sk_X509_num(chain); i++)
		if (X509_check_issued(sk_X509_value(chain, i), leaf) == X509_V_OK)
			return sk_X509_value(chain, i);
	return NULL;
}

static uint8_t *request_of(X509 *leaf, X509 *issuer, int *ret_len)
{
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, leaf, issuer);
	OCSP_REQUEST *r = OCSP_REQUEST_new();
	uint8_t *der = NULL;

	*ret_len = r && id && OCSP_request_add0_id(r, id) ? i2d_OCSP_REQUEST(r, &der) : -1;
	OCSP_REQUEST_free(r);
	return der;
}

/* ---- what is answered ---- */

static uint64_t ms_until(const ASN1_GENERALIZEDTIME *t)
{
	int days, seconds;

	if (!t || ASN1_TIME_diff(&days, &seconds, NULL, t) != 1 || days < 0 || seconds < 0)
		return 0;
	return ((uint64_t)days * 86400 + (uint64_t)seconds) * 1000;
}

static int check_status(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer, uint64_t *ret_fresh_ms, struct err *e)
{
	ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, leaf, issuer);
	int status = -1, reason = 0;
	int found = id ? OCSP_resp_find_status(basic, id, &status, &reason, NULL, &from, &until) : 0;

	OCSP_CERTID_free(id);
	if (found != 1)
		return err_set(e, ERR_UNAVAILABLE, "the answer is about other certificates");
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return err_set(e, ERR_UNAVAILABLE, "the certificate is %s", OCSP_cert_status_str(status));
	if (OCSP_check_validity(from, until, CLOCKS_DIFFER_S, -1) != 1)
		return err_openssl(e, ERR_UNAVAILABLE, "the answer is not of now");
	*ret_fresh_ms = until ? ms_until(until) : OCSP_REFRESH_MAX_MS;
	return 0;
}

/* By the issuer, or by somebody the issuer has allowed to (a certificate for OCSP signing in the answer). */
static bool signed_by(OCSP_BASICRESP *basic, X509 *issuer)
{
	STACK_OF(X509) *known = sk_X509_new_null();
	X509_STORE *store = X509_STORE_new();
	bool ok = known && store && sk_X509_push(known, issuer) && X509_STORE_add_cert(store, issuer);

	if (ok) {
		X509_VERIFY_PARAM_set_flags(X509_STORE_get0_param(store), X509_V_FLAG_PARTIAL_CHAIN);
		ok = OCSP_basic_verify(basic, known, store, 0) == 1;
	}
	sk_X509_free(known);
	X509_STORE_free(store);
	return ok;
}

int ocsp_check(struct str der, X509 *leaf, X509 *issuer, uint64_t *ret_fresh_ms, struct err *e)
{
	const unsigned char *p = (const unsigned char *)der.ptr;
	OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)der.len);
	OCSP_BASICRESP *basic = r ? OCSP_response_get1_basic(r) : NULL;
	int ret;

	if (!r || p != (const unsigned char *)der.ptr + der.len)
		ret = err_set(e, ERR_UNAVAILABLE, "no OCSP answer");
	else if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL || !basic)
		ret = err_set(e, ERR_UNAVAILABLE, "the responder says: %s", OCSP_response_status_str(OCSP_response_status(r)));
	else if (!signed_by(basic, issuer))
		ret = err_openssl(e, ERR_UNAVAILABLE, "the answer's signature");
	else
		ret = check_status(basic, leaf, issuer, ret_fresh_ms, e);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(r);
	ERR_clear_error();
	return ret;
}

/* ---- asking: resolve, send, check ---- */

/* A look-up in the C library's resolver, which blocks. */
struct resolve {
	struct work work;
	struct ocsp *ocsp; /* NULL: nobody waits any more */
	char *host, *port;
	struct addr addr;
	bool ok;
};

static void on_tick(struct timer *t);

static void resolve_run(struct work *work)
{
	struct resolve *r = container_of(work, struct resolve, work);
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;

	if (getaddrinfo(r->host, r->port, &hints, &found) != 0)
		return;
	memcpy(&r->addr.ss, found->ai_addr, found->ai_addrlen);
	r->addr.len = found->ai_addrlen;
	r->ok = true;
	freeaddrinfo(found);
}

/* The current question is over; goes on with the next one. */
static void settled(struct ocsp *o, const struct err *failed, uint64_t fresh_ms)
{
	struct watched *w = TAKE_PTR(o->asking);
	uint64_t now = loop_now_ms(o->loop);

	if (failed && !w->failing)
		log_warn("ocsp responder=%s:%s%s: %s", w->host, w->port, w->path, failed->message);
	w->failing = failed != NULL;
	if (failed) {
		w->due_ms = now + OCSP_TRY_AGAIN_MS;
	} else {
		staple(o, w, buf_str(&o->answer));
		w->stale_ms = now + fresh_ms;
		w->due_ms = now + MIN(MAX(fresh_ms / 2, (uint64_t)OCSP_REFRESH_MIN_MS), (uint64_t)OCSP_REFRESH_MAX_MS);
	}
	buf_done(&o->answer);
	timer_start(o->loop, &o->tick, 0);
}

static void on_response(void *ctx, int status, struct http_headers headers)
{
	(void)headers;
	((struct ocsp *)ctx)->status = status;
}

static void on_bytes(void *ctx, struct str bytes)
{
	struct ocsp *o = ctx;

	if (buf_put_str(&o->answer, bytes) < 0)
		o->status = 0; /* no answer has this length */
}

static void on_done(void *ctx, const struct err *failed, struct http_headers trailers)
{
	struct ocsp *o = ctx;
	struct err e;
	uint64_t fresh_ms = 0;

	(void)trailers;
	o->call = NULL;
	if (failed)
		e = *failed;
	else if (o->status != OK)
		err_set(&e, ERR_UNAVAILABLE, "HTTP status %d", o->status);
	else if (ocsp_check(buf_str(&o->answer), tls_leaf(o->asking->tls), issuer_of(o->asking->tls), &fresh_ms, &e) == 0)
		e.reason = ERR_NONE;
	settled(o, e.reason == ERR_NONE ? NULL : &e, fresh_ms);
}

static void send_request(struct ocsp *o, const struct addr *to)
{
	static const struct http_header type = { STR("content-type"), STR("application/ocsp-request") };
	static const struct http_call_ops ops = { on_response, on_bytes, on_done };
	struct watched *w = o->asking;
	int len;
	uint8_t *der = request_of(tls_leaf(w->tls), issuer_of(w->tls), &len);
	struct err e;

	if (len <= 0) {
		err_openssl(&e, ERR_INTERNAL, "OCSP request");
		settled(o, &e, 0);
		return;
	}
	cleanup(freep) char *authority = c_eq(w->port, "80") ? xstrdup(w->host) : xasprintf("%s:%s", w->host, w->port);
	http_client_free(o->http);
	o->http = http_client_new(o->loop, &(struct http_client_config){ .to = *to, .authority = authority,
									 .connect_timeout_ms = CALL_MS });
	buf_init(&o->answer, ANSWER_BYTES_MAX);
	o->status = 0;
	o->call = http_client_send(o->http, &(struct http_call_request){ .method = "POST", .path = w->path, .headers = &type,
									 .n_headers = 1, .body = { (char *)der, (size_t)len },
									 .timeout_ms = CALL_MS }, &ops, o);
	OPENSSL_free(der);
}

static void resolve_done(struct work *work)
{
	struct resolve *r = container_of(work, struct resolve, work);
	struct ocsp *o = r->ocsp;
	struct err e;

	if (o) {
		o->resolve = NULL;
		if (r->ok) {
			send_request(o, &r->addr);
		} else {
			err_set(&e, ERR_UNAVAILABLE, "its name cannot be resolved");
			settled(o, &e, 0);
		}
	}
	free(r->host);
	free(r->port);
	free(r);
}

static void ask(struct ocsp *o, struct watched *w)
{
	struct resolve *r = xcalloc(1, sizeof(*r));

	o->asking = w;
	o->resolve = r;
	r->work = (struct work){ .run = resolve_run, .done = resolve_done };
	r->ocsp = o;
	r->host = xstrdup(w->host);
	r->port = xstrdup(w->port);
	loop_work(o->loop, &r->work);
}

/* ---- the list ---- */

static void watched_free(struct watched *w)
{
	list_del(&w->link);
	OPENSSL_free(w->host);
	OPENSSL_free(w->port);
	OPENSSL_free(w->path);
	free(w);
}

static void on_tick(struct timer *t)
{
	struct ocsp *o = t->ctx;
	uint64_t now = loop_now_ms(o->loop);

	list_for(at, tmp, &o->all) {
		struct watched *w = list_entry(at, struct watched, link);

		if (w == o->asking)
			continue;
		if (w->stale_ms && now >= w->stale_ms) {
			staple(o, w, STR_NONE);
			w->stale_ms = 0;
		}
		if (!o->asking && now >= w->due_ms)
			ask(o, w);
	}
	timer_start(o->loop, t, TICK_MS);
}

/* http only: an answer is signed, and https would need a certificate that needs an answer. */
static bool responder_of(X509 *leaf, struct watched *ret)
{
	STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(leaf);
	bool found = false;

	for (int i = 0; urls && !found && i < sk_OPENSSL_STRING_num(urls); i++) {
		int tls = 0;

		found = OCSP_parse_url(sk_OPENSSL_STRING_value(urls, i), &ret->host, &ret->port, &ret->path, &tls) == 1 && !tls;
	}
	X509_email_free(urls);
	ERR_clear_error();
	return found;
}

void ocsp_watch(struct ocsp *o, struct tls *t)
{
	struct watched *w;

	list_for(at, tmp, &o->all)
		if (list_entry(at, struct watched, link)->tls == t)
			return;
	w = xcalloc(1, sizeof(*w));
	list_init(&w->link);
	w->tls = t;
	if (!tls_leaf(t) || !issuer_of(t) || !responder_of(tls_leaf(t), w)) {
		watched_free(w);
		return;
	}
	list_append(&o->all, &w->link);
	timer_start(o->loop, &o->tick, 0);
}

static void stop_asking(struct ocsp *o)
{
	if (o->resolve)
		TAKE_PTR(o->resolve)->ocsp = NULL;
	http_call_cancel(TAKE_PTR(o->call));
	buf_done(&o->answer);
	o->asking = NULL;
}

void ocsp_forget(struct ocsp *o, const struct tls *t)
{
	list_for(at, tmp, &o->all) {
		struct watched *w = list_entry(at, struct watched, link);

		if (w->tls != t)
			continue;
		if (w == o->asking)
			stop_asking(o);
		watched_free(w);
		return;
	}
}

struct ocsp *ocsp_new(struct loop *l, struct quiesce *q)
{
	struct ocsp *o = xcalloc(1, sizeof(*o));

	o->loop = l;
	o->quiesce = q;
	list_init(&o->all);
	o->tick = (struct timer){ .fire = on_tick, .ctx = o };
	return o;
}

void ocsp_free(struct ocsp *o)
{
	if (!o)
		return;
	timer_stop(&o->tick);
	stop_asking(o);
	http_client_free(o->http);
	while (!list_empty(&o->all))
		watched_free(list_entry(o->all.next, struct watched, link));
	free(o);
}
