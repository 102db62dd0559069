/* The cache: what is kept, for how long, and what is given out when nothing better is to be had. */
#include "dns_plugin_kit.h"
#include "roles/dns/plugin/cache.h"

#include <pthread.h>
#include <stdio.h>

static struct err e;

/* ---- the store ---- */

static struct dns_query question(const char *name, uint16_t type)
{
	static uint8_t space[4][DNS_NAME_BYTES_MAX + 4]; /* a few live at a time */
	static unsigned turn;
	uint8_t *bytes = space[turn++ % 4];
	struct dns_query q = { .type = type, .class = DNS_CLASS_IN };

	assert_true(dns_name_from_text(str_of(name), &q.name));
	uint8_t *p = mempcpy(bytes, q.name.wire, q.name.len);
	*p++ = (uint8_t)(type >> 8);
	*p++ = (uint8_t)type;
	*p++ = 0;
	*p++ = DNS_CLASS_IN;
	q.question = (struct str){ (char *)bytes, (size_t)(p - bytes) };
	return q;
}

struct saying {
	unsigned rcode;
	const char *answer, *authority; /* NULL: none */
	uint16_t flags;
};

static void put_text(struct dns_writer *w, enum dns_section s, const char *text)
{
	static struct dns_text_record r;

	if (!text)
		return;
	if (dns_text_parse(str_of(text), 60, &r, &e) < 0)
		fail_msg("%s", e.message);
	assert_true(dns_text_put(w, s, &r));
}

/* Valid until the next call. */
static struct dns_message message(const struct dns_query *q, const struct saying *s)
{
	static uint8_t out[4096];
	struct dns_message m;
	struct dns_writer w;

	dns_answer_start(&w, out, sizeof(out), q);
	put_text(&w, DNS_ANSWER, s->answer);
	put_text(&w, DNS_AUTHORITY, s->authority);
	size_t n = dns_answer_finish(&w, (enum dns_rcode)s->rcode, false);
	out[2] |= (uint8_t)(s->flags >> 8);
	assert_true(dns_message_parse((struct str){ (char *)out, n }, &m));
	return m;
}

static void test_what_may_be_kept(void **state)
{
	static const struct {
		struct saying says;
		bool kept;
		enum answer_kind kind;
		uint32_t ttl;
	} rows[] = {
		{ { 0, "a.example. 60 A 192.0.2.1", NULL, 0 }, true, ANSWER_SUCCESS, 60 },
		{ { 0, "a.example. 60 A 192.0.2.1", "example. 20 NS ns.example.", 0 }, true, ANSWER_SUCCESS, 20 },
		{ { 0, "a.example. 0 A 192.0.2.1", NULL, 0 }, false, ANSWER_SUCCESS, 0 },
		{ { 0, "a.example. 60 A 192.0.2.1", NULL, DNS_FLAG_TC }, false, ANSWER_SUCCESS, 0 },
		{ { 0, NULL, "example. 60 SOA a. b. 1 2 3 4 30", 0 }, true, ANSWER_DENIAL, 30 },
		{ { 0, NULL, "example. 20 SOA a. b. 1 2 3 4 30", 0 }, true, ANSWER_DENIAL, 20 },
		{ { 3, NULL, "example. 60 SOA a. b. 1 2 3 4 30", 0 }, true, ANSWER_DENIAL, 30 },
		{ { 3, NULL, NULL, 0 }, false, ANSWER_DENIAL, 0 }, /* without SOA */
		{ { 0, NULL, "example. 60 NS ns.example.", 0 }, false, ANSWER_DENIAL, 0 },
		{ { 0, "a.example. 60 CNAME b.example.", NULL, 0 }, false, ANSWER_DENIAL, 0 }, /* a chain without end */
		{ { 2, NULL, NULL, 0 }, false, ANSWER_DENIAL, 0 },
		{ { 5, NULL, NULL, 0 }, false, ANSWER_DENIAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct dns_query q = question("a.example", DNS_A);
		struct dns_message m = message(&q, &rows[i].says);
		enum answer_kind kind;
		uint32_t ttl;
		bool kept = answer_judge(&m, &kind, &ttl);
		if (kept != rows[i].kept || kind != rows[i].kind || ttl != rows[i].ttl)
			fail_msg("row %zu: kept %d, kind %d, ttl %u", i, kept, kind, ttl);
	}
}

static const struct saying good = { 0, "a.example. 60 A 192.0.2.1", NULL, 0 };
static const struct saying better = { 0, "a.example. 60 A 192.0.2.2", NULL, 0 };
static const struct saying denied = { 3, NULL, "example. 60 SOA a. b. 1 2 3 4 30", 0 };
static const struct saying failed = { 2, NULL, NULL, 0 };

static uint8_t got[DNS_MESSAGE_BYTES_MAX];
static struct answer_found found;
static struct answer_cache_change change;

static void put(struct answer_cache *c, const struct dns_query *q, const struct saying *s, uint32_t ttl, uint64_t now)
{
	struct dns_message m = message(q, s);

	answer_cache_put(c, q, &m, s->answer ? ANSWER_SUCCESS : ANSWER_DENIAL, ttl, now, &change);
}

/* "192.0.2.1 ttl 50", "rcode 3 ttl 20"; "" when there is nothing. */
static const char *get(struct answer_cache *c, const struct dns_query *q, uint64_t now)
{
	static char text[64];
	struct dns_message m;

	answer_cache_get(c, q, now, got, &found);
	if (found.state == ANSWER_NONE)
		return "";
	assert_true(dns_message_parse((struct str){ (char *)got, found.len }, &m));
	struct dns_record r = dns_records(&m);
	bool any = dns_record_next(&m, &r);
	if (any && r.type == DNS_A)
		snprintf(text, sizeof(text), "192.0.2.%u ttl %u", got[r.rdata_at + 3], r.ttl);
	else
		snprintf(text, sizeof(text), "rcode %u ttl %u", m.flags & DNS_FLAGS_RCODE, any ? r.ttl : 0);
	return text;
}

static const struct answer_cache_options small = { .entries = { 1024, 1024 } };

static void test_ages(void **state)
{
	struct answer_cache *c = answer_cache_new(&small);
	struct dns_query q = question("a.example", DNS_A), other;

	(void)state;
	assert_string_equal(get(c, &q, 0), "");
	put(c, &q, &good, 60, 1000);
	assert_int_equal(change.entries[ANSWER_SUCCESS], 1);
	assert_string_equal(get(c, &q, 1000), "192.0.2.1 ttl 60");
	assert_string_equal(get(c, &q, 11000), "192.0.2.1 ttl 50");
	assert_string_equal(get(c, &q, 60999), "192.0.2.1 ttl 1");
	other = q;
	other.dnssec_ok = true;
	assert_string_equal(get(c, &other, 1000), "");
	other = q;
	other.flags = DNS_FLAG_CD;
	assert_string_equal(get(c, &other, 1000), "");
	other = q;
	other.flags = DNS_FLAG_RD | DNS_FLAG_AD;
	assert_string_equal(get(c, &other, 1000), "192.0.2.1 ttl 60");
	other = question("a.example", DNS_AAAA);
	assert_string_equal(get(c, &other, 1000), "");
	other = question("b.a.example", DNS_A);
	assert_string_equal(get(c, &other, 1000), "");
	assert_string_equal(get(c, &q, 61000), "");
	assert_int_equal(found.change.entries[ANSWER_SUCCESS], -1);
	put(c, &q, &good, 60, 1000);
	put(c, &q, &denied, 10, 2000); /* in its place */
	assert_int_equal(change.entries[ANSWER_SUCCESS], -1);
	assert_int_equal(change.entries[ANSWER_DENIAL], 1);
	assert_string_equal(get(c, &q, 3000), "rcode 3 ttl 9");
	answer_cache_free(c);

	c = answer_cache_new(&(struct answer_cache_options){ .entries = { 1024, 1024 }, .keep_ttl = true });
	put(c, &q, &good, 60, 1000);
	assert_string_equal(get(c, &q, 50000), "192.0.2.1 ttl 60");
	assert_string_equal(get(c, &q, 61000), "");
	answer_cache_free(c);
}

static void test_bounds(void **state)
{
	struct answer_cache *c = answer_cache_new(&small);
	size_t entries[ANSWER_KINDS];
	unsigned evicted = 0;
	int added = 0;
	char name[32], text[600];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "n%d.example", i);
		struct dns_query q = question(name, DNS_A), first = question("n0.example", DNS_A);
		put(c, &q, i ? &better : &good, 60, 0);
		evicted += change.evicted[ANSWER_SUCCESS];
		added += change.entries[ANSWER_SUCCESS];
		if (i < 15000)
			assert_string_equal(get(c, &first, 1), "192.0.2.1 ttl 60"); /* what is used stays */
		assert_string_equal(get(c, &q, 1), i ? "192.0.2.2 ttl 60" : "192.0.2.1 ttl 60");
	}
	answer_cache_entries(c, entries);
	assert_true(entries[ANSWER_SUCCESS] <= 1024 && entries[ANSWER_SUCCESS] > 900);
	assert_int_equal(entries[ANSWER_SUCCESS], added);
	assert_int_equal(evicted, 20000 - added);
	/* Large ones: bytes count as well. */
	char filler[241] = { 0 };
	memset(filler, 'x', sizeof(filler) - 1);
	snprintf(text, sizeof(text), "a.example. 60 TXT \"%s\"", filler);
	const struct saying large = { 0, text, text, 0 };
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "m%d.example", i);
		struct dns_query q = question(name, DNS_TXT);
		put(c, &q, &large, 60, 0);
	}
	answer_cache_entries(c, entries);
	assert_true(entries[ANSWER_SUCCESS] < 900);
	answer_cache_free(c);
}

static void test_stale(void **state)
{
	struct answer_cache_options o = small;
	struct dns_query q = question("a.example", DNS_A);

	(void)state;
	o.stale_ms = 100000;
	o.stale_ttl = 30;
	struct answer_cache *c = answer_cache_new(&o);
	put(c, &q, &good, 10, 0);
	get(c, &q, 9999);
	assert_true(found.state == ANSWER_FRESH && !found.refresh && !found.wait);
	assert_string_equal(get(c, &q, 10000), "192.0.2.1 ttl 30");
	assert_true(found.state == ANSWER_STALE && found.refresh && found.wait);
	get(c, &q, 10001);
	assert_true(found.state == ANSWER_STALE && !found.refresh && found.wait); /* somebody does */
	answer_cache_refresh_failed(c, &q, 11000, 5000);
	get(c, &q, 12000);
	assert_true(found.state == ANSWER_STALE && !found.refresh && !found.wait);
	get(c, &q, 16000);
	assert_true(found.refresh && found.wait);
	get(c, &q, 16000 + ANSWER_CACHE_REFRESH_MS);
	assert_true(found.refresh); /* the one before never ended */
	put(c, &q, &failed, 5, 30000); /* worse than what is there */
	assert_string_equal(get(c, &q, 30001), "192.0.2.1 ttl 30");
	put(c, &q, &better, 10, 31000);
	assert_string_equal(get(c, &q, 31000), "192.0.2.2 ttl 10");
	put(c, &q, &denied, 10, 32000); /* the name is gone */
	assert_string_equal(get(c, &q, 32000), "rcode 3 ttl 10");
	assert_string_equal(get(c, &q, 42000 + 100000), "");
	put(c, &q, &failed, 5, 0);
	assert_string_equal(get(c, &q, 1), "rcode 2 ttl 0");
	assert_string_equal(get(c, &q, 5000), ""); /* failures do not get stale */
	answer_cache_free(c);

	o.prefer_positive = true;
	c = answer_cache_new(&o);
	put(c, &q, &good, 10, 0);
	put(c, &q, &denied, 10, 20000);
	assert_string_equal(get(c, &q, 21000), "192.0.2.1 ttl 30");
	assert_false(found.wait);
	put(c, &q, &denied, 10, 111000); /* too old */
	assert_string_equal(get(c, &q, 111000), "rcode 3 ttl 10");
	answer_cache_free(c);
}

static void test_prefetch(void **state)
{
	struct answer_cache_options o = small;
	struct dns_query q = question("a.example", DNS_A);

	(void)state;
	o.prefetch_hits = 3;
	o.prefetch_gap_ms = 1000;
	o.prefetch_percent = 10;
	struct answer_cache *c = answer_cache_new(&o);
	put(c, &q, &good, 60, 0);
	for (uint64_t t = 53000; t < 54000; t += 100)
		get(c, &q, t);
	assert_false(found.refresh); /* too early: a tenth is left from 54 s on */
	get(c, &q, 54000);
	assert_true(found.refresh && found.state == ANSWER_FRESH);
	get(c, &q, 54100);
	assert_false(found.refresh); /* one is enough */
	put(c, &q, &good, 60, 54200);
	get(c, &q, 54200 + 55000); /* a first hit after a long time */
	assert_false(found.refresh);
	get(c, &q, 54200 + 55001);
	assert_false(found.refresh);
	get(c, &q, 54200 + 55002);
	assert_true(found.refresh);
	answer_cache_free(c);
}

static void test_one_worker_asks(void **state)
{
	struct answer_cache *c = answer_cache_new(&small);
	struct dns_query q = question("a.example", DNS_A), other = question("b.example", DNS_A);

	(void)state;
	assert_true(answer_cache_claim(c, &q, 0, 1000));
	assert_true(answer_cache_claim(c, &q, 0, 1001)); /* the same one may */
	assert_false(answer_cache_claim(c, &q, 1, 1002));
	assert_true(answer_cache_is_claimed(c, &q, 1, 1002));
	assert_false(answer_cache_is_claimed(c, &q, 0, 1002));
	assert_false(answer_cache_is_claimed(c, &other, 1, 1002));
	assert_true(answer_cache_claim(c, &other, 1, 1002));
	answer_cache_release(c, &q);
	assert_true(answer_cache_claim(c, &q, 1, 1003));
	assert_false(answer_cache_claim(c, &q, 0, 1004));
	put(c, &q, &good, 60, 1005);
	assert_true(answer_cache_claim(c, &q, 0, 1006));
	assert_true(answer_cache_claim(c, &q, 1, 1006 + ANSWER_CACHE_CLAIM_MS)); /* it never came */
	answer_cache_free(c);
}

#define THREADS 4
static void *hammer(void *arg)
{
	struct answer_cache *c = arg;
	uint8_t *out = xmalloc(DNS_MESSAGE_BYTES_MAX), bytes[DNS_MESSAGE_BYTES_MAX / 64];
	struct answer_cache_change ch;
	struct answer_found f;
	struct dns_message m;

	for (unsigned i = 0; i < 20000; i++) {
		struct dns_query q = { .type = DNS_A, .class = DNS_CLASS_IN };
		char name[32];
		snprintf(name, sizeof(name), "n%u.example", i * 7919 % 3000);
		if (!dns_name_from_text(str_of(name), &q.name))
			abort();
		answer_cache_get(c, &q, i, out, &f);
		if (f.state != ANSWER_NONE)
			continue;
		uint8_t *p = mempcpy(bytes + DNS_HEADER_BYTES, q.name.wire, q.name.len);
		memcpy(p, "\0\1\0\1", 4);
		memset(bytes, 0, DNS_HEADER_BYTES);
		bytes[5] = 1;
		if (!dns_message_parse((struct str){ (char *)bytes, (size_t)(p - bytes) + 4 }, &m))
			abort();
		answer_cache_put(c, &q, &m, ANSWER_DENIAL, 1, i, &ch);
	}
	free(out);
	return NULL;
}

static void test_many_workers(void **state)
{
	struct answer_cache *c = answer_cache_new(&small);
	pthread_t threads[THREADS];
	size_t entries[ANSWER_KINDS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, c), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	answer_cache_entries(c, entries);
	assert_true(entries[ANSWER_DENIAL] <= 1024);
	answer_cache_free(c);
}

/* ---- the plug-in, before one that answers as it is told ---- */

static struct {
	struct saying says;
	enum request_source from;
	bool silent;
	unsigned asked;
	struct request *held;
} last;

static void last_answer(struct request *r)
{
	struct dns_message m = message(&r->query, &last.says);

	request_set_answer(r, m.bytes.ptr, m.bytes.len, last.from);
	assert_int_equal(addr_from_ip("192.0.2.53", 53, &r->upstream, &e), 0);
}

static enum plugin_verdict last_ask(struct request *r, struct plugin_instance *i)
{
	(void)i;
	last.asked++;
	if (last.silent) {
		last.held = r;
		return PLUGIN_LATER;
	}
	last_answer(r);
	return PLUGIN_ANSWERED;
}

static const struct plugin last_plugin = { .name = "last", .ask = last_ask };
static const struct plugin *const plugins[] = { &plugin_cache, NULL };
static struct kit k;

static void begin(const char *text, const struct saying *says)
{
	kit_open(&k, text, plugins, NULL);
	k.instances[k.block.n_plugins - 1].plugin = &last_plugin;
	memset(&last, 0, sizeof(last));
	last.says = *says;
	last.from = FROM_UPSTREAM;
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

#define A1(ttl) "NOERROR\na.example.\t" #ttl "\tIN\tA\t192.0.2.1\n"
#define A2(ttl) "NOERROR\na.example.\t" #ttl "\tIN\tA\t192.0.2.2\n"
#define NX(ttl) "NXDOMAIN\n;; authority\nexample.\t" #ttl "\tIN\tSOA\ta. b. 1 2 3 4 30\n"

static const char *ask(const char *name)
{
	return kit_ask(&k, name, DNS_A);
}

static void test_asked_five_times(void **state)
{
	(void)state;
	begin("cache", &good);
	for (int i = 0; i < 5; i++)
		assert_string_equal(ask("a.example"), A1(60));
	assert_int_equal(last.asked, 1);
	kit_close(&k);

	begin("cache", &denied);
	for (int i = 0; i < 5; i++)
		assert_string_equal(ask("a.example"), NX(30));
	assert_int_equal(last.asked, 1);
	kit_close(&k);
}

static void test_what_is_kept(void **state)
{
	static const struct saying zero = { 0, "a.example. 0 A 192.0.2.1", NULL, 0 }, long_one = { 0, "a.example. 86400 A 192.0.2.1", NULL, 0 };
	static const struct saying short_one = { 0, "a.example. 1 A 192.0.2.1", NULL, 0 }, no_soa = { 3, NULL, NULL, 0 };
	static const struct {
		const char *text;
		const struct saying *says;
		enum request_source from;
		const char *answer;
		unsigned asked; /* for two questions */
	} rows[] = {
		{ "cache", &good, FROM_ZONE, A1(60), 2 }, /* the cluster's own */
		{ "cache", &good, FROM_HOSTS, A1(60), 2 },
		{ "cache", &zero, FROM_UPSTREAM, A1(0), 2 },
		{ "cache {\nsuccess 2000 60 7\n}", &zero, FROM_UPSTREAM, A1(7), 1 },
		{ "cache", &short_one, FROM_UPSTREAM, A1(5), 1 },
		{ "cache", &long_one, FROM_UPSTREAM, A1(3600), 1 },
		{ "cache 30", &good, FROM_UPSTREAM, A1(30), 1 },
		{ "cache {\nsuccess 2000 20\n}", &good, FROM_UPSTREAM, A1(20), 1 },
		{ "cache example", &good, FROM_UPSTREAM, A1(60), 1 },
		{ "cache other", &good, FROM_UPSTREAM, A1(60), 2 },
		{ "cache 30 other example", &good, FROM_UPSTREAM, A1(30), 1 },
		{ "cache {\ndisable success\n}", &good, FROM_UPSTREAM, A1(60), 2 },
		{ "cache {\ndisable success example\n}", &good, FROM_UPSTREAM, A1(60), 2 },
		{ "cache {\ndisable success other\n}", &good, FROM_UPSTREAM, A1(60), 1 },
		{ "cache {\ndisable denial\n}", &good, FROM_UPSTREAM, A1(60), 1 },
		{ "cache {\ndisable denial\n}", &denied, FROM_UPSTREAM, NX(60), 2 },
		{ "cache {\ndenial 2000 10\n}", &denied, FROM_UPSTREAM, NX(10), 1 },
		{ "cache", &no_soa, FROM_UPSTREAM, "NXDOMAIN\n", 2 },
		{ "cache", &failed, FROM_UPSTREAM, "SERVFAIL\n", 1 },
		{ "cache {\nservfail 0\n}", &failed, FROM_UPSTREAM, "SERVFAIL\n", 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		begin(rows[i].text, rows[i].says);
		last.from = rows[i].from;
		for (int n = 0; n < 2; n++) {
			const char *said = ask("a.example");
			if (strcmp(said, rows[i].answer) != 0)
				fail_msg("%s:\n%s\nexpected:\n%s", rows[i].text, said, rows[i].answer);
		}
		if (last.asked != rows[i].asked)
			fail_msg("%s: asked %u times", rows[i].text, last.asked);
		kit_close(&k);
	}
}

static void test_stale_when_nothing_better_comes(void **state)
{
	static const struct saying short_one = { 0, "a.example. 1 A 192.0.2.1", NULL, 0 };

	(void)state;
	begin("cache {\nsuccess 2000 60 1\nserve_stale 1h verify 50ms\n}", &short_one);
	assert_string_equal(ask("a.example"), A1(1));
	pause_ms(1100);
	last.says = failed;
	assert_string_equal(ask("a.example"), A1(30));
	assert_int_equal(last.asked, 2);
	assert_string_equal(ask("a.example"), A1(30)); /* not asked again so soon */
	assert_int_equal(last.asked, 2);
	kit_close(&k);

	begin("cache {\nsuccess 2000 60 1\nserve_stale 1h\n}", &short_one); /* the new answer, when there is one */
	assert_string_equal(ask("a.example"), A1(1));
	pause_ms(1100);
	last.says = better;
	assert_string_equal(ask("a.example"), A2(60));
	assert_int_equal(last.asked, 2);
	kit_close(&k);
}

static void held_done(void *ctx, struct request *r)
{
	(void)r;
	++*(unsigned *)ctx;
}

/* Nobody answers: the stale answer comes after the time-out, and what arrives later is kept all the same. */
static void test_stale_after_a_while(void **state)
{
	static const struct saying short_one = { 0, "a.example. 1 A 192.0.2.1", NULL, 0 };
	struct dns_query q = question("a.example", DNS_A);
	unsigned done = 0;

	(void)state;
	begin("cache {\nsuccess 2000 60 1\nserve_stale 1h verify 50ms\n}", &short_one);
	assert_string_equal(ask("a.example"), A1(1));
	pause_ms(1100);
	last.silent = true;
	request_start(k.worker, &k.block, &k.client, &q, NULL, held_done, &done);
	assert_int_equal(done, 0);
	pause_ms(100);
	assert_int_equal(done, 1);
	last.silent = false;
	last.says = better;
	last_answer(last.held);
	request_resume(last.held, PLUGIN_ANSWERED);
	assert_string_equal(ask("a.example"), A2(60));
	assert_int_equal(last.asked, 2);
	kit_close(&k);
}

static void test_stale_at_once(void **state)
{
	static const struct saying short_one = { 0, "a.example. 1 A 192.0.2.1", NULL, 0 };

	(void)state;
	begin("cache {\nsuccess 2000 60 1\nserve_stale 1h immediate 7s\n}", &short_one);
	assert_string_equal(ask("a.example"), A1(1));
	pause_ms(1100);
	last.says = better;
	assert_string_equal(ask("a.example"), A1(7));
	assert_int_equal(last.asked, 2);
	assert_string_equal(ask("a.example"), A2(60)); /* refreshed behind it */
	assert_int_equal(last.asked, 2);
	kit_close(&k);
}

static void test_prefetch_behind_a_hit(void **state)
{
	static const struct saying short_one = { 0, "a.example. 1 A 192.0.2.1", NULL, 0 };

	(void)state;
	begin("cache {\nsuccess 2000 60 1\nprefetch 2\n}", &short_one); /* within its last second: always */
	assert_string_equal(ask("a.example"), A1(1));
	assert_string_equal(ask("a.example"), A1(1));
	assert_int_equal(last.asked, 1);
	last.says = better;
	assert_string_equal(ask("a.example"), A1(1));
	assert_int_equal(last.asked, 2);
	assert_string_equal(ask("a.example"), A2(60));
	kit_close(&k);
}

/* What another worker asks for is waited for; when that one gets nothing that can be kept, this one asks. */
static void test_another_worker_asks(void **state)
{
	struct dns_query q = question("a.example", DNS_A);
	struct answer_cache_change ch;
	struct answer_cache *c;
	unsigned done = 0;

	(void)state;
	begin("cache", &better);
	k.shared.n_workers = 2;
	c = *(struct answer_cache **)k.instances[0].started; /* its first member */
	assert_true(answer_cache_claim(c, &q, 1, loop_now_ms(k.worker->loop)));
	request_start(k.worker, &k.block, &k.client, &q, NULL, held_done, &done);
	pause_ms(20);
	assert_int_equal(done, 0);
	struct dns_message m = message(&q, &good);
	answer_cache_put(c, &q, &m, ANSWER_SUCCESS, 60, loop_now_ms(k.worker->loop), &ch);
	pause_ms(20);
	assert_int_equal(done, 1);
	assert_int_equal(last.asked, 0);
	assert_string_equal(ask("a.example"), A1(60));

	q = question("b.example", DNS_A);
	assert_true(answer_cache_claim(c, &q, 1, loop_now_ms(k.worker->loop)));
	last.says.answer = "b.example. 60 A 192.0.2.2";
	request_start(k.worker, &k.block, &k.client, &q, NULL, held_done, &done);
	answer_cache_release(c, &q);
	pause_ms(20);
	assert_int_equal(done, 2);
	assert_int_equal(last.asked, 1);
	k.shared.n_workers = 1;
	kit_close(&k);
}

static void test_settings(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "cache 0", "at least 1" },
		{ "cache {\nsuccess\n}", "CAPACITY" },
		{ "cache {\nsuccess x\n}", "CAPACITY" },
		{ "cache {\nsuccess 1024 0\n}", "CAPACITY" },
		{ "cache {\ndenial 1 2 3 4\n}", "CAPACITY" },
		{ "cache {\nprefetch\n}", "AMOUNT" },
		{ "cache {\nprefetch 10 1m 5%\n}", "10% to 90%" },
		{ "cache {\nprefetch 10 1m 50\n}", "10% to 90%" },
		{ "cache {\nserve_stale soon\n}", "duration" },
		{ "cache {\nserve_stale 1h sometimes\n}", "immediate or verify" },
		{ "cache {\nserve_stale 1h immediate 1500ms\n}", "whole seconds" },
		{ "cache {\nserve_stale 1h verify 1s 30s 6m\n}", "5m" },
		{ "cache {\nserve_stale_policy prefer_positive\n}", "without serve_stale" },
		{ "cache {\nserve_stale_policy other\n}", "prefer_positive" },
		{ "cache {\nservfail 6m\n}", "5m" },
		{ "cache {\ndisable everything\n}", "success or denial" },
		{ "cache {\nkeepttl no\n}", "no argument" },
		{ "cache {\nother\n}", "other" },
	};
	static const char *const taken[] = {
		"cache", "cache 30", "cache example.org", "cache 30 example.org 10.0.0.0/8", "cache {\nprefetch 10 2m 20%\n}",
		"cache {\nserve_stale\n}", "cache {\nserve_stale 2h immediate 30s 30s\n}", "cache {\nserve_stale 2h verify 0 30s 5m\n}",
		"cache {\nserve_stale\nserve_stale_policy prefer_positive\n}", "cache {\nsuccess 5000\ndenial 2500 60 1\n}",
		"cache {\ndisable denial a.org b.org\n}", "cache 10 {\nservfail 5m\nkeepttl\n}",
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
		cmocka_unit_test(test_what_may_be_kept),
		cmocka_unit_test(test_ages),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_prefetch),
		cmocka_unit_test(test_one_worker_asks),
		cmocka_unit_test(test_many_workers),
		cmocka_unit_test(test_another_worker_asks),
		cmocka_unit_test(test_asked_five_times),
		cmocka_unit_test(test_what_is_kept),
		cmocka_unit_test(test_stale_when_nothing_better_comes),
		cmocka_unit_test(test_stale_after_a_while),
		cmocka_unit_test(test_stale_at_once),
		cmocka_unit_test(test_prefetch_behind_a_hit),
		cmocka_unit_test(test_settings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
