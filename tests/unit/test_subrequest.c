/* Sub-requests against a server in the same loop. */
#include "net/http_server_int.h"
#include "roles/ingress/http/subrequest.h"

#include <setjmp.h>
#include <cmocka.h>
#include <unistd.h>

#include "net_pki.h"
#include "unit/loopback.h"

static struct subrequests *set;
static struct err e;

struct result {
	int status;
	char kind[64];
	struct buf body;
	bool done, failed;
	struct err why;
};

static void on_head(void *ctx, int status, struct http_headers h)
{
	struct result *r = ctx;

	r->status = status;
	snprintf(r->kind, sizeof(r->kind), STR_FMT, STR_ARG(http_header_get(h, "x-kind")));
}

static void on_data(void *ctx, struct str bytes)
{
	struct result *r = ctx;

	assert_int_equal(buf_put_str(&r->body, bytes), 0);
}

static void on_done(void *ctx, const struct err *why)
{
	struct result *r = ctx;

	assert_false(r->done);
	r->done = true;
	r->failed = why != NULL;
	if (why)
		r->why = *why;
}

static const struct subrequest_ops ops = {on_head, on_data, on_done};

static const char *url(const char *path)
{
	static char text[1024];

	snprintf(text, sizeof(text), "%s%s", b.url, path);
	return text;
}

static struct result ask(const struct subrequest_ask *a)
{
	static struct result r;

	buf_done(&r.body);
	r = (struct result){0};
	buf_init(&r.body, 8u << 20);
	subrequest_send(set, a, &ops, &r);
	assert_false(r.done);
	assert_true(loopback_run(loop, &r.done));
	return r;
}

static struct result get(const char *text)
{
	return ask(&(struct subrequest_ask){.method = STR("GET"), .url = str_of(text), .timeout_ms = 5000});
}

/* ---- URLs ---- */

static const struct {
	const char *text, *host, *authority, *target;
	bool https;
	uint16_t port;
} urls[] = {
	{"http://a", "a", "a", "", false, 80},
	{"HTTPS://A.b-c_d:8443/x?y=z", "A.b-c_d", "A.b-c_d:8443", "/x?y=z", true, 8443},
	{"https://a?x", "a", "a", "?x", true, 443},
	{"http://[::1]:81/", "::1", "[::1]:81", "/", false, 81},
	{"http://[fe80::1]", "fe80::1", "[fe80::1]", "", false, 80},
	{"http://a/b:c@d?//", "a", "a", "/b:c@d?//", false, 80},
};
static const char *const bad_urls[] = {
	"", "http", "http:", "http://", "ftp://a/", "//a/b", "/b", "http:///x", "http://:80/", "http://a:/", "http://a:0/",
	"http://a:65536/", "http://a:8o/", "http://u@a/", "http://u:p@a/", "http://a b/", "http://a/b c", "http://a/\r\nx: y",
	"http://a/#f", "http://[::1/", "http://[::1]x/", "http://[a]/", "http://[]/", "http://a\\b/", "http://a%2fb/", "https:/a/",
};

static void test_urls(void **state)
{
	char longest[8 + SUBREQUEST_HOST_BYTES_MAX + 2];
	struct url u;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		assert_int_equal(url_parse(str_of(urls[i].text), &u, &e), 0);
		assert_true(str_eq_c(u.host, urls[i].host) && str_eq_c(u.authority, urls[i].authority));
		assert_true(str_eq_c(u.target, urls[i].target));
		assert_int_equal(u.https, urls[i].https);
		assert_int_equal(u.port, urls[i].port);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_urls); i++)
		if (url_parse(str_of(bad_urls[i]), &u, &e) == 0)
			fail_msg("'%s' was taken", bad_urls[i]);
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "http://", 7);
	assert_int_equal(url_parse((struct str){longest, 7 + SUBREQUEST_HOST_BYTES_MAX}, &u, &e), 0);
	assert_int_equal(url_parse((struct str){longest, 8 + SUBREQUEST_HOST_BYTES_MAX}, &u, &e), -1);
}

/* ---- requests ---- */

static void test_whole_exchange(void **state)
{
	const struct http_header h[] = {{STR("x-a"), STR("1")}, {STR("cookie"), STR("c=d")}};
	struct subrequest_ask a = {.method = STR("POST"),
				   .url = str_of(url("/p?q=1")),
				   .host = STR("other.test"),
				   .headers = {h, 2},
				   .body = STR("hello"),
				   .timeout_ms = 5000};

	(void)state;
	loopback_reset(&b);
	b.status = 201;
	b.reply_body = STR("made");
	loopback_add(&b, "x-kind", "good");
	struct result r = ask(&a);
	assert_false(r.failed);
	assert_int_equal(r.status, 201);
	assert_string_equal(r.kind, "good");
	assert_string_equal(r.body.ptr, "made");
	assert_string_equal(b.method, "POST");
	assert_string_equal(b.target, "/p?q=1");
	assert_string_equal(b.host, "other.test");
	assert_string_equal(b.body, "hello");
	assert_string_equal(loopback_header(&b, "x-a"), "1");
	assert_string_equal(loopback_header(&b, "cookie"), "c=d");
}

static void test_paths(void **state)
{
	char authority[64];

	(void)state;
	loopback_reset(&b);
	assert_false(get(url("")).failed);
	assert_string_equal(b.target, "/");
	snprintf(authority, sizeof(authority), "127.0.0.1:%u", b.port);
	assert_string_equal(b.host, authority);
	assert_false(get(url("?x=y")).failed);
	assert_string_equal(b.target, "/?x=y");
}

static void test_connections_are_kept(void **state)
{
	(void)state;
	loopback_reset(&b);
	for (int i = 0; i < 20; i++)
		assert_false(get(url("/")).failed);
	assert_int_equal(b.requests, 20);
	assert_int_equal(b.server->n_conns, 1);
	/* and as many as were needed at once */
	struct result many[10] = {0};
	for (int i = 0; i < 10; i++)
		subrequest_send(set, &(struct subrequest_ask){.method = STR("GET"), .url = str_of(b.url), .timeout_ms = 5000}, &ops,
				&many[i]);
	for (int i = 0; i < 10; i++)
		assert_true(loopback_run(loop, &many[i].done));
	loopback_settle(loop, 10);
	assert_int_equal(b.server->n_conns, 10);
}

static void test_a_name_is_resolved(void **state)
{
	char text[64];
	struct result two[2] = {0};

	(void)state;
	loopback_reset(&b);
	snprintf(text, sizeof(text), "http://localhost:%u/named", b.port);
	/* the second waits for the same answer */
	for (int i = 0; i < 2; i++)
		subrequest_send(set, &(struct subrequest_ask){.method = STR("GET"), .url = str_of(text), .timeout_ms = 5000},
				&ops, &two[i]);
	assert_true(loopback_run(loop, &two[0].done) && loopback_run(loop, &two[1].done));
	assert_false(two[0].failed || two[1].failed);
	assert_int_equal(b.requests, 2);
	assert_string_equal(b.target, "/named");
	assert_int_equal(subrequests_open(set), 0);
}

static void test_failures(void **state)
{
	char text[64];

	(void)state;
	loopback_reset(&b);
	assert_true(get("http://a b/").failed);
	assert_true(get("nonsense").failed);
	assert_true(ask(&(struct subrequest_ask){.method = STR("G T"), .url = STR("http://127.0.0.1/")}).failed);
	struct addr any;
	assert_int_equal(addr_from_ip("127.0.0.1", 0, &any, &e), 0);
	int fd = addr_listen(&any, 1, &e);
	socklen_t len = sizeof(any.ss);
	getsockname(fd, (struct sockaddr *)&any.ss, &len);
	close(fd);
	snprintf(text, sizeof(text), "http://127.0.0.1:%u/", ntohs(((struct sockaddr_in *)&any.ss)->sin_port));
	struct result r = get(text);
	assert_true(r.failed);
	assert_int_equal(r.status, 0);
	assert_int_equal(subrequests_open(set), 0);
}

static void test_an_answer_that_is_too_long(void **state)
{
	struct subrequest_ask a = {.method = STR("GET"), .url = str_of(url("/")), .timeout_ms = 5000, .answer_body_max = 5};

	(void)state;
	loopback_reset(&b);
	b.reply_body = STR("12345");
	assert_false(ask(&a).failed);
	b.reply_body = STR("123456");
	struct result r = ask(&a);
	assert_true(r.failed);
	assert_int_equal(r.why.reason, ERR_TOO_LARGE);
}

static void test_timeout_and_cancel(void **state)
{
	struct subrequest_ask a = {.method = STR("GET"), .url = str_of(url("/")), .timeout_ms = 50};
	struct result r = {0};

	(void)state;
	loopback_reset(&b);
	b.silent = true;
	struct result late = ask(&a);
	assert_true(late.failed);
	assert_int_equal(late.why.reason, ERR_TIMEOUT);
	assert_int_equal(b.requests, 1);
	a.timeout_ms = 0;
	struct subrequest *s = subrequest_send(set, &a, &ops, &r);
	for (int i = 0; i < 1000 && b.requests < 2; i++)
		loopback_settle(loop, 1);
	assert_int_equal(b.requests, 2);
	subrequest_cancel(s);
	subrequest_cancel(NULL);
	assert_int_equal(subrequests_open(set), 0);
	for (int i = 0; i < 1000 && b.held; i++)
		loopback_settle(loop, 1);
	assert_null(b.held); /* the server was told */
	assert_false(r.done);
}

/* ---- a server that closes kept connections when the next request comes ---- */

static unsigned rude_requests;
static size_t rude_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	bool *used = ctx;

	(void)bytes;
	rude_requests++;
	if (*used) {
		conn_close(c);
		free(used);
		return len;
	}
	*used = true;
	conn_write(c, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 38);
	return len;
}

static void rude_end(struct conn *c, void *ctx)
{
	free(ctx);
	conn_close(c);
}

static void rude_failed(struct conn *c, void *ctx, const struct err *why)
{
	(void)c, (void)why;
	free(ctx);
}

static void rude_accepted(void *ctx, int fd, const struct addr *peer)
{
	static const struct conn_ops rude_ops = {.data = rude_data, .eof = rude_end, .failed = rude_failed};

	(void)ctx, (void)peer;
	assert_non_null(conn_accept(loop, fd, NULL, &rude_ops, xcalloc(1, sizeof(bool)), &e));
}

static void test_a_kept_connection_that_was_closed(void **state)
{
	struct addr at;
	socklen_t len = sizeof(at.ss);
	char text[64];

	(void)state;
	assert_int_equal(addr_from_ip("127.0.0.1", 0, &at, &e), 0);
	int fd = addr_listen(&at, 8, &e);
	struct listener *l = listener_new(loop, fd, rude_accepted, NULL, &e);
	getsockname(fd, (struct sockaddr *)&at.ss, &len);
	snprintf(text, sizeof(text), "http://127.0.0.1:%u/", ntohs(((struct sockaddr_in *)&at.ss)->sin_port));
	assert_false(get(text).failed);
	/* safe to repeat: the second try succeeds on a new connection */
	assert_false(get(text).failed);
	assert_int_equal(rude_requests, 3);
	/* not safe: it may have been done */
	struct subrequest_ask post = {.method = STR("POST"), .url = str_of(text), .timeout_ms = 5000};
	assert_true(ask(&post).failed);
	assert_int_equal(rude_requests, 4);
	listener_free(l);
	close(fd);
}

/* ---- TLS ---- */

static void test_tls_is_verified(void **state)
{
	struct pki ca = pki_make("authority", NULL, NULL), server = pki_make("server", "IP:127.0.0.1", &ca);
	struct tls *st = tls_server_new(&(struct tls_config){.cert_pem = str_of(server.cert_pem), .key_pem = str_of(server.key_pem)}, &e);
	struct tls *ct = tls_client_new(&(struct tls_config){.ca_pem = str_of(ca.cert_pem), .verify_peer = true}, &e);
	struct loopback t;
	char text[64];

	(void)state;
	loopback_start(&t, loop, st);
	snprintf(text, sizeof(text), "https://127.0.0.1:%u/", t.port);
	struct subrequest_ask a = {.method = STR("GET"), .url = str_of(text), .timeout_ms = 5000, .tls = ct};
	assert_false(ask(&a).failed);
	assert_int_equal(t.requests, 1);
	a.tls = NULL; /* the system does not know this authority */
	assert_true(ask(&a).failed);
	assert_int_equal(t.requests, 1);
	/* a name that the certificate does not carry */
	snprintf(text, sizeof(text), "https://localhost:%u/", t.port);
	a.tls = ct;
	assert_true(ask(&a).failed);
	assert_int_equal(t.requests, 1);
	loopback_stop(&t);
	tls_unref(st);
	tls_unref(ct);
	pki_done(&ca);
	pki_done(&server);
}

/* The roots are read when they are first needed: the file named here is the one. */
static void test_system_roots(void **state)
{
	struct pki ca = pki_make("authority of the system", NULL, NULL), server = pki_make("server", "IP:127.0.0.1", &ca);
	struct tls *st = tls_server_new(&(struct tls_config){.cert_pem = str_of(server.cert_pem), .key_pem = str_of(server.key_pem)}, &e);
	char path[] = "/tmp/test_subrequest.XXXXXX", text[64];
	struct loopback t;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, ca.cert_pem, strlen(ca.cert_pem)), (ssize_t)strlen(ca.cert_pem));
	close(fd);
	setenv("SSL_CERT_FILE", path, 1);
	loopback_start(&t, loop, st);
	snprintf(text, sizeof(text), "https://127.0.0.1:%u/", t.port);
	struct subrequest_ask a = {.method = STR("GET"), .url = str_of(text), .timeout_ms = 5000};
	assert_false(ask(&a).failed);
	assert_false(ask(&a).failed);
	assert_int_equal(t.requests, 2);
	loopback_stop(&t);
	unlink(path);
	tls_unref(st);
	pki_done(&ca);
	pki_done(&server);
}

static void test_too_many_origins(void **state)
{
	char text[64];
	struct subrequest *open[SUBREQUEST_ORIGINS_MAX];
	struct subrequests *own = subrequests_new(loop);
	struct result r = {0}, last = {0};

	(void)state;
	/* idle ones make room */
	for (unsigned i = 0; i < SUBREQUEST_ORIGINS_MAX + 10; i++) {
		snprintf(text, sizeof(text), "http://127.1.%u.%u:1/", i / 250, i % 250 + 1);
		subrequest_cancel(subrequest_send(
			own, &(struct subrequest_ask){.method = STR("GET"), .url = str_of(text)}, &ops, &r));
	}
	/* used ones do not; none of these connects before the loop runs */
	for (unsigned i = 0; i < SUBREQUEST_ORIGINS_MAX; i++) {
		snprintf(text, sizeof(text), "http://127.2.%u.%u:1/", i / 250, i % 250 + 1);
		open[i] = subrequest_send(own, &(struct subrequest_ask){.method = STR("GET"), .url = str_of(text)}, &ops, &r);
	}
	subrequest_send(own, &(struct subrequest_ask){.method = STR("GET"), .url = str_of(b.url)}, &ops, &last);
	for (unsigned i = 0; i < SUBREQUEST_ORIGINS_MAX; i++)
		subrequest_cancel(open[i]);
	assert_true(loopback_run(loop, &last.done));
	assert_true(last.failed);
	assert_false(r.done);
	subrequests_free(own);
}

static int setup(void **state)
{
	loopback_setup(state);
	set = subrequests_new(loop);
	return 0;
}

static int teardown(void **state)
{
	struct result r = {0};

	b.silent = true;
	subrequest_send(set, &(struct subrequest_ask){.method = STR("GET"), .url = str_of(b.url)}, &ops, &r);
	subrequests_free(set); /* with one under way */
	subrequests_free(NULL);
	loopback_settle(loop, 20);
	loopback_teardown(state);
	return r.done ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_whole_exchange),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_connections_are_kept),
		cmocka_unit_test(test_a_name_is_resolved),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_an_answer_that_is_too_long),
		cmocka_unit_test(test_timeout_and_cancel),
		cmocka_unit_test(test_a_kept_connection_that_was_closed),
		cmocka_unit_test(test_system_roots),
		cmocka_unit_test(test_tls_is_verified),
		cmocka_unit_test(test_too_many_origins),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
