#include "roles/ingress/proxy_int.h"

#include "net/http.h"

#include <sys/random.h>

#define HSTS "max-age=31536000; includeSubDomains" /* ingress-nginx's default, on https only */
#define ERROR_PAGE_BYTES 1024

/* Hop-by-hop (RFC 9110 §7.6.1), or set by us: never copied to the upstream. */
static const char *const request_drop[] = {
	"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length", "te", "upgrade", "expect",
	"proxy", "host", "x-request-id", "x-real-ip", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port",
	"x-forwarded-proto", "x-forwarded-scheme", "x-scheme", "x-original-forwarded-for",
};
static const char *const response_drop[] = {
	"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length", "upgrade",
};

static bool listed(struct str name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq_c(name, list[i]))
			return true;
	return false;
}

static struct str header_of(const struct http1_head *h, const char *name)
{
	return http_header_get((struct http_headers){ h->headers, h->n_headers }, name);
}

static void put_header(struct buf *out, const char *name, struct str value)
{
	buf_puts(out, name);
	buf_put(out, ": ", 2);
	buf_put_str(out, value);
	buf_put(out, "\r\n", 2);
}

static void put_request_id(const struct down *d, struct buf *out)
{
	struct str own = header_of(&d->head, "x-request-id");
	unsigned char raw[16];

	if (own.len) {
		put_header(out, "X-Request-ID", own);
		return;
	}
	if (getrandom(raw, sizeof(raw), GRND_NONBLOCK) != sizeof(raw))
		memset(raw, 0, sizeof(raw));
	buf_puts(out, "X-Request-ID: ");
	for (size_t i = 0; i < sizeof(raw); i++)
		buf_printf(out, "%02x", raw[i]);
	buf_puts(out, "\r\n");
}

static void put_forwarded(const struct down *d, struct buf *out)
{
	char peer[ADDR_TEXT_BYTES];
	struct str ip = str_of(addr_ip_text(conn_peer(d->conn), peer));
	struct str before = header_of(&d->head, "x-forwarded-for");
	struct str scheme = d->https ? STR("https") : STR("http");

	put_header(out, "X-Real-IP", ip);
	put_header(out, "X-Forwarded-For", ip);
	put_header(out, "X-Forwarded-Host", d->head.authority);
	put_header(out, "X-Forwarded-Port", d->https ? STR("443") : STR("80"));
	put_header(out, "X-Forwarded-Proto", scheme);
	put_header(out, "X-Forwarded-Scheme", scheme);
	put_header(out, "X-Scheme", scheme);
	if (before.ptr)
		put_header(out, "X-Original-Forwarded-For", before);
}

/* The target goes on as it came, unless a rewrite applies: then the query is kept and the path encoded anew. */
static int put_target(const struct down *d, struct buf *out)
{
	struct buf path;
	int rc;

	if (!d->loc->rewrite_target)
		return buf_put_str(out, d->head.target);
	buf_init(&path, HEAD_BYTES);
	rc = route_rewrite(d->loc, buf_str(&d->path), &path);
	for (size_t i = 0; i < path.len && rc == 0; i++) {
		unsigned char c = (unsigned char)path.ptr[i];
		rc = c <= ' ' || c >= 0x7f || c == '%' || c == '?' || c == '#' ? buf_printf(out, "%%%02X", c) :
										buf_putc(out, (char)c);
	}
	buf_done(&path);
	if (rc == 0 && d->head.query.len)
		rc = buf_putc(out, '?') < 0 ? -1 : buf_put_str(out, d->head.query);
	return rc;
}

int message_request(const struct down *d, struct buf *out)
{
	const struct http1_head *h = &d->head;

	buf_put_str(out, h->method);
	buf_putc(out, ' ');
	if (put_target(d, out) < 0)
		return -1;
	buf_puts(out, " HTTP/1.1\r\n");
	put_header(out, "Host", h->authority);
	put_request_id(d, out);
	put_forwarded(d, out);
	for (size_t i = 0; i < h->n_headers; i++)
		if (!listed(h->headers[i].name, request_drop, ARRAY_LEN(request_drop))) {
			buf_put_str(out, h->headers[i].name);
			buf_put(out, ": ", 2);
			buf_put_str(out, h->headers[i].value);
			buf_put(out, "\r\n", 2);
		}
	if (h->framing == HTTP1_CHUNKED)
		buf_puts(out, "Transfer-Encoding: chunked\r\n");
	else if (h->has_length)
		buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)h->content_length);
	if (h->upgrade && header_of(h, "upgrade").len) {
		put_header(out, "Upgrade", header_of(h, "upgrade"));
		buf_puts(out, "Connection: upgrade\r\n");
	}
	buf_puts(out, "\r\n");
	return out->overflow ? -1 : 0;
}

int message_response(struct down *d, const struct http1_head *h, enum http1_framing framing, struct buf *out)
{
	bool http10 = d->head.minor == 0;
	bool unknown = framing == HTTP1_CHUNKED || framing == HTTP1_UNTIL_CLOSE;

	d->out_chunked = unknown && !http10;
	if (unknown && http10)
		d->keep_alive = false; /* only the end of the connection can end this body */
	buf_printf(out, "HTTP/1.1 %d " STR_FMT "\r\n", h->status, STR_ARG(h->reason));
	for (size_t i = 0; i < h->n_headers; i++)
		if (!listed(h->headers[i].name, response_drop, ARRAY_LEN(response_drop))) {
			buf_put_str(out, h->headers[i].name);
			buf_put(out, ": ", 2);
			buf_put_str(out, h->headers[i].value);
			buf_put(out, "\r\n", 2);
		}
	if (h->status == 101) {
		put_header(out, "Upgrade", header_of(h, "upgrade"));
		buf_puts(out, "Connection: upgrade\r\n");
	} else {
		if (d->out_chunked)
			buf_puts(out, "Transfer-Encoding: chunked\r\n");
		else if (h->has_length)
			buf_printf(out, "Content-Length: %llu\r\n", (unsigned long long)h->content_length);
		buf_puts(out, d->keep_alive ? (http10 ? "Connection: keep-alive\r\n" : "") : "Connection: close\r\n");
	}
	if (d->https && !header_of(h, "strict-transport-security").ptr)
		buf_puts(out, "Strict-Transport-Security: " HSTS "\r\n");
	buf_puts(out, "\r\n");
	return out->overflow ? -1 : 0;
}

/* nginx's words, where they differ from the RFC's; 431 is one of its kinds of 400. */
static const struct words {
	int status, sent;
	const char *reason, *title, *detail;
} all_words[] = {
	{ 408, 408, "Request Time-out", NULL, NULL },
	{ 414, 414, "Request-URI Too Large", NULL, NULL },
	{ 431, 400, "Bad Request", "Request Header Or Cookie Too Large", "Request Header Or Cookie Too Large" },
	{ 503, 503, "Service Temporarily Unavailable", NULL, NULL },
	{ 504, 504, "Gateway Time-out", NULL, NULL },
};

static struct words words_of(int status)
{
	for (size_t i = 0; i < ARRAY_LEN(all_words); i++)
		if (all_words[i].status == status)
			return all_words[i];
	return (struct words){ status, status, http_status_text(status), NULL, NULL };
}

void message_error_page(int status, bool keep_alive, bool head_method, struct buf *out)
{
	const struct words w = words_of(status);
	struct buf page;

	buf_init(&page, ERROR_PAGE_BYTES);
	buf_printf(&page, "<html>\r\n<head><title>%d %s</title></head>\r\n<body>\r\n<center><h1>%d %s</h1></center>\r\n",
		   w.sent, w.title ? w.title : w.reason, w.sent, w.reason);
	if (w.detail)
		buf_printf(&page, "<center>%s</center>\r\n", w.detail);
	buf_puts(&page, "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n");
	buf_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: text/html\r\nContent-Length: %zu\r\n%s\r\n", w.sent, w.reason,
		   page.len, keep_alive ? "" : "Connection: close\r\n");
	if (!head_method)
		buf_put_str(out, buf_str(&page));
	buf_done(&page);
}
