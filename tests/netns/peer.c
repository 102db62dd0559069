/* peer.c - both ends of the data plane's tests.
 *
 * peer serve NAME PORT
 *     TCP and UDP on PORT. A connection gets the line "NAME CLIENT_IP", then an echo of every line.
 *     A datagram is answered with "NAME CLIENT_IP".
 * peer tcp ADDR PORT [-n COUNT] [-p SOURCE_PORT] [-b SOURCE_IP] [-s BYTES] [-6] [-k] [-r]
 *     COUNT connections; a line each: "NAME CLIENT_IP PEER_ADDR:PEER_PORT". -s: then has that many bytes
 *     echoed in one go. -k: stays connected and has a line echoed every 20 ms until SIGTERM, then prints
 *     "echoed N"; exits 1 if one failed. -r: closes with a reset, which leaves no port behind in TIME-WAIT.
 * peer udp ADDR PORT [-n COUNT] [-c] [-6] [-k]
 *     "NAME CLIENT_IP FROM_ADDR:FROM_PORT"; one socket for all, connected with -c. -k: goes on every 20 ms.
 * A failure prints the error's name and exits 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS 2000
#define ECHO_EVERY_US 20000

static volatile sig_atomic_t stop;

static void on_term(int signo)
{
	(void)signo;
	stop = 1;
}

static void fail(void)
{
	puts(strerrorname_np(errno));
	exit(1);
}

struct opts {
	int count, source_port, bytes;
	const char *source_ip;
	bool v6, connected, keep, reset;
};

static socklen_t addr_make(struct sockaddr_storage *ss, const char *ip, int port, bool v6)
{
	struct sockaddr_in *in = (void *)ss;
	struct sockaddr_in6 *in6 = (void *)ss;
	char mapped[64];

	memset(ss, 0, sizeof(*ss));
	if (!v6) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		inet_pton(AF_INET, ip, &in->sin_addr);
		return sizeof(*in);
	}
	snprintf(mapped, sizeof(mapped), "::ffff:%s", ip);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	inet_pton(AF_INET6, mapped, &in6->sin6_addr);
	return sizeof(*in6);
}

static const char *addr_show(const struct sockaddr_storage *ss, char out[80])
{
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;
	bool v6 = ss->ss_family == AF_INET6;
	char ip[64];

	inet_ntop(ss->ss_family, v6 ? (const void *)&in6->sin6_addr : &in->sin_addr, ip, sizeof(ip));
	snprintf(out, 80, "%s:%d", ip, ntohs(v6 ? in6->sin6_port : in->sin_port));
	return out;
}

static int open_socket(int type, const struct opts *o)
{
	int fd = socket(o->v6 ? AF_INET6 : AF_INET, type, 0), on = 1;
	struct timeval tv = { TIMEOUT_MS / 1000, 0 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (o->source_port || o->source_ip) {
		struct sockaddr_storage ss;
		socklen_t len = addr_make(&ss, o->source_ip ? o->source_ip : "0.0.0.0", o->source_port, o->v6);
		if (bind(fd, (struct sockaddr *)&ss, len) == -1)
			fail();
	}
	return fd;
}

static ssize_t read_line(int fd, char *buf, size_t size)
{
	size_t n = 0;

	while (n + 1 < size) {
		ssize_t got = read(fd, buf + n, 1);
		if (got == -1 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got ? errno : ECONNRESET;
			return -1;
		}
		if (buf[n] == '\n')
			break;
		n++;
	}
	buf[n] = '\0';
	return n;
}

static void keep_echoing(int fd)
{
	char buf[64];
	long n = 0;

	signal(SIGTERM, on_term);
	while (!stop) {
		int len = snprintf(buf, sizeof(buf), "%ld\n", n);
		if (write(fd, buf, len) != len || read_line(fd, buf, sizeof(buf)) < 0 || atol(buf) != n)
			fail();
		n++;
		usleep(ECHO_EVERY_US);
	}
	printf("echoed %ld\n", n);
}

static void echo_bytes(int fd, int n)
{
	char *buf = calloc(1, n);
	int got = 0;

	if (write(fd, buf, n) != n)
		fail();
	while (got < n) {
		ssize_t more = read(fd, buf, n - got);
		if (more <= 0)
			fail();
		got += more;
	}
	free(buf);
}

static void client_tcp(const char *ip, int port, const struct opts *o)
{
	char line[128], text[80];

	for (int i = 0; i < o->count; i++) {
		struct sockaddr_storage ss;
		socklen_t len = addr_make(&ss, ip, port, o->v6);
		int fd = open_socket(SOCK_STREAM, o);

		if (connect(fd, (struct sockaddr *)&ss, len) == -1) {
			errno = errno == EINPROGRESS ? ETIMEDOUT : errno;
			fail();
		}
		if (read_line(fd, line, sizeof(line)) < 0)
			fail();
		len = sizeof(ss);
		if (getpeername(fd, (struct sockaddr *)&ss, &len) == -1)
			fail();
		printf("%s %s\n", line, addr_show(&ss, text));
		fflush(stdout);
		if (o->bytes)
			echo_bytes(fd, o->bytes);
		if (o->keep)
			keep_echoing(fd);
		if (o->reset)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
		close(fd);
	}
}

static void client_udp(const char *ip, int port, const struct opts *o)
{
	int fd = open_socket(SOCK_DGRAM, o);
	struct sockaddr_storage to, from;
	socklen_t len = addr_make(&to, ip, port, o->v6), from_len;
	char line[128], text[80];

	if (o->connected && connect(fd, (struct sockaddr *)&to, len) == -1)
		fail();
	for (int i = 0; i < o->count || o->keep; i++) {
		if (o->keep)
			usleep(ECHO_EVERY_US);
		if (sendto(fd, "hi\n", 3, 0, o->connected ? NULL : (struct sockaddr *)&to, o->connected ? 0 : len) != 3)
			fail();
		from_len = sizeof(from);
		ssize_t n = recvfrom(fd, line, sizeof(line) - 1, 0, (struct sockaddr *)&from, &from_len);
		if (n <= 0)
			fail();
		line[n] = '\0';
		printf("%s %s\n", line, addr_show(&from, text));
		fflush(stdout);
	}
	close(fd);
}

static const char *ip_show(const struct sockaddr_in *in, char out[INET_ADDRSTRLEN])
{
	return inet_ntop(AF_INET, &in->sin_addr, out, INET_ADDRSTRLEN);
}

static int serve_bind(int type, int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, type, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) == -1 || (type == SOCK_STREAM && listen(fd, 512) == -1))
		fail();
	return fd;
}

static void serve(const char *name, int port)
{
	int tcp = serve_bind(SOCK_STREAM, port), udp = serve_bind(SOCK_DGRAM, port), ep = epoll_create1(0);
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = tcp };
	char buf[2048], ip[INET_ADDRSTRLEN], line[128];

	signal(SIGPIPE, SIG_IGN);
	epoll_ctl(ep, EPOLL_CTL_ADD, tcp, &ev);
	ev.data.fd = udp;
	epoll_ctl(ep, EPOLL_CTL_ADD, udp, &ev);
	puts("serving");
	fflush(stdout);
	while (epoll_wait(ep, &ev, 1, -1) >= 0 || errno == EINTR) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n;

		if (ev.data.fd == tcp) {
			int fd = accept(tcp, (struct sockaddr *)&from, &len);
			struct epoll_event mine = { .events = EPOLLIN, .data.fd = fd };
			if (fd == -1)
				continue;
			n = snprintf(line, sizeof(line), "%s %s\n", name, ip_show(&from, ip));
			if (write(fd, line, n) == n)
				epoll_ctl(ep, EPOLL_CTL_ADD, fd, &mine);
			else
				close(fd);
		} else if (ev.data.fd == udp) {
			n = recvfrom(udp, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);
			int out = snprintf(line, sizeof(line), "%s %s", name, ip_show(&from, ip));
			if (n >= 0)
				(void)!sendto(udp, line, out, 0, (struct sockaddr *)&from, len);
		} else {
			n = read(ev.data.fd, buf, sizeof(buf));
			if (n <= 0 || write(ev.data.fd, buf, n) != n)
				close(ev.data.fd);
		}
	}
}

int main(int argc, char **argv)
{
	struct opts o = { .count = 1 };

	for (int c; (c = getopt(argc, argv, "n:p:b:s:6ckr")) != -1;) {
		switch (c) {
		case 'n': o.count = atoi(optarg); break;
		case 'p': o.source_port = atoi(optarg); break;
		case 'b': o.source_ip = optarg; break;
		case 's': o.bytes = atoi(optarg); break;
		case '6': o.v6 = true; break;
		case 'c': o.connected = true; break;
		case 'k': o.keep = true; break;
		case 'r': o.reset = true; break;
		default: return 2;
		}
	}
	if (argc - optind != 3)
		return 2;
	argv += optind;
	if (strcmp(argv[0], "serve") == 0)
		serve(argv[1], atoi(argv[2]));
	else if (strcmp(argv[0], "tcp") == 0)
		client_tcp(argv[1], atoi(argv[2]), &o);
	else
		client_udp(argv[1], atoi(argv[2]), &o);
	return 0;
}
