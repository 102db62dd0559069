#include "roles/ingress/tls/server.h"

#include "base/map.h"
#include "loop/quiesce.h"
#include "net/x509.h"
#include "roles/ingress/tls/client_auth.h"
#include "roles/ingress/tls/host_ciphers.h"
#include "roles/ingress/tls/ocsp.h"
#include "roles/ingress/tls/tickets.h"

#include <openssl/evp.h>

#define FAKE_CERT_DAYS 365
#define TICK_MS 60000	     /* far more often than keys change */
#define SWEEP_CERTIFICATES 64 /* so many new ones, then those nobody uses are let go */

struct tls_front {
	struct shared *shared;
	struct tls *context; /* atomic; replaced when settings change */
	struct tickets *tickets;
	struct ocsp *ocsp; /* NULL: enable-ocsp is off */
	struct timer tick;
	struct map certificates; /* fingerprint of PEM texts → struct tls */
	unsigned made;
};

/* ---- on the workers' threads: who is asked for ---- */

/* What the host has of its own: whom it asks for a certificate, ciphers. */
static bool obey_host(struct shared *s, SSL *ssl, struct str name, int *alert)
{
	struct host *h = routes_host(s->routes, name);
	bool ok = !h || !h->client_auth || client_auth_ask(h->client_auth, ssl);

	ok = ok && (!h || !h->ciphers || host_ciphers_use(h->ciphers, ssl));
	if ((!h || !h->name[0]) && globals_now(s)->ssl_reject_handshake) { /* the catch-all is not named either */
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		ok = false;
	}
	host_unref(h);
	return ok;
}

/* Before OpenSSL looks at the session that the client wants to resume: whether it may depends on the host. */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct shared *s = ((struct tls_front *)arg)->shared;
	struct str name = tls_client_hello_name(ssl);
	struct tls *t = s->routes ? routes_tls(s->routes, name) : NULL;

	if (!t)
		t = __atomic_load_n(&s->default_tls, __ATOMIC_ACQUIRE);
	*alert = SSL_AD_INTERNAL_ERROR;
	if (t && tls_present(ssl, t) && (!s->routes || obey_host(s, ssl, name, alert)))
		return SSL_CLIENT_HELLO_SUCCESS;
	return SSL_CLIENT_HELLO_ERROR;
}

/* Everything was decided above; this makes OpenSSL tell the client that its name was understood. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
	(void)ssl, (void)alert, (void)arg;
	return SSL_TLSEXT_ERR_OK;
}

/* ---- the context ---- */

static int set_protocols(SSL_CTX *ctx, const char *text, struct err *e)
{
	bool v12 = strstr(text, "TLSv1.2") != NULL, v13 = strstr(text, "TLSv1.3") != NULL;

	if (!v12 && !v13)
		return err_set(e, ERR_INVALID, "ssl-protocols: \"%s\" has neither TLSv1.2 nor TLSv1.3", text);
	SSL_CTX_set_min_proto_version(ctx, v12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	SSL_CTX_set_max_proto_version(ctx, v13 ? TLS1_3_VERSION : TLS1_2_VERSION);
	return 0;
}

static int set_ciphers(SSL_CTX *ctx, const struct globals *g, struct err *e)
{
	if (g->ssl_protocols && set_protocols(ctx, g->ssl_protocols, e) < 0)
		return -1;
	if (g->ssl_ciphers && SSL_CTX_set_cipher_list(ctx, g->ssl_ciphers) != 1)
		return err_openssl(e, ERR_INVALID, "ssl-ciphers");
	if (g->ssl_ecdh_curve && !c_eq(g->ssl_ecdh_curve, "auto") && SSL_CTX_set1_groups_list(ctx, g->ssl_ecdh_curve) != 1)
		return err_openssl(e, ERR_INVALID, "ssl-ecdh-curve");
	return 0;
}

static void set_tickets(const struct tls_front *f, SSL_CTX *ctx, bool on)
{
	if (on) {
		tickets_use(f->tickets, ctx);
		return;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(ctx, 0);
}

static struct tls *context_new(struct tls_front *f, const struct globals *g, struct err *e)
{
	static const char *const with_h2[] = { "h2", "http/1.1", NULL };
	struct tls *t = tls_server_new(&(struct tls_config){ .alpn = !g || g->http2 ? with_h2 : with_h2 + 1, .own_records = true }, e);

	if (!t)
		return NULL;
	SSL_CTX *ctx = tls_ctx(t);
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, f);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	if (g && g->enable_ocsp)
		ocsp_use(ctx);
	set_tickets(f, ctx, !g || g->ssl_session_tickets);
	if (g && set_ciphers(ctx, g, e) < 0) {
		tls_unref(t);
		return NULL;
	}
	return t;
}

static void context_free(void *t)
{
	tls_unref(t);
}

static void set_ocsp(struct tls_front *f, bool on)
{
	if (!on)
		ocsp_free(TAKE_PTR(f->ocsp)); /* what is stapled already is not sent any more */
	if (!on || f->ocsp)
		return;
	f->ocsp = ocsp_new(f->shared->main_loop, f->shared->quiesce);
	for (struct map_iter it = { 0 }; map_next(&f->certificates, &it);)
		ocsp_watch(f->ocsp, it.value);
}

static struct ticket_time time_now(const struct tls_front *f)
{
	return (struct ticket_time){ loop_now_ms(f->shared->main_loop), wall_now_ms() };
}

int tls_front_apply(struct tls_front *f, const struct globals *g, struct err *e)
{
	if (!g->ticket_secret_bad && tickets_set(f->tickets, &g->ticket_secret, g->ssl_session_timeout_s, time_now(f), e) < 0)
		return -1;
	struct tls *old = f->context, *t = context_new(f, g, e);
	if (!t)
		return -1;
	__atomic_store_n(&f->context, t, __ATOMIC_RELEASE);
	quiesce_retire(f->shared->quiesce, context_free, old);
	set_ocsp(f, g->enable_ocsp);
	return 0;
}

void tls_front_export(const struct tls_front *f, struct buf *out)
{
	if (buf_reserve(out, TICKET_EXPORT_BYTES) == 0)
		tickets_export(f->tickets, out);
}

void tls_front_import(struct tls_front *f, struct str exported)
{
	tickets_import(f->tickets, exported, time_now(f));
}

struct tls *tls_front_context(struct tls_front *f)
{
	return __atomic_load_n(&f->context, __ATOMIC_ACQUIRE);
}

/* ---- life ---- */

static void on_tick(struct timer *timer)
{
	struct tls_front *f = timer->ctx;

	tickets_tick(f->tickets, time_now(f));
	timer_start(f->shared->main_loop, timer, TICK_MS);
}

struct tls_front *tls_front_new(struct shared *s, struct err *e)
{
	struct tls_front *f = xcalloc(1, sizeof(*f));

	f->shared = s;
	f->tick = (struct timer){ .fire = on_tick, .ctx = f };
	map_init(&f->certificates);
	f->tickets = tickets_new(s->quiesce, time_now(f), e);
	f->context = f->tickets ? context_new(f, NULL, e) : NULL;
	if (!f->context) {
		tls_front_free(f);
		return NULL;
	}
	timer_start(s->main_loop, &f->tick, TICK_MS);
	return f;
}

void tls_front_free(struct tls_front *f)
{
	if (!f)
		return;
	timer_stop(&f->tick);
	ocsp_free(f->ocsp);
	map_done(&f->certificates, context_free);
	tls_unref(f->context);
	tickets_free(f->tickets);
	free(f);
}

/* ---- certificates ---- */

static void sweep(struct tls_front *f)
{
	struct map kept;

	map_init(&kept);
	for (struct map_iter it = { 0 }; map_next(&f->certificates, &it);) {
		if (tls_refs(it.value) > 1) {
			map_put(&kept, it.key, it.value);
			continue;
		}
		if (f->ocsp)
			ocsp_forget(f->ocsp, it.value);
		tls_unref(it.value);
	}
	map_done(&f->certificates, NULL);
	f->certificates = kept;
}

struct tls *tls_front_certificate(void *front, struct str cert_pem, struct str key_pem, struct err *e)
{
	struct tls_front *f = front;
	uint8_t digest[2][32];
	struct str id = { (const char *)digest, sizeof(digest) };

	if (!EVP_Q_digest(NULL, "SHA256", NULL, cert_pem.ptr, cert_pem.len, digest[0], NULL) ||
	    !EVP_Q_digest(NULL, "SHA256", NULL, key_pem.ptr, key_pem.len, digest[1], NULL)) {
		err_openssl(e, ERR_INTERNAL, "certificate");
		return NULL;
	}
	struct tls *t = map_get(&f->certificates, id);
	if (t)
		return tls_ref(t);
	t = tls_certificate_new(f->context, cert_pem, key_pem, e);
	if (!t)
		return NULL;
	if (++f->made % SWEEP_CERTIFICATES == 0)
		sweep(f);
	map_put(&f->certificates, id, tls_ref(t));
	if (f->ocsp)
		ocsp_watch(f->ocsp, t);
	return t;
}

struct tls *tls_front_fake(struct tls_front *f, struct err *e)
{
	struct x509_request r = { .common_name = "Kubernetes Ingress Controller Fake Certificate", .organization = "Acme Co",
				  .sans = "DNS:ingress.local", .server = true, .days = FAKE_CERT_DAYS };
	EVP_PKEY *key = x509_new_key(e);
	X509 *cert = key ? x509_issue(&r, key, NULL, NULL, e) : NULL;
	struct tls *t = NULL;

	if (cert) {
		cleanup(freep) char *pem = x509_pem(cert);
		cleanup(freep) char *key_pem = x509_key_pem(key);

		t = tls_certificate_new(f->context, str_of(pem), str_of(key_pem), e);
	}
	X509_free(cert);
	EVP_PKEY_free(key);
	return t;
}
