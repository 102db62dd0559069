/* Forwarding, the cache, and the two transports, against name servers made here. */
#include "base/file.h"
#include "net/addr.h"
#include "roles/dns/cache.h"
#include "roles/dns/forward.h"
#include "roles/dns/resolv_conf.h"
#include "roles/dns/server.h"
#include "roles/dns/tcp.h"
#include "roles/dns/udp.h"

#include <errno.h>
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define GIVE_UP_MS 8000 /* a test that hangs fails */

static struct loop *loop;
static struct err e;

static void on_give_up(struct timer *t)
{
	(void)t;
	fail_msg("no end in time");
}
static struct timer give_up = { .fire = on_give_up };

static bool running;

static void run(void)
{
	timer_start(loop, &give_up, GIVE_UP_MS);
	running = true;
	loop_run(loop);
	running = false;
	timer_stop(&give_up);
}

/* ---- a name server ---- */

enum behaviour { ANSWERS, SILENT, FAILS, TRUNCATES, FORGES_FIRST };

struct upstream {
	enum behaviour how;
	struct io udp, tcp, accepted;
	uint16_t port;
	int asked, asked_tcp;
	bool stop_when_asked;
};

/* The question, then one A record for it. */
static size_t make_answer(const uint8_t *query, size_t len, uint8_t *out, unsigned rcode)
{
	struct dns_query q;
	struct dns_writer w;
	static const uint8_t ip[4] = { 192, 0, 2, 7 };

	assert_int_equal(dns_query_parse((struct str){ (const char *)query, len }, &q), 0);
	dns_answer_start(&w, out, DNS_UDP_BYTES_MIN, &q);
	if (!rcode)
		assert_true(dns_put(&w, DNS_ANSWER, DNS_QUESTION_AT, DNS_A, 60, &(struct dns_rdata){ ip, 4 }));
	return dns_answer_finish(&w, (enum dns_rcode)rcode, false);
}

static void upstream_udp(struct io *io, uint32_t events)
{
	struct upstream *u = io->ctx;
	uint8_t query[600], out[600];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(io->fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);

	(void)events;
	assert_true(n > 0);
	u->asked++;
	if (u->stop_when_asked)
		loop_stop(loop);
	if (u->how == SILENT)
		return;
	size_t len = make_answer(query, (size_t)n, out, u->how == FAILS ? DNS_SERVFAIL : 0);
	if (u->how == TRUNCATES) {
		out[2] |= 2;
		out[7] = 0;
		len -= 16;
	}
	if (u->how == FORGES_FIRST) {
		out[3] |= DNS_NXDOMAIN;
		out[0] ^= 1; /* another id */
		sendto(io->fd, out, len, 0, (struct sockaddr *)&from, from_len);
		out[0] ^= 1;
		out[13] ^= 3; /* another question */
		sendto(io->fd, out, len, 0, (struct sockaddr *)&from, from_len);
		out[13] ^= 3;
		out[2] ^= 0x80; /* a question */
		sendto(io->fd, out, len, 0, (struct sockaddr *)&from, from_len);
		out[2] ^= 0x80;
		out[3] &= 0xf0;
		sendto(io->fd, "x", 1, 0, (struct sockaddr *)&from, from_len);
	}
	sendto(io->fd, out, len, 0, (struct sockaddr *)&from, from_len);
}

static void upstream_tcp_question(struct io *io, uint32_t events)
{
	struct upstream *u = io->ctx;
	uint8_t query[600], out[600];
	ssize_t n = recv(io->fd, query, sizeof(query), 0);

	(void)events;
	u->asked_tcp++;
	assert_true(n > 2);
	size_t len = make_answer(query + 2, (size_t)n - 2, out + 2, 0);
	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	assert_int_equal(send(io->fd, out, 2 + len, 0), 2 + len);
	io_stop(io);
	close(io->fd);
}

static void upstream_tcp(struct io *io, uint32_t events)
{
	struct upstream *u = io->ctx;

	(void)events;
	u->accepted = (struct io){ .fd = accept(io->fd, NULL, NULL), .ready = upstream_tcp_question, .ctx = u };
	assert_int_equal(io_watch(loop, &u->accepted, EPOLLIN, &e), 0);
}

/* The first takes any port; those after it the same one, on other loopback addresses. */
static void upstream_start(struct upstream *u, const char *ip, uint16_t port)
{
	struct addr a;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	assert_int_equal(addr_from_ip(ip, port, &a, &e), 0);
	u->udp = (struct io){ .fd = socket(AF_INET, SOCK_DGRAM, 0), .ready = upstream_udp, .ctx = u };
	assert_int_equal(bind(u->udp.fd, (struct sockaddr *)&a.ss, a.len), 0);
	getsockname(u->udp.fd, (struct sockaddr *)&ss, &len);
	u->port = ntohs(*(uint16_t *)((char *)&ss + 2));
	assert_int_equal(addr_from_ip(ip, u->port, &a, &e), 0);
	u->tcp = (struct io){ .fd = addr_listen(&a, 10, &e), .ready = upstream_tcp, .ctx = u };
	assert_true(u->tcp.fd >= 0);
	assert_int_equal(io_watch(loop, &u->udp, EPOLLIN, &e), 0);
	assert_int_equal(io_watch(loop, &u->tcp, EPOLLIN, &e), 0);
}

static void upstream_stop(struct upstream *u)
{
	io_stop(&u->udp);
	io_stop(&u->tcp);
	close(u->udp.fd);
	close(u->tcp.fd);
}

/* ---- asking ---- */

#define CONF "/tmp/portico-test-resolv.conf"

static struct forwarder *forwarder_to(const char *conf, uint16_t port)
{
	static char path[64];

	snprintf(path, sizeof(path), CONF ".%d", (int)getpid());
	assert_int_equal(file_write(path, str_of(conf), 0600, &e), 0);
	return old_forwarder_new(loop, &(struct forwarder_config){ .resolv_conf = path, .port = port });
}

static int done_left;
static char said[64];

static void on_done(void *ctx, struct dns_message *m)
{
	(void)ctx;
	if (!m)
		strcpy(said, "nobody");
	else
		snprintf(said, sizeof(said), "rcode %u, %u answers", m->flags & DNS_FLAGS_RCODE, m->counts[1]);
	if (--done_left == 0 && running)
		loop_stop(loop);
}

static struct dns_query question(const char *name)
{
	static char bytes[DNS_NAME_BYTES_MAX + 4];
	struct dns_query q = { .type = DNS_A, .class = DNS_CLASS_IN };

	assert_true(dns_name_from_text(str_of(name), &q.name));
	memcpy(bytes, q.name.wire, q.name.len);
	memcpy(bytes + q.name.len, "\0\1\0\1", 4);
	q.question = (struct str){ bytes, q.name.len + 4u };
	return q;
}

static const char *ask(struct forwarder *f, const char *name, int times)
{
	struct dns_query q = question(name);

	said[0] = '\0';
	done_left = times;
	for (int i = 0; i < times; i++)
		old_forward_ask(f, &q, on_done, NULL);
	if (done_left)
		run();
	return said;
}

#define ONE "nameserver 127.0.0.1\n"
#define TWO ONE "nameserver 127.0.0.2\n"

static void test_answers(void **state)
{
	struct upstream u = { .how = FORGES_FIRST };

	(void)state;
	upstream_start(&u, "127.0.0.1", 0);
	struct forwarder *f = forwarder_to(ONE, u.port);
	assert_string_equal(ask(f, "example.com", 1), "rcode 0, 1 answers");
	assert_int_equal(u.asked, 1);
	assert_string_equal(ask(f, "example.com", 1), "rcode 0, 1 answers"); /* kept */
	assert_int_equal(u.asked, 1);
	assert_string_equal(ask(f, "example.org", 3), "rcode 0, 1 answers"); /* asked once for three */
	assert_int_equal(u.asked, 2);
	old_forwarder_free(f);
	upstream_stop(&u);
}

static void test_next_server(void **state)
{
	struct upstream a = { .how = FAILS }, b = { .how = ANSWERS };

	(void)state;
	upstream_start(&a, "127.0.0.1", 0);
	upstream_start(&b, "127.0.0.2", a.port);
	struct forwarder *f = forwarder_to(TWO, a.port);
	assert_string_equal(ask(f, "example.com", 1), "rcode 0, 1 answers");
	assert_int_equal(a.asked, 1);
	assert_string_equal(ask(f, "example.org", 1), "rcode 0, 1 answers"); /* the good one is asked first now */
	assert_int_equal(a.asked, 1);
	b.how = FAILS;
	assert_string_equal(ask(f, "example.net", 1), "rcode 2, 0 answers"); /* the failure itself */
	assert_int_equal(a.asked, 2);
	a.how = ANSWERS;
	b.how = SILENT;
	assert_string_equal(ask(f, "example.info", 1), "rcode 0, 1 answers"); /* after a timeout */
	old_forwarder_free(f);
	upstream_stop(&b);
	/* Nobody listens on 127.0.0.2 now: that is known at once. */
	f = forwarder_to("nameserver 127.0.0.2\nnameserver 127.0.0.1\n", a.port);
	assert_string_equal(ask(f, "example.com", 1), "rcode 0, 1 answers");
	upstream_stop(&a);
	assert_string_equal(ask(f, "example.org", 1), "nobody");
	old_forwarder_free(f);
}

static void on_pause_end(struct timer *t)
{
	(void)t;
	loop_stop(loop);
}

static void test_dead_server_is_not_waited_for(void **state)
{
	struct upstream u = { .how = SILENT };
	struct timer pause = { .fire = on_pause_end };

	(void)state;
	upstream_start(&u, "127.0.0.1", 0);
	struct forwarder *f = forwarder_to(ONE, u.port);
	assert_string_equal(ask(f, "a.example", 1), "nobody");
	assert_int_equal(u.asked, 2);
	done_left = 1;
	struct dns_query q = question("b.example");
	old_forward_ask(f, &q, on_done, NULL);
	assert_int_equal(done_left, 0); /* at once */
	u.how = ANSWERS;
	timer_start(loop, &pause, 1100);
	run();
	assert_string_equal(ask(f, "c.example", 1), "rcode 0, 1 answers"); /* it is tried again */
	assert_string_equal(ask(f, "d.example", 1), "rcode 0, 1 answers");
	old_forwarder_free(f);
	upstream_stop(&u);
}

static void test_truncated_goes_to_tcp(void **state)
{
	struct upstream u = { .how = TRUNCATES };

	(void)state;
	upstream_start(&u, "127.0.0.1", 0);
	struct forwarder *f = forwarder_to(ONE, u.port);
	assert_string_equal(ask(f, "example.com", 1), "rcode 0, 1 answers");
	assert_int_equal(u.asked_tcp, 1);
	old_forwarder_free(f);
	upstream_stop(&u);
}

static void test_no_server(void **state)
{
	struct forwarder *f = forwarder_to("# none\noptions ndots:5\n", 53);

	(void)state;
	assert_string_equal(ask(f, "example.com", 1), "nobody");
	old_forwarder_free(f);
}

static void test_freed_while_asking(void **state)
{
	struct upstream u = { .how = SILENT };
	struct dns_query q = question("example.com");

	(void)state;
	upstream_start(&u, "127.0.0.1", 0);
	struct forwarder *f = forwarder_to(ONE, u.port);
	done_left = 1;
	old_forward_ask(f, &q, on_done, NULL);
	old_forwarder_free(f);
	assert_int_equal(done_left, 0);
	assert_string_equal(said, "nobody");
	upstream_stop(&u);
}

static void test_resolv_conf(void **state)
{
	static const char *const own[] = { "10.96.0.10", NULL };
	static const char text[] = "; comment\nsearch example.com\nnameserver\t192.0.2.1 # first\n nameserver 192.0.2.2\n"
				   "nameserver 10.96.0.10\nnameserver dns.example\nnameserver\nnameserver 2001:db8::1";
	struct resolv_conf c;
	char out[ADDR_TEXT_BYTES];

	(void)state;
	old_resolv_conf_parse(STR(text), 53, own, &c);
	assert_int_equal(c.n, 3);
	assert_string_equal(addr_text(&c.servers[0], out), "192.0.2.1:53");
	assert_string_equal(addr_text(&c.servers[1], out), "192.0.2.2:53");
	assert_string_equal(addr_text(&c.servers[2], out), "[2001:db8::1]:53");
	old_resolv_conf_parse(STR_NONE, 53, own, &c);
	assert_int_equal(c.n, 0);
}

static void test_cache(void **state)
{
	static uint8_t query[512], out[DNS_MESSAGE_BYTES_MAX], got[DNS_MESSAGE_BYTES_MAX];
	struct dns_query q = question("example.com");
	struct dns_cache *c = old_dns_cache_new();
	struct dns_cache_key space, other_space;
	struct dns_message m, kept;

	(void)state;
	size_t n = dns_query_write(query, 1, &q);
	n = make_answer(query, n, out, 0);
	assert_true(dns_message_parse((struct str){ (char *)out, n }, &m));
	struct str key = old_dns_cache_key(&q, &space);
	assert_false(old_dns_cache_get(c, key, 0, got, &kept));
	old_dns_cache_put(c, key, &m, 1000);
	assert_true(old_dns_cache_get(c, key, 11000, got, &kept));
	struct dns_record r = dns_records(&kept);
	assert_true(dns_record_next(&kept, &r));
	assert_int_equal(r.ttl, 50);
	q.dnssec_ok = q.edns = true; /* another question */
	assert_false(old_dns_cache_get(c, old_dns_cache_key(&q, &other_space), 11000, got, &kept));
	assert_false(old_dns_cache_get(c, key, 61000, got, &kept));
	/* Many names: it stays within its bound, and the newest are there. */
	char name[32];
	q = question("example.com");
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "n%d.example.com", i);
		assert_true(dns_name_from_text(str_of(name), &q.name));
		old_dns_cache_put(c, old_dns_cache_key(&q, &space), &m, 0);
	}
	assert_true(old_dns_cache_get(c, old_dns_cache_key(&q, &space), 1, got, &kept));
	assert_true(dns_name_from_text(STR("n0.example.com"), &q.name));
	assert_false(old_dns_cache_get(c, old_dns_cache_key(&q, &space), 1, got, &kept));
	old_dns_cache_free(c);
}

/* ---- the transports ---- */

struct client {
	struct io io;
	uint8_t got[4096];
	size_t len, want, want_frames;
};

/* The id of the i-th message that came over TCP; -1 if it is not there yet. */
static int frame_id(const struct client *c, size_t i)
{
	for (size_t at = 0; at + 4 <= c->len;) {
		size_t n = (size_t)c->got[at] << 8 | c->got[at + 1];
		if (at + 2 + n > c->len)
			return -1;
		if (i-- == 0)
			return c->got[at + 2] << 8 | c->got[at + 3];
		at += 2 + n;
	}
	return -1;
}

static void client_ready(struct io *io, uint32_t events)
{
	struct client *c = io->ctx;
	ssize_t n = recv(io->fd, c->got + c->len, sizeof(c->got) - c->len, 0);

	(void)events;
	c->len += n > 0 ? (size_t)n : 0;
	if (n <= 0 || c->len >= c->want || (c->want_frames && frame_id(c, c->want_frames - 1) >= 0))
		loop_stop(loop);
}

static struct addr listening(int fd)
{
	struct addr a = { .len = sizeof(a.ss) };

	getsockname(fd, (struct sockaddr *)&a.ss, &a.len);
	return a;
}

static void client_connect(struct client *c, int type, const struct addr *to)
{
	memset(c, 0, sizeof(*c));
	c->io = (struct io){ .fd = socket(AF_INET, type, 0), .ready = client_ready, .ctx = c };
	assert_int_equal(connect(c->io.fd, (const struct sockaddr *)&to->ss, to->len), 0);
	assert_int_equal(io_watch(loop, &c->io, EPOLLIN, &e), 0);
}

static void client_close(struct client *c)
{
	io_stop(&c->io);
	close(c->io.fd);
}

static size_t framed(const char *name, uint16_t id, uint8_t *out)
{
	struct dns_query q = question(name);
	size_t n = dns_query_write(out + 2, id, &q);

	out[0] = 0;
	out[1] = (uint8_t)n;
	return 2 + n;
}

static int udp_socket(void)
{
	struct addr a;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(addr_from_ip("127.0.0.1", 0, &a, &e), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a.ss, a.len), 0);
	return fd;
}

static struct dns_server server_with(struct forwarder *f)
{
	struct dns_server s = { .zone = old_zone_new(STR("cluster.local"), 30, 1), .forwarder = f };

	old_zone_set_synced(s.zone);
	return s;
}

static void test_tcp_pipelining(void **state)
{
	struct upstream u = { .how = ANSWERS };
	struct addr any;
	struct client c;
	uint8_t out[1024];

	(void)state;
	upstream_start(&u, "127.0.0.1", 0);
	struct dns_server s = server_with(forwarder_to(ONE, u.port));
	assert_int_equal(addr_from_ip("127.0.0.1", 0, &any, &e), 0);
	int fd = addr_listen(&any, 10, &e);
	struct dns_tcp *t = old_dns_tcp_new(loop, fd, &s, &e);
	struct addr to = listening(fd);

	/* Three questions in one go: the forwarded one is answered last. */
	client_connect(&c, SOCK_STREAM, &to);
	size_t n = framed("example.com", 1, out);
	n += framed("a.cluster.local", 2, out + n);
	n += framed("b.cluster.local", 3, out + n);
	assert_int_equal(send(c.io.fd, out, n, 0), n);
	c.want = SIZE_MAX;
	c.want_frames = 3;
	run();
	assert_int_equal(frame_id(&c, 0), 2);
	assert_int_equal(frame_id(&c, 1), 3);
	assert_int_equal(frame_id(&c, 2), 1);
	client_close(&c);

	/* What is no DNS ends the connection. */
	client_connect(&c, SOCK_STREAM, &to);
	assert_int_equal(send(c.io.fd, "\0\3abc", 5, 0), 5);
	c.want = 1;
	run();
	assert_int_equal(c.len, 0);
	client_close(&c);

	/* An asker that leaves before its answer. */
	u.how = SILENT;
	u.stop_when_asked = true;
	client_connect(&c, SOCK_STREAM, &to);
	n = framed("late.example.com", 9, out);
	assert_int_equal(send(c.io.fd, out, n, 0), n);
	run();
	client_close(&c);
	old_dns_tcp_free(t);
	old_forwarder_free(s.forwarder);
	old_zone_free(s.zone);
	upstream_stop(&u);
}

static void test_udp(void **state)
{
	struct upstream u = { .how = ANSWERS };
	struct client c;
	struct dns_message m;
	uint8_t out[1024];

	(void)state;
	upstream_start(&u, "127.0.0.1", 0);
	struct dns_server s = server_with(forwarder_to(ONE, u.port));
	int fd = udp_socket();
	struct addr to = listening(fd);
	struct dns_udp *udp = old_dns_udp_new(loop, fd, &s, &e);

	assert_non_null(udp);
	client_connect(&c, SOCK_DGRAM, &to);
	assert_int_equal(send(c.io.fd, "x", 1, 0), 1); /* dropped */
	size_t n = framed("Example.COM", 0x1234, out);
	memcpy(out + 2 + 12, "\7ExAmPlE\3CoM", 12);
	assert_int_equal(send(c.io.fd, out + 2, n - 2, 0), n - 2);
	c.want = 1;
	run();
	assert_true(dns_message_parse((struct str){ (char *)c.got, c.len }, &m));
	assert_int_equal(m.id, 0x1234);
	assert_int_equal(m.counts[1], 1);
	assert_memory_equal(c.got + 12, "\7ExAmPlE\3CoM", 12);
	c.len = 0;
	out[2 + 13] = 'e'; /* as it is asked now, not as it was when the answer was kept */
	assert_int_equal(send(c.io.fd, out + 2, n - 2, 0), n - 2);
	run();
	assert_int_equal(u.asked, 1);
	assert_memory_equal(c.got + 12, "\7exAmPlE\3CoM", 12);
	c.len = 0;
	assert_int_equal(send(c.io.fd, out + 2, n - 3, 0), n - 3); /* cut */
	run();
	assert_int_equal(c.len, 12);
	assert_int_equal(c.got[3] & 15, DNS_FORMERR);
	client_close(&c);
	old_dns_udp_free(udp);
	old_forwarder_free(s.forwarder);
	old_zone_free(s.zone);
	upstream_stop(&u);
}

static int setup(void **state)
{
	(void)state;
	loop = loop_new(&e);
	return loop ? 0 : -1;
}

static int teardown(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), CONF ".%d", (int)getpid());
	unlink(path);
	loop_free(loop);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),	       cmocka_unit_test(test_next_server),
		cmocka_unit_test(test_dead_server_is_not_waited_for),
		cmocka_unit_test(test_truncated_goes_to_tcp), cmocka_unit_test(test_no_server),
		cmocka_unit_test(test_freed_while_asking),    cmocka_unit_test(test_resolv_conf),
		cmocka_unit_test(test_cache),		      cmocka_unit_test(test_tcp_pipelining),
		cmocka_unit_test(test_udp),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
