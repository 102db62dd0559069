#include "dns_plugin_kit.h"

#include "base/file.h"
#include "roles/dns/zone/cluster.h"

#include <stdio.h>

#include <unistd.h>

extern const struct plugin plugin_autopath, plugin_dns64;

/* The pod that asks. */
bool cluster_pod_namespace(const struct cluster *c, const struct addr *a, char *out, size_t size)
{
	char ip[ADDR_TEXT_BYTES];

	(void)c;
	if (strcmp(addr_ip_text(a, ip), "192.0.2.1") != 0)
		return false;
	snprintf(out, size, "shop");
	return true;
}

void cluster_want_pods(struct cluster *c)
{
	(void)c;
	fail();
}

static int fake_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	(void)d;
	(void)scope;
	(void)settings;
	(void)e;
	return 0;
}

static int fake_start(struct plugin_instance *i, struct dns_shared *s, struct err *e)
{
	struct zone_options o = { .ttl = 5 };

	(void)s;
	(void)e;
	assert_true(dns_name_from_text(STR("cluster.local"), &o.domain));
	i->started = zone_new(&o, 1, NULL);
	return 0;
}

static void fake_stop(struct plugin_instance *i, struct dns_shared *s)
{
	(void)s;
	zone_free(i->started);
}

static const struct plugin fake_kubernetes = { .name = "kubernetes", .parse = fake_parse, .start = fake_start, .stop = fake_stop };
static const struct plugin *const plugins[] = { &plugin_dns64, &plugin_autopath, &fake_kubernetes, NULL };
static const char *const records[] = {
	"web.shop.svc.cluster.local. 5 A 10.96.0.1",
	"db.other.svc.cluster.local. 5 A 10.96.0.2",
	"dns-version.cluster.local. 5 TXT 1.1.0",
	"www.example.com. 60 A 93.184.216.34",
	"www.example.com. 60 A 93.184.216.35",
	"alias.example.com. 60 CNAME www.example.com.",
	"internal.corp.example. 60 A 172.16.0.1",
	NULL,
};

static void with_the_pods_list(void **state)
{
	(void)state;
	static const struct kit_row rows[] = {
		{ "web.shop.svc.cluster.local", DNS_A, "NOERROR\nweb.shop.svc.cluster.local.\t5\tIN\tA\t10.96.0.1\n",
		  "web.shop.svc.cluster.local. A\n" },
		{ "db.other.shop.svc.cluster.local", DNS_A,
		  "NOERROR\ndb.other.shop.svc.cluster.local.\t5\tIN\tCNAME\tdb.other.svc.cluster.local.\n"
		  "db.other.svc.cluster.local.\t5\tIN\tA\t10.96.0.2\n",
		  "db.other.shop.svc.cluster.local. A\ndb.other.svc.cluster.local. A\n" },
		{ "www.example.com.shop.svc.cluster.local", DNS_A,
		  "NOERROR\nwww.example.com.shop.svc.cluster.local.\t60\tIN\tCNAME\twww.example.com.\n"
		  "www.example.com.\t60\tIN\tA\t93.184.216.34\nwww.example.com.\t60\tIN\tA\t93.184.216.35\n",
		  "www.example.com.shop.svc.cluster.local. A\nwww.example.com.svc.cluster.local. A\nwww.example.com.cluster.local. A\n"
		  "www.example.com. A\n" },
		/* The name is there without such records: that ends the walk. */
		{ "www.example.com.shop.svc.cluster.local", DNS_AAAA, "NOERROR\n" KIT_SOA, NULL },
		{ "alias.example.com.shop.svc.cluster.local", DNS_A,
		  "NOERROR\nalias.example.com.shop.svc.cluster.local.\t60\tIN\tCNAME\talias.example.com.\n"
		  "alias.example.com.\t60\tIN\tCNAME\twww.example.com.\nwww.example.com.\t60\tIN\tA\t93.184.216.34\n"
		  "www.example.com.\t60\tIN\tA\t93.184.216.35\n", NULL },
		{ "none.example.com.shop.svc.cluster.local", DNS_A, "NXDOMAIN\n" KIT_SOA,
		  "none.example.com.shop.svc.cluster.local. A\nnone.example.com.svc.cluster.local. A\nnone.example.com.cluster.local. A\n"
		  "none.example.com. A\n" },
		/* Not the first element: as it is. */
		{ "www.example.com.svc.cluster.local", DNS_A, "NXDOMAIN\n" KIT_SOA, "www.example.com.svc.cluster.local. A\n" },
		{ "x.other.svc.cluster.local", DNS_A, "NXDOMAIN\n" KIT_SOA, "x.other.svc.cluster.local. A\n" },
		{ "shop.svc.cluster.local", DNS_A, "NXDOMAIN\n" KIT_SOA, "shop.svc.cluster.local. A\n" },
		{ "www.example.com", DNS_TXT, "NOERROR\n" KIT_SOA, "www.example.com. TXT\n" },
	};
	struct kit k;

	kit_open(&k, "autopath @kubernetes\nkubernetes", plugins, records);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	kit_client(&k, "192.0.2.2", DNS_UDP); /* no pod */
	assert_string_equal(kit_ask(&k, "www.example.com.shop.svc.cluster.local", DNS_A), "NXDOMAIN\n" KIT_SOA);
	assert_string_equal(k.asked.ptr, "www.example.com.shop.svc.cluster.local. A\n");
	assert_int_equal(metric_value(dns_metric(k.shared.metrics, "coredns_autopath_success_total", METRIC_COUNTER, "",
						 "server=\"dns://:53\"")), 10);
	/* One element that fails does not end the walk. */
	kit_client(&k, "192.0.2.1", DNS_UDP);
	k.fails = "db.other.shop.svc.cluster.local.";
	assert_string_equal(kit_ask(&k, "db.other.shop.svc.cluster.local", DNS_A), rows[1].answer);
	k.dumb = true;
	assert_string_equal(kit_ask(&k, "www.example.com.shop.svc.cluster.local", DNS_A), "SERVFAIL\n");
	kit_close(&k);
}

/* What dns64 asks on the way back is walked as well. */
static void under_dns64(void **state)
{
	(void)state;
	static const struct kit_row rows[] = {
		{ "alias.example.com.shop.svc.cluster.local", DNS_AAAA,
		  "NOERROR\nalias.example.com.shop.svc.cluster.local.\t60\tIN\tCNAME\talias.example.com.\n"
		  "alias.example.com.\t60\tIN\tCNAME\twww.example.com.\nwww.example.com.\t60\tIN\tAAAA\t64:ff9b::5db8:d822\n"
		  "www.example.com.\t60\tIN\tAAAA\t64:ff9b::5db8:d823\n", NULL },
	};
	struct kit k;

	kit_open(&k, "dns64 {\n allow_ipv4\n}\nautopath @kubernetes\nkubernetes", plugins, records);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	kit_close(&k);
}

static void with_a_files_list(void **state)
{
	(void)state;
	static const struct kit_row rows[] = {
		{ "internal.shop.svc.cluster.local", DNS_A,
		  "NOERROR\ninternal.shop.svc.cluster.local.\t60\tIN\tCNAME\tinternal.corp.example.\ninternal.corp.example.\t60\tIN\tA\t172.16.0.1\n",
		  "internal.shop.svc.cluster.local. A\ninternal.corp.example. A\n" },
		{ "internal.corp.example", DNS_A, "NOERROR\ninternal.corp.example.\t60\tIN\tA\t172.16.0.1\n", "internal.corp.example. A\n" },
	};
	char path[] = "/tmp/portico-resolv-XXXXXX", *text;
	struct dns_name other;
	struct kit k;
	struct err e;

	close(mkstemp(path));
	assert_int_equal(file_write(path, STR("domain x\nnameserver 1.1.1.1\nsearch shop.svc.cluster.local\tcorp.example \noptions ndots:5\n"),
				    0644, &e), 0);
	text = xasprintf("autopath cluster.local %s", path);
	kit_open(&k, text, plugins, records);
	kit_client(&k, "198.51.100.1", DNS_UDP);
	kit_rows(&k, rows, ARRAY_LEN(rows));
	assert_true(dns_name_from_text(STR("test"), &other));
	assert_false(plugin_autopath.touches(&k.instances[0], &other));
	kit_close(&k);
	free(text);
	assert_int_equal(file_write(path, STR("nameserver 1.1.1.1\n"), 0644, &e), 0);
	text = xasprintf("autopath %s", path);
	kit_refuses(text, plugins, "no search list");
	free(text);
	unlink(path);
}

static void refuses(void **state)
{
	(void)state;
	kit_refuses("autopath", plugins, "is followed by");
	kit_refuses("autopath @etcd", plugins, "\"@etcd\" is not there");
	kit_refuses("autopath @kubernetes", plugins, "no kubernetes in this block");
	kit_refuses("autopath /nonexistent/resolv.conf", plugins, "No such file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_the_pods_list),
		cmocka_unit_test(with_a_files_list),
		cmocka_unit_test(under_dns64),
		cmocka_unit_test(refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
