/* Packets in, verdict and packet out: the programs under BPF_PROG_TEST_RUN. Root.
 *
 * A service 192.0.2.1:80 (TCP) and :53 (UDP) has the backend 10.244.0.9:8080. There is no route to it here, so a
 * translated packet comes back with TC_ACT_OK; what matters is how it looks.
 */
#include "base/base.h"
#include "dataplane.skel.h"
#include "svc_maps.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define ETH 14
#define PACKET_MAX 256
#define RANDOM_PACKETS 20000

struct bytes {
	uint8_t at[PACKET_MAX];
	uint32_t len;
};

static struct dataplane *skel;

static uint32_t sum_add(uint32_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static uint16_t ip_sum(const struct bytes *b)
{
	return sum_fold(sum_add(0, b->at + ETH, (b->at[ETH] & 15) * 4));
}

/* 0 over a packet whose checksum is right. */
static uint16_t l4_sum(const struct bytes *b)
{
	const struct iphdr *ip = (const void *)(b->at + ETH);
	size_t head = ip->ihl * 4, len = b->len - ETH - head;
	uint32_t sum = sum_add(0, &ip->saddr, 8);

	return sum_fold(sum_add(sum + ip->protocol + len, b->at + ETH + head, len));
}

struct spec {
	const char *from, *to;
	uint16_t sport, dport;
	uint8_t proto, flags; /* flags: TCP's, in its header's order */
	uint8_t option_words;
	uint16_t frag;
	bool no_checksum;
};
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static struct bytes packet(const struct spec *s)
{
	struct bytes b = { .at = { [12] = 8 } };
	struct iphdr *ip = (void *)(b.at + ETH);
	size_t head = sizeof(*ip) + s->option_words * 4u, l4 = s->proto == IPPROTO_TCP ? 20 : 8;
	uint8_t *p = b.at + ETH + head;

	*ip = (struct iphdr){ .version = 4, .ihl = head / 4, .ttl = 64, .protocol = s->proto, .id = htons(7),
			      .frag_off = htons(s->frag), .saddr = inet_addr(s->from), .daddr = inet_addr(s->to) };
	memset(b.at + ETH + sizeof(*ip), 1, s->option_words * 4u); /* no-operation options */
	memcpy(p, &(uint16_t){ htons(s->sport) }, 2);
	memcpy(p + 2, &(uint16_t){ htons(s->dport) }, 2);
	memcpy(p + l4, "hello", 5);
	b.len = ETH + head + l4 + 5;
	ip->tot_len = htons(b.len - ETH);
	ip->check = htons(ip_sum(&b));
	if (s->proto == IPPROTO_TCP) {
		((struct tcphdr *)p)->doff = 5;
		p[13] = s->flags;
		((struct tcphdr *)p)->check = htons(l4_sum(&b));
	} else {
		((struct udphdr *)p)->len = htons(13);
		if (!s->no_checksum)
			((struct udphdr *)p)->check = htons(l4_sum(&b));
	}
	return b;
}

static int run(struct bpf_program *prog, const struct bytes *in, struct bytes *out)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in->at, .data_size_in = in->len, .data_out = out->at,
		    .data_size_out = sizeof(out->at), .repeat = 1);

	int rc = bpf_prog_test_run_opts(bpf_program__fd(prog), &o);
	if (rc == -EINVAL && in->len < ETH + sizeof(struct iphdr)) { /* the kernel makes no such packet */
		*out = *in;
		return TC_ACT_UNSPEC;
	}
	assert_int_equal(rc, 0);
	out->len = o.data_size_out;
	return (int)o.retval;
}

static void endpoint_text(const struct bytes *b, bool source, char out[32])
{
	const struct iphdr *ip = (const void *)(b->at + ETH);
	struct in_addr a = { source ? ip->saddr : ip->daddr };
	uint16_t port;

	memcpy(&port, b->at + ETH + ip->ihl * 4 + (source ? 0 : 2), 2);
	snprintf(out, 32, "%s:%d", inet_ntoa(a), ntohs(port));
}

static void put(struct bpf_map *m, const void *key, const void *value)
{
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(m), key, value, BPF_ANY), 0);
}

static void service_put(const char *ip, uint16_t port, uint8_t proto, uint16_t count, uint8_t flags)
{
	struct svc_key k = { .addr = inet_addr(ip), .port = htons(port), .proto = proto };
	struct svc_value v = { .id = 1, .first = 5, .count = count, .flags = flags };

	put(skel->maps.svc_frontends, &k, &v);
}

static int load(void **state)
{
	struct dp_config c = { .service_net = inet_addr("10.96.0.0"), .service_mask = htonl(0xfff00000),
			       .pod_net = inet_addr("10.244.0.0"), .pod_mask = htonl(0xffff0000),
			       .node_addr = inet_addr("192.0.2.9"), .node_port_min = 30000, .node_port_max = 32767,
			       .snat_port_min = 61000, .snat_port_max = 65535 };
	struct svc_backend b = { .addr = inet_addr("10.244.0.9"), .port = htons(8080), .flags = BACKEND_LOCAL };
	__be32 node = inet_addr("192.0.2.9");

	(void)state;
	/* No routes, whatever the machine has. */
	skel = unshare(CLONE_NEWNET) == 0 ? dataplane__open_and_load() : NULL;
	if (!skel)
		return -1;
	put(skel->maps.dp_config, &(__u32){ 0 }, &c);
	put(skel->maps.svc_backends, &(__u32){ 5 }, &b);
	put(skel->maps.node_addrs, &node, &(__u32){ 1 });
	service_put("192.0.2.1", 80, IPPROTO_TCP, 1, SVC_EXTERNAL);
	service_put("192.0.2.1", 53, IPPROTO_UDP, 1, SVC_EXTERNAL);
	service_put("192.0.2.1", 81, IPPROTO_TCP, 0, SVC_EXTERNAL);
	service_put("192.0.2.1", 82, IPPROTO_TCP, 0, SVC_EXTERNAL | SVC_LOCAL);
	service_put("192.0.2.1", 83, IPPROTO_TCP, 1, SVC_EXTERNAL | SVC_SOURCES);
	service_put("0.0.0.0", 30080, IPPROTO_TCP, 1, SVC_EXTERNAL);
	service_put("10.96.0.5", 80, IPPROTO_TCP, 1, 0);
	return 0;
}

static int unload(void **state)
{
	(void)state;
	dataplane__destroy(skel);
	return 0;
}

#define VIP "192.0.2.1"
#define CLIENT "198.51.100.7"
#define BACKEND "10.244.0.9:8080"

static void requests(void **state)
{
	static const struct {
		const char *name;
		struct spec in;
		bool pod;
		int verdict;
		const char *to; /* NULL: untouched */
	} rows[] = {
		{ "TCP SYN", { CLIENT, VIP, 4000, 80, 6, SYN }, false, TC_ACT_OK, BACKEND },
		{ "what follows it", { CLIENT, VIP, 4000, 80, 6, ACK }, false, TC_ACT_OK, BACKEND },
		{ "of no known connection", { CLIENT, VIP, 4001, 80, 6, ACK }, false, TC_ACT_OK, NULL },
		{ "UDP", { CLIENT, VIP, 4000, 53, 17 }, false, TC_ACT_OK, BACKEND },
		{ "UDP without checksum", { CLIENT, VIP, 4002, 53, 17, .no_checksum = true }, false, TC_ACT_OK, BACKEND },
		{ "IP options", { CLIENT, VIP, 4003, 80, 6, SYN, .option_words = 10 }, false, TC_ACT_OK, BACKEND },
		{ "another port", { CLIENT, VIP, 4000, 79, 6, SYN }, false, TC_ACT_UNSPEC, NULL },
		{ "another protocol", { CLIENT, VIP, 4000, 80, 17 }, false, TC_ACT_UNSPEC, NULL },
		{ "no endpoints", { CLIENT, VIP, 4000, 81, 6, SYN }, false, TC_ACT_OK, NULL },
		{ "no local endpoints", { CLIENT, VIP, 4000, 82, 6, SYN }, false, TC_ACT_SHOT, NULL },
		{ "source not allowed", { CLIENT, VIP, 4000, 83, 6, SYN }, false, TC_ACT_SHOT, NULL },
		{ "node port", { CLIENT, "192.0.2.9", 4005, 30080, 6, SYN }, false, TC_ACT_OK, BACKEND },
		{ "node port, not our address", { CLIENT, "192.0.2.8", 4000, 30080, 6, SYN }, false, TC_ACT_UNSPEC, NULL },
		{ "ClusterIP from outside", { CLIENT, "10.96.0.5", 4000, 80, 6, SYN }, false, TC_ACT_UNSPEC, NULL },
		{ "ClusterIP from a pod", { "10.244.0.3", "10.96.0.5", 4000, 80, 6, SYN }, true, TC_ACT_OK, BACKEND },
		{ "unknown ClusterIP from a pod", { "10.244.0.3", "10.96.0.6", 4000, 80, 6, SYN }, true, TC_ACT_SHOT, NULL },
		{ "first fragment", { CLIENT, VIP, 4004, 53, 17, .frag = 0x2000 }, false, TC_ACT_OK, BACKEND },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct bytes in = packet(&rows[i].in), out;
		char from[32], to[32], was[32];

		print_message("%s\n", rows[i].name);
		int verdict = run(rows[i].pod ? skel->progs.pod_ingress : skel->progs.host_ingress, &in, &out);
		assert_int_equal(verdict, rows[i].verdict);
		assert_int_equal(out.len, in.len);
		if (!rows[i].to) {
			assert_memory_equal(out.at, in.at, in.len);
			continue;
		}
		endpoint_text(&out, false, to);
		endpoint_text(&out, true, from);
		endpoint_text(&in, true, was);
		assert_string_equal(to, rows[i].to);
		assert_string_equal(from, was);
		assert_int_equal(ip_sum(&out), 0);
		if (rows[i].in.no_checksum)
			assert_int_equal(((struct udphdr *)(out.at + ETH + 20))->check, 0);
		else
			assert_int_equal(l4_sum(&out), 0);
	}
}

/* The last fragment has no ports, yet goes where the first went; its payload is left alone. */
static void later_fragment(void **state)
{
	struct bytes first = packet(&(struct spec){ CLIENT, VIP, 4010, 53, 17, .frag = 0x2000 }), out;
	struct bytes last = packet(&(struct spec){ CLIENT, VIP, 4010, 53, 17, .frag = 3 });
	struct bytes stray = last;

	(void)state;
	((struct iphdr *)(stray.at + ETH))->id = htons(8);
	assert_int_equal(run(skel->progs.host_ingress, &stray, &out), TC_ACT_UNSPEC);
	run(skel->progs.host_ingress, &first, &out);
	assert_int_equal(run(skel->progs.host_ingress, &last, &out), TC_ACT_OK);
	assert_int_equal(((struct iphdr *)(out.at + ETH))->daddr, inet_addr("10.244.0.9"));
	assert_int_equal(ip_sum(&out), 0);
	assert_memory_equal(out.at + ETH + 20, last.at + ETH + 20, last.len - ETH - 20);
}

static void replies(void **state)
{
	struct bytes syn = packet(&(struct spec){ CLIENT, VIP, 5000, 80, 6, SYN }), out;
	struct bytes answer = packet(&(struct spec){ "10.244.0.9", CLIENT, 8080, 5000, 6, SYN | ACK });
	char from[32], to[32];

	(void)state;
	assert_int_equal(run(skel->progs.pod_ingress, &answer, &out), TC_ACT_UNSPEC);
	run(skel->progs.host_ingress, &syn, &out);
	assert_int_equal(run(skel->progs.pod_ingress, &answer, &out), TC_ACT_OK);
	endpoint_text(&out, true, from);
	endpoint_text(&out, false, to);
	assert_string_equal(from, VIP ":80");
	assert_string_equal(to, CLIENT ":5000");
	assert_int_equal(ip_sum(&out), 0);
	assert_int_equal(l4_sum(&out), 0);
}

/* A second connection whose packets would look the same to the pod gets another source port; a finished one
 * gives its place up. */
static void collisions(void **state)
{
	struct bytes a = packet(&(struct spec){ CLIENT, VIP, 6000, 80, 6, SYN }), out;
	struct bytes b = packet(&(struct spec){ CLIENT, "192.0.2.9", 6000, 30080, 6, SYN });
	struct bytes direct = packet(&(struct spec){ CLIENT, "10.244.0.9", 6000, 8080, 6, SYN });
	struct bytes fin = packet(&(struct spec){ "10.244.0.9", CLIENT, 8080, 6000, 6, FIN | ACK });
	char from[32];

	(void)state;
	run(skel->progs.host_ingress, &a, &out);
	run(skel->progs.host_ingress, &b, &out);
	endpoint_text(&out, true, from);
	assert_string_not_equal(from, CLIENT ":6000");
	assert_int_equal(l4_sum(&out), 0);
	run(skel->progs.host_ingress, &direct, &out);
	endpoint_text(&out, true, from);
	assert_string_not_equal(from, CLIENT ":6000");
	run(skel->progs.pod_ingress, &fin, &out);
	b = packet(&(struct spec){ CLIENT, VIP, 6001, 80, 6, SYN });
	run(skel->progs.host_ingress, &direct, &out); /* known by now: keeps its port */
	endpoint_text(&out, true, from);
	assert_string_not_equal(from, CLIENT ":6000");
	run(skel->progs.host_ingress, &a, &out);
	endpoint_text(&out, true, from);
	assert_string_equal(from, CLIENT ":6000");
}

/* A client that resets leaves nothing behind that stands in another connection's way. */
static void resets(void **state)
{
	struct bytes open = packet(&(struct spec){ CLIENT, VIP, 6100, 80, 6, SYN }), out;
	struct bytes reset = packet(&(struct spec){ CLIENT, VIP, 6100, 80, 6, RST });
	struct bytes direct = packet(&(struct spec){ CLIENT, "10.244.0.9", 6100, 8080, 6, SYN });
	struct bytes direct_reset = packet(&(struct spec){ CLIENT, "10.244.0.9", 6100, 8080, 6, RST });
	char from[32];

	(void)state;
	for (int i = 0; i < 3; i++) {
		run(skel->progs.host_ingress, &open, &out);
		endpoint_text(&out, true, from);
		assert_string_equal(from, CLIENT ":6100");
		run(skel->progs.host_ingress, &reset, &out);
		assert_int_equal(run(skel->progs.host_ingress, &direct, &out), TC_ACT_UNSPEC);
		run(skel->progs.host_ingress, &direct_reset, &out);
	}
}

/* Truncated and garbled packets are never dropped, changed in length or rewritten half. */
static void garbage(void **state)
{
	struct bytes good = packet(&(struct spec){ CLIENT, VIP, 7000, 80, 6, SYN }), out;

	(void)state;
	for (uint32_t len = ETH; len < ETH + 34; len++) {
		struct bytes cut = good;

		cut.len = len;
		assert_int_equal(run(skel->progs.host_ingress, &cut, &out), TC_ACT_UNSPEC);
		assert_int_equal(out.len, len);
		assert_memory_equal(out.at, cut.at, len);
	}
	srand(1);
	for (int i = 0; i < RANDOM_PACKETS; i++) {
		struct bytes odd = good;

		for (int k = rand() % 6; k >= 0; k--)
			odd.at[ETH + rand() % (odd.len - ETH)] = rand();
		run(i % 2 ? skel->progs.host_ingress : skel->progs.pod_ingress, &odd, &out);
		assert_int_equal(out.len, odd.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests), cmocka_unit_test(later_fragment), cmocka_unit_test(replies),
		cmocka_unit_test(collisions), cmocka_unit_test(resets), cmocka_unit_test(garbage),
	};

	if (geteuid() != 0) {
		puts("skipped: needs root");
		return 0;
	}
	return cmocka_run_group_tests(tests, load, unload);
}
