#include "roles/ingress/http/subrequest.h"

#include <arpa/inet.h>

static int refuse(struct err *e, const char *why)
{
	return err_set(e, ERR_INVALID, "URL: %s", why);
}

/* What would end a request line or a header, and what the browser keeps for itself. */
static bool has_bad_byte(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 0x7f || s.ptr[i] == '#' || s.ptr[i] == '\\')
			return true;
	return false;
}

static bool host_is_name(struct str host)
{
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];

		if (!((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '.' || c == '_'))
			return false;
	}
	return host.len > 0 && host.len <= SUBREQUEST_HOST_BYTES_MAX;
}

static bool host_is_ipv6(struct str host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr ip;

	if (host.len >= sizeof(text))
		return false;
	memcpy(text, host.ptr, host.len);
	text[host.len] = '\0';
	return inet_pton(AF_INET6, text, &ip) == 1;
}

/* "[::1]:80", "name:80", "name" */
static int parse_authority(struct url *u, struct err *e)
{
	struct str port, s = u->authority;
	uint64_t n = u->https ? 443 : 80;
	const char *end = s.len && s.ptr[0] == '[' ? memchr(s.ptr, ']', s.len) : NULL;

	if (end) {
		struct str rest = {end + 1, (size_t)(s.ptr + s.len - end - 1)};

		u->host = (struct str){s.ptr + 1, (size_t)(end - s.ptr - 1)};
		if (!host_is_ipv6(u->host) || str_cut(rest, ':', &port).len)
			return refuse(e, "no IPv6 address in brackets");
	} else {
		u->host = str_cut(s, ':', &port);
		if (!host_is_name(u->host))
			return refuse(e, "no host");
	}
	if (port.ptr && (!str_to_u64(port, UINT16_MAX, &n) || n == 0))
		return refuse(e, "no port");
	u->port = (uint16_t)n;
	return 0;
}

int url_parse(struct str text, struct url *ret, struct err *e)
{
	struct url u = {.https = text.len >= 8 && str_ieq((struct str){text.ptr, 8}, STR("https://"))};
	size_t scheme = u.https ? 8 : 7;

	if (!u.https && !(text.len >= 7 && str_ieq((struct str){text.ptr, 7}, STR("http://"))))
		return refuse(e, "neither http:// nor https://");
	if (has_bad_byte(text))
		return refuse(e, "a blank, a control character, '#' or '\\'");
	struct str rest = {text.ptr + scheme, text.len - scheme};
	size_t n = 0;
	while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
		n++;
	u.authority = (struct str){rest.ptr, n};
	u.target = (struct str){rest.ptr + n, rest.len - n};
	if (parse_authority(&u, e) < 0)
		return -1;
	*ret = u;
	return 0;
}
