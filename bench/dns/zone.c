/* What one question costs in the zone's table, and what one Service weighs there: for counting instructions.
 *
 *	zone SERVICES [KIND [QUESTIONS]]	KIND: a srv endpoint ptr nxdomain nodata headless; none: all, timed
 *
 * Each Service has a ClusterIP, a named port and a slice of two endpoints.
 *	gcc -O2 -D_GNU_SOURCE -Isrc -o /tmp/zone bench/dns/zone.c build/libportico.a -ljansson … (as `make V=1 unit` links)
 *	valgrind --tool=callgrind --toggle-collect=zone_answer /tmp/zone 10000 a 20000
 */
#include "roles/dns/zone/zone.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define ASKED 1024 /* different names, asked in turn */
#define NAMESPACE "default"

static json_t *parse(const char *fmt, ...)
{
	char text[2048];
	struct err e;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_t *o = jx_parse(str_of(text), sizeof(text), &e);
	if (!o) {
		fprintf(stderr, "%s: %s\n", e.message, text);
		exit(1);
	}
	return o;
}

static void put(struct zone *z, void (*fn)(struct zone *z, const json_t *obj), json_t *obj)
{
	fn(z, obj);
	json_decref(obj);
}

static void put_service(struct zone *z, unsigned i)
{
	unsigned a = i >> 16 & 255, b = i >> 8 & 255, c = i & 255;

	put(z, zone_put_service,
	    parse("{'metadata':{'namespace':'" NAMESPACE "','name':'service-%u'},'spec':{'clusterIP':'10.%u.%u.%u',"
		  "'ports':[{'name':'http','port':80,'protocol':'TCP'}]}}", i, 96 + a, b, c));
	put(z, zone_put_slice,
	    parse("{'metadata':{'namespace':'" NAMESPACE "','name':'service-%u-abcde','labels':{'kubernetes.io/service-name':"
		  "'service-%u'}},'ports':[{'name':'http','port':8080,'protocol':'TCP'}],'endpoints':[{'addresses':['10.%u.%u.%u']},"
		  "{'addresses':['10.%u.%u.%u']}]}", i, i, 128 + a, b, c, 192 + a, b, c));
}

static void put_headless(struct zone *z)
{
	put(z, zone_put_service,
	    parse("{'metadata':{'namespace':'" NAMESPACE "','name':'headless'},'spec':{'clusterIP':'None'}}"));
	for (unsigned i = 0; i < 64; i++)
		put(z, zone_put_slice,
		    parse("{'metadata':{'namespace':'" NAMESPACE "','name':'headless-%u','labels':{'kubernetes.io/service-name':"
			  "'headless'}},'endpoints':[{'addresses':['10.1.2.%u']}]}", i, i));
}

static struct zone *make(unsigned services)
{
	struct zone_options o = { .ttl = 30, .pods = ZONE_PODS_INSECURE, .n_reverse = 1 };

	if (!dns_name_from_text(STR("cluster.local"), &o.domain) || !dns_name_from_text(STR("in-addr.arpa"), &o.reverse[0]))
		exit(1);
	struct zone *z = zone_new(&o, 1, NULL);
	put(z, zone_put_namespace, parse("{'metadata':{'name':'" NAMESPACE "'}}"));
	struct mallinfo2 before = mallinfo2();
	for (unsigned i = 0; i < services; i++)
		put_service(z, i);
	struct mallinfo2 after = mallinfo2();
	fprintf(stderr, "%u services: %.0f bytes of heap each\n", services, (double)(after.uordblks - before.uordblks) / services);
	put_headless(z);
	zone_set_synced(z);
	return z;
}

static const struct kind {
	const char *name, *format;
	uint16_t type;
} kinds[] = {
	{ "a", "service-%u." NAMESPACE ".svc.cluster.local", DNS_A },
	{ "nxdomain", "service-%u.example.com." NAMESPACE ".svc.cluster.local", DNS_A },
	{ "nxservice", "nothing-%u." NAMESPACE ".svc.cluster.local", DNS_A },
	{ "nodata", "service-%u." NAMESPACE ".svc.cluster.local", DNS_AAAA },
	{ "srv", "_http._tcp.service-%u." NAMESPACE ".svc.cluster.local", DNS_SRV },
	{ "endpoint", "10-128-%u-%u.service-%u." NAMESPACE ".svc.cluster.local", DNS_A },
	{ "ptr", "%u.%u.%u.10.in-addr.arpa", DNS_PTR },
	{ "headless", "headless." NAMESPACE ".svc.cluster.local", DNS_A },
	{ "elsewhere", "www-%u.example.com", DNS_A },
};

static struct dns_query queries[ASKED];
static uint8_t questions[ASKED][DNS_NAME_BYTES_MAX + 4];

static void make_queries(const struct kind *k, unsigned services)
{
	for (unsigned n = 0; n < ASKED; n++) {
		unsigned i = (unsigned)((uint64_t)n * 2654435761u % services);
		struct dns_query *q = &queries[n];
		char text[256];
		if (!strcmp(k->name, "ptr"))
			snprintf(text, sizeof(text), k->format, i & 255, i >> 8 & 255, 96 + (i >> 16));
		else if (!strcmp(k->name, "endpoint"))
			snprintf(text, sizeof(text), k->format, (i &= 0xffff) >> 8, i & 255, i);
		else
			snprintf(text, sizeof(text), k->format, i);
		*q = (struct dns_query){ .type = k->type, .class = DNS_CLASS_IN, .udp_bytes = DNS_UDP_BYTES_MAX };
		if (!dns_name_from_text(str_of(text), &q->name))
			exit(1);
		memcpy(questions[n], q->name.wire, q->name.len);
		q->question = (struct str){ (char *)questions[n], q->name.len + 4u };
	}
}

static void ask(const struct zone *z, const struct kind *k, unsigned services, size_t n)
{
	static uint8_t out[DNS_UDP_BYTES_MAX];
	struct zone_answer a = { 0 };
	struct timespec t0, t1;
	unsigned verdicts = 0;

	make_queries(k, services);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	for (size_t i = 0; i < n; i++)
		verdicts |= 1u << zone_answer(z, &queries[i % ASKED], out, sizeof(out), (uint32_t)i, &a);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	double ns = ((double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec)) / (double)n;
	printf("%-10s %7u services %7.1f ns  rcode %u, %zu bytes, verdicts %x\n", k->name, services, ns, a.rcode, a.len, verdicts);
}

int main(int argc, char **argv)
{
	unsigned services = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
	size_t n = argc > 3 ? strtoul(argv[3], NULL, 10) : 2000000;
	struct zone *z = make(services);

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (argc <= 2 || !strcmp(argv[2], kinds[i].name))
			ask(z, &kinds[i], services, n);
	zone_free(z);
	return 0;
}
