#include "net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net_pki.h"

static struct loop *loop;
static struct err e;
static struct pki ca, server_pki, client_pki, stranger_ca, stranger_pki;

/* --- addresses --- */

static void addresses_are_read_and_written(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"10.0.0.1:80", "10.0.0.1:80"},
		{"[::1]:443", "[::1]:443"},
		{"unix:/run/x.sock", "unix:/run/x.sock"},
		{"0.0.0.0:0", "0.0.0.0:0"},
		{"[::ffff:1.2.3.4]:5", "1.2.3.4:5"},
		{"10.0.0.1", NULL},
		{"10.0.0.1:", NULL},
		{"10.0.0.1:65536", NULL},
		{"10.0.0.1:-1", NULL},
		{"::1:443", NULL},
		{"localhost:80", NULL},
		{"[]:80", NULL},
		{"unix:", NULL},
		{"[10.0.0.1:80", NULL},
	};
	char text[ADDR_TEXT_BYTES];
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = addr_parse(rows[i].in, &a, &e);

		assert_int_equal(r, rows[i].out ? 0 : -1);
		if (rows[i].out)
			assert_string_equal(addr_text(&a, text), rows[i].out);
	}
}

static void a_port_alone_is_both_families(void **state)
{
	static const struct {
		const char *in, *out, *six; /* NULL: an error; no second one */
	} rows[] = {
		{":80", "0.0.0.0:80", "[::]:80"}, {"0.0.0.0:80", "0.0.0.0:80", NULL}, {"[::]:80", "[::]:80", NULL},
		{"127.0.0.1:1", "127.0.0.1:1", NULL}, {"unix:/x", "unix:/x", NULL}, {":", NULL, NULL}, {":65536", NULL, NULL},
		{"", NULL, NULL}, {"::1:80", NULL, NULL},
	};
	char text[ADDR_TEXT_BYTES];
	struct addr a, six;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(addr_parse_pair(rows[i].in, &a, &six, &e), rows[i].out ? 0 : -1);
		if (!rows[i].out)
			continue;
		assert_string_equal(addr_text(&a, text), rows[i].out);
		assert_int_equal(six.len != 0, rows[i].six != NULL);
		if (rows[i].six)
			assert_string_equal(addr_text(&six, text), rows[i].six);
	}
}

static uint16_t port_of(int fd)
{
	struct addr a = {.len = sizeof(a.ss)};

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a.ss, &a.len), 0);
	return ntohs(((struct sockaddr_in *)&a.ss)->sin_port); /* at the same place in both */
}

/* Beside a socket of IPv4 at the same port, and not beside another of IPv6. */
static void two_sockets_share_a_port(void **state)
{
	struct addr four, six;
	int fd, again;

	(void)state;
	assert_int_equal(addr_parse("0.0.0.0:0", &four, &e), 0);
	int first = addr_listen(&four, 4, &e);
	assert_true(first >= 0);
	cleanup(freep) char *text = xasprintf(":%u", port_of(first));
	assert_int_equal(addr_parse_pair(text, &four, &six, &e), 0);
	assert_int_equal(addr_listen_six(&six, 4, &fd, &e), 0);
	if (fd >= 0) { /* the machine has IPv6 */
		assert_int_equal(addr_listen_six(&six, 4, &again, &e), -1);
		assert_int_equal(e.sys_errno, EADDRINUSE);
		close(fd);
	}
	close(first);
}

/* --- a pair of connections --- */

#define BIG (3u << 20)

struct end {
	struct conn *conn;
	struct listener *listener;
	size_t got, sent, max_pending;
	uint64_t sum;
	bool ready, eof, failed, drained;
	struct err why;
	char cn[64];
	size_t refuse_below; /* uses nothing until it has been offered so much */
};
static struct end client, server;
static struct tls *server_tls;
static int listen_fd = -1, finished;

static void finish(void)
{
	if (++finished == 2)
		loop_stop(loop);
}

static void on_ready(struct conn *c, void *ctx)
{
	struct end *end = ctx;
	X509 *cert = conn_peer_cert(c);

	assert_false(end->ready);
	end->ready = true;
	end->conn = c;
	if (cert)
		X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, end->cn,
					  sizeof(end->cn));
}

static size_t on_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct end *end = ctx;

	(void)c;
	assert_true(end->ready);
	if (len < end->refuse_below)
		return 0;
	end->refuse_below = 0;
	for (size_t i = 0; i < len; i++)
		end->sum = end->sum * 31 + bytes[i];
	end->got += len;
	return len;
}

static void pump(struct conn *c, struct end *end)
{
	static char block[10000];

	while (end->sent < BIG && conn_pending(c) < CONN_HIGH_WATER_BYTES) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = (char)((end->sent + i) * 7);
		size_t n = MIN(sizeof(block), BIG - end->sent);
		conn_write(c, block, n);
		end->sent += n;
	}
	end->max_pending = MAX(end->max_pending, conn_pending(c));
	if (end->sent == BIG)
		conn_shutdown(c);
}

static void on_ready_pump(struct conn *c, void *ctx)
{
	on_ready(c, ctx);
	pump(c, ctx);
}

static void on_drained(struct conn *c, void *ctx)
{
	((struct end *)ctx)->drained = true;
	pump(c, ctx);
}

static void on_eof(struct conn *c, void *ctx)
{
	(void)c;
	assert_false(((struct end *)ctx)->eof);
	((struct end *)ctx)->eof = true;
	finish();
}

static void on_failed(struct conn *c, void *ctx, const struct err *why)
{
	struct end *end = ctx;

	(void)c;
	end->failed = true;
	end->why = *why;
	end->conn = NULL;
	finish();
}

static const struct conn_ops quiet_ops = {on_ready, on_data, on_eof, NULL, on_failed};
static const struct conn_ops pump_ops = {on_ready_pump, on_data, on_eof, on_drained, on_failed};
static const struct conn_ops *server_ops;

static void accepted(void *ctx, int fd, const struct addr *peer)
{
	assert_int_equal(peer->ss.ss_family, AF_INET);
	server.conn = conn_accept(loop, fd, server_tls, server_ops, ctx, &e);
	assert_non_null(server.conn);
}

static struct addr listen_here(void)
{
	struct addr a;

	assert_int_equal(addr_parse("127.0.0.1:0", &a, &e), 0);
	listen_fd = addr_listen(&a, 16, &e);
	assert_true(listen_fd >= 0);
	setsockopt(listen_fd, SOL_SOCKET, SO_RCVBUF, &(int){65536}, sizeof(int));
	a.len = sizeof(a.ss);
	getsockname(listen_fd, (struct sockaddr *)&a.ss, &a.len);
	server.listener = listener_new(loop, listen_fd, accepted, &server, &e);
	assert_non_null(server.listener);
	return a;
}

static bool own_records; /* the servers': every test runs with OpenSSL's and with ours */

static struct tls *make_tls(bool is_server, const struct pki *own, const struct pki *trust)
{
	static const char *const alpn[] = {"h2", "http/1.1", NULL};
	struct tls_config tc = {
		.ca_pem = str_of(trust->cert_pem), .verify_peer = true, .alpn = alpn, .own_records = own_records};

	if (own) {
		tc.cert_pem = str_of(own->cert_pem);
		tc.key_pem = str_of(own->key_pem);
	}
	struct tls *t = is_server ? tls_server_new(&tc, &e) : tls_client_new(&tc, &e);
	assert_non_null(t);
	return t;
}

static void run_pair(struct tls *client_tls, const char *name, const struct conn_ops *cops,
		     const struct conn_ops *sops)
{
	struct addr a = listen_here();

	server_ops = sops;
	client.conn = conn_connect(loop, &a, client_tls, name, cops, &client, &e);
	assert_non_null(client.conn);
	setsockopt(conn_fd(client.conn), SOL_SOCKET, SO_SNDBUF, &(int){65536}, sizeof(int));
	loop_run(loop);
}

static int setup(void **state)
{
	(void)state;
	loop = loop_new(&e);
	client = server = (struct end){0};
	finished = 0;
	server_tls = NULL;
	return 0;
}

static void stop_loop(struct timer *t)
{
	(void)t;
	loop_stop(loop);
}

static int teardown(void **state)
{
	struct timer t = {.fire = stop_loop};

	(void)state;
	conn_close(client.conn);
	conn_close(server.conn);
	/* A connection in its last words learns that the client is gone. */
	timer_start(loop, &t, 20);
	loop_run(loop);
	listener_free(server.listener);
	loop_free(loop);
	close(listen_fd);
	tls_unref(server_tls);
	return 0;
}

static void check_both_got_all(void)
{
	assert_true(client.eof && server.eof);
	assert_int_equal(client.got, BIG);
	assert_int_equal(server.got, BIG);
	assert_true(client.sum == server.sum);
	assert_true(client.drained && client.max_pending < CONN_HIGH_WATER_BYTES + 10000);
}

static void plain_both_ways_with_half_close(void **state)
{
	(void)state;
	run_pair(NULL, NULL, &pump_ops, &pump_ops);
	check_both_got_all();
}

static void tls_both_ways_with_client_certificate(void **state)
{
	struct tls *t = make_tls(false, &client_pki, &ca);

	(void)state;
	server_tls = make_tls(true, &server_pki, &ca);
	run_pair(t, "server.test", &pump_ops, &pump_ops);
	check_both_got_all();
	assert_string_equal(server.cn, "alice");
	assert_string_equal(client.cn, "server");
	assert_true(str_eq_c(conn_alpn(client.conn), "h2"));
	assert_true(str_eq_c(conn_alpn(server.conn), "h2"));
	tls_unref(t);
}

static struct tls *behind_ahead;

static size_t ahead_then_tls(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	static const char ahead[] = "ahead";

	if (len < strlen(ahead))
		return 0;
	assert_memory_equal(bytes, ahead, strlen(ahead));
	assert_int_equal(conn_start_tls(c, behind_ahead, &e), 0);
	conn_set_ops(c, &pump_ops, ctx);
	return strlen(ahead);
}

static void bytes_go_ahead_of_tls(void **state)
{
	static const struct conn_ops ahead_ops = {.data = ahead_then_tls};
	struct tls *t = make_tls(false, &client_pki, &ca);
	struct addr a = listen_here();

	(void)state;
	behind_ahead = make_tls(true, &server_pki, &ca);
	server_ops = &ahead_ops;
	client.conn = conn_connect(loop, &a, t, "server.test", &pump_ops, &client, &e);
	conn_write_ahead(client.conn, "ahe", 3);
	conn_write_ahead(client.conn, "ad", 2);
	setsockopt(conn_fd(client.conn), SOL_SOCKET, SO_SNDBUF, &(int){65536}, sizeof(int));
	loop_run(loop);
	check_both_got_all();
	tls_unref(behind_ahead);
	tls_unref(t);
}

static void bytes_not_used_are_offered_again(void **state)
{
	(void)state;
	server.refuse_below = CONN_READ_BUFFER_MAX_BYTES;
	run_pair(NULL, NULL, &pump_ops, &pump_ops);
	check_both_got_all();
}

static void tls_bytes_not_used_are_offered_again(void **state)
{
	struct tls *t = make_tls(false, NULL, &ca);

	(void)state;
	server_tls = make_tls(true, &server_pki, &ca);
	server.refuse_below = 500000;
	run_pair(t, "127.0.0.1", &pump_ops, &pump_ops);
	check_both_got_all();
	assert_string_equal(server.cn, "");
	tls_unref(t);
}

static struct timer resume;
static void resume_server(struct timer *t)
{
	(void)t;
	assert_int_equal(server.got, 0);
	assert_false(server.eof);
	assert_true(client.sent < BIG);
	conn_resume(server.conn);
}

static void resume_quietly(struct timer *t)
{
	(void)t;
	conn_resume(server.conn);
}

static void ready_paused(struct conn *c, void *ctx)
{
	on_ready(c, ctx);
	conn_pause(c);
	resume = (struct timer){.fire = resume_server};
	timer_start(loop, &resume, 100);
	conn_shutdown(c);
}

static void pause_holds_the_sender_back(void **state)
{
	static const struct conn_ops paused_ops = {ready_paused, on_data, on_eof, NULL, on_failed};
	struct tls *t = make_tls(false, NULL, &ca);

	(void)state;
	server_tls = make_tls(true, &server_pki, &ca);
	run_pair(t, "server.test", &pump_ops, &paused_ops);
	assert_int_equal(server.got, BIG);
	assert_true(server.eof && client.eof);
	tls_unref(t);
}

static size_t stop_and_go_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct end *end = ctx;

	(void)bytes;
	end->got += len;
	conn_pause(c);
	resume = (struct timer){.fire = resume_quietly};
	timer_start(loop, &resume, 0);
	if (end->got == 10000)
		loop_stop(loop);
	return len;
}

static void send_record(struct timer *t)
{
	static char block[1000];

	conn_write(client.conn, block, sizeof(block));
	client.sent += sizeof(block);
	if (client.sent < 10000)
		timer_start(loop, t, 1);
	else
		timer_start(loop, &resume, 20);
}

static void ready_sends_records(struct conn *c, void *ctx)
{
	static struct timer t = {.fire = send_record};

	on_ready(c, ctx);
	timer_start(loop, &t, 1);
}

static void ready_waits(struct conn *c, void *ctx)
{
	on_ready(c, ctx);
	conn_pause(c);
	resume = (struct timer){.fire = resume_quietly};
}

/* Epoll knows nothing of records that OpenSSL has read ahead, and nothing follows them here. */
static void what_openssl_holds_is_read_after_a_pause(void **state)
{
	static const struct conn_ops once_ops = {ready_sends_records, on_data, on_eof, NULL,
						 on_failed};
	static const struct conn_ops slow_ops = {ready_waits, stop_and_go_data, on_eof, NULL,
						 on_failed};
	struct tls *t = make_tls(false, NULL, &ca);
	struct timer guard = {.fire = stop_loop};

	(void)state;
	server_tls = make_tls(true, &server_pki, &ca);
	timer_start(loop, &guard, 5000);
	run_pair(t, "server.test", &once_ops, &slow_ops);
	timer_stop(&guard);
	timer_stop(&resume);
	assert_int_equal(server.got, 10000);
	tls_unref(t);
}

/* --- who is refused --- */

static void server_of_a_strange_authority_is_refused(void **state)
{
	struct tls *t = make_tls(false, NULL, &ca);

	(void)state;
	server_tls = make_tls(true, &stranger_pki, &ca);
	run_pair(t, "server.test", &quiet_ops, &quiet_ops);
	assert_true(client.failed && !client.ready);
	assert_non_null(strstr(client.why.message, "certificate"));
	tls_unref(t);
}

static void server_of_another_name_is_refused(void **state)
{
	struct tls *t = make_tls(false, NULL, &ca);

	(void)state;
	server_tls = make_tls(true, &server_pki, &ca);
	run_pair(t, "other.test", &quiet_ops, &quiet_ops);
	assert_true(client.failed && !client.ready);
	assert_non_null(strstr(client.why.message, "ostname"));
	tls_unref(t);
}

static void client_of_a_strange_authority_is_refused(void **state)
{
	struct tls *t = make_tls(false, &stranger_pki, &ca);

	(void)state;
	server_tls = make_tls(true, &server_pki, &ca);
	run_pair(t, "server.test", &quiet_ops, &quiet_ops);
	assert_true(server.failed && !server.ready);
	assert_true(client.failed || client.eof);
	tls_unref(t);
}

static void nobody_listening_is_an_error(void **state)
{
	struct addr a = listen_here();

	(void)state;
	listener_free(server.listener);
	server.listener = NULL;
	close(listen_fd);
	finished = 1;
	client.conn = conn_connect(loop, &a, NULL, NULL, &quiet_ops, &client, &e);
	if (client.conn) {
		loop_run(loop);
		assert_true(client.failed);
		e = client.why;
	}
	assert_int_equal(e.sys_errno, ECONNREFUSED);
}

/* --- ends --- */

static int released;
static void release(void *ctx)
{
	released += *(int *)ctx;
}

static void ready_says_goodbye(struct conn *c, void *ctx)
{
	static char page[200000];
	static int one = 1;

	on_ready(c, ctx);
	memset(page, 'x', sizeof(page));
	conn_write(c, "a", 1);
	conn_write_shared(c, (struct str){page, sizeof(page)}, release, &one);
	conn_write_shared(c, STR("tiny"), release, &one);
	conn_close_after_write(c);
	server.conn = NULL;
	finish();
}

static void answer_arrives_although_the_rest_is_not_read(void **state)
{
	static const struct conn_ops bye_ops = {ready_says_goodbye, on_data, on_eof, NULL,
						on_failed};
	struct tls *t = make_tls(false, NULL, &ca);

	(void)state;
	for (int tls = 0; tls < 2; tls++) {
		released = 0;
		finished = 0;
		client = (struct end){0};
		server_tls = tls ? make_tls(true, &server_pki, &ca) : NULL;
		run_pair(tls ? t : NULL, "server.test", &pump_ops, &bye_ops);
		assert_true(client.eof);
		assert_false(client.failed);
		assert_int_equal(client.got, 200005);
		assert_int_equal(released, 2);
		if (tls == 0) {
			listener_free(server.listener);
			close(listen_fd);
			conn_close(client.conn);
			server = (struct end){0};
		}
	}
	tls_unref(t);
}

static size_t close_in_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	(void)bytes;
	((struct end *)ctx)->got += len;
	conn_close(c);
	conn_close(c);
	((struct end *)ctx)->conn = NULL;
	loop_stop(loop);
	return 0;
}

static void closing_inside_a_call_back_is_fine(void **state)
{
	static const struct conn_ops close_ops = {on_ready, close_in_data, on_eof, NULL, on_failed};

	(void)state;
	run_pair(NULL, NULL, &pump_ops, &close_ops);
	assert_true(server.got > 0);
}

/* --- connections that nobody heeds --- */

static bool eof_unheeded;
static void heed_server(struct timer *t)
{
	(void)t;
	eof_unheeded = server.eof;
	conn_heed(server.conn);
}
static struct timer heed_later = {.fire = heed_server};

static void on_ready_one(struct conn *c, void *ctx)
{
	on_ready(c, ctx);
	finished = 1; /* the other end is a plain socket */
}

static size_t leave_unheeded(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	conn_leave_unheeded(c);
	timer_start(loop, &heed_later, 20);
	return on_data(c, ctx, bytes, len);
}

static int client_that_asks_and_ends(const struct conn_ops *ops)
{
	struct addr a = listen_here();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	server_ops = ops;
	assert_int_equal(connect(fd, (struct sockaddr *)&a.ss, a.len), 0);
	assert_int_equal(send(fd, "ask", 3, 0), 3);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	return fd;
}

static void who_is_not_heeded_is_heard_later(void **state)
{
	static const struct conn_ops ops = {on_ready_one, leave_unheeded, on_eof, NULL, on_failed};
	int fd = client_that_asks_and_ends(&ops);

	(void)state;
	loop_run(loop);
	assert_int_equal(server.got, 3);
	assert_false(eof_unheeded);
	assert_true(server.eof);
	close(fd);
}

/* More than the socket takes: its client has to be heard of without being heeded. */
static size_t answer_unheeded(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	static char page[8 << 20];

	conn_leave_unheeded(c);
	conn_write(c, page, sizeof(page));
	loop_stop(loop);
	return on_data(c, ctx, bytes, len);
}

static void who_is_not_heeded_gets_all(void **state)
{
	static const struct conn_ops ops = {on_ready_one, answer_unheeded, on_eof, NULL, on_failed};
	static char room[1 << 20];
	int fd = client_that_asks_and_ends(&ops);
	struct timer pause = {.fire = stop_loop};
	size_t got = 0;
	ssize_t n = 1;

	(void)state;
	loop_run(loop);
	for (int turns = 0; got < 8 << 20 && turns < 10000; turns++) {
		n = recv(fd, room, sizeof(room), MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
		timer_start(loop, &pause, 1);
		loop_run(loop);
	}
	assert_int_equal(got, 8 << 20);
	close(fd);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
/* Whatever the umask: others may not connect. */
static void unix_sockets_are_for_their_user_alone(void **state)
{
	char dir[] = "/tmp/portico-conn-XXXXXX", at[64];
	struct addr a;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(at, sizeof(at), "unix:%s/s", dir);
	assert_int_equal(addr_parse(at, &a, &e), 0);
	mode_t old = umask(0);
	int fd = addr_listen(&a, 1, &e);
	umask(old);
	assert_int_not_equal(fd, -1);
	assert_int_equal(stat(at + 5, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(fd);
	unlink(at + 5);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_written),
		cmocka_unit_test(a_port_alone_is_both_families),
		cmocka_unit_test(two_sockets_share_a_port),
		T(plain_both_ways_with_half_close),
		T(tls_both_ways_with_client_certificate),
		T(bytes_not_used_are_offered_again),
		T(bytes_go_ahead_of_tls),
		T(tls_bytes_not_used_are_offered_again),
		T(pause_holds_the_sender_back),
		T(what_openssl_holds_is_read_after_a_pause),
		T(server_of_a_strange_authority_is_refused),
		T(server_of_another_name_is_refused),
		T(client_of_a_strange_authority_is_refused),
		T(nobody_listening_is_an_error),
		T(unix_sockets_are_for_their_user_alone),
		T(answer_arrives_although_the_rest_is_not_read),
		T(closing_inside_a_call_back_is_fine),
		T(who_is_not_heeded_is_heard_later),
		T(who_is_not_heeded_gets_all),
	};

	ca = pki_make("ca", NULL, NULL);
	server_pki = pki_make("server", "DNS:server.test,IP:127.0.0.1", &ca);
	client_pki = pki_make("alice", NULL, &ca);
	stranger_ca = pki_make("strange", NULL, NULL);
	stranger_pki = pki_make("mallory", "DNS:server.test", &stranger_ca);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	own_records = true;
	failed += cmocka_run_group_tests(tests, NULL, NULL);
	pki_done(&ca);
	pki_done(&server_pki);
	pki_done(&client_pki);
	pki_done(&stranger_ca);
	pki_done(&stranger_pki);
	return failed;
}
