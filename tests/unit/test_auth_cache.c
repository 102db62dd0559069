/* Answers of auth-url that are remembered: for how long, for whom, how many. */
#include "roles/ingress/filter/auth_cache.h"
#include "roles/ingress/http/variable.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <setjmp.h>
#include <cmocka.h>

#include "unit/ingress_fake.h"

/* ---- auth-cache-duration ---- */

static const struct {
	const char *text;
	bool ok;
	int status;
	uint64_t seconds;
} durations[] = {
	/* the texts of ingress-nginx's own tests */
	{"", true, 401, 300}, {"  ", true, 202, 300}, {"5m", true, 200, 300}, {"5m", true, 301, 300}, {"5m", true, 302, 300},
	{"5m", true, 202, 0}, {"5m", true, 401, 0}, {"200 202 10m, 401 5m", true, 202, 600}, {"200 202 10m, 401 5m", true, 401, 300},
	{"200 202 10m, 401 5m", true, 403, 0}, {",5m,,401 10m,", true, 401, 600}, {",5m,,401 10m,", true, 200, 300},
	{"200", false, 0, 0}, {"5m, xaxax", false, 0, 0}, {"5m 200", false, 0, 0},
	/* nginx's */
	{"any 1m", true, 503, 60}, {"200 1h,any 1m", true, 200, 3600}, {"200 1h,any 1m", true, 418, 60}, {"any 1m,200 1h", true, 200, 60},
	{"200 0s", true, 200, 0}, {"200  204 7s", true, 204, 7}, {"200 1h", true, 200, 3600}, {"200 2d", true, 200, 172800},
	{"200 1w", true, 200, 604800}, {"200 1M", true, 200, 2592000}, {"200 1y", true, 200, 31536000},
	{"200 500ms", false, 0, 0}, {"200 5", false, 0, 0}, {"1h 30m", false, 0, 0}, {"200 1h30m", false, 0, 0}, {"99 1m", false, 0, 0},
	{"600 1m", false, 0, 0}, {"0200 1m", false, 0, 0}, {"ANY 1m", false, 0, 0}, {"200\t1m", false, 0, 0}, {"200 m", false, 0, 0},
	{"200 -1m", false, 0, 0}, {"200 99y", false, 0, 0}, {"200 99999999999999999999s", false, 0, 0}, {"+20 1m", false, 0, 0},
};

static void test_durations(void **state)
{
	char vary[AUTH_CACHE_VARY_BYTES_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		if (auth_cache_durations_ok(str_of(durations[i].text)) != durations[i].ok)
			fail_msg("\"%s\" is taken the wrong way", durations[i].text);
		if (!durations[i].ok)
			continue;
		struct auth_cache_policy *p = auth_cache_policy_new("k", durations[i].text);
		uint64_t ms = auth_cache_life_ms(p, durations[i].status, (struct http_headers){0}, 1000, vary);
		if (ms != durations[i].seconds * 1000)
			fail_msg("\"%s\", %d: %llu ms", durations[i].text, durations[i].status, (unsigned long long)ms);
		auth_cache_policy_free(p);
	}
}

static void test_many_durations(void **state)
{
	char text[1024] = "";

	(void)state;
	for (int i = 0; i < AUTH_CACHE_TIMES_MAX; i++)
		sprintf(text + strlen(text), "%d ", 100 + i);
	strcat(text, "1m");
	assert_true(auth_cache_durations_ok(str_of(text)));
	strcat(text, ",400 1m");
	assert_false(auth_cache_durations_ok(str_of(text)));
}

/* ---- what an answer says of itself; the time is Thu, 01 Jan 1970 00:16:40 GMT ---- */

static const struct {
	const char *headers[6]; /* name, value, ... */
	int status;
	uint64_t seconds;
	const char *vary;
} lives[] = {
	{{NULL}, 200, 300, ""},
	{{NULL}, 500, 0, ""},
	{{"set-cookie", "a=b"}, 200, 0, NULL},
	{{"X-Accel-Expires", "9", "Set-Cookie", "a=b"}, 200, 0, NULL},
	{{"Cache-Control", "no-store"}, 200, 0, NULL},
	{{"Cache-Control", "NO-CACHE"}, 200, 0, NULL},
	{{"Cache-Control", "max-age=5, Private"}, 200, 0, NULL},
	{{"Cache-Control", "public"}, 200, 300, ""},
	{{"Cache-Control", "max-age=5"}, 200, 5, ""},
	{{"Cache-Control", "max-age=5"}, 500, 5, ""}, /* whatever the status is */
	{{"Cache-Control", "max-age=9, s-maxage=5"}, 200, 5, ""},
	{{"Cache-Control", "max-age=0"}, 200, 0, NULL},
	{{"Cache-Control", "max-age="}, 200, 0, NULL},
	{{"Cache-Control", "max-age=x"}, 200, 0, NULL},
	{{"Cache-Control", "max-age=5x"}, 200, 0, NULL},
	{{"Cache-Control", "max-age=5;x"}, 200, 5, ""},
	{{"Cache-Control", "max-age=99999999999999999999"}, 200, INT32_MAX, ""},
	{{"Cache-Control", "max-age=5", "Cache-Control", "no-store"}, 200, 0, NULL},
	{{"Expires", "Thu, 01 Jan 1970 00:17:00 GMT"}, 200, 20, ""},
	{{"Expires", "Thursday, 01-Jan-70 00:17:00 GMT"}, 200, 20, ""},
	{{"Expires", "Thu Jan  1 00:17:00 1970"}, 200, 20, ""},
	{{"Expires", "Thu, 01 Jan 1970 00:16:00 GMT"}, 200, 0, NULL},
	{{"Expires", "0"}, 200, 0, NULL},
	{{"Expires", ""}, 200, 0, NULL},
	{{"Expires", "0", "Cache-Control", "max-age=5"}, 200, 5, ""},
	{{"Cache-Control", "max-age=5", "Expires", "0"}, 200, 5, ""},
	{{"Expires", "Thu, 01 Jan 1970 00:17:00 GMT", "Expires", "0"}, 200, 20, ""},
	{{"Expires", "Thu, 01 Jan 1970 00:17:00 GMT", "Cache-Control", "no-cache"}, 200, 0, NULL},
	{{"X-Accel-Expires", "7"}, 200, 7, ""},
	{{"X-Accel-Expires", "0"}, 200, 0, NULL},
	{{"X-Accel-Expires", "@1010"}, 200, 10, ""},
	{{"X-Accel-Expires", "@990"}, 200, 0, NULL},
	{{"X-Accel-Expires", "off"}, 200, 300, ""},
	{{"X-Accel-Expires", ""}, 200, 300, ""},
	{{"X-Accel-Expires", "7", "X-Accel-Expires", "9"}, 200, 7, ""},
	{{"X-Accel-Expires", "7", "Cache-Control", "no-store"}, 200, 7, ""},
	{{"Cache-Control", "no-store", "X-Accel-Expires", "7"}, 200, 7, ""},
	{{"Cache-Control", "no-store", "X-Accel-Expires", "off"}, 200, 0, NULL},
	{{"Expires", "0", "X-Accel-Expires", "7"}, 200, 7, ""},
	{{"Vary", "Cookie"}, 200, 300, "Cookie"},
	{{"Vary", "Cookie", "vary", "Origin, X-A"}, 200, 300, "Cookie, Origin, X-A"},
	{{"Vary", "*"}, 200, 0, NULL},
	{{"Vary", "Cookie, *"}, 200, 0, NULL},
	{{"Vary", "1234567890123456789012345678901234567890123456789012345678901234567890"
		  "1234567890123456789012345678901234567890123456789012345678"},
	 200, 300,
	 "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
	 "123456789012345678"},
	{{"Vary", "1234567890123456789012345678901234567890123456789012345678901234567890"
		  "12345678901234567890123456789012345678901234567890123456789"},
	 200, 0, NULL},
};

static void test_lives(void **state)
{
	struct auth_cache_policy *p = auth_cache_policy_new("k", "");
	char vary[AUTH_CACHE_VARY_BYTES_MAX + 1];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
		struct http_header at[3];
		struct http_headers h = {at, 0};
		for (; h.n < 3 && lives[i].headers[2 * h.n]; h.n++)
			at[h.n] = (struct http_header){str_of(lives[i].headers[2 * h.n]), str_of(lives[i].headers[2 * h.n + 1])};
		uint64_t ms = auth_cache_life_ms(p, lives[i].status, h, 1000, vary);
		if (ms != lives[i].seconds * 1000 || (ms && lives[i].vary && strcmp(vary, lives[i].vary) != 0 && strlen(vary) < 100))
			fail_msg("%s: %s (row %zu): %llu ms, \"%s\"", lives[i].headers[0], lives[i].headers[1], i, (unsigned long long)ms,
				 vary);
	}
	auth_cache_policy_free(p);
}

/* ---- keys ---- */

static struct fake f;
static struct auth_cache *cache;

static void begin(const char *url)
{
	fake_init(&f, "GET", url);
	if (!cache)
		cache = auth_cache_new();
}

static void finish(void)
{
	fake_done(&f);
	auth_cache_free(cache);
	cache = NULL;
}

static bool same(const struct auth_cache_key *a, const struct auth_cache_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static struct auth_cache_key key_of(const struct auth_cache_policy *p)
{
	struct auth_cache_key k;

	assert_true(auth_cache_key_of(&f.x, p, &k));
	return k;
}

/* No two paths, Ingresses, hosts or settings share a key. */
static void test_places(void **state)
{
	struct auth_cache_policy *p = auth_cache_policy_new("fixed", ""), *q = auth_cache_policy_new("fixed", "");
	struct auth_cache_key k[8];

	(void)state;
	begin("http://app.test/a");
	k[0] = key_of(p);
	k[1] = key_of(q);
	f.loc.path = (char *)(uintptr_t)"/b";
	k[2] = key_of(p);
	f.loc.type = PATH_EXACT;
	k[3] = key_of(p);
	f.loc.ns = (char *)(uintptr_t)"other";
	k[4] = key_of(p);
	f.loc.ingress = (char *)(uintptr_t)"other";
	k[5] = key_of(p);
	f.loc.rule_host = (char *)(uintptr_t)"other";
	k[6] = key_of(p);
	f.loc.ingress = (char *)(uintptr_t)"otherother"; /* the same bytes in other places */
	f.loc.rule_host = (char *)(uintptr_t)"";
	k[7] = key_of(p);
	for (size_t i = 0; i < ARRAY_LEN(k); i++)
		for (size_t j = 0; j < i; j++)
			assert_false(same(&k[i], &k[j]));
	struct auth_cache_key again = key_of(p);
	assert_true(same(&again, &k[7]));
	auth_cache_policy_free(p);
	auth_cache_policy_free(q);
	finish();
}

static struct auth_cache_key key_with(const struct auth_cache_policy *p, const char *a, const char *b)
{
	f.x.req.headers.n = 0;
	if (a)
		fake_header(&f, "x-a", a);
	if (b)
		fake_header(&f, "x-b", b);
	return key_of(p);
}

/* What stands in one header for one is in another for others. */
static void test_values(void **state)
{
	static const char *const pairs[][2] = {{"ab", "c"}, {"a", "bc"}, {"abc", NULL}, {NULL, "abc"}, {NULL, NULL}, {"ab", "C"}, {"a\tb", "c"}};
	struct auth_cache_policy *p = auth_cache_policy_new("$http_x_a$http_x_b", "");
	struct auth_cache_key k[ARRAY_LEN(pairs)];

	(void)state;
	begin("http://app.test/a");
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		k[i] = key_with(p, pairs[i][0], pairs[i][1]);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		for (size_t j = 0; j < i; j++)
			assert_false(same(&k[i], &k[j]));
	struct auth_cache_key again = key_with(p, "ab", "c"), empty = key_with(p, "", NULL);
	assert_true(same(&again, &k[0]));
	assert_true(same(&empty, &k[4])); /* as in nginx */
	auth_cache_policy_free(p);
	finish();
}

/* Nobody has looked at the password, and yet two users are two. */
static void test_users(void **state)
{
	struct auth_cache_policy *p = auth_cache_policy_new("$remote_user", "");
	struct auth_cache_key k[3];

	(void)state;
	begin("http://app.test/a");
	k[0] = key_of(p);
	fake_header(&f, "Authorization", "Basic YW5uOng="); /* ann:x */
	k[1] = key_of(p);
	assert_int_equal(f.x.remote_user.len, 0);
	f.x.req.headers.n = 0;
	fake_header(&f, "Authorization", "Basic Ym9iOng="); /* bob:x */
	k[2] = key_of(p);
	assert_false(same(&k[0], &k[1]));
	assert_false(same(&k[1], &k[2]));
	f.x.remote_user = STR("ann"); /* whom a token names */
	struct auth_cache_key token = key_of(p);
	assert_true(same(&token, &k[1]));
	auth_cache_policy_free(p);
	finish();
}

static void test_long_key(void **state)
{
	static char value[AUTH_CACHE_KEY_BYTES_MAX + 1];
	struct auth_cache_policy *p = auth_cache_policy_new("$http_x_a", "");
	struct auth_cache_key k, before, after;

	(void)state;
	begin("http://app.test/a");
	before = key_with(p, "a", NULL);
	memset(value, 'a', sizeof(value) - 1);
	f.x.req.headers.n = 0;
	fake_header(&f, "x-a", value);
	assert_false(auth_cache_key_of(&f.x, p, &k));
	after = key_with(p, "a", NULL);
	assert_true(same(&before, &after));
	auth_cache_policy_free(p);
	finish();
}

/* ---- what is remembered ---- */

static struct auth_cache_key number(unsigned n)
{
	struct auth_cache_key k;

	SHA256((const uint8_t *)&n, sizeof(n), k.sha256);
	return k;
}

static void put(unsigned n, int status, const char *user, const char *vary, uint64_t now_ms, uint64_t life_ms)
{
	struct http_header forward = {STR("X-User"), str_of(user)}, challenge = {STR("WWW-Authenticate"), STR("Bearer")};
	struct auth_answer a = {status, {&forward, user ? 1 : 0}, {&challenge, user ? 0 : 1}};
	struct auth_cache_key k = number(n);

	auth_cache_put(cache, &k, &f.x, &a, vary, now_ms, life_ms);
}

static const struct auth_answer *find(unsigned n, uint64_t now_ms)
{
	static struct auth_answer a;
	struct auth_cache_key k = number(n);

	return auth_cache_find(cache, &k, &f.x, now_ms, &a) ? &a : NULL;
}

static void test_times(void **state)
{
	const uint64_t idle = AUTH_CACHE_IDLE_MS;

	(void)state;
	begin("http://app.test/a");
	put(1, 200, "ann", "", 1000, 500);
	put(2, 401, NULL, "", 1000, 10 * idle);
	put(3, 200, "bob", "", 1000, 0);
	assert_int_equal(auth_cache_count(cache), 2);
	assert_null(find(3, 1000));
	const struct auth_answer *a = find(1, 1499);
	assert_int_equal(a->status, 200);
	assert_int_equal(a->forward.n, 1);
	assert_true(str_eq_c(a->forward.at[0].name, "X-User") && str_eq_c(a->forward.at[0].value, "ann"));
	assert_int_equal(a->www_authenticate.n, 0);
	assert_null(find(1, 1500));
	assert_int_equal(auth_cache_count(cache), 1);
	/* used, it stays for its time; unused, for half an hour */
	a = find(2, 1000 + idle - 1);
	assert_int_equal(a->status, 401);
	assert_true(str_eq_c(a->www_authenticate.at[0].value, "Bearer"));
	assert_non_null(find(2, 1000 + 2 * idle - 2));
	assert_null(find(2, 1000 + 3 * idle - 2));
	/* a newer answer takes its place */
	put(4, 200, "ann", "", 1000, 500);
	put(4, 403, NULL, "", 1000, 900);
	assert_int_equal(find(4, 1800)->status, 403);
	assert_int_equal(auth_cache_count(cache), 1);
	finish();
}

static void test_vary(void **state)
{
	(void)state;
	begin("http://app.test/a");
	fake_header(&f, "x-a", "1");
	put(1, 200, "ann", "X-A, X-B", 1000, 500);
	assert_true(str_eq_c(find(1, 1000)->forward.at[0].value, "ann"));
	fake_header(&f, "X-B", "2");
	assert_null(find(1, 1000));
	put(1, 200, "bob", "X-A, X-B", 1000, 500);
	assert_true(str_eq_c(find(1, 1000)->forward.at[0].value, "bob"));
	f.x.req.headers.n = 0;
	fake_header(&f, "x-a", "1");
	assert_true(str_eq_c(find(1, 1000)->forward.at[0].value, "ann"));
	f.x.req.headers.n = 0;
	fake_header(&f, "x-b", "1");
	assert_null(find(1, 1000));
	/* without it, it is for all */
	put(1, 200, "all", "", 1000, 500);
	assert_true(str_eq_c(find(1, 1000)->forward.at[0].value, "all"));
	f.x.req.headers.n = 0;
	assert_true(str_eq_c(find(1, 1000)->forward.at[0].value, "all"));
	put(2, 200, "host", "host", 1000, 500);
	f.x.req.authority = STR("other.test");
	assert_null(find(2, 1000));
	finish();
}

static void test_bounds(void **state)
{
	static char user[AUTH_CACHE_ENTRY_BYTES_MAX];
	unsigned n = 2 * AUTH_CACHE_BYTES_MAX / 10000;

	(void)state;
	begin("http://app.test/a");
	memset(user, 'u', sizeof(user) - 1);
	put(0, 200, user, "", 0, 1u << 30);
	assert_int_equal(auth_cache_count(cache), 0); /* too large */
	user[10000] = '\0';
	for (unsigned i = 0; i < n; i++) {
		put(i, 200, user, "", 0, 1u << 30);
		arena_clear(&f.x.arena);
		assert_non_null(find(0, 0)); /* used again and again */
	}
	assert_true(auth_cache_count(cache) * 10000 <= AUTH_CACHE_BYTES_MAX);
	assert_true(auth_cache_count(cache) * 11000 > AUTH_CACHE_BYTES_MAX);
	assert_null(find(1, 0));
	assert_non_null(find(n - 1, 0));
	/* those that nobody uses go when another comes */
	size_t before = auth_cache_count(cache);
	put(n, 200, "ann", "", AUTH_CACHE_IDLE_MS, 1000);
	assert_true(auth_cache_count(cache) < before - 100);
	finish();
}

/* Workers look and remember at the same time. */
static void *work(void *arg)
{
	struct fake *own = xcalloc(1, sizeof(*own));
	struct http_header user = {STR("X-User"), STR("ann")};
	struct auth_answer a = {200, {&user, 1}, {0}}, got;
	uintptr_t wrong = 0;

	(void)arg;
	fake_init(own, "GET", "http://app.test/a");
	for (unsigned i = 0; i < 20000; i++) {
		struct auth_cache_key k = number(i % 37);
		arena_clear(&own->x.arena);
		if (auth_cache_find(cache, &k, &own->x, i / 100, &got))
			wrong += !str_eq_c(got.forward.at[0].value, "ann");
		else
			auth_cache_put(cache, &k, &own->x, &a, i % 2 ? "X-A" : "", i / 100, 5);
	}
	fake_done(own);
	free(own);
	return (void *)wrong;
}

static void test_together(void **state)
{
	pthread_t threads[4];
	void *wrong;

	(void)state;
	begin("http://app.test/a");
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	assert_true(auth_cache_count(cache) <= 2 * 37);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations), cmocka_unit_test(test_many_durations), cmocka_unit_test(test_lives),
		cmocka_unit_test(test_places),	  cmocka_unit_test(test_values),	 cmocka_unit_test(test_users),
		cmocka_unit_test(test_long_key),  cmocka_unit_test(test_times),		 cmocka_unit_test(test_vary),
		cmocka_unit_test(test_bounds),	  cmocka_unit_test(test_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
