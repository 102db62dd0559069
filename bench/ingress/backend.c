/* A backend that costs as little as it can: answers every request head with SIZE bytes; one epoll loop.
 *
 *	backend PORT SIZE [ADDRESS]
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX 65536
#define EVENTS 256
#define HEAD_BYTES 256

static size_t left[FDS_MAX]; /* bytes of answers not yet written */
static char *answer;
static size_t answer_len;

static void watch(int ep, int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	if (epoll_ctl(ep, op, fd, &ev) < 0)
		perror("epoll_ctl");
}

static void accept_all(int ep, int listener)
{
	const int on = 1;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		left[fd] = 0;
		watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

static size_t heads_in(const char *bytes, size_t len)
{
	const char *end = bytes + len, *at;
	size_t n = 0;

	while ((at = memmem(bytes, (size_t)(end - bytes), "\r\n\r\n", 4))) {
		n++;
		bytes = at + 4;
	}
	return n;
}

static void serve(int ep, int fd, uint32_t events)
{
	static char in[65536];
	bool waited = events & EPOLLOUT;

	if (events & EPOLLIN) {
		ssize_t n = recv(fd, in, sizeof(in), 0);
		if (n <= 0) {
			close(fd);
			return;
		}
		left[fd] += heads_in(in, (size_t)n) * answer_len;
	}
	while (left[fd]) {
		size_t off = (answer_len - left[fd] % answer_len) % answer_len;
		ssize_t n = send(fd, answer + off, answer_len - off, MSG_NOSIGNAL);
		if (n < 0)
			break;
		left[fd] -= (size_t)n;
	}
	if (left[fd] || waited)
		watch(ep, EPOLL_CTL_MOD, fd, left[fd] ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0")),
				 .sin_addr.s_addr = argc > 3 ? inet_addr(argv[3]) : htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);
	const int on = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 4096) < 0) {
		perror("listen");
		return 1;
	}
	answer = malloc(size + HEAD_BYTES);
	int head = snprintf(answer, HEAD_BYTES, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", size);
	memset(answer + head, 'x', size);
	answer_len = (size_t)head + size;
	watch(ep, EPOLL_CTL_ADD, listener, EPOLLIN);
	for (;;) {
		struct epoll_event evs[EVENTS];
		int n = epoll_wait(ep, evs, EVENTS, -1);
		for (int i = 0; i < n; i++) {
			if (evs[i].data.fd == listener)
				accept_all(ep, listener);
			else
				serve(ep, evs[i].data.fd, evs[i].events);
		}
	}
}
