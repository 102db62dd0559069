/* The cluster's zone: what each question is answered with, as the DNS specification and CoreDNS have it. */
#include "roles/dns/zone/zone.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- objects, written with single quotes ---- */

typedef void put_fn(struct zone *z, const json_t *obj);

static void with(struct zone *z, put_fn *fn, const char *quoted)
{
	char *text = xstrdup(quoted);
	struct err e;

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_t *obj = jx_parse(str_of(text), 1 << 20, &e);
	if (!obj)
		fail_msg("%s in %s", e.message, quoted);
	fn(z, obj);
	json_decref(obj);
	free(text);
}

static void slice(struct zone *z, put_fn *fn, const char *ns, const char *name, const char *service, const char *rest)
{
	char *text = xasprintf("{'metadata':{'namespace':'%s','name':'%s','labels':{'kubernetes.io/service-name':'%s'}},%s}",
			       ns, name, service, rest);
	with(z, fn, text);
	free(text);
}

static void service(struct zone *z, put_fn *fn, const char *ns, const char *name, const char *spec)
{
	char *text = xasprintf("{'metadata':{'namespace':'%s','name':'%s'},'spec':{%s}}", ns, name, spec);

	with(z, fn, text);
	free(text);
}

#define HTTP_SLICE "'ports':[{'name':'http','port':8080,'protocol':'TCP'}],"

/* kubeadm's: "kubernetes cluster.local in-addr.arpa ip6.arpa { pods insecure; fallthrough in-addr.arpa ip6.arpa; ttl 30 }" */
static struct zone_options options(void)
{
	struct zone_options o = { .ttl = 30, .pods = ZONE_PODS_INSECURE, .n_reverse = 2, .n_fallthrough = 2 };

	assert_true(dns_name_from_text(STR("cluster.local"), &o.domain));
	assert_true(dns_name_from_text(STR("in-addr.arpa"), &o.reverse[0]));
	assert_true(dns_name_from_text(STR("ip6.arpa"), &o.reverse[1]));
	memcpy(o.fallthrough, o.reverse, sizeof(o.reverse));
	return o;
}

static void fill(struct zone *z);

static struct zone *cluster_with(const struct zone_options *o)
{
	struct zone *z = zone_new(o, 7, NULL);

	fill(z);
	zone_set_synced(z);
	return z;
}

static struct zone *cluster(void)
{
	struct zone_options o = options();

	return cluster_with(&o);
}

static void fill(struct zone *z)
{
	with(z, zone_put_namespace, "{'metadata':{'name':'default'}}");
	with(z, zone_put_namespace, "{'metadata':{'name':'kube-system'}}");
	with(z, zone_put_namespace, "{'metadata':{'name':'empty'}}");
	service(z, zone_put_service, "kube-system", "kube-dns", "'clusterIP':'10.96.0.10','clusterIPs':['10.96.0.10'],"
		"'ports':[{'name':'dns','port':53,'protocol':'UDP'},{'name':'dns-tcp','port':53,'protocol':'TCP'}]");
	service(z, zone_put_service, "default", "web", "'clusterIP':'10.96.0.1','ports':[{'name':'http','port':80}]");
	slice(z, zone_put_slice, "default", "web-1", "web", HTTP_SLICE
	      "'endpoints':[{'addresses':['10.244.0.5'],'conditions':{'ready':true}},"
	      "{'addresses':['10.244.0.6'],'conditions':{'ready':false}}]");
	service(z, zone_put_service, "default", "plain", "'clusterIP':'10.96.0.2','ports':[{'port':80}]");
	service(z, zone_put_service, "default", "dual", "'clusterIP':'10.96.0.3','clusterIPs':['10.96.0.3','fd00::3'],"
		"'ports':[{'name':'a','port':1},{'name':'b','port':2,'protocol':'UDP'}]");
	service(z, zone_put_service, "default", "db", "'clusterIP':'None','ports':[{'name':'http','port':80}]");
	slice(z, zone_put_slice, "default", "db-1", "db", HTTP_SLICE
	      "'endpoints':[{'addresses':['10.244.0.7'],'hostname':'db-0'},"
	      "{'addresses':['10.244.0.8'],'hostname':'db-1','conditions':{'ready':true,'terminating':true}},"
	      "{'addresses':['10.244.0.9'],'conditions':{'ready':true},'targetRef':{'kind':'Pod','name':'pod-9'}},"
	      "{'addresses':['10.244.0.99'],'hostname':'db-9','conditions':{'ready':false}}]");
	slice(z, zone_put_slice, "default", "db-2", "db", "'ports':[],'endpoints':[{'addresses':['fd00:244::7'],'hostname':'db-0'}]");
	service(z, zone_put_service, "default", "idle", "'clusterIP':'None'");
	service(z, zone_put_service, "default", "out", "'type':'ExternalName','externalName':'www.Example.com'");
	service(z, zone_put_service, "default", "in", "'type':'ExternalName','externalName':'web.default.svc.cluster.local'");
	service(z, zone_put_service, "default", "in2", "'type':'ExternalName','externalName':'in.default.svc.cluster.local.'");
	service(z, zone_put_service, "default", "inout", "'type':'ExternalName','externalName':'out.default.svc.cluster.local'");
	service(z, zone_put_service, "default", "nowhere", "'type':'ExternalName','externalName':'x.default.svc.cluster.local'");
	service(z, zone_put_service, "default", "loop1", "'type':'ExternalName','externalName':'loop2.default.svc.cluster.local'");
	service(z, zone_put_service, "default", "loop2", "'type':'ExternalName','externalName':'loop1.default.svc.cluster.local'");
	service(z, zone_put_service, "default", "literal", "'type':'ExternalName','externalName':'192.0.2.1'");
}

/* ---- questions and answers as text ---- */

static const struct {
	const char *name;
	uint16_t type;
} types[] = { { "A", DNS_A },	    { "AAAA", DNS_AAAA }, { "SRV", DNS_SRV }, { "PTR", DNS_PTR },
	      { "CNAME", DNS_CNAME }, { "TXT", DNS_TXT },   { "SOA", DNS_SOA }, { "NS", DNS_NS },
	      { "MX", DNS_MX },	    { "HTTPS", 65 },	  { "ANY", DNS_ANY }, { "AXFR", DNS_AXFR } };

static size_t query_bytes(const char *question, uint8_t *out, uint16_t class, bool edns)
{
	struct str name, type = STR_NONE;
	struct dns_name n;
	size_t len = DNS_HEADER_BYTES;

	name = str_cut(str_of(question), ' ', &type);
	memset(out, 0, DNS_HEADER_BYTES);
	out[2] = 1;
	out[5] = 1;
	out[11] = edns;
	assert_true(dns_name_from_text(name, &n));
	memcpy(out + len, n.wire, n.len);
	len += n.len;
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (str_eq_c(type, types[i].name))
			out[len + 1] = (uint8_t)types[i].type, out[len] = (uint8_t)(types[i].type >> 8);
	out[len + 2] = 0;
	out[len + 3] = (uint8_t)class;
	len += 4;
	if (edns) {
		memcpy(out + len, "\0\0\51\5\0\0\0\0\0\0", 11);
		len += 11;
	}
	return len;
}

static void put_name(struct buf *b, const struct dns_message *m, size_t at)
{
	struct dns_name n;
	char text[DNS_NAME_TEXT_BYTES];

	assert_true(dns_name_read(m->bytes, at, &n, &at));
	struct str s = str_of(dns_name_text(&n, text));
	struct str zone = STR(".svc.cluster.local.");
	if (str_ends(s, zone))
		s.len -= zone.len - 1; /* a shorter table */
	buf_printf(b, STR_FMT, STR_ARG(s));
}

static void put_record(struct buf *b, const struct dns_message *m, const struct dns_record *r)
{
	const uint8_t *p = (const uint8_t *)m->bytes.ptr + r->rdata_at;
	char ip[64];

	switch (r->type) {
	case DNS_A:
	case DNS_AAAA:
		inet_ntop(r->type == DNS_A ? AF_INET : AF_INET6, p, ip, sizeof(ip));
		buf_puts(b, ip);
		break;
	case DNS_SRV:
		buf_printf(b, "%u %u %u ", p[0] << 8 | p[1], p[2] << 8 | p[3], p[4] << 8 | p[5]);
		put_name(b, m, r->rdata_at + 6);
		break;
	case DNS_CNAME:
		put_name(b, m, r->at);
		buf_puts(b, "->");
		put_name(b, m, r->rdata_at);
		break;
	case DNS_PTR:
	case DNS_NS:
		put_name(b, m, r->rdata_at);
		break;
	case DNS_TXT:
		buf_printf(b, "%.*s %u", p[0], (const char *)p + 1, r->ttl);
		break;
	case DNS_SOA:
		put_name(b, m, r->at);
		buf_printf(b, "=soa");
		break;
	default:
		buf_printf(b, "type%u", r->type);
	}
}

static void describe(struct str bytes, struct buf *b)
{
	static const char *const rcodes[] = { "", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED" };
	struct dns_message m;
	unsigned section = 0;

	assert_true(dns_message_parse(bytes, &m));
	buf_puts(b, rcodes[m.flags & DNS_FLAGS_RCODE]);
	if (m.flags & DNS_FLAG_TC)
		buf_puts(b, "TC");
	for (struct dns_record r = dns_records(&m); dns_record_next(&m, &r); section = r.section) {
		if (r.section != DNS_ANSWER && r.section != section)
			buf_puts(b, r.section == DNS_AUTHORITY ? " ?" : " +");
		buf_putc(b, ' ');
		put_record(b, &m, &r);
	}
}

static const char *ask_as(struct zone *z, const char *question, uint16_t class, const struct dns_message *chased)
{
	static uint8_t query[600], out[DNS_MESSAGE_BYTES_MAX];
	static struct buf b;
	struct dns_query q;
	struct zone_answer a;
	char text[DNS_NAME_TEXT_BYTES];

	buf_done(&b);
	buf_init(&b, 1 << 20);
	assert_int_equal(dns_query_parse((struct str){ (char *)query, query_bytes(question, query, class, false) }, &q), 0);
	switch (chased ? zone_answer_chased(z, &q, out, sizeof(out), chased, 0, &a) : zone_answer(z, &q, out, sizeof(out), 0, &a)) {
	case ZONE_NOT_OURS:
		return "forward";
	case ZONE_CHASE:
		buf_printf(&b, "chase %s", dns_name_text(&a.target, text));
		break;
	case ZONE_ANSWERED:
		describe((struct str){ (char *)out, a.len }, &b);
		break;
	}
	return b.ptr[0] == ' ' ? b.ptr + 1 : b.ptr;
}

static const char *ask(struct zone *z, const char *question)
{
	return ask_as(z, question, DNS_CLASS_IN, NULL);
}

#define NODATA "? cluster.local.=soa"
#define NXDOMAIN "NXDOMAIN ? cluster.local.=soa"

struct row {
	const char *question, *answer;
};

static void check(struct zone *z, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *question = xstrdup(rows[i].question);
		/* "web.default A" is short for the whole name; one that ends in a dot is whole. */
		struct str type, name = str_cut(str_of(question), ' ', &type);
		char *whole = str_ends(name, STR(".")) ? xstrdup(question)
			: xasprintf(STR_FMT ".svc.cluster.local " STR_FMT, STR_ARG(name), STR_ARG(type));
		const char *got = ask(z, whole);
		if (strcmp(got, rows[i].answer) != 0)
			fail_msg("%s\n  got  %s\n  want %s", whole, got, rows[i].answer);
		free(whole);
		free(question);
	}
}

/* ---- tests ---- */

static void test_names(void **state)
{
	static const struct row rows[] = {
		/* ClusterIP */
		{ "web.default A", "10.96.0.1" },
		{ "web.default AAAA", NODATA },
		{ "web.default TXT", NODATA },
		{ "web.default MX", NODATA },
		{ "web.default HTTPS", NODATA },
		{ "web.default ANY", NODATA },
		{ "web.default NS", NODATA },
		{ "web.default CNAME", NODATA },
		{ "web.default SRV", "0 100 80 web.default. + 10.96.0.1" },
		{ "_http._tcp.web.default SRV", "0 100 80 web.default. + 10.96.0.1" },
		{ "http.tcp.web.default SRV", "0 100 80 web.default. + 10.96.0.1" },
		{ "_http._tcp.web.default A", "10.96.0.1" },
		{ "_http._tcp.web.default AAAA", NODATA },
		{ "_http._udp.web.default SRV", NXDOMAIN },
		{ "_https._tcp.web.default SRV", NXDOMAIN },
		{ "x._http._tcp.web.default SRV", NXDOMAIN },
		{ "plain.default A", "10.96.0.2" },
		{ "plain.default SRV", "0 100 80 plain.default. + 10.96.0.2" },
		{ "_http._tcp.plain.default SRV", NXDOMAIN },
		{ "dual.default A", "10.96.0.3" },
		{ "dual.default AAAA", "fd00::3" },
		{ "dual.default SRV", "0 25 1 dual.default. 0 25 2 dual.default. + 10.96.0.3 fd00::3" },
		{ "_b._udp.dual.default SRV", "0 50 2 dual.default. + 10.96.0.3 fd00::3" },
		/* an endpoint of a ClusterIP service has a name as well */
		{ "10-244-0-5.web.default A", "10.244.0.5" },
		{ "10-244-0-6.web.default A", NXDOMAIN },
		/* headless */
		{ "db.default A", "10.244.0.7 10.244.0.8 10.244.0.9" },
		{ "db.default AAAA", "fd00:244::7" },
		{ "db-0.db.default A", "10.244.0.7" },
		{ "db-0.db.default AAAA", "fd00:244::7" },
		{ "db-1.db.default A", "10.244.0.8" },
		{ "db-1.db.default AAAA", NODATA },
		{ "10-244-0-9.db.default A", "10.244.0.9" },
		{ "db-9.db.default A", NXDOMAIN },
		{ "_http._tcp.db.default A", "10.244.0.7 10.244.0.8 10.244.0.9" },
		{ "_http._tcp.db.default SRV", "0 33 8080 10-244-0-9.db.default. 0 33 8080 db-0.db.default. "
		  "0 33 8080 db-1.db.default. + 10.244.0.9 10.244.0.7 10.244.0.8" },
		{ "db-1.db.default SRV", "0 100 8080 db-1.db.default. + 10.244.0.8" },
		{ "idle.default A", NXDOMAIN },
		{ "idle.default AAAA", NXDOMAIN },
		/* what is not there, and what is there and empty */
		{ "nobody.default A", NXDOMAIN },
		{ "web.nowhere A", NXDOMAIN },
		{ "default A", NODATA },
		{ "empty SRV", NODATA },
		{ "nowhere A", NXDOMAIN },
		{ "svc.cluster.local. A", NODATA },
		{ "pod.cluster.local. A", NODATA },
		{ "cluster.local. A", NODATA },
		{ "cluster.local. SOA", "cluster.local.=soa" },
		{ "cluster.local. NS", "ns.dns.cluster.local. + 10.96.0.10" },
		{ "ns.dns.cluster.local. A", "10.96.0.10" },
		{ "dns.cluster.local. A", NODATA },
		{ "dns-version.cluster.local. TXT", "1.1.0 28800" },
		{ "dns-version.cluster.local. A", NODATA },
		{ "x.dns-version.cluster.local. TXT", NXDOMAIN },
		{ "www.cluster.local. A", NXDOMAIN },
		{ "www.example.com.default.svc.cluster.local. A", NXDOMAIN },
		{ "www.example.com. A", "forward" },
		{ "web.default.svc.xcluster.local. A", "forward" },
		{ "web.default A", "10.96.0.1" },
		{ "cluster.local. AXFR", "REFUSED" },
		{ "WEB.DEFAULT A", "10.96.0.1" },
		/* numbers that are the same twice are said once, but weigh twice: CoreDNS' way */
		{ "kube-dns.kube-system SRV", "0 50 53 kube-dns.kube-system. + 10.96.0.10" },
		{ "_dns._udp.kube-system SRV", NXDOMAIN },
		{ "_dns._udp.kube-dns.kube-system SRV", "0 100 53 kube-dns.kube-system. + 10.96.0.10" },
		{ "_dns-tcp._tcp.kube-dns.kube-system SRV", "0 100 53 kube-dns.kube-system. + 10.96.0.10" },
		{ "_dns-tcp._sctp.kube-dns.kube-system SRV", NXDOMAIN },
		{ "_dns-tcp._nonsense.kube-dns.kube-system SRV", NXDOMAIN },
		{ "_._tcp.web.default SRV", NXDOMAIN },
		{ "_http.tcp.web.default SRV", "0 100 80 web.default. + 10.96.0.1" },
		{ "_http._tcp.web.default SOA", NODATA },
		{ "__http._tcp.web.default SRV", NXDOMAIN },
		/* ports of an endpoint are its slice's; one without any counts in the weights of all */
		{ "10-244-0-5.web.default SRV", "0 100 8080 10-244-0-5.web.default. + 10.244.0.5" },
		{ "10-244-0-5.web.default AAAA", NODATA },
		{ "10-244-0-5.web.default TXT", NODATA },
		{ "10-244-0-05.web.default A", NXDOMAIN },
		{ "10-244-0-5-.web.default A", NXDOMAIN },
		{ "10-244-0.web.default A", NXDOMAIN },
		{ "x.10-244-0-5.web.default A", NXDOMAIN },
		{ "db-0.db.default SRV", "0 50 8080 db-0.db.default. + 10.244.0.7 fd00:244::7" },
		{ "db.default SRV", "0 25 8080 10-244-0-9.db.default. 0 25 8080 db-0.db.default. 0 25 8080 db-1.db.default. "
		  "+ 10.244.0.9 10.244.0.7 fd00:244::7 10.244.0.8" },
		{ "_http._tcp.db.default AAAA", NODATA },
		{ "_http._udp.db.default A", NXDOMAIN },
		{ "_https._tcp.db.default A", NXDOMAIN },
		{ "10-244-0-7.db.default A", NXDOMAIN }, /* it is named db-0 */
		{ "db.default MX", NODATA },
		{ "_http._tcp.idle.default SRV", NXDOMAIN },
		{ "a.idle.default SRV", NXDOMAIN },
		{ "a.b.c.web.default A", NXDOMAIN },
		{ "a.b.c.d.e.f.g.h.web.default A", NXDOMAIN },
		{ "web.default.default A", NXDOMAIN },
		{ "cluster.local. AAAA", NODATA },
		{ "cluster.local. ANY", NODATA },
		{ "svc.cluster.local. SRV", NODATA },
		{ "ns.dns.cluster.local. AAAA", NODATA },
		{ "x.ns.dns.cluster.local. A", NXDOMAIN },
		{ "x.dns.cluster.local. A", NXDOMAIN },
		{ "local. A", "forward" },
		{ ". NS", "forward" },
		{ "xcluster.local. A", "forward" },
		{ "www.cluster.local.example.com. A", "forward" },
	};
	struct zone *z = cluster();

	(void)state;
	check(z, rows, ARRAY_LEN(rows));
	assert_string_equal(ask_as(z, "web.default.svc.cluster.local A", 3, NULL), "REFUSED");
	zone_free(z);
}

static void test_pods_and_reverse(void **state)
{
	static const struct row rows[] = {
		{ "10-244-0-5.default.pod.cluster.local. A", "10.244.0.5" },
		{ "10-244-0-5.default.pod.cluster.local. AAAA", NODATA },
		{ "10-244-0-5.nowhere.pod.cluster.local. A", NXDOMAIN },
		{ "2001-db8--1.default.pod.cluster.local. AAAA", "2001:db8::1" },
		{ "2001-db8--1.default.pod.cluster.local. A", NODATA },
		{ "nonsense.default.pod.cluster.local. A", NXDOMAIN },
		{ "10-244-0-256.default.pod.cluster.local. A", NXDOMAIN },
		{ "x.10-244-0-5.default.pod.cluster.local. A", NXDOMAIN },
		{ "default.pod.cluster.local. A", NODATA },
		{ "nowhere.pod.cluster.local. A", NXDOMAIN },
		{ "1.0.96.10.in-addr.arpa. PTR", "web.default." },
		{ "7.0.244.10.in-addr.arpa. PTR", "db-0.db.default." },
		{ "9.0.244.10.in-addr.arpa. PTR", "10-244-0-9.db.default." },
		{ "5.0.244.10.in-addr.arpa. PTR", "10-244-0-5.web.default." },
		{ "99.0.244.10.in-addr.arpa. PTR", "forward" },
		{ "1.0.96.10.in-addr.arpa. A", "? in-addr.arpa.=soa" },
		{ "in-addr.arpa. PTR", "? in-addr.arpa.=soa" },
		{ "in-addr.arpa. SOA", "in-addr.arpa.=soa" },
		{ "96.10.in-addr.arpa. PTR", "forward" },
		{ "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. PTR", "dual.default." },
	};
	struct zone *z = cluster();

	(void)state;
	check(z, rows, ARRAY_LEN(rows));
	/* With reverse zones and without fallthrough, what is not there does not exist. */
	struct zone_options o = options();
	o.n_fallthrough = 0;
	struct zone *strict = cluster_with(&o);
	assert_string_equal(ask(strict, "99.0.244.10.in-addr.arpa PTR"), "NXDOMAIN ? in-addr.arpa.=soa");
	assert_string_equal(ask(strict, "244.10.in-addr.arpa PTR"), "NXDOMAIN ? in-addr.arpa.=soa");
	assert_string_equal(ask(strict, "1.1.1.0.96.10.in-addr.arpa PTR"), "NXDOMAIN ? in-addr.arpa.=soa");
	assert_string_equal(ask(strict, "x.ip6.arpa PTR"), "NXDOMAIN ? ip6.arpa.=soa");
	zone_free(strict);
	/* The longest reverse zone counts. */
	o.n_reverse = 3;
	assert_true(dns_name_from_text(STR("10.in-addr.arpa"), &o.reverse[2]));
	strict = cluster_with(&o);
	assert_string_equal(ask(strict, "99.0.244.10.in-addr.arpa PTR"), "NXDOMAIN ? 10.in-addr.arpa.=soa");
	zone_free(strict);
	/* Without reverse zones nobody is asked. */
	o.n_reverse = 0;
	strict = cluster_with(&o);
	assert_string_equal(ask(strict, "1.0.96.10.in-addr.arpa PTR"), "forward");
	zone_free(strict);
	/* A pod in two services has two names. */
	service(z, zone_put_service, "default", "second", "'clusterIP':'None'");
	slice(z, zone_put_slice, "default", "second-1", "second", "'endpoints':[{'addresses':['10.244.0.7']}]");
	assert_string_equal(ask(z, "7.0.244.10.in-addr.arpa PTR"), "db-0.db.default. 10-244-0-7.second.default.");
	zone_free(z);
}

static void test_external(void **state)
{
	static const struct row rows[] = {
		{ "out.default CNAME", "out.default.->www.example.com." },
		{ "out.default A", "chase www.example.com." },
		{ "out.default HTTPS", "chase www.example.com." },
		{ "inout.default AAAA", "chase www.example.com." },
		{ "x.out.default A", NXDOMAIN },
		{ "in.default A", "in.default.->web.default. 10.96.0.1" },
		{ "in2.default A", "in2.default.->in.default. in.default.->web.default. 10.96.0.1" },
		{ "in.default AAAA", NODATA },
		{ "in.default CNAME", "in.default.->web.default." },
		{ "nowhere.default A", NODATA },
		{ "loop1.default A", NODATA },
		{ "literal.default A", NXDOMAIN },
	};
	static const char upstream[] = "\0\1\x81\x80\0\1\0\2\0\0\0\0\3www\7example\3com\0\0\1\0\1"
				       "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\4\1a\xc0\x10"
				       "\xc0\x2d\0\1\0\1\0\0\0\x3c\0\4\300\0\2\1";
	static const char nothing[] = "\0\1\x81\x82\0\1\0\0\0\0\0\0\3www\7example\3com\0\0\1\0\1";
	struct zone *z = cluster();
	struct dns_message m;

	(void)state;
	check(z, rows, ARRAY_LEN(rows));
	assert_true(dns_message_parse((struct str){ upstream, sizeof(upstream) - 1 }, &m));
	assert_string_equal(ask_as(z, "inout.default.svc.cluster.local A", 1, &m),
			    "inout.default.->out.default. out.default.->www.example.com. "
			    "www.example.com.->a.example.com. 192.0.2.1");
	assert_true(dns_message_parse((struct str){ nothing, sizeof(nothing) - 1 }, &m));
	assert_string_equal(ask_as(z, "out.default.svc.cluster.local A", 1, &m), "out.default.->www.example.com.");
	zone_free(z);
}

/* What options make different: the same objects, another zone. */
static void check_option(const struct zone_options *o, const struct row *rows, size_t n)
{
	struct zone *z = cluster_with(o);

	check(z, rows, n);
	zone_free(z);
}
#define CHECK(o, ...) check_option(o, (const struct row[]){ __VA_ARGS__ }, sizeof((const struct row[]){ __VA_ARGS__ }) / sizeof(struct row))

static void test_options(void **state)
{
	struct zone_options o = options();
	static const char *const only[] = { "kube-system", "empty", NULL };

	(void)state;
	o.ignore_empty_service = true;
	CHECK(&o, { "web.default A", "10.96.0.1" }, { "plain.default A", NXDOMAIN }, { "plain.default SRV", NXDOMAIN },
	      { "db.default A", "10.244.0.7 10.244.0.8 10.244.0.9" }, { "out.default CNAME", "out.default.->www.example.com." });
	o = options();
	o.no_endpoints = true;
	CHECK(&o, { "web.default A", "10.96.0.1" }, { "db.default A", NXDOMAIN }, { "10-244-0-5.web.default A", NXDOMAIN },
	      { "5.0.244.10.in-addr.arpa. PTR", "forward" });
	o = options();
	o.pods = ZONE_PODS_DISABLED;
	CHECK(&o, { "10-244-0-5.default.pod.cluster.local. A", NXDOMAIN }, { "default.pod.cluster.local. A", NXDOMAIN },
	      { "pod.cluster.local. A", NODATA });
	o = options();
	o.namespaces = only;
	CHECK(&o, { "web.default A", NXDOMAIN }, { "default A", NXDOMAIN }, { "empty A", NODATA },
	      { "kube-dns.kube-system A", "10.96.0.10" }, { "1.0.96.10.in-addr.arpa. PTR", "forward" },
	      { "10.0.96.10.in-addr.arpa. PTR", "kube-dns.kube-system." }, { "10-0-0-1.default.pod.cluster.local. A", NXDOMAIN });
	o = options();
	o.fallthrough[0] = (struct dns_name){ .len = 1 };
	o.n_fallthrough = 1;
	CHECK(&o, { "nobody.default A", "forward" }, { "www.cluster.local. A", "forward" }, { "web.default AAAA", NODATA },
	      { "99.0.244.10.in-addr.arpa. PTR", "forward" });
	o = options();
	o.endpoint_pod_names = true;
	CHECK(&o, { "pod-9.db.default A", "10.244.0.9" }, { "10-244-0-9.db.default A", NXDOMAIN }, { "db-0.db.default A", "10.244.0.7" },
	      { "9.0.244.10.in-addr.arpa. PTR", "pod-9.db.default." });
	o = options();
	assert_true(dns_name_from_text(STR("."), &o.domain));
	struct zone *z = cluster_with(&o);
	assert_string_equal(ask(z, "web.default.svc A"), "10.96.0.1");
	assert_string_equal(ask(z, "example.com A"), "NXDOMAIN ? .=soa");
	zone_free(z);
}

static void put_pod(struct zone *z, const char *ns, const char *name, const char *ip, const char *rest)
{
	char *text = xasprintf("{'metadata':{'namespace':'%s','name':'%s'%s},'status':{'phase':'Running','podIP':'%s','podIPs':[{'ip':'%s'}]}}",
			       ns, name, rest, ip, ip);

	with(z, zone_put_pod, text);
	free(text);
}

static void test_pods_verified(void **state)
{
	struct zone_options o = options();
	char name[32], ip[32];

	(void)state;
	o.pods = ZONE_PODS_VERIFIED;
	struct zone *z = cluster_with(&o);
	put_pod(z, "default", "a", "10.244.0.5", "");
	put_pod(z, "empty", "a", "10.244.0.6", "");
	put_pod(z, "default", "b", "2001:db8::1", "");
	put_pod(z, "default", "old", "10.244.0.9", ",'deletionTimestamp':'2026-01-01T00:00:00Z'");
	static const struct row rows[] = {
		{ "10-244-0-5.default.pod.cluster.local. A", "10.244.0.5" },
		{ "10-244-0-5.default.pod.cluster.local. AAAA", NODATA },
		{ "10-244-0-5.empty.pod.cluster.local. A", NXDOMAIN },
		{ "10-244-0-6.empty.pod.cluster.local. A", "10.244.0.6" },
		{ "10-244-0-9.default.pod.cluster.local. A", NXDOMAIN },
		{ "2001-db8--1.default.pod.cluster.local. AAAA", "2001:db8::1" },
		{ "default.pod.cluster.local. A", NODATA },
	};
	check(z, rows, ARRAY_LEN(rows));
	put_pod(z, "default", "a", "10.244.0.7", ""); /* another address */
	assert_string_equal(ask(z, "10-244-0-5.default.pod.cluster.local A"), NXDOMAIN);
	assert_string_equal(ask(z, "10-244-0-7.default.pod.cluster.local A"), "10.244.0.7");
	with(z, zone_del_pod, "{'metadata':{'namespace':'default','name':'a'}}");
	assert_string_equal(ask(z, "10-244-0-7.default.pod.cluster.local A"), NXDOMAIN);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "p-%d", i);
		snprintf(ip, sizeof(ip), "10.9.%d.%d", i / 256, i % 256);
		put_pod(z, "default", name, ip, "");
	}
	assert_string_equal(ask(z, "10-9-1-3.default.pod.cluster.local A"), "10.9.1.3");
	assert_string_equal(ask(z, "10-9-0-3.default.pod.cluster.local A"), "10.9.0.3");
	zone_free(z);
}

static void test_selectors(void **state)
{
	struct zone_options o = options();

	(void)state;
	o.labels = "app in (a, b)";
	o.namespace_labels = "dns";
	struct zone *z = cluster_with(&o);
	with(z, zone_put_namespace, "{'metadata':{'name':'shown','labels':{'dns':''}}}");
	with(z, zone_put_service, "{'metadata':{'namespace':'shown','name':'a','labels':{'app':'a'}},'spec':{'clusterIP':'10.96.1.1'}}");
	with(z, zone_put_service, "{'metadata':{'namespace':'shown','name':'c','labels':{'app':'c'}},'spec':{'clusterIP':'10.96.1.2'}}");
	with(z, zone_put_service, "{'metadata':{'namespace':'default','name':'a','labels':{'app':'a'}},'spec':{'clusterIP':'10.96.1.3'}}");
	assert_string_equal(ask(z, "a.shown.svc.cluster.local A"), "10.96.1.1");
	assert_string_equal(ask(z, "c.shown.svc.cluster.local A"), NXDOMAIN);
	assert_string_equal(ask(z, "a.default.svc.cluster.local A"), NXDOMAIN);
	assert_string_equal(ask(z, "default.svc.cluster.local A"), NXDOMAIN);
	assert_string_equal(ask(z, "3.1.96.10.in-addr.arpa PTR"), "forward");
	/* labels change */
	with(z, zone_put_namespace, "{'metadata':{'name':'default','labels':{'dns':'x'}}}");
	assert_string_equal(ask(z, "a.default.svc.cluster.local A"), "10.96.1.3");
	with(z, zone_put_namespace, "{'metadata':{'name':'shown'}}");
	assert_string_equal(ask(z, "a.shown.svc.cluster.local A"), NXDOMAIN);
	with(z, zone_put_service, "{'metadata':{'namespace':'default','name':'a'},'spec':{'clusterIP':'10.96.1.3'}}");
	assert_string_equal(ask(z, "a.default.svc.cluster.local A"), NXDOMAIN);
	zone_free(z);
}

/* Hostnames that several endpoints have, addresses that several slices have, families, spellings. */
static void test_endpoints(void **state)
{
	static const struct row rows[] = {
		{ "e.default A", "10.1.0.1 10.1.0.2 10.1.0.3" },
		{ "e.default AAAA", "2001:db8::1 2001:db8::a fe80::" },
		{ "web.e.default A", "10.1.0.1 10.1.0.2" },
		{ "web.e.default AAAA", "2001:db8::1" },
		{ "web.e.default SRV", "0 25 80 web.e.default. + 10.1.0.1 10.1.0.2 2001:db8::1" },
		{ "_http._tcp.e.default SRV", "0 20 80 10-1-0-3.e.default. 0 20 80 web.e.default. + 10.1.0.3 10.1.0.1 10.1.0.2 2001:db8::1" },
		{ "10-1-0-1.e.default A", NXDOMAIN },
		{ "10-1-0-3.e.default A", "10.1.0.3" },
		{ "fe80--0.e.default AAAA", "fe80::" },
		{ "2001-db8-0-0-0-0-0-a.e.default AAAA", "2001:db8::a" }, /* spelled as the slice spells it */
		{ "2001-db8--a.e.default AAAA", NXDOMAIN },
		{ "1.0.1.10.in-addr.arpa. PTR", "web.e.default." },
		{ "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR", "2001-db8-0-0-0-0-0-a.e.default." },
		{ "_any._tcp.any.default A", "10.1.0.9" }, /* a port that stands for all: a name, but no SRV */
		{ "_any._tcp.any.default SRV", NODATA },
		{ "mapped.default A", "10.1.0.77" },
	};
	struct zone *z = cluster();

	(void)state;
	service(z, zone_put_service, "default", "e", "'clusterIP':'None'");
	slice(z, zone_put_slice, "default", "e-1", "e", "'ports':[{'name':'http','port':80}],'endpoints':["
	      "{'addresses':['10.1.0.1','10.1.0.2'],'hostname':'WEB'},{'addresses':['10.1.0.3']}]");
	slice(z, zone_put_slice, "default", "e-2", "e", "'ports':[{'name':'http','port':80}],'endpoints':["
	      "{'addresses':['10.1.0.1','2001:db8::1'],'hostname':'web'}]");
	slice(z, zone_put_slice, "default", "e-3", "e", "'endpoints':[{'addresses':['2001:db8:0:0:0:0:0:a','fe80::']}]");
	service(z, zone_put_service, "default", "any", "'clusterIP':'None'");
	slice(z, zone_put_slice, "default", "any-1", "any", "'ports':[{'name':'any'}],'endpoints':[{'addresses':['10.1.0.9']}]");
	service(z, zone_put_service, "default", "mapped", "'clusterIP':'::ffff:10.1.0.77'");
	check(z, rows, ARRAY_LEN(rows));
	zone_free(z);
}

static void test_external_chains(void **state)
{
	struct zone *z = cluster();
	char name[32], spec[128];

	(void)state;
	service(z, zone_put_service, "default", "to-pod", "'type':'ExternalName','externalName':'10-0-0-1.default.pod.cluster.local'");
	service(z, zone_put_service, "default", "to-host", "'type':'ExternalName','externalName':'db-1.db.default.svc.cluster.local'");
	service(z, zone_put_service, "default", "to-headless", "'type':'ExternalName','externalName':'db.default.svc.cluster.local'");
	service(z, zone_put_service, "default", "to-itself", "'type':'ExternalName','externalName':'to-itself.default.svc.cluster.local'");
	service(z, zone_put_service, "default", "to-apex", "'type':'ExternalName','externalName':'cluster.local'");
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		snprintf(spec, sizeof(spec), "'type':'ExternalName','externalName':'%s%d.default.svc.cluster.local'", i == 11 ? "web" : "c", i + 1);
		service(z, zone_put_service, "default", name, i == 11 ? "'clusterIP':'10.96.5.5'" : spec);
	}
	static const struct row rows[] = {
		{ "to-pod.default A", "to-pod.default.->10-0-0-1.default.pod.cluster.local. 10.0.0.1" },
		{ "to-pod.default SRV", NODATA },
		{ "to-host.default A", "to-host.default.->db-1.db.default. 10.244.0.8" },
		{ "to-headless.default AAAA", "to-headless.default.->db.default. fd00:244::7" },
		{ "to-itself.default A", NODATA },
		{ "to-apex.default A", NODATA },
		{ "to-apex.default SOA", NODATA },
		{ "x.to-pod.default A", NXDOMAIN },
		{ "_a._tcp.to-pod.default A", NXDOMAIN },
		{ "c0.default CNAME", "c0.default.->c1.default." },
		{ "c10.default A", "c10.default.->c11.default. 10.96.5.5" },
	};
	check(z, rows, ARRAY_LEN(rows));
	assert_non_null(strstr(ask(z, "c0.default.svc.cluster.local A"), "c10.default.->c11.default. 10.96.5.5")); /* eleven links */
	service(z, zone_put_service, "default", "c11", "'type':'ExternalName','externalName':'web.default.svc.cluster.local'");
	assert_string_equal(ask(z, "c0.default.svc.cluster.local A"), NODATA); /* twelve */
	assert_non_null(strstr(ask(z, "c1.default.svc.cluster.local A"), "10.96.0.1"));
	zone_free(z);
}

/* The same objects in any order make the same zone, and what is put again changes nothing. */
static void test_same_again(void **state)
{
	struct zone *z = cluster();
	const char *soa = "cluster.local SOA";

	(void)state;
	(void)soa;
	uint8_t query[600], out[2][1232];
	struct dns_query q;
	struct zone_answer a[2];
	assert_int_equal(dns_query_parse((struct str){ (char *)query, query_bytes("cluster.local SOA", query, 1, false) }, &q), 0);
	zone_answer(z, &q, out[0], sizeof(out[0]), 0, &a[0]);
	fill(z); /* all again: the serial stays */
	zone_answer(z, &q, out[1], sizeof(out[1]), 0, &a[1]);
	assert_int_equal(a[0].len, a[1].len);
	assert_memory_equal(out[0], out[1], a[0].len);
	with(z, zone_put_namespace, "{'metadata':{'name':'new'}}");
	zone_answer(z, &q, out[1], sizeof(out[1]), 0, &a[1]);
	assert_memory_not_equal(out[0], out[1], a[0].len);
	zone_free(z);
}

/* Thousands of names come and go: every one is found while it is there and not afterwards. */
static void test_many(void **state)
{
	struct zone_options o = options();
	struct zone *z = zone_new(&o, 1, NULL);
	char name[64], text[256];

	(void)state;
	zone_set_synced(z);
	with(z, zone_put_namespace, "{'metadata':{'name':'many'}}");
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 2000; i++) {
			snprintf(name, sizeof(name), "s-%d", i);
			snprintf(text, sizeof(text), "'clusterIP':'10.%d.%d.%d','ports':[{'name':'http','port':80}]", 50 + round, i / 200, i % 200);
			service(z, zone_put_service, "many", name, text);
			snprintf(text, sizeof(text), "'endpoints':[{'addresses':['10.%d.%d.%d']}]", 80 + round, i / 200, i % 200);
			slice(z, zone_put_slice, "many", name, name, text);
		}
		for (int i = 0; i < 2000; i += 7) {
			snprintf(text, sizeof(text), "s-%d.many.svc.cluster.local A", i);
			snprintf(name, sizeof(name), "10.%d.%d.%d", 50 + round, i / 200, i % 200);
			assert_string_equal(ask(z, text), name);
			snprintf(text, sizeof(text), "%d.%d.%d.10.in-addr.arpa PTR", i % 200, i / 200, 80 + round);
			snprintf(name, sizeof(name), "10-%d-%d-%d.s-%d.many.", 80 + round, i / 200, i % 200, i);
			assert_string_equal(ask(z, text), name);
			snprintf(text, sizeof(text), "%d.%d.%d.10.in-addr.arpa PTR", i % 200, i / 200, 79 + round);
			assert_string_equal(ask(z, text), "forward");
		}
		for (int i = 0; i < 2000; i += 2 - (round == 2)) {
			snprintf(name, sizeof(name), "s-%d", i);
			service(z, zone_del_service, "many", name, "");
			slice(z, zone_del_slice, "many", name, name, "'endpoints':[]");
			snprintf(text, sizeof(text), "s-%d.many.svc.cluster.local A", i);
			assert_string_equal(ask(z, text), NXDOMAIN);
		}
	}
	assert_int_equal(zone_names(z), 1); /* the namespace */
	zone_free(z);
}

static void test_changes(void **state)
{
	struct zone *z = cluster();

	(void)state;
	/* 0 -> 1 -> 0 ready */
	slice(z, zone_put_slice, "default", "idle-1", "idle", "'endpoints':[{'addresses':['10.244.1.1'],'conditions':{'ready':false}}]");
	assert_string_equal(ask(z, "idle.default.svc.cluster.local A"), NXDOMAIN);
	slice(z, zone_put_slice, "default", "idle-1", "idle", "'endpoints':[{'addresses':['10.244.1.1'],'conditions':{'ready':true}}]");
	assert_string_equal(ask(z, "idle.default.svc.cluster.local A"), "10.244.1.1");
	assert_string_equal(ask(z, "idle.default.svc.cluster.local SRV"), NODATA);
	assert_string_equal(ask(z, "1.1.244.10.in-addr.arpa PTR"), "10-244-1-1.idle.default.");
	/* the same address in two slices comes once */
	slice(z, zone_put_slice, "default", "idle-2", "idle", "'endpoints':[{'addresses':['10.244.1.1']}]");
	assert_string_equal(ask(z, "idle.default.svc.cluster.local A"), "10.244.1.1");
	slice(z, zone_del_slice, "default", "idle-2", "idle", "'endpoints':[]");
	slice(z, zone_del_slice, "default", "idle-1", "idle", "'endpoints':[]");
	assert_string_equal(ask(z, "idle.default.svc.cluster.local A"), NXDOMAIN);
	assert_string_equal(ask(z, "1.1.244.10.in-addr.arpa PTR"), "forward");
	/* a service that goes and comes again, its slices staying */
	service(z, zone_del_service, "default", "db", "");
	assert_string_equal(ask(z, "db.default.svc.cluster.local A"), NXDOMAIN);
	assert_string_equal(ask(z, "db-0.db.default.svc.cluster.local A"), NXDOMAIN);
	service(z, zone_put_service, "default", "db", "'clusterIP':'None'");
	assert_string_equal(ask(z, "db-0.db.default.svc.cluster.local A"), "10.244.0.7");
	/* a change of type and of address */
	service(z, zone_put_service, "default", "db", "'clusterIP':'10.96.0.77','ports':[{'name':'p','port':1}]");
	assert_string_equal(ask(z, "db.default.svc.cluster.local A"), "10.96.0.77");
	assert_string_equal(ask(z, "_http._tcp.db.default.svc.cluster.local A"), NXDOMAIN);
	service(z, zone_put_service, "default", "db", "'type':'ExternalName','externalName':'example.org'");
	assert_string_equal(ask(z, "db.default.svc.cluster.local CNAME"), "db.default.->example.org.");
	assert_string_equal(ask(z, "77.0.96.10.in-addr.arpa PTR"), "forward");
	/* a slice that changes its service */
	slice(z, zone_put_slice, "default", "web-1", "plain", "'endpoints':[{'addresses':['10.244.0.5']}]");
	assert_string_equal(ask(z, "5.0.244.10.in-addr.arpa PTR"), "10-244-0-5.plain.default.");
	with(z, zone_del_namespace, "{'metadata':{'name':'empty'}}");
	assert_string_equal(ask(z, "empty.svc.cluster.local A"), NXDOMAIN);
	zone_free(z);
}

static void test_before_sync(void **state)
{
	struct zone_options o = options();
	struct zone *z = zone_new(&o, 1, NULL);

	(void)state;
	assert_non_null(z);
	assert_string_equal(ask(z, "web.default.svc.cluster.local A"), "SERVFAIL");
	assert_string_equal(ask(z, "1.0.96.10.in-addr.arpa PTR"), "SERVFAIL");
	assert_string_equal(ask(z, "example.com A"), "forward");
	zone_set_synced(z);
	assert_string_equal(ask(z, "web.default.svc.cluster.local A"), NXDOMAIN);
	zone_free(z);
}

static void test_odd_objects(void **state)
{
	struct zone *z = cluster();

	(void)state;
	with(z, zone_put_service, "{}");
	with(z, zone_put_service, "{'metadata':{'name':'x'}}");
	with(z, zone_put_namespace, "{'metadata':{'name':7}}");
	service(z, zone_put_service, "default", "a.b", "'clusterIP':'10.0.0.1'");
	service(z, zone_put_service, "default", "odd", "'clusterIP':'no address','ports':[{'port':'x'},{'port':99999},7]");
	assert_string_equal(ask(z, "odd.default.svc.cluster.local A"), NODATA);
	assert_string_equal(ask(z, "a.b.default.svc.cluster.local A"), NXDOMAIN);
	slice(z, zone_put_slice, "default", "odd-1", "db", "'endpoints':[{'addresses':['x',7]},{},7],'ports':7");
	slice(z, zone_put_slice, "", "odd-2", "", "'endpoints':7");
	assert_string_equal(ask(z, "db-0.db.default.svc.cluster.local A"), "10.244.0.7");
	zone_free(z);
}

static void test_large_headless(void **state)
{
	struct zone *z = cluster();
	uint8_t query[600], out[DNS_MESSAGE_BYTES_MAX];
	struct dns_query q;
	struct zone_answer a;
	struct dns_message m;

	(void)state;
	service(z, zone_put_service, "default", "big", "'clusterIP':'None'");
	for (int s = 0; s < 10; s++) {
		struct buf b;
		char name[16];
		buf_init(&b, 1 << 20);
		buf_puts(&b, "'endpoints':[");
		for (int i = 0; i < 100; i++)
			buf_printf(&b, "%s{'addresses':['10.1.%d.%d']}", i ? "," : "", s, i);
		buf_puts(&b, "]");
		snprintf(name, sizeof(name), "big-%d", s);
		slice(z, zone_put_slice, "default", name, "big", b.ptr);
		buf_done(&b);
	}
	size_t n = query_bytes("big.default.svc.cluster.local A", query, 1, true);
	assert_int_equal(dns_query_parse((struct str){ (char *)query, n }, &q), 0);
	assert_int_equal(zone_answer(z, &q, out, q.udp_bytes, 3, &a), ZONE_ANSWERED);
	assert_true(a.len <= DNS_UDP_BYTES_MAX && a.len > DNS_UDP_BYTES_MAX - 16);
	assert_true(dns_message_parse((struct str){ (char *)out, a.len }, &m));
	assert_true(m.flags & DNS_FLAG_TC);
	assert_int_equal(zone_answer(z, &q, out, sizeof(out), 3, &a), ZONE_ANSWERED);
	assert_true(dns_message_parse((struct str){ (char *)out, a.len }, &m));
	assert_false(m.flags & DNS_FLAG_TC);
	assert_int_equal(m.counts[1], 1000);
	/* Rotation: every address comes first once. */
	bool seen[10][100] = { { false } };
	for (uint32_t pick = 0; pick < 1000; pick++) {
		assert_int_equal(zone_answer(z, &q, out, sizeof(out), pick, &a), ZONE_ANSWERED);
		const uint8_t *first = out + DNS_HEADER_BYTES + q.question.len + 12;
		assert_false(seen[first[2]][first[3]]);
		seen[first[2]][first[3]] = true;
	}
	/* SRV: what does not fit sets TC; what does is whole. */
	n = query_bytes("big.default.svc.cluster.local SRV", query, 1, false);
	assert_int_equal(dns_query_parse((struct str){ (char *)query, n }, &q), 0);
	assert_int_equal(zone_answer(z, &q, out, q.udp_bytes, 3, &a), ZONE_ANSWERED);
	assert_true(dns_message_parse((struct str){ (char *)out, a.len }, &m));
	zone_free(z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	      cmocka_unit_test(test_pods_and_reverse),
		cmocka_unit_test(test_external),      cmocka_unit_test(test_changes),
		cmocka_unit_test(test_before_sync),   cmocka_unit_test(test_odd_objects),
		cmocka_unit_test(test_large_headless), cmocka_unit_test(test_options),
		cmocka_unit_test(test_pods_verified), cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_endpoints),     cmocka_unit_test(test_external_chains),
		cmocka_unit_test(test_same_again),    cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
