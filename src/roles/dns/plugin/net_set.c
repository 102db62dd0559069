#include "roles/dns/plugin/net_set.h"

#include <arpa/inet.h>

static const uint8_t ip4_prefix[12] = { [10] = 0xff, [11] = 0xff };

bool net_ip_is_4(const uint8_t ip[16])
{
	return memcmp(ip, ip4_prefix, sizeof(ip4_prefix)) == 0;
}

void net_ip(const struct addr *a, uint8_t ret_ip[16])
{
	if (a->ss.ss_family == AF_INET6) {
		memcpy(ret_ip, &((const struct sockaddr_in6 *)&a->ss)->sin6_addr, 16);
		return;
	}
	memcpy(ret_ip, ip4_prefix, sizeof(ip4_prefix));
	memcpy(ret_ip + 12, &((const struct sockaddr_in *)&a->ss)->sin_addr, 4);
}

void net_ip_mask(uint8_t ip[16], unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = bits > i * 8 ? MIN(bits - i * 8, 8u) : 0;
		ip[i] &= (uint8_t)(0xff00 >> kept);
	}
}

bool net_parse(const char *text, struct net *ret)
{
	char ip_text[INET6_ADDRSTRLEN];
	struct str bits_text, ip = str_cut(str_of(text), '/', &bits_text);
	bool v6 = strchr(text, ':') != NULL;
	uint64_t bits = v6 ? 128 : 32;

	*ret = (struct net){ 0 };
	if (strcmp(text, "*") == 0)
		return true;
	if (ip.len >= sizeof(ip_text) || (bits_text.ptr && !str_to_u64(bits_text, bits, &bits)))
		return false;
	memcpy(ip_text, ip.ptr, ip.len);
	ip_text[ip.len] = '\0';
	if (!v6)
		memcpy(ret->ip, ip4_prefix, sizeof(ip4_prefix));
	if (inet_pton(v6 ? AF_INET6 : AF_INET, ip_text, ret->ip + (v6 ? 0 : 12)) != 1)
		return false;
	ret->bits = (uint8_t)(bits + (v6 ? 0 : 96));
	net_ip_mask(ret->ip, ret->bits);
	return true;
}

bool net_has(const struct net *n, const uint8_t ip[16])
{
	size_t whole = n->bits / 8;
	unsigned rest = n->bits % 8;

	return memcmp(n->ip, ip, whole) == 0 && (!rest || (n->ip[whole] ^ ip[whole]) >> (8 - rest) == 0);
}

bool net_set_add(struct net_set *s, const char *text)
{
	struct net n;

	if (!net_parse(text, &n))
		return false;
	s->nets = xrealloc(s->nets, (s->n + 1) * sizeof(*s->nets));
	s->nets[s->n++] = n;
	return true;
}

void net_set_done(struct net_set *s)
{
	free(s->nets);
	*s = (struct net_set){ 0 };
}

bool net_set_has(const struct net_set *s, const uint8_t ip[16])
{
	for (size_t i = 0; i < s->n; i++)
		if (net_has(&s->nets[i], ip))
			return true;
	return false;
}
