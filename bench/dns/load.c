/* load.c - asks a DNS server as fast as it answers, or at a rate, and counts: one thread, sendmmsg.
 *
 *   load [-s IP] [-p PORT] [-d SECONDS] [-c SOCKETS] [-w WINDOW] [-r RATE] [-t] [-e] NAMES
 *
 * NAMES has a question a line: "name TYPE". -w: questions under way per socket. -r: questions a second in all; 0: as many as the
 * windows allow. -t: TCP, pipelined. -e: with EDNS. Prints one JSON object; latencies are from sending to reading. Ends by
 * itself; what is unanswered after a second is lost and asked no more.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define WINDOW_MAX 4096
#define SOCKETS_MAX 64
#define LOST_US 1000000
#define BUCKETS 20000 /* of a microsecond each below 10 ms, then of a millisecond */
#define TCP_BUFFER_BYTES (1 << 20)

struct question {
	uint16_t len; /* of the message; two bytes of TCP length are in front */
	uint8_t bytes[2 + 12 + 255 + 4 + 11];
};
struct sock {
	int fd;
	unsigned under_way, next; /* slots */
	uint64_t sent_us[WINDOW_MAX];
	uint8_t *in; /* TCP: what has arrived */
	size_t in_len;
};

static struct question *questions;
static size_t n_questions, at_question;
static struct sock socks[SOCKETS_MAX];
static struct {
	const char *ip;
	int port, seconds, sockets, window;
	double rate;
	bool tcp, edns;
} opt = { "127.0.0.1", 53, 5, 8, 64, 0, false, false };
static uint64_t sent, answered, lost, rcodes[16], latency[BUCKETS], wrong;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- questions ---- */

static uint16_t type_of(const char *text)
{
	static const struct {
		const char *name;
		uint16_t type;
	} types[] = { { "A", 1 }, { "NS", 2 }, { "CNAME", 5 }, { "SOA", 6 }, { "PTR", 12 }, { "MX", 15 }, { "TXT", 16 }, { "AAAA", 28 },
		      { "SRV", 33 } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(text, types[i].name) == 0)
			return types[i].type;
	return 1;
}

static void question_make(struct question *q, char *name, uint16_t type)
{
	static const uint8_t header[12] = { 0, 0, 1, 0, 0, 1 }, opt_record[11] = { 0, 0, 41, 4, 208 };
	uint8_t *start = q->bytes + 2, *p = mempcpy(start, header, sizeof(header));

	for (char *label = strtok(name, "."); label; label = strtok(NULL, ".")) {
		size_t n = strlen(label);
		if (n > 63 || (size_t)(p - start) + n > 250)
			exit(2);
		*p++ = (uint8_t)n;
		p = mempcpy(p, label, n);
	}
	*p++ = 0;
	*p++ = (uint8_t)(type >> 8);
	*p++ = (uint8_t)type;
	*p++ = 0;
	*p++ = 1;
	if (opt.edns) {
		p = mempcpy(p, opt_record, sizeof(opt_record));
		start[11] = 1;
	}
	q->len = (uint16_t)(p - start);
	q->bytes[0] = (uint8_t)(q->len >> 8);
	q->bytes[1] = (uint8_t)q->len;
}

static void questions_read(const char *path)
{
	char line[512], name[400], type[16];
	size_t cap = 0;
	FILE *f = fopen(path, "r");

	if (!f)
		die(path);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%399s %15s", name, type) != 2)
			continue;
		if (n_questions == cap) {
			cap = cap ? 2 * cap : 1024;
			questions = realloc(questions, cap * sizeof(*questions));
		}
		question_make(&questions[n_questions++], name, type_of(type));
	}
	fclose(f);
	if (n_questions == 0)
		exit(2);
}

/* ---- answers ---- */

static void count(struct sock *s, const uint8_t *m, size_t len, uint64_t now)
{
	unsigned slot = len >= 12 ? (unsigned)(m[0] << 8 | m[1]) : WINDOW_MAX;

	if (slot >= (unsigned)opt.window || !s->sent_us[slot] || !(m[2] & 0x80)) {
		wrong++;
		return;
	}
	uint64_t us = now - s->sent_us[slot];
	s->sent_us[slot] = 0;
	s->under_way--;
	answered++;
	rcodes[m[3] & 15]++;
	size_t bucket = us < 10000 ? us : 10000 + us / 1000;
	latency[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static void receive_udp(struct sock *s)
{
	static uint8_t bytes[BATCH][2048];
	static struct iovec iov[BATCH];
	static struct mmsghdr m[BATCH];

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ bytes[i], sizeof(bytes[i]) };
		m[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	for (int n = BATCH; n == BATCH;) {
		n = recvmmsg(s->fd, m, BATCH, MSG_DONTWAIT, NULL);
		uint64_t now = now_us();
		for (int i = 0; i < n; i++)
			count(s, bytes[i], m[i].msg_len, now);
	}
}

static void receive_tcp(struct sock *s)
{
	ssize_t n = recv(s->fd, s->in + s->in_len, TCP_BUFFER_BYTES - s->in_len, MSG_DONTWAIT);
	size_t used = 0;

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("the server closed the connection");
	if (n < 0)
		return;
	s->in_len += (size_t)n;
	uint64_t now = now_us();
	while (s->in_len - used >= 2) {
		size_t len = (size_t)s->in[used] << 8 | s->in[used + 1];
		if (s->in_len - used < 2 + len)
			break;
		count(s, s->in + used + 2, len, now);
		used += 2 + len;
	}
	memmove(s->in, s->in + used, s->in_len - used);
	s->in_len -= used;
}

/* ---- asking ---- */

static int free_slot(struct sock *s)
{
	for (int i = 0; i < opt.window; i++) {
		unsigned slot = s->next++ % (unsigned)opt.window;
		if (!s->sent_us[slot])
			return (int)slot;
	}
	return -1;
}

static struct question *next_question(void)
{
	struct question *q = &questions[at_question];

	at_question = at_question + 1 == n_questions ? 0 : at_question + 1;
	return q;
}

/* At most `n`; returns how many were sent. */
static unsigned ask_udp(struct sock *s, unsigned n, uint64_t now)
{
	static uint8_t copies[BATCH][sizeof(questions->bytes)];
	static struct iovec iov[BATCH];
	static struct mmsghdr m[BATCH];
	static int slots[BATCH];
	unsigned k = 0;

	for (; k < n && k < BATCH; k++) {
		struct question *q = next_question();
		slots[k] = free_slot(s);
		if (slots[k] < 0)
			break;
		memcpy(copies[k], q->bytes + 2, q->len);
		copies[k][0] = (uint8_t)(slots[k] >> 8);
		copies[k][1] = (uint8_t)slots[k];
		s->sent_us[slots[k]] = now;
		iov[k] = (struct iovec){ copies[k], q->len };
		m[k].msg_hdr = (struct msghdr){ .msg_iov = &iov[k], .msg_iovlen = 1 };
	}
	int done = k ? sendmmsg(s->fd, m, k, MSG_DONTWAIT) : 0;
	for (unsigned i = done > 0 ? (unsigned)done : 0; i < k; i++)
		s->sent_us[slots[i]] = 0;
	done = done > 0 ? done : 0;
	s->under_way += (unsigned)done;
	sent += (unsigned)done;
	return (unsigned)done;
}

static unsigned ask_tcp(struct sock *s, unsigned n, uint64_t now)
{
	static uint8_t out[BATCH * sizeof(questions->bytes)];
	size_t len = 0;
	unsigned k = 0;

	for (; k < n && k < BATCH; k++) {
		struct question *q = next_question();
		int slot = free_slot(s);
		if (slot < 0)
			break;
		memcpy(out + len, q->bytes, q->len + 2u);
		out[len + 2] = (uint8_t)(slot >> 8);
		out[len + 3] = (uint8_t)slot;
		s->sent_us[slot] = now;
		len += q->len + 2u;
	}
	for (size_t at = 0; at < len;) {
		ssize_t w = send(s->fd, out + at, len - at, MSG_NOSIGNAL);
		if (w < 0)
			die("send");
		at += (size_t)w;
	}
	s->under_way += k;
	sent += k;
	return k;
}

static void forget_lost(uint64_t now)
{
	for (int i = 0; i < opt.sockets; i++)
		for (int k = 0; k < opt.window; k++)
			if (socks[i].sent_us[k] && now - socks[i].sent_us[k] > LOST_US) {
				socks[i].sent_us[k] = 0;
				socks[i].under_way--;
				lost++;
			}
}

static void open_sockets(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
	int size = 4 << 20, on = 1;

	if (inet_pton(AF_INET, opt.ip, &to.sin_addr) != 1)
		exit(2);
	for (int i = 0; i < opt.sockets; i++) {
		socks[i].fd = socket(AF_INET, opt.tcp ? SOCK_STREAM : SOCK_DGRAM, 0);
		setsockopt(socks[i].fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		if (connect(socks[i].fd, (struct sockaddr *)&to, sizeof(to)) == -1)
			die("connect");
		if (opt.tcp) {
			setsockopt(socks[i].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			socks[i].in = malloc(TCP_BUFFER_BYTES);
		}
	}
}

static uint64_t percentile(double p)
{
	uint64_t want = (uint64_t)((double)answered * p), n = 0;

	for (size_t i = 0; i < BUCKETS; i++) {
		n += latency[i];
		if (n > want)
			return i < 10000 ? i : (i - 10000) * 1000;
	}
	return 0;
}

static bool any_under_way(void)
{
	for (int i = 0; i < opt.sockets; i++)
		if (socks[i].under_way)
			return true;
	return false;
}

static void turn(struct pollfd *fds, uint64_t now, uint64_t start, bool ask)
{
	for (int i = 0; i < opt.sockets; i++) {
		struct sock *s = &socks[i];
		unsigned room = (unsigned)opt.window - s->under_way;
		if (opt.rate > 0) {
			double due = opt.rate * (double)(now - start) / 1e6 - (double)sent;
			room = due >= 1 ? (room < (unsigned)due ? room : (unsigned)due) : 0;
		}
		/* Few large batches instead of many small ones; at a rate, each when it is due. */
		if (ask && room && (opt.rate > 0 || room >= BATCH / 2 || s->under_way == 0))
			(opt.tcp ? ask_tcp : ask_udp)(s, room, now_us());
	}
	if (poll(fds, (nfds_t)opt.sockets, opt.rate > 0 ? 0 : 1) <= 0)
		return;
	for (int i = 0; i < opt.sockets; i++)
		if (fds[i].revents)
			(opt.tcp ? receive_tcp : receive_udp)(&socks[i]);
}

static void run(void)
{
	struct pollfd fds[SOCKETS_MAX];
	uint64_t start = now_us(), end = start + (uint64_t)opt.seconds * 1000000, looked = start, now = start;

	for (int i = 0; i < opt.sockets; i++)
		fds[i] = (struct pollfd){ .fd = socks[i].fd, .events = POLLIN };
	for (; now < end || (any_under_way() && now < end + LOST_US); now = now_us()) {
		turn(fds, now, start, now < end);
		if (now - looked > 100000) {
			looked = now_us(); /* not `now`: some were sent since */
			forget_lost(looked);
		}
	}
	forget_lost(now_us() + LOST_US);
}

int main(int argc, char **argv)
{
	for (int c; (c = getopt(argc, argv, "s:p:d:c:w:r:te")) != -1;) {
		switch (c) {
		case 's': opt.ip = optarg; break;
		case 'p': opt.port = atoi(optarg); break;
		case 'd': opt.seconds = atoi(optarg); break;
		case 'c': opt.sockets = atoi(optarg); break;
		case 'w': opt.window = atoi(optarg); break;
		case 'r': opt.rate = atof(optarg); break;
		case 't': opt.tcp = true; break;
		case 'e': opt.edns = true; break;
		default: return 2;
		}
	}
	if (optind != argc - 1 || opt.sockets < 1 || opt.sockets > SOCKETS_MAX || opt.window < 1 || opt.window > WINDOW_MAX ||
	    opt.seconds < 1 || opt.seconds > 600)
		return fprintf(stderr, "usage: load [-s IP] [-p PORT] [-d SECONDS] [-c SOCKETS] [-w WINDOW] [-r RATE] [-t] [-e] NAMES\n"), 2;
	questions_read(argv[optind]);
	open_sockets();
	run();
	printf("{\"sent\":%lu,\"answered\":%lu,\"lost\":%lu,\"wrong\":%lu,\"perSecond\":%lu,\"noerror\":%lu,\"nxdomain\":%lu,"
	       "\"servfail\":%lu,\"other\":%lu,\"p50us\":%lu,\"p99us\":%lu,\"p999us\":%lu}\n",
	       sent, answered, lost, wrong, answered / (uint64_t)opt.seconds, rcodes[0], rcodes[3], rcodes[2],
	       answered - rcodes[0] - rcodes[3] - rcodes[2], percentile(0.5), percentile(0.99), percentile(0.999));
	return 0;
}
