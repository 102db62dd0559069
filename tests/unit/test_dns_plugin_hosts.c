#include "dns_plugin_kit.h"

#include "base/file.h"
#include "roles/dns/plugin/hosts_table.h"
#include "roles/dns/plugin/kubernetes.h"
#include "roles/dns/zone/zone.h"

#include <stdio.h>
#include <unistd.h>

extern const struct plugin plugin_hosts;
static const struct plugin *const plugins[] = { &plugin_hosts, NULL };
static const char *const records[] = { "up.test. A 10.9.9.9", "9.0.0.10.in-addr.arpa. PTR up.test.", NULL };

static void inline_entries(void **state)
{
	(void)state;
	static const struct kit_row rows[] = {
		{ "web.test", DNS_A, "NOERROR aa\nweb.test.\t60\tIN\tA\t10.0.0.1\nweb.test.\t60\tIN\tA\t10.0.0.2\n", "" },
		{ "WEB.test", DNS_AAAA, "NOERROR aa\nweb.test.\t60\tIN\tAAAA\tfd00::1\n", "" },
		{ "alias.test", DNS_A, "NOERROR aa\nalias.test.\t60\tIN\tA\t10.0.0.1\n", "" },
		{ "alias.test", DNS_AAAA, "NOERROR aa\n", "" },
		{ "alias.test", DNS_MX, "NOERROR aa\n", "" },
		{ "1.0.0.10.in-addr.arpa", DNS_PTR,
		  "NOERROR aa\n1.0.0.10.in-addr.arpa.\t60\tIN\tPTR\tweb.test.\n1.0.0.10.in-addr.arpa.\t60\tIN\tPTR\talias.test.\n", "" },
		{ "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", DNS_PTR,
		  "NOERROR aa\n1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.\t60\tIN\tPTR\tweb.test.\n", "" },
		{ "9.0.0.10.in-addr.arpa", DNS_PTR, "NOERROR\n9.0.0.10.in-addr.arpa.\t300\tIN\tPTR\tup.test.\n",
		  "9.0.0.10.in-addr.arpa. PTR\n" },
		{ "up.test", DNS_A, "NOERROR\nup.test.\t300\tIN\tA\t10.9.9.9\n", "up.test. A\n" },
		{ "up.other", DNS_A, "SERVFAIL\n", "" },
	};
	struct kit k;

	kit_open(&k, "hosts /nonexistent/hosts {\n 10.0.0.1 web.test Alias.TEST # no\n 10.0.0.2 web.test\n fd00::1 web.test.\n"
		 " ttl 60\n fallthrough test in-addr.arpa\n}", plugins, records);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	kit_close(&k);
}

static void zones_and_no_reverse(void **state)
{
	(void)state;
	static const struct kit_row rows[] = {
		{ "web.test", DNS_A, "NOERROR aa\nweb.test.\t3600\tIN\tA\t10.0.0.1\n", "" },
		{ "missing.test", DNS_A, "SERVFAIL\n", "" },
		{ "web.other", DNS_A, "NXDOMAIN\n" KIT_SOA, "web.other. A\n" },
		{ "1.0.0.10.in-addr.arpa", DNS_PTR, "NXDOMAIN\n" KIT_SOA, "1.0.0.10.in-addr.arpa. PTR\n" },
	};
	struct kit k;

	kit_open(&k, "hosts /nonexistent/hosts test {\n 10.0.0.1 web.test web.other\n no_reverse\n}", plugins, records);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	kit_close(&k);
}

static void what_it_touches(void **state)
{
	(void)state;
	static const struct {
		const char *text, *zone;
		bool touches;
	} rows[] = {
		{ "hosts /dev/null {\n 10.0.0.1 web.test\n fallthrough\n}", "cluster.local", false },
		{ "hosts /dev/null {\n 10.0.0.1 web.test\n}", "cluster.local", true },
		{ "hosts /dev/null {\n 10.0.0.1 a.cluster.local\n fallthrough\n}", "cluster.local", true },
		{ "hosts /dev/null test {\n 10.0.0.1 web.test\n}", "cluster.local", false },
		{ "hosts /dev/null {\n 10.0.0.1 web.test\n fallthrough\n}", "in-addr.arpa", true },
		{ "hosts /dev/null {\n 10.0.0.1 web.test\n fallthrough\n no_reverse\n}", "in-addr.arpa", false },
		{ "hosts /dev/null {\n 127.0.0.1 localhost\n ::1 localhost\n fe00::0 n\n fallthrough\n}", "in-addr.arpa", false },
		{ "hosts /dev/null {\n fd00::1 localhost\n fallthrough\n}", "ip6.arpa", true },
		{ "hosts /dev/null {\n 10.0.0.1 web.test\n fallthrough\n}", "96.10.in-addr.arpa", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_name zone;
		struct kit k;
		kit_open(&k, rows[i].text, plugins, records);
		assert_true(dns_name_from_text(str_of(rows[i].zone), &zone));
		assert_int_equal(plugin_hosts.touches(&k.instances[0], &zone), rows[i].touches);
		void *run = TAKE_PTR(k.instances[0].started); /* as `portico dns check` asks */
		assert_int_equal(plugin_hosts.touches(&k.instances[0], &zone), rows[i].touches);
		k.instances[0].started = run;
		kit_close(&k);
	}
}

void kubernetes_options(const struct plugin_instance *i, struct zone_options *ret)
{
	*ret = *(struct zone_options *)i->settings;
}

/* The machine's own address in /etc/hosts keeps no question off the direct path when unknown addresses come here anyway. */
static void the_machines_own_file(void **state)
{
	(void)state;
	static const struct plugin kubernetes = { .name = "kubernetes" };
	static const struct {
		const char *text;
		size_t n_fallthrough;
		bool touches;
	} rows[] = {
		{ "hosts {\n 192.0.2.1 x.test\n fallthrough\n}", 1, true },
		{ "hosts {\n fallthrough\n}", 1, false },
		{ "hosts /etc/hosts {\n fallthrough\n}", 1, true },
		{ "hosts {\n fallthrough\n}", 0, true },
	};
	struct buf file;
	struct err e;
	struct dns_name zone;

	buf_init(&file, 1 << 20);
	assert_int_equal(file_read("/etc/hosts", &file, &e), 0);
	struct dns_name root = { .len = 1 };
	struct zone_set all = { &root, 1 };
	struct hosts_table *t = hosts_table_new(&all, true);
	hosts_table_read(t, buf_str(&file));
	assert_true(dns_name_from_text(STR("in-addr.arpa"), &zone));
	bool has = hosts_table_has_ip(t, &zone); /* this machine's file may have none but loopback's */
	hosts_table_free(t);
	buf_done(&file);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct zone_options o = { .n_fallthrough = rows[i].n_fallthrough, .fallthrough = { zone } };
		struct kit k;
		assert_true(dns_name_from_text(STR("cluster.local"), &o.domain));
		kit_open(&k, rows[i].text, plugins, records);
		struct plugin_instance *own = kit_instance(&k, &kubernetes);
		own->settings = &o;
		assert_int_equal(plugin_hosts.touches(&k.instances[0], &zone), rows[i].touches && (has || i == 0));
		kit_close(&k);
	}
}

static void stop(struct timer *t)
{
	loop_stop(t->ctx);
}

static void turn(struct kit *k, uint64_t ms)
{
	struct timer t = { .fire = stop, .ctx = k->worker->loop };

	timer_start(k->worker->loop, &t, ms);
	loop_run(k->worker->loop);
	timer_stop(&t);
}

static void write_hosts(const char *path, const char *text)
{
	struct err e;

	assert_int_equal(file_write(path, str_of(text), 0644, &e), 0);
}

static void the_file_is_watched(void **state)
{
	(void)state;
	char path[] = "/tmp/portico-hosts-XXXXXX";
	char *text;
	struct kit k;

	close(mkstemp(path));
	write_hosts(path, "# comment\n\n10.0.0.1\tone.test two.test\nnonsense three.test\n::1%lo six.test");
	text = xasprintf("hosts %s {\n reload 10ms\n}", path);
	kit_open(&k, text, plugins, records);
	assert_string_equal(kit_ask(&k, "two.test", DNS_A), "NOERROR aa\ntwo.test.\t3600\tIN\tA\t10.0.0.1\n");
	assert_string_equal(kit_ask(&k, "six.test", DNS_AAAA), "NOERROR aa\nsix.test.\t3600\tIN\tAAAA\t::1\n");
	assert_string_equal(kit_ask(&k, "three.test", DNS_A), "SERVFAIL\n");
	/* Three names with one family each, two addresses. */
	assert_int_equal(metric_value(dns_metric(k.shared.metrics, "coredns_hosts_entries", METRIC_GAUGE, "", "")), 5);
	write_hosts(path, "10.0.0.3 three.test\n");
	for (int i = 0; i < 200 && strcmp(kit_ask(&k, "three.test", DNS_A), "SERVFAIL\n") == 0; i++)
		turn(&k, 10);
	assert_string_equal(k.answer.ptr, "NOERROR aa\nthree.test.\t3600\tIN\tA\t10.0.0.3\n");
	assert_string_equal(kit_ask(&k, "two.test", DNS_A), "SERVFAIL\n");
	unlink(path);
	for (int i = 0; i < 200 && strcmp(kit_ask(&k, "three.test", DNS_A), "SERVFAIL\n") != 0; i++)
		turn(&k, 10);
	assert_string_equal(k.answer.ptr, "SERVFAIL\n");
	kit_close(&k);
	free(text);
}

static void refuses(void **state)
{
	(void)state;
	kit_refuses("hosts /tmp", plugins, "is a directory");
	kit_refuses("hosts {\n nonsense web.test\n}", plugins, "Corefile:3: hosts: \"nonsense\" is neither");
	kit_refuses("hosts {\n 10.0.0.1\n}", plugins, "no name");
	kit_refuses("hosts {\n 10.0.0.1 a..b\n}", plugins, "not a domain name");
	kit_refuses("hosts {\n ttl 0\n}", plugins, "ttl is a number");
	kit_refuses("hosts {\n ttl 65536\n}", plugins, "ttl is a number");
	kit_refuses("hosts {\n reload x\n}", plugins, "duration");
	kit_refuses("hosts /etc/hosts a..b", plugins, "not a zone");
}

static void many(void **state)
{
	(void)state;
	struct dns_name root = { .len = 1 }, name;
	struct zone_set all = { &root, 1 };
	struct hosts_table *t = hosts_table_new(&all, true);
	const uint8_t ip[16] = { [10] = 0xff, [11] = 0xff };
	char line[64];

	for (int i = 0; i < 20000; i++) {
		snprintf(line, sizeof(line), "0.0.0.0 ads%d.test", i);
		hosts_table_read(t, str_of(line));
	}
	for (int i = 0; i < 1000; i++)
		hosts_table_read(t, STR("10.0.0.1 same.test"));
	assert_true(dns_name_from_text(STR("ads19999.test"), &name));
	assert_int_equal(hosts_table_name(t, &name)->n4, 1);
	assert_true(dns_name_from_text(STR("same.test"), &name));
	assert_int_equal(hosts_table_name(t, &name)->n4, 1000);
	assert_in_range(hosts_table_ip(t, ip)->len, 60000, DNS_MESSAGE_BYTES_MAX);
	hosts_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inline_entries),      cmocka_unit_test(zones_and_no_reverse), cmocka_unit_test(what_it_touches),
		cmocka_unit_test(the_file_is_watched), cmocka_unit_test(refuses),	       cmocka_unit_test(many),
		cmocka_unit_test(the_machines_own_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
