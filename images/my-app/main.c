/* my-app - the example application: an HTTP/1.1 server with keep-alive, and a UDP echo.
 *
 * It behaves as a well-made container should: ready when it listens, and on SIGTERM it goes on serving for a
 * moment (endpoints are being taken out of load balancers meanwhile), asks clients to reconnect, then ends.
 *
 *   /api/healthcheck  "OK"             /ready        200, or 503 after POST or GET /ready/off (back: /ready/on)
 *   /env              the environment  /slow/MS      answers after MS milliseconds
 *   /exit             ends the process with status 1
 *   anything else     "VERSION HOSTNAME METHOD PATH"
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT 8080
#define UDP_PORT 8081
#define HEAD_BYTES 16384
#define BODY_BYTES 65536
#define IDLE_S 75
#define DRAIN_MS 1500 /* longer than any load balancer here needs to learn that we go */
#define STACK_BYTES (192 << 10)

#ifndef VERSION
#define VERSION "1.0.0"
#endif

extern char **environ;
static char host[256];
static atomic_int ready = 1, draining;

static void reply(int fd, int status, const char *body, size_t len, int keep)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n", status,
			 status == 200 ? "OK" : "Service Unavailable", len, keep ? "" : "Connection: close\r\n");
	char *all = malloc((size_t)n + len);

	memcpy(all, head, (size_t)n);
	memcpy(all + n, body, len);
	for (size_t at = 0, total = (size_t)n + len; at < total;) {
		ssize_t w = send(fd, all + at, total - at, MSG_NOSIGNAL);
		if (w <= 0)
			break;
		at += (size_t)w;
	}
	free(all);
}

static void reply_text(int fd, int status, const char *text, int keep)
{
	reply(fd, status, text, strlen(text), keep);
}

static void reply_env(int fd, int keep)
{
	static const size_t max = BODY_BYTES;
	char *body = malloc(max);
	size_t len = 0;

	for (char **e = environ; *e && len + strlen(*e) + 2 < max; e++)
		len += (size_t)sprintf(body + len, "%s\n", *e);
	reply(fd, 200, body, len, keep);
	free(body);
}

static void answer(int fd, const char *method, const char *path, int keep)
{
	char text[1024];

	if (strcmp(path, "/api/healthcheck") == 0) {
		reply_text(fd, 200, "OK", keep);
	} else if (strcmp(path, "/ready") == 0) {
		reply_text(fd, ready ? 200 : 503, ready ? "ready\n" : "not ready\n", keep);
	} else if (strncmp(path, "/ready/", 7) == 0) {
		ready = strcmp(path, "/ready/on") == 0;
		reply_text(fd, 200, "done\n", keep);
	} else if (strcmp(path, "/env") == 0) {
		reply_env(fd, keep);
	} else if (strcmp(path, "/exit") == 0) {
		_exit(1);
	} else {
		if (strncmp(path, "/slow/", 6) == 0)
			usleep((useconds_t)atoi(path + 6) * 1000);
		snprintf(text, sizeof(text), "%s %s %s %.512s\n", VERSION, host, method, path);
		reply_text(fd, 200, text, keep);
	}
}

static size_t content_length(const char *head)
{
	const char *at = strcasestr(head, "\ncontent-length:");

	return at ? strtoul(at + 16, NULL, 10) : 0;
}

/* Reads one request (its body is discarded) and answers it. Returns 0 when the connection should end. */
static int serve_one(int fd, char *buf, size_t *have)
{
	char method[16], path[1024], *end;

	while (buf[*have] = '\0', !(end = strstr(buf, "\r\n\r\n"))) {
		ssize_t n = *have < HEAD_BYTES - 1 ? recv(fd, buf + *have, HEAD_BYTES - 1 - *have, 0) : 0;
		if (n <= 0)
			return 0;
		*have += (size_t)n;
	}
	end[2] = '\0';
	if (sscanf(buf, "%15s %1023s", method, path) != 2)
		return 0;
	int keep = !strcasestr(buf, "\nconnection: close") && !draining;
	size_t body = content_length(buf), used = (size_t)(end + 4 - buf);
	while (*have < used + body) {
		char junk[4096];
		ssize_t n = recv(fd, junk, sizeof(junk) < used + body - *have ? sizeof(junk) : used + body - *have, 0);
		if (n <= 0)
			return 0;
		body -= (size_t)n;
	}
	memmove(buf, buf + used + body, *have - used - body);
	*have -= used + body;
	answer(fd, method, path, keep);
	return keep;
}

static void *serve(void *arg)
{
	int fd = (int)(long)arg, one = 1;
	struct timeval idle = { .tv_sec = IDLE_S };
	char *buf = malloc(HEAD_BYTES);
	size_t have = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
	while (serve_one(fd, buf, &have))
		;
	shutdown(fd, SHUT_WR);
	close(fd);
	free(buf);
	return NULL;
}

static void *echo_udp(void *arg)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(UDP_PORT) }, from;
	char buf[2048];

	(void)arg;
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == -1)
		return NULL;
	for (;;) {
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf) - sizeof(host), 0, (struct sockaddr *)&from, &len);
		if (n < 0)
			continue;
		n += sprintf(buf + n, " from %s", host);
		sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static void *wait_for_term(void *arg)
{
	int signo;

	sigwait(arg, &signo);
	draining = 1;
	usleep(DRAIN_MS * 1000);
	_exit(0);
}

static void spawn(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&t, &attr, fn, arg) != 0 && fn == serve)
		close((int)(long)arg);
	pthread_attr_destroy(&attr);
}

int main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	static sigset_t stop;

	gethostname(host, sizeof(host) - 1);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == -1 || listen(fd, 1024) == -1) {
		perror("listen");
		return 1;
	}
	spawn(wait_for_term, &stop);
	spawn(echo_udp, NULL);
	printf("my-app %s listens on :%d\n", VERSION, PORT);
	fflush(stdout);
	for (;;) {
		int c = accept(fd, NULL, NULL);
		if (c >= 0)
			spawn(serve, (void *)(long)c);
		else if (errno == EMFILE)
			usleep(1000);
	}
}
