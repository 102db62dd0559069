#include "roles/ingress/tls/ocsp.h"

#include <fcntl.h>
#include <openssl/ocsp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

#include "ingress_rig.h"
#include "net_pki.h"
#include "roles/ingress/tls/server.h"

static struct err e;
static struct pki ca, stranger_ca, leaf, other, delegate, no_delegate;

static void add_extension(struct pki *p, const struct pki *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer->cert, p->cert, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	X509_add_ext(p->cert, ext, -1);
	X509_EXTENSION_free(ext);
	X509_sign(p->cert, issuer->key, EVP_sha256());
	pki_pem(p);
}

/* ---- a responder's answers ---- */

struct say {
	const struct pki *about, *by;
	int status;
	long from_s, until_s; /* 0: no nextUpdate */
};

static uint8_t *answer(const struct say *s, int *ret_len)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, s->about->cert, ca.cert);
	ASN1_TIME *from = X509_time_adj_ex(NULL, 0, s->from_s, NULL), *until = X509_time_adj_ex(NULL, 0, s->until_s, NULL);
	uint8_t *der = NULL;

	OCSP_basic_add1_status(basic, id, s->status, OCSP_REVOKED_STATUS_NOSTATUS,
			       s->status == V_OCSP_CERTSTATUS_REVOKED ? from : NULL, from, s->until_s ? until : NULL);
	assert_int_equal(OCSP_basic_sign(basic, s->by->cert, s->by->key, EVP_sha256(), NULL, 0), 1);
	OCSP_RESPONSE *r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	*ret_len = i2d_OCSP_RESPONSE(r, &der);
	OCSP_RESPONSE_free(r);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	return der;
}

static void answers_are_checked(void **state)
{
	const struct {
		struct say say;
		const char *error; /* NULL: good */
	} rows[] = {
		{ { &leaf, &ca, V_OCSP_CERTSTATUS_GOOD, -60, 3600 }, NULL },
		{ { &leaf, &ca, V_OCSP_CERTSTATUS_GOOD, -60, 0 }, NULL },
		{ { &leaf, &delegate, V_OCSP_CERTSTATUS_GOOD, -60, 3600 }, NULL },
		{ { &leaf, &no_delegate, V_OCSP_CERTSTATUS_GOOD, -60, 3600 }, "signature" },
		{ { &leaf, &stranger_ca, V_OCSP_CERTSTATUS_GOOD, -60, 3600 }, "signature" },
		{ { &other, &ca, V_OCSP_CERTSTATUS_GOOD, -60, 3600 }, "about other certificates" },
		{ { &leaf, &ca, V_OCSP_CERTSTATUS_REVOKED, -60, 3600 }, "revoked" },
		{ { &leaf, &ca, V_OCSP_CERTSTATUS_UNKNOWN, -60, 3600 }, "unknown" },
		{ { &leaf, &ca, V_OCSP_CERTSTATUS_GOOD, -7200, -3600 }, "not of now" },
		{ { &leaf, &ca, V_OCSP_CERTSTATUS_GOOD, 3600, 7200 }, "not of now" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t fresh = 0;
		int len;
		uint8_t *der = answer(&rows[i].say, &len);
		int r = ocsp_check((struct str){ (char *)der, (size_t)len }, leaf.cert, ca.cert, &fresh, &e);

		if ((r == 0) != !rows[i].error || (r < 0 && !strstr(e.message, rows[i].error)))
			fail_msg("row %zu: %d %s", i, r, r < 0 ? e.message : "");
		if (r == 0)
			assert_in_range(fresh, 3590 * 1000, OCSP_REFRESH_MAX_MS);
		for (int cut = 0; cut < len; cut += 7)
			assert_int_equal(ocsp_check((struct str){ (char *)der, (size_t)cut }, leaf.cert, ca.cert, &fresh, &e), -1);
		OPENSSL_free(der);
	}
}

static void a_responder_that_refuses_is_an_error(void **state)
{
	OCSP_RESPONSE *r = OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, NULL);
	uint8_t *der = NULL;
	uint64_t fresh;
	int len = i2d_OCSP_RESPONSE(r, &der);

	(void)state;
	assert_int_equal(ocsp_check((struct str){ (char *)der, (size_t)len }, leaf.cert, ca.cert, &fresh, &e), -1);
	assert_non_null(strstr(e.message, "trylater"));
	OPENSSL_free(der);
	OCSP_RESPONSE_free(r);
}

/* ---- a responder over HTTP ---- */

static int responder_fd;
static unsigned n_asked; /* atomic */

static bool is_asked_about(const char *body, size_t len, const struct pki *p)
{
	const unsigned char *at = (const unsigned char *)body;
	OCSP_REQUEST *r = d2i_OCSP_REQUEST(NULL, &at, (long)len);
	OCSP_CERTID *id = OCSP_cert_to_id(NULL, p->cert, ca.cert);
	bool same = r && OCSP_request_onereq_count(r) == 1 &&
		    OCSP_id_cmp(OCSP_onereq_get0_id(OCSP_request_onereq_get0(r, 0)), id) == 0;

	OCSP_REQUEST_free(r);
	OCSP_CERTID_free(id);
	return same;
}

static void respond(int fd)
{
	const struct say say = { &leaf, &ca, V_OCSP_CERTSTATUS_GOOD, -60, 3600 };
	char in[4096], head[200];
	size_t len = 0;
	char *body = NULL;

	for (ssize_t n; (n = recv(fd, in + len, sizeof(in) - 1 - len, 0)) > 0;) {
		len += (size_t)n;
		in[len] = '\0';
		char *length = strcasestr(in, "content-length: ");
		body = strstr(in, "\r\n\r\n");
		if (body && length && len >= (size_t)(body + 4 - in) + strtoul(length + 16, NULL, 10))
			break;
	}
	assert_non_null(body);
	body += 4;
	assert_true(is_asked_about(body, len - (size_t)(body - in), &leaf));
	int der_len;
	uint8_t *der = answer(&say, &der_len);
	int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n", der_len);
	send(fd, head, (size_t)n, MSG_NOSIGNAL);
	send(fd, der, (size_t)der_len, MSG_NOSIGNAL);
	OPENSSL_free(der);
	__atomic_fetch_add(&n_asked, 1, __ATOMIC_RELAXED);
}

static void *responder_main(void *arg)
{
	(void)arg;
	for (int fd; (fd = accept(responder_fd, NULL, NULL)) >= 0;) {
		respond(fd);
		close(fd);
	}
	return NULL;
}

/* What a client gets stapled; its length. */
static long stapled(struct rig *r)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *s = SSL_new(ctx);
	struct addr a = rig_loopback(r->https_port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const unsigned char *der;

	assert_int_equal(connect(fd, (struct sockaddr *)&a.ss, a.len), 0);
	SSL_set_fd(s, fd);
	SSL_set_tlsext_host_name(s, "leaf.test");
	SSL_set_tlsext_status_type(s, TLSEXT_STATUSTYPE_ocsp);
	assert_int_equal(SSL_connect(s), 1);
	long len = SSL_get_tlsext_status_ocsp_resp(s, &der);
	if (len > 0) {
		uint64_t fresh;
		assert_int_equal(ocsp_check((struct str){ (const char *)der, (size_t)len }, leaf.cert, ca.cert, &fresh, &e), 0);
	}
	SSL_free(s);
	SSL_CTX_free(ctx);
	close(fd);
	return len;
}

static bool is_stapled(void *ctx)
{
	return stapled(ctx) > 0;
}

static void answers_are_stapled(void **state)
{
	static struct rig r;
	pthread_t id;
	uint16_t port;
	char url[100], chain[10000];

	(void)state;
	responder_fd = rig_listen(&port);
	fcntl(responder_fd, F_SETFL, fcntl(responder_fd, F_GETFL) & ~O_NONBLOCK);
	pthread_create(&id, NULL, responder_main, NULL);
	snprintf(url, sizeof(url), "OCSP;URI:http://127.0.0.1:%u/ask", port);
	add_extension(&leaf, &ca, NID_info_access, url);
	snprintf(chain, sizeof(chain), "%s%s", leaf.cert_pem, ca.cert_pem);

	rig_init(&r);
	rig_location(&r, "/", port, PROTOCOL_HTTP);
	r.shared.tls_front = tls_front_new(&r.shared, &e);
	struct tls *t = tls_front_certificate(r.shared.tls_front, str_of(chain), str_of(leaf.key_pem), &e);
	assert_non_null(t);
	rig_start(&r, t);
	assert_true(stapled(&r) <= 0);
	r.globals.enable_ocsp = true;
	assert_int_equal(tls_front_apply(r.shared.tls_front, &r.globals, &e), 0);
	assert_true(rig_until(&r, is_stapled, &r, 10000));
	assert_int_equal(__atomic_load_n(&n_asked, __ATOMIC_RELAXED), 1);
	r.globals.enable_ocsp = false;
	assert_int_equal(tls_front_apply(r.shared.tls_front, &r.globals, &e), 0);
	assert_true(stapled(&r) <= 0);
	workers_stop(TAKE_PTR(r.workers));
	tls_unref(t);
	tls_front_free(r.shared.tls_front);
	rig_stop(&r);
	shutdown(responder_fd, SHUT_RDWR);
	pthread_join(id, NULL);
	close(responder_fd);
}

static int set_up(void **state)
{
	(void)state;
	ca = pki_make("ca", NULL, NULL);
	stranger_ca = pki_make("stranger", NULL, NULL);
	leaf = pki_make("leaf.test", "DNS:leaf.test", &ca);
	other = pki_make("other", NULL, &ca);
	no_delegate = pki_make("no delegate", NULL, &ca);
	delegate = pki_make("delegate", NULL, &ca);
	add_extension(&delegate, &ca, NID_ext_key_usage, "OCSPSigning");
	return 0;
}

static int tear_down(void **state)
{
	struct pki *all[] = { &ca, &stranger_ca, &leaf, &other, &delegate, &no_delegate };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		pki_done(all[i]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_checked),
		cmocka_unit_test(a_responder_that_refuses_is_an_error),
		cmocka_unit_test(answers_are_stapled),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
