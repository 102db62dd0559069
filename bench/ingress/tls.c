/* TLS 1.3 clients: handshakes one after another, or connections that stay open and do nothing.
 *
 *	tls handshakes ADDRESS:PORT SECONDS full|resumed	prints handshakes, and how many were resumed
 *	tls idle ADDRESS:PORT COUNT tls|plain			connects, prints "open COUNT", holds them until stdin ends
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char request[] = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int dial(const char *to)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	char host[64];
	int port, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (sscanf(to, "%63[^:]:%d", host, &port) != 2 || inet_pton(AF_INET, host, &a.sin_addr) != 1)
		exit(2);
	a.sin_port = htons((uint16_t)port);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		perror("connect");
		exit(1);
	}
	return fd;
}

/* The answer has to be read: tickets come with it. */
static SSL *open_one(SSL_CTX *ctx, const char *to, SSL_SESSION *session)
{
	char answer[4096];
	SSL *ssl = SSL_new(ctx);

	SSL_set_fd(ssl, dial(to));
	SSL_set_tlsext_host_name(ssl, "a.example");
	if (session)
		SSL_set_session(ssl, session);
	if (SSL_connect(ssl) != 1 || SSL_write(ssl, request, sizeof(request) - 1) <= 0 || SSL_read(ssl, answer, sizeof(answer)) <= 0) {
		fprintf(stderr, "no answer over TLS\n");
		exit(1);
	}
	return ssl;
}

static void close_one(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

static void handshakes(SSL_CTX *ctx, const char *to, double seconds, bool resume)
{
	SSL_SESSION *session = NULL;
	double end = now() + seconds;
	long n = 0, resumed = 0;

	for (; now() < end; n++) {
		SSL *ssl = open_one(ctx, to, session);
		resumed += SSL_session_reused(ssl);
		if (resume) {
			SSL_SESSION_free(session);
			session = SSL_get1_session(ssl);
		}
		close_one(ssl);
	}
	printf("%ld %ld\n", n, resumed);
}

static void idle(SSL_CTX *ctx, const char *to, long count, bool tls)
{
	char byte;

	for (long i = 0; i < count; i++) {
		if (tls) {
			open_one(ctx, to, NULL);
			continue;
		}
		int fd = dial(to);
		char answer[4096];
		if (write(fd, request, sizeof(request) - 1) < 0 || read(fd, answer, sizeof(answer)) <= 0)
			exit(1);
	}
	printf("open %ld\n", count);
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (argc != 5)
		return 2;
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	if (strcmp(argv[1], "handshakes") == 0)
		handshakes(ctx, argv[2], atof(argv[3]), strcmp(argv[4], "resumed") == 0);
	else
		idle(ctx, argv[2], atol(argv[3]), strcmp(argv[4], "tls") == 0);
	return 0;
}
