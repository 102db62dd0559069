#include "codec/dns_text_int.h"

#include "codec/base64.h"

#include <arpa/inet.h>

/* What is left of a record's data. `bad`: it ended too early, or a name in it was malformed. */
struct rdata {
	const struct dns_message *m;
	size_t at, end;
	bool bad;
};

static const uint8_t *take(struct rdata *d, size_t n)
{
	const uint8_t *p = (const uint8_t *)d->m->bytes.ptr + d->at;

	if (d->end - d->at < n) {
		d->bad = true;
		return NULL;
	}
	d->at += n;
	return p;
}

static void put_char(struct buf *out, uint8_t c)
{
	if (c < ' ' || c >= 0x7f)
		buf_printf(out, "\\%03u", c);
	else if (c == '"' || c == '\\')
		buf_printf(out, "\\%c", c);
	else
		buf_putc(out, (char)c);
}

/* Without quotes around it, nothing may end the word. */
static void put_plain(struct buf *out, uint8_t c)
{
	if (strchr(" \",;=()", c) || c == '\0')
		buf_printf(out, "\\%03u", c);
	else
		put_char(out, c);
}

static void put_quoted(struct buf *out, const uint8_t *p, size_t n)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < n; i++)
		put_char(out, p[i]);
	buf_putc(out, '"');
}

static void print_string(struct buf *out, struct rdata *d)
{
	const uint8_t *len = take(d, 1), *p = len ? take(d, *len) : NULL;

	if (p)
		put_quoted(out, p, *len);
}

/* A CAA tag: without quotes, an empty one could not be seen (RFC 8659, 4.1 forbids it, too). */
static void print_word(struct buf *out, struct rdata *d)
{
	const uint8_t *len = take(d, 1), *p = len ? take(d, *len) : NULL;

	if (p && !*len)
		d->bad = true;
	for (size_t i = 0; p && i < *len; i++)
		put_plain(out, p[i]);
}

static void print_strings(struct buf *out, struct rdata *d)
{
	if (d->at == d->end)
		d->bad = true;
	while (!d->bad && d->at < d->end) {
		print_string(out, d);
		if (d->at < d->end)
			buf_putc(out, ' ');
	}
}

static void print_number(struct buf *out, struct rdata *d, size_t bytes)
{
	const uint8_t *p = take(d, bytes);
	uint64_t v = 0;

	for (size_t i = 0; p && i < bytes; i++)
		v = v << 8 | p[i];
	buf_put_u64(out, v);
}

static void put_ip(struct buf *out, const uint8_t *p, int family)
{
	char text[INET6_ADDRSTRLEN];

	buf_puts(out, inet_ntop(family, p, text, sizeof(text)));
}

static void print_ip(struct buf *out, struct rdata *d, int family)
{
	const uint8_t *p = take(d, family == AF_INET ? 4 : 16);

	if (p)
		put_ip(out, p, family);
}

static void print_name(struct buf *out, struct rdata *d)
{
	char text[DNS_NAME_TEXT_BYTES];
	struct dns_name n;

	if (!dns_name_read(d->m->bytes, d->at, &n, &d->at) || d->at > d->end) {
		d->bad = true;
		return;
	}
	buf_puts(out, dns_name_text(&n, text));
}

static void put_hex(struct buf *out, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%02x", p[i]);
}

static void print_rest(struct buf *out, struct rdata *d, char kind)
{
	size_t n = d->end - d->at;
	const uint8_t *p = take(d, n);

	if (kind == 'x')
		put_hex(out, p, n);
	else
		put_quoted(out, p, n);
}

/* ---- SVCB's parameters ---- */

static void put_svc_key(struct buf *out, unsigned key)
{
	if (key < SVC_KEYS)
		buf_puts(out, dns_svc_keys[key]);
	else
		buf_printf(out, "key%u", key);
}

static bool put_alpn(struct buf *out, const uint8_t *p, size_t n)
{
	for (size_t at = 0; at < n; at += 1 + (size_t)p[at]) {
		if (!p[at] || at + 1 + p[at] > n)
			return false;
		if (at)
			buf_putc(out, ',');
		for (size_t i = 1; i <= p[at]; i++)
			put_plain(out, p[at + i]);
	}
	return n > 0;
}

/* Lists of things of `size` bytes. */
static bool put_svc_list(struct buf *out, unsigned key, const uint8_t *p, size_t n, size_t size)
{
	if (n == 0 || n % size)
		return false;
	for (size_t at = 0; at < n; at += size) {
		if (at)
			buf_putc(out, ',');
		if (key == SVC_MANDATORY && (get_u16(p + at) == SVC_MANDATORY || get_u16(p + at) == SVC_KEY_INVALID))
			return false;
		if (key == SVC_MANDATORY)
			put_svc_key(out, get_u16(p + at));
		else
			put_ip(out, p + at, size == 4 ? AF_INET : AF_INET6);
	}
	return true;
}

static bool put_svc_value(struct buf *out, unsigned key, const uint8_t *p, size_t n)
{
	switch (key) {
	case SVC_NO_DEFAULT_ALPN:
	case SVC_OHTTP:
		return n == 0;
	case SVC_ALPN:
		return put_alpn(out, p, n);
	case SVC_MANDATORY:
		return put_svc_list(out, key, p, n, 2);
	case SVC_IPV4HINT:
		return put_svc_list(out, key, p, n, 4);
	case SVC_IPV6HINT:
		return put_svc_list(out, key, p, n, 16);
	case SVC_PORT:
		if (n == 2)
			buf_put_u64(out, get_u16(p));
		return n == 2;
	case SVC_ECH:
		return base64_put(out, (struct str){ (const char *)p, n }) == 0;
	default:
		if (n)
			put_quoted(out, p, n);
		return true;
	}
}

/* RFC 9460, 2.2: keys in rising order, each once; anything else is malformed. */
static void print_svc(struct buf *out, struct rdata *d)
{
	int before = -1;

	while (!d->bad && d->at < d->end) {
		const uint8_t *head = take(d, 4);
		const uint8_t *p = head ? take(d, get_u16(head + 2)) : NULL;
		if (!p)
			return;
		unsigned key = get_u16(head);
		put_svc_key(out, key);
		if (get_u16(head + 2))
			buf_putc(out, '=');
		if ((int)key <= before || key == SVC_KEY_INVALID || !put_svc_value(out, key, p, get_u16(head + 2)))
			d->bad = true;
		before = (int)key;
		if (d->at < d->end)
			buf_putc(out, ' ');
	}
}

/* ---- records ---- */

static void print_field(struct buf *out, struct rdata *d, char kind)
{
	switch (kind) {
	case 'b':
		return print_number(out, d, 1);
	case 's':
		return print_number(out, d, 2);
	case 'l':
		return print_number(out, d, 4);
	case 'a':
		return print_ip(out, d, AF_INET);
	case '6':
		return print_ip(out, d, AF_INET6);
	case 'n':
		return print_name(out, d);
	case 't':
		return print_string(out, d);
	case 'T':
		return print_strings(out, d);
	case 'g':
		return print_word(out, d);
	case 'p':
		return print_svc(out, d);
	default:
		return print_rest(out, d, kind);
	}
}

static bool print_format(struct buf *out, const struct dns_message *m, const struct dns_record *r, const char *format)
{
	struct rdata d = { m, r->rdata_at, r->end, false };
	size_t start = out->len;

	for (const char *f = format; *f && !d.bad; f++) {
		if (f != format && (*f != 'p' || d.at < d.end))
			buf_putc(out, ' ');
		print_field(out, &d, *f);
	}
	if (!d.bad && d.at == d.end)
		return true;
	if (out->len > start) {
		out->len = start;
		out->ptr[start] = '\0';
	}
	return false;
}

void dns_text_print_rdata(struct buf *out, const struct dns_message *m, const struct dns_record *r)
{
	const char *format = dns_text_format(r->type);

	if (format && print_format(out, m, r, format))
		return;
	buf_printf(out, "\\# %zu", r->rdata_len);
	if (!r->rdata_len)
		return;
	buf_putc(out, ' ');
	put_hex(out, (const uint8_t *)m->bytes.ptr + r->rdata_at, r->rdata_len);
}

void dns_text_print(struct buf *out, const struct dns_message *m, const struct dns_record *r)
{
	char name[DNS_NAME_TEXT_BYTES], class[DNS_TEXT_TYPE_BYTES], type[DNS_TEXT_TYPE_BYTES];
	struct dns_name owner;
	size_t end;

	if (!dns_name_read(m->bytes, r->at, &owner, &end))
		return;
	buf_printf(out, "%s\t%u\t%s\t%s\t", dns_name_text(&owner, name), r->ttl, dns_class_text(r->class, class),
		   dns_type_text(r->type, type));
	dns_text_print_rdata(out, m, r);
}
