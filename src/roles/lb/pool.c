#include "roles/lb/pool.h"

#include <arpa/inet.h>
#include <stdio.h>

bool ip4_parse(const char *text, uint32_t *ret_ip)
{
	struct in_addr a;

	if (!text || inet_pton(AF_INET, text, &a) != 1)
		return false;
	*ret_ip = ntohl(a.s_addr);
	return true;
}

const char *ip4_text(uint32_t ip, char out[IP4_TEXT_BYTES])
{
	snprintf(out, IP4_TEXT_BYTES, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
	return out;
}

static bool ip4_of(struct str s, uint32_t *ret_ip)
{
	char text[IP4_TEXT_BYTES];

	s = str_trim(s);
	if (!s.ptr || s.len >= sizeof(text))
		return false;
	memcpy(text, s.ptr, s.len);
	text[s.len] = '\0';
	return ip4_parse(text, ret_ip);
}

static bool network_of(uint32_t ip, struct str bits, struct pool_range *ret_range)
{
	uint64_t len;

	if (!str_to_u64(str_trim(bits), 32, &len))
		return false;
	uint32_t hosts = len == 0 ? UINT32_MAX : (1u << (32 - len)) - 1;
	*ret_range = (struct pool_range){ .first = ip & ~hosts, .last = ip | hosts, .skip_ends = len < 31 };
	return true;
}

static bool range_of(struct str item, struct pool_range *ret_range)
{
	struct str bits, last, first = str_cut(item, '-', &last), net = str_cut(item, '/', &bits);
	uint32_t ip;

	if (bits.ptr)
		return ip4_of(net, &ip) && network_of(ip, bits, ret_range);
	*ret_range = (struct pool_range){ 0 };
	if (!ip4_of(first, &ret_range->first))
		return false;
	if (!last.ptr)
		ret_range->last = ret_range->first;
	else if (!ip4_of(last, &ret_range->last))
		return false;
	return ret_range->first <= ret_range->last;
}

int pool_parse(const char *text, struct pool *ret_pool, struct err *e)
{
	struct str rest = str_of(text);
	struct pool p = { 0 };

	while (rest.ptr) {
		struct str item = str_trim(str_cut(rest, ',', &rest));

		if (item.len == 0)
			continue;
		if (p.n == POOL_RANGES_MAX)
			return err_set(e, ERR_BAD_REQUEST, "--lb-pool: more than %d ranges", POOL_RANGES_MAX);
		if (!range_of(item, &p.ranges[p.n++]))
			return err_set(e, ERR_BAD_REQUEST,
				       "--lb-pool: '" STR_FMT "' is neither a network (198.18.0.0/24) nor a range "
				       "(198.18.0.10-198.18.0.20)", STR_ARG(item));
	}
	*ret_pool = p;
	return 0;
}

static bool range_has(const struct pool_range *r, uint32_t ip)
{
	if (ip < r->first || ip > r->last)
		return false;
	return !r->skip_ends || ((ip & 255) != 0 && (ip & 255) != 255);
}

bool pool_has(const struct pool *p, uint32_t ip)
{
	for (size_t i = 0; i < p->n; i++)
		if (range_has(&p->ranges[i], ip))
			return true;
	return false;
}

bool pool_find(const struct pool *p, bool (*taken)(void *ctx, uint32_t ip), void *ctx, uint32_t *ret_ip)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct pool_range *r = &p->ranges[i];

		for (uint64_t ip = r->first; ip <= r->last; ip++) {
			if (!range_has(r, ip) || taken(ctx, ip))
				continue;
			*ret_ip = ip;
			return true;
		}
	}
	return false;
}
