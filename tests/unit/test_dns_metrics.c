/* What is counted, and how it reads when scraped: line by line as CoreDNS' exporter writes it. */
#include "roles/dns/observe/metrics_int.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static const struct plugin kubernetes = { .name = "kubernetes" }, acl = { .name = "acl" };

struct rig {
	struct dns_metrics *m;
	struct dns_config config;
	struct dns_block blocks[2];
	struct dns_name zones[3];
	struct plugin_instance plugins[2];
	struct dns_shared shared;
	struct buf out;
};

static void setup(struct rig *r)
{
	static const char *const names[] = { ".", "cluster.local", "in-addr.arpa" };

	memset(r, 0, sizeof(*r));
	for (size_t i = 0; i < 3; i++)
		if (names[i][0] != '.')
			assert_true(dns_name_from_text(str_of(names[i]), &r->zones[i]));
		else
			r->zones[i] = (struct dns_name){ .len = 1 };
	r->plugins[0] = (struct plugin_instance){ .plugin = &kubernetes, .block = &r->blocks[0] };
	r->plugins[1] = (struct plugin_instance){ .plugin = &acl, .block = &r->blocks[0] };
	r->blocks[0] = (struct dns_block){ .zones = r->zones, .n_zones = 1, .server = "dns://:53", .plugins = r->plugins, .n_plugins = 2 };
	r->blocks[1] = (struct dns_block){ .zones = r->zones + 1, .n_zones = 2, .server = "tls://:853" };
	r->config = (struct dns_config){ .blocks = r->blocks, .n_blocks = 2 };
	r->m = dns_metrics_new(2);
	dns_metrics_config(r->m, &r->config);
	r->shared = (struct dns_shared){ .config = &r->config, .metrics = r->m };
	buf_init(&r->out, 16u << 20);
}

static void teardown(struct rig *r)
{
	dns_metrics_free(r->m);
	buf_done(&r->out);
}

/* The whole line is there. */
static bool has(const struct buf *out, const char *line)
{
	cleanup(freep) char *want = xasprintf("\n%s\n", line);

	return strstr(out->ptr, want) != NULL;
}
#define assert_line(r, line)                                                       \
	do {                                                                       \
		if (!has(&(r)->out, line))                                         \
			fail_msg("no line '%s' in:\n%s", line, (r)->out.ptr);      \
	} while (0)

static void write_it(struct rig *r)
{
	buf_clear(&r->out);
	dns_metrics_write(r->m, &r->shared, &r->out);
	assert_false(r->out.overflow);
}

static void test_buckets(void **state)
{
	static const struct {
		uint64_t us;
		unsigned bucket;
	} durations[] = { { 0, 0 },	{ 250, 0 },	 { 251, 1 },	 { 500, 1 },	   { 501, 2 },	      { 1000, 2 },
			  { 1001, 3 },	{ 4096000, 14 }, { 8192000, 15 }, { 8192001, 16 }, { UINT64_MAX, 16 } };
	static const struct {
		size_t bytes;
		unsigned bucket;
	} sizes[] = { { 0, 0 },	  { 1, 1 },    { 100, 1 },   { 101, 2 },    { 400, 4 },	   { 401, 5 },	  { 511, 5 },
		      { 512, 6 }, { 1023, 6 }, { 8291, 9 }, { 64000, 13 }, { 64001, 14 }, { 65535, 14 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(durations); i++)
		assert_int_equal(metrics_duration_bucket(durations[i].us), durations[i].bucket);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		assert_int_equal(metrics_size_bucket(sizes[i].bytes), sizes[i].bucket);
}

static void test_questions(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	struct metrics_question q = { .block = &r.blocks[0], .proto = DNS_UDP, .type = DNS_AAAA, .rcode = DNS_NXDOMAIN,
				      .source = FROM_ZONE, .question_bytes = 40, .answer_bytes = 130, .duration_us = 300 };
	dns_metrics_count(dns_metrics_shard(r.m, 0), &q);
	dns_metrics_count(dns_metrics_shard(r.m, 1), &q);
	q.proto = DNS_TCP;
	q.ipv6 = q.dnssec_ok = true;
	q.type = 65280;
	q.rcode = DNS_NOERROR;
	q.source = FROM_CACHE_STALE;
	dns_metrics_count(dns_metrics_shard(r.m, 1), &q);
	write_it(&r);
	assert_line(&r, "# TYPE coredns_dns_requests_total counter");
	assert_line(&r, "coredns_dns_requests_total{server=\"dns://:53\",zone=\".\",view=\"\",proto=\"udp\",family=\"1\",type=\"AAAA\"} 2");
	assert_line(&r, "coredns_dns_requests_total{server=\"dns://:53\",zone=\".\",view=\"\",proto=\"tcp\",family=\"2\",type=\"other\"} 1");
	assert_line(&r, "coredns_dns_request_duration_seconds_bucket{server=\"dns://:53\",zone=\".\",view=\"\",le=\"0.00025\"} 0");
	assert_line(&r, "coredns_dns_request_duration_seconds_bucket{server=\"dns://:53\",zone=\".\",view=\"\",le=\"0.0005\"} 3");
	assert_line(&r, "coredns_dns_request_duration_seconds_bucket{server=\"dns://:53\",zone=\".\",view=\"\",le=\"8.192\"} 3");
	assert_line(&r, "coredns_dns_request_duration_seconds_bucket{server=\"dns://:53\",zone=\".\",view=\"\",le=\"+Inf\"} 3");
	assert_line(&r, "coredns_dns_request_duration_seconds_sum{server=\"dns://:53\",zone=\".\",view=\"\"} 0.0009");
	assert_line(&r, "coredns_dns_request_duration_seconds_count{server=\"dns://:53\",zone=\".\",view=\"\"} 3");
	assert_line(&r, "coredns_dns_request_size_bytes_bucket{server=\"dns://:53\",zone=\".\",view=\"\",proto=\"udp\",le=\"100\"} 2");
	assert_line(&r, "coredns_dns_response_size_bytes_bucket{server=\"dns://:53\",zone=\".\",view=\"\",proto=\"udp\",le=\"100\"} 0");
	assert_line(&r, "coredns_dns_response_size_bytes_sum{server=\"dns://:53\",zone=\".\",view=\"\",proto=\"tcp\"} 130");
	assert_line(&r, "coredns_dns_responses_total{server=\"dns://:53\",zone=\".\",view=\"\",rcode=\"NXDOMAIN\",plugin=\"kubernetes\"} 2");
	assert_line(&r, "coredns_dns_responses_total{server=\"dns://:53\",zone=\".\",view=\"\",rcode=\"NOERROR\",plugin=\"cache\"} 1");
	assert_line(&r, "coredns_dns_do_requests_total{server=\"dns://:53\",zone=\".\",view=\"\"} 1");
	assert_line(&r, "coredns_plugin_enabled{server=\"dns://:53\",zone=\".\",view=\"\",name=\"acl\"} 1");
	assert_line(&r, "coredns_panics_total 0");
	assert_line(&r, "coredns_reload_failed_total 0");
	assert_null(strstr(r.out.ptr, "tls://:853\",zone=\"in-addr.arpa.\",view=\"\",proto"));
	struct dns_totals t;
	dns_metrics_totals(r.m, &t);
	assert_int_equal(t.questions, 3);
	assert_int_equal(t.tcp, 1);
	assert_int_equal(t.rcode[DNS_NXDOMAIN], 2);
	assert_int_equal(t.by_source[FROM_CACHE_STALE], 1);
	teardown(&r);
}

static void test_zones(void **state)
{
	struct rig r;
	struct dns_name name;

	(void)state;
	setup(&r);
	assert_true(dns_name_from_text(STR("1.0.0.10.in-addr.arpa"), &name));
	struct metrics_question q = { .block = &r.blocks[1], .name = &name, .proto = DNS_DOT, .type = DNS_PTR, .rcode = 99 };
	dns_metrics_count(dns_metrics_shard(r.m, 0), &q);
	q.block = NULL;
	q.rcode = DNS_REFUSED;
	dns_metrics_count(dns_metrics_shard(r.m, 0), &q);
	write_it(&r);
	assert_line(&r, "coredns_dns_requests_total{server=\"tls://:853\",zone=\"in-addr.arpa.\",view=\"\",proto=\"tcp\",family=\"1\",type=\"PTR\"} 1");
	assert_line(&r, "coredns_dns_responses_total{server=\"tls://:853\",zone=\"in-addr.arpa.\",view=\"\",rcode=\"other\",plugin=\"\"} 1");
	assert_line(&r, "coredns_dns_responses_total{server=\"dns://:53\",zone=\"dropped\",view=\"\",rcode=\"REFUSED\",plugin=\"\"} 1");
	teardown(&r);
}

/* Counters live on when a configuration is read again, also with its zones in another order. */
static void test_reload(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	struct metrics_question q = { .block = &r.blocks[1], .name = &r.zones[1], .type = DNS_A };
	dns_metrics_count(dns_metrics_shard(r.m, 0), &q);
	unsigned id = r.blocks[1].metrics_id;
	dns_metrics_config(r.m, &r.config);
	assert_int_equal(r.blocks[1].metrics_id, id);
	struct dns_name swapped[] = { r.zones[2], r.zones[1] };
	r.blocks[1].zones = swapped;
	dns_metrics_config(r.m, &r.config);
	assert_int_not_equal(r.blocks[1].metrics_id, id);
	dns_metrics_count(dns_metrics_shard(r.m, 0), &q);
	for (unsigned i = 0; i < 200; i++) { /* the arrays grow under the worker's feet */
		char server[32];
		snprintf(server, sizeof(server), "dns://:%u", 1000 + i);
		r.blocks[0].server = server;
		dns_metrics_config(r.m, &r.config);
	}
	dns_metrics_count(dns_metrics_shard(r.m, 0), &q);
	write_it(&r);
	assert_line(&r, "coredns_dns_requests_total{server=\"tls://:853\",zone=\"cluster.local.\",view=\"\",proto=\"udp\",family=\"1\",type=\"A\"} 3");
	teardown(&r);
}

static void test_many_places(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	for (unsigned i = 0; i < PLACES_MAX + 10; i++) {
		char server[32];
		snprintf(server, sizeof(server), "dns://:%u", 1000 + i);
		r.blocks[0].server = server;
		dns_metrics_config(r.m, &r.config);
	}
	struct metrics_question q = { .block = &r.blocks[0], .type = DNS_A };
	dns_metrics_count(dns_metrics_shard(r.m, 0), &q);
	write_it(&r);
	assert_line(&r, "coredns_dns_requests_total{server=\"\",zone=\"other\",view=\"\",proto=\"udp\",family=\"1\",type=\"A\"} 1");
	teardown(&r);
}

static void test_series(void **state)
{
	struct rig r;
	struct buf labels;

	(void)state;
	setup(&r);
	buf_init(&labels, 1024);
	metric_label(&labels, "server", "dns://:53");
	metric_label(&labels, "type", "a\"b\\c\nd");
	assert_string_equal(labels.ptr, "server=\"dns://:53\",type=\"a\\\"b\\\\c\\nd\"");
	struct metric *hits = dns_metric(r.m, "coredns_cache_hits_total", METRIC_COUNTER, "The count of cache hits.", labels.ptr);
	assert_ptr_equal(hits, dns_metric(r.m, "coredns_cache_hits_total", METRIC_COUNTER, "x", labels.ptr));
	struct metric *entries = dns_metric(r.m, "coredns_cache_entries", METRIC_GAUGE, "Entries.", "");
	struct metric *to = dns_metric(r.m, "coredns_proxy_request_duration_seconds", METRIC_HISTOGRAM, "Time.", "to=\"1.1.1.1:53\"");
	struct metric *health = dns_metric(r.m, "coredns_health_request_duration_seconds", METRIC_HISTOGRAM_SLIM, "Time.", "");
	metric_add(hits, 0, 2);
	metric_add(hits, 1, 3);
	metric_add(hits, METRIC_MAIN, 1);
	metric_add(entries, 0, 5);
	metric_add(entries, 1, -7);
	metric_observe_us(to, 1, 700);
	metric_observe_us(health, METRIC_MAIN, 2500);
	metric_observe_us(health, METRIC_MAIN, 99000000);
	assert_int_equal(metric_value(hits), 6);
	write_it(&r);
	assert_line(&r, "coredns_cache_hits_total{server=\"dns://:53\",type=\"a\\\"b\\\\c\\nd\"} 6");
	assert_line(&r, "coredns_cache_entries -2");
	assert_line(&r, "coredns_proxy_request_duration_seconds_bucket{to=\"1.1.1.1:53\",le=\"0.0005\"} 0");
	assert_line(&r, "coredns_proxy_request_duration_seconds_bucket{to=\"1.1.1.1:53\",le=\"0.001\"} 1");
	assert_line(&r, "coredns_proxy_request_duration_seconds_sum{to=\"1.1.1.1:53\"} 0.0007");
	assert_line(&r, "coredns_health_request_duration_seconds_bucket{le=\"0.0025\"} 1");
	assert_line(&r, "coredns_health_request_duration_seconds_bucket{le=\"2.5\"} 1");
	assert_line(&r, "coredns_health_request_duration_seconds_bucket{le=\"+Inf\"} 2");
	assert_line(&r, "coredns_health_request_duration_seconds_count 2");
	/* Another kind under the same name is a mistake that must not spoil the page. */
	metric_add(dns_metric(r.m, "coredns_cache_entries", METRIC_COUNTER, "x", ""), 0, 1);
	write_it(&r);
	assert_line(&r, "coredns_cache_entries -2");
	buf_done(&labels);
	teardown(&r);
}

static void test_programming(void **state)
{
	static const char name[] = "endpoints.kubernetes.io/last-change-trigger-time";
	struct rig r;
	char text[TIME_TEXT_BYTES];

	(void)state;
	setup(&r);
	json_t *slice = json_pack("{s:{s:{s:s}}}", "metadata", "annotations", name, time_text(wall_now_ms() - 5000, text));
	dns_metrics_programmed(r.m, slice, true);
	jx_del(slice, "metadata.annotations");
	dns_metrics_programmed(r.m, slice, true);
	jx_set(slice, "metadata", json_pack("{s:{s:s}}", "annotations", name, "yesterday"));
	dns_metrics_programmed(r.m, slice, false);
	json_decref(slice);
	write_it(&r);
	assert_line(&r, "coredns_kubernetes_dns_programming_duration_seconds_bucket{service_kind=\"headless_with_selector\",le=\"4.096\"} 0");
	assert_line(&r, "coredns_kubernetes_dns_programming_duration_seconds_bucket{service_kind=\"headless_with_selector\",le=\"8.192\"} 1");
	assert_line(&r, "coredns_kubernetes_dns_programming_duration_seconds_bucket{service_kind=\"headless_with_selector\",le=\"524.288\"} 1");
	assert_line(&r, "coredns_kubernetes_dns_programming_duration_seconds_count{service_kind=\"cluster_ip\"} 0");
	teardown(&r);
}

/* The kernel's answers are questions too, so that a dashboard's sums are right. */
static void test_kernel(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	metrics_write_with(r.m, &r.config, &(struct kernel_counts){ .answered = 1000, .denied = 500, .passed = 7 },
			   &r.blocks[0], &r.out);
	assert_line(&r, "portico_dns_kernel_answers_total{result=\"passed\"} 7");
	assert_line(&r, "coredns_dns_requests_total{server=\"dns://:53\",zone=\".\",view=\"\",proto=\"udp\",family=\"1\",type=\"other\"} 1500");
	assert_line(&r, "coredns_dns_responses_total{server=\"dns://:53\",zone=\".\",view=\"\",rcode=\"NXDOMAIN\",plugin=\"kernel\"} 500");
	teardown(&r);
}

static void test_process(void **state)
{
	struct rig r;

	(void)state;
	setup(&r);
	write_it(&r);
	static const char *const names[] = { "process_cpu_seconds_total", "process_open_fds", "process_max_fds", "process_start_time_seconds",
					     "process_resident_memory_bytes", "process_virtual_memory_bytes" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		cleanup(freep) char *start = xasprintf("\n%s ", names[i]);
		const char *at = strstr(r.out.ptr, start);
		assert_non_null(at);
		assert_true(strtod(at + strlen(start), NULL) > 0);
	}
	teardown(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buckets),	 cmocka_unit_test(test_questions), cmocka_unit_test(test_zones),
		cmocka_unit_test(test_reload),	 cmocka_unit_test(test_many_places), cmocka_unit_test(test_series),
		cmocka_unit_test(test_programming), cmocka_unit_test(test_process),
		cmocka_unit_test(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
