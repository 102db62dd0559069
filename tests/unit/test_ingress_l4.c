#include "roles/ingress/l4/l4.h"
#include "roles/ingress/l4/spec.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/socket.h>

#include "free_port.h"
#include "ingress_rig.h"

static struct err e;
static struct rig rig;
static struct l4 *l4;
static char problems[2000];

/* ---- entries ---- */

static void entries_are_read(void **state)
{
	static const struct {
		const char *key, *value, *ns, *service, *port;
		bool decode, encode;
	} rows[] = {
		{ "9000", "default/web:80", "default", "web", "80", false, false },
		{ "65535", "a/b:http", "a", "b", "http", false, false },
		{ "1", " a/b:1 ", "a", "b", "1", false, false },
		{ "9000", "a/b:80:PROXY", "a", "b", "80", true, false },
		{ "9000", "a/b:80::PROXY", "a", "b", "80", false, true },
		{ "9000", "a/b:80:PROXY:PROXY", "a", "b", "80", true, true },
		{ "9000", "a/b:80:PROXY:", "a", "b", "80", true, false },
		{ "0", "a/b:80" },	{ "65536", "a/b:80" },	 { "-1", "a/b:80" },	  { "x", "a/b:80" },
		{ "9000", "" },		{ "9000", "b:80" },	 { "9000", "a/b" },	  { "9000", "a/:80" },
		{ "9000", "/b:80" },	{ "9000", "a/b:" },	 { "9000", "a/b:80:proxy" }, { "9000", "a/b:80:PROXY:PROXY:" },
		{ "9000", "a/b/c:80" }, { "9000", "a/b:80:x:PROXY" }, { "9000", "A/b:80" },
	};
	struct l4_spec s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = l4_spec_parse(rows[i].key, rows[i].value, &s, &e);

		if ((r == 0) != (rows[i].ns != NULL))
			fail_msg("%s: %s", rows[i].key, rows[i].value);
		if (r < 0)
			continue;
		assert_string_equal(s.ns, rows[i].ns);
		assert_string_equal(s.service, rows[i].service);
		assert_string_equal(s.service_port, rows[i].port);
		assert_int_equal(s.decode, rows[i].decode);
		assert_int_equal(s.encode, rows[i].encode);
	}
}

/* ---- services: each answers with its name in front ---- */

struct service {
	const char *name;
	int fd, udp;
	uint16_t port, udp_port;
	pthread_t tcp_thread, udp_thread;
};
static struct service services[] = { { .name = "one" }, { .name = "two" } };

struct talk {
	int fd;
	const struct service *s;
};

static void *talk_main(void *arg)
{
	struct talk *t = arg;
	char in[4096];

	send(t->fd, t->s->name, 3, MSG_NOSIGNAL);
	for (ssize_t n; (n = recv(t->fd, in, sizeof(in), 0)) > 0;)
		send(t->fd, in, (size_t)n, MSG_NOSIGNAL);
	send(t->fd, "[end]", 5, MSG_NOSIGNAL);
	close(t->fd);
	free(t);
	return NULL;
}

static void *tcp_main(void *arg)
{
	struct service *s = arg;

	for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
		struct talk *t = xcalloc(1, sizeof(*t));
		pthread_t id;

		*t = (struct talk){ fd, s };
		pthread_create(&id, NULL, talk_main, t);
		pthread_detach(id);
	}
	return NULL;
}

/* "quit" ends it. */
static void *udp_main(void *arg)
{
	struct service *s = arg;
	char in[70000];

	memcpy(in, s->name, 3);
	for (;;) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(s->udp, in + 3, sizeof(in) - 3, 0, (struct sockaddr *)&from, &len);

		if (n == 4 && memcmp(in + 3, "quit", 4) == 0)
			return NULL;
		sendto(s->udp, in, (size_t)n + 3, 0, (struct sockaddr *)&from, len);
	}
}

static int udp_socket(uint16_t *ret_port)
{
	struct addr a = rig_loopback(0);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a.ss, a.len), 0);
	getsockname(fd, (struct sockaddr *)&a.ss, &a.len);
	*ret_port = ntohs(((struct sockaddr_in *)&a.ss)->sin_port);
	return fd;
}

static int start_services(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		struct service *s = &services[i];

		s->fd = rig_listen(&s->port);
		fcntl(s->fd, F_SETFL, fcntl(s->fd, F_GETFL) & ~O_NONBLOCK);
		s->udp = udp_socket(&s->udp_port);
		pthread_create(&s->tcp_thread, NULL, tcp_main, s);
		pthread_create(&s->udp_thread, NULL, udp_main, s);
	}
	return 0;
}

static int stop_services(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		struct service *s = &services[i];
		struct addr a = rig_loopback(s->udp_port);

		shutdown(s->fd, SHUT_RDWR);
		sendto(s->udp, "quit", 4, 0, (struct sockaddr *)&a.ss, a.len);
		pthread_join(s->tcp_thread, NULL);
		pthread_join(s->udp_thread, NULL);
		close(s->fd);
		close(s->udp);
	}
	return 0;
}

/* ---- the proxy ---- */

static struct backend *backend_by_name(void *arg, const char *ns, const char *service, const char *port)
{
	struct backend *b = backends_get(rig.shared.backends, ns, service, port);

	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(services); i++) {
		bool udp = c_eq(port, "udp/udp");
		struct endpoint_want want = { .addr = rig_loopback(udp ? services[i].udp_port : services[i].port) };

		if (c_eq(services[i].name, service))
			backend_set(rig.shared.backends, b, &want, 1);
	}
	return b;
}

static void problem(void *arg, const json_t *configmap, const char *reason, const char *message)
{
	(void)arg, (void)configmap;
	size_t n = strlen(problems);
	snprintf(problems + n, sizeof(problems) - n, "%s: %s\n", reason, message);
}

static int start(void **state)
{
	(void)state;
	problems[0] = '\0';
	rig_init(&rig);
	rig.shared.n_workers = 2;
	rig_location(&rig, "/", services[0].port, PROTOCOL_HTTP);
	l4 = l4_new(&(struct l4_options){ .shared = &rig.shared, .backend = backend_by_name, .problem = problem });
	rig_start(&rig, NULL);
	l4_serve(l4, rig.workers);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	workers_stop(TAKE_PTR(rig.workers));
	l4_free(l4);
	rig_stop(&rig);
	return 0;
}

/* An object of one or two entries. */
static json_t *configmap(uint16_t port, const char *value, uint16_t port2, const char *value2)
{
	json_t *data = json_object();
	char key[8];

	snprintf(key, sizeof(key), "%u", port);
	json_object_set_new(data, key, json_string(value));
	snprintf(key, sizeof(key), "%u", port2);
	if (port2)
		json_object_set_new(data, key, json_string(value2));
	return json_pack("{s:{s:s}, s:o}", "metadata", "uid", "u1", "data", data);
}

static void set(json_t *tcp, json_t *udp)
{
	l4_set(l4, tcp, udp);
	json_decref(tcp);
	json_decref(udp);
}

static int dial(uint16_t port)
{
	struct addr a = rig_loopback(port);
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&a.ss, a.len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void expect(int fd, const char *text)
{
	char got[200] = "";
	size_t len = strlen(text);

	assert_int_equal(recv(fd, got, len, MSG_WAITALL), len);
	assert_string_equal(got, text);
}

/* Until the port is closed: workers do what they are told a moment later. */
static void expect_closed(uint16_t port)
{
	for (int i = 0; i < 1000; i++) {
		int fd = dial(port);

		if (fd < 0)
			return;
		close(fd);
		usleep(5000);
	}
	fail_msg("port %u is still open", port);
}

/* ---- tcp ---- */

static void bytes_go_both_ways(void **state)
{
	uint16_t port = free_port();

	(void)state;
	set(configmap(port, "default/one:80", 0, NULL), NULL);
	for (int i = 0; i < 6; i++) {
		int fd = dial(port);

		assert_true(fd >= 0);
		expect(fd, "one");
		send(fd, "hello", 5, 0);
		expect(fd, "hello");
		shutdown(fd, SHUT_WR);
		expect(fd, "[end]");
		close(fd);
	}
	assert_string_equal(problems, "");
}

static void changes_touch_only_what_changed(void **state)
{
	uint16_t a = free_port(), b = free_port();

	(void)state;
	set(configmap(a, "default/one:80", b, "default/one:80"), NULL);
	int old = dial(a), stays = dial(b);
	expect(old, "one");
	expect(stays, "one");
	/* Another service, the same socket. */
	set(configmap(a, "default/two:80", b, "default/one:80"), NULL);
	int new = dial(a);
	expect(new, "two");
	send(old, "still", 5, 0);
	expect(old, "still");
	/* One port goes: what it has stays. */
	set(configmap(b, "default/one:80", 0, NULL), NULL);
	expect_closed(a);
	send(old, "here", 4, 0);
	expect(old, "here");
	send(new, "too", 3, 0);
	expect(new, "too");
	send(stays, "x", 1, 0);
	expect(stays, "x");
	int more = dial(b);
	expect(more, "one");
	set(NULL, NULL);
	expect_closed(b);
	close(old), close(new), close(stays), close(more);
	assert_string_equal(problems, "");
}

static void proxy_headers_come_and_go(void **state)
{
	static struct cidr anybody = { .bits = 0 };
	uint16_t a = free_port(), b = free_port();
	char text[100], head[100];

	(void)state;
	rig.globals.proxy_real_ip_cidr = (struct cidr_list){ &anybody, 1 };
	set(configmap(a, "default/one:80:PROXY:PROXY", b, "default/one:80::PROXY"), NULL);
	int fd = dial(a);
	static const char header[] = "PROXY TCP4 192.0.2.7 192.0.2.1 1234 80\r\n";
	send(fd, header, sizeof(header) - 1, 0);
	expect(fd, "one");
	expect(fd, header);
	send(fd, "hello", 5, 0);
	expect(fd, "hello");
	close(fd);
	fd = dial(b);
	expect(fd, "one");
	struct sockaddr_in self;
	socklen_t len = sizeof(self);
	getsockname(fd, (struct sockaddr *)&self, &len);
	snprintf(head, sizeof(head), "PROXY TCP4 127.0.0.1 127.0.0.1 %u %u\r\n", ntohs(self.sin_port), b);
	expect(fd, head);
	close(fd);
	/* Without the header that is asked for nobody is let in. */
	fd = dial(a);
	send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0);
	assert_true(recv(fd, text, sizeof(text), 0) <= 0);
	close(fd);
}

static void what_cannot_be_is_reported_once(void **state)
{
	uint16_t good = free_port(), taken;
	int other = rig_listen(&taken);

	(void)state;
	for (int i = 0; i < 2; i++)
		set(configmap(taken, "default/one:80", good, "default/one:80"), NULL);
	assert_non_null(strstr(problems, "PortNotAvailable: tcp-services"));
	assert_non_null(strstr(problems, "Address already in use"));
	assert_ptr_equal(strchr(problems, '\n') + 1, strchr(problems, '\0'));
	int fd = dial(good); /* one bad entry does not touch another */
	expect(fd, "one");
	close(fd);
	problems[0] = '\0';
	set(configmap(good, "nonsense", 0, NULL), NULL);
	assert_non_null(strstr(problems, "InvalidPort"));
	expect_closed(good);
	close(other);
}

static void a_service_without_endpoints_ends_connections(void **state)
{
	uint16_t port = free_port();
	char c;

	(void)state;
	set(configmap(port, "default/nobody:80", 0, NULL), NULL);
	int fd = dial(port);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
}

/* ---- udp ---- */

static int udp_dial(uint16_t port)
{
	struct addr a = rig_loopback(port);
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&a.ss, a.len), 0);
	return fd;
}

/* A worker that does not listen yet refuses (ICMP), or the datagram waits in the socket: asked again until it is there. */
static void udp_expect(int fd, const char *ask, const char *answer)
{
	char got[100];
	ssize_t n = -1;

	for (int i = 0; i < 100 && n < 0; i++) {
		send(fd, ask, strlen(ask), 0);
		n = recv(fd, got, sizeof(got) - 1, 0);
	}
	assert_true(n >= 0);
	got[n] = '\0';
	assert_string_equal(got, answer);
}

static void datagrams_go_both_ways(void **state)
{
	uint16_t port = free_port();

	(void)state;
	set(NULL, configmap(port, "default/one:udp", 0, NULL));
	int clients[20];
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		clients[i] = udp_dial(port);
		udp_expect(clients[i], "hello", "onehello");
	}
	/* Others go elsewhere from now on; who is there stays where it is. */
	set(NULL, configmap(port, "default/two:udp", 0, NULL));
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		udp_expect(clients[i], "again", "oneagain");
	int fd = udp_dial(port);
	udp_expect(fd, "new", "twonew");
	close(fd);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++)
		close(clients[i]);
	assert_string_equal(problems, "");
}

static void answers_come_from_where_was_asked(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET }, from;
	socklen_t len = sizeof(from);
	uint16_t port = free_port();
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct timeval limit = { .tv_sec = 10 };
	char got[100];

	(void)state;
	set(NULL, configmap(port, "default/one:udp", 0, NULL));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	to.sin_port = htons(port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 7);
	assert_int_equal(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	assert_int_equal(recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &len), 4);
	assert_int_equal(from.sin_addr.s_addr, to.sin_addr.s_addr);
	assert_int_equal(from.sin_port, to.sin_port);
	close(fd);
}

static void a_udp_port_of_somebody_else_is_reported(void **state)
{
	uint16_t port;
	int fd = udp_socket(&port);

	(void)state;
	set(NULL, configmap(port, "default/one:udp", 0, NULL));
	assert_non_null(strstr(problems, "PortNotAvailable: udp-services"));
	close(fd);
}

#define with_proxy(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entries_are_read),
		with_proxy(bytes_go_both_ways),
		with_proxy(changes_touch_only_what_changed),
		with_proxy(proxy_headers_come_and_go),
		with_proxy(what_cannot_be_is_reported_once),
		with_proxy(a_service_without_endpoints_ends_connections),
		with_proxy(datagrams_go_both_ways),
		with_proxy(answers_come_from_where_was_asked),
		with_proxy(a_udp_port_of_somebody_else_is_reported),
	};

	return cmocka_run_group_tests(tests, start_services, stop_services);
}
