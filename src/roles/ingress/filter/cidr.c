#include "roles/ingress/filter/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define LINEAR_MAX 8 /* up to here a loop is quicker than a search */

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static void address_from_v4(uint8_t ip[16], const void *v4)
{
	memcpy(ip, mapped_prefix, sizeof(mapped_prefix));
	memcpy(ip + sizeof(mapped_prefix), v4, 4);
}

static void mask_apply(struct cidr *c)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = c->bits <= 8 * i ? 0 : MIN(c->bits - 8 * i, 8u);
		c->ip[i] &= (uint8_t)(0xff00 >> kept);
	}
}

static bool cidr_contains(const struct cidr *c, const uint8_t ip[16])
{
	unsigned whole = c->bits / 8, rest = c->bits % 8;
	if (memcmp(c->ip, ip, whole) != 0)
		return false;
	return rest == 0 || (uint8_t)((c->ip[whole] ^ ip[whole]) >> (8 - rest)) == 0;
}

int cidr_parse(struct str text, struct cidr *ret, struct err *e)
{
	char ip[INET6_ADDRSTRLEN];
	struct str prefix, address = str_cut(str_trim(text), '/', &prefix);
	uint8_t raw[16];
	uint64_t bits;
	if (address.len == 0 || address.len >= sizeof(ip))
		return err_set(e, ERR_INVALID, "invalid CIDR address: " STR_FMT, STR_ARG(text));
	memcpy(ip, address.ptr, address.len);
	ip[address.len] = '\0';
	bool v4 = inet_pton(AF_INET, ip, raw) == 1;
	bits = v4 ? 32 : 128;
	if ((!v4 && inet_pton(AF_INET6, ip, raw) != 1) || strlen(ip) != address.len ||
	    (prefix.ptr != NULL && !str_to_u64(prefix, bits, &bits)))
		return err_set(e, ERR_INVALID, "invalid CIDR address: " STR_FMT, STR_ARG(text));
	struct cidr c = { .bits = (uint8_t)(v4 ? bits + 96 : bits) };
	if (v4)
		address_from_v4(c.ip, raw);
	else
		memcpy(c.ip, raw, sizeof(c.ip));
	mask_apply(&c);
	*ret = c;
	return 0;
}

static int cidr_compare(const void *pa, const void *pb)
{
	const struct cidr *a = pa, *b = pb;
	int order = memcmp(a->ip, b->ip, sizeof(a->ip));
	return order != 0 ? order : (int)a->bits - (int)b->bits;
}

void cidr_list_sort(struct cidr_list *l)
{
	if (l->n < 2)
		return;
	qsort(l->at, l->n, sizeof(*l->at), cidr_compare);
	size_t kept = 1;
	for (size_t i = 1; i < l->n; i++)
		if (!cidr_contains(&l->at[kept - 1], l->at[i].ip))
			l->at[kept++] = l->at[i];
	l->n = kept;
}

int cidr_list_parse(struct str text, struct cidr_list *l, struct err *e)
{
	struct cidr_list made = { 0 };
	size_t cap = 0;
	while (text.ptr != NULL) {
		struct str one = str_trim(str_cut(text, ',', &text));
		if (one.len == 0)
			continue;
		if (made.n == cap) {
			cap = cap == 0 ? 8 : 2 * cap;
			made.at = xrealloc(made.at, cap * sizeof(*made.at));
		}
		if (cidr_parse(one, &made.at[made.n], e) != 0)
			goto fail;
		if (++made.n + l->n > CIDR_LIST_MAX) {
			err_set(e, ERR_TOO_LARGE, "more than %u address ranges", CIDR_LIST_MAX);
			goto fail;
		}
	}
	if (made.n > 0) {
		l->at = xrealloc(l->at, (l->n + made.n) * sizeof(*l->at));
		memcpy(l->at + l->n, made.at, made.n * sizeof(*l->at));
		l->n += made.n;
	}
	free(made.at);
	cidr_list_sort(l);
	return 0;
fail:
	free(made.at);
	return -1;
}

void cidr_list_done(struct cidr_list *l)
{
	free(l->at);
	*l = (struct cidr_list){ 0 };
}

static bool address_of(const struct addr *a, uint8_t ip[16])
{
	if (a->ss.ss_family == AF_INET) {
		address_from_v4(ip, &((const struct sockaddr_in *)&a->ss)->sin_addr);
		return true;
	}
	if (a->ss.ss_family == AF_INET6) {
		memcpy(ip, &((const struct sockaddr_in6 *)&a->ss)->sin6_addr, 16);
		return true;
	}
	return false;
}

bool cidr_list_has(const struct cidr_list *l, const struct addr *a)
{
	uint8_t ip[16];
	if (l->n == 0 || !address_of(a, ip))
		return false;
	if (l->n <= LINEAR_MAX) {
		for (size_t i = 0; i < l->n; i++)
			if (cidr_contains(&l->at[i], ip))
				return true;
		return false;
	}
	/* Without overlaps only the last range that begins at or before the address can have it. */
	size_t low = 0, high = l->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (memcmp(l->at[mid].ip, ip, sizeof(ip)) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low > 0 && cidr_contains(&l->at[low - 1], ip);
}
