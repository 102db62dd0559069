/* The node role's small rules: back-off, probe verdicts, resources, DNS and hosts files. */
#include "codec/jx.h"
#include "roles/node/backoff.h"
#include "roles/node/dns_config.h"
#include "roles/node/grpc.h"
#include "roles/node/probe_state.h"
#include "roles/node/resources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static json_t *parse(const char *text)
{
	struct err e;
	json_t *v = jx_parse(str_of(text), 65536, &e);

	assert_non_null(v);
	return v;
}

/* A container that lives one second and fails, for ever: when is each run begun? */
static void test_backoff_doubles(void **state)
{
	static const uint64_t waits[] = { 0, 10000, 20000, 40000, 80000, 160000, 300000, 300000 };
	struct backoff b = { 0 };
	int64_t now = 1000000;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		int64_t failed_at = now + 1000;
		uint64_t wait = backoff_wait_ms(&b, failed_at, failed_at);
		assert_int_equal(wait, waits[i]);
		assert_int_equal(backoff_wait_ms(&b, failed_at, failed_at + (int64_t)wait), 0);
		now = failed_at + (int64_t)wait;
		backoff_next(&b, now);
	}
	/* Ten quiet minutes later it is forgiven. */
	now += 2 * BACKOFF_MAX_MS + 2000;
	assert_int_equal(backoff_wait_ms(&b, now, now), 0);
	backoff_next(&b, now);
	assert_int_equal(b.delay_ms, BACKOFF_FIRST_MS);
}

static const struct {
	int success, failure;
	enum verdict initial;
	const char *results;  /* '+' and '-' */
	const char *verdicts; /* after each: S, F, U */
} probe_rows[] = {
	{ 1, 3, VERDICT_FAILURE, "+", "S" },
	{ 1, 3, VERDICT_SUCCESS, "--+---+", "SSSSSFS" },
	{ 2, 1, VERDICT_FAILURE, "+-++-", "FFFSF" },
	{ 1, 2, VERDICT_UNKNOWN, "-+", "US" },
	{ 1, 2, VERDICT_UNKNOWN, "--", "UF" },
	{ 3, 3, VERDICT_SUCCESS, "---++-+++", "SSFFFFFFS" },
};

static void test_probe_verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(probe_rows); i++) {
		struct probe_state s = { probe_rows[i].success, probe_rows[i].failure,
					 probe_rows[i].initial };
		for (size_t n = 0; probe_rows[i].results[n]; n++) {
			enum verdict before = s.verdict;
			bool changed = probe_state_feed(&s, probe_rows[i].results[n] == '+');
			assert_int_equal("USF"[s.verdict], probe_rows[i].verdicts[n]);
			assert_int_equal(changed, s.verdict != before);
		}
	}
}

#define RES(requests, limits)                                                                      \
	"{\"resources\":{\"requests\":{" requests "},\"limits\":{" limits "}}}"
static const struct {
	const char *containers;
	enum qos qos;
	int64_t shares, quota, memory, oom; /* of the first container, on a node of 1000 Mi */
} resource_rows[] = {
	{ RES("", ""), QOS_BEST_EFFORT, 2, 0, 0, 1000 },
	{ RES("", "\"cpu\":\"500m\",\"memory\":\"64Mi\""), QOS_GUARANTEED, 512, 50000, 64 << 20,
	  -997 },
	{ RES("\"cpu\":\"1\",\"memory\":\"100Mi\"", "\"cpu\":\"2\",\"memory\":\"200Mi\""),
	  QOS_BURSTABLE, 1024, 200000, 200 << 20, 900 },
	{ RES("\"cpu\":\"1m\"", "\"cpu\":\"1m\""), QOS_BURSTABLE, 2, 1000, 0, 999 },
	{ RES("\"memory\":\"2000Mi\"", ""), QOS_BURSTABLE, 2, 0, 0, 3 },
	{ RES("", "\"cpu\":\"1\",\"memory\":\"1Mi\"") "," RES("", ""), QOS_BURSTABLE, 1024, 100000,
	  1 << 20, 999 },
};

static void test_resources(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(resource_rows); i++) {
		cleanup(freep) char *text =
			xasprintf("{\"metadata\":{\"uid\":\"u\"},\"spec\":{\"containers\":[%s]}}",
				  resource_rows[i].containers);
		cleanup(json_decrefp) json_t *pod = parse(text);
		struct cpu_memory r = container_resources(
			pod, json_array_get(jx_at(pod, "spec.containers"), 0), (int64_t)1000 << 20);
		assert_int_equal(qos_of_pod(pod), resource_rows[i].qos);
		assert_int_equal(r.cpu_shares, resource_rows[i].shares);
		assert_int_equal(r.cpu_quota_us, resource_rows[i].quota);
		assert_int_equal(r.memory_limit_bytes, resource_rows[i].memory);
		assert_int_equal(r.oom_score_adj, resource_rows[i].oom);
	}
}

static void test_cgroup_path(void **state)
{
	cleanup(json_decrefp) json_t *pod =
		parse("{\"metadata\":{\"uid\":\"u-1\"},\"spec\":{\"containers\":[{}]}}");
	cleanup(freep) char *path = pod_cgroup_path(pod);

	(void)state;
	assert_string_equal(path, "/kubepods/besteffort/podu-1");
}

static char *join(const struct string_list *l)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_puts(&b, "");
	for (size_t i = 0; i < l->n; i++)
		buf_printf(&b, "%s%s", i ? " " : "", l->at[i]);
	return b.ptr ? buf_take(&b) : xstrdup("");
}

static const char resolv[] = "# comment\nsearch old.example\nnameserver 9.9.9.9\n\tnameserver  "
			     "8.8.8.8 \nsearch a.example "
			     "b.example\noptions edns0 ndots:1\n";
static const struct {
	const char *spec, *servers, *searches, *options;
} dns_rows[] = {
	{ "{}", "10.96.0.10",
	  "ns.svc.cluster.local svc.cluster.local cluster.local a.example b.example", "ndots:5" },
	{ "{\"dnsPolicy\":\"Default\"}", "9.9.9.9 8.8.8.8", "a.example b.example",
	  "edns0 ndots:1" },
	{ "{\"hostNetwork\":true}", "9.9.9.9 8.8.8.8", "a.example b.example", "edns0 ndots:1" },
	{ "{\"hostNetwork\":true,\"dnsPolicy\":\"ClusterFirstWithHostNet\"}", "10.96.0.10",
	  "ns.svc.cluster.local svc.cluster.local cluster.local a.example b.example", "ndots:5" },
	{ "{\"dnsPolicy\":\"None\",\"dnsConfig\":{\"nameservers\":[\"1.1.1.1\"],\"searches\":["
	  "\"x\"]"
	  ",\"options\":[{\"name\":"
	  "\"use-vc\"},{\"name\":\"ndots\",\"value\":\"2\"}]}}",
	  "1.1.1.1", "x", "use-vc ndots:2" },
	{ "{\"dnsConfig\":{\"searches\":[\"x\",\"cluster.local\"],\"options\":[{\"name\":\"ndots\","
	  "\"value\":\"1\"}]}}",
	  "10.96.0.10",
	  "ns.svc.cluster.local svc.cluster.local cluster.local a.example b.example x", "ndots:1" },
};

static void test_dns(void **state)
{
	struct pod_dns host;

	(void)state;
	pod_dns_parse(STR(resolv), &host);
	for (size_t i = 0; i < ARRAY_LEN(dns_rows); i++) {
		struct pod_dns_cluster cluster = { "10.96.0.10", "cluster.local", &host };
		cleanup(freep) char *text = xasprintf(
			"{\"metadata\":{\"namespace\":\"ns\"},\"spec\":%s}", dns_rows[i].spec);
		cleanup(json_decrefp) json_t *pod = parse(text);
		struct pod_dns d;
		pod_dns_of(pod, &cluster, &d);
		cleanup(freep) char *servers = join(&d.servers), *searches = join(&d.searches),
				    *options = join(&d.options);
		assert_string_equal(servers, dns_rows[i].servers);
		assert_string_equal(searches, dns_rows[i].searches);
		assert_string_equal(options, dns_rows[i].options);
		pod_dns_done(&d);
	}
	pod_dns_done(&host);
}

static void test_hosts(void **state)
{
	cleanup(json_decrefp) json_t *pod =
		parse("{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\"},\"spec\":{\"hostname\":"
		      "\"h\",\"subdomain\":\"s\","
		      "\"hostAliases\":[{\"ip\":\"1.2.3.4\",\"hostnames\":[\"a\",\"b\"]}]}}");
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	hosts_file_print(pod, "10.0.0.5", "cluster.local", NULL, &out);
	assert_non_null(strstr(out.ptr, "\n10.0.0.5\th.s.ns.svc.cluster.local\th\n"));
	assert_non_null(strstr(out.ptr, "\n1.2.3.4\ta\tb\n"));
	buf_clear(&out);
	hosts_file_print(pod, "10.0.0.5", "cluster.local", "127.0.0.1 me\n", &out);
	assert_non_null(strstr(out.ptr, "127.0.0.1 me\n"));
	assert_null(strstr(out.ptr, "10.0.0.5"));
	buf_done(&out);
}

static void test_hostname(void **state)
{
	char text[128], out[64];

	(void)state;
	memset(text, 'a', 100);
	text[62] = '-';
	text[100] = '\0';
	cleanup(freep) char *json = xasprintf("{\"metadata\":{\"name\":\"%s\"}}", text);
	cleanup(json_decrefp) json_t *pod = parse(json);
	pod_hostname(pod, out);
	assert_int_equal(strlen(out), 62); /* cut to 63, and the dash that ended it then */
}

static const struct {
	const char *bytes;
	size_t len;
	const char *message; /* NULL: refused */
} frames[] = {
	{ "\0\0\0\0\0", 5, "" },      { "\0\0\0\0\3abc", 8, "abc" },
	{ "\1\0\0\0\3abc", 8, NULL }, { "\0\0\0\0\4abc", 8, NULL },
	{ "\0\0\0\0\2abc", 8, NULL }, { "\0\377\377\377\377abc", 8, NULL },
	{ "\0\0\0", 3, NULL },
};

static void test_grpc_frames(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		struct str message;
		struct err e;
		int rc = grpc_unframe((struct str){ frames[i].bytes, frames[i].len }, &message, &e);
		assert_int_equal(rc, frames[i].message ? 0 : -1);
		if (rc == 0)
			assert_true(str_eq_c(message, frames[i].message));
	}
	assert_int_equal(grpc_reason(GRPC_NOT_FOUND), ERR_NOT_FOUND);
	assert_int_equal(grpc_reason(9999), ERR_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backoff_doubles),
		cmocka_unit_test(test_probe_verdicts),
		cmocka_unit_test(test_resources),
		cmocka_unit_test(test_cgroup_path),
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_hostname),
		cmocka_unit_test(test_grpc_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
