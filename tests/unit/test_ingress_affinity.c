/* Sessions by cookie, and who goes to a canary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "ingress_fake_upstream.h"
#include "roles/ingress/upstream/balance_int.h"

static struct fake f;
static struct fake_backend main_fb, canary_fb[3];
static struct settings canary_set[3];
static struct canary canaries[3];

#define COOKIE_NAME "INGRESSCOOKIE"

static void begin(const char *url, size_t n_canaries)
{
	fake_init(&f, "GET", url);
	fake_backend_init(&main_fb, "default-web-80", 5, 0);
	f.loc.backend = f.x.backend = &main_fb.b;
	f.set.affinity_cookie = true;
	f.set.session_cookie_name = (char *)(uintptr_t)COOKIE_NAME;
	f.set.session_cookie_expires_s = f.set.session_cookie_max_age_s = f.set.session_cookie_secure = -1;
	memset(canary_set, 0, sizeof(canary_set));
	for (unsigned i = 0; i < n_canaries; i++) {
		char name[32];
		snprintf(name, sizeof(name), "default-canary%u-80", i);
		fake_backend_init(&canary_fb[i], name, 3, 100 + 10 * i);
		canary_set[i].canary = true;
		canaries[i] = (struct canary){ .set = &canary_set[i], .backend = &canary_fb[i].b, .ingress = "default/canary" };
	}
	f.loc.canaries = n_canaries ? canaries : NULL;
	f.loc.n_canaries = n_canaries;
}

static void end(void)
{
	fake_backend_done(&main_fb);
	for (size_t i = 0; i < f.loc.n_canaries; i++)
		fake_backend_done(&canary_fb[i]);
	fake_done(&f);
}

static struct endpoint *pick_at(struct backend *b)
{
	bool full;

	f.x.n_tried = 0;
	f.x.sticky = STR_NONE;
	f.x.backend = b;
	struct endpoint *e = balance_pick_at(&f.x, b, 1000, &full);
	if (e) {
		balance_done_at(&f.x, e, false, 1, 1000);
		endpoint_unref(e);
	}
	return e;
}

static const char *set_cookie(void)
{
	f.x.ans.headers.n = 0;
	affinity_set_cookie(&f.x);
	return fake_answer_header(&f, "Set-Cookie");
}

/* The browser sends what it was given. */
static void send_back(const char *cookie)
{
	char *pair = arena_strndup(&f.x.arena, cookie, strcspn(cookie, ";"));

	f.x.req.headers.n = 0;
	fake_header(&f, "cookie", arena_printf(&f.x.arena, "theme=dark; %s", pair));
}

/* A lua-resty-cookie with its attributes in this order; md5(md5(name) . name) by md5sum. */
static void test_cookie_text(void **state)
{
	static const struct {
		const char *url, *agent, *path, *domain;
		int expires, max_age, secure;
		enum same_site same_site;
		bool conditional;
		const char *attributes;
	} rows[] = {
		{ "http://a/", NULL, NULL, NULL, -1, -1, -1, 0, false, "; Path=/; HttpOnly" },
		{ "https://a/", NULL, NULL, NULL, -1, -1, -1, 0, false, "; Path=/; Secure; HttpOnly" },
		{ "https://a/", NULL, NULL, NULL, -1, -1, 0, 0, false, "; Path=/; Secure; HttpOnly" }, /* "false" is taken for not set */
		{ "http://a/", NULL, NULL, NULL, -1, -1, 1, 0, false, "; Path=/; Secure; HttpOnly" },
		{ "http://a/", NULL, "/app", "foo.bar", -1, 259200, -1, SAME_SITE_LAX, false,
		  "; Max-Age=259200; Domain=foo.bar; Path=/app; HttpOnly; SameSite=Lax" },
		{ "http://a/", NULL, NULL, NULL, -1, -1, -1, SAME_SITE_STRICT, true, "; Path=/; HttpOnly; SameSite=Strict" },
		{ "http://a/", NULL, NULL, NULL, -1, -1, -1, SAME_SITE_NONE, false, "; Path=/; HttpOnly; SameSite=None" },
		{ "http://a/", "Chrome/50.0", NULL, NULL, -1, -1, -1, SAME_SITE_NONE, false, "; Path=/; HttpOnly; SameSite=None" },
		{ "http://a/", "Chrome/50.0", NULL, NULL, -1, -1, -1, SAME_SITE_NONE, true, "; Path=/; HttpOnly" },
		{ "http://a/", "Mozilla/5.0 (iPhone; CPU iPhone OS 12_3)", NULL, NULL, -1, -1, -1, SAME_SITE_NONE, true,
		  "; Path=/; HttpOnly" },
		{ "http://a/", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_3) Version/12 Safari/605", NULL, NULL, -1, -1, -1,
		  SAME_SITE_NONE, true, "; Path=/; HttpOnly" },
		{ "http://a/", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_3) Chrome/80.0 Safari/605", NULL, NULL, -1, -1, -1,
		  SAME_SITE_NONE, true, "; Path=/; HttpOnly; SameSite=None" },
		{ "http://a/", NULL, NULL, NULL, -1, -1, -1, SAME_SITE_NONE, true, "; Path=/; HttpOnly; SameSite=None" },
		{ "http://a/", NULL, "/a;b", "x\r\ny", -1, -1, -1, 0, false, "; HttpOnly" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(rows[i].url, 0);
		f.set.session_cookie_path = (char *)(uintptr_t)rows[i].path;
		f.set.session_cookie_domain = (char *)(uintptr_t)rows[i].domain;
		f.set.session_cookie_max_age_s = rows[i].max_age;
		f.set.session_cookie_secure = rows[i].secure;
		f.set.session_cookie_samesite = rows[i].same_site;
		f.set.session_cookie_conditional_samesite_none = rows[i].conditional;
		if (rows[i].agent)
			fake_header(&f, "user-agent", rows[i].agent);
		assert_non_null(pick_at(&main_fb.b));
		const char *c = set_cookie();
		assert_non_null(c);
		assert_memory_equal(c, COOKIE_NAME "=", strlen(COOKIE_NAME) + 1);
		assert_string_equal(strchr(c, ';'), rows[i].attributes);
		const char *bar = strchr(c, '|');
		assert_non_null(bar);
		assert_memory_equal(bar + 1, "6cde5721ec2c7e2bce07cff7d0e4ac37;", HASH_NODE_TEXT);
		end();
	}
}

static void test_expires(void **state)
{
	(void)state;
	begin("http://a/", 0);
	f.set.session_cookie_expires_s = 0;
	assert_non_null(pick_at(&main_fb.b));
	const char *at = strstr(set_cookie(), "; Expires=");
	char want[32];
	time_t now = time(NULL);
	struct tm t;

	assert_non_null(at);
	gmtime_r(&now, &t);
	strftime(want, sizeof(want), "%a, %d-%b-%y %H:", &t);
	assert_memory_equal(at + 10, want, strlen(want));
	assert_string_equal(at + 10 + strlen("Thu, 18-Nov-10 11:27:35"), " GMT; Path=/; HttpOnly");
	end();
}

static void check_sticks(enum affinity_mode mode)
{
	unsigned seen = 0;

	for (int session = 0; session < 60; session++) {
		begin("http://a/", 0);
		f.set.affinity_mode = mode;
		struct endpoint *e = pick_at(&main_fb.b);
		const char *c = set_cookie();
		assert_non_null(c);
		send_back(c);
		for (int i = 0; i < 5; i++)
			assert_ptr_equal(pick_at(&main_fb.b), e);
		assert_null(set_cookie()); /* not again */
		/* it stays with a draining endpoint; new sessions do not go there */
		main_fb.draining[e - main_fb.e] = true;
		assert_ptr_equal(pick_at(&main_fb.b), e);
		f.x.req.headers.n = 0;
		for (int i = 0; i < 10; i++)
			assert_ptr_not_equal(pick_at(&main_fb.b), e);
		seen |= 1u << (e - main_fb.e);
		end();
	}
	assert_int_equal(seen, 31);
}

static void test_sticks(void **state)
{
	(void)state;
	check_sticks(AFFINITY_BALANCED);
	check_sticks(AFFINITY_PERSISTENT);
}

/* The endpoint goes: persistent sessions get a new one and a new cookie; of balanced ones only those move that it had. */
static void test_endpoint_gone(void **state)
{
	(void)state;
	for (int mode = AFFINITY_BALANCED; mode <= AFFINITY_PERSISTENT; mode++) {
		begin("http://a/", 0);
		f.set.affinity_mode = (enum affinity_mode)mode;
		struct endpoint *e = pick_at(&main_fb.b);
		send_back(set_cookie());
		size_t at = (size_t)(e - main_fb.e);
		memmove(&main_fb.at[at], &main_fb.at[at + 1], (4 - at) * sizeof(main_fb.at[0]));
		main_fb.es.n = 4;
		fake_backend_done(&main_fb);
		struct endpoint *other = pick_at(&main_fb.b);
		assert_ptr_not_equal(other, e);
		assert_int_equal(set_cookie() != NULL, mode == AFFINITY_PERSISTENT);
		end();
	}
}

static void test_failure(void **state)
{
	bool full;

	(void)state;
	for (int change = 0; change < 2; change++) {
		begin("http://a/", 0);
		f.set.session_cookie_change_on_failure = change;
		struct endpoint *e = pick_at(&main_fb.b), *again;
		send_back(set_cookie());
		f.x.n_tried = 0;
		f.x.sticky = STR_NONE;
		assert_ptr_equal(balance_pick_at(&f.x, &main_fb.b, 1000, &full), e);
		fake_tried(&f.x, e);
		again = balance_pick_at(&f.x, &main_fb.b, 1000, &full);
		assert_int_equal(again == e, !change);
		const char *c = set_cookie();
		assert_int_equal(c != NULL, change);
		if (c) {
			send_back(c);
			assert_ptr_equal(pick_at(&main_fb.b), again);
		}
		end();
	}
}

/* While its endpoint does not pass health checks, another one helps out; the cookie waits. */
static void test_helper(void **state)
{
	(void)state;
	begin("http://a/", 0);
	struct endpoint *e = pick_at(&main_fb.b);
	send_back(set_cookie());
	e->health = HEALTH_DOWN;
	for (int i = 0; i < 20; i++) {
		assert_ptr_not_equal(pick_at(&main_fb.b), e);
		assert_null(set_cookie());
	}
	e->health = HEALTH_UP;
	f.set.max_connections = 1;
	e->in_flight = 1;
	assert_ptr_not_equal(pick_at(&main_fb.b), e);
	e->in_flight = 0;
	assert_ptr_equal(pick_at(&main_fb.b), e);
	end();
}

static void test_foreign_cookies(void **state)
{
	static const char *const values[] = {
		"", "|", "||", "x", "x|", "|6cde5721ec2c7e2bce07cff7d0e4ac37", "10.0.0.1:8080", "10.9.9.9:1|6cde5721ec2c7e2bce07cff7d0e4ac37",
		"ffffffffffffffffffffffffffffffff|6cde5721ec2c7e2bce07cff7d0e4ac37", "\xff\xfe|\x01", "a|b|c|d",
	};

	(void)state;
	for (int mode = AFFINITY_BALANCED; mode <= AFFINITY_PERSISTENT; mode++)
		for (size_t i = 0; i <= ARRAY_LEN(values); i++) {
			begin("http://a/", 0);
			f.set.affinity_mode = (enum affinity_mode)mode;
			char *huge = arena_alloc(&f.x.arena, 70000);
			memset(huge, 'k', 69999);
			fake_header(&f, "cookie", arena_printf(&f.x.arena, COOKIE_NAME "=%s", i < ARRAY_LEN(values) ? values[i] : huge));
			struct endpoint *e = pick_at(&main_fb.b);
			assert_in_range(e - main_fb.e, 0, 4);
			end();
		}
	begin("http://a/", 0);
	main_fb.es.n = 0;
	assert_null(pick_at(&main_fb.b));
	assert_null(set_cookie());
	end();
}

/* ---- canaries ---- */

enum { P = -1 };

static int chosen(const char **ret_why)
{
	struct backend *b = canary_choose(&f.x, ret_why);

	for (int i = 0; i < (int)f.loc.n_canaries; i++)
		if (b == &canary_fb[i].b)
			return i;
	assert_ptr_equal(b, &main_fb.b);
	return P;
}

/* ingress-nginx's order: header, then cookie, then weight; with a value or pattern "always" and "never" mean nothing. */
static void test_canary_precedence(void **state)
{
	static const struct {
		const char *by_header, *value, *pattern, *by_cookie;
		unsigned weight;
		const char *header, *cookie; /* of the request */
		int want;
		const char *why;
	} rows[] = {
		{ NULL, NULL, NULL, NULL, 0, NULL, NULL, P, NULL },
		{ NULL, NULL, NULL, NULL, 100, NULL, NULL, 0, "weight" },
		{ "X-C", NULL, NULL, NULL, 0, "always", NULL, 0, "header" },
		{ "X-C", NULL, NULL, NULL, 100, "never", NULL, P, NULL },
		{ "X-C", NULL, NULL, NULL, 100, "Never", NULL, 0, "weight" },
		{ "X-C", NULL, NULL, NULL, 0, "other", NULL, P, NULL },
		{ "X-C", NULL, NULL, NULL, 100, "other", NULL, 0, "weight" },
		{ "X-C", NULL, NULL, "C", 100, "never", "C=always", P, NULL },
		{ "X-C", NULL, NULL, "C", 0, "always", "C=never", 0, "header" },
		{ "X-C", NULL, NULL, "C", 0, "other", "C=always", 0, "cookie" },
		{ "X-C", NULL, NULL, "C", 100, NULL, "C=never", P, NULL },
		{ "X-C", NULL, NULL, "C", 100, NULL, "C=x", 0, "weight" },
		{ NULL, NULL, NULL, "C", 0, NULL, "D=always; C=always", 0, "cookie" },
		{ "X-C", "eu", NULL, NULL, 0, "eu", NULL, 0, "header" },
		{ "X-C", "eu", NULL, NULL, 0, "always", NULL, P, NULL },
		{ "X-C", "eu", NULL, NULL, 100, "never", NULL, 0, "weight" },
		{ "X-C", "eu", "us", NULL, 0, "us", NULL, P, NULL }, /* the value wins over the pattern */
		{ "X-C", NULL, "us", NULL, 0, "us-east", NULL, 0, "header" },
		{ "X-C", NULL, "us", NULL, 0, "eu", NULL, P, NULL },
		{ NULL, "eu", NULL, NULL, 0, "eu", NULL, P, NULL }, /* a value needs a name */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *why = "?";
		begin("http://a/", 1);
		f.set.affinity_cookie = false;
		canary_set[0].canary_by_header = (char *)(uintptr_t)rows[i].by_header;
		canary_set[0].canary_by_header_value = (char *)(uintptr_t)rows[i].value;
		canary_set[0].canary_by_header_pattern = fake_text_is(rows[i].pattern, struct regex);
		canary_set[0].canary_by_cookie = (char *)(uintptr_t)rows[i].by_cookie;
		canary_set[0].canary_weight = rows[i].weight;
		canary_set[0].canary_weight_total = 100;
		if (rows[i].header)
			fake_header(&f, "X-C", rows[i].header);
		if (rows[i].cookie)
			fake_header(&f, "cookie", rows[i].cookie);
		int got = chosen(&why);
		if (got != rows[i].want || !c_eq(why, rows[i].why))
			fail_msg("row %zu: canary %d by %s", i, got, why ? why : "nothing");
		end();
	}
}

static void test_canary_weights(void **state)
{
	static const struct {
		size_t n;
		unsigned weight[3], total[3];
		unsigned want[4]; /* of 1,000: the primary, then each canary */
	} rows[] = {
		{ 1, { 20 }, { 100 }, { 800, 200 } },
		{ 1, { 20 }, { 0 }, { 800, 200 } },
		{ 1, { 20 }, { 1000 }, { 980, 20 } },
		{ 1, { 500 }, { 100 }, { 0, 1000 } },
		{ 3, { 10, 20, 30 }, { 100, 100, 100 }, { 400, 100, 200, 300 } },
		{ 2, { 60, 60 }, { 100, 100 }, { 0, 600, 400 } },
		{ 2, { 10, 100 }, { 100, 1000 }, { 800, 100, 100 } },
		{ 2, { 0, 25 }, { 100, 100 }, { 750, 0, 250 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned got[4] = { 0 };
		const char *why;
		begin("http://a/", rows[i].n);
		f.set.affinity_cookie = false;
		for (size_t k = 0; k < rows[i].n; k++) {
			canary_set[k].canary_weight = rows[i].weight[k];
			canary_set[k].canary_weight_total = rows[i].total[k];
		}
		for (int k = 0; k < 20000; k++)
			got[1 + chosen(&why)]++;
		for (size_t k = 0; k <= rows[i].n; k++) {
			int off = (int)got[k] / 20 - (int)rows[i].want[k];
			if (off < -15 || off > 15 || (!rows[i].want[k] && got[k]))
				fail_msg("row %zu: %zu got %u of 20,000", i, k, got[k]);
		}
		end();
	}
}

/* The older one is asked first, but every header is asked before any cookie; "never" hands no share to others. */
static void test_canary_many(void **state)
{
	const char *why;

	(void)state;
	begin("http://a/", 3);
	f.set.affinity_cookie = false;
	canary_set[0].canary_by_cookie = (char *)(uintptr_t)"C";
	canary_set[1].canary_by_header = canary_set[2].canary_by_header = (char *)(uintptr_t)"X-C";
	fake_header(&f, "cookie", "C=always");
	assert_int_equal(chosen(&why), 0);
	fake_header(&f, "X-C", "always");
	assert_int_equal(chosen(&why), 1);
	assert_string_equal(why, "header");
	canary_fb[1].es.n = 0; /* nobody there */
	assert_int_equal(chosen(&why), 2);
	end();

	begin("http://a/", 2);
	f.set.affinity_cookie = false;
	canary_set[0].canary_by_header = (char *)(uintptr_t)"X-C";
	canary_set[0].canary_weight = 50;
	canary_set[1].canary_weight = 10;
	fake_header(&f, "X-C", "never");
	unsigned got[3] = { 0 };
	for (int i = 0; i < 10000; i++)
		got[1 + chosen(&why)]++;
	assert_int_equal(got[1], 0);
	assert_in_range(got[2], 850, 1150);
	end();
}

/* A session that began at one side stays there, whatever headers and weights say. */
static void test_canary_sessions(void **state)
{
	const char *why;

	(void)state;
	begin("http://a/", 2);
	canary_set[1].canary_by_header = (char *)(uintptr_t)"X-C";
	fake_header(&f, "X-C", "always");
	assert_int_equal(chosen(&why), 1);
	struct endpoint *e = pick_at(&canary_fb[1].b);
	const char *of_canary = set_cookie();
	assert_non_null(of_canary);
	send_back(of_canary);
	assert_int_equal(chosen(&why), 1);
	assert_string_equal(why, "affinity");
	assert_ptr_equal(pick_at(&canary_fb[1].b), e);
	pick_at(&main_fb.b); /* the key has an owner there too, as in ingress-nginx */
	f.x.req.headers.n = 0;
	pick_at(&main_fb.b);
	send_back(set_cookie());
	fake_header(&f, "X-C", "always");
	canary_set[0].canary_weight = 100;
	for (int i = 0; i < 20; i++)
		assert_int_equal(chosen(&why), P);
	assert_null(why);
	/* legacy: canaries know nothing of sessions */
	canary_set[1].affinity_canary_legacy = true;
	canary_set[0].canary_weight = 0;
	send_back(of_canary);
	assert_int_equal(chosen(&why), P);
	fake_header(&f, "X-C", "always");
	assert_int_equal(chosen(&why), 1);
	assert_string_equal(why, "header");
	pick_at(&canary_fb[1].b);
	assert_null(set_cookie());
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cookie_text), cmocka_unit_test(test_expires), cmocka_unit_test(test_sticks),
		cmocka_unit_test(test_endpoint_gone), cmocka_unit_test(test_failure), cmocka_unit_test(test_helper),
		cmocka_unit_test(test_foreign_cookies), cmocka_unit_test(test_canary_precedence),
		cmocka_unit_test(test_canary_weights), cmocka_unit_test(test_canary_many), cmocka_unit_test(test_canary_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
