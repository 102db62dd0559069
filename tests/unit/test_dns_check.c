/* The plug-ins that there are: their page, the Corefiles of distributions, and what `portico dns check` says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "roles/dns/config/command.h"
#include "roles/dns/config/corefile.h"

static const char *const no_ips[] = { NULL };
static const struct plugin_scope scope = {
	.cluster_domain = "cluster.local", .resolv_conf = "/etc/resolv.conf", .own_ips = no_ips, .upstream_port = 53,
};

static json_t *report_of(const char *text)
{
	return dns_check_report(str_of(text), "Corefile", &scope);
}

static void expect_ok(const json_t *r, const char *name)
{
	if (!jx_bool(r, "ok", false) || jx_len(r, "warnings"))
		fail_msg("%s: %s", name, json_string_value(json_array_get(jx_at(r, jx_len(r, "errors") ? "errors" : "warnings"), 0)));
}

/* Of kubeadm, k3s, EKS, AKS, NodeLocal DNSCache and OpenShift. */
static void distributions(void **state)
{
	static const struct {
		const char *name;
		size_t blocks;
		bool at_once;
	} rows[] = { { "kubeadm", 1, true }, { "k3s", 1, false /* its file of hosts may name anything */ }, { "eks", 1, true }, { "aks", 1, true }, { "nodelocal", 4, false }, { "openshift", 3, true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(freep) char *path = xasprintf("fuzz/corpus/corefile/%s", rows[i].name);
		struct buf text;
		struct err e;
		bool at_once = false;
		size_t b;
		const json_t *one;

		buf_init(&text, COREFILE_BYTES_MAX);
		if (file_read(path, &text, &e) < 0)
			fail_msg("%s", e.message);
		cleanup(json_decrefp) json_t *r = dns_check_report(buf_str(&text), path, &scope);
		buf_done(&text);
		expect_ok(r, path);
		assert_int_equal(jx_len(r, "blocks"), rows[i].blocks);
		json_array_foreach(jx_at(r, "blocks"), b, one)
			at_once |= jx_bool(one, "clusterNamesAtOnce", false);
		if (at_once != rows[i].at_once)
			fail_msg("%s: cluster names are %s at once", path, at_once ? "answered" : "not answered");
	}
}

static void built_in(void **state)
{
	cleanup(freep) char *text = dns_config_builtin("corp.test");
	cleanup(json_decrefp) json_t *r = dns_check_report(str_of(text), DNS_CONFIG_BUILTIN, &scope);

	(void)state;
	expect_ok(r, DNS_CONFIG_BUILTIN);
	assert_true(jx_bool(json_array_get(jx_at(r, "blocks"), 0), "clusterNamesAtOnce", false));
}

static void reports(void **state)
{
	static const struct {
		const char *text, *list, *first;
	} rows[] = {
		{ ". {\n local\n kubernetes a.test\n}", "blocks", "local" },
		{ ". {\n debug\n}", "warnings", "Corefile:2: debug is accepted; without effect: `--log-level debug` tells more" },
		{ ". {\n timeouts {\n  read 10s\n }\n}", "warnings", "Corefile:2: timeouts is accepted; without effect: the times of connections are fixed" },
		{ ". {\n debug x\n}", "errors", "Corefile:2: debug: takes nothing, not 'x'" },
		{ ". {\n timeouts {\n  read soon\n }\n}", "errors", "Corefile:3: timeouts: read needs a duration such as 10s" },
		{ ". {\n timeouts {\n  maxtcpqueries 0\n }\n}", "errors", "Corefile:3: timeouts: maxtcpqueries needs a number, or -1" },
		{ ". {\n multisocket 0\n}", "errors", "Corefile:2: multisocket: takes one number, 1 to 1024" },
		{ ". {\n local {\n  localhost_prefix no\n }\n}", "errors", "Corefile:3: local: localhost_prefix is on or off" },
		{ ". {\n nsid x\n nsid y\n}", "errors", "Corefile:3: nsid: a second one in this block; the first is in line 2" },
		{ ". {\n nsid \"0123456789012345678901234567890123456789012345678901234567890123 4\"\n}", "errors", "Corefile:2: nsid: more than 64 bytes" },
		{ ". {\n errors x\n}", "errors", "Corefile:2: errors: 'x': errors go to the role's log; only stdout may be written here" },
		{ ". {\n errors {\n  consolidate 5m\n }\n}", "errors",
		  "Corefile:3: errors: consolidate needs a duration and a pattern: consolidate 5m \"i/o timeout$\" warning" },
		{ ". {\n errors {\n  consolidate 5m \"(\"\n }\n}", "errors", "Corefile:3: errors: pattern '(', at byte 1: missing closing parenthesis" },
		{ ". {\n errors {\n  consolidate x y\n }\n}", "errors", "Corefile:3: errors: 'x' is no duration up to 24h, such as 5m" },
		{ ". {\n errors {\n  consolidate 5m a show_first error\n }\n}", "errors",
		  "Corefile:3: errors: 'error' behind the pattern: expected [warning|error|info|debug] [show_first]" },
		{ ". {\n errors {\n  stacktrace\n  consolidate 30s \"^a\" info show_first\n }\n}", "warnings",
		  "Corefile:3: errors: stacktrace is accepted; without effect: nothing is recovered from that would leave a stack" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cleanup(json_decrefp) json_t *r = report_of(rows[i].text);
		const json_t *first = json_array_get(jx_at(r, rows[i].list), 0);
		const char *text = strcmp(rows[i].list, "blocks") == 0 ? jx_str(first, "becauseOf") : json_string_value(first);
		if (!c_eq(text, rows[i].first)) {
			cleanup(freep) char *dump = jx_dump_text(r);
			fail_msg("%s\n%s", rows[i].text, dump);
		}
	}
}

static void tables(void **state)
{
	(void)state;
	for (size_t i = 0; dns_plugins[i]; i++) {
		const struct plugin *p = dns_plugins[i];
		if (!p->name || !p->doc || !p->parse || plugin_find(p->name) != p)
			fail_msg("plug-in %zu, %s, is not whole", i, p->name);
		if (p->more && p->once)
			fail_msg("%s is there once and more", p->name);
		for (const struct plugin_property *q = p->properties; q && q->name; q++)
			if (!q->doc)
				fail_msg("%s: %s has no sentence", p->name, q->name);
	}
}

/* The page is what the command prints: `portico dns plugins --output markdown > docs/dns-corefile.md`. */
static void page(void **state)
{
	struct buf have, want;
	struct err e;

	(void)state;
	buf_init(&have, 1 << 20);
	buf_init(&want, 1 << 20);
	assert_int_equal(file_read("docs/dns-corefile.md", &have, &e), 0);
	dns_plugins_markdown(&want);
	if (!str_eq(buf_str(&have), buf_str(&want)))
		fail_msg("docs/dns-corefile.md is not what `portico dns plugins --output markdown` prints");
	buf_done(&have);
	buf_done(&want);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(distributions), cmocka_unit_test(built_in), cmocka_unit_test(reports),
		cmocka_unit_test(tables),	 cmocka_unit_test(page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
