/* Workers ask while the main thread changes everything: no answer is ever wrong, and nothing that is read was freed (run it
 * under the address or the thread sanitizer). */
#include "roles/dns/zone/zone.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

#define READERS 3
#define NAMES 64	  /* that come and go, so that the tables grow and shrink */
#define CHANGES 6000
#define ASK_PER_TURN 32

struct reader {
	struct loop *loop;
	struct timer timer;
	struct zone *zone;
	pthread_t thread;
	uint32_t turns;
	unsigned wrong;
	bool stop; /* atomic */
};

static void put(struct zone *z, void (*fn)(struct zone *z, const json_t *obj), char *text)
{
	struct err e;

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_t *obj = jx_parse(str_of(text), 1 << 20, &e);
	assert_non_null(obj);
	fn(z, obj);
	json_decref(obj);
	free(text);
}

/* ---- questions ---- */

static bool ask(const struct zone *z, const char *name, uint16_t type, uint32_t pick, enum dns_rcode *ret_rcode, uint16_t *ret_answers)
{
	uint8_t question[DNS_NAME_BYTES_MAX + 4] = { 0 }, out[DNS_UDP_BYTES_MAX];
	struct dns_query q = { .type = type, .class = DNS_CLASS_IN, .udp_bytes = sizeof(out) };
	struct zone_answer a;
	struct dns_message m;

	if (!dns_name_from_text(str_of(name), &q.name))
		return false;
	memcpy(question, q.name.wire, q.name.len);
	question[q.name.len + 1] = (uint8_t)type;
	question[q.name.len + 3] = DNS_CLASS_IN;
	q.question = (struct str){ (char *)question, q.name.len + 4u };
	if (zone_answer(z, &q, out, sizeof(out), pick, &a) != ZONE_ANSWERED ||
	    !dns_message_parse((struct str){ (char *)out, a.len }, &m))
		return false;
	*ret_rcode = a.rcode;
	*ret_answers = m.counts[1];
	return true;
}

/* "still" is replaced again and again and must never be missing; "s-N" are there or not; "nobody" never is. */
static void reader_turn(struct timer *t)
{
	struct reader *r = container_of(t, struct reader, timer);
	char name[64];
	enum dns_rcode rcode;
	uint16_t n;

	for (uint32_t i = 0; i < ASK_PER_TURN; i++) {
		uint32_t pick = r->turns++;
		if (!ask(r->zone, "still.d.svc.c", DNS_A, pick, &rcode, &n) || rcode || n != 1)
			r->wrong++;
		if (!ask(r->zone, "_h._tcp.many.d.svc.c", DNS_SRV, pick, &rcode, &n) || rcode || n < 1 || n > 10)
			r->wrong++;
		if (!ask(r->zone, "many.d.svc.c", DNS_A, pick, &rcode, &n) || rcode || n < 1 || n > 10)
			r->wrong++;
		if (!ask(r->zone, "nobody.d.svc.c", DNS_A, pick, &rcode, &n) || rcode != DNS_NXDOMAIN)
			r->wrong++;
		snprintf(name, sizeof(name), "s-%u.d.svc.c", pick % NAMES);
		if (!ask(r->zone, name, DNS_A, pick, &rcode, &n) || (rcode ? rcode != DNS_NXDOMAIN : n != 1))
			r->wrong++;
		snprintf(name, sizeof(name), "%u.0.0.10.in-addr.arpa", pick % NAMES);
		if (!ask(r->zone, name, DNS_PTR, pick, &rcode, &n) || (rcode ? rcode != DNS_NXDOMAIN : n != 1))
			r->wrong++;
	}
	if (__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE))
		loop_stop(r->loop);
	else
		timer_start(r->loop, &r->timer, 0);
}

static void *reader_main(void *ctx)
{
	struct reader *r = ctx;

	timer_start(r->loop, &r->timer, 0);
	loop_run(r->loop);
	return NULL;
}

/* ---- changes ---- */

struct writer {
	struct loop *loop;
	struct zone *zone;
	struct timer timer;
	struct reader *readers;
	unsigned n;
};

static void change(struct zone *z, unsigned n)
{
	unsigned i = n * 2654435761u >> 8 & (NAMES - 1);

	put(z, zone_put_service, xasprintf("{'metadata':{'namespace':'d','name':'still'},'spec':{'clusterIP':'10.9.%u.1'}}", n % 200));
	put(z, zone_put_slice,
	    xasprintf("{'metadata':{'namespace':'d','name':'many-%u','labels':{'kubernetes.io/service-name':'many'}},'ports':[{'name':'h',"
		      "'port':%u}],'endpoints':[{'addresses':['10.8.0.%u'],'hostname':'h-%u'}]}", n % 9, 1 + n % 100, n % 9, n % 5));
	if (n & 1)
		put(z, zone_put_service,
		    xasprintf("{'metadata':{'namespace':'d','name':'s-%u'},'spec':{'clusterIP':'10.0.0.%u','ports':[{'name':'h','port':1}]}}", i, i));
	else
		put(z, zone_del_service, xasprintf("{'metadata':{'namespace':'d','name':'s-%u'}}", i));
	if (n % 16 == 0)
		put(z, n & 16 ? zone_put_namespace : zone_del_namespace, xstrdup("{'metadata':{'name':'other'}}"));
}

static void writer_turn(struct timer *t)
{
	struct writer *w = container_of(t, struct writer, timer);

	for (int i = 0; i < 20; i++)
		change(w->zone, w->n++);
	if (w->n < CHANGES) {
		timer_start(w->loop, &w->timer, 0);
		return;
	}
	for (int i = 0; i < READERS; i++)
		__atomic_store_n(&w->readers[i].stop, true, __ATOMIC_RELEASE);
	loop_stop(w->loop);
}

static void test_readers_and_a_writer(void **state)
{
	struct zone_options o = { .ttl = 5, .n_reverse = 1 };
	struct reader readers[READERS] = { { 0 } };
	struct err e;
	struct loop *l = loop_new(&e);
	struct quiesce *q = quiesce_new(l);

	(void)state;
	assert_true(dns_name_from_text(STR("c"), &o.domain) && dns_name_from_text(STR("in-addr.arpa"), &o.reverse[0]));
	struct zone *z = zone_new(&o, 1, q);
	struct writer w = { .loop = l, .zone = z, .readers = readers, .timer = { .fire = writer_turn } };
	put(z, zone_put_namespace, xstrdup("{'metadata':{'name':'d'}}"));
	put(z, zone_put_service, xstrdup("{'metadata':{'namespace':'d','name':'many'},'spec':{'clusterIP':'None'}}"));
	put(z, zone_put_slice, xstrdup("{'metadata':{'namespace':'d','name':'many-always','labels':{'kubernetes.io/service-name':'many'}},"
				       "'ports':[{'name':'h','port':1}],'endpoints':[{'addresses':['10.8.1.1']}]}"));
	change(z, 1);
	zone_set_synced(z);
	for (int i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .loop = loop_new(&e), .zone = z, .timer = { .fire = reader_turn } };
		quiesce_add(q, readers[i].loop);
		assert_int_equal(pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]), 0);
	}
	timer_start(l, &w.timer, 0);
	loop_run(l);
	for (int i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].wrong, 0);
		assert_true(readers[i].turns > 0);
		quiesce_remove(q, readers[i].loop);
	}
	quiesce_free(q);
	for (int i = 0; i < READERS; i++)
		loop_free(readers[i].loop);
	zone_free(z);
	loop_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_readers_and_a_writer) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
