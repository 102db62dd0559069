/* dns_kit.h - for the tests of the DNS program: a cluster, packets with quirks, and both ways to an answer. Included once. */
#pragma once

#include "codec/jx.h"
#include "roles/dns/kernel/attach.h"
#include "roles/dns/kernel/entries.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/ip.h>
#include <sched.h>
#include <setjmp.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#define ETH 14
#define L4 (ETH + 20)
#define DNS (L4 + 8)
#define PACKET_MAX 1600
#define SERVER "10.96.0.10"
#define CLIENT "10.244.0.5"
#define PICKS 40 /* a rotation has at most so many beginnings */

struct bytes {
	uint8_t at[PACKET_MAX];
	size_t len;
};

static struct program prog;
static struct entries entries;
static struct zone *zone;

/* ---- a cluster ---- */

typedef void put_fn(struct zone *z, const json_t *obj);

static void with(put_fn *fn, const char *quoted)
{
	char *text = xstrdup(quoted);
	struct err e;

	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	json_t *obj = jx_parse(str_of(text), 1 << 20, &e);
	if (!obj)
		fail_msg("%s in %s", e.message, quoted);
	fn(zone, obj);
	json_decref(obj);
	free(text);
}

static void namespace(const char *name)
{
	char *text = xasprintf("{'metadata':{'name':'%s'}}", name);

	with(zone_put_namespace, text);
	free(text);
}

static void service(const char *ns, const char *name, const char *spec)
{
	char *text = xasprintf("{'metadata':{'namespace':'%s','name':'%s'},'spec':{%s}}", ns, name, spec);

	with(zone_put_service, text);
	free(text);
}

static void headless(const char *name, unsigned endpoints, bool hostnames)
{
	char *list = xstrdup(""), *text;

	service("default", name, "'clusterIP':'None','clusterIPs':['None'],'ports':[{'name':'peer','port':7000}]");
	for (unsigned i = 0; i < endpoints; i++) {
		char *host = hostnames ? xasprintf("'hostname':'%s-%u',", name, i) : xstrdup("");
		char *more = xasprintf("%s%s{%s'addresses':['10.244.%u.%u'],'conditions':{'ready':true}}", list, i ? "," : "", host,
				       1 + i / 200, 1 + i % 200);
		free(list);
		free(host);
		list = more;
	}
	text = xasprintf("{'metadata':{'namespace':'default','name':'%s-1','labels':{'kubernetes.io/service-name':'%s'}},"
			 "'addressType':'IPv4','ports':[{'name':'peer','port':7000,'protocol':'TCP'}],'endpoints':[%s]}",
			 name, name, list);
	with(zone_put_slice, text);
	free(list);
	free(text);
}

#define LONG_NAME "a-service-with-a-name-that-is-as-long-as-only-few-others-are-0"

#define LONG_HEADLESS "a-headless-service-whose-name-makes-it-too-much" /* for 512 bytes with 27 addresses */

static void cluster(void)
{
	struct zone_options o = { .ttl = 30, .pods = ZONE_PODS_INSECURE };

	assert_true(dns_name_from_text(STR("cluster.local"), &o.domain));
	assert_true(dns_name_from_text(STR("in-addr.arpa"), &o.reverse[0]));
	o.n_reverse = 1;
	zone = zone_new(&o, 7, NULL);
	namespace("default");
	namespace("kube-system");
	namespace("empty");
	service("kube-system", "kube-dns", "'clusterIP':'10.96.0.10','clusterIPs':['10.96.0.10'],"
		"'ports':[{'name':'dns','port':53,'protocol':'UDP'},{'name':'dns-tcp','port':53,'protocol':'TCP'}]");
	service("default", "web", "'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],'ports':[{'name':'http','port':80}]");
	service("default", "dual", "'clusterIP':'10.96.0.2','clusterIPs':['10.96.0.2','fd00::2'],'ports':[{'port':80}]");
	service("default", LONG_NAME, "'clusterIP':'10.96.0.3','clusterIPs':['10.96.0.3'],'ports':[{'name':'http','port':80}]");
	service("default", "outside", "'type':'ExternalName','externalName':'www.example.com'");
	headless("db", 3, true);
	headless("six", 6, false);
	headless("many", 27, false);
	headless("crowd", 200, false);
	headless(LONG_HEADLESS, 27, false);
	service("default", "zaz", "'clusterIP':'10.96.0.4','clusterIPs':['10.96.0.4'],'ports':[{'name':'http','port':80}]");
	headless("nobody", 0, false);
	zone_set_synced(zone);
}

static void on_put(void *ctx, const struct zone_name *n)
{
	entries_put(ctx, n);
}

static void on_gone(void *ctx, const uint8_t *key, uint8_t key_len)
{
	entries_gone(ctx, key, key_len);
}

static void on_changed(void *ctx, const struct zone_denial *d)
{
	(void)d;
	entries_denial(ctx, zone);
}

static struct answer_target target(const char *ip, uint16_t port)
{
	return (struct answer_target){ .addr = { 0, 0, htonl(0xffff), inet_addr(ip) }, .port = htons(port) };
}

static void lease(bool on)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	prog.control->until_ns = on ? ((uint64_t)now.tv_sec + 600) * 1000000000 : 0;
}

static int load(void **state)
{
	const struct zone_mirror m = { on_put, on_gone, on_changed, &entries };
	const struct answer_target targets[] = { target(SERVER, 53), target("192.168.77.1", 10053) };
	struct err e;

	(void)state;
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	if (program_load(&prog, &e) < 0)
		fail_msg("%s", e.message);
	cluster();
	assert_true(entries_start(&entries, &prog, &zone_options(zone)->domain));
	zone_set_mirror(zone, &m);
	entries_targets(&entries, targets, ARRAY_LEN(targets));
	assert_false(entries.incomplete || entries.refused);
	lease(true);
	return 0;
}

static int unload(void **state)
{
	(void)state;
	zone_set_mirror(zone, NULL);
	zone_free(zone);
	program_close(&prog);
	return 0;
}

/* ---- packets ---- */

static uint16_t sum_of(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* What is unusual about it. */
struct quirk {
	const char *to;
	uint16_t port, class, flags; /* flags: of the DNS header */
	uint16_t questions, answers, additional; /* counts instead of the right ones */
	uint16_t edns, edns_flags;   /* edns: the size, 0 for none */
	uint8_t edns_version, edns_rcode;
	bool edns_option, edns_named, fragment, last_fragment, ip_option, bad_ip_sum, vlan, tcp, ipv6, answer, two_questions, pointer;
	int cut, more;	   /* bytes less or more than the message has */
	int udp_len, ip_len; /* added to the lengths in the headers */
};

static size_t put_name(uint8_t *p, const char *text)
{
	uint8_t *start = p;

	for (struct str rest = str_of(text); rest.ptr && rest.len;) {
		struct str label = str_cut(rest, '.', &rest);
		*p++ = (uint8_t)label.len;
		p = mempcpy(p, label.ptr, label.len);
	}
	*p++ = 0;
	return (size_t)(p - start);
}

static size_t put_question(uint8_t *p, const char *name, uint16_t type, const struct quirk *k)
{
	size_t n = put_name(p, name);

	if (k->pointer)
		put16(p + n - 1, 0xc00c), n++;
	put16(p + n, type);
	put16(p + n + 2, k->class ? k->class : 1);
	return n + 4;
}

static size_t put_opt(uint8_t *p, const struct quirk *k)
{
	uint8_t *start = p;

	p += k->edns_named ? put_name(p, "a") : put_name(p, "");
	put16(p, DNS_OPT);
	put16(p + 2, k->edns);
	p[4] = k->edns_rcode;
	p[5] = k->edns_version;
	put16(p + 6, k->edns_flags);
	put16(p + 8, k->edns_option ? 12 : 0);
	p += 10;
	if (k->edns_option) { /* a cookie */
		put16(p, 10);
		put16(p + 2, 8);
		memcpy(p + 4, "abcdefgh", 8);
		p += 12;
	}
	return (size_t)(p - start);
}

static size_t put_message(uint8_t *m, const char *name, uint16_t type, const struct quirk *k)
{
	size_t n = 12;

	put16(m, 0x1234);
	put16(m + 2, (k->flags ? k->flags : DNS_FLAG_RD) | (k->answer ? DNS_FLAG_QR : 0));
	put16(m + 4, k->two_questions ? 2 : k->questions ? k->questions - 1u : 1);
	put16(m + 6, k->answers);
	put16(m + 8, 0);
	put16(m + 10, k->additional ? k->additional : k->edns ? 1 : 0);
	n += put_question(m + n, name, type, k);
	if (k->two_questions)
		n += put_question(m + n, name, DNS_AAAA, k);
	if (k->edns)
		n += put_opt(m + n, k);
	memset(m + n, 0xee, 16);
	return n + (size_t)(k->more - k->cut);
}

static struct bytes packet(const char *name, uint16_t type, const struct quirk *k)
{
	struct bytes b = { 0 };
	size_t option = k->ip_option ? 4 : 0;
	uint8_t *ip = b.at + ETH, *udp = ip + 20 + option;
	size_t n = put_message(udp + 8, name, type, k);

	memcpy(b.at, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	put16(b.at + 12, k->vlan ? 0x8100 : k->ipv6 ? 0x86dd : 0x0800);
	ip[0] = (uint8_t)(0x45 + option / 4);
	put16(ip + 2, (unsigned)(20 + option + 8 + n) + (unsigned)k->ip_len);
	put16(ip + 4, 77);
	put16(ip + 6, k->fragment ? 0x2000 : k->last_fragment ? 0x0010 : 0x4000);
	ip[8] = 63;
	ip[9] = k->tcp ? IPPROTO_TCP : IPPROTO_UDP;
	memcpy(ip + 12, &(in_addr_t){ inet_addr(CLIENT) }, 4);
	memcpy(ip + 16, &(in_addr_t){ inet_addr(k->to ? k->to : SERVER) }, 4);
	memset(ip + 20, 1, option); /* no-operation options */
	put16(ip + 10, sum_of(ip, 20 + option) ^ (k->bad_ip_sum ? 1u : 0));
	put16(udp, 40000);
	put16(udp + 2, k->port ? k->port : 53);
	put16(udp + 4, (unsigned)(8 + n) + (unsigned)k->udp_len);
	put16(udp + 6, 0xbeef);
	b.len = (size_t)(udp + 8 - b.at) + n;
	return b;
}

/* ---- both ways ---- */

static int run(const struct bytes *in, struct bytes *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in->at, .data_size_in = (uint32_t)in->len, .data_out = out->at,
		    .data_size_out = sizeof(out->at), .repeat = 1);
	int rc = bpf_prog_test_run_opts(prog.fd, &o);

	if (rc == -EINVAL && in->len < ETH + 40) { /* the kernel makes no such packet */
		*out = *in;
		return TC_ACT_UNSPEC;
	}
	assert_int_equal(rc, 0);
	out->len = o.data_size_out;
	return (int)o.retval;
}

/* What user space says to this message. */
static bool user_space(const uint8_t *m, size_t len, uint32_t pick, struct bytes *ret)
{
	struct dns_query q;
	struct zone_answer a;

	if (dns_query_parse((struct str){ (const char *)m, len }, &q) != 0 || q.class != DNS_CLASS_IN ||
	    zone_answer(zone, &q, ret->at, q.udp_bytes, pick, &a) != ZONE_ANSWERED)
		return false;
	ret->len = a.len;
	return true;
}

/* Some order of the same records. */
static bool as_user_space(const struct bytes *in, const struct bytes *out)
{
	struct bytes want;

	for (uint32_t pick = 0; pick < PICKS; pick++)
		if (user_space(in->at + DNS, in->len - DNS, pick, &want) && want.len == out->len - DNS &&
		    memcmp(want.at, out->at + DNS, want.len) == 0)
			return true;
	return false;
}

static void show(const char *what, const uint8_t *p, size_t n)
{
	fprintf(stderr, "%s:", what);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, " %02x", p[i]);
	fprintf(stderr, "\n");
}

static void check_envelope(const struct bytes *in, const struct bytes *out)
{
	const uint8_t *from = in->at, *to = out->at, *ip = to + ETH, *udp = to + L4;

	assert_memory_equal(to, from + 6, 6);
	assert_memory_equal(to + 6, from, 6);
	assert_int_equal(get16(to + 12), 0x0800);
	assert_int_equal(ip[0], 0x45);
	assert_int_equal(get16(ip + 2), out->len - ETH);
	assert_int_equal(get16(ip + 6), 0x4000);
	assert_int_equal(ip[8], 64);
	assert_int_equal(ip[9], IPPROTO_UDP);
	assert_int_equal(sum_of(ip, 20), 0);
	assert_memory_equal(ip + 12, from + ETH + 16, 4);
	assert_memory_equal(ip + 16, from + ETH + 12, 4);
	assert_memory_equal(udp, from + L4 + 2, 2);
	assert_memory_equal(udp + 2, from + L4, 2);
	assert_int_equal(get16(udp + 4), out->len - L4);
	assert_int_equal(get16(udp + 6), 0);
}

static void check_answer(const char *name, const struct bytes *in, const struct bytes *out)
{
	struct bytes want = { 0 };

	check_envelope(in, out);
	if (as_user_space(in, out))
		return;
	user_space(in->at + DNS, in->len - DNS, 0, &want);
	show("kernel    ", out->at + DNS, out->len - DNS);
	show("user space", want.at, want.len);
	fail_msg("%s: not what user space answers", name);
}

enum expected { ANSWERED, PASSED };

static void ask(const char *name, uint16_t type, const struct quirk *k, enum expected x)
{
	struct bytes in = packet(name, type, k), out;
	int verdict = run(&in, &out);

	if (verdict == TC_ACT_UNSPEC) {
		if (x != PASSED)
			fail_msg("%s %u: passed on", name, type);
		assert_int_equal(out.len, in.len);
		assert_memory_equal(out.at, in.at, in.len);
		return;
	}
	if (verdict != TC_ACT_REDIRECT || x != ANSWERED)
		fail_msg("%s %u: verdict %d", name, type, verdict);
	check_answer(name, &in, &out);
}

/* Answered or not: what comes back must be right. */
static void ask_whatever(const char *name, uint16_t type)
{
	struct bytes in = packet(name, type, &(struct quirk){ .edns = 1232 }), out;

	if (run(&in, &out) == TC_ACT_REDIRECT)
		check_answer(name, &in, &out);
}
