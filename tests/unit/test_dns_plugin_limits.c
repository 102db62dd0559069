/* ratelimit, rrl, cookies: what guards a block whichever way its questions go. */
#include "dns_plugin_kit.h"

#include "base/file.h"
#include "codec/dns_cookie.h"
#include "codec/dns_edns.h"
#include "roles/dns/plugin/buckets.h"

#include <stdio.h>
#include <unistd.h>

extern const struct plugin plugin_ratelimit, plugin_rrl, plugin_cookies;
static const struct plugin *const plugins[] = { &plugin_cookies, &plugin_ratelimit, &plugin_rrl, NULL };

/* ---- buckets ---- */

static void a_bucket_fills_with_time(void **state)
{
	(void)state;
	struct bucket_rate rate = bucket_rate(10, 5, 0);
	struct buckets *b = buckets_new(64);
	uint64_t now = 1000000;
	int given = 0;

	for (int i = 0; i < 20; i++)
		given += buckets_take(b, 42, now, &rate);
	assert_int_equal(given, 5);
	assert_false(buckets_take(b, 42, now + 99999, &rate));
	assert_true(buckets_take(b, 42, now + 100000, &rate));
	assert_false(buckets_take(b, 42, now + 100000, &rate));
	assert_true(buckets_take(b, 43ull << 48, now, &rate)); /* another one */
	for (int i = given = 0; i < 20; i++)
		given += buckets_take(b, 42, now + 10000000, &rate);
	assert_int_equal(given, 5);
	/* Steadily above the rate: the rate comes through. */
	for (int i = given = 0; i < 1000; i++)
		given += buckets_take(b, 42, now + 20000000 + (uint64_t)i * 10000, &rate);
	assert_in_range(given, 100, 105);
	buckets_free(b);
}

static void who_goes_on_has_to_be_quiet(void **state)
{
	(void)state;
	struct bucket_rate rate = bucket_rate(10, 10, 3000000);
	struct buckets *b = buckets_new(64);
	uint64_t now = 1000000;
	int given = 0;

	for (int i = 0; i < 1000; i++) /* ten times the rate, for ten seconds */
		given += buckets_take(b, 42, now + (uint64_t)i * 10000, &rate);
	assert_in_range(given, 10, 15);
	now += 10000000;
	assert_false(buckets_take(b, 42, now + 1000000, &rate));
	assert_true(buckets_take(b, 42, now + 4200000, &rate));
	buckets_free(b);
}

static void the_table_is_bounded(void **state)
{
	(void)state;
	struct bucket_rate rate = bucket_rate(1, 1, 0);
	struct buckets *b = buckets_new(64);
	int given = 0;

	for (uint64_t key = 0; key < 10000; key++)
		given += buckets_take(b, key * 0x9e3779b97f4a7c15, 1000000, &rate);
	assert_in_range(given, 9900, 10000);
	buckets_free(b);
}

/* ---- ratelimit ---- */

static enum plugin_verdict guard(struct kit *k, const struct plugin *p, struct dns_query *q, struct dns_edns_reply *reply,
				 struct plugin_refusal *ret)
{
	struct dns_edns_reply none = { 0 };

	return p->guard(&k->instances[0], k->worker, &k->client, q, reply ? reply : &none, ret);
}

static void an_address_has_a_rate(void **state)
{
	(void)state;
	struct dns_query q = { 0 };
	struct plugin_refusal why = { 0 };
	struct kit k;

	kit_open(&k, "ratelimit 100 {\n burst 3\n exempt 10.0.0.0/8\n}", plugins, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_NEXT);
	assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_DROP);
	kit_client(&k, "192.0.2.2", DNS_UDP);
	assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_NEXT);
	kit_client(&k, "10.9.9.9", DNS_UDP);
	for (int i = 0; i < 10; i++)
		assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_NEXT);
	assert_int_equal(metric_value(plugin_counter(&k.shared, &k.instances[0], "portico_dns_ratelimited_requests_total", "", "")), 1);
	/* A /56 is one asker. */
	kit_client(&k, "2001:db8::1", DNS_UDP);
	for (int i = 0; i < 3; i++)
		assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_NEXT);
	kit_client(&k, "2001:db8:0:ff::2", DNS_UDP);
	assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_DROP);
	kit_client(&k, "2001:db8:0:100::2", DNS_UDP);
	assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_NEXT);
	kit_close(&k);
}

static void what_is_said_above_it(void **state)
{
	(void)state;
	struct dns_query q = { 0 };
	struct plugin_refusal why = { 0 };
	struct kit k;

	kit_open(&k, "ratelimit 1 {\n action refuse\n}", plugins, NULL);
	assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_NEXT);
	assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_ANSWERED);
	assert_int_equal(why.rcode, DNS_REFUSED);
	assert_false(why.truncate);
	kit_close(&k);
	kit_open(&k, "ratelimit 1 {\n action truncate\n prefix4 24\n}", plugins, NULL);
	assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_NEXT);
	kit_client(&k, "192.0.2.200", DNS_UDP);
	assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_ANSWERED);
	assert_true(why.truncate);
	assert_int_equal(why.rcode, DNS_NOERROR);
	k.client.proto = DNS_TCP;
	assert_int_equal(guard(&k, &plugin_ratelimit, &q, NULL, &why), PLUGIN_ANSWERED);
	assert_false(why.truncate);
	assert_int_equal(why.rcode, DNS_REFUSED);
	kit_close(&k);
}

/* ---- rrl ---- */

struct said {
	unsigned passed, dropped, slipped;
};

static struct said leave(struct kit *k, const char *name, uint16_t type, uint8_t rcode, uint8_t answers, bool cookie, int n)
{
	uint8_t message[12] = { 0, 1, 0x81, 0x80 | rcode, 0, 1, 0, answers };
	struct dns_query q = { .type = type, .cookie = cookie };
	struct said s = { 0 };

	assert_true(dns_name_from_text(str_of(name), &q.name));
	while (n--) {
		struct plugin_refusal why = { 0 };
		enum plugin_verdict v = plugin_rrl.leave(&k->instances[0], k->worker, &k->client, &q,
							 (struct str){ (char *)message, sizeof(message) }, &why);
		s.passed += v == PLUGIN_NEXT;
		s.dropped += v == PLUGIN_DROP;
		s.slipped += v == PLUGIN_ANSWERED && why.truncate;
	}
	return s;
}

static void equal_answers_are_limited(void **state)
{
	(void)state;
	struct kit k;
	struct said s;

	kit_open(&k, "rrl {\n responses-per-second 10\n errors-per-second 0\n nxdomains-per-second 4\n}", plugins, NULL);
	s = leave(&k, "a.test", DNS_A, 0, 1, false, 50);
	assert_int_equal(s.passed, 10);
	assert_int_equal(s.dropped, 20);
	assert_int_equal(s.slipped, 20);
	/* Another name, another type, another network: accounts of their own. */
	assert_int_equal(leave(&k, "b.test", DNS_A, 0, 1, false, 10).passed, 10);
	assert_int_equal(leave(&k, "a.test", DNS_AAAA, 0, 1, false, 10).passed, 10);
	kit_client(&k, "192.0.2.77", DNS_UDP);
	assert_int_equal(leave(&k, "a.test", DNS_A, 0, 1, false, 10).passed, 0);
	kit_client(&k, "192.0.3.77", DNS_UDP);
	assert_int_equal(leave(&k, "a.test", DNS_A, 0, 1, false, 10).passed, 10);
	/* Denials count together, whatever the name. */
	assert_int_equal(leave(&k, "x1.test", DNS_A, DNS_NXDOMAIN, 0, false, 3).passed, 3);
	assert_int_equal(leave(&k, "x2.test", DNS_AAAA, DNS_NXDOMAIN, 0, false, 3).passed, 1);
	assert_int_equal(leave(&k, "x.test", DNS_A, DNS_SERVFAIL, 0, false, 100).passed, 100);
	assert_int_equal(leave(&k, "x.test", DNS_A, 0, 0, false, 11).passed, 10);
	/* Who has shown his address has no limit. */
	assert_int_equal(leave(&k, "a.test", DNS_A, 0, 1, true, 10).passed, 10);
	k.client.proto = DNS_TCP;
	assert_int_equal(leave(&k, "a.test", DNS_A, 0, 1, false, 10).passed, 10);
	kit_close(&k);
}

static void rrl_settings(void **state)
{
	(void)state;
	struct kit k;

	kit_open(&k, "rrl {\n responses-per-second 1\n report-only\n}", plugins, NULL);
	assert_int_equal(leave(&k, "a.test", DNS_A, 0, 1, false, 9).passed, 9);
	assert_int_equal(metric_value(plugin_counter(&k.shared, &k.instances[0], "coredns_rrl_responses_exceeded_total", "", "")), 8);
	kit_close(&k);
	kit_open(&k, "rrl {\n responses-per-second 1\n slip-ratio 0\n exempt 10.0.0.0/8\n}", plugins, NULL);
	assert_int_equal(leave(&k, "a.test", DNS_A, 0, 1, false, 9).dropped, 8);
	kit_client(&k, "10.1.1.1", DNS_UDP);
	assert_int_equal(leave(&k, "a.test", DNS_A, 0, 1, false, 9).passed, 9);
	kit_close(&k);
}

/* ---- cookies ---- */

static void a_cookie_is_given_and_taken(void **state)
{
	(void)state;
	struct dns_edns_reply options = { 0 }, reply = { 0 };
	struct dns_query q = { .edns = true };
	struct plugin_refusal why = { 0 };
	struct kit k;

	kit_open(&k, "cookies", plugins, NULL);
	assert_int_equal(guard(&k, &plugin_cookies, &q, &reply, &why), PLUGIN_NEXT);
	assert_int_equal(reply.len, 0);
	dns_edns_put(&options, DNS_OPTION_COOKIE, "12345678", 8);
	q.options = dns_edns_str(&options);
	assert_int_equal(guard(&k, &plugin_cookies, &q, &reply, &why), PLUGIN_NEXT);
	assert_false(q.cookie);
	assert_int_equal(reply.len, 4 + DNS_COOKIE_BYTES);
	q.options = dns_edns_str(&reply); /* an option of its own: it comes back as it was sent */
	struct dns_edns_reply again = { 0 };
	assert_int_equal(guard(&k, &plugin_cookies, &q, &again, &why), PLUGIN_NEXT);
	assert_true(q.cookie);
	assert_memory_equal(again.bytes, reply.bytes, reply.len);
	kit_client(&k, "192.0.2.99", DNS_UDP);
	again.len = 0;
	assert_int_equal(guard(&k, &plugin_cookies, &q, &again, &why), PLUGIN_NEXT);
	assert_false(q.cookie);
	options.len = 0;
	dns_edns_put(&options, DNS_OPTION_COOKIE, "1234", 4);
	q.options = dns_edns_str(&options);
	assert_int_equal(guard(&k, &plugin_cookies, &q, &again, &why), PLUGIN_ANSWERED);
	assert_int_equal(why.rcode, DNS_FORMERR);
	kit_close(&k);
}

static void required(void **state)
{
	(void)state;
	struct dns_edns_reply options = { 0 }, reply = { 0 };
	struct dns_query q = { .edns = true };
	struct plugin_refusal why = { 0 };
	struct kit k;

	kit_open(&k, "cookies {\n require\n}", plugins, NULL);
	assert_int_equal(guard(&k, &plugin_cookies, &q, &reply, &why), PLUGIN_ANSWERED);
	assert_true(why.truncate);
	dns_edns_put(&options, DNS_OPTION_COOKIE, "12345678", 8);
	q.options = dns_edns_str(&options);
	assert_int_equal(guard(&k, &plugin_cookies, &q, &reply, &why), PLUGIN_ANSWERED);
	assert_int_equal(why.rcode, DNS_BADCOOKIE);
	assert_int_equal(reply.len, 4 + DNS_COOKIE_BYTES);
	k.client.proto = DNS_TCP;
	assert_int_equal(guard(&k, &plugin_cookies, &q, NULL, &why), PLUGIN_NEXT);
	k.client.proto = DNS_UDP;
	q.options = dns_edns_str(&reply);
	assert_int_equal(guard(&k, &plugin_cookies, &q, NULL, &why), PLUGIN_NEXT);
	kit_close(&k);
}

static void secrets_of_a_file(void **state)
{
	(void)state;
	char path[] = "/tmp/portico-cookies-XXXXXX", *text;
	static const struct {
		const char *file, *why;
	} rows[] = {
		{ "# none\n", "has no secret" },
		{ "e5e973e5a6b2a43f48e7dc849e37bfc\n", ":1: a secret is 32" },
		{ "\ne5e973e5a6b2a43f48e7dc849e37bfcg\n", ":2: a secret is 32" },
		{ "e5e973e5a6b2a43f48e7dc849e37bfcf\ne5e973e5a6b2a43f48e7dc849e37bfcf\ne5e973e5a6b2a43f48e7dc849e37bfcf\n"
		  "e5e973e5a6b2a43f48e7dc849e37bfcf\ne5e973e5a6b2a43f48e7dc849e37bfcf\n", "more than 4" },
	};
	struct err e;
	struct kit k;

	close(mkstemp(path));
	text = xasprintf("cookies {\n secrets %s\n}", path);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(file_write(path, str_of(rows[i].file), 0600, &e), 0);
		kit_refuses(text, plugins, rows[i].why);
	}
	assert_int_equal(file_write(path, STR("# in use\ne5e973e5a6b2a43f48e7dc849e37bfcf\r\n\n445536bcd2513298075a5d379663c962"), 0600, &e), 0);
	kit_open(&k, text, plugins, NULL);
	kit_close(&k);
	unlink(path);
	free(text);
}

static void refuses(void **state)
{
	(void)state;
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "ratelimit", "is followed by the questions a second" },
		{ "ratelimit 0", "is followed by the questions a second" },
		{ "ratelimit 10 {\n action nonsense\n}", "drop, refuse or truncate" },
		{ "ratelimit 10 {\n prefix4 33\n}", "prefix4 is a number, 1 to 32" },
		{ "ratelimit 10 {\n exempt x\n}", "not a prefix" },
		{ "rrl", "needs responses-per-second" },
		{ "rrl example.org {\n responses-per-second 5\n}", "takes no zones" },
		{ "rrl {\n responses-per-second x\n}", "is a number" },
		{ "rrl {\n responses-per-second 5\n requests-per-second 5\n}", "the plug-in ratelimit" },
		{ "rrl {\n responses-per-second 5\n exempt x\n}", "not a prefix" },
		{ "cookies x", "no arguments" },
		{ "cookies {\n secrets\n}", "followed by a file" },
		{ "cookies {\n secrets /nonexistent/secrets\n}", "No such file" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		kit_refuses(rows[i].text, plugins, rows[i].why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_fills_with_time),
		cmocka_unit_test(who_goes_on_has_to_be_quiet),
		cmocka_unit_test(the_table_is_bounded),
		cmocka_unit_test(an_address_has_a_rate),
		cmocka_unit_test(what_is_said_above_it),
		cmocka_unit_test(equal_answers_are_limited),
		cmocka_unit_test(rrl_settings),
		cmocka_unit_test(a_cookie_is_given_and_taken),
		cmocka_unit_test(required),
		cmocka_unit_test(secrets_of_a_file),
		cmocka_unit_test(refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
