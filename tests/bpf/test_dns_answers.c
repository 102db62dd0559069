/* Questions in, answers out: the program that answers cluster names under BPF_PROG_TEST_RUN. Root.
 *
 * Whatever it answers must be, byte for byte, what the zone says in user space to the same message; where it may not answer
 * it must leave the packet as it is.
 */
#include "dns_kit.h"

#include <pthread.h>

#define RANDOM_PACKETS 150000

/* ---- tests ---- */

static const struct {
	const char *name;
	uint16_t type;
	enum expected x;
} names[] = {
	{ "web.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "WeB.DEFAULT.svc.cLUSTER.local", DNS_A, ANSWERED },
	{ "web.default.svc.cluster.local", DNS_AAAA, ANSWERED },
	{ "web.default.svc.cluster.local", DNS_SRV, ANSWERED },
	{ "web.default.svc.cluster.local", DNS_TXT, ANSWERED },
	{ "web.default.svc.cluster.local", 65, ANSWERED }, /* HTTPS: 'A' in ASCII */
	{ "web.default.svc.cluster.local", DNS_ANY, PASSED },
	{ "web.default.svc.cluster.local", DNS_AXFR, PASSED },
	{ "web.default.svc.cluster.local", 250, PASSED },
	{ "web.default.svc.cluster.local", DNS_OPT, PASSED },
	{ "web.default.svc.cluster.local", 0, PASSED },
	{ "_http._tcp.web.default.svc.cluster.local", DNS_SRV, ANSWERED },
	{ "_http._tcp.web.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "_HTTP._tcp.web.default.svc.cluster.local", DNS_SRV, ANSWERED },
	{ "_https._tcp.web.default.svc.cluster.local", DNS_SRV, ANSWERED },
	{ "_http._udp.web.default.svc.cluster.local", DNS_SRV, ANSWERED },
	{ "http.tcp.web.default.svc.cluster.local", DNS_SRV, PASSED },
	{ "_http.tcp.web.default.svc.cluster.local", DNS_SRV, PASSED },
	{ "http._tcp.web.default.svc.cluster.local", DNS_SRV, PASSED },
	{ "_tcp.web.default.svc.cluster.local", DNS_SRV, PASSED },
	{ "a.sctp.web.default.svc.cluster.local", DNS_A, PASSED },
	{ "www.example.com.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "www.example.com.svc.cluster.local", DNS_A, ANSWERED },
	{ "www.example.com.cluster.local", DNS_AAAA, ANSWERED },
	{ "a.b.c.d.e.f.g.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "dual.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "dual.default.svc.cluster.local", DNS_AAAA, ANSWERED },
	{ "dual.default.svc.cluster.local", DNS_SRV, ANSWERED },
	{ LONG_NAME ".default.svc.cluster.local", DNS_A, ANSWERED },
	{ LONG_NAME ".default.svc.cluster.local", DNS_SRV, ANSWERED },
	{ "_http._tcp." LONG_NAME ".default.svc.cluster.local", DNS_A, PASSED }, /* longer than a key */
	{ "nothing.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "web.nowhere.svc.cluster.local", DNS_A, ANSWERED },
	{ "default.svc.cluster.local", DNS_A, ANSWERED },
	{ "nowhere.svc.cluster.local", DNS_A, ANSWERED },
	{ "svc.cluster.local", DNS_A, ANSWERED },
	{ "nobody.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "db.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "db.default.svc.cluster.local", DNS_SRV, ANSWERED },
	{ "db-1.db.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "db-1.db.default.svc.cluster.local", DNS_AAAA, ANSWERED },
	{ "db-7.db.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "_peer._tcp.db.default.svc.cluster.local", DNS_SRV, ANSWERED },
	{ "10-244-1-2.six.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "six.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "six.default.svc.cluster.local", DNS_SRV, PASSED }, /* with six targets: more than 512 bytes */
	{ "many.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "crowd.default.svc.cluster.local", DNS_A, PASSED },
	{ LONG_HEADLESS ".default.svc.cluster.local", DNS_A, PASSED },
	{ "ZaZ.default.svc.cluster.local", DNS_A, ANSWERED },
	{ "outside.default.svc.cluster.local", DNS_A, PASSED },
	{ "10-244-0-5.default.pod.cluster.local", DNS_A, PASSED },
	{ "dns-version.cluster.local", DNS_TXT, PASSED },
	{ "ns.dns.cluster.local", DNS_A, PASSED },
	{ "cluster.local", DNS_SOA, PASSED },
	{ "1.0.96.10.in-addr.arpa", DNS_PTR, PASSED },
	{ "www.example.com", DNS_A, PASSED },
	{ "local", DNS_A, PASSED },
	{ "xcluster.local", DNS_A, PASSED },
	{ "web.default.svc.xcluster.local", DNS_A, PASSED },
	{ "", DNS_NS, PASSED },
};

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ask(names[i].name, names[i].type, &(struct quirk){ 0 }, names[i].x);
}

/* What is too large without EDNS is not with it. */
static void test_sizes(void **state)
{
	static const struct {
		uint16_t edns;
		enum expected x;
	} rows[] = { { 0, PASSED }, { 512, PASSED }, { 530, PASSED }, { 600, ANSWERED }, { 1232, ANSWERED }, { 65535, ANSWERED } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ask(LONG_HEADLESS ".default.svc.cluster.local", DNS_A, &(struct quirk){ .edns = rows[i].edns }, rows[i].x);
}

static void test_names_with_edns(void **state)
{
	static const uint16_t sizes[] = { 1, 512, 600, 1232, 4096, 65535 };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			struct quirk k = { .edns = sizes[s], .edns_flags = s & 1 ? 0x8000 : 0 };
			struct bytes in = packet(names[i].name, names[i].type, &k), out;
			if (run(&in, &out) == TC_ACT_REDIRECT)
				check_answer(names[i].name, &in, &out);
			else
				assert_true(names[i].x == PASSED || sizes[s] < 600);
		}
}

static const struct {
	const char *what;
	struct quirk k;
	enum expected x;
} quirks[] = {
	{ "plain", { 0 }, ANSWERED },
	{ "no flags but CD", { .flags = DNS_FLAG_CD }, ANSWERED },
	{ "AD", { .flags = DNS_FLAG_RD | DNS_FLAG_AD }, ANSWERED },
	{ "the other address", { .to = "192.168.77.1", .port = 10053 }, ANSWERED },
	{ "another address", { .to = "10.96.0.11" }, PASSED },
	{ "another port", { .port = 54 }, PASSED },
	{ "TCP", { .tcp = true }, PASSED },
	{ "IPv6", { .ipv6 = true }, PASSED },
	{ "VLAN", { .vlan = true }, PASSED },
	{ "IP options", { .ip_option = true }, PASSED },
	{ "first fragment", { .fragment = true }, PASSED },
	{ "last fragment", { .last_fragment = true }, PASSED },
	{ "wrong IP checksum", { .bad_ip_sum = true }, PASSED },
	{ "an answer", { .answer = true }, PASSED },
	{ "opcode NOTIFY", { .flags = 4 << 11 }, PASSED },
	{ "TC set", { .flags = DNS_FLAG_TC | DNS_FLAG_RD }, PASSED },
	{ "AA set", { .flags = DNS_FLAG_AA }, PASSED },
	{ "reserved bit", { .flags = 0x0040 }, PASSED },
	{ "rcode set", { .flags = DNS_FLAG_RD | 3 }, PASSED },
	{ "class CH", { .class = 3 }, PASSED },
	{ "class ANY", { .class = 255 }, PASSED },
	{ "two questions", { .two_questions = true }, PASSED },
	{ "no question counted", { .questions = 1 }, PASSED },
	{ "256 questions counted", { .questions = 257 }, PASSED },
	{ "an answer counted", { .answers = 1 }, PASSED },
	{ "an additional record counted that is not there", { .additional = 1 }, PASSED },
	{ "256 additional records counted", { .edns = 1232, .additional = 257 }, PASSED },
	{ "two additional records counted", { .edns = 1232, .additional = 2 }, PASSED },
	{ "pointer in the question", { .pointer = true }, PASSED },
	{ "cut by 1", { .cut = 1 }, PASSED },
	{ "cut by 5", { .cut = 5 }, PASSED },
	{ "cut by 20", { .cut = 20 }, PASSED },
	{ "one byte more", { .more = 1 }, PASSED },
	{ "eleven bytes more", { .more = 11 }, PASSED },
	{ "EDNS, one byte more", { .edns = 1232, .more = 1 }, PASSED },
	{ "EDNS, cut", { .edns = 1232, .cut = 1 }, PASSED },
	{ "UDP length too small", { .udp_len = -1 }, PASSED },
	{ "UDP length too large", { .udp_len = 1 }, PASSED },
	{ "IP length too small", { .ip_len = -1 }, PASSED },
	{ "IP length too large", { .ip_len = 1 }, PASSED },
	{ "EDNS", { .edns = 1232 }, ANSWERED },
	{ "EDNS, DO", { .edns = 1232, .edns_flags = 0x8000 }, ANSWERED },
	{ "EDNS, a tiny size", { .edns = 1 }, ANSWERED },
	{ "EDNS, a reserved flag", { .edns = 1232, .edns_flags = 1 }, PASSED },
	{ "EDNS, version 1", { .edns = 1232, .edns_version = 1 }, PASSED },
	{ "EDNS, extended rcode", { .edns = 1232, .edns_rcode = 1 }, PASSED },
	{ "EDNS, a cookie", { .edns = 1232, .edns_option = true }, PASSED },
	{ "EDNS, not of the root", { .edns = 1232, .edns_named = true }, PASSED },
};

static void test_quirks(void **state)
{
	static const char *const of[] = { "web.default.svc.cluster.local", "nothing.default.svc.cluster.local", "default.svc.cluster.local" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(quirks); i++)
		for (size_t n = 0; n < ARRAY_LEN(of); n++) {
			struct bytes in = packet(of[n], DNS_A, &quirks[i].k), out;
			int verdict = run(&in, &out);
			if ((verdict == TC_ACT_REDIRECT) != (quirks[i].x == ANSWERED))
				fail_msg("%s: verdict %d", quirks[i].what, verdict);
			if (verdict == TC_ACT_REDIRECT)
				check_answer(quirks[i].what, &in, &out);
		}
}

/* Labels and names at their limits. */
static void test_long_names(void **state)
{
	char name[400];

	(void)state;
	for (int len = 1; len < 130; len++) {
		char *p = name;
		for (int left = len; left > 0; left -= 16) {
			int n = MIN(left, 15);
			memset(p, 'x', (size_t)n);
			p += n;
			*p++ = '.';
		}
		strcpy(p, "svc.cluster.local");
		struct bytes in = packet(name, DNS_A, &(struct quirk){ 0 }), out;
		int verdict = run(&in, &out);
		if (verdict == TC_ACT_REDIRECT)
			check_answer(name, &in, &out);
		if (len < 60)
			assert_int_equal(verdict, TC_ACT_REDIRECT);
		if (len > 80)
			assert_int_equal(verdict, TC_ACT_UNSPEC);
	}
}

static void test_lease(void **state)
{
	(void)state;
	lease(false);
	ask("web.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, PASSED);
	lease(true);
	ask("web.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, ANSWERED);
	prog.control->seq++; /* being changed */
	ask("web.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, PASSED);
	prog.control->seq++;
}

static size_t map_count(int fd)
{
	size_t n = 0;
	struct answer_key key;

	for (void *prev = NULL; bpf_map_get_next_key(fd, prev, &key) == 0; prev = &key)
		n++;
	return n;
}

/* A name that changes its size leaves nothing behind. */
static void test_changes(void **state)
{
	const size_t before = map_count(prog.names), medium = map_count(prog.medium), large = map_count(prog.large);
	static const unsigned sizes[] = { 1, 3, 0, 20, 9, 27, 2, 150, 5 };

	(void)state;
	ask("moving.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, ANSWERED);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		headless("moving", sizes[i], false);
		zone_tell_changes(zone);
		ask("moving.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, sizes[i] > 27 ? PASSED : ANSWERED);
		ask("_peer._tcp.moving.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, sizes[i] > 27 ? PASSED : ANSWERED);
		ask("10-244-1-1.moving.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, ANSWERED);
		ask("nothing.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, ANSWERED); /* the new serial */
		ask_whatever("moving.default.svc.cluster.local", DNS_SRV);
		ask_whatever("_PEER._tcp.Moving.default.svc.cluster.local", DNS_SRV);
		ask_whatever("10-244-1-1.moving.default.svc.cluster.local", DNS_SRV);
	}
	with(zone_del_slice, "{'metadata':{'namespace':'default','name':'moving-1'}}");
	with(zone_del_service, "{'metadata':{'namespace':'default','name':'moving'}}");
	zone_tell_changes(zone);
	ask("moving.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, ANSWERED);
	assert_int_equal(map_count(prog.names), before);
	assert_int_equal(map_count(prog.medium), medium);
	assert_int_equal(map_count(prog.large), large);
}

/* Another zone, and back: nothing of the one before is left. */
static void test_other_zone(void **state)
{
	const struct zone_mirror m = { on_put, on_gone, on_changed, &entries };
	const size_t names_before = map_count(prog.names), large = map_count(prog.large);
	const struct answer_target t = target(SERVER, 53);
	struct dns_name other;

	(void)state;
	zone_set_mirror(zone, NULL);
	assert_true(dns_name_from_text(STR("example.org"), &other));
	assert_true(entries_start(&entries, &prog, &other));
	entries_targets(&entries, &t, 1);
	assert_int_equal(map_count(prog.names) + map_count(prog.medium) + map_count(prog.large), 0);
	ask("web.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, PASSED);
	ask("web.default.svc.example.org", DNS_A, &(struct quirk){ 0 }, PASSED);
	assert_true(entries_start(&entries, &prog, &zone_options(zone)->domain));
	zone_set_mirror(zone, &m);
	entries_targets(&entries, &t, 1);
	ask("web.default.svc.cluster.local", DNS_A, &(struct quirk){ 0 }, ANSWERED);
	assert_int_equal(map_count(prog.names), names_before);
	assert_int_equal(map_count(prog.large), large);
}

/* Every order of a rotation comes. */
static void test_rotation(void **state)
{
	struct quirk k = { 0 };
	struct bytes in = packet("six.default.svc.cluster.local", DNS_A, &k), out;
	unsigned seen = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		assert_int_equal(run(&in, &out), TC_ACT_REDIRECT);
		check_answer("six", &in, &out);
		seen |= 1u << out.at[out.len - 1];
	}
	assert_int_equal(seen, 0x7e);
}

/* ---- while names change ---- */

#define FLIPS 4
#define RECORD_BYTES 16
#define RACE_MS 1500

static bool race_over;

/* flip-N has up to 27 addresses, all 10.N.V.V: V changes, and how many there are. */
static void flip_put(unsigned n, uint8_t value, unsigned addresses)
{
	uint8_t bytes[27 * RECORD_BYTES];
	struct zone_sections a = { .type = DNS_A, .answers = (uint16_t)addresses, .len = (uint16_t)(addresses * RECORD_BYTES),
				   .bytes = bytes };
	struct dns_name name;
	char text[64];

	snprintf(text, sizeof(text), "flip-%u.default.svc.cluster.local", n);
	assert_true(dns_name_from_text(str_of(text), &name));
	for (unsigned i = 0; i < addresses; i++) {
		memcpy(bytes + i * RECORD_BYTES, "\xc0\x0c\0\1\0\1\0\0\0\36\0\4\12", 13);
		bytes[i * RECORD_BYTES + 13] = (uint8_t)n;
		bytes[i * RECORD_BYTES + 14] = bytes[i * RECORD_BYTES + 15] = value;
	}
	entries_put(&entries, &(struct zone_name){ .key = name.wire, .key_len = name.len, .sets = &a, .n_sets = 1 });
}

static void *flip(void *arg)
{
	(void)arg;
	for (unsigned i = 0; !__atomic_load_n(&race_over, __ATOMIC_RELAXED); i++)
		flip_put(i % FLIPS, (uint8_t)i, 1 + i * 7 % 27);
	return NULL;
}

/* What came back is whole, of one moment, and of this name. */
static void check_flip(unsigned n, const struct bytes *out)
{
	const uint8_t *m = out->at + DNS, *r = m + 12 + strlen("flip-0.default.svc.cluster.local") + 2 + 4;
	unsigned answers = get16(m + 6);

	assert_int_equal(out->at + out->len - r, answers * RECORD_BYTES);
	for (unsigned i = 0; i < answers; i++) {
		const uint8_t *ip = r + i * RECORD_BYTES + 12;
		if (ip[1] != n || ip[2] != ip[3] || ip[2] != r[14]) {
			show("torn", m, out->len - DNS);
			fail_msg("flip-%u: record %u of %u", n, i, answers);
		}
	}
}

static void test_race(void **state)
{
	unsigned asked = 0, answered = 0;
	struct timespec from, now;
	pthread_t t;

	(void)state;
	for (unsigned n = 0; n < FLIPS; n++)
		flip_put(n, 1, 1);
	assert_int_equal(pthread_create(&t, NULL, flip, NULL), 0);
	clock_gettime(CLOCK_MONOTONIC, &from);
	do {
		char name[64];
		unsigned n = asked++ % FLIPS;
		snprintf(name, sizeof(name), "flip-%u.default.svc.cluster.local", n);
		struct bytes in = packet(name, DNS_A, &(struct quirk){ 0 }), out;
		if (run(&in, &out) == TC_ACT_REDIRECT) {
			check_flip(n, &out);
			answered++;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < RACE_MS);
	race_over = true;
	pthread_join(t, NULL);
	print_message("%u of %u answered\n", answered, asked);
	assert_true(answered > asked / 2);
	for (unsigned n = 0; n < FLIPS; n++) {
		struct dns_name name;
		char text[64];
		snprintf(text, sizeof(text), "flip-%u.default.svc.cluster.local", n);
		assert_true(dns_name_from_text(str_of(text), &name));
		entries_gone(&entries, name.wire, name.len);
	}
}

/* ---- where it is attached ---- */

#define LO 1
#define TCX_INGRESS 46 /* BPF_TCX_INGRESS; not in the UAPI header of Debian 12 */

static int other_program(void)
{
	const struct bpf_insn pass[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_UNSPEC },
					 { .code = BPF_JMP | BPF_EXIT } };
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "other", "GPL", pass, ARRAY_LEN(pass), NULL);

	assert_true(fd >= 0);
	return fd;
}

static uint32_t program_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info.id;
}

/* The programs at the loopback's ingress. */
static uint32_t attached(uint32_t ids[8])
{
	uint32_t flags = 0, n = 8;

	assert_int_equal(bpf_prog_query(LO, TCX_INGRESS, 0, &flags, ids, &n), 0);
	return n;
}

static void test_attach_first(void **state)
{
	int other = other_program(), link = bpf_link_create(other, LO, TCX_INGRESS, NULL);
	enum attach_way way = ATTACH_TCX;
	struct attachment a;
	uint32_t ids[8];
	struct err e;

	(void)state;
	if (link < 0)
		skip(); /* before Linux 6.6 */
	assert_int_equal(attach(&a, prog.fd, LO, &way, &e), 0);
	assert_int_equal(way, ATTACH_TCX);
	assert_int_equal(attached(ids), 2);
	assert_int_equal(ids[0], program_id(prog.fd));
	detach(&a);
	assert_int_equal(attached(ids), 1);
	assert_int_equal(ids[0], program_id(other));
	closep(&link);
	closep(&other);
}

static int count_filters(void)
{
	FILE *p = popen("tc filter show dev lo ingress | grep -c 'dns_answer.* direct-action'", "r");
	int n = -1;

	if (fscanf(p, "%d", &n) != 1)
		n = -1;
	pclose(p);
	return n;
}

/* As on kernels that know no tcx. */
static void test_attach_clsact(void **state)
{
	enum attach_way way = ATTACH_CLSACT;
	struct attachment a;
	struct err e;

	(void)state;
	assert_int_equal(attach(&a, prog.fd, LO, &way, &e), 0);
	assert_int_equal(count_filters(), 1);
	detach(&a);
	assert_int_equal(count_filters(), 0);
	assert_int_equal(attach(&a, prog.fd, LO, &way, &e), 0); /* the qdisc is there already */
	detach(&a);
	assert_int_equal(count_filters(), 0);
	/* One process takes over from another: what that one takes away is not the new one's. */
	struct attachment next;
	int other = other_program();
	assert_int_equal(attach(&a, other, LO, &way, &e), 0);
	assert_int_equal(attach(&next, prog.fd, LO, &way, &e), 0);
	detach(&a);
	assert_int_equal(count_filters(), 1);
	detach(&next);
	assert_int_equal(count_filters(), 0);
	closep(&other);
}

/* ---- noise ---- */

static uint32_t rnd(void)
{
	static uint64_t s = 88172645463325252u;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (uint32_t)(s >> 16);
}

/* What a host would take for a question to the DNS service. */
static bool is_whole(const struct bytes *b)
{
	const uint8_t *ip = b->at + ETH;

	return b->len >= DNS && get16(b->at + 12) == 0x0800 && ip[0] == 0x45 && ip[9] == IPPROTO_UDP && !(get16(ip + 6) & 0x3fff) &&
	       sum_of(ip, 20) == 0 && get16(ip + 2) == b->len - ETH && get16(b->at + L4 + 4) == b->len - L4;
}

static void spoil(struct bytes *b)
{
	uint32_t how = rnd() % 8, n = 1 + rnd() % 4;

	for (uint32_t i = 0; i < n; i++) {
		size_t from = how == 0 ? 0 : how < 3 ? DNS : DNS + 12, at = from + rnd() % (b->len - from);
		b->at[at] = rnd() % 3 ? (uint8_t)rnd() : (uint8_t)(b->at[at] ^ 1u << rnd() % 8);
	}
	if (how == 7 && rnd() % 2)
		b->len -= rnd() % (b->len - DNS);
	if (how != 6 && rnd() % 2) { /* lengths and sum put right again */
		put16(b->at + ETH + 2, (unsigned)(b->len - ETH));
		put16(b->at + L4 + 4, (unsigned)(b->len - L4));
		put16(b->at + ETH + 10, 0);
		put16(b->at + ETH + 10, sum_of(b->at + ETH, 20));
	}
}

static void test_noise(void **state)
{
	size_t answered = 0;

	(void)state;
	for (int i = 0; i < RANDOM_PACKETS; i++) {
		size_t which = rnd() % ARRAY_LEN(names);
		struct quirk k = { .edns = rnd() % 2 ? (uint16_t)rnd() : 0 };
		struct bytes in = packet(names[which].name, names[which].type, &k), out;
		if (rnd() % 8)
			spoil(&in);
		int verdict = run(&in, &out);
		if (verdict == TC_ACT_UNSPEC) {
			assert_true(out.len == in.len && memcmp(out.at, in.at, in.len) == 0);
			continue;
		}
		assert_int_equal(verdict, TC_ACT_REDIRECT);
		assert_true(is_whole(&in));
		check_answer(names[which].name, &in, &out);
		answered++;
	}
	assert_true(answered > RANDOM_PACKETS / 20);
	print_message("%zu of %d answered\n", answered, RANDOM_PACKETS);
}

/* Random names of the cluster's words: what is denied and what is not. */
static void test_made_up_names(void **state)
{
	static const char *const words[] = { "web", "default", "svc", "pod", "cluster", "local", "_http", "_tcp", "http", "tcp", "udp",
					     "dns", "ns", "dns-version", "db", "db-1", "six", "10-244-1-1", "kube-system", "kube-dns",
					     "empty", "nowhere", "_dns", "_udp", "sctp", "WEB", "_", "-", "a" };
	static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_SRV, DNS_TXT, DNS_SOA };
	size_t answered = 0;

	(void)state;
	for (int i = 0; i < RANDOM_PACKETS; i++) {
		char name[256] = "";
		for (uint32_t n = rnd() % 7; n > 0; n--)
			strcat(strcat(name, words[rnd() % ARRAY_LEN(words)]), ".");
		if (rnd() % 4)
			strcat(name, rnd() % 3 ? "default.svc.cluster.local" : "cluster.local");
		struct bytes in = packet(name, types[rnd() % ARRAY_LEN(types)], &(struct quirk){ 0 }), out;
		if (run(&in, &out) != TC_ACT_REDIRECT)
			continue;
		check_answer(name, &in, &out);
		answered++;
	}
	assert_true(answered > RANDOM_PACKETS / 4);
	print_message("%zu of %d answered\n", answered, RANDOM_PACKETS);
}

static void test_time(void **state)
{
	static const struct {
		const char *name;
		uint16_t type;
	} of[] = { { "web.default.svc.cluster.local", DNS_A },	   { "web.default.svc.cluster.local", DNS_AAAA },
		   { "web.default.svc.cluster.local", DNS_SRV },   { "www.example.com.default.svc.cluster.local", DNS_A },
		   { "many.default.svc.cluster.local", DNS_A }, { "www.example.com", DNS_A } };
	uint8_t out[PACKET_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		struct bytes in = packet(of[i].name, of[i].type, &(struct quirk){ 0 });
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = in.at, .data_size_in = (uint32_t)in.len, .data_out = out,
			    .data_size_out = sizeof(out), .repeat = 1);
		uint64_t best = UINT64_MAX;
		/* The packet is its answer after the first run: every question is a run of its own. */
		for (int n = 0; n < 2000; n++) {
			o.data_size_out = sizeof(out);
			assert_int_equal(bpf_prog_test_run_opts(prog.fd, &o), 0);
			best = MIN(best, (uint64_t)o.duration);
		}
		print_message("%-42s %3u: %llu ns\n", of[i].name, of[i].type, (unsigned long long)best);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_sizes),	     cmocka_unit_test(test_names_with_edns), cmocka_unit_test(test_quirks),
		cmocka_unit_test(test_long_names),   cmocka_unit_test(test_lease),	     cmocka_unit_test(test_changes),
		cmocka_unit_test(test_rotation),     cmocka_unit_test(test_made_up_names),   cmocka_unit_test(test_noise),
		cmocka_unit_test(test_other_zone),	     cmocka_unit_test(test_race),	     cmocka_unit_test(test_attach_first), cmocka_unit_test(test_attach_clsact), cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
