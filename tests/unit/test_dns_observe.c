/* Search lists, their hints, the sketch of what comes most often. */
#include "roles/dns/observe/search.h"
#include "roles/dns/observe/topk.h"

#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>

static void plan(struct search_plan *p, const char *name, const char *resolv_conf)
{
	struct pod_dns d;

	pod_dns_parse(str_of(resolv_conf), &d);
	search_plan_make(p, name, &d);
	pod_dns_done(&d);
}

#define CLUSTER "search default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"

static void test_search(void **state)
{
	static const struct {
		const char *name, *conf, *names;
	} rows[] = {
		{ "web", CLUSTER, "web.default.svc.cluster.local. web.svc.cluster.local. web.cluster.local. web." },
		{ "www.example.com", CLUSTER, "www.example.com.default.svc.cluster.local. www.example.com.svc.cluster.local. "
					      "www.example.com.cluster.local. www.example.com." },
		{ "example.com.", CLUSTER, "example.com." },
		{ "a.b.c.d.e.f", CLUSTER, "a.b.c.d.e.f. a.b.c.d.e.f.default.svc.cluster.local. a.b.c.d.e.f.svc.cluster.local. "
					  "a.b.c.d.e.f.cluster.local." },
		{ "www.example.com", "search corp\n", "www.example.com. www.example.com.corp." },
		{ "db", "search corp.\n", "db.corp. db." },
		{ "db", "", "db." },
		{ "db", "search .\noptions ndots:2\n", "db. db." },
		{ "a.b", "search x\noptions ndots:99\n", "a.b.x. a.b." },
		{ "a.b", "search x\noptions ndots:many\n", "a.b. a.b.x." },
		{ ".", CLUSTER, "." },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct search_plan p;
		struct buf b;
		buf_init(&b, 4096);
		plan(&p, rows[i].name, rows[i].conf);
		for (size_t n = 0; n < p.n; n++)
			buf_printf(&b, "%s%s", n ? " " : "", p.names[n]);
		assert_string_equal(b.ptr, rows[i].names);
		buf_done(&b);
		search_plan_done(&p);
	}
}

static void test_hints(void **state)
{
	static const struct {
		const char *name;
		size_t found;
		const char *hint;
	} rows[] = {
		{ "example.com", 3, "4 names were tried because of ndots:5 (the name has 1 dot); write 'example.com.', with the dot at its end, to save 3" },
		{ "web.other", 1, "2 names were tried; write 'web.other.svc.cluster.local.', with the dot at its end, to save 1" },
		{ "web", 0, NULL },
		{ "nothing", 4, "all 4 names were tried, and none has such a record" },
		{ "nothing.example.", 1, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct search_plan p;
		plan(&p, rows[i].name, CLUSTER);
		cleanup(freep) char *hint = search_hint(&p, rows[i].found);
		if (rows[i].hint)
			assert_string_equal(hint, rows[i].hint);
		else
			assert_null(hint);
		search_plan_done(&p);
	}
}

static void test_topk_exact(void **state)
{
	const struct topk_entry *sorted[4];
	struct topk t;

	(void)state;
	topk_init(&t, 4);
	for (int i = 0; i < 10; i++)
		topk_count(&t, "a", 1);
	for (int i = 0; i < 3; i++)
		topk_count(&t, "bb", 2)->extra[0]++;
	topk_count(&t, "c", 1);
	topk_sorted(&t, sorted);
	assert_int_equal(t.n, 3);
	assert_memory_equal(sorted[0]->key, "a", 1);
	assert_int_equal(sorted[0]->count, 10);
	assert_int_equal(sorted[1]->extra[0], 3);
	assert_int_equal(sorted[2]->count, 1);
	assert_int_equal(t.total, 14);
	topk_done(&t);
}

/* A stream of many rare keys does not hide the frequent ones, and the error is known. */
static void test_topk_bounds(void **state)
{
	const struct topk_entry *sorted[32];
	uint64_t truth[4] = { 0 };
	struct topk t;
	uint32_t x = 1;
	bool found[4] = { 0 };

	(void)state;
	topk_init(&t, 32);
	for (unsigned i = 0; i < 100000; i++) {
		char key[16];
		x = x * 1664525 + 1013904223;
		unsigned r = x >> 16;
		unsigned which = r % 10 < 4 ? r % 10 : 4 + r;
		if (which < 4)
			truth[which]++;
		int n = snprintf(key, sizeof(key), "k%u", which);
		topk_count(&t, key, (size_t)n);
		assert_true(t.n <= 32);
	}
	topk_sorted(&t, sorted);
	for (uint32_t i = 0; i < t.n; i++) {
		if (i)
			assert_true(topk_sure(sorted[i - 1]) >= topk_sure(sorted[i]));
		if (sorted[i]->len == 2 && sorted[i]->key[1] < '4') {
			unsigned which = (unsigned)(sorted[i]->key[1] - '0');
			found[which] = true;
			assert_true(sorted[i]->count >= truth[which] && sorted[i]->count - sorted[i]->over <= truth[which]);
			assert_true(i < 4);
		}
	}
	for (size_t i = 0; i < 4; i++)
		assert_true(found[i]);
	topk_done(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_hints),
		cmocka_unit_test(test_topk_exact),
		cmocka_unit_test(test_topk_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
