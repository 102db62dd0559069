/* A client that asks an exact number of times, for counting instructions: every connection has one request under way.
 *
 *	ask ADDRESS:PORT REQUESTS CONNECTIONS plain|tls|close [HEADERS [hosts|paths COUNT]]
 *
 * close: a connection for each request. hosts, paths: COUNT different ones, in an order that caches cannot guess.
 */
#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 1024

struct link {
	int fd;
	SSL *ssl;
};

static SSL_CTX *tls;
static char request[16384];
static char *varied; /* six digits in it: of the host or of the path */
static long n_varied = 1, n_asked;
static struct sockaddr_in to = { .sin_family = AF_INET };

static void die(const char *what)
{
	fprintf(stderr, "ask: %s\n", what);
	exit(1);
}

static struct link open_one(void)
{
	struct link l = { .fd = socket(AF_INET, SOCK_STREAM, 0) };

	if (connect(l.fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("cannot connect");
	if (!tls)
		return l;
	l.ssl = SSL_new(tls);
	SSL_set_fd(l.ssl, l.fd);
	SSL_set_tlsext_host_name(l.ssl, "a.example");
	if (SSL_connect(l.ssl) != 1)
		die("no handshake");
	return l;
}

static void close_one(struct link *l)
{
	SSL_free(l->ssl);
	close(l->fd);
}

static void ask(struct link *l)
{
	if (varied) {
		char digits[24];
		snprintf(digits, sizeof(digits), "%06ld", n_asked++ * 7919 % n_varied);
		memcpy(varied, digits, 6);
	}
	ssize_t len = (ssize_t)strlen(request), n = l->ssl ? SSL_write(l->ssl, request, (int)len) : write(l->fd, request, (size_t)len);

	if (n != len)
		die("cannot write");
}

/* Content-Length says how long it is: a head is small enough to come at once. */
static void answer(struct link *l)
{
	static char in[65536];
	size_t have = 0, want = 0;

	while (!want || have < want) {
		int n = l->ssl ? SSL_read(l->ssl, in + have, (int)(sizeof(in) - 1 - have))
			       : (int)read(l->fd, in + have, sizeof(in) - 1 - have);
		if (n <= 0)
			die("no answer");
		have += (size_t)n;
		in[have] = '\0';
		char *end = strstr(in, "\r\n\r\n"), *length = strcasestr(in, "content-length:");
		if (end && (!length || strncmp(in, "HTTP/1.1 200", 12) != 0))
			die(in);
		if (end)
			want = (size_t)(end + 4 - in) + strtoul(length + 15, NULL, 10);
	}
}

int main(int argc, char **argv)
{
	struct link links[CONNECTIONS_MAX];
	char host[64];
	int port;

	if (argc < 5 || sscanf(argv[1], "%63[^:]:%d", host, &port) != 2)
		return 2;
	long left = atol(argv[2]), connections = atol(argv[3]);
	bool each = strcmp(argv[4], "close") == 0;
	if (connections < 1 || connections > CONNECTIONS_MAX)
		return 2;
	to.sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, host, &to.sin_addr);
	if (strcmp(argv[4], "tls") == 0)
		tls = SSL_CTX_new(TLS_client_method());
	bool hosts = argc > 7 && strcmp(argv[6], "hosts") == 0, paths = argc > 7 && !hosts;
	if (argc > 7)
		n_varied = atol(argv[7]);
	char *p = request + sprintf(request, "GET /%s HTTP/1.1\r\nHost: %s.example\r\n%s", paths ? "p000000/api" : "",
				    hosts ? "h000000.bench" : "a", each ? "Connection: close\r\n" : "");
	varied = hosts ? strstr(request, "h000000") + 1 : paths ? strstr(request, "p000000") + 1 : NULL;
	for (int i = argc > 5 ? atoi(argv[5]) : 0; i > 0; i--)
		p += sprintf(p, "X-Header-Number-%d: some value of usual length %d\r\n", i, i);
	strcpy(p, "\r\n");
	for (long i = 0; i < connections && !each; i++)
		links[i] = open_one();
	while (left > 0) {
		long now = left < connections ? left : connections;
		for (long i = 0; i < now; i++) {
			if (each)
				links[i] = open_one();
			ask(&links[i]);
		}
		for (long i = 0; i < now; i++) {
			answer(&links[i]);
			if (each)
				close_one(&links[i]);
		}
		left -= now;
	}
	return 0;
}
