/* The DNS role as a process, against a real API server. */
#include "apiserver_harness.h"
#include "base/file.h"
#include "codec/dns.h"
#include "quoted_json.h"

#include <arpa/inet.h>
#include <sys/time.h>

#define SOON_MS 5000

static struct api_world *w;
static pid_t role;
static int udp_fd, tcp_fd, upstream_fd;
static struct sockaddr_in server, upstream;
static int own_port; /* of the Corefile's second block */
static char answer_text[512];

static int bound(int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);

	a.sin_port = server.sin_port; /* TCP takes the port that UDP was given */
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* As the supervisor does: the sockets are ours, and stay open when the role dies. Returns what tells READY. */
static int role_start_as(bool replaces)
{
	int pair[2];
	char text[64];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	role = fork();
	assert_true(role >= 0);
	if (role) {
		close(pair[1]);
		return pair[0];
	}
	snprintf(text, sizeof(text), "dns-udp:%d,dns-tcp:%d", udp_fd, tcp_fd);
	setenv("PORTICO_LISTEN", text, 1);
	snprintf(text, sizeof(text), "%d", pair[1]);
	setenv("PORTICO_NOTIFY_FD", text, 1);
	if (replaces)
		setenv("PORTICO_REPLACES", "1", 1);
	_exit(role_process(&role_dns, &w->config));
}

static void role_start(void)
{
	close(role_start_as(false));
}

static void write_hosts(const char *text)
{
	cleanup(freep) char *path = xasprintf("%s/hosts", w->dir);
	struct err e;

	assert_int_equal(file_write(path, str_of(text), 0644, &e), 0);
}

/* Kubeadm's, but for an upstream that is ours, and a port that no supervisor holds open. */
static void write_corefile(int ttl, const char *own_ip)
{
	cleanup(freep) char *text = xasprintf(". {\n hosts %s/hosts {\n  reload 10ms\n  fallthrough\n }\n"
					      " kubernetes cluster.local {\n  ttl %d\n }\n"
					      " forward . 127.0.0.1:%d {\n  max_fails 0\n }\n reload 2s 1s\n}\n"
					      "own.test:%d {\n bind 127.0.0.1\n template IN A {\n"
					      "  answer \"{{ .Name }} 5 IN A %s\"\n }\n}\n",
					      w->dir, ttl, ntohs(upstream.sin_port), own_port, own_ip);
	struct err e;

	assert_int_equal(file_write(w->config.corefile, str_of(text), 0644, &e), 0);
}

static void prepare_corefile(void)
{
	socklen_t len = sizeof(upstream);

	upstream = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	upstream_fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(upstream_fd, (struct sockaddr *)&upstream, sizeof(upstream)), 0);
	assert_int_equal(getsockname(upstream_fd, (struct sockaddr *)&upstream, &len), 0);
	own_port = free_port();
	api_set(&w->config.corefile, xasprintf("%s/Corefile", w->dir));
	write_corefile(5, "192.0.2.7");
	write_hosts("10.1.1.1 elsewhere.test\n");
}

static int setup(void **state)
{
	socklen_t len = sizeof(server);

	(void)state;
	w = api_world_new();
	w->config.standalone = true;
	api_set(&w->config.dns_admin_address, xstrdup("")); /* nobody asks, and others may have the port */
	prepare_corefile();
	udp_fd = bound(SOCK_DGRAM);
	assert_int_equal(getsockname(udp_fd, (struct sockaddr *)&server, &len), 0);
	tcp_fd = bound(SOCK_STREAM);
	assert_int_equal(listen(tcp_fd, 16), 0);
	role_start();
	return 0;
}

static int teardown(void **state)
{
	int status;

	(void)state;
	kill(role, SIGTERM);
	assert_int_equal(waitpid(role, &status, 0), role);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	api_world_free(w);
	return 0;
}

static size_t question_write(uint8_t *out, const char *name)
{
	struct dns_query q = { .type = DNS_A, .class = DNS_CLASS_IN, .flags = 0 };
	uint8_t question[300];

	assert_true(dns_name_from_text(str_of(name), &q.name));
	memcpy(question, q.name.wire, q.name.len);
	memcpy(question + q.name.len, "\0\1\0\1", 4);
	q.question = (struct str){ (char *)question, q.name.len + 4u };
	return dns_query_write(out, 7, &q);
}

/* Asks over a socket of its own. */
static int send_question(const char *name, int type, int port)
{
	struct sockaddr_in to = server;
	uint8_t bytes[512];
	size_t n = question_write(bytes + 2, name), skip = type == SOCK_STREAM ? 0 : 2;
	int fd = socket(AF_INET, type, 0);

	to.sin_port = htons((uint16_t)port);
	bytes[0] = 0;
	bytes[1] = (uint8_t)n;
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(send(fd, bytes + skip, n + 2 - skip, 0), n + 2 - skip);
	return fd;
}

/* "NOERROR 10.96.0.1", "NXDOMAIN", or "" when nothing came in time. Closes `fd`. */
static const char *answer_on(int fd, int ms)
{
	static const char *const rcodes[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN" };
	const struct timeval patience = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	uint8_t bytes[1500];
	struct dns_message m;
	int type;
	socklen_t len = sizeof(type);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	if (type == SOCK_STREAM && recv(fd, bytes, 2, MSG_WAITALL) != 2)
		bytes[0] = bytes[1] = 0;
	ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
	close(fd);
	answer_text[0] = '\0';
	if (got <= 0)
		return answer_text;
	assert_true(dns_message_parse((struct str){ (char *)bytes, (size_t)got }, &m));
	strcpy(answer_text, rcodes[m.flags & 3]);
	struct dns_record r = dns_records(&m);
	if (dns_record_next(&m, &r) && r.type == DNS_A) {
		struct in_addr ip; /* the message keeps no alignment */
		memcpy(&ip, bytes + r.rdata_at, sizeof(ip));
		snprintf(answer_text, sizeof(answer_text), "NOERROR %s", inet_ntoa(ip));
	}
	return answer_text;
}

static const char *ask_within(const char *name, int ms)
{
	return answer_on(send_question(name, SOCK_DGRAM, ntohs(server.sin_port)), ms);
}

static const char *ask(const char *name)
{
	return ask_within(name, 200);
}

static void soon(const char *name, const char *want)
{
	int64_t end = wall_now_ms() + SOON_MS;

	while (strcmp(ask(name), want) != 0 && wall_now_ms() < end)
		usleep(5000);
	assert_string_equal(answer_text, want);
}

static void must(const char *method, const char *path, json_t *body, int status)
{
	struct api_answer a = api_ask(w, method, path, KUBE_JSON, body);

	if (a.status != status)
		fail_msg("%s %s: %d %s", method, path, a.status, a.message);
	api_answer_done(&a);
	json_decref(body);
}

static void soon_there(const char *path, const char *field, const char *want)
{
	int64_t end = wall_now_ms() + SOON_MS;

	for (;;) {
		struct api_answer a = api_ask(w, "GET", path, NULL, NULL);
		bool ok = a.status == 200 && c_eq(jx_str(a.body, field), want);
		api_answer_done(&a);
		if (ok)
			return;
		if (wall_now_ms() > end)
			fail_msg("%s has no %s = %s", path, field, want);
		usleep(20000);
	}
}

#define SERVICES "/api/v1/namespaces/default/services"
#define OWN_SERVICE "/api/v1/namespaces/kube-system/services/kube-dns"
#define OWN_SLICE "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/kube-dns-portico"

static void test_own_objects(void **state)
{
	(void)state;
	soon_there(OWN_SERVICE, "spec.clusterIP", "10.96.0.10");
	soon_there(OWN_SLICE, "addressType", "IPv4");
	soon("ns.dns.cluster.local", "NOERROR 10.96.0.10");
	struct api_answer a = api_ask(w, "GET", OWN_SLICE, NULL, NULL);
	assert_int_equal(jx_int(json_array_get(jx_at(a.body, "ports"), 0), "port", 0), ntohs(server.sin_port));
	api_answer_done(&a);
	must("DELETE", OWN_SLICE, NULL, 200);
	soon_there(OWN_SLICE, "addressType", "IPv4");
}

static void test_follows_the_api(void **state)
{
	(void)state;
	soon("web.default.svc.cluster.local", "NXDOMAIN");
	must("POST", SERVICES, J("{'apiVersion':'v1','kind':'Service','metadata':{'name':'web'},"
				 "'spec':{'clusterIP':'10.96.0.77','ports':[{'port':80}]}}"), 201);
	soon("web.default.svc.cluster.local", "NOERROR 10.96.0.77");
	soon("default.svc.cluster.local", "NOERROR");
	must("DELETE", SERVICES "/web", NULL, 200);
	soon("web.default.svc.cluster.local", "NXDOMAIN");
}

static void test_survives_the_api_server(void **state)
{
	(void)state;
	must("POST", SERVICES, J("{'apiVersion':'v1','kind':'Service','metadata':{'name':'kept'},"
				 "'spec':{'clusterIP':'10.96.0.78','ports':[{'port':80}]}}"), 201);
	soon("kept.default.svc.cluster.local", "NOERROR 10.96.0.78");
	api_disconnect(w);
	api_kill(w, SIGKILL);
	assert_string_equal(ask("kept.default.svc.cluster.local"), "NOERROR 10.96.0.78");
	assert_string_equal(ask("nobody.default.svc.cluster.local"), "NXDOMAIN");
	api_start(w);
	api_connect(w);
	must("POST", SERVICES, J("{'apiVersion':'v1','kind':'Service','metadata':{'name':'later'},"
				 "'spec':{'clusterIP':'10.96.0.79','ports':[{'port':80}]}}"), 201);
	soon("later.default.svc.cluster.local", "NOERROR 10.96.0.79");
	assert_string_equal(ask("kept.default.svc.cluster.local"), "NOERROR 10.96.0.78");
}

/* A question to a role that is not there yet waits in the socket; nobody is told of a failure. */
static void test_killed_role(void **state)
{
	int status;

	(void)state;
	kill(role, SIGKILL);
	assert_int_equal(waitpid(role, &status, 0), role);
	role_start();
	assert_string_equal(ask_within("kept.default.svc.cluster.local", SOON_MS),
			    "NOERROR 10.96.0.78");
}

/* The cluster's names are answered without asking the plug-ins, until one of those has something to say about them. */
static void test_hosts_that_come_later(void **state)
{
	(void)state;
	assert_string_equal(ask_within("kept.default.svc.cluster.local", SOON_MS), "NOERROR 10.96.0.78");
	write_hosts("10.1.1.1 kept.default.svc.cluster.local\n");
	soon("kept.default.svc.cluster.local", "NOERROR 10.1.1.1");
	write_hosts("10.1.1.1 elsewhere.test\n");
	soon("kept.default.svc.cluster.local", "NOERROR 10.96.0.78");
}

/* Settings that make a new zone: no question falls between it and the one before. */
static void test_other_zone(void **state)
{
	int64_t end = wall_now_ms() + SOON_MS;
	int after = 0;

	(void)state;
	write_corefile(6, "192.0.2.8");
	for (; after < 100 && wall_now_ms() < end; after += c_eq(answer_on(send_question("a.own.test", SOCK_DGRAM, own_port), 200),
								  "NOERROR 192.0.2.8"))
		assert_string_equal(ask("kept.default.svc.cluster.local"), "NOERROR 10.96.0.78");
	assert_int_equal(after, 100);
	write_corefile(5, "192.0.2.7");
}

/* ---- one process takes over from another ---- */

static struct sockaddr_in upstream_asker;

/* The question that the role passes on, held back. */
static size_t upstream_take(uint8_t bytes[512])
{
	const struct timeval patience = { .tv_sec = 5 };
	socklen_t len = sizeof(upstream_asker);

	setsockopt(upstream_fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	ssize_t n = recvfrom(upstream_fd, bytes, 512, 0, (struct sockaddr *)&upstream_asker, &len);
	assert_true(n > 12);
	return (size_t)n;
}

/* No such name. */
static void upstream_answer(uint8_t *bytes, size_t n)
{
	bytes[2] |= 0x80;
	bytes[3] = 0x83;
	assert_int_equal(sendto(upstream_fd, bytes, n, 0, (struct sockaddr *)&upstream_asker, sizeof(upstream_asker)), n);
}

static void wait_ready(int notify)
{
	char text[256] = "";

	assert_true(recv(notify, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "READY");
	close(notify);
}

static void must_end_well(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define ASKED_MEANWHILE 300

static void test_handed_over(void **state)
{
	const int port = ntohs(server.sin_port);
	uint8_t over_udp[512], over_tcp[512];
	pid_t before;

	(void)state;
	soon("kept.default.svc.cluster.local", "NOERROR 10.96.0.78");
	/* Two questions are under way in the old process. */
	int udp = send_question("slow.udp.test", SOCK_DGRAM, port), tcp;
	size_t n_udp = upstream_take(over_udp), n_tcp;
	struct sockaddr_in asker = upstream_asker;
	tcp = send_question("slow.tcp.test", SOCK_STREAM, port);
	n_tcp = upstream_take(over_tcp);
	struct sockaddr_in asker_tcp = upstream_asker;

	before = role;
	wait_ready(role_start_as(true));
	kill(before, SIGQUIT);
	for (int i = 0; i < ASKED_MEANWHILE; i++) {
		assert_string_equal(answer_on(send_question("kept.default.svc.cluster.local", i % 2 ? SOCK_DGRAM : SOCK_STREAM, port), SOON_MS),
				    "NOERROR 10.96.0.78");
		assert_int_equal(waitpid(before, NULL, WNOHANG), 0); /* it owes two answers */
	}
	upstream_asker = asker;
	upstream_answer(over_udp, n_udp);
	assert_string_equal(answer_on(udp, SOON_MS), "NXDOMAIN");
	upstream_asker = asker_tcp;
	upstream_answer(over_tcp, n_tcp);
	assert_string_equal(answer_on(tcp, SOON_MS), "NXDOMAIN");
	must_end_well(before);
	assert_string_equal(ask_within("kept.default.svc.cluster.local", SOON_MS), "NOERROR 10.96.0.78");
	/* At a port of the Corefile's own both listened for a while. */
	assert_string_equal(answer_on(send_question("a.own.test", SOCK_STREAM, own_port), SOON_MS), "NOERROR 192.0.2.7");
	assert_string_equal(answer_on(send_question("a.own.test", SOCK_DGRAM, own_port), SOON_MS), "NOERROR 192.0.2.7");
}

/* Without an API server the next process knows nothing: it lets the one before answer. */
static void test_not_handed_over_yet(void **state)
{
	struct timeval patience = { .tv_sec = 6 }; /* kubernetes' startup_timeout, 5 s, and some more */
	pid_t before = role;
	char text[256];

	(void)state;
	api_disconnect(w);
	api_kill(w, SIGKILL);
	int notify = role_start_as(true);
	pid_t next = role;
	setsockopt(notify, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(recv(notify, text, sizeof(text), 0), -1);
	for (int i = 0; i < 50; i++)
		assert_string_equal(ask_within("kept.default.svc.cluster.local", SOON_MS), "NOERROR 10.96.0.78");
	api_start(w);
	api_connect(w);
	patience.tv_sec = 20; /* the informers' back-off */
	setsockopt(notify, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	wait_ready(notify);
	kill(before, SIGQUIT);
	must_end_well(before);
	role = next;
	assert_string_equal(ask_within("kept.default.svc.cluster.local", SOON_MS), "NOERROR 10.96.0.78");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_objects),
		cmocka_unit_test(test_follows_the_api),
		cmocka_unit_test(test_survives_the_api_server),
		cmocka_unit_test(test_killed_role),
		cmocka_unit_test(test_hosts_that_come_later),
		cmocka_unit_test(test_other_zone),
		cmocka_unit_test(test_handed_over),
		cmocka_unit_test(test_not_handed_over_yet),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
