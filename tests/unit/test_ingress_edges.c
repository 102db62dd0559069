/* The proxy's core where clients and upstreams are slow, leave half-way, or a setting is at its end. The upstream is a
 * thread that does what the path says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingress_rig.h"
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#define SEND_BUFFER_BYTES 4096 /* of the proxy's sockets to clients: what they do not read stays in the proxy */

static struct {
	struct rig rig;
	int fd;
	uint16_t port;
} g;


/* ---- the upstream ---- */

static void nap(unsigned ms)
{
	usleep(ms * 1000);
}

static void say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* The whole answer at once, in chunks of 1000 bytes. */
static void say_chunks(int fd, size_t n)
{
	struct buf out;
	char chunk[1000];

	buf_init(&out, 64u << 20);
	memset(chunk, 'x', sizeof(chunk));
	buf_puts(&out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; i < n; i++) {
		buf_puts(&out, "3e8\r\n");
		buf_put(&out, chunk, sizeof(chunk));
		buf_puts(&out, "\r\n");
	}
	buf_puts(&out, "0\r\n\r\n");
	for (size_t at = 0; at < out.len;) {
		ssize_t sent = send(fd, out.ptr + at, out.len - at, MSG_NOSIGNAL);
		if (sent <= 0)
			break;
		at += (size_t)sent;
	}
	buf_done(&out);
}

static size_t body_length(const char *head)
{
	const char *at = strcasestr(head, "\r\ncontent-length:");

	return at ? strtoul(at + 17, NULL, 10) : 0;
}

/* Answers with the head that it got. */
static void say_head(int fd, const char *head)
{
	char *text = xasprintf("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(head), head);

	say(fd, text);
	free(text);
}

static void answer(int fd, const char *head)
{
	const char *chunks = strstr(head, "/chunks/");

	if (chunks) {
		say_chunks(fd, strtoul(chunks + 8, NULL, 10));
	} else if (strstr(head, "/halves")) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
		nap(300);
		say(fd, "two");
	} else if (!strstr(head, "/silence")) {
		say_head(fd, head);
	}
}

static void *upstream_serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char room[65536];
	size_t n = 0;
	ssize_t got;

	while ((got = recv(fd, room + n, sizeof(room) - 1 - n, 0)) > 0) {
		room[n += (size_t)got] = '\0';
		char *end = strstr(room, "\r\n\r\n");
		if (!end)
			continue;
		size_t left = body_length(room), have = n - (size_t)(end + 4 - room);
		end[4] = '\0';
		char *head = xstrdup(room);
		while (have < left && (got = recv(fd, room, sizeof(room) - 1, 0)) > 0)
			have += (size_t)got;
		answer(fd, head);
		free(head);
		n = 0;
	}
	close(fd);
	return NULL;
}

static void *upstream_accept(void *arg)
{
	int fd, listening = (int)(intptr_t)arg;

	while ((fd = accept(listening, NULL, NULL)) >= 0) {
		pthread_t t;
		if (pthread_create(&t, NULL, upstream_serve, (void *)(intptr_t)fd) == 0)
			pthread_detach(t);
	}
	return NULL;
}

/* ---- the client ---- */

static int dial(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(g.rig.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { .tv_sec = 3 };
	const int small = 4096;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* What comes until `end` does, or the connection's end; NULL: neither within the limit. */
static char *take(int fd, const char *end)
{
	struct buf all;
	char part[16384];
	ssize_t n;

	buf_init(&all, 16 << 20);
	buf_puts(&all, "");
	while ((n = recv(fd, part, sizeof(part), 0)) > 0) {
		buf_put(&all, part, (size_t)n);
		if (end && memmem(all.ptr, all.len, end, strlen(end)))
			return buf_take(&all);
	}
	if (n < 0 && errno == EAGAIN) {
		buf_done(&all);
		return NULL;
	}
	return buf_take(&all);
}

static void expect(int fd, const char *end, const char *part)
{
	char *got = take(fd, end);

	if (!got || !strstr(got, part))
		fail_msg("want %s, got %.300s", part, got ? got : "nothing");
	free(got);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- tests ---- */

/* `ready` changes settings before the proxy starts. */
static void start(void (*ready)(struct settings *s))
{
	const int small = SEND_BUFFER_BYTES;
	struct settings *s;
	pthread_t t;

	memset(&g.rig, 0, sizeof(g.rig));
	rig_init(&g.rig);
	g.fd = rig_listen(&g.port);
	fcntl(g.fd, F_SETFL, 0); /* blocking */
	s = rig_location(&g.rig, "/", g.port, PROTOCOL_HTTP);
	if (ready)
		ready(s);
	rig_start(&g.rig, NULL);
	setsockopt(g.rig.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	assert_int_equal(pthread_create(&t, NULL, upstream_accept, (void *)(intptr_t)g.fd), 0);
	pthread_detach(t);
}

static void end(void)
{
	shutdown(g.fd, SHUT_RDWR);
	rig_stop(&g.rig);
	close(g.fd);
}

static void no_keep_alive(struct settings *s)
{
	(void)s;
	g.rig.globals.keep_alive_s = 0;
}

/* keep-alive: "0": a client that takes its time with the first request is no idle connection. */
static void test_keep_alive_off(void **state)
{
	(void)state;
	start(no_keep_alive);
	int fd = dial();
	nap(100);
	say(fd, GET("/x"));
	expect(fd, NULL, "HTTP/1.1 200 OK");
	close(fd);
	end();
}

static void large_buffer(struct settings *s)
{
	s->client_body_buffer_bytes = 1u << 20;
}

/* More may be held than reading goes on for: the request must be sent on, not wait for what is not read. */
static void test_large_body_buffer(void **state)
{
	char part[8000];

	(void)state;
	start(large_buffer);
	int fd = dial();
	memset(part, 'b', sizeof(part));
	say(fd, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 800000\r\n\r\n");
	for (int i = 0; i < 100; i++)
		for (size_t at = 0; at < sizeof(part);) {
			ssize_t n = send(fd, part + at, sizeof(part) - at, MSG_NOSIGNAL);
			assert_true(n > 0);
			at += (size_t)n;
		}
	expect(fd, "\r\n\r\n", "HTTP/1.1 200 OK");
	close(fd);
	end();
}

static void one_second_body(struct settings *s)
{
	(void)s;
	g.rig.globals.client_body_timeout_s = 1;
}

/* client-body-timeout is that between two reads. */
static void test_slow_body(void **state)
{
	(void)state;
	start(one_second_body);
	int fd = dial();
	say(fd, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n");
	for (int i = 0; i < 5; i++) {
		nap(500);
		say(fd, "0123456789");
	}
	expect(fd, "\r\n\r\n", "HTTP/1.1 200 OK");
	close(fd);
	end();
}

/* The end of an answer can come in the bytes that made its source stop: the kept connection has to read again. */
static void test_kept_after_pause(void **state)
{
	int slow[64];

	(void)state;
	start(NULL);
	for (size_t i = 0; i < ARRAY_LEN(slow); i++) {
		char request[128];

		slow[i] = dial();
		snprintf(request, sizeof(request), "GET /chunks/%zu HTTP/1.1\r\nHost: a\r\n\r\n", 250 + 8 * i);
		say(slow[i], request);
		nap(20);
		int fd = dial();
		say(fd, GET("/x"));
		expect(fd, "\r\n\r\n", "HTTP/1.1 200 OK");
		close(fd);
	}
	for (size_t i = 0; i < ARRAY_LEN(slow); i++)
		close(slow[i]);
	end();
}

static void short_times(struct settings *s)
{
	(void)s;
	g.rig.globals.keep_alive_s = 1;
}

/* An answer that is still being taken keeps its connection. */
static void test_slow_client(void **state)
{
	static const char *const requests[] = { GET("/chunks/280"), GET("/chunks/3000") };

	(void)state;
	start(short_times);
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		int fd = dial();

		say(fd, requests[i]);
		nap(2500);
		expect(fd, "\r\n0\r\n\r\n", "\r\n0\r\n\r\n");
		close(fd);
	}
	end();
}

/* Who has said that no more requests will come is not waited for. */
static void test_half_closed(void **state)
{
	(void)state;
	start(NULL);
	int fd = dial();
	say(fd, GET("/halves"));
	expect(fd, "one", "one");
	shutdown(fd, SHUT_WR);
	expect(fd, NULL, "two");
	close(fd);
	end();
}

static void note_closed(void *arg)
{
	(void)arg;
}

static void note_drained(void *arg)
{
	*(bool *)arg = true;
}

static bool is_set(void *ctx)
{
	return *(bool *)ctx;
}

/* Its last answer is in our queue: the process may not end before the client has it. */
static void test_drain_slow_client(void **state)
{
	bool drained = false;

	(void)state;
	start(NULL);
	int fd = dial();
	say(fd, "GET /chunks/280 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	nap(300);
	workers_drain(g.rig.workers, note_closed, note_drained, &drained);
	assert_false(rig_until(&g.rig, is_set, &drained, 500));
	expect(fd, NULL, "\r\n0\r\n\r\n");
	assert_true(rig_until(&g.rig, is_set, &drained, 2000));
	close(fd);
	end();
}

static void many_tries(struct settings *s)
{
	s->proxy_read_timeout_s = 1;
	s->next_upstream |= NEXT_TIMEOUT;
}

/* A retry that found nobody to send to is a retry that has ended. */
static void test_retry_without_endpoint(void **state)
{
	(void)state;
	start(many_tries);
	int fd = dial();
	say(fd, GET("/silence"));
	nap(300);
	struct backend *b = g.rig.locations[0].backend;
	backend_set(g.rig.shared.backends, b, NULL, 0);
	expect(fd, "\r\n\r\n", "HTTP/1.1 504");
	close(fd);
	nap(50);
	assert_int_equal(__atomic_load_n(&b->in_flight, __ATOMIC_RELAXED), 0);
	assert_int_equal(__atomic_load_n(&b->retries_in_flight, __ATOMIC_RELAXED), 0);
	end();
}

/* Upgrading to HTTP/2 would hide requests from us, in whatever list the word stands. */
static void test_no_h2c(void **state)
{
	static const char *const lines[] = { "h2c", "h2c, x", "x,H2C", "websocket, h2c" };

	(void)state;
	start(NULL);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		char *request = xasprintf("GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: %s\r\n\r\n", lines[i]);
		int fd = dial();

		say(fd, request);
		char *got = take(fd, "X-Scheme: http\r\n\r\n");
		if (!got || strcasestr(got, "upgrade"))
			fail_msg("Upgrade: %s is passed on: %s", lines[i], got ? got : "nothing");
		free(got);
		free(request);
		close(fd);
	}
	end();
}

/* What we say is not left out because a client says much. */
static void test_many_headers(void **state)
{
	struct buf request;

	(void)state;
	start(NULL);
	buf_init(&request, 65536);
	buf_puts(&request, "GET /x HTTP/1.1\r\nHost: a\r\n");
	for (int i = 0; i < 126; i++)
		buf_printf(&request, "A-%d: 1\r\n", i);
	buf_puts(&request, "\r\n");
	int fd = dial();
	say(fd, request.ptr);
	expect(fd, "A-125: 1", "A-125: 1");
	buf_done(&request);
	close(fd);
	end();
}

static void old_upstream(struct settings *s)
{
	s->proxy_http_1_0 = true;
}

/* HTTP/1.0 has no chunks. */
static void test_http10_upstream(void **state)
{
	(void)state;
	start(old_upstream);
	int fd = dial();
	say(fd, "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n");
	nap(50);
	say(fd, "0\r\n\r\n");
	char *got = take(fd, "Content-Length: 7\r\n");
	assert_non_null(got);
	if (strcasestr(got, "chunked") || !strstr(got, "POST /x HTTP/1.0"))
		fail_msg("got %s", got);
	free(got);
	close(fd);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep_alive_off), cmocka_unit_test(test_large_body_buffer), cmocka_unit_test(test_slow_body),
		cmocka_unit_test(test_kept_after_pause), cmocka_unit_test(test_slow_client), cmocka_unit_test(test_half_closed),
		cmocka_unit_test(test_drain_slow_client),
		cmocka_unit_test(test_retry_without_endpoint), cmocka_unit_test(test_no_h2c), cmocka_unit_test(test_many_headers),
		cmocka_unit_test(test_http10_upstream),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
