/* Password files, address lists, basic authentication and the access phase. */
#define FAKE_TEXTS
#include "ingress_fake.h"
#include "codec/base64.h"
#include "roles/ingress/filter/access.h"
#include "roles/ingress/filter/basic_auth.h"
#include "roles/ingress/filter/cidr.h"
#include "roles/ingress/filter/htpasswd.h"

#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#define LONG_PASSWORD "ä€ long password with more than 72 bytes 0123456789012345678901234567890123456789012345"

/* Made by htpasswd (2.4.57), openssl passwd and crypt(3). */
static const struct {
	const char *hash, *password;
	bool quick;
} known[] = {
	{ "$apr1$zAZpLshJ$od40.fAw.QzHTjZINmiSD1", "secret" },
	{ "$apr1$EBeUSAZ/$ZzkJaA.H2hsWG4Y5MZm8W/", "" },
	{ "$apr1$hVyVAahh$o5wqw1EdinziTs0erIVwk1", LONG_PASSWORD },
	{ "$apr1$$jYtXyIcDHukcQfHjblNhq/", "x" },
	{ "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "secret", true },
	{ "{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=", "", true },
	{ "{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0", "secret", true },
	{ "{PLAIN}secret", "secret", true },
	{ "$2y$05$kNhVkmPGHB1LYWcV/WTMMu5nXs4nUvjAY2RBSk9sdJ5K0jhrROjCC", "secret" },
	{ "$2y$05$MQYdv2aQzBHL2wf1mrnyM.oRalXFIh//nN2dV.ZUvLzFPxn3peGVO", "" },
	{ "$2y$05$xA.ob6n6MQPXcEg0hAJ9rONRafLiKayBc11U5f7zwUgt.V3XRZ0fS", LONG_PASSWORD },
	{ "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", "secret" },
	{ "jZj91rfL/XK8E", "secret" },
	{ "$5$rounds=5000$QQ50uVXw449NHhzH$UT5JIzc4euJxnO5dOSLKZgu6w5Edyc/y4e.4gTfgfV4", "secret" },
	{ "$6$rounds=1000$uMk4HLT0qrz.l6nX$cAHxSPGtOJIP7VMFPEf8HdNWT5lotgm0l5XoY2bWOSdvgzlFER43Lf7lyzR6/zBdfTZui2A0rVL7iyYCQV8j6/",
	  "secret" },
	{ "$6$3.DmvCpJCDch464M$0qlVwf9.ojoCc4VtCb5xmRup6NqroFU9UYfRb3NaYKomXXsnqe64IPmq5ZNN.4j2DBrfBoXE36.Th8KzRq0k51", "secret" },
	{ "$1$HiVZkfwv$GjXM0gA.gfAxjCqm6CNy01", "secret" },
	{ "$y$j75$abcdefgh$uMUXG79B2cFpoAYyDccUnsaH/aGTyBYMlnQidzyag01", "secret" },
};

static void hashes_of_other_programs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		struct str hash = str_of(known[i].hash);
		print_message("%s\n", known[i].hash);
		assert_int_equal(password_hash_is_quick(hash), known[i].quick);
		assert_true(password_verify(hash, str_of(known[i].password)));
		assert_false(password_verify(hash, STR("Secret")));
		assert_false(password_verify(hash, STR("secret\0")));
	}
}

static void hashes_nobody_can_log_in_with(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "secret", "*", "!", "$apr1$short$xx", "$2y$20$kNhVkmPGHB1LYWcV/WTMMu5nXs4nUvjAY2RBSk9sdJ5K0jhrROjCC",
		"$2y$05$tooshort", "$6$rounds=99999999$x$y", "$5$salt$short", "{SHA}", "{MD5}abcd", "{SSHA}c2hvcnQ=", "$y$jFT$abc$def",
		"$7$anything", "_J9..rasmBYk8r9AiWNc",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(password_verify(str_of(bad[i]), STR("secret")));
	char huge[600];
	memset(huge, 'a', sizeof(huge));
	assert_false(password_verify(STR("{PLAIN}x"), (struct str){ huge, sizeof(huge) }));
	assert_false(password_verify((struct str){ huge, sizeof(huge) }, STR("x")));
}

static void file_lines(void **state)
{
	(void)state;
	struct err e;
	bool is_known;
	struct htpasswd *h = htpasswd_new(STR("# comment:x\nann:{PLAIN}one:a comment\r\n\nno colon\nbob:{PLAIN}two\nann:{PLAIN}three\n"
					      ":{PLAIN}empty name\ncurious:$9$what\nlast:{PLAIN}four"),
					  &e);
	assert_non_null(h);
	assert_int_equal(htpasswd_count(h), 4);
	assert_int_equal(htpasswd_unusable(h), 1);
	assert_true(str_eq_c(htpasswd_find(h, STR("ann"), &is_known), "{PLAIN}one"));
	assert_true(is_known);
	assert_true(str_eq_c(htpasswd_find(h, STR("last"), &is_known), "{PLAIN}four"));
	/* An unknown user costs what a known one does. */
	assert_non_null(htpasswd_find(h, STR("eve"), &is_known).ptr);
	assert_false(is_known);
	assert_non_null(htpasswd_find(h, STR("curious"), &is_known).ptr);
	assert_false(is_known);
	htpasswd_free(h);

	h = htpasswd_new(STR(""), &e);
	assert_null(htpasswd_find(h, STR("ann"), &is_known).ptr);
	htpasswd_free(h);

	static char big[HTPASSWD_BYTES_MAX + 1];
	assert_null(htpasswd_new((struct str){ big, sizeof(big) }, &e));

	struct htpasswd_user users[] = { { STR("ann"), STR("{PLAIN}one\n") }, { STR("b:c"), STR("{PLAIN}two") } };
	h = htpasswd_new_map(users, 2, &e);
	assert_true(str_eq_c(htpasswd_find(h, STR("ann"), &is_known), "{PLAIN}one"));
	htpasswd_free(h);
}

/* ---- addresses ---- */

static bool has(const struct cidr_list *l, const char *ip)
{
	struct addr a;
	struct err e;
	assert_int_equal(addr_from_ip(ip, 1, &a, &e), 0);
	return cidr_list_has(l, &a);
}

static void cidrs_read(void **state)
{
	(void)state;
	struct err e;
	struct cidr c;
	static const char *const good[] = { "10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "::/0", "2001:db8::/33", " 10.0.0.1/32 " };
	static const char *const bad[] = { "", "/", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "host", "1.2.3.4.5",
					   "10.0.0.0/8/8", "10.0.0.0 /8", "::1%lo" };
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(cidr_parse(str_of(good[i]), &c, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(cidr_parse(str_of(bad[i]), &c, &e), -1);
	assert_string_equal(e.message, "invalid CIDR address: ::1%lo");

	struct cidr_list l = { 0 };
	assert_int_equal(cidr_list_parse(STR("10.1.2.3/8, 192.0.2.7 ,,2001:db8:1::/47"), &l, &e), 0);
	assert_int_equal(l.n, 3);
	assert_true(has(&l, "10.255.0.1") && has(&l, "192.0.2.7") && has(&l, "::ffff:10.0.0.1") && has(&l, "2001:db8:0:ffff::1"));
	assert_false(has(&l, "11.0.0.0") || has(&l, "192.0.2.6") || has(&l, "2001:db8:2::") || has(&l, "::10.0.0.1"));
	assert_int_equal(cidr_list_parse(STR("1.1.1.1,nonsense"), &l, &e), -1);
	assert_int_equal(l.n, 3);
	cidr_list_done(&l);

	assert_int_equal(cidr_list_parse(STR("0.0.0.0/0"), &l, &e), 0);
	assert_true(has(&l, "255.255.255.255") && !has(&l, "2001:db8::1"));
	cidr_list_done(&l);
}

/* A search in a long list says what a loop over all of it says. */
static void long_lists_are_searched(void **state)
{
	(void)state;
	struct err e;
	struct cidr_list l = { 0 };
	struct buf text;
	buf_init(&text, 1 << 20);
	uint32_t seed = 1;
	static struct cidr all[3000];
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		seed = seed * 1664525 + 1013904223;
		char one[64];
		snprintf(one, sizeof(one), "%u.%u.%u.%u/%u", seed >> 28, seed >> 16 & 255, seed >> 8 & 255, seed & 255, 13 + seed % 20);
		assert_int_equal(cidr_parse(str_of(one), &all[i], &e), 0);
		buf_printf(&text, "%s,", one);
	}
	assert_int_equal(cidr_list_parse(buf_str(&text), &l, &e), 0);
	assert_true(l.n > 8 && l.n < ARRAY_LEN(all));
	unsigned hits = 0;
	for (unsigned i = 0; i < 20000; i++) {
		seed = seed * 1664525 + 1013904223;
		char one[64];
		snprintf(one, sizeof(one), "%u.%u.%u.%u", seed >> 28, seed >> 16 & 255, seed >> 8 & 255, seed & 255);
		bool found = false;
		for (size_t k = 0; k < ARRAY_LEN(all) && !found; k++) {
			struct cidr_list alone = { &all[k], 1 };
			found = has(&alone, one);
		}
		assert_int_equal(has(&l, one), found);
		hits += found;
	}
	assert_true(hits > 100 && hits < 19900);
	buf_done(&text);
	cidr_list_done(&l);
}

/* ---- the access phase ---- */

static void deny_before_allow(void **state)
{
	(void)state;
	static const struct {
		const char *allow, *deny, *client;
		int status;
	} rows[] = {
		{ "192.0.2.0/24", "", "192.0.2.1", 0 },   { "192.0.2.0/24", "", "198.51.100.1", 403 },
		{ "", "192.0.2.0/24", "192.0.2.1", 403 }, { "", "192.0.2.0/24", "198.51.100.1", 0 },
		{ "192.0.2.0/24", "192.0.2.1", "192.0.2.1", 403 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake f;
		struct err e;
		fake_init(&f, "GET", "http://a.test/");
		fake_client(&f, rows[i].client);
		assert_int_equal(cidr_list_parse(str_of(rows[i].allow), &f.set.allow, &e), 0);
		assert_int_equal(cidr_list_parse(str_of(rows[i].deny), &f.set.deny, &e), 0);
		assert_int_equal(fake_request(&f, &filter_access), rows[i].status == 0 ? FILTER_NEXT : FILTER_ANSWERED);
		assert_int_equal(f.status, rows[i].status);
		cidr_list_done(&f.set.allow);
		cidr_list_done(&f.set.deny);
		fake_done(&f);
	}
}

/* ---- basic authentication ---- */

static const char *basic(struct fake *f, const char *user_password)
{
	struct buf b;
	buf_init(&b, 4096);
	buf_puts(&b, "Basic ");
	base64_put(&b, str_of(user_password));
	const char *text = arena_strndup(&f->x.arena, b.ptr, b.len);
	buf_done(&b);
	return text;
}

static struct htpasswd *users_of(const char *file)
{
	struct err e;
	return htpasswd_new(str_of(file), &e);
}

static void setup(struct fake *f, struct htpasswd *users, const char *user_password)
{
	fake_init(f, "GET", "http://a.test/");
	f->set.auth_type = AUTH_BASIC;
	f->set.auth_realm = (char *)(uintptr_t)"a \"realm\"";
	f->set.htpasswd = users;
	if (user_password != NULL)
		fake_header(f, "Authorization", basic(f, user_password));
}

static void credentials(void **state)
{
	(void)state;
	static const struct {
		const char *header, *user, *password;
	} rows[] = {
		{ "Basic YW5uOm9uZQ==", "ann", "one" },	 { "basic   YW5uOm9uZQ==", "ann", "one" },
		{ "Basic YW5uOm9uZQ", "ann", "one" },	 { "Basic YW5uOm86bmU=", "ann", "o:ne" },
		{ "Basic Og==", "", "" },		 { "Basic", NULL, NULL },
		{ "Basic ", NULL, NULL },		 { "Basic YW5u", NULL, NULL },
		{ "Basic ****", NULL, NULL },		 { "Bearer YW5uOm9uZQ==", NULL, NULL },
		{ "Basic Y", NULL, NULL },		 { "", NULL, NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;
		struct str user, password;
		buf_init(&b, 4096);
		bool ok = basic_credentials_parse(str_of(rows[i].header), &b, &user, &password);
		assert_int_equal(ok, rows[i].user != NULL);
		if (ok)
			assert_true(str_eq_c(user, rows[i].user) && str_eq_c(password, rows[i].password));
		buf_done(&b);
	}
}

static void quick_hashes_need_no_thread(void **state)
{
	(void)state;
	struct htpasswd *users = users_of("ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
	static const char *const refused[] = { NULL, "ann:wrong", "eve:secret", "ann", "ann:" };
	struct fake f;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		setup(&f, users, refused[i]);
		assert_int_equal(fake_request(&f, &filter_basic_auth), FILTER_ANSWERED);
		assert_int_equal(f.status, 401);
		fake_answer(&f, &filter_basic_auth, 0);
		assert_string_equal(fake_answer_header(&f, "www-authenticate"), "Basic realm=\"a \\\"realm\\\"\"");
		fake_done(&f);
	}
	setup(&f, users, "ann:secret");
	assert_int_equal(fake_request(&f, &filter_basic_auth), FILTER_NEXT);
	assert_true(str_eq_c(f.x.remote_user, "ann"));
	/* The backend's own 401 is its own. */
	fake_answer(&f, &filter_basic_auth, 401);
	assert_null(fake_answer_header(&f, "www-authenticate"));
	header_add(&f.x, &f.x.up_headers, "Authorization", STR("Basic x"));
	header_add(&f.x, &f.x.up_headers, "Accept", STR("*"));
	fake_upstream(&f, &filter_basic_auth);
	assert_null(fake_up_header(&f, "authorization"));
	assert_int_equal(f.x.up_headers.n, 1);
	fake_done(&f);
	htpasswd_free(users);
}

static struct loop *running;
static struct fake *awaited;

static void tick(struct timer *t)
{
	if (awaited->resumed > 0 || awaited->answers > 0)
		loop_stop(running);
	else
		timer_start(running, t, 1);
}

static void run_until(struct loop *l, struct fake *f)
{
	struct timer t = { .fire = tick };
	running = l;
	awaited = f;
	timer_start(l, &t, 0);
	loop_run(l);
	timer_stop(&t);
}

static void slow_hashes_wait(void **state)
{
	(void)state;
	struct err e;
	struct loop *l = loop_new(&e);
	struct htpasswd *users = users_of("ann:$2y$05$kNhVkmPGHB1LYWcV/WTMMu5nXs4nUvjAY2RBSk9sdJ5K0jhrROjCC\n");
	struct fake f[6];
	static const char *const who[] = { "ann:secret", "ann:secret", "ann:wrong", "eve:secret", "ann:secret", "ann:secret" };
	for (int i = 0; i < 5; i++) {
		setup(&f[i], users, who[i]);
		f[i].worker.loop = l;
		assert_int_equal(fake_request(&f[i], &filter_basic_auth), FILTER_WAIT);
	}
	fake_done(&f[4]); /* its client has gone away */
	for (int i = 0; i < 4; i++)
		run_until(l, &f[i]);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(f[i].resumed, i < 2);
		assert_int_equal(f[i].status, i < 2 ? 0 : 401);
		assert_int_equal(f[i].answers, i < 2 ? 0 : 1);
		assert_true(str_eq_c(f[i].x.remote_user, i < 2 ? "ann" : NULL));
		fake_done(&f[i]);
	}
	/* Known to be right, without waiting; what was wrong is not remembered. */
	setup(&f[5], users, "ann:secret");
	f[5].worker.loop = l;
	assert_int_equal(fake_request(&f[5], &filter_basic_auth), FILTER_NEXT);
	fake_done(&f[5]);
	setup(&f[5], users, "eve:secret");
	f[5].worker.loop = l;
	assert_int_equal(fake_request(&f[5], &filter_basic_auth), FILTER_ANSWERED); /* the same hash and password, another name */
	fake_done(&f[5]);
	setup(&f[5], users, "ann:wrong");
	f[5].worker.loop = l;
	assert_int_equal(fake_request(&f[5], &filter_basic_auth), FILTER_WAIT);
	run_until(l, &f[5]);
	assert_int_equal(f[5].status, 401);
	fake_done(&f[5]);
	htpasswd_free(users);

	/* Another hash for ann: what was right before counts no more. */
	users = users_of("ann:$2y$05$MQYdv2aQzBHL2wf1mrnyM.oRalXFIh//nN2dV.ZUvLzFPxn3peGVO\n");
	setup(&f[5], users, "ann:secret");
	f[5].worker.loop = l;
	assert_int_equal(fake_request(&f[5], &filter_basic_auth), FILTER_WAIT);
	run_until(l, &f[5]);
	assert_int_equal(f[5].status, 401);
	fake_done(&f[5]);
	htpasswd_free(users);
	loop_free(l);
}

static void too_many_at_once(void **state)
{
	(void)state;
	struct err e;
	struct loop *l = loop_new(&e);
	struct htpasswd *users = users_of("ann:$apr1$zAZpLshJ$od40.fAw.QzHTjZINmiSD1\n");
	static struct fake f[65];
	for (int i = 0; i < 65; i++) {
		char text[32];
		snprintf(text, sizeof(text), "ann:guess%d", i);
		setup(&f[i], users, text);
		f[i].worker.loop = l;
		assert_int_equal(fake_request(&f[i], &filter_basic_auth), i < 64 ? FILTER_WAIT : FILTER_ANSWERED);
	}
	assert_int_equal(f[64].status, 503);
	for (int i = 0; i < 65; i++) {
		run_until(l, &f[i]);
		fake_done(&f[i]);
	}
	htpasswd_free(users);
	loop_free(l);
}

static void closed_without_users(void **state)
{
	(void)state;
	struct fake f;
	setup(&f, NULL, "ann:secret");
	assert_int_equal(fake_request(&f, &filter_basic_auth), FILTER_ANSWERED);
	assert_int_equal(f.status, 503);
	fake_done(&f);

	struct htpasswd *users = users_of("");
	setup(&f, users, "ann:secret");
	assert_int_equal(fake_request(&f, &filter_basic_auth), FILTER_ANSWERED);
	assert_int_equal(f.status, 401);
	fake_done(&f);

	setup(&f, users, "ann:secret");
	f.set.auth_type = AUTH_DIGEST;
	assert_int_equal(fake_request(&f, &filter_digest_auth), FILTER_ANSWERED);
	assert_int_equal(f.status, 503);
	fake_done(&f);
	htpasswd_free(users);
}

static void acme_needs_no_password(void **state)
{
	(void)state;
	struct fake f;
	char *listed[] = { (char *)(uintptr_t)"/.well-known/acme-challenge" };
	setup(&f, NULL, NULL);
	f.globals.no_auth_locations = (struct str_list){ listed, 1 };
	f.loc.path = (char *)(uintptr_t)"/.well-known/acme-challenge/token";
	assert_int_equal(fake_request(&f, &filter_basic_auth), FILTER_NEXT);
	f.loc.path = (char *)(uintptr_t)"/"; /* the location counts, not what is asked for */
	f.x.req.uri = STR("/.well-known/acme-challenge/token");
	assert_int_equal(fake_request(&f, &filter_basic_auth), FILTER_ANSWERED);
	fake_done(&f);
}

static void satisfy_any(void **state)
{
	(void)state;
	struct htpasswd *users = users_of("ann:{PLAIN}secret\n");
	static const struct {
		const char *client, *user;
		int status;
	} rows[] = {
		{ "192.0.2.1", NULL, 0 },
		{ "192.0.2.1", "ann:wrong", 0 },
		{ "198.51.100.1", "ann:secret", 0 },
		{ "198.51.100.1", "ann:wrong", 401 },
		{ "198.51.100.1", NULL, 401 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fake f;
		struct err e;
		setup(&f, users, rows[i].user);
		fake_client(&f, rows[i].client);
		f.set.satisfy = SATISFY_ANY;
		assert_int_equal(cidr_list_parse(STR("192.0.2.0/24"), &f.set.allow, &e), 0);
		assert_int_equal(fake_request(&f, &filter_access), FILTER_NEXT);
		assert_int_equal(fake_request(&f, &filter_basic_auth), FILTER_NEXT);
		enum filter_verdict v = fake_request(&f, &filter_access_end);
		assert_int_equal(v, rows[i].status == 0 ? FILTER_NEXT : FILTER_ANSWERED);
		assert_int_equal(f.status, rows[i].status);
		fake_answer(&f, &filter_basic_auth, 0);
		assert_int_equal(fake_answer_header(&f, "www-authenticate") != NULL, rows[i].status == 401);
		cidr_list_done(&f.set.allow);
		fake_done(&f);
	}
	/* Refused here, let in by another filter: the backend's 401 is its own. 401 is what is said at the end, whatever came last. */
	struct fake g;
	setup(&g, users, NULL);
	g.set.satisfy = SATISFY_ANY;
	assert_int_equal(fake_request(&g, &filter_basic_auth), FILTER_NEXT);
	assert_int_equal(access_refuse(&g.x, 403), FILTER_NEXT);
	assert_int_equal(fake_request(&g, &filter_access_end), FILTER_ANSWERED);
	assert_int_equal(g.status, 401);
	assert_int_equal(access_grant(&g.x), FILTER_NEXT);
	assert_int_equal(fake_request(&g, &filter_access_end), FILTER_NEXT);
	fake_answer(&g, &filter_basic_auth, 401);
	assert_null(fake_answer_header(&g, "www-authenticate"));
	fake_done(&g);

	/* Addresses alone. */
	struct fake f;
	struct err e;
	fake_init(&f, "GET", "http://a.test/");
	f.set.satisfy = SATISFY_ANY;
	assert_int_equal(cidr_list_parse(STR("10.0.0.0/8"), &f.set.allow, &e), 0);
	assert_int_equal(fake_request(&f, &filter_access), FILTER_NEXT);
	assert_int_equal(fake_request(&f, &filter_access_end), FILTER_ANSWERED);
	assert_int_equal(f.status, 403);
	cidr_list_done(&f.set.allow);
	fake_done(&f);
	htpasswd_free(users);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_of_other_programs),
		cmocka_unit_test(hashes_nobody_can_log_in_with),
		cmocka_unit_test(file_lines),
		cmocka_unit_test(cidrs_read),
		cmocka_unit_test(long_lists_are_searched),
		cmocka_unit_test(deny_before_allow),
		cmocka_unit_test(credentials),
		cmocka_unit_test(quick_hashes_need_no_thread),
		cmocka_unit_test(slow_hashes_wait),
		cmocka_unit_test(too_many_at_once),
		cmocka_unit_test(closed_without_users),
		cmocka_unit_test(acme_needs_no_password),
		cmocka_unit_test(satisfy_any),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
