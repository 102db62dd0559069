/* The forward, loop and cache plug-ins of one block, against name servers made here. */
#include "dns_liar.h"
#include "dns_plugin_kit.h"
#include "base/file.h"
#include "roles/dns/plugin/cache.h"
#include "roles/dns/plugin/forward.h"
#include "roles/dns/plugin/loop.h"

#include <stdio.h>

#define GIVE_UP_MS 9000 /* a test that hangs fails */

static const struct plugin *const plugins[] = { &plugin_cache, &plugin_loop, &plugin_forward, NULL };
static struct err e;
static struct kit k;
static struct liar a, b;
static char file[64];

static void on_give_up(struct timer *t)
{
	(void)t;
	fail_msg("no end in time");
}

static void on_pause_end(struct timer *t)
{
	loop_stop(t->ctx);
}

static void pause_ms(uint64_t ms)
{
	struct timer t = { .fire = on_pause_end, .ctx = k.worker->loop };

	timer_start(k.worker->loop, &t, ms);
	loop_run(k.worker->loop);
}

static unsigned waiting;
static bool running;
static struct addr answered_by;

static void on_done(void *ctx, struct request *r)
{
	answered_by = r->upstream;
	kit_done(ctx, r);
	if (--waiting == 0 && running)
		loop_stop(r->worker->loop);
}

static const char *ask_type(const char *name, uint16_t type, unsigned times)
{
	struct dns_query q = { .id = 7, .flags = DNS_FLAG_RD, .type = type, .class = DNS_CLASS_IN, .udp_bytes = 512 };
	struct timer give_up = { .fire = on_give_up };
	uint8_t text[DNS_NAME_BYTES_MAX + 4];

	assert_true(dns_name_from_text(str_of(name), &q.name));
	uint8_t *p = mempcpy(text, q.name.wire, q.name.len);
	*p++ = (uint8_t)(type >> 8);
	*p++ = (uint8_t)type;
	*p++ = 0;
	*p++ = DNS_CLASS_IN;
	q.question = (struct str){ (char *)text, (size_t)(p - text) };
	waiting = times;
	for (unsigned i = 0; i < times; i++) {
		buf_clear(&k.answer);
		buf_puts(&k.answer, "");
		request_start(k.worker, &k.block, &k.client, &q, NULL, on_done, &k);
	}
	timer_start(k.worker->loop, &give_up, GIVE_UP_MS);
	running = true;
	if (waiting)
		loop_run(k.worker->loop);
	running = false;
	timer_stop(&give_up);
	return k.answer.ptr;
}

static const char *ask(const char *name)
{
	return ask_type(name, DNS_A, 1);
}

/* "%a" and "%b" are the liars' addresses, "%f" the file's name. */
static const char *filled(const char *text)
{
	static char out[1024];
	size_t n = 0;

	for (; *text; text++) {
		if (text[0] == '%' && text[1] == 'a')
			n += (size_t)snprintf(out + n, sizeof(out) - n, "127.0.0.1:%u", a.port);
		else if (text[0] == '%' && text[1] == 'b')
			n += (size_t)snprintf(out + n, sizeof(out) - n, "127.0.0.2:%u", b.port);
		else if (text[0] == '%' && text[1] == 'f')
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%s", file);
		else {
			out[n++] = *text;
			continue;
		}
		text++;
	}
	out[n] = '\0';
	return out;
}

/* The liars need ports before the Corefile is read, and a loop, which is made with it: they listen first, and are moved. */
static struct loop *liars_loop;

static void begin(const char *text)
{
	static const char *const records[] = { "next.example. 5 A 192.0.2.99", NULL };

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	liars_loop = loop_new(&e);
	liar_start(&a, liars_loop, "127.0.0.1", 0);
	liar_start(&b, liars_loop, "127.0.0.2", 0);
	uint16_t ports[2] = { a.port, b.port };
	kit_open(&k, filled(text), plugins, records);
	liar_stop(&a);
	liar_stop(&b);
	loop_free(liars_loop);
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	liar_start(&a, k.worker->loop, "127.0.0.1", ports[0]);
	liar_start(&b, k.worker->loop, "127.0.0.2", ports[1]);
	pause_ms(0); /* a loop that has not turned does not know the time */
}

static void end(void)
{
	pause_ms(0);
	for (size_t i = 0; i < k.block.n_plugins; i++)
		if (k.worker_states[i]) {
			k.instances[i].plugin->worker_stop(&k.instances[i], k.worker, k.worker_states[i]);
			k.worker_states[i] = NULL;
		}
	liar_stop(&a);
	liar_stop(&b);
	pause_ms(0);
	assert_int_equal(k.worker->n_requests, 0);
	kit_close(&k);
}

#define GOOD "NOERROR\nweb.example.\t60\tIN\tA\t192.0.2.7\n"

static void test_forwards(void **state)
{
	(void)state;
	begin("forward . %a");
	assert_string_equal(ask("web.example"), GOOD);
	assert_int_equal(a.asked, 1);
	assert_int_equal(ntohs(((struct sockaddr_in *)&answered_by.ss)->sin_port), a.port);
	assert_string_equal(ask_type("web.example", DNS_AXFR, 1), "REFUSED\n");
	assert_int_equal(a.asked, 1);
	end();
}

static void test_rules_in_order(void **state)
{
	(void)state;
	begin("forward corp.example %b\nforward example %a {\nexcept next.example\n}");
	assert_string_equal(ask("web.example"), GOOD);
	assert_int_equal(a.asked, 1);
	assert_string_equal(ask("web.corp.example"), "NOERROR\nweb.corp.example.\t60\tIN\tA\t192.0.2.7\n");
	assert_int_equal(b.asked, 1);
	assert_string_equal(ask("next.example"), "NOERROR\nnext.example.\t5\tIN\tA\t192.0.2.99\n");
	assert_string_equal(ask("other.test"), "NXDOMAIN\n" KIT_SOA);
	assert_int_equal(a.asked + b.asked, 2);
	end();
}

static void test_next(void **state)
{
	(void)state;
	begin("forward . %a {\nnext NXDOMAIN\nnext_on_nodata\n}\nforward . %b");
	a.udp_lie = LIE_RCODE;
	a.rcode = DNS_NXDOMAIN;
	assert_string_equal(ask("web.example"), GOOD);
	a.rcode = DNS_NOERROR;
	assert_string_equal(ask("web.example"), GOOD);
	assert_int_equal(a.asked, 2);
	assert_int_equal(b.asked, 2);
	a.udp_lie = LIE_NOT;
	assert_string_equal(ask("web.example"), GOOD);
	assert_int_equal(b.asked, 2);
	b.udp_lie = LIE_RCODE;
	b.rcode = DNS_NXDOMAIN; /* the last one's answer is taken, whatever it is */
	a.udp_lie = LIE_RCODE;
	assert_string_equal(ask("web.example"), "NXDOMAIN\n");
	end();
}

static void test_asked_five_times(void **state)
{
	(void)state;
	begin("cache\nforward . %a");
	a.delay_ms = 20;
	ask_type("web.example", DNS_A, 5); /* at once: none waits in the cache yet */
	assert_int_equal(a.asked, 1);
	for (int i = 0; i < 5; i++)
		assert_string_equal(ask("web.example"), GOOD);
	assert_int_equal(a.asked, 1);
	end();
}

static void test_too_many(void **state)
{
	static const char *const names[] = { "a.example", "b.example", "c.example" };

	(void)state;
	begin("forward . %a {\nmax_concurrent 2\n}");
	a.delay_ms = 50;
	for (size_t i = 0; i < 2; i++) {
		struct dns_query q = { .type = DNS_A, .class = DNS_CLASS_IN, .question = STR("\0\0\1\0\1") };
		assert_true(dns_name_from_text(str_of(names[i]), &q.name));
		waiting = 2;
		request_start(k.worker, &k.block, &k.client, &q, NULL, on_done, &k);
	}
	struct kit_row row = { names[2], DNS_A, "REFUSED\n", NULL };
	unsigned before = waiting;
	struct dns_query q = { .type = DNS_A, .class = DNS_CLASS_IN };
	uint8_t text[64];
	assert_true(dns_name_from_text(str_of(row.name), &q.name));
	memcpy(text, q.name.wire, q.name.len);
	memcpy(text + q.name.len, "\0\1\0\1", 4);
	q.question = (struct str){ (char *)text, q.name.len + 4u };
	buf_clear(&k.answer);
	request_start(k.worker, &k.block, &k.client, &q, NULL, on_done, &k);
	assert_string_equal(k.answer.ptr, row.answer);
	assert_int_equal(waiting, before - 1);
	pause_ms(200);
	end();
}

static void test_files(void **state)
{
	struct plugin_instance *i;
	struct forward *f;
	char text[128];

	(void)state;
	snprintf(file, sizeof(file), "/tmp/portico-test-resolv.%d", (int)getpid());
	unlink(file);
	begin("forward . %f");
	i = kit_instance(&k, &plugin_forward);
	f = i->settings;
	assert_int_equal(f->rules[0].forwarder->set->n, 0);
	assert_string_equal(ask("web.example"), "SERVFAIL\n");
	/* The port is always the one that name servers have, so that only addresses are looked at here. */
	snprintf(text, sizeof(text), "nameserver 127.0.0.1\n");
	assert_int_equal(file_write(file, str_of(text), 0600, &e), 0);
	assert_true(forwarder_reread(f->rules[0].forwarder, NULL, NULL));
	assert_false(forwarder_reread(f->rules[0].forwarder, NULL, NULL));
	assert_int_equal(f->rules[0].forwarder->set->n, 1);
	assert_string_equal(f->rules[0].forwarder->set->at[0].text, "127.0.0.1:53");
	f->rules[0].forwarder->set->at[0].srtt_us = 1234;
	snprintf(text, sizeof(text), "nameserver 127.0.0.2\nnameserver 127.0.0.1\n");
	assert_int_equal(file_write(file, str_of(text), 0600, &e), 0);
	assert_true(forwarder_reread(f->rules[0].forwarder, NULL, NULL));
	assert_int_equal(f->rules[0].forwarder->set->n, 2);
	assert_int_equal(f->rules[0].forwarder->set->at[1].srtt_us, 1234); /* what was known of it */
	end();
	unlink(file);
}

/* A set that is replaced while questions are under way on it. */
static void test_replaced_while_asking(void **state)
{
	struct forward *f;
	char text[128];

	(void)state;
	snprintf(file, sizeof(file), "/tmp/portico-test-resolv.%d", (int)getpid());
	assert_int_equal(file_write(file, STR(""), 0600, &e), 0);
	begin("forward . %a %f");
	f = kit_instance(&k, &plugin_forward)->settings;
	a.delay_ms = 100;
	struct dns_query q = { .type = DNS_A, .class = DNS_CLASS_IN, .question = STR("\3web\7example\0\0\1\0\1") };
	assert_true(dns_name_from_text(STR("web.example"), &q.name));
	buf_clear(&k.answer);
	waiting = 1;
	request_start(k.worker, &k.block, &k.client, &q, NULL, on_done, &k);
	snprintf(text, sizeof(text), "nameserver 127.0.0.9\n");
	assert_int_equal(file_write(file, str_of(text), 0600, &e), 0);
	assert_true(forwarder_reread(f->rules[0].forwarder, NULL, NULL));
	running = true;
	loop_run(k.worker->loop);
	running = false;
	assert_string_equal(k.answer.ptr, GOOD);
	assert_int_equal(f->rules[0].forwarder->set->n, 2);
	end();
	unlink(file);
}

static void test_loop_is_found(void **state)
{
	struct forward *f;
	struct dns_name probe, root = { .len = 1 };
	char name[DNS_NAME_TEXT_BYTES];
	enum { HINFO = 13 };

	(void)state;
	begin("loop\nforward . %a %b {\npolicy sequential\n}");
	f = kit_instance(&k, &plugin_forward)->settings;
	a.udp_lie = b.udp_lie = LIE_SILENT;
	pause_ms(400); /* the first round of probes */
	assert_int_equal(a.asked, 1);
	assert_int_equal(a.type, HINFO);
	a.udp_lie = b.udp_lie = LIE_NOT;
	/* The one that was sent to `a` comes back. */
	assert_true(upstream_probe_name(&f->rules[0].forwarder->set->at[0], &root, &probe));
	buf_clear(&k.answer);
	ask_type(dns_name_text(&probe, name), HINFO, 1);
	assert_true(f->rules[0].forwarder->set->at[0].looping);
	assert_false(f->rules[0].forwarder->set->at[1].looping);
	unsigned before = a.asked;
	assert_string_equal(ask("web.example"), GOOD);
	assert_int_equal(a.asked, before);
	assert_int_equal(k.config.refs_, 1);
	/* Other questions of that type pass. */
	before = b.asked;
	assert_string_equal(ask_type("web.example", HINFO, 1), "SERVFAIL\n"); /* an A record is no answer to that */
	assert_int_equal(b.asked, before + 1);
	end();
}

static void test_settings(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "forward .", "at least one upstream" },
		{ "forward . dns.example", "neither an address" },
		{ "forward . https://1.1.1.1", "tls:// is" },
		{ "forward . tls://9.9.9.9%a.example {\ntls_servername b.example\n}", "leave one out" },
		{ "forward . 1.1.1.1 {\nexcept\n}", "takes names" },
		{ "forward . 1.1.1.1 {\nforce_tcp now\n}", "no argument" },
		{ "forward . 1.1.1.1 {\nexpire soon\n}", "duration" },
		{ "forward . 1.1.1.1 {\nmax_fails many\n}", "number" },
		{ "forward . 1.1.1.1 {\nmax_concurrent -1\n}", "number" },
		{ "forward . 1.1.1.1 {\npolicy best\n}", "round_robin" },
		{ "forward . 1.1.1.1 {\nhealth_check 1s twice\n}", "no_rec" },
		{ "forward . 1.1.1.1 {\nhealth_check\n}", "DURATION" },
		{ "forward . 1.1.1.1 {\nnext\n}", "rcodes" },
		{ "forward . 1.1.1.1 {\nnext GONE\n}", "not an rcode" },
		{ "forward . 1.1.1.1 {\nfailover NOERROR\n}", "NOERROR" },
		{ "forward . 1.1.1.1 {\ntls /does/not/exist\n}", "/does/not/exist" },
		{ "forward . 1.1.1.1 {\ntls a b c d\n}", "[CERT KEY] [CA]" },
		{ "forward . 1.1.1.1 {\nread_timeout 0\n}", "duration" },
		{ "forward . 1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8 1.0.0.9 1.0.0.10 1.0.0.11 1.0.0.12 "
		  "1.0.0.13 1.0.0.14 1.0.0.15 1.0.0.16", "more than 15" },
		{ "loop now", "no arguments" },
	};
	static const char *const taken[] = {
		"forward . /etc/resolv.conf {\nmax_concurrent 1000\n}",
		"forward . 1.1.1.1 8.8.8.8:5353 [fd00::1]:53 {\nexcept a.org 10.0.0.0/8\nforce_tcp\nprefer_udp\nexpire 20s\nmax_age 1m\n"
		"max_idle_conns 2\nread_timeout 3s\nmax_fails 0\nmax_connect_attempts 0\ndoh_method GET\npolicy round_robin\n"
		"health_check 0.5s no_rec domain example.org\nmax_concurrent 10\nnext NXDOMAIN SERVFAIL\nnext_on_nodata\n"
		"failfast_all_unhealthy_upstreams\nfailover SERVFAIL REFUSED\n}",
		"forward . tls://9.9.9.9 {\ntls_servername dns.quad9.net\nhealth_check 5s\ntls\n}",
		"forward 10.0.0.0/8 10.0.0.1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		kit_refuses(rows[i].text, plugins, rows[i].why);
	for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
		kit_open(&k, taken[i], plugins, NULL);
		kit_close(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_forwards),
		cmocka_unit_test(test_rules_in_order),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_asked_five_times),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_replaced_while_asking),
		cmocka_unit_test(test_loop_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
