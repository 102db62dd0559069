/* How connections come in: PROXY headers, ssl-passthrough, client certificates; a real worker, real sockets. */
#include "codec/proxy_protocol.h"
#include "roles/ingress/l4/relay.h"
#include "roles/ingress/tls/client_auth.h"
#include "roles/ingress/tls/server.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/socket.h>

#include "ingress_rig.h"
#include "net_pki.h"

static struct err e;
static struct rig rig;
static struct pki ca, server_pki, client_pki, stranger_pki, stranger_ca;

/* ---- an upstream: answers HTTP with what it was asked; anything else it sends back ---- */

static int up_fd = -1;
static uint16_t up_port, dead_port;
static pthread_t up_thread;

static void say_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		bytes += n;
		len -= (size_t)n;
	}
}

static void *serve_one(void *arg)
{
	static _Thread_local char in[70000], out[8192];
	int fd = (int)(intptr_t)arg;
	size_t len = 0;

	for (ssize_t n; (n = recv(fd, in + len, sizeof(in) - 1 - len, 0)) > 0;) {
		len += (size_t)n;
		in[len] = '\0';
		if (strstr(in, "HTTP/1.1\r\n") && strstr(in, "\r\n\r\n")) {
			int m = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", len, in);

			say_all(fd, out, (size_t)m);
			len = 0;
		} else if (!strstr(in, "HTTP/1.1")) {
			say_all(fd, in, len);
			len = 0;
		}
	}
	say_all(fd, "[end]", 5);
	close(fd);
	return NULL;
}

static void *serve(void *arg)
{
	(void)arg;
	for (int fd; (fd = accept(up_fd, NULL, NULL)) >= 0;) {
		pthread_t id;

		pthread_create(&id, NULL, serve_one, (void *)(intptr_t)fd);
		pthread_detach(id);
	}
	return NULL;
}

/* ---- the proxy ---- */

static struct host pass_host, auth_host;
static struct settings pass_set, auth_set;
static struct location auth_location;
static struct location *auth_all[] = { &auth_location };

static void nothing(struct host *h)
{
	(void)h;
}

static void index_free(struct host *h)
{
	host_index_free(h);
	free(h->all[0]->filters);
}

static void put_pass_host(void)
{
	struct endpoint_want want[2] = { { .addr = rig_loopback(dead_port) }, { .addr = rig_loopback(up_port) } };

	pass_set = rig.set;
	pass_host = (struct host){ .refs_ = 1, .name = (char *)(uintptr_t)"pass.test", .passthrough = &pass_set, .free_ = nothing };
	pass_host.passthrough_backend = backends_get(rig.shared.backends, "default", "pass", "443");
	backend_set(rig.shared.backends, pass_host.passthrough_backend, want, 2);
	routes_put_host(rig.shared.routes, &pass_host);
}

static void put_auth_host(void)
{
	char *why;

	auth_set = rig.set;
	auth_set.auth_tls_ca = ca.cert_pem;
	auth_set.auth_tls_verify_depth = 1;
	auth_set.refs_ = 100;
	auth_host = (struct host){ .refs_ = 1, .name = (char *)(uintptr_t)"auth.test", .all = auth_all, .n_all = 1,
				   .free_ = index_free };
	auth_host.client_auth = client_auth_new("auth.test", &auth_set, &why);
	auth_location = rig.locations[0];
	auth_location.host = &auth_host;
	auth_location.set = &auth_set;
	auth_location.filters = filters_for(&auth_location, &rig.globals);
	host_index(&auth_host);
	routes_put_host(rig.shared.routes, &auth_host);
}

static int set_up(void **state)
{
	(void)state;
	ca = pki_make("ca", NULL, NULL);
	stranger_ca = pki_make("stranger ca", NULL, NULL);
	server_pki = pki_make("server", NULL, &ca);
	client_pki = pki_make("client", NULL, &ca);
	stranger_pki = pki_make("stranger", NULL, &stranger_ca);
	up_fd = rig_listen(&up_port);
	fcntl(up_fd, F_SETFL, fcntl(up_fd, F_GETFL) & ~O_NONBLOCK);
	close(rig_listen(&dead_port));
	pthread_create(&up_thread, NULL, serve, NULL);
	return 0;
}

static int tear_down(void **state)
{
	struct pki *all[] = { &ca, &stranger_ca, &server_pki, &client_pki, &stranger_pki };

	(void)state;
	shutdown(up_fd, SHUT_RDWR);
	pthread_join(up_thread, NULL);
	close(up_fd);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		pki_done(all[i]);
	return 0;
}

/* `auth` as proxy-protocol's and the hosts' switches are wanted by the test. */
static void start(bool proxy, bool pass, bool auth)
{
	static struct cidr anybody = { .bits = 0 };

	rig_init(&rig);
	rig.globals.use_proxy_protocol = proxy;
	rig.globals.proxy_real_ip_cidr = (struct cidr_list){ &anybody, 1 };
	rig.globals.ssl_session_tickets = true;
	rig_location(&rig, "/", up_port, PROTOCOL_HTTP);
	rig.shared.tls_front = tls_front_new(&rig.shared, &e);
	assert_non_null(rig.shared.tls_front);
	struct tls *t = tls_front_certificate(rig.shared.tls_front, str_of(server_pki.cert_pem), str_of(server_pki.key_pem), &e);
	assert_non_null(t);
	if (pass)
		put_pass_host();
	if (auth)
		put_auth_host();
	rig_start(&rig, t);
}

static void stop(void)
{
	struct tls *t = rig.shared.default_tls;
	struct backend *b = pass_host.passthrough_backend;

	workers_stop(TAKE_PTR(rig.workers));
	client_auth_free(TAKE_PTR(auth_host.client_auth));
	backend_unref(b);
	pass_host = (struct host){ 0 };
	tls_unref(t);
	tls_front_free(rig.shared.tls_front);
	rig_stop(&rig);
}

/* ---- a client ---- */

static int dial(uint16_t port)
{
	struct addr a = rig_loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 10 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&a.ss, a.len), 0);
	return fd;
}

static char answer[70000];

static void read_end(int fd)
{
	size_t len = 0;

	for (ssize_t n; (n = recv(fd, answer + len, sizeof(answer) - 1 - len, 0)) > 0;)
		len += (size_t)n;
	answer[len] = '\0';
}

static const char *ask(int fd, const char *first, const char *request)
{
	say_all(fd, first, strlen(first));
	say_all(fd, request, strlen(request));
	read_end(fd);
	close(fd);
	return answer;
}

struct tls_ask {
	const char *name, *host, *first; /* SNI, Host, bytes before TLS */
	const char *more;		 /* header lines */
	const struct pki *cert;
	int version;
};

static const char *ask_tls(struct tls_ask a)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *s = SSL_new(ctx);
	char request[300];
	size_t len = 0;
	int fd = dial(rig.https_port), n;

	if (a.version)
		SSL_set_max_proto_version(s, a.version);
	if (a.first)
		say_all(fd, a.first, strlen(a.first));
	SSL_set_fd(s, fd);
	if (a.name)
		SSL_set_tlsext_host_name(s, a.name);
	if (a.cert) {
		SSL_use_certificate(s, a.cert->cert);
		SSL_use_PrivateKey(s, a.cert->key);
	}
	n = snprintf(request, sizeof(request), "GET /x HTTP/1.1\r\nHost: %s\r\n%sConnection: close\r\n\r\n", a.host,
		     a.more ? a.more : "");
	if (SSL_connect(s) == 1 && SSL_write(s, request, n) == n)
		for (; (n = SSL_read(s, answer + len, (int)(sizeof(answer) - 1 - len))) > 0;)
			len += (size_t)n;
	answer[len] = '\0';
	SSL_free(s);
	SSL_CTX_free(ctx);
	close(fd);
	return answer;
}

#define assert_contains(text, part)                                                        \
	do {                                                                               \
		if (!strcasestr((text), (part)))                                           \
			fail_msg("no \"%s\" in: %s", (part), (text));                      \
	} while (0)
#define assert_lacks(text, part)                                                           \
	do {                                                                               \
		if (strcasestr((text), (part)))                                            \
			fail_msg("\"%s\" in: %s", (part), (text));                         \
	} while (0)
#define GET "GET /x HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

/* ---- PROXY headers ---- */

static void proxy_headers_tell_the_client(void **state)
{
	char v2[PROXY_HEADER_WRITE_BYTES];
	struct addr from, to;

	(void)state;
	start(true, false, false);
	assert_contains(ask(dial(rig.port), "PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n", GET), "x-forwarded-for: 192.0.2.7\r\n");
	assert_contains(ask(dial(rig.port), "PROXY UNKNOWN\r\n", GET), "x-forwarded-for: 127.0.0.1\r\n");
	assert_string_equal(ask(dial(rig.port), "", GET), ""); /* without one nobody is let in */
	assert_string_equal(ask(dial(rig.port), "PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\n", GET), "");
	assert_int_equal(addr_parse("[2001:db8::7]:1", &from, &e), 0);
	assert_int_equal(addr_parse("[2001:db8::1]:443", &to, &e), 0);
	size_t n = proxy_header_write(2, &from.ss, &to.ss, v2);
	int fd = dial(rig.port);
	for (size_t i = 0; i < n; i++)
		say_all(fd, v2 + i, 1);
	assert_contains(ask(fd, "", GET), "x-forwarded-for: 2001:db8::7\r\n");
	stop();
}

static void tls_follows_a_proxy_header(void **state)
{
	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		start(true, pass, false);
		struct tls_ask a = { .name = "a.test", .host = "a.test", .first = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n" };
		assert_contains(ask_tls(a), "x-forwarded-for: 192.0.2.7\r\n");
		assert_contains(answer, "x-forwarded-proto: https\r\n");
		stop();
	}
}

static void strangers_are_not_believed(void **state)
{
	static struct cidr others = { .ip = { 0x20, 1, 0xd, 0xb8 }, .bits = 32 };

	(void)state;
	start(true, false, false);
	workers_stop(TAKE_PTR(rig.workers));
	rig.globals.proxy_real_ip_cidr = (struct cidr_list){ &others, 1 };
	rig.workers = workers_start(&rig.shared, &(struct worker_socket){ .fd = rig.fd }, 1, &e);
	assert_contains(ask(dial(rig.port), "PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n", GET), "x-forwarded-for: 127.0.0.1\r\n");
	stop();
}

/* ---- the end of a worker ---- */

static const char get[] = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";

/* A connection that has had an answer, kept alive. */
static SSL *idle_connection(SSL_CTX *ctx)
{
	SSL *s = SSL_new(ctx);
	char got[2000];

	SSL_set_fd(s, dial(rig.https_port));
	assert_int_equal(SSL_connect(s), 1);
	assert_true(SSL_write(s, get, sizeof(get) - 1) > 0 && SSL_read(s, got, sizeof(got)) > 0);
	return s;
}

static void idle_connections_end_with_their_worker(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char c;

	(void)state;
	start(false, false, false);
	SSL *s = idle_connection(ctx);
	stop();
	assert_int_equal(SSL_read(s, &c, 1), 0);
	assert_int_equal(SSL_get_error(s, 0), SSL_ERROR_ZERO_RETURN);
	close(SSL_get_fd(s));
	SSL_free(s);
	SSL_CTX_free(ctx);
}

/* ---- plain text where TLS is spoken ---- */

static void plain_text_is_told_of_tls(void **state)
{
	static const char *const said[][2] = {
		{ "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "The plain HTTP request was sent to HTTPS port" },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 505 " },
		{ "hello\r\n\r\n", "HTTP/1.1 400 " },
	};

	(void)state;
	for (size_t passes = 0; passes < 2; passes++) { /* also where ClientHellos are read */
		start(false, passes, false);
		for (size_t i = 0; i < ARRAY_LEN(said); i++) {
			int fd = dial(rig.https_port);
			size_t len = 0;
			say_all(fd, said[i][0], strlen(said[i][0]));
			for (ssize_t n; (n = recv(fd, answer + len, sizeof(answer) - len - 1, 0)) > 0;)
				len += (size_t)n;
			answer[len] = '\0';
			assert_contains(answer, said[i][1]);
			close(fd);
		}
		stop();
	}
}

/* ---- passing through ---- */

/* The upstream sends back what it got: the client sees its own ClientHello. */
static const char *hello_to(const char *name, size_t *ret_sent, char *sent, size_t max)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *s = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	int fd = dial(rig.https_port);

	SSL_set_bio(s, in, out);
	SSL_set_tlsext_host_name(s, name);
	SSL_connect(s);
	*ret_sent = (size_t)BIO_read(out, sent, (int)max);
	/* In two pieces: the name is not in the first. */
	say_all(fd, sent, 20);
	usleep(20000);
	say_all(fd, sent + 20, *ret_sent - 20);
	shutdown(fd, SHUT_WR);
	size_t len = 0;
	for (ssize_t n; (n = recv(fd, answer + len, sizeof(answer) - len, 0)) > 0;)
		len += (size_t)n;
	answer[len] = '\0';
	SSL_free(s);
	SSL_CTX_free(ctx);
	close(fd);
	return answer;
}

static void hosts_are_passed_through_unread(void **state)
{
	char sent[4096];
	size_t n;

	(void)state;
	start(false, true, false);
	for (int i = 0; i < 3; i++) { /* also when it is the dead endpoint's turn */
		hello_to("pass.test", &n, sent, sizeof(sent));
		assert_memory_equal(answer, sent, n);
		assert_string_equal(answer + n, "[end]"); /* said after our end: half a connection goes on */
	}
	/* Everybody else is served here. */
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		assert_contains(ask_tls((struct tls_ask){ .name = "a.test", .host = "a.test", .version = version }), "200 OK");
		assert_contains(ask_tls((struct tls_ask){ .host = "a.test", .version = version }), "200 OK");
	}
	stop();
}

static void an_endpoint_may_be_told_who_it_is(void **state)
{
	char sent[4096];
	size_t n;

	(void)state;
	start(false, true, false);
	pass_set.proxy_protocol_upstream = true;
	hello_to("pass.test", &n, sent, sizeof(sent));
	struct proxy_header h;
	ssize_t head = proxy_header_parse(answer, 28, &h, &e);
	assert_int_equal(head, 28);
	assert_false(h.local);
	assert_memory_equal(answer + 28, sent, n);
	stop();
}

static void a_long_transfer_arrives(void **state)
{
	enum { BLOCK = 65536, BLOCKS = 200 };
	static char block[BLOCK], back[BLOCK];
	char sent[4096];
	size_t n, got = 0;

	(void)state;
	start(false, true, false);
	hello_to("pass.test", &n, sent, sizeof(sent));
	int fd = dial(rig.https_port);
	say_all(fd, sent, n);
	recv(fd, back, n, MSG_WAITALL);
	for (size_t i = 0; i < BLOCK; i++)
		block[i] = (char)(i * 7 + 1) ? (char)(i * 7 + 1) : 1;
	for (int i = 0; i < BLOCKS; i++) {
		say_all(fd, block, BLOCK);
		ssize_t m = recv(fd, back, BLOCK, MSG_WAITALL);
		assert_int_equal(m, BLOCK);
		assert_memory_equal(back, block, BLOCK);
		got += (size_t)m;
	}
	assert_int_equal(got, (size_t)BLOCK * BLOCKS);
	close(fd);
	stop();
}

/* ---- client certificates ---- */

static void certificates_decide(void **state)
{
	static const struct {
		const char *name, *host;
		const struct pki *cert;
		const char *says;
	} rows[] = {
		{ "auth.test", "auth.test", &client_pki, "200 OK" },
		{ "auth.test", "auth.test", NULL, "<title>400 No required SSL certificate was sent</title>" },
		{ "auth.test", "auth.test", &stranger_pki, "<title>400 The SSL certificate error</title>" },
		{ "a.test", "auth.test", &client_pki, "421 Misdirected Request" },
		{ NULL, "auth.test", &client_pki, "<title>400 No required SSL certificate was sent</title>" },
		{ "auth.test", "a.test", &client_pki, "200 OK" },
		{ "a.test", "a.test", NULL, "200 OK" },
	};

	(void)state;
	start(false, false, true);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
			assert_contains(ask_tls((struct tls_ask){ .name = rows[i].name, .host = rows[i].host,
								   .cert = rows[i].cert, .version = version }),
					rows[i].says);
	stop();
}

/* A list of the authority's that revokes the client's certificate, or none. */
static char *revoked_pem(bool revoke)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *then = X509_gmtime_adj(NULL, 3600);
	BIO *b = BIO_new(BIO_s_mem());

	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca.cert));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, then);
	if (revoke) {
		X509_REVOKED *r = X509_REVOKED_new();
		X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(client_pki.cert));
		X509_REVOKED_set_revocationDate(r, now);
		X509_CRL_add0_revoked(crl, r);
	}
	X509_CRL_sign(crl, ca.key, EVP_sha256());
	PEM_write_bio_X509_CRL(b, crl);
	char *pem = xcalloc(1, BIO_pending(b) + 1);
	BIO_read(b, pem, BIO_pending(b));
	BIO_free(b);
	ASN1_TIME_free(now);
	ASN1_TIME_free(then);
	X509_CRL_free(crl);
	return pem;
}

static void revoked_certificates_are_refused(void **state)
{
	static const char *const says[] = { "200 OK", "<title>400 The SSL certificate error</title>" };

	(void)state;
	for (int revoke = 0; revoke < 2; revoke++) {
		char *why;
		start(false, false, true);
		auth_set.auth_tls_crl = revoked_pem(revoke);
		client_auth_free(auth_host.client_auth);
		auth_host.client_auth = client_auth_new("auth.test", &auth_set, &why);
		assert_null(why);
		for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++)
			assert_contains(ask_tls((struct tls_ask){ .name = "auth.test", .host = "auth.test", .cert = &client_pki, .version = version }),
					says[revoke]);
		free(TAKE_PTR(auth_set.auth_tls_crl));
		stop();
	}
}

static void the_upstream_hears_of_the_certificate(void **state)
{
	struct tls_ask a = { .name = "auth.test", .host = "auth.test", .cert = &client_pki,
			     .more = "SSL-Client-Verify: FORGED\r\nssl-client-cert: FORGED\r\n" };

	(void)state;
	start(false, false, true);
	ask_tls(a);
	assert_contains(answer, "ssl-client-verify: SUCCESS\r\n");
	assert_contains(answer, "ssl-client-subject-dn: CN=client\r\n");
	assert_contains(answer, "ssl-client-issuer-dn: CN=ca\r\n");
	assert_lacks(answer, "FORGED");
	assert_lacks(answer, "ssl-client-cert");
	auth_set.auth_tls_pass_certificate = true;
	ask_tls(a);
	assert_contains(answer, "ssl-client-cert: -----BEGIN%20CERTIFICATE-----%0A");
	assert_lacks(answer, "FORGED");
	/* Plain connections are not asked, and cannot pretend. */
	assert_contains(ask(dial(rig.port), "", "GET / HTTP/1.1\r\nHost: auth.test\r\nssl-client-verify: SUCCESS\r\n"
						 "Connection: close\r\n\r\n"), "200 OK");
	assert_lacks(answer, "ssl-client-verify");
	stop();
}

static void modes_and_names_of_certificates(void **state)
{
	struct tls_ask nobody = { .name = "auth.test", .host = "auth.test" }, known = nobody, stranger = nobody;

	(void)state;
	known.cert = &client_pki;
	stranger.cert = &stranger_pki;
	start(false, false, true);
	auth_set.auth_tls_verify_client = VERIFY_OPTIONAL;
	assert_contains(ask_tls(nobody), "ssl-client-verify: NONE\r\n");
	assert_contains(ask_tls(stranger), "400 The SSL certificate error");
	auth_set.auth_tls_verify_client = VERIFY_OPTIONAL_NO_CA;
	assert_contains(ask_tls(stranger), "ssl-client-verify: FAILED:");
	auth_set.auth_tls_verify_client = VERIFY_ON;
	auth_set.auth_tls_match_cn = pattern_new("CN=cl.*", false, false, &e);
	assert_contains(ask_tls(known), "200 OK");
	regex_free(auth_set.auth_tls_match_cn);
	auth_set.auth_tls_match_cn = pattern_new("CN=other", false, false, &e);
	assert_contains(ask_tls(known), "403 Forbidden");
	assert_contains(answer, "client certificate unauthorized");
	regex_free(auth_set.auth_tls_match_cn);
	auth_set.auth_tls_match_cn = NULL;
	auth_set.auth_tls_error_page = (char *)(uintptr_t)"https://a.test/why";
	assert_contains(ask_tls(nobody), "Location: https://a.test/why\r\n");
	assert_contains(answer, "302 ");
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proxy_headers_tell_the_client),
		cmocka_unit_test(tls_follows_a_proxy_header),
		cmocka_unit_test(strangers_are_not_believed),
		cmocka_unit_test(idle_connections_end_with_their_worker),
		cmocka_unit_test(plain_text_is_told_of_tls),
		cmocka_unit_test(hosts_are_passed_through_unread),
		cmocka_unit_test(an_endpoint_may_be_told_who_it_is),
		cmocka_unit_test(a_long_transfer_arrives),
		cmocka_unit_test(certificates_decide),
		cmocka_unit_test(revoked_certificates_are_refused),
		cmocka_unit_test(the_upstream_hears_of_the_certificate),
		cmocka_unit_test(modes_and_names_of_certificates),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
