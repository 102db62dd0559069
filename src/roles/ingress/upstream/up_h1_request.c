#include "roles/ingress/upstream/up_h1_int.h"

#include "codec/proxy_protocol.h"
#include "roles/ingress/http/wire.h"

#define FIXED_BYTES 256 /* of a head, besides what has a length of its own */

static char *put_upgrade(char *p, struct exchange *x)
{
	p = WIRE_LITERAL(p, "Upgrade: ");
	p = wire_put(p, x->req.upgrade);
	return WIRE_LITERAL(p, "\r\nConnection: upgrade\r\n");
}

void up_h1_write_head(struct conn *c, struct exchange *x, bool chunked)
{
	bool http10 = x->loc->set->proxy_http_1_0;
	size_t room = FIXED_BYTES + x->up_method.len + x->up_target.len + x->up_host.len + x->req.upgrade.len +
		      wire_headers_size(&x->up_headers);
	char *start = conn_reserve(c, room);
	char *p = wire_put(start, x->up_method);

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

	conn_write_ahead(c, text, proxy_header_write(2, &x->req.client.ss, &x->endpoint->addr.ss, text));
}
