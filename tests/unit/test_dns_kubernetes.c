/* The kubernetes directive: what is read of it, and what is said about what cannot be. */
#include "roles/dns/plugin/kubernetes.h"

#include "roles/config.h"
#include "roles/dns/config/config.h"
#include "roles/dns/worker.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

extern const struct plugin plugin_kubernetes;

#define LINES_MAX 8
#define WORDS_MAX 16

struct text {
	char *copy;
	const char *words[LINES_MAX][WORDS_MAX];
	struct corefile_line lines[LINES_MAX];
	struct directive directive;
};

/* "kubernetes cluster.local; ttl 30; pods insecure": the first is the directive, the others are in its braces. */
static void words_of(struct text *t, const char *text)
{
	char *line_state, *word_state;
	size_t n = 0;

	memset(t, 0, sizeof(*t));
	t->copy = xstrdup(text);
	for (char *line = strtok_r(t->copy, ";", &line_state); line; line = strtok_r(NULL, ";", &line_state), n++) {
		size_t k = 0;
		for (char *w = strtok_r(line, " ", &word_state); w; w = strtok_r(NULL, " ", &word_state))
			t->words[n][k++] = w;
		t->lines[n] = (struct corefile_line){ "Corefile", (unsigned)n + 1, t->words[n], k };
	}
	t->directive = (struct directive){ t->lines[0], &t->lines[1], n - 1 };
}

static const char *const block_zones[] = { "example.org", "10.in-addr.arpa", NULL };
static struct config settings = { .kubeconfig = (char *)"/etc/kube.conf" };
static struct dns_shared shared = { .settings = &settings };

static int parse(const char *text, void **ret, struct err *e)
{
	const struct plugin_scope scope = { .cluster_domain = "cluster.local", .block_zones = block_zones, .shared = &shared };
	struct text t;

	*ret = NULL;
	words_of(&t, text);
	int result = plugin_kubernetes.parse(&t.directive, &scope, ret, e);
	free(t.copy);
	return result;
}

static void test_accepted(void **state)
{
	static const char *const rows[] = {
		"kubernetes",
		"kubernetes cluster.local",
		"kubernetes cluster.local in-addr.arpa ip6.arpa;pods insecure;ttl 30;fallthrough in-addr.arpa ip6.arpa",
		"kubernetes cluster.local 10.96.0.0/16 fd00::/64;pods verified;endpoint_pod_names;noendpoints",
		"kubernetes cluster.local 10.96.0.0/12;fallthrough",
		"kubernetes a.local b.local;namespaces one two;namespaces three;labels environment in (staging, qa),app=nginx",
		"kubernetes cluster.local;namespace_labels istio-injection=enabled;ignore empty_service;startup_timeout 0.5s",
		"kubernetes cluster.local;apiserver_qps 12.5;apiserver_burst 20;apiserver_max_inflight 3;ttl 0",
		"kubernetes cluster.local;kubeconfig /etc/kube.conf;ttl 3600;pods disabled",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		void *settings_made;
		struct err e;
		if (parse(rows[i], &settings_made, &e) < 0)
			fail_msg("%s: %s", rows[i], e.message);
		plugin_kubernetes.free_settings(settings_made);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "kubernetes in-addr.arpa", "Corefile:1: kubernetes: at least one zone has to be no reverse zone" },
		{ "kubernetes a..b", "Corefile:1: kubernetes: \"a..b\" is not a zone" },
		{ "kubernetes cluster.local 10.0.0.0/9", "more than 16 reverse zones" },
		{ "kubernetes c;ttl", "Corefile:2: kubernetes: ttl is written 'ttl SECONDS', from 0 to 3600" },
		{ "kubernetes c;pods insecure;ttl 3601", "Corefile:3: kubernetes: ttl" },
		{ "kubernetes c;ttl -1", "ttl is written" },
		{ "kubernetes c;pods", "pods is written 'pods disabled', 'pods insecure' or 'pods verified'" },
		{ "kubernetes c;pods on", "pods is written" },
		{ "kubernetes c;namespaces", "namespaces is written" },
		{ "kubernetes c;namespaces a;namespace_labels b", "namespaces and namespace_labels cannot both be set" },
		{ "kubernetes c;labels a in", "is no label selector" },
		{ "kubernetes c;labels", "labels is written" },
		{ "kubernetes c;ignore", "ignore is written 'ignore empty_service'" },
		{ "kubernetes c;ignore nothing", "ignore is written" },
		{ "kubernetes c;noendpoints yes", "noendpoints is written 'noendpoints'" },
		{ "kubernetes c;startup_timeout soon", "startup_timeout is written" },
		{ "kubernetes c;kubeconfig /other", "start portico with --kubeconfig /other" },
		{ "kubernetes c;kubeconfig /etc/kube.conf here", "a context cannot be chosen here" },
		{ "kubernetes c;endpoint https://10.0.0.1", "the API server comes from --kubeconfig" },
		{ "kubernetes c;tls a b c", "the API server comes from --kubeconfig" },
		{ "kubernetes c;transfer to *", "zone transfers are not offered" },
		{ "kubernetes c;multicluster x", "multicluster is not supported" },
		{ "kubernetes c;zonal", "zonal is not supported" },
		{ "kubernetes c;apiserver_qps many", "apiserver_qps is written" },
		{ "kubernetes c;apiserver_qps -1", "apiserver_qps is written" },
		{ "kubernetes c;upstream", "unknown property 'upstream'" },
		{ "kubernetes a b c d e f g h i", "more than 8 zones" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		void *settings_made;
		struct err e = { 0 };
		if (parse(rows[i].text, &settings_made, &e) == 0 || !strstr(e.message, rows[i].says))
			fail_msg("%s\n  says %s\n  not  %s", rows[i].text, e.message, rows[i].says);
		plugin_kubernetes.free_settings(settings_made);
	}
}

/* Which questions may pass by it, and that every property it reads is documented. */
static void test_touches_and_documents(void **state)
{
	struct plugin_instance i = { .plugin = &plugin_kubernetes };
	struct dns_name n;
	struct err e;

	(void)state;
	struct dns_block block = { .plugins = &i, .n_plugins = 1 };
	const struct dns_config config = { .blocks = &block, .n_blocks = 1 };
	assert_int_equal(parse("kubernetes cluster.local", &i.settings, &e), 0);
	assert_int_equal(kubernetes_startup_timeout_ms(&config, 4000), 4000);
	plugin_kubernetes.free_settings(i.settings);
	assert_int_equal(parse("kubernetes cluster.local in-addr.arpa;startup_timeout 7s", &i.settings, &e), 0);
	assert_int_equal(kubernetes_startup_timeout_ms(&config, 4000), 7000);
	static const struct {
		const char *name;
		bool touches;
	} rows[] = { { "cluster.local", true }, { "svc.cluster.local", true }, { "local", true }, { "10.in-addr.arpa", true },
		     { ".", true }, { "example.com", false }, { "ip6.arpa", false } };
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		assert_true(dns_name_from_text(str_of(rows[k].name), &n));
		assert_int_equal(plugin_kubernetes.touches(&i, &n), rows[k].touches);
	}
	plugin_kubernetes.free_settings(i.settings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_touches_and_documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
