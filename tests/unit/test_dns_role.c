/* The DNS role as a process, against a real API server. */
#include "apiserver_harness.h"
#include "codec/dns.h"
#include "quoted_json.h"

#include <arpa/inet.h>
#include <sys/time.h>

#define SOON_MS 5000

static struct api_world *w;
static pid_t role;
static int udp_fd, tcp_fd;
static struct sockaddr_in server;
static char answer_text[512];

static int bound(int type)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);

	a.sin_port = server.sin_port; /* TCP takes the port that UDP was given */
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* As the supervisor does: the sockets are ours, and stay open when the role dies. */
static void role_start(void)
{
	role = fork();
	assert_true(role >= 0);
	if (role)
		return;
	char text[64];
	snprintf(text, sizeof(text), "dns-udp:%d,dns-tcp:%d", udp_fd, tcp_fd);
	setenv("PORTICO_LISTEN", text, 1);
	w->config.standalone = true;
	_exit(role_process(&role_dns, &w->config));
}

static int setup(void **state)
{
	socklen_t len = sizeof(server);

	(void)state;
	w = api_world_new();
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

/* "NOERROR 10.96.0.1", "NXDOMAIN", or "" when nothing came in time. */
static const char *ask_within(const char *name, int ms)
{
	static const char *const rcodes[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN" };
	const struct timeval patience = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct dns_query q = { .type = DNS_A, .class = DNS_CLASS_IN, .flags = 0 };
	uint8_t bytes[1500], question[300];
	struct dns_message m;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(dns_name_from_text(str_of(name), &q.name));
	memcpy(question, q.name.wire, q.name.len);
	memcpy(question + q.name.len, "\0\1\0\1", 4);
	q.question = (struct str){ (char *)question, q.name.len + 4u };
	size_t n = dns_query_write(bytes, 7, &q);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(sendto(fd, bytes, n, 0, (struct sockaddr *)&server, sizeof(server)), n);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_objects),
		cmocka_unit_test(test_follows_the_api),
		cmocka_unit_test(test_survives_the_api_server),
		cmocka_unit_test(test_killed_role),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
