#include "codec/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_SIGNATURE_BYTES 12
#define V2_HEAD_BYTES 16

enum { V2_LOCAL = 0x20, V2_PROXY = 0x21 };
enum { V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_UDP4 = 0x12, V2_TCP6 = 0x21, V2_UDP6 = 0x22, V2_STREAM = 0x31, V2_DGRAM = 0x32 };

/* Bytes of both addresses; the rest are additions (TLVs). */
static const struct {
	uint8_t code;
	uint8_t bytes;
	sa_family_t family; /* AF_UNSPEC: nothing that could be used */
	bool datagram;
} v2_families[] = {
	{ V2_UNSPEC, 0, AF_UNSPEC, false }, { V2_TCP4, 12, AF_INET, false },	 { V2_UDP4, 12, AF_INET, true },
	{ V2_TCP6, 36, AF_INET6, false },   { V2_UDP6, 36, AF_INET6, true },	 { V2_STREAM, 216, AF_UNSPEC, false },
	{ V2_DGRAM, 216, AF_UNSPEC, true },
};

static int broken(struct err *e, const char *what)
{
	return err_set(e, ERR_BAD_REQUEST, "PROXY header: %s", what);
}

static void set_address(struct sockaddr_storage *out, sa_family_t family, const void *ip, uint16_t port_be)
{
	memset(out, 0, sizeof(*out));
	out->ss_family = family;
	if (family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;

		memcpy(&in->sin_addr, ip, 4);
		in->sin_port = port_be;
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

		memcpy(&in6->sin6_addr, ip, 16);
		in6->sin6_port = port_be;
	}
}

static socklen_t address_len(sa_family_t family)
{
	return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* ---- version 1 ---- */

/* inet_pton takes "0127.0.0.1" on some systems, and the text must be one that has only one reading. */
static bool read_ip(struct str text, sa_family_t family, uint8_t ip[16])
{
	char copy[INET6_ADDRSTRLEN];
	struct str rest = text;

	if (text.len == 0 || text.len >= sizeof(copy))
		return false;
	memcpy(copy, text.ptr, text.len);
	copy[text.len] = '\0';
	while (family == AF_INET && rest.ptr) {
		struct str part = str_cut(rest, '.', &rest);

		if (part.len > 1 && part.ptr[0] == '0')
			return false;
	}
	return strlen(copy) == text.len && inet_pton(family, copy, ip) == 1;
}

static bool read_port(struct str text, uint16_t *ret_be)
{
	uint64_t port;

	if ((text.len > 1 && text.ptr[0] == '0') || !str_to_u64(text, UINT16_MAX, &port))
		return false;
	*ret_be = htons((uint16_t)port);
	return true;
}

static int v1_addresses(struct str rest, sa_family_t family, struct proxy_header *h, struct err *e)
{
	struct str field[4];
	uint8_t ip[2][16];
	uint16_t port[2];

	for (size_t i = 0; i < 4; i++)
		field[i] = str_cut(rest, ' ', &rest);
	if (rest.ptr || !read_ip(field[0], family, ip[0]) || !read_ip(field[1], family, ip[1]))
		return broken(e, "not two addresses");
	if (!read_port(field[2], &port[0]) || !read_port(field[3], &port[1]))
		return broken(e, "not two ports");
	set_address(&h->source, family, ip[0], port[0]);
	set_address(&h->destination, family, ip[1], port[1]);
	h->addr_len = address_len(family);
	return 0;
}

static int v1_line(struct str line, struct proxy_header *h, struct err *e)
{
	struct str rest;

	str_cut(line, ' ', &rest); /* "PROXY" */
	struct str protocol = str_cut(rest, ' ', &rest);
	if (str_eq(protocol, STR("TCP4")))
		return v1_addresses(rest, AF_INET, h, e);
	if (str_eq(protocol, STR("TCP6")))
		return v1_addresses(rest, AF_INET6, h, e);
	if (!str_eq(protocol, STR("UNKNOWN")))
		return broken(e, "unknown protocol");
	h->local = true;
	return 0;
}

static ssize_t v1_parse(const char *bytes, size_t len, struct proxy_header *h, struct err *e)
{
	size_t most = MIN(len, (size_t)PROXY_V1_BYTES_MAX);
	const char *end = memchr(bytes, '\n', most);

	h->version = 1;
	if (!end)
		return most < PROXY_V1_BYTES_MAX ? 0 : broken(e, "line too long");
	if (end[-1] != '\r')
		return broken(e, "line not ended by CR LF");
	if (v1_line((struct str){ bytes, (size_t)(end - 1 - bytes) }, h, e) < 0)
		return -1;
	return end + 1 - bytes;
}

/* ---- version 2 ---- */

/* Additions are skipped, but they must fill the header exactly: what looks like the next protocol's bytes is not. */
static bool additions_fit(const uint8_t *at, size_t left)
{
	while (left >= 3) {
		size_t n = (size_t)at[1] << 8 | at[2];

		if (n > left - 3)
			return false;
		at += 3 + n;
		left -= 3 + n;
	}
	return left == 0;
}

static int v2_addresses(const uint8_t *bytes, size_t body, struct proxy_header *h, struct err *e)
{
	const uint8_t *at = bytes + V2_HEAD_BYTES;
	size_t i = 0;

	while (i < ARRAY_LEN(v2_families) && v2_families[i].code != bytes[13])
		i++;
	if (i == ARRAY_LEN(v2_families))
		return broken(e, "unknown address family");
	if (body < v2_families[i].bytes)
		return broken(e, "too short for its addresses");
	sa_family_t family = v2_families[i].family;
	h->datagram = v2_families[i].datagram;
	h->local = family == AF_UNSPEC;
	if (bytes[13] == V2_UNSPEC)
		return 0; /* section 2.2: all of it is ignored */
	if (!additions_fit(at + v2_families[i].bytes, body - v2_families[i].bytes))
		return broken(e, "additions do not fit");
	if (h->local)
		return 0;
	size_t ip = family == AF_INET ? 4 : 16;
	uint16_t port[2];
	memcpy(port, at + 2 * ip, sizeof(port));
	set_address(&h->source, family, at, port[0]);
	set_address(&h->destination, family, at + ip, port[1]);
	h->addr_len = address_len(family);
	return 0;
}

static ssize_t v2_parse(const uint8_t *bytes, size_t len, struct proxy_header *h, struct err *e)
{
	h->version = 2;
	if (len > 12 && bytes[12] != V2_LOCAL && bytes[12] != V2_PROXY)
		return broken(e, "unknown version or command");
	if (len < V2_HEAD_BYTES)
		return 0;
	size_t body = (size_t)bytes[14] << 8 | bytes[15];
	if (V2_HEAD_BYTES + body > PROXY_HEADER_BYTES_MAX)
		return broken(e, "too long");
	if (len < V2_HEAD_BYTES + body)
		return 0;
	if (bytes[12] == V2_LOCAL) /* family and addresses are ignored, whatever they are */
		h->local = true;
	else if (v2_addresses(bytes, body, h, e) < 0)
		return -1;
	return (ssize_t)(V2_HEAD_BYTES + body);
}

static bool begins(const void *bytes, size_t len, const char *with, size_t n)
{
	return memcmp(bytes, with, MIN(len, n)) == 0;
}

ssize_t proxy_header_parse(const void *bytes, size_t len, struct proxy_header *ret, struct err *e)
{
	memset(ret, 0, sizeof(*ret));
	if (len == 0)
		return 0;
	if (begins(bytes, len, "PROXY ", 6))
		return len < 6 ? 0 : v1_parse(bytes, len, ret, e);
	if (begins(bytes, len, V2_SIGNATURE, V2_SIGNATURE_BYTES))
		return len < V2_SIGNATURE_BYTES ? 0 : v2_parse(bytes, len, ret, e);
	return broken(e, "there is none");
}

/* ---- writing ---- */

struct end {
	uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d */
	uint16_t port_be;
};

static bool end_of(const struct sockaddr_storage *a, struct end *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	if (a && a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a;

		memcpy(ret->ip, mapped, 12);
		memcpy(ret->ip + 12, &in->sin_addr, 4);
		ret->port_be = in->sin_port;
		return true;
	}
	if (a && a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;

		memcpy(ret->ip, &in6->sin6_addr, 16);
		ret->port_be = in6->sin6_port;
		return true;
	}
	return false;
}

static bool is_mapped(const struct end *end)
{
	return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)end->ip);
}

static size_t v1_write(const struct end *from, const struct end *to, bool v4, char *out)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];
	int family = v4 ? AF_INET : AF_INET6;
	size_t skip = v4 ? 12 : 0;

	inet_ntop(family, from->ip + skip, a, sizeof(a));
	inet_ntop(family, to->ip + skip, b, sizeof(b));
	return (size_t)snprintf(out, PROXY_HEADER_WRITE_BYTES, "PROXY %s %s %s %u %u\r\n", v4 ? "TCP4" : "TCP6", a, b,
				ntohs(from->port_be), ntohs(to->port_be));
}

static size_t v2_write(const struct end *from, const struct end *to, bool v4, char *out)
{
	size_t ip = v4 ? 4 : 16, skip = 16 - ip;
	char *at = out + V2_HEAD_BYTES;

	out[12] = V2_PROXY;
	out[13] = v4 ? V2_TCP4 : V2_TCP6;
	out[14] = 0;
	out[15] = (char)(2 * ip + 4);
	memcpy(at, from->ip + skip, ip);
	memcpy(at + ip, to->ip + skip, ip);
	memcpy(at + 2 * ip, &from->port_be, 2);
	memcpy(at + 2 * ip + 2, &to->port_be, 2);
	return V2_HEAD_BYTES + 2 * ip + 4;
}

size_t proxy_header_write(unsigned version, const struct sockaddr_storage *source,
			  const struct sockaddr_storage *destination, char out[PROXY_HEADER_WRITE_BYTES])
{
	static const char unknown[] = "PROXY UNKNOWN\r\n";
	static const char local[] = V2_SIGNATURE "\x20\0\0";
	struct end from, to;
	bool known = end_of(source, &from) && end_of(destination, &to);

	if (version == 1 && !known) {
		memcpy(out, unknown, sizeof(unknown) - 1);
		return sizeof(unknown) - 1;
	}
	memcpy(out, local, V2_HEAD_BYTES); /* its last byte is the literal's NUL */
	if (!known)
		return V2_HEAD_BYTES;
	bool v4 = is_mapped(&from) && is_mapped(&to);
	return version == 1 ? v1_write(&from, &to, v4, out) : v2_write(&from, &to, v4, out);
}
