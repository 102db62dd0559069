/* http.h - a blocking HTTP/1.1 client over TLS for benchmarks: one connection, kept alive.
 *
 * Nothing of portico is linked in: both sides are asked by the same, foreign code. HTTP/1.1 is
 * spoken to both (no ALPN); the server's certificate is not verified, as it may not exist yet when
 * a cold start is polled.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http {
	const char *host; /* "127.0.0.1:6443" */
	const char *name; /* Host header; NULL: `host` */
	SSL_CTX *tls;	  /* NULL: plain HTTP */
	int fd;
	SSL *ssl;
	/* What was read and not yet taken: [at, end). */
	char in[65536];
	size_t at, end;
	/* Of the response being read: bytes left of the body or the chunk; chunked bodies end themselves. */
	size_t left;
	bool chunked, over;
	/* The last whole body, NUL-terminated; kept between calls. */
	char *body;
	size_t body_len, body_cap;
};

/* cert, key: PEM files of a client certificate; NULL: anonymous. NULL when they cannot be read. */
SSL_CTX *http_tls_new(const char *cert, const char *key);
void http_init(struct http *h, const char *host, SSL_CTX *tls);
void http_close(struct http *h);
/* Connects if need be, sends, reads the whole answer. The status; -1 when the connection failed, which is closed
 * then. */
int http_call(struct http *h, const char *method, const char *path, const char *body);
/* As http_call, but the body is left to http_read_line: for watches. */
int http_open(struct http *h, const char *method, const char *path, const char *body);
/* The next line of an open body, without its end; NULL at the end. Borrowed until the next call. */
const char *http_read_line(struct http *h);

uint64_t now_ns(void); /* CLOCK_REALTIME, as `date +%s%N` */
