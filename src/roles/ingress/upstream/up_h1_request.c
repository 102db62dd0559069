#include "roles/ingress/upstream/up_h1_int.h"

#include "codec/base64.h"
#include "codec/proxy_protocol.h"
#include "roles/ingress/http/wire.h"

#include <sys/random.h>

#define FIXED_BYTES 256 /* of a head, besides what has a length of its own */
#define KEY_BYTES 16	/* RFC 6455 §4.1 */

/* A WebSocket over HTTP/2 (RFC 8441) has no key; HTTP/1.1 servers want one. */
static char *websocket_key(char *p, struct exchange *x)
{
	uint8_t raw[KEY_BYTES];
	struct buf text;

	if (header_get(&x->up_headers, "sec-websocket-key").ptr || getrandom(raw, sizeof(raw), 0) != sizeof(raw))
		return p;
	buf_init(&text, 2 * KEY_BYTES);
	if (base64_put(&text, (struct str){ (const char *)raw, sizeof(raw) }) == 0) {
		p = WIRE_LITERAL(p, "Sec-WebSocket-Key: ");
		p = wire_put(p, buf_str(&text));
		p = WIRE_LITERAL(p, "\r\n");
	}
	buf_done(&text);
	return p;
}

static char *put_upgrade(char *p, struct exchange *x)
{
	p = WIRE_LITERAL(p, "Upgrade: ");
	p = wire_put(p, x->req.upgrade);
	p = WIRE_LITERAL(p, "\r\nConnection: upgrade\r\n");
	return str_eq(x->up_method, STR("CONNECT")) ? websocket_key(p, x) : p;
}

void up_h1_write_head(struct conn *c, struct exchange *x, bool chunked)
{
	struct str method = x->req.upgrade.len && str_eq(x->up_method, STR("CONNECT")) ? STR("GET") : x->up_method;
	bool http10 = x->loc->set->proxy_http_1_0;
	size_t room = FIXED_BYTES + method.len + x->up_target.len + x->up_host.len + x->req.upgrade.len +
		      wire_headers_size(&x->up_headers);
	char *start = conn_reserve(c, room);
	char *p = wire_put(start, method);

	*p++ = ' ';
	p = wire_put(p, x->up_target);
	p = http10 ? WIRE_LITERAL(p, " HTTP/1.0\r\nHost: ") : WIRE_LITERAL(p, " HTTP/1.1\r\nHost: ");
	p = wire_put(p, x->up_host);
	p = WIRE_LITERAL(p, "\r\n");
	p = wire_headers(p, &x->up_headers);
	if (chunked) {
		p = WIRE_LITERAL(p, "Transfer-Encoding: chunked\r\n");
	} else if (x->req.content_length >= 0) {
		p = WIRE_LITERAL(p, "Content-Length: ");
		p = wire_number(p, (uint64_t)x->req.content_length);
		p = WIRE_LITERAL(p, "\r\n");
	}
	if (x->req.upgrade.len)
		p = put_upgrade(p, x);
	else if (http10)
		p = WIRE_LITERAL(p, "Connection: close\r\n");
	if (x->req.te_trailers)
		p = WIRE_LITERAL(p, "TE: trailers\r\n");
	p = WIRE_LITERAL(p, "\r\n");
	conn_commit(c, (size_t)(p - start));
}

void up_h1_write_trailers(struct conn *c, const struct header_list *h)
{
	char *start = conn_reserve(c, FIXED_BYTES + wire_headers_size(h));
	char *p = WIRE_LITERAL(start, "0\r\n");

	p = wire_headers(p, h);
	p = WIRE_LITERAL(p, "\r\n");
	conn_commit(c, (size_t)(p - start));
}

/* Version 2, as cloud balancers write it. */
void up_h1_write_proxy_header(struct conn *c, struct exchange *x)
{
	char text[PROXY_HEADER_WRITE_BYTES];

	conn_write(c, text, proxy_header_write(2, &x->req.client.ss, &x->endpoint->addr.ss, text));
}
