/* What upstreams are asked and what of their answers is believed: against name servers that lie. */
#include "dns_liar.h"
#include "net_pki.h"
#include "roles/dns/resolve/forwarder.h"

#include <stdio.h>

#define GIVE_UP_MS 9000 /* a test that hangs fails */

static struct loop *loop;
static struct err e;
static struct liar a, b;
static struct forwarder *f;
static struct forwarder_worker *fw;

static void on_give_up(struct timer *t)
{
	(void)t;
	fail_msg("no end in time");
}
static struct timer give_up = { .fire = on_give_up };

static void on_pause_end(struct timer *t)
{
	(void)t;
	loop_stop(loop);
}
static struct timer pause_timer = { .fire = on_pause_end };

static void pause_ms(uint64_t ms)
{
	timer_start(loop, &pause_timer, ms);
	loop_run(loop);
}

/* ---- asking ---- */

static char said[4096];
static unsigned waiting, told;
static bool running;
/* Both of the last question. The first is the clock's; the second counts a turn of the loop that came late as one tick: that the
 * machine was busy elsewhere is not what must not be waited for. */
#define TICK_MS 10
static uint64_t took_ms, waited_ms;

static void print(const struct forward_answer *ans)
{
	struct dns_message m;
	struct buf out;

	if (!ans->message.len) {
		strcpy(said, ans->unhealthy ? "unhealthy" : "nobody");
		return;
	}
	assert_true(dns_message_parse(ans->message, &m));
	buf_init(&out, sizeof(said));
	buf_printf(&out, "%u%s", ans->rcode, m.flags & DNS_FLAG_TC ? " tc" : "");
	for (struct dns_record r = dns_records(&m); dns_record_next(&m, &r);) {
		static const char *const sections[] = { "", "", "authority ", "additional " };
		buf_printf(&out, "; %s", sections[r.section]);
		dns_text_print(&out, &m, &r);
	}
	for (size_t i = 0; i < out.len; i++)
		said[i] = out.ptr[i] == '\t' ? ' ' : out.ptr[i];
	said[out.len] = '\0';
	buf_done(&out);
}

static void on_done(struct forward_wait *w, const struct forward_answer *ans)
{
	(void)w;
	print(ans);
	told++;
	if (--waiting == 0 && running)
		loop_stop(loop);
}

static void on_tick(struct timer *t)
{
	waited_ms += TICK_MS;
	timer_start(loop, t, TICK_MS);
}

static void run_until_told(void)
{
	struct timer tick = { .fire = on_tick };

	timer_start(loop, &tick, TICK_MS);
	timer_start(loop, &give_up, GIVE_UP_MS);
	running = true;
	loop_run(loop);
	running = false;
	timer_stop(&give_up);
	timer_stop(&tick);
}

static struct dns_query question(const char *name, uint16_t type)
{
	struct dns_query q = { .type = type, .class = DNS_CLASS_IN };

	assert_true(dns_name_from_text(str_of(name), &q.name));
	return q;
}

static const char *ask_query(const struct dns_query *q, unsigned times)
{
	struct forward_wait w[8] = { 0 };
	uint64_t start;

	pause_ms(0);
	start = loop_now_ms(loop);
	waited_ms = 0;
	said[0] = '\0';
	told = 0;
	waiting = times;
	for (unsigned i = 0; i < times; i++) {
		w[i].done = on_done;
		assert_true(forwarder_ask(fw, q, &w[i]));
	}
	if (waiting)
		run_until_told();
	took_ms = loop_now_ms(loop) - start;
	assert_int_equal(told, times);
	return said;
}

static const char *ask(const char *name)
{
	struct dns_query q = question(name, DNS_A);

	return ask_query(&q, 1);
}

/* ---- one forwarder to one or two liars ---- */

static void begin(const struct liar *first, const struct liar *second)
{
	static char words[2][64];
	const char *list[2] = { words[0], words[1] };

	a = *first;
	liar_start(&a, loop, "127.0.0.1", 0);
	snprintf(words[0], sizeof(words[0]), "%s127.0.0.1:%u", a.tls ? "tls://" : "", a.port);
	if (second) {
		b = *second;
		liar_start(&b, loop, "127.0.0.2", 0);
		snprintf(words[1], sizeof(words[1]), "127.0.0.2:%u", b.port);
	}
	f = forwarder_new();
	f->o.policy = FORWARD_SEQUENTIAL;
	f->upstream.port = 53;
	assert_int_equal(forwarder_set_upstreams(f, list, second ? 2 : 1, &e), 0);
	fw = forwarder_worker_new(f, loop, 0);
}

static void end(void)
{
	forwarder_worker_free(fw);
	forwarder_free(f);
	liar_stop(&a);
	if (b.loop)
		liar_stop(&b);
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	pause_ms(0);
}

#define GOOD "0; example.com. 60 IN A 192.0.2.7"

static void test_answers_to_others_are_not_believed(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_ID_FIRST }, NULL);
	assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(a.asked, 1);
	assert_int_equal(f->set->at[0].foreign, 4);
	end();
}

static void test_every_try_has_a_port_and_an_id(void **state)
{
	uint16_t ports[16], ids[16];
	unsigned same_ports = 0, same_ids = 0;

	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_NOT }, NULL);
	for (int i = 0; i < 16; i++) {
		assert_string_equal(ask("example.com"), GOOD);
		ports[i] = a.from_port;
		ids[i] = a.id;
		for (int k = 0; k < i; k++) {
			same_ports += ports[k] == ports[i];
			same_ids += ids[k] == ids[i];
		}
	}
	assert_true(same_ports < 4 && same_ids < 4);
	assert_true(a.with_capitals > 8); /* a name of ten letters has none once in a thousand times */
	assert_int_equal(a.with_edns, 16);
	end();
}

static void test_many_forgeries_lead_to_tcp(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_FLOOD }, NULL);
	assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(a.asked, 1);
	assert_int_equal(a.asked_tcp, 1);
	assert_true(waited_ms < 300);
	end();
}

static void test_upstreams_that_change_the_case(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_UPPER, .tcp_lie = LIE_UPPER }, NULL);
	assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(a.asked_tcp, 1); /* over TCP it is believed, and known from then on */
	assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(a.asked_tcp, 1);
	end();

	begin(&(struct liar){ .udp_lie = LIE_UPPER }, NULL); /* there is no TCP */
	liar_no_tcp(&a);
	assert_string_equal(ask("example.com"), GOOD);
	assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(a.asked, 3);
	end();

	begin(&(struct liar){ .udp_lie = LIE_UPPER, .tcp_lie = LIE_NOT }, NULL); /* over TCP it is kept: it was forged */
	assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(f->set->at[0].no_case_until_ms, 0);
	end();
}

static void test_truncated_answers_are_asked_for_over_tcp(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_TRUNCATED }, NULL);
	for (int i = 0; i < 3; i++)
		assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(a.asked_tcp, 3);
	assert_int_equal(a.n_conns, 1); /* one connection for all */
	end();

	begin(&(struct liar){ .udp_lie = LIE_TRUNCATED, .tcp_lie = LIE_CLOSE }, NULL);
	assert_string_equal(ask("example.com"), "0 tc"); /* better than nothing: the asker may try */
	end();
}

static void test_tcp_that_misbehaves(void **state)
{
	static const enum lie lies[] = { LIE_CLOSE, LIE_LENGTH, LIE_SHORT, LIE_SILENT };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		begin(&(struct liar){ .udp_lie = LIE_TRUNCATED, .tcp_lie = lies[i] }, &(struct liar){ .udp_lie = LIE_NOT });
		assert_string_equal(ask("example.com"), GOOD);
		assert_int_equal(b.asked, 1);
		assert_true(waited_ms < 1000);
		end();
	}
}

static void test_closed_connections_are_made_again(void **state)
{
	(void)state;
	begin(&(struct liar){ .tcp_lie = LIE_CLOSE_AFTER }, NULL);
	f->o.line.force_tcp = true;
	for (int i = 0; i < 3; i++)
		assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(a.asked, 0);
	assert_int_equal(a.asked_tcp, 3);
	end();

	begin(&(struct liar){ .tcp_lie = LIE_CLOSE_SECOND }, NULL); /* closed just when it is used again */
	f->o.line.force_tcp = true;
	for (int i = 0; i < 3; i++)
		assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(a.asked_tcp, 5);
	assert_int_equal(f->set->at[0].checked_ms, 0); /* which is no reason to doubt it */
	end();
}

static void test_many_questions_on_one_connection(void **state)
{
	static const char *const names[] = { "a.example", "b.example", "c.example", "d.example" };
	struct forward_wait w[4] = { 0 };

	(void)state;
	begin(&(struct liar){ .tcp_lie = LIE_NOT }, NULL);
	f->o.line.force_tcp = true;
	told = 0;
	waiting = 4;
	for (int i = 0; i < 4; i++) {
		struct dns_query q = question(names[i], DNS_A);
		w[i].done = on_done;
		assert_true(forwarder_ask(fw, &q, &w[i]));
	}
	run_until_told();
	assert_int_equal(told, 4);
	assert_int_equal(a.n_conns, 1);
	assert_int_equal(a.asked_tcp, 4);
	end();
}

static void test_idle_connections_end(void **state)
{
	(void)state;
	begin(&(struct liar){ .tcp_lie = LIE_NOT }, NULL);
	f->o.line.force_tcp = true;
	f->o.line.expire_ms = 50;
	assert_string_equal(ask("example.com"), GOOD);
	pause_ms(20);
	assert_int_equal(a.n_conns, 1);
	pause_ms(100);
	assert_int_equal(a.n_conns, 0);
	end();
}

static void test_without_edns(void **state)
{
	static const enum lie lies[] = { LIE_EDNS_FORMERR, LIE_EDNS_BARE };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		begin(&(struct liar){ .udp_lie = lies[i] }, NULL);
		assert_string_equal(ask("example.com"), GOOD);
		assert_int_equal(a.asked, 2);
		assert_string_equal(ask("example.com"), GOOD);
		assert_int_equal(a.asked, 3); /* it is known now */
		assert_int_equal(a.with_edns, 1);
		end();
	}
	begin(&(struct liar){ .udp_lie = LIE_RCODE, .rcode = DNS_FORMERR }, NULL); /* to all: EDNS is not what it dislikes */
	assert_string_equal(ask("example.com"), "1");
	assert_int_equal(f->set->at[0].no_edns_until_ms, 0);
	end();
}

static void test_dnssec_ok_is_passed_on(void **state)
{
	struct dns_query q = question("example.com", DNS_A);

	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_NOT }, NULL);
	q.edns = q.dnssec_ok = true;
	assert_string_equal(ask_query(&q, 1), GOOD);
	assert_int_equal(a.with_do, 1);
	assert_string_equal(ask("example.com"), GOOD);
	assert_int_equal(a.with_do, 1);
	end();
}

static void test_failures_lead_to_the_next(void **state)
{
	static const unsigned rcodes[] = { DNS_SERVFAIL, DNS_FORMERR, DNS_REFUSED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rcodes); i++) {
		begin(&(struct liar){ .udp_lie = LIE_RCODE, .rcode = rcodes[i] }, &(struct liar){ .udp_lie = LIE_NOT });
		assert_string_equal(ask("example.com"), GOOD);
		b.udp_lie = LIE_RCODE;
		b.rcode = DNS_SERVFAIL;
		assert_string_equal(ask("example.org"), "2"); /* what the last one said */
		end();
	}
	begin(&(struct liar){ .udp_lie = LIE_RCODE, .rcode = DNS_NXDOMAIN }, &(struct liar){ .udp_lie = LIE_NOT });
	assert_string_equal(ask("example.com"), "3");
	f->o.failover = 1u << DNS_NXDOMAIN;
	assert_string_equal(ask("example.com"), GOOD);
	end();
}

static void test_a_slow_upstream_is_not_waited_for(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_SILENT }, &(struct liar){ .udp_lie = LIE_NOT });
	assert_string_equal(ask("example.com"), GOOD);
	assert_true(took_ms >= 300 && waited_ms < 900);
	/* It was checked after that, and is not asked first any more. */
	assert_string_equal(ask("example.org"), "0; example.org. 60 IN A 192.0.2.7");
	assert_true(waited_ms < 100);
	end();

	begin(&(struct liar){ .delay_ms = 600 }, &(struct liar){ .udp_lie = LIE_SILENT }); /* the first is only slow */
	f->o.health.max_fails = 0; /* no checks between the questions */
	assert_string_equal(ask("example.com"), GOOD);
	assert_true(took_ms >= 550 && waited_ms < 900);
	end();
}

static void test_silence_ends(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_SILENT }, NULL);
	assert_string_equal(ask("example.com"), "nobody");
	assert_true(took_ms >= 4500 && waited_ms < 5500);
	assert_true(a.asked >= 4);
	end();
}

static void test_nobody_listens(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_NOT }, NULL);
	io_stop(&a.udp);
	close(a.udp.fd);
	assert_string_equal(ask("example.com"), "nobody");
	assert_true(waited_ms < 300);
	a.udp.fd = -1;
	end();
}

static void test_down_and_up_again(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_SILENT }, &(struct liar){ .udp_lie = LIE_SILENT });
	f->o.health.interval_ms = 50;
	f->o.failfast = true;
	assert_string_equal(ask("example.com"), "nobody");
	assert_int_equal(f->set->at[0].fails, 4); /* checks of a second each */
	assert_string_equal(ask("example.com"), "unhealthy");
	assert_true(waited_ms < 100);
	f->o.failfast = false;
	a.udp_lie = b.udp_lie = LIE_NOT;
	assert_string_equal(ask("example.com"), GOOD); /* one of them is tried all the same */
	f->o.failfast = true;
	pause_ms(1500); /* the next check is answered */
	assert_int_equal(f->set->at[0].fails, 0);
	assert_int_equal(f->set->at[1].fails, 0);
	assert_false(f->set->at[0].checking);
	unsigned asked = a.asked;
	pause_ms(300);
	assert_int_equal(a.asked, asked); /* and was the last */
	end();
}

static void test_equal_questions_are_asked_once(void **state)
{
	struct dns_query q = question("example.com", DNS_A);

	(void)state;
	begin(&(struct liar){ .delay_ms = 20 }, NULL);
	assert_string_equal(ask_query(&q, 5), GOOD);
	assert_int_equal(a.asked, 1);
	end();
}

static void test_policies(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_NOT }, &(struct liar){ .udp_lie = LIE_NOT });
	for (int i = 0; i < 20; i++)
		ask("example.com");
	assert_int_equal(a.asked, 20);
	f->o.policy = FORWARD_ROUND_ROBIN;
	for (int i = 0; i < 20; i++)
		ask("example.com");
	assert_int_equal(a.asked, 30);
	f->o.policy = FORWARD_RANDOM;
	for (int i = 0; i < 40; i++)
		ask("example.com");
	assert_true(a.asked > 33 && a.asked < 67); /* once in ten million times it is not */
	assert_int_equal(a.asked + b.asked, 80);
	end();
}

static void test_tries_are_limited(void **state)
{
	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_SILENT }, &(struct liar){ .udp_lie = LIE_SILENT });
	f->o.max_tries = 2;
	f->o.health.max_fails = 0;
	assert_string_equal(ask("example.com"), "nobody");
	assert_int_equal(a.asked, 1);
	assert_int_equal(b.asked, 1);
	end();
}

static void test_max_concurrent(void **state)
{
	struct dns_query q = question("example.com", DNS_A);
	struct forward_wait w[3] = { { .done = on_done }, { .done = on_done }, { .done = on_done } };

	(void)state;
	begin(&(struct liar){ .udp_lie = LIE_SILENT }, NULL);
	f->o.max_concurrent = 2;
	assert_true(forwarder_ask(fw, &q, &w[0]));
	assert_true(forwarder_ask(fw, &q, &w[1]));
	assert_false(forwarder_ask(fw, &q, &w[2]));
	forwarder_forget(&w[0]);
	assert_true(forwarder_ask(fw, &q, &w[2]));
	forwarder_forget(&w[1]);
	forwarder_forget(&w[2]); /* the last one: it is not asked any more */
	assert_int_equal(f->concurrent, 0);
	end();
}

/* ---- what is believed of an answer ---- */

static const char *const cname_elsewhere[] = { "other.example. 60 CNAME bank.example.", "bank.example. 60 A 198.51.100.6", NULL };
static const char *const cname_chain[] = { "example.com. 60 CNAME a.example.net.", "a.example.net. 60 CNAME b.example.net.",
					   "b.example.net. 60 A 192.0.2.8", "bank.example. 60 A 198.51.100.6", NULL };
static const char *const cname_reversed[] = { "b.example.net. 60 A 192.0.2.8", "a.example.net. 60 CNAME b.example.net.",
					      "example.com. 60 CNAME a.example.net.", NULL };
static const char *const cname_loop[] = { "example.com. 60 CNAME a.example.net.", "a.example.net. 60 CNAME example.com.", NULL };
static const char *const good[] = { "example.com. 60 A 192.0.2.7", NULL };
static const char *const good_and_more[] = { "example.com. 60 A 192.0.2.7", "example.com. 60 TXT \"no\"", NULL };
static const char *const poison[] = { "bank.example. 60 A 198.51.100.6", NULL };
static const char *const poison_ns[] = { "example. 60 NS ns.evil.example.", NULL };
static const char *const own_ns[] = { "com. 60 NS ns.example.com.", NULL };
static const char *const own_glue[] = { "ns.example.com. 60 A 192.0.2.53", NULL };
static const char *const soa[] = { "com. 60 SOA ns.com. h.com. 1 2 3 4 30", NULL };
static const char *const foreign_soa[] = { "example. 60 SOA ns.com. h.com. 1 2 3 4 30", NULL };

static void test_what_is_believed(void **state)
{
	static const struct {
		const char *what;
		const char *const *answer, *const *authority, *const *additional;
		unsigned rcode;
		const char *from, *said;
	} rows[] = {
		{ "CNAME to elsewhere", cname_elsewhere, NULL, NULL, 0, ".", "nobody" },
		{ "a chain, and more", cname_chain, NULL, NULL, 0, ".",
		  "0; example.com. 60 IN CNAME a.example.net.; a.example.net. 60 IN CNAME b.example.net.; b.example.net. 60 IN A 192.0.2.8" },
		{ "a chain backwards", cname_reversed, NULL, NULL, 0, ".",
		  "0; b.example.net. 60 IN A 192.0.2.8; a.example.net. 60 IN CNAME b.example.net.; example.com. 60 IN CNAME a.example.net." },
		{ "a chain without end", cname_loop, NULL, NULL, 0, ".", "nobody" },
		{ "another type", good_and_more, NULL, NULL, 0, ".", GOOD },
		{ "additional of others", good, NULL, poison, 0, ".", GOOD },
		{ "authority of others", good, poison_ns, poison, 0, ".", GOOD },
		{ "glue", good, own_ns, own_glue, 0, ".",
		  GOOD "; authority com. 60 IN NS ns.example.com.; additional ns.example.com. 60 IN A 192.0.2.53" },
		{ "authority above what it is asked for", good, own_ns, own_glue, 0, "example.com", GOOD },
		{ "denial", NULL, soa, NULL, 3, ".", "3; authority com. 60 IN SOA ns.com. h.com. 1 2 3 4 30" },
		{ "denial by others", NULL, foreign_soa, NULL, 3, ".", "3" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(&(struct liar){ .answer = rows[i].answer, .authority = rows[i].authority, .additional = rows[i].additional,
				      .rcode = rows[i].rcode }, NULL);
		assert_true(dns_name_from_text(str_of(rows[i].from), &f->o.from));
		const char *got = ask("example.com");
		if (strcmp(got, rows[i].said) != 0)
			fail_msg("%s:\n%s\nexpected:\n%s", rows[i].what, got, rows[i].said);
		end();
	}
}

/* ---- TLS ---- */

static struct tls *server_tls(const struct pki *p)
{
	struct tls_config c = { .cert_pem = str_of(p->cert_pem), .key_pem = str_of(p->key_pem) };

	return tls_server_new(&c, &e);
}

static const char *ask_tls(const struct pki *server, const struct pki *trusted, const char *name)
{
	struct tls_config c = { .ca_pem = str_of(trusted->cert_pem), .verify_peer = true };
	static char kept[4096];

	begin(&(struct liar){ .tls = server_tls(server) }, NULL);
	f->o.line.tls = tls_client_new(&c, &e);
	snprintf(f->set->at[0].server_name, sizeof(f->set->at[0].server_name), "%s", name);
	snprintf(kept, sizeof(kept), "%s", ask("example.com"));
	assert_int_equal(a.asked, 0);
	struct tls *t = a.tls;
	end();
	tls_unref(t);
	return kept;
}

static void test_tls(void **state)
{
	struct pki ca = pki_make("authority", NULL, NULL), other = pki_make("other", NULL, NULL);
	struct pki server = pki_make("dns", "DNS:dns.example,IP:127.0.0.1", &ca);

	(void)state;
	assert_string_equal(ask_tls(&server, &ca, "dns.example"), GOOD);
	assert_string_equal(ask_tls(&server, &ca, "127.0.0.1"), GOOD);
	assert_string_equal(ask_tls(&server, &ca, "dns.other"), "nobody");
	assert_string_equal(ask_tls(&server, &ca, "127.0.0.2"), "nobody");
	assert_string_equal(ask_tls(&server, &other, "dns.example"), "nobody");
	pki_done(&ca);
	pki_done(&other);
	pki_done(&server);
}

/* ---- words and files ---- */

static void test_words(void **state)
{
	static const struct {
		const char *word, *text, *name; /* text NULL: refused */
		bool tls;
	} rows[] = {
		{ "10.0.0.1", "10.0.0.1:53", "10.0.0.1", false },
		{ "10.0.0.1:5353", "10.0.0.1:5353", "10.0.0.1", false },
		{ "dns://10.0.0.1", "10.0.0.1:53", "10.0.0.1", false },
		{ "fd00::1", "[fd00::1]:53", "fd00::1", false },
		{ "[fd00::1]:5353", "[fd00::1]:5353", "fd00::1", false },
		{ "[fd00::1]", "[fd00::1]:53", "fd00::1", false },
		{ "tls://9.9.9.9", "9.9.9.9:853", "9.9.9.9", true },
		{ "tls://9.9.9.9%dns.quad9.net", "9.9.9.9:853", "dns.quad9.net", true },
		{ "tls://9.9.9.9%dns.quad9.net:10853", "9.9.9.9:10853", "dns.quad9.net", true },
		{ "tls://[2620:fe::fe%dns.quad9.net]:10853", "[2620:fe::fe]:10853", "dns.quad9.net", true },
		{ "10.0.0.1%name", NULL, NULL, false },
		{ "10.0.0.1:0", NULL, NULL, false },
		{ "10.0.0.1:65536", NULL, NULL, false },
		{ "10.0.0.1:", NULL, NULL, false },
		{ "[10.0.0.1", NULL, NULL, false },
		{ "tls://", NULL, NULL, false },
		{ "", NULL, NULL, false },
		{ "https://1.1.1.1/dns-query", NULL, NULL, false },
		{ "dns.example", NULL, NULL, false },
	};
	struct upstream_options o = { .port = 53 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct upstream_set *s = upstream_set_new();
		int r = upstream_set_add(s, rows[i].word, &o, &e);
		if ((r == 0) != (rows[i].text != NULL))
			fail_msg("'%s': %s", rows[i].word, r ? e.message : s->at[0].text);
		if (r == 0) {
			assert_string_equal(s->at[0].text, rows[i].text);
			assert_string_equal(s->at[0].server_name, rows[i].name);
			assert_int_equal(s->at[0].tls, rows[i].tls);
			assert_int_equal(upstream_set_add(s, rows[i].word, &o, &e), 0);
			assert_int_equal(s->n, 1); /* there already */
		}
		upstream_set_unref(s);
	}
	struct upstream_set *s = upstream_set_new();
	char word[32];
	for (int i = 0; i < UPSTREAMS_MAX; i++) {
		snprintf(word, sizeof(word), "10.0.0.%d", i);
		assert_int_equal(upstream_set_add(s, word, &o, &e), 0);
	}
	assert_int_equal(upstream_set_add(s, "10.0.1.1", &o, &e), -1);
	upstream_set_unref(s);
}

static void test_resolv_conf(void **state)
{
	static const char *const own[] = { "10.96.0.10", NULL };
	static const char text[] = "; comment\nsearch example.com\nnameserver\t192.0.2.1 # first\n nameserver 192.0.2.2\n"
				   "nameserver 10.96.0.10\nnameserver dns.example\nnameserver\nnameserver 2001:db8::1\n"
				   "nameserver 192.0.2.1\nnameserver tls://192.0.2.9";
	struct upstream_options o = { .port = 53, .own_ips = own };
	struct upstream_set *s = upstream_set_new();

	(void)state;
	upstream_set_add_file(s, STR(text), &o);
	assert_int_equal(s->n, 3);
	assert_string_equal(s->at[0].text, "192.0.2.1:53");
	assert_string_equal(s->at[1].text, "192.0.2.2:53");
	assert_string_equal(s->at[2].text, "[2001:db8::1]:53");
	upstream_set_add_file(s, STR_NONE, &o);
	upstream_set_unref(s);
}

static void test_probes(void **state)
{
	struct upstream_options o = { .port = 53 };
	struct upstream_set *s = upstream_set_new();
	struct dns_name zone, probe;

	(void)state;
	assert_int_equal(upstream_set_add(s, "10.0.0.1", &o, &e), 0);
	assert_int_equal(upstream_set_add(s, "10.0.0.2", &o, &e), 0);
	assert_true(dns_name_from_text(STR("corp.example"), &zone));
	assert_true(upstream_probe_name(&s->at[1], &zone, &probe));
	assert_true(dns_name_under(&probe, &zone));
	assert_ptr_equal(upstream_of_probe(s, &probe), &s->at[1]);
	assert_null(upstream_of_probe(s, &zone));
	probe.wire[3] ^= 1;
	assert_null(upstream_of_probe(s, &probe));
	upstream_set_unref(s);
}

static int setup(void **state)
{
	(void)state;
	loop = loop_new(&e);
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_resolv_conf),
		cmocka_unit_test(test_probes),
		cmocka_unit_test(test_answers_to_others_are_not_believed),
		cmocka_unit_test(test_every_try_has_a_port_and_an_id),
		cmocka_unit_test(test_many_forgeries_lead_to_tcp),
		cmocka_unit_test(test_upstreams_that_change_the_case),
		cmocka_unit_test(test_truncated_answers_are_asked_for_over_tcp),
		cmocka_unit_test(test_tcp_that_misbehaves),
		cmocka_unit_test(test_closed_connections_are_made_again),
		cmocka_unit_test(test_many_questions_on_one_connection),
		cmocka_unit_test(test_idle_connections_end),
		cmocka_unit_test(test_without_edns),
		cmocka_unit_test(test_dnssec_ok_is_passed_on),
		cmocka_unit_test(test_failures_lead_to_the_next),
		cmocka_unit_test(test_a_slow_upstream_is_not_waited_for),
		cmocka_unit_test(test_silence_ends),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_down_and_up_again),
		cmocka_unit_test(test_equal_questions_are_asked_once),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_tries_are_limited),
		cmocka_unit_test(test_max_concurrent),
		cmocka_unit_test(test_what_is_believed),
		cmocka_unit_test(test_tls),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
