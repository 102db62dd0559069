/* LoadBalancer addresses: what a pool contains, and which Service gets which address. */
#include "roles/lb/assign.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool is_value(void *ctx, uint32_t ip)
{
	return ip == *(uint32_t *)ctx;
}

static void pools(void **state)
{
	static const struct {
		const char *text, *first, *second; /* NULL first: refused; "": empty */
	} rows[] = {
		{ "198.18.0.0/24", "198.18.0.1", "198.18.0.2" },
		{ "10.0.0.255/32", "10.0.0.255", NULL },
		{ "10.0.0.4/31", "10.0.0.4", "10.0.0.5" },
		{ "10.0.0.254-10.0.1.1", "10.0.0.254", "10.0.0.255" },
		{ "10.0.0.254/23", "10.0.0.1", "10.0.0.2" },
		{ " 10.0.0.9 , 10.1.0.0/30 ", "10.0.0.9", "10.1.0.1" },
		{ "255.255.255.255", "255.255.255.255", NULL },
		{ "", "", NULL },
		{ NULL, "", NULL },
		{ ",", "", NULL },
		{ "10.0.0.0/33", NULL, NULL },
		{ "10.0.0.9-10.0.0.8", NULL, NULL },
		{ "10.0.0.0/", NULL, NULL },
		{ "10.0.0/24", NULL, NULL },
		{ "pool", NULL, NULL },
		{ "10.0.0.1-", NULL, NULL },
		{ "fd00::/64", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pool p;
		struct err e;
		uint32_t ip, want;

		if (!rows[i].first) {
			assert_int_equal(pool_parse(rows[i].text, &p, &e), -1);
			continue;
		}
		assert_int_equal(pool_parse(rows[i].text, &p, &e), 0);
		if (!rows[i].first[0]) {
			assert_int_equal(p.n, 0);
			continue;
		}
		want = 0; /* in no pool */
		assert_true(pool_find(&p, is_value, &want, &ip));
		assert_true(ip4_parse(rows[i].first, &want));
		assert_int_equal(ip, want);
		assert_true(pool_has(&p, ip));
		bool found = pool_find(&p, is_value, &want, &ip);
		assert_int_equal(found, rows[i].second != NULL);
		if (found) {
			assert_true(ip4_parse(rows[i].second, &want));
			assert_int_equal(ip, want);
		}
	}
}

static const char *host_has(void *ctx, uint32_t ip)
{
	uint32_t mine;

	return ip4_parse(ctx, &mine) && ip == mine ? "eth0" : NULL;
}

static json_t *service(const char *type, const char *status_ip)
{
	json_t *s = json_pack("{s:{s:s}}", "spec", "type", type);

	if (status_ip)
		jx_set(s, "status.loadBalancer.ingress", json_pack("[{s:s}]", "ip", status_ip));
	return s;
}

struct step {
	const char *key, *type, *wanted, *status; /* type NULL: the Service is gone */
	enum assign_verdict verdict;
	const char *ip;	 /* given */
	const char *said; /* part of the reason */
};

static void steps_run(const char *pool_text, const struct step *rows, size_t n)
{
	struct assign a;
	struct pool p;
	struct err e;

	assert_int_equal(pool_parse(pool_text, &p, &e), 0);
	assign_init(&a, &p, host_has, (void *)"10.0.0.3");
	for (size_t i = 0; i < n; i++) {
		json_t *svc = rows[i].type ? service(rows[i].type, rows[i].status) : NULL;
		struct assign_result r;
		char text[IP4_TEXT_BYTES];

		if (rows[i].wanted)
			jx_set_str(svc, "spec.loadBalancerIP", rows[i].wanted);
		assign_decide(&a, rows[i].key, svc, &r);
		print_message("step %zu: %s\n", i, r.why);
		assert_int_equal(r.verdict, rows[i].verdict);
		if (rows[i].ip)
			assert_string_equal(ip4_text(r.ip, text), rows[i].ip);
		else
			assert_int_equal(r.ip, 0);
		if (rows[i].said)
			assert_non_null(strstr(r.why, rows[i].said));
		json_decref(svc);
	}
	assign_done(&a);
}

static void assigning(void **state)
{
	static const struct step rows[] = {
		{ "a/1", "LoadBalancer", NULL, NULL, ASSIGN_HAS, "10.0.0.1", NULL },
		{ "a/2", "LoadBalancer", NULL, NULL, ASSIGN_HAS, "10.0.0.2", NULL },
		/* .3 is the machine's own */
		{ "a/3", "LoadBalancer", NULL, NULL, ASSIGN_HAS, "10.0.0.4", NULL },
		{ "a/4", "LoadBalancer", NULL, NULL, ASSIGN_PENDING, NULL, "no available IPs" },
		{ "a/1", "LoadBalancer", NULL, "10.0.0.1", ASSIGN_HAS, "10.0.0.1", NULL },
		{ "a/2", "NodePort", NULL, "10.0.0.2", ASSIGN_NOT_OURS, NULL, NULL },
		{ "a/4", "LoadBalancer", NULL, NULL, ASSIGN_HAS, "10.0.0.2", NULL },
		{ "a/1", NULL, NULL, NULL, ASSIGN_NOT_OURS, NULL, NULL },
		{ "a/5", "LoadBalancer", "10.0.0.4", NULL, ASSIGN_PENDING, NULL, "in use by Service \"a/3\"" },
		{ "a/5", "LoadBalancer", "10.0.9.9", NULL, ASSIGN_PENDING, NULL, "not in the address pool" },
		{ "a/5", "LoadBalancer", "nonsense", NULL, ASSIGN_PENDING, NULL, "not an IPv4 address" },
		{ "a/5", "LoadBalancer", "10.0.0.3", NULL, ASSIGN_PENDING, NULL, "own address on eth0" },
		{ "a/5", "LoadBalancer", "10.0.0.1", NULL, ASSIGN_HAS, "10.0.0.1", NULL },
		/* it asks for another one: the old one is free again */
		{ "a/3", "LoadBalancer", "10.0.9.9", "10.0.0.4", ASSIGN_PENDING, NULL, "not in the address pool" },
		{ "a/6", "LoadBalancer", NULL, "10.0.0.4", ASSIGN_HAS, "10.0.0.4", NULL },
		/* a status from outside the pool is worth nothing */
		{ "a/6", NULL, NULL, NULL, ASSIGN_NOT_OURS, NULL, NULL },
		{ "a/7", "LoadBalancer", NULL, "192.0.2.1", ASSIGN_HAS, "10.0.0.4", NULL },
	};
	static const struct step no_pool[] = {
		{ "a/1", "LoadBalancer", NULL, NULL, ASSIGN_PENDING, NULL, "no address pool" },
	};

	(void)state;
	steps_run("10.0.0.1-10.0.0.4", rows, ARRAY_LEN(rows));
	steps_run("", no_pool, ARRAY_LEN(no_pool));
}

static void classes(void **state)
{
	struct pool p;
	struct assign a;
	struct assign_result r;
	struct err e;
	json_t *svc = service("LoadBalancer", NULL);

	(void)state;
	assert_int_equal(pool_parse("10.0.0.1", &p, &e), 0);
	assign_init(&a, &p, host_has, (void *)"none");
	jx_set_str(svc, "spec.loadBalancerClass", "example.com/other");
	assign_decide(&a, "a/1", svc, &r);
	assert_int_equal(r.verdict, ASSIGN_NOT_OURS);
	jx_set_str(svc, "spec.loadBalancerClass", LB_CLASS);
	assign_decide(&a, "a/1", svc, &r);
	assert_int_equal(r.verdict, ASSIGN_HAS);
	jx_set_str(svc, "metadata.deletionTimestamp", "2026-01-01T00:00:00Z");
	assign_decide(&a, "a/1", svc, &r);
	assert_int_equal(r.verdict, ASSIGN_NOT_OURS);
	assert_int_equal(r.released, 0x0a000001);
	json_decref(svc);
	assign_done(&a);
}

/* Two Services claim one address in their status: the first seen keeps it, the other gets another one. */
static void adoption(void **state)
{
	struct pool p;
	struct assign a;
	struct assign_result r;
	struct err e;
	json_t *one = service("LoadBalancer", "10.0.0.2"), *fresh = service("LoadBalancer", NULL);

	(void)state;
	assert_int_equal(pool_parse("10.0.0.1-10.0.0.3", &p, &e), 0);
	assign_init(&a, &p, host_has, (void *)"none");
	assign_adopt(&a, "a/1", one);
	assign_adopt(&a, "a/2", one);
	assign_decide(&a, "a/0", fresh, &r);
	assert_int_equal(r.ip, 0x0a000001);
	assign_decide(&a, "a/2", one, &r);
	assert_int_equal(r.ip, 0x0a000003);
	assign_decide(&a, "a/1", one, &r);
	assert_int_equal(r.ip, 0x0a000002);
	assert_string_equal(assign_owner(&a, 0x0a000002), "a/1");
	json_decref(one);
	json_decref(fresh);
	assign_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pools),
		cmocka_unit_test(assigning),
		cmocka_unit_test(classes),
		cmocka_unit_test(adoption),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
