/* Which addresses lead to the node's own DNS instance; and what --node-local takes. */
#include "roles/dns/nodelocal/follow.h"
#include "roles/dns/nodelocal/nodelocal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

static json_t *parse(const char *text)
{
	cleanup(freep) char *strict = xstrdup(text);
	struct err e;

	for (char *p = strict; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_t *v = jx_parse(str_of(strict), 1u << 16, &e);
	if (!v)
		fail_msg("%s: %s", text, e.message);
	return v;
}

/* "10.96.0.10:53 10.0.0.1:5353=10.96.0.10:53": the latter is shown as another. */
static char *text_of(const struct nodelocal_targets *t)
{
	struct buf b;
	char ip[INET_ADDRSTRLEN];

	buf_init(&b, 4096);
	buf_puts(&b, "");
	for (size_t i = 0; i < t->n; i++) {
		const struct nodelocal_target *a = &t->at[i];
		buf_printf(&b, "%s%s:%u", i ? " " : "", inet_ntop(AF_INET, &a->addr, ip, sizeof(ip)), ntohs(a->port));
		if (a->shown_addr != a->addr || a->shown_port != a->port)
			buf_printf(&b, "=%s:%u", inet_ntop(AF_INET, &a->shown_addr, ip, sizeof(ip)), ntohs(a->shown_port));
	}
	return buf_take(&b);
}

#define PORTS "'ports':[{'name':'dns','port':53,'protocol':'UDP','targetPort':53},{'name':'dns-tcp','port':53,'protocol':'TCP'},{'name':'metrics','port':9153}]"
#define KUBE_DNS "{'metadata':{'name':'kube-dns','namespace':'kube-system'},'spec':{'clusterIP':'10.96.0.10','clusterIPs':['10.96.0.10','fd00::a']," PORTS "}}"
#define SLICE(ports) "{'metadata':{'labels':{'kubernetes.io/service-name':'kube-dns'}},'ports':[" ports "],'endpoints':[{'addresses':['10.0.0.1']},{'addresses':['10.0.0.2','10.0.0.1']}]}"

static const struct {
	const char *what, *service, *slice, *targets;
} rows[] = {
	{ "an address a family, of which IPv4's is taken", KUBE_DNS, NULL, "10.96.0.10:53" },
	{ "an object without clusterIPs", "{'metadata':{'name':'d'},'spec':{'clusterIP':'10.96.0.10'," PORTS "}}", NULL, "10.96.0.10:53" },
	{ "headless", "{'metadata':{'name':'d'},'spec':{'clusterIP':'None','clusterIPs':['None']," PORTS "}}", NULL, "" },
	{ "another port", "{'metadata':{'name':'d'},'spec':{'clusterIP':'10.96.0.11','ports':[{'port':9153}]}}", NULL, "" },
	{ "NodeLocal DNSCache's way to the central instances",
	  "{'metadata':{'name':'kube-dns-upstream'},'spec':{'clusterIP':'10.96.0.12'," PORTS "}}", NULL, "" },
	{ "endpoints at their own port, UDP and TCP alike", KUBE_DNS,
	  SLICE("{'name':'dns','port':5353,'protocol':'UDP'},{'name':'dns-tcp','port':5353,'protocol':'TCP'}"),
	  "10.96.0.10:53 10.0.0.1:5353=10.96.0.10:53 10.0.0.2:5353=10.96.0.10:53" },
	{ "but not of the metrics", KUBE_DNS, SLICE("{'name':'metrics','port':9153,'protocol':'TCP'}"), "10.96.0.10:53" },
	{ "a port that is none", KUBE_DNS, SLICE("{'name':'dns','port':65589}"), "10.96.0.10:53" },
	{ "another Service's slice", KUBE_DNS,
	  "{'metadata':{'labels':{'kubernetes.io/service-name':'x'}},'ports':[{'name':'dns','port':53}],'endpoints':[{'addresses':['10.0.0.1']}]}",
	  "10.96.0.10:53" },
};

static void test_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *service = parse(rows[i].service), *slice = rows[i].slice ? parse(rows[i].slice) : NULL;
		struct nodelocal_targets t = { 0 };

		assert_int_equal(targets_add_service(&t, service), rows[i].targets[0] != '\0');
		if (slice)
			targets_add_slice(&t, service, slice);
		cleanup(freep) char *got = text_of(&t);
		if (strcmp(got, rows[i].targets) != 0)
			fail_msg("%s: %s, not %s", rows[i].what, got, rows[i].targets);
	}
}

static void test_limit(void **state)
{
	struct nodelocal_targets t = { 0 };

	(void)state;
	for (int i = 0; i < NODELOCAL_TARGETS_MAX + 3; i++) {
		cleanup(freep) char *text = xasprintf("{'metadata':{'name':'d'},'spec':{'clusterIP':'10.0.1.%d','ports':[{'port':53}]}}", i + 1);
		cleanup(json_decrefp) json_t *service = parse(text);
		assert_int_equal(targets_add_service(&t, service), i < NODELOCAL_TARGETS_MAX);
	}
	assert_int_equal(t.n, NODELOCAL_TARGETS_MAX);
}

/* Refused before anything is touched. */
static void test_addresses(void **state)
{
	static const char *const bad[] = { "", "10.0.0.1", "169.254.20", "fe80::1", "127.0.0.1", "169.254.169.254", "169.254.20.10:53" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct config c = { .node_local = (char *)bad[i] };
		struct err e = { 0 };
		assert_null(nodelocal_prepare(&c, &e));
		assert_int_equal(e.reason, ERR_INVALID);
		assert_non_null(strstr(e.message, "--node-local '"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_targets), cmocka_unit_test(test_limit), cmocka_unit_test(test_addresses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
