/* dns_liar.h - a name server in the test's own loop, over UDP and TCP (or TLS), that answers as it is told: also wrongly.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codec/dns_text.h"
#include "net/conn.h"

#include <arpa/inet.h>
#include <unistd.h>

#define liar_own static __attribute__((unused))

enum lie {
	LIE_NOT,
	LIE_SILENT,
	LIE_RCODE,	  /* `rcode`, nothing else */
	LIE_EDNS_FORMERR, /* FORMERR to EDNS */
	LIE_EDNS_BARE,	  /* the same, a header only */
	LIE_TRUNCATED,
	LIE_ID_FIRST,	  /* another id, another question, a question; then the answer */
	LIE_FLOOD,	  /* many wrong answers, and no right one */
	LIE_UPPER,	  /* the question in capitals */
	LIE_CLOSE,	  /* TCP: closes when asked */
	LIE_LENGTH,	  /* TCP: a length longer than what comes */
	LIE_SHORT,	  /* TCP: a message too short to be one */
	LIE_CLOSE_AFTER,  /* TCP: answers, then closes */
	LIE_CLOSE_SECOND, /* TCP: closes at every second question instead of answering it */
};

#define LIAR_CONNS_MAX 16
#define LIAR_LATE_MAX 8
struct liar {
	enum lie udp_lie, tcp_lie;
	unsigned rcode;
	const char *const *answer, *const *authority, *const *additional; /* records, NULL-terminated; NULL: an A record */
	uint64_t delay_ms;
	struct tls *tls;

	struct loop *loop;
	struct io udp;
	int tcp_fd;
	struct listener *listener;
	struct conn *conns[LIAR_CONNS_MAX];
	size_t n_conns;
	uint16_t port;
	unsigned asked, asked_tcp, with_edns, with_do, with_capitals;
	uint16_t from_port; /* of the last question over UDP */
	uint16_t id, type;
	struct timer timer;
	struct liar_late {
		uint8_t bytes[1024];
		size_t len;
		struct sockaddr_storage to;
		socklen_t to_len;
	} late[LIAR_LATE_MAX];
	size_t n_late;
};

liar_own void liar_put(struct dns_writer *w, enum dns_section s, const char *const *records)
{
	static struct dns_text_record r;
	struct err e = { 0 };

	for (; records && *records; records++) {
		if (dns_text_parse(str_of(*records), 60, &r, &e))
			fail_msg("%s: %s", *records, e.message);
		assert_true(dns_text_put(w, s, &r));
	}
}

/* The answer to `query` in `out`; 0: none. */
liar_own size_t liar_answer(struct liar *l, enum lie lie, struct str query, uint8_t *out, size_t max)
{
	static const uint8_t ip[4] = { 192, 0, 2, 7 };
	struct dns_query q;
	struct dns_writer w;

	assert_int_equal(dns_query_parse(query, &q), 0);
	l->id = q.id;
	l->type = q.type;
	l->with_edns += q.edns;
	l->with_do += q.dnssec_ok;
	for (size_t i = 0; i < q.question.len - 4; i++)
		if (q.question.ptr[i] >= 'A' && q.question.ptr[i] <= 'Z') {
			l->with_capitals++;
			break;
		}
	if (lie == LIE_SILENT)
		return 0;
	dns_answer_start(&w, out, max, &q);
	if (q.edns && (lie == LIE_EDNS_FORMERR || lie == LIE_EDNS_BARE)) {
		size_t n = dns_answer_finish(&w, DNS_FORMERR, false);
		if (lie == LIE_EDNS_FORMERR)
			return n;
		memset(out + 4, 0, 8);
		return DNS_HEADER_BYTES;
	}
	if (lie == LIE_RCODE)
		return dns_answer_finish(&w, (enum dns_rcode)l->rcode, false);
	if (lie == LIE_TRUNCATED) {
		size_t n = dns_answer_finish(&w, DNS_NOERROR, false);
		out[2] |= DNS_FLAG_TC >> 8;
		return n;
	}
	if (l->answer || l->authority || l->additional) {
		liar_put(&w, DNS_ANSWER, l->answer);
		liar_put(&w, DNS_AUTHORITY, l->authority);
		liar_put(&w, DNS_ADDITIONAL, l->additional);
	} else {
		assert_true(dns_put(&w, DNS_ANSWER, DNS_QUESTION_AT, DNS_A, 60, &(struct dns_rdata){ ip, 4 }));
	}
	size_t n = dns_answer_finish(&w, (enum dns_rcode)l->rcode, false);
	for (size_t i = 0; lie == LIE_UPPER && i < q.question.len - 4; i++)
		if (out[DNS_HEADER_BYTES + i] >= 'a' && out[DNS_HEADER_BYTES + i] <= 'z')
			out[DNS_HEADER_BYTES + i] ^= 0x20;
	return n;
}

/* ---- UDP ---- */

liar_own void liar_send(struct liar *l, const uint8_t *out, size_t n, const struct sockaddr_storage *to, socklen_t to_len)
{
	sendto(l->udp.fd, out, n, 0, (const struct sockaddr *)to, to_len);
}

liar_own void liar_forge(struct liar *l, uint8_t *out, size_t n, const struct sockaddr_storage *to, socklen_t to_len)
{
	out[3] |= DNS_NXDOMAIN; /* what would do harm if it were believed */
	out[0] ^= 1;
	liar_send(l, out, n, to, to_len);
	out[0] ^= 1;
	out[13] ^= 3;
	liar_send(l, out, n, to, to_len);
	out[13] ^= 3;
	out[2] ^= 0x80;
	liar_send(l, out, n, to, to_len);
	out[2] ^= 0x80;
	out[3] &= 0xf0;
	liar_send(l, (const uint8_t *)"x", 1, to, to_len);
}

liar_own void liar_late(struct timer *t)
{
	struct liar *l = t->ctx;

	for (size_t i = 0; i < l->n_late; i++)
		liar_send(l, l->late[i].bytes, l->late[i].len, &l->late[i].to, l->late[i].to_len);
	l->n_late = 0;
}

liar_own void liar_udp(struct io *io, uint32_t events)
{
	struct liar *l = io->ctx;
	uint8_t query[600], out[4096];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(io->fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);

	(void)events;
	assert_true(n > 0);
	l->asked++;
	l->from_port = ntohs(((struct sockaddr_in *)&from)->sin_port);
	size_t len = liar_answer(l, l->udp_lie, (struct str){ (char *)query, (size_t)n }, out, sizeof(out));
	if (!len)
		return;
	if (l->udp_lie == LIE_ID_FIRST)
		liar_forge(l, out, len, &from, from_len);
	for (int i = 0; l->udp_lie == LIE_FLOOD && i < 30; i++) {
		out[0] = (uint8_t)(l->id >> 8 ^ (i + 1));
		liar_send(l, out, len, &from, from_len);
	}
	if (l->udp_lie == LIE_FLOOD)
		return;
	if (l->delay_ms) {
		struct liar_late *late = &l->late[l->n_late++];
		assert_true(l->n_late < LIAR_LATE_MAX && len <= sizeof(late->bytes));
		*late = (struct liar_late){ .len = len, .to = from, .to_len = from_len };
		memcpy(late->bytes, out, len);
		if (!timer_active(&l->timer))
			timer_start(l->loop, &l->timer, l->delay_ms);
		return;
	}
	liar_send(l, out, len, &from, from_len);
}

/* ---- TCP ---- */

liar_own void liar_forget(struct liar *l, struct conn *c)
{
	for (size_t i = 0; i < l->n_conns; i++)
		if (l->conns[i] == c)
			l->conns[i--] = l->conns[--l->n_conns];
}

liar_own void liar_close(struct liar *l, struct conn *c)
{
	liar_forget(l, c);
	conn_close_after_write(c);
}

liar_own size_t liar_tcp_data(struct conn *c, void *ctx, const uint8_t *bytes, size_t len)
{
	struct liar *l = ctx;
	uint8_t out[2 + 4096];
	size_t used = 0;

	while (len - used >= 2) {
		size_t n = (size_t)bytes[used] << 8 | bytes[used + 1];
		if (len - used < 2 + n)
			break;
		l->asked_tcp++;
		size_t m = liar_answer(l, l->tcp_lie, (struct str){ (const char *)bytes + used + 2, n }, out + 2, 4096);
		used += 2 + n;
		out[0] = (uint8_t)(m >> 8);
		out[1] = (uint8_t)m;
		if (l->tcp_lie == LIE_LENGTH)
			out[0] = 0xff;
		if (l->tcp_lie == LIE_SHORT) {
			out[0] = 0;
			out[1] = 3;
			m = 3;
		}
		bool close_now = l->tcp_lie == LIE_CLOSE || (l->tcp_lie == LIE_CLOSE_SECOND && l->asked_tcp % 2 == 0);
		if (m && !close_now)
			conn_write(c, out, 2 + m);
		if (close_now || l->tcp_lie == LIE_CLOSE_AFTER) {
			liar_close(l, c);
			return len;
		}
	}
	return used;
}

liar_own void liar_tcp_eof(struct conn *c, void *ctx)
{
	liar_forget(ctx, c);
	conn_close(c);
}

liar_own void liar_tcp_failed(struct conn *c, void *ctx, const struct err *e)
{
	(void)e;
	liar_forget(ctx, c);
}

static const struct conn_ops liar_ops = { .data = liar_tcp_data, .eof = liar_tcp_eof, .failed = liar_tcp_failed };

liar_own void liar_accepted(void *ctx, int fd, const struct addr *peer)
{
	struct liar *l = ctx;
	struct err e;

	(void)peer;
	assert_true(l->n_conns < LIAR_CONNS_MAX);
	struct conn *c = conn_accept(l->loop, fd, l->tls, &liar_ops, l, &e);
	assert_non_null(c);
	l->conns[l->n_conns++] = c;
}

/* ---- life ---- */

/* Port 0: any, with TCP on the same one. */
liar_own void liar_start(struct liar *l, struct loop *loop, const char *ip, uint16_t port)
{
	struct sockaddr_in at;
	socklen_t len = sizeof(at);
	struct addr a;
	struct err e;

	l->loop = loop;
	l->timer = (struct timer){ .fire = liar_late, .ctx = l };
	for (int tries = 0;; tries++) {
		assert_int_equal(addr_from_ip(ip, port, &a, &e), 0);
		l->udp = (struct io){ .fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), .ready = liar_udp, .ctx = l };
		assert_int_equal(bind(l->udp.fd, (struct sockaddr *)&a.ss, a.len), 0);
		getsockname(l->udp.fd, (struct sockaddr *)&at, &len);
		l->port = ntohs(at.sin_port);
		assert_int_equal(addr_from_ip(ip, l->port, &a, &e), 0);
		l->tcp_fd = addr_listen(&a, 10, &e);
		if (l->tcp_fd >= 0 || tries == 20)
			break;
		close(l->udp.fd); /* somebody else has the port over TCP */
	}
	assert_true(l->tcp_fd >= 0);
	l->listener = listener_new(loop, l->tcp_fd, liar_accepted, l, &e);
	assert_non_null(l->listener);
	assert_int_equal(io_watch(loop, &l->udp, EPOLLIN, &e), 0);
}

/* From now on nobody listens over TCP. */
liar_own void liar_no_tcp(struct liar *l)
{
	if (l->tcp_fd < 0)
		return;
	listener_free(l->listener);
	close(l->tcp_fd);
	l->tcp_fd = -1;
}

liar_own void liar_stop(struct liar *l)
{
	timer_stop(&l->timer);
	liar_no_tcp(l);
	io_stop(&l->udp);
	close(l->udp.fd);
	while (l->n_conns)
		conn_close(l->conns[--l->n_conns]);
}
