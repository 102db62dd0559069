/* load - asks one HTTP address over and over, a new connection each time, and counts what fails and how.
 *
 *   load ADDRESS PORT PATH [HOST-HEADER]
 *
 * Runs until SIGTERM or SIGINT (ten minutes at most), then prints
 *   requests=N refused=N cut=N timeout=N status=N
 * where "cut" is a connection that ended before its answer. Exit status 0 when nothing failed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define THREADS 3
#define PAUSE_US 2000
#define TIMEOUT_S 5
#define RUN_S_MAX 600

static struct sockaddr_in to;
static char request[1024];
static size_t request_len;
static atomic_ulong n_requests, n_refused, n_cut, n_timeout, n_status;
static atomic_int stop;

static void complain(const char *what, int error)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	fprintf(stderr, "%ld.%03ld %s: %s\n", (long)t.tv_sec, t.tv_nsec / 1000000, what, error ? strerror(error) : "");
}

static void read_answer(int fd)
{
	char buf[4096];
	size_t have = 0;
	ssize_t n;

	while (have < sizeof(buf) - 1 && (n = recv(fd, buf + have, sizeof(buf) - 1 - have, 0)) > 0)
		have += (size_t)n;
	buf[have] = '\0';
	if (have == 0 && n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		n_timeout++;
		complain("no answer in time", 0);
	} else if (have < 12) {
		n_cut++;
		complain("cut", n == -1 ? errno : 0);
	} else if (strncmp(buf + 9, "200", 3) != 0) {
		n_status++;
		buf[strcspn(buf, "\r\n")] = '\0';
		complain(buf, 0);
	}
}

static void ask_once(void)
{
	struct timeval limit = { .tv_sec = TIMEOUT_S };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	n_requests++;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == -1) {
		if (errno == EAGAIN || errno == EINPROGRESS || errno == ETIMEDOUT)
			n_timeout++;
		else
			n_refused++;
		complain("connect", errno);
	} else if (send(fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len) {
		n_cut++;
		complain("send", errno);
	} else {
		read_answer(fd);
	}
	close(fd);
}

static void *run(void *arg)
{
	while (!stop) {
		ask_once();
		usleep(PAUSE_US);
	}
	return arg;
}

static void on_stop(int signo)
{
	(void)signo;
	stop = 1;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	if (argc < 4) {
		fprintf(stderr, "usage: load ADDRESS PORT PATH [HOST]\n");
		return 2;
	}
	to.sin_family = AF_INET;
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	if (inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	request_len = (size_t)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[3],
				       argc > 4 ? argv[4] : argv[1]);
	signal(SIGTERM, on_stop);
	signal(SIGINT, on_stop);
	signal(SIGALRM, on_stop);
	alarm(RUN_S_MAX);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("requests=%lu refused=%lu cut=%lu timeout=%lu status=%lu\n", n_requests, n_refused, n_cut, n_timeout, n_status);
	return n_refused + n_cut + n_timeout + n_status ? 1 : 0;
}
