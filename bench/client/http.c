#include "http.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 8192

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

SSL_CTX *http_tls_new(const char *cert, const char *key)
{
	SSL_CTX *c = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_verify(c, SSL_VERIFY_NONE, NULL);
	if (cert && (SSL_CTX_use_certificate_chain_file(c, cert) != 1 ||
		     SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1)) {
		SSL_CTX_free(c);
		return NULL;
	}
	return c;
}

void http_init(struct http *h, const char *host, SSL_CTX *tls)
{
	memset(h, 0, sizeof(*h));
	h->host = host;
	h->tls = tls;
	h->fd = -1;
}

void http_close(struct http *h)
{
	SSL_free(h->ssl);
	h->ssl = NULL;
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
}

static int connect_tcp(const char *host)
{
	struct addrinfo *found, want = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	char name[256];
	int fd, one = 1;

	snprintf(name, sizeof(name), "%s", host);
	char *port = strrchr(name, ':');
	if (!port)
		return -1;
	*port++ = '\0';
	if (getaddrinfo(name, port, &want, &found) != 0)
		return -1;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == -1) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static int ensure_connected(struct http *h)
{
	if (h->fd >= 0)
		return 0;
	h->at = h->end = 0;
	h->fd = connect_tcp(h->host);
	if (h->fd < 0)
		return -1;
	if (!h->tls)
		return 0;
	h->ssl = SSL_new(h->tls);
	SSL_set_fd(h->ssl, h->fd);
	if (SSL_connect(h->ssl) == 1)
		return 0;
	http_close(h);
	return -1;
}

static bool send_all(struct http *h, const char *p, size_t n)
{
	while (n) {
		ssize_t k = h->ssl ? SSL_write(h->ssl, p, (int)n) : send(h->fd, p, n, MSG_NOSIGNAL);
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static bool fill(struct http *h)
{
	if (h->at == h->end)
		h->at = h->end = 0;
	if (h->end == sizeof(h->in)) {
		memmove(h->in, h->in + h->at, h->end - h->at);
		h->end -= h->at;
		h->at = 0;
	}
	size_t room = sizeof(h->in) - h->end;
	ssize_t k = !room ? 0 : h->ssl ? SSL_read(h->ssl, h->in + h->end, (int)room) :
					 recv(h->fd, h->in + h->end, room, 0);
	if (k <= 0)
		return false;
	h->end += (size_t)k;
	return true;
}

/* A line of the head, or of a chunk's frame. */
static bool frame_line(struct http *h, char line[LINE_BYTES])
{
	char *nl;

	while (!(nl = memchr(h->in + h->at, '\n', h->end - h->at)))
		if (!fill(h))
			return false;
	size_t len = (size_t)(nl - (h->in + h->at));
	if (len >= LINE_BYTES)
		return false;
	memcpy(line, h->in + h->at, len);
	line[len && line[len - 1] == '\r' ? len - 1 : len] = '\0';
	h->at += len + 1;
	return true;
}

static bool send_request(struct http *h, const char *method, const char *path, const char *body)
{
	char head[2048];
	size_t len = body ? strlen(body) : 0;
	int n = snprintf(head, sizeof(head),
			 "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: application/json\r\n"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
			 method, path, h->name ? h->name : h->host, len);

	if (n < 0 || (size_t)n >= sizeof(head))
		return false;
	if (len && (size_t)n + len < sizeof(head)) { /* one packet */
		memcpy(head + n, body, len);
		return send_all(h, head, (size_t)n + len);
	}
	return send_all(h, head, (size_t)n) && (!len || send_all(h, body, len));
}

static int read_head(struct http *h)
{
	char line[LINE_BYTES];
	int status;

	if (!frame_line(h, line) || sscanf(line, "HTTP/1.%*d %d", &status) != 1)
		return -1;
	h->chunked = h->over = false;
	h->left = 0;
	while (frame_line(h, line)) {
		if (!line[0])
			return status;
		if (strncasecmp(line, "content-length:", 15) == 0)
			h->left = strtoul(line + 15, NULL, 10);
		else if (strncasecmp(line, "transfer-encoding: chunked", 26) == 0)
			h->chunked = true;
	}
	return -1;
}

/* 1: h->left bytes of the body follow; 0: it has ended; -1: broken. */
static int next_part(struct http *h)
{
	char line[LINE_BYTES];

	if (h->left)
		return 1;
	if (!h->chunked || h->over)
		return 0;
	do {
		if (!frame_line(h, line))
			return -1;
	} while (!line[0]); /* the end of the chunk before */
	h->left = strtoul(line, NULL, 16);
	if (h->left)
		return 1;
	h->over = true;
	while (frame_line(h, line))
		if (!line[0])
			return 0;
	return -1;
}

static void body_put(struct http *h, size_t n)
{
	if (h->body_len + n + 1 > h->body_cap) {
		h->body_cap = (h->body_len + n + 1) * 2;
		h->body = realloc(h->body, h->body_cap);
		if (!h->body)
			abort();
	}
	memcpy(h->body + h->body_len, h->in + h->at, n);
	h->body_len += n;
	h->body[h->body_len] = '\0';
	h->at += n;
	h->left -= n;
}

static int read_body(struct http *h)
{
	int more;

	h->body_len = 0;
	while ((more = next_part(h)) > 0) {
		if (h->at == h->end && !fill(h))
			return -1;
		size_t have = h->end - h->at;
		body_put(h, have < h->left ? have : h->left);
	}
	if (!h->body_len && h->body)
		h->body[0] = '\0';
	return more;
}

int http_open(struct http *h, const char *method, const char *path, const char *body)
{
	int status = -1;

	if (ensure_connected(h) == 0 && send_request(h, method, path, body))
		status = read_head(h);
	if (status < 0)
		http_close(h);
	return status;
}

int http_call(struct http *h, const char *method, const char *path, const char *body)
{
	int status = http_open(h, method, path, body);

	if (status >= 0 && read_body(h) < 0) {
		http_close(h);
		return -1;
	}
	return status;
}

const char *http_read_line(struct http *h)
{
	h->body_len = 0;
	while (next_part(h) > 0) {
		if (h->at == h->end && !fill(h))
			return NULL;
		size_t have = h->end - h->at < h->left ? h->end - h->at : h->left;
		char *nl = memchr(h->in + h->at, '\n', have);
		body_put(h, nl ? (size_t)(nl - (h->in + h->at)) + 1 : have);
		if (nl) {
			h->body[h->body_len - 1] = '\0';
			return h->body;
		}
	}
	return NULL;
}
