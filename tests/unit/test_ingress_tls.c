#include "loop/quiesce.h"
#include "net/conn.h"
#include "roles/ingress/route/match.h"
#include "roles/ingress/tls/client_auth.h"
#include "roles/ingress/tls/host_ciphers.h"
#include "roles/ingress/tls/server.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <unistd.h>

#include "net_pki.h"

#define WORKERS 2

static struct err e;
static struct pki ca, stranger_ca, a_pki, b_pki, a_new_pki, client_pki, stranger_pki;

/* ---- workers: each tells a client what it knows of it ---- */

struct thread {
	struct loop *loop;
	int fd;
	uint16_t port;
	pthread_t id;
};
static struct thread threads[WORKERS];
static struct shared shared;
static struct globals globals;
static struct tls_front *front;

static size_t on_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	const struct tls_info *i = conn_tls_info(c);
	char text[200], cn[64] = "";

	(void)ctx, (void)bytes;
	if (i->peer)
		X509_NAME_get_text_by_NID(X509_get_subject_name(i->peer), NID_commonName, cn, sizeof(cn));
	conn_write(c, text, (size_t)snprintf(text, sizeof(text), "%s %s %s %s %ld %llx", i->server_name ? i->server_name : "-",
					     i->alpn[0] ? i->alpn : "-", i->resumed ? "resumed" : "new", cn[0] ? cn : "-",
					     i->verify_result, (unsigned long long)i->asked_for));
	return len;
}

static const struct conn_ops ops = { .data = on_data };

static void accepted(void *ctx, int fd, const struct addr *peer)
{
	struct thread *t = ctx;
	struct err why;

	(void)peer;
	if (!conn_accept(t->loop, fd, tls_front_context(front), &ops, NULL, &why))
		abort();
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	struct err why;
	struct listener *l = listener_new(t->loop, t->fd, accepted, t, &why);

	loop_run(t->loop);
	listener_free(l);
	conn_thread_done();
	return NULL;
}

static void thread_start(struct thread *t)
{
	struct addr a;

	assert_int_equal(addr_parse("127.0.0.1:0", &a, &e), 0);
	t->fd = addr_listen(&a, 16, &e);
	assert_int_equal(getsockname(t->fd, (struct sockaddr *)&a.ss, &a.len), 0);
	t->port = ntohs(((struct sockaddr_in *)&a.ss)->sin_port);
	t->loop = loop_new(&e);
	quiesce_add(shared.quiesce, t->loop);
	assert_int_equal(pthread_create(&t->id, NULL, thread_main, t), 0);
}

static void stop_loop(void *l)
{
	loop_stop(l);
}

static void thread_stop(struct thread *t)
{
	loop_post(t->loop, stop_loop, t->loop);
	pthread_join(t->id, NULL);
	quiesce_remove(shared.quiesce, t->loop);
	loop_free(t->loop);
	close(t->fd);
}

static struct tls *certificate(const struct pki *p)
{
	struct tls *t = tls_front_certificate(front, str_of(p->cert_pem), str_of(p->key_pem), &e);

	assert_non_null(t);
	return t;
}

static int set_up(void **state)
{
	(void)state;
	globals = (struct globals){ .http2 = true, .ssl_session_tickets = true };
	shared = (struct shared){ .main_loop = loop_new(&e), .globals = &globals };
	shared.quiesce = quiesce_new(shared.main_loop);
	shared.routes = routes_new(shared.quiesce);
	front = tls_front_new(&shared, &e);
	assert_non_null(front);
	shared.default_tls = tls_front_fake(front, &e);
	assert_non_null(shared.default_tls);
	routes_put_cert(shared.routes, "a.test", certificate(&a_pki));
	routes_put_cert(shared.routes, "*.b.test", certificate(&b_pki));
	for (size_t i = 0; i < WORKERS; i++)
		thread_start(&threads[i]);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < WORKERS; i++)
		thread_stop(&threads[i]);
	routes_free(shared.routes);
	quiesce_free(shared.quiesce);
	tls_unref(shared.default_tls);
	tls_front_free(front);
	loop_free(shared.main_loop);
	return 0;
}

/* ---- a client of OpenSSL ---- */

struct visit {
	const char *name; /* SNI; NULL: none */
	const struct pki *cert;
	int version;	  /* the newest it speaks; 0: 1.3 */
	size_t worker;
	SSL_SESSION *session;
	bool alpn;
	const char *ciphers; /* of TLS 1.2, in its order; NULL: OpenSSL's */
	/* out */
	char cn[100], said[200];
	SSL_SESSION *ret_session;
	bool ok;
	int reason; /* why not */
};

static SSL *visit_ssl(const struct visit *v, SSL_CTX *ctx)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(threads[v->worker].port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *s = SSL_new(ctx);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	SSL_set_fd(s, fd);
	if (v->name)
		SSL_set_tlsext_host_name(s, v->name);
	if (v->alpn)
		SSL_set_alpn_protos(s, (const unsigned char *)"\x08http/1.1\x02h2", 12);
	if (v->cert) {
		SSL_use_certificate(s, v->cert->cert);
		SSL_use_PrivateKey(s, v->cert->key);
	}
	if (v->session)
		assert_int_equal(SSL_set_session(s, v->session), 1);
	return s;
}

static void visit(struct visit *v)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (v->version)
		SSL_CTX_set_max_proto_version(ctx, v->version);
	if (v->ciphers)
		assert_int_equal(SSL_CTX_set_cipher_list(ctx, v->ciphers), 1);
	SSL *s = visit_ssl(v, ctx);
	int fd = SSL_get_fd(s);
	ERR_clear_error();
	v->ok = SSL_connect(s) == 1 && SSL_write(s, "x", 1) == 1 && SSL_read(s, v->said, sizeof(v->said) - 1) > 0;
	if (v->ok) {
		X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(s)), NID_commonName, v->cn, sizeof(v->cn));
		v->ret_session = SSL_get1_session(s);
		SSL_shutdown(s);
	}
	v->reason = ERR_GET_REASON(ERR_get_error());
	SSL_free(s);
	SSL_CTX_free(ctx);
	close(fd);
}

/* ---- names ---- */

static void names_choose_certificates(void **state)
{
	static const struct {
		const char *name, *cn;
	} rows[] = {
		{ "a.test", "a.test" },
		{ "A.Test", "a.test" },
		{ "x.b.test", "*.b.test" },
		{ "y.x.b.test", "Kubernetes Ingress Controller Fake Certificate" },
		{ "b.test", "Kubernetes Ingress Controller Fake Certificate" },
		{ NULL, "Kubernetes Ingress Controller Fake Certificate" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			struct visit v = { .name = rows[i].name, .version = version, .worker = i % WORKERS };

			visit(&v);
			assert_true(v.ok);
			assert_string_equal(v.cn, rows[i].cn);
			SSL_SESSION_free(v.ret_session);
		}
}

static void the_fake_certificate_is_ingress_nginxs(void **state)
{
	X509 *leaf = tls_leaf(shared.default_tls);
	char o[64];

	(void)state;
	assert_int_equal(X509_check_host(leaf, "ingress.local", 0, 0, NULL), 1);
	X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_organizationName, o, sizeof(o));
	assert_string_equal(o, "Acme Co");
}

static void equal_certificates_are_one(void **state)
{
	struct tls *one = certificate(&a_pki), *two = certificate(&a_pki), *other = certificate(&b_pki);

	(void)state;
	assert_ptr_equal(one, two);
	assert_ptr_not_equal(one, other);
	tls_unref(one);
	tls_unref(two);
	tls_unref(other);
}

static void broken_certificates_are_refused(void **state)
{
	struct str a = str_of(a_pki.cert_pem), key = str_of(a_pki.key_pem), other = str_of(b_pki.key_pem);

	(void)state;
	assert_null(tls_front_certificate(front, a, other, &e));
	assert_null(tls_front_certificate(front, key, key, &e));
	assert_null(tls_front_certificate(front, STR(""), key, &e));
	assert_null(tls_front_certificate(front, a, STR("x"), &e));
}

/* ---- how keys are written ---- */

enum form { PKCS8, TRADITIONAL, AFTER_PARAMETERS, AFTER_A_CERTIFICATE, ENCRYPTED, PUBLIC, CUT, N_FORMS };

static char *take_text(BIO *b)
{
	char *data, *text;
	long n = BIO_get_mem_data(b, &data);

	text = str_dup((struct str){ data, (size_t)n });
	BIO_free(b);
	return text;
}

static char *write_key(EVP_PKEY *key, enum form form)
{
	BIO *b = BIO_new(BIO_s_mem());

	if (form == AFTER_PARAMETERS)
		PEM_write_bio_Parameters(b, key);
	if (form == AFTER_A_CERTIFICATE)
		BIO_puts(b, a_pki.cert_pem);
	if (form == PUBLIC)
		PEM_write_bio_PUBKEY(b, key);
	else if (form == TRADITIONAL)
		PEM_write_bio_PrivateKey_traditional(b, key, NULL, NULL, 0, NULL, NULL);
	else
		PEM_write_bio_PKCS8PrivateKey(b, key, form == ENCRYPTED ? EVP_aes_128_cbc() : NULL, "secret", 6, NULL, NULL);
	char *text = take_text(b);
	if (form == CUT)
		text[strlen(text) / 2] = '\0';
	return text;
}

static char *write_certificate(EVP_PKEY *key)
{
	X509 *x = X509_new();
	BIO *b = BIO_new(BIO_s_mem());

	X509_set_version(x, 2);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256()) > 0);
	PEM_write_bio_X509(b, x);
	X509_free(x);
	return take_text(b);
}

/* One after another, as what reads them is kept between two. */
static void keys_of_every_kind(void **state)
{
	EVP_PKEY *keys[] = { EVP_EC_gen("P-256"), EVP_RSA_gen(2048), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_EC_gen("P-384") };

	(void)state;
	for (unsigned i = 0; i < 3 * N_FORMS * ARRAY_LEN(keys); i++) {
		unsigned at = i * 11 % (N_FORMS * ARRAY_LEN(keys)); /* good ones and bad ones in turn */
		enum form form = at / ARRAY_LEN(keys);
		EVP_PKEY *key = keys[at % ARRAY_LEN(keys)];
		if ((form == AFTER_PARAMETERS && EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) ||
		    (form == TRADITIONAL && EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519))
			continue;
		cleanup(freep) char *key_pem = write_key(key, form);
		cleanup(freep) char *cert_pem = write_certificate(key);
		struct tls *t = tls_certificate_new(shared.default_tls, str_of(cert_pem), str_of(key_pem), &e);
		if ((t != NULL) != (form < ENCRYPTED))
			fail_msg("%s, form %d: %s", EVP_PKEY_get0_type_name(key), form, t ? "taken" : e.message);
		assert_int_equal(ERR_peek_error(), 0);
		tls_unref(t);
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		EVP_PKEY_free(keys[i]);
}

static void alpn_prefers_http2(void **state)
{
	struct visit v = { .name = "a.test", .alpn = true };

	(void)state;
	visit(&v);
	assert_non_null(strstr(v.said, "a.test h2 new"));
	SSL_SESSION_free(v.ret_session);
	globals.http2 = false;
	assert_int_equal(tls_front_apply(front, &globals, &e), 0);
	visit(&v);
	assert_non_null(strstr(v.said, "a.test http/1.1 new"));
	SSL_SESSION_free(v.ret_session);
	globals.http2 = true;
	assert_int_equal(tls_front_apply(front, &globals, &e), 0);
	v.alpn = false;
	visit(&v);
	assert_non_null(strstr(v.said, "a.test - new"));
	SSL_SESSION_free(v.ret_session);
}

static void settings_are_obeyed(void **state)
{
	struct visit v = { .name = "a.test", .version = TLS1_2_VERSION };

	(void)state;
	globals.ssl_protocols = (char *)(uintptr_t)"TLSv1.3";
	assert_int_equal(tls_front_apply(front, &globals, &e), 0);
	visit(&v);
	assert_false(v.ok);
	globals.ssl_protocols = (char *)(uintptr_t)"TLSv1.2 TLSv1.3";
	globals.ssl_ciphers = (char *)(uintptr_t)"NOT-A-CIPHER";
	assert_int_equal(tls_front_apply(front, &globals, &e), -1); /* the old ones stay */
	visit(&v);
	assert_false(v.ok);
	globals.ssl_ciphers = (char *)(uintptr_t)"ECDHE-ECDSA-AES256-GCM-SHA384";
	assert_int_equal(tls_front_apply(front, &globals, &e), 0);
	visit(&v);
	assert_true(v.ok);
	assert_string_equal(SSL_CIPHER_get_name(SSL_SESSION_get0_cipher(v.ret_session)), "ECDHE-ECDSA-AES256-GCM-SHA384");
	SSL_SESSION_free(v.ret_session);
	globals.ssl_protocols = globals.ssl_ciphers = NULL;
	assert_int_equal(tls_front_apply(front, &globals, &e), 0);
}

/* ---- resumption ---- */

static void resumes(const char *first, const char *second, int version, bool expected)
{
	struct visit v = { .name = first, .version = version };

	visit(&v);
	assert_true(v.ok);
	assert_non_null(strstr(v.said, " new "));
	struct visit again = { .name = second, .version = version, .session = v.ret_session, .worker = 1 };
	visit(&again);
	assert_true(again.ok);
	assert_non_null(strstr(again.said, expected ? " resumed " : " new "));
	SSL_SESSION_free(v.ret_session);
	SSL_SESSION_free(again.ret_session);
}

static void another_worker_resumes(void **state)
{
	(void)state;
	resumes("a.test", "a.test", TLS1_2_VERSION, true);
	resumes("a.test", "a.test", TLS1_3_VERSION, true);
}

static void a_new_certificate_resumes(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct visit v = { .name = "a.test", .version = version };

		visit(&v);
		assert_true(v.ok);
		routes_put_cert(shared.routes, "a.test", certificate(&a_new_pki));
		struct visit again = { .name = "a.test", .version = version, .session = v.ret_session };
		visit(&again);
		assert_non_null(strstr(again.said, " resumed "));
		SSL_SESSION_free(v.ret_session);
		SSL_SESSION_free(again.ret_session);
		routes_put_cert(shared.routes, "a.test", certificate(&a_pki));
	}
}

static void new_settings_resume(void **state)
{
	struct visit v = { .name = "a.test" };

	(void)state;
	visit(&v);
	assert_int_equal(tls_front_apply(front, &globals, &e), 0);
	struct visit again = { .name = "a.test", .session = v.ret_session };
	visit(&again);
	assert_non_null(strstr(again.said, " resumed "));
	SSL_SESSION_free(v.ret_session);
	SSL_SESSION_free(again.ret_session);
}

static void without_tickets_nothing_resumes(void **state)
{
	(void)state;
	globals.ssl_session_tickets = false;
	assert_int_equal(tls_front_apply(front, &globals, &e), 0);
	resumes("a.test", "a.test", TLS1_2_VERSION, false);
	resumes("a.test", "a.test", TLS1_3_VERSION, false);
	globals.ssl_session_tickets = true;
	assert_int_equal(tls_front_apply(front, &globals, &e), 0);
}

/* ---- client certificates ---- */

static void host_free(struct host *h)
{
	client_auth_free(h->client_auth);
	host_ciphers_free(h->ciphers);
	if (h->n_all) {
		settings_unref(h->all[0]->set);
		free(h->all[0]);
	}
	free(h->all);
	free(h->name);
	free(h);
}

static struct settings *settings_make(const char *authority)
{
	struct settings *s = xcalloc(1, sizeof(*s));

	s->refs_ = 1;
	s->auth_tls_ca = xstrdup(authority);
	s->auth_tls_verify_client = VERIFY_ON;
	s->auth_tls_verify_depth = 1;
	return s;
}

/* Returns what it asks. */
static uint64_t put_host(const char *name, const char *authority)
{
	struct host *h = xcalloc(1, sizeof(*h));
	struct settings *set = settings_make(authority);
	char *why;

	h->refs_ = 1;
	h->free_ = host_free;
	h->name = xstrdup(name);
	h->n_all = 1;
	h->all = xcalloc(1, sizeof(*h->all));
	h->all[0] = xcalloc(1, sizeof(struct location));
	*h->all[0] = (struct location){ .host = h, .path = (char *)(uintptr_t)"/", .set = set };
	h->client_auth = client_auth_new(name, set, &why);
	assert_null(why);
	uint64_t id = client_auth_id(h->client_auth);
	routes_put_host(shared.routes, h);
	return id;
}

static void hosts_ask_for_certificates(void **state)
{
	uint64_t a = put_host("a.test", ca.cert_pem), b = put_host("x.b.test", ca.cert_pem);
	struct {
		const char *name;
		const struct pki *cert;
		const char *cn;
		long result;
		uint64_t id;
	} rows[] = {
		{ "a.test", &client_pki, "client", X509_V_OK, a },
		{ "a.test", NULL, "-", X509_V_OK, a },
		{ "a.test", &stranger_pki, "stranger", X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, a },
		{ "x.b.test", &client_pki, "client", X509_V_OK, b },
		{ "c.test", &client_pki, "-", X509_V_OK, 0 },
		{ NULL, &client_pki, "-", X509_V_OK, 0 },
	};

	(void)state;
	assert_int_not_equal(a, b);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			struct visit v = { .name = rows[i].name, .cert = rows[i].cert, .version = version };
			char said[200];

			visit(&v);
			assert_true(v.ok);
			snprintf(said, sizeof(said), "%s - new %s %ld %llx", rows[i].name ? rows[i].name : "-", rows[i].cn,
				 rows[i].result, (unsigned long long)rows[i].id);
			assert_string_equal(v.said, said);
			SSL_SESSION_free(v.ret_session);
		}
}

static void who_was_checked_for_one_host_is_not_for_another(void **state)
{
	static const struct {
		const char *first, *second;
		bool resumed;
	} rows[] = {
		{ "a.test", "a.test", true },	{ "a.test", "x.b.test", false }, { "c.test", "a.test", false },
		{ "a.test", "c.test", false },	{ "c.test", "d.test", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
			struct visit v = { .name = rows[i].first, .cert = &client_pki, .version = version };

			visit(&v);
			assert_true(v.ok);
			struct visit again = { .name = rows[i].second, .cert = &client_pki, .version = version,
					       .session = v.ret_session };
			visit(&again);
			assert_true(again.ok);
			if (!strstr(again.said, rows[i].resumed ? " resumed " : " new "))
				fail_msg("%s then %s: %s", rows[i].first, rows[i].second, again.said);
			if (rows[i].resumed && rows[i].first[0] == 'a')
				assert_non_null(strstr(again.said, " client 0 "));
			SSL_SESSION_free(v.ret_session);
			SSL_SESSION_free(again.ret_session);
		}
}

static void other_authorities_end_sessions(void **state)
{
	struct visit v = { .name = "a.test", .cert = &client_pki };

	(void)state;
	visit(&v);
	put_host("a.test", stranger_ca.cert_pem);
	struct visit again = { .name = "a.test", .cert = &client_pki, .session = v.ret_session };
	visit(&again);
	assert_non_null(strstr(again.said, " new client 20 ")); /* X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY */
	SSL_SESSION_free(v.ret_session);
	SSL_SESSION_free(again.ret_session);
	put_host("a.test", ca.cert_pem);
}

static void an_authority_that_is_none_refuses_everybody(void **state)
{
	struct settings *set = settings_make("nonsense");
	char *why;
	struct client_auth *a = client_auth_new("a.test", set, &why);

	(void)state;
	assert_non_null(why);
	assert_true(client_auth_broken(a));
	free(why);
	client_auth_free(a);
	settings_unref(set);
}

/* ---- ciphers of a host ---- */

#define AES128 "ECDHE-ECDSA-AES128-GCM-SHA256"
#define AES256 "ECDHE-ECDSA-AES256-GCM-SHA384"
#define CHACHA "ECDHE-ECDSA-CHACHA20-POLY1305"
#define CBC "ECDHE-ECDSA-AES128-SHA"

/* `authority` NULL: nobody is asked for a certificate. */
static void put_ciphers(const char *name, const char *list, int prefer, const char *authority)
{
	struct host *h = xcalloc(1, sizeof(*h));
	struct settings *set = settings_make(authority ? authority : "");
	char *why;

	h->refs_ = 1;
	h->free_ = host_free;
	h->name = xstrdup(name);
	if (authority)
		h->client_auth = client_auth_new(name, set, &why);
	h->ciphers = host_ciphers_new(list, prefer, h->client_auth);
	settings_unref(set);
	routes_put_host(shared.routes, h);
}

static void globals_ciphers(const char *list)
{
	globals.ssl_ciphers = (char *)(uintptr_t)list;
	assert_int_equal(tls_front_apply(front, &globals, &e), 0);
}

static void hosts_have_ciphers_of_their_own(void **state)
{
	static const struct {
		const char *name, *offered, *chosen; /* NULL: there is none in common */
	} rows[] = {
		{ "own.b.test", NULL, CBC },
		{ "own.b.test", AES128, NULL },
		{ "own.b.test", AES128 ":" CBC, CBC },
		{ "Own.B.test", CBC, CBC },
		{ "x.wild.test", CBC, CBC },
		{ "x.wild.test", AES256, NULL },
		{ "other.b.test", CBC, NULL },
		{ "other.b.test", CBC ":" CHACHA ":" AES128, AES128 },
		{ "other.b.test", CHACHA ":" AES128, CHACHA },
		{ NULL, CBC, NULL },
		{ NULL, AES256, AES256 },
		{ "theirs.b.test", CHACHA ":" AES128, CHACHA },
		{ "theirs.b.test", AES128 ":" CHACHA, AES128 },
		{ "theirs.b.test", CBC, NULL },
		{ "ours.b.test", CHACHA ":" AES128, AES128 },
		{ "both.b.test", CHACHA ":" AES256 ":" AES128, CHACHA },
		{ "both.b.test", AES128 ":" CBC, NULL },
	};

	(void)state;
	globals_ciphers(AES256 ":" AES128 ":" CHACHA);
	put_ciphers("own.b.test", CBC, -1, NULL);
	put_ciphers("*.wild.test", CBC, -1, NULL);
	put_ciphers("theirs.b.test", NULL, 0, NULL);
	put_ciphers("ours.b.test", NULL, 1, NULL);
	put_ciphers("both.b.test", AES256 ":" CHACHA, 0, NULL);
	assert_null(host_ciphers_new(NULL, -1, NULL));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct visit v = { .name = rows[i].name, .version = TLS1_2_VERSION, .ciphers = rows[i].offered, .worker = i % WORKERS };

		visit(&v);
		const char *chosen = v.ok ? SSL_CIPHER_get_name(SSL_SESSION_get0_cipher(v.ret_session)) : NULL;
		if (!c_eq(chosen, rows[i].chosen))
			fail_msg("%zu %s: %s instead of %s", i, rows[i].name, chosen, rows[i].chosen);
		SSL_SESSION_free(v.ret_session);
	}
	struct visit newer = { .name = "own.b.test", .ciphers = AES128 };
	visit(&newer);
	assert_true(newer.ok); /* TLS 1.3 has its own */
	SSL_SESSION_free(newer.ret_session);
}

/* A session goes on with its cipher, so it must not begin where that is allowed and go on where it is not. */
static void sessions_stay_with_their_ciphers(void **state)
{
	static const struct {
		const char *first, *second;
		bool resumed;
	} rows[] = {
		{ "own.b.test", "own.b.test", true },	 { "own.b.test", "twin.b.test", true },	 { "own.b.test", "other.b.test", false },
		{ "other.b.test", "own.b.test", false }, { "own.b.test", "asks.b.test", false }, { "asks.b.test", "own.b.test", false },
		{ "asks.b.test", "asks.b.test", true },	 { "theirs.b.test", "other.b.test", true },
	};

	(void)state;
	globals_ciphers(AES256 ":" AES128 ":" CHACHA ":" CBC);
	put_ciphers("twin.b.test", CBC, 1, NULL);
	put_ciphers("asks.b.test", CBC, -1, ca.cert_pem);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		resumes(rows[i].first, rows[i].second, TLS1_2_VERSION, rows[i].resumed);
	struct visit v = { .name = "own.b.test", .version = TLS1_2_VERSION };
	visit(&v);
	put_ciphers("own.b.test", AES128, -1, NULL);
	struct visit again = { .name = "own.b.test", .version = TLS1_2_VERSION, .session = v.ret_session };
	visit(&again);
	assert_true(again.ok);
	assert_non_null(strstr(again.said, " new "));
	assert_string_equal(SSL_CIPHER_get_name(SSL_SESSION_get0_cipher(again.ret_session)), AES128);
	SSL_SESSION_free(v.ret_session);
	SSL_SESSION_free(again.ret_session);
	globals_ciphers(NULL);
}

static void unknown_names_are_refused(void **state)
{
	static const struct {
		const char *name;
		bool ok;
	} rows[] = { { "own.b.test", true }, { "x.wild.test", true }, { "nobody.test", false }, { "a.b.c.test", false }, { NULL, false } };

	(void)state;
	for (int all = 0; all < 2; all++) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
				struct visit v = { .name = rows[i].name, .version = version };

				globals.ssl_reject_handshake = true;
				visit(&v);
				if (v.ok != rows[i].ok || (!v.ok && v.reason != SSL_R_TLSV1_UNRECOGNIZED_NAME))
					fail_msg("%s: %d, %d", rows[i].name, v.ok, v.reason);
				SSL_SESSION_free(v.ret_session);
				globals.ssl_reject_handshake = false;
				v = (struct visit){ .name = rows[i].name, .version = version };
				visit(&v);
				assert_true(v.ok);
				SSL_SESSION_free(v.ret_session);
			}
		put_ciphers("", NULL, 1, NULL); /* a rule without a host changes nothing */
	}
}

static int make_certificates(void **state)
{
	(void)state;
	ca = pki_make("ca", NULL, NULL);
	stranger_ca = pki_make("stranger ca", NULL, NULL);
	a_pki = pki_make("a.test", "DNS:a.test", &ca);
	a_new_pki = pki_make("a.test", "DNS:a.test", &ca);
	b_pki = pki_make("*.b.test", "DNS:*.b.test", &ca);
	client_pki = pki_make("client", NULL, &ca);
	stranger_pki = pki_make("stranger", NULL, &stranger_ca);
	return set_up(state);
}

static int drop_certificates(void **state)
{
	struct pki *all[] = { &ca, &stranger_ca, &a_pki, &a_new_pki, &b_pki, &client_pki, &stranger_pki };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		pki_done(all[i]);
	return tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_choose_certificates),
		cmocka_unit_test(the_fake_certificate_is_ingress_nginxs),
		cmocka_unit_test(equal_certificates_are_one),
		cmocka_unit_test(broken_certificates_are_refused),
		cmocka_unit_test(keys_of_every_kind),
		cmocka_unit_test(alpn_prefers_http2),
		cmocka_unit_test(settings_are_obeyed),
		cmocka_unit_test(another_worker_resumes),
		cmocka_unit_test(a_new_certificate_resumes),
		cmocka_unit_test(new_settings_resume),
		cmocka_unit_test(without_tickets_nothing_resumes),
		cmocka_unit_test(hosts_ask_for_certificates),
		cmocka_unit_test(who_was_checked_for_one_host_is_not_for_another),
		cmocka_unit_test(other_authorities_end_sessions),
		cmocka_unit_test(an_authority_that_is_none_refuses_everybody),
		cmocka_unit_test(hosts_have_ciphers_of_their_own),
		cmocka_unit_test(sessions_stay_with_their_ciphers),
		cmocka_unit_test(unknown_names_are_refused),
	};

	return cmocka_run_group_tests(tests, make_certificates, drop_certificates);
}
