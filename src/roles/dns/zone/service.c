#include "roles/dns/zone/service.h"

const uint8_t *endpoint_host(const struct service *s, size_t i, uint8_t space[DNS_LABEL_BYTES_MAX + 1])
{
	uint32_t at = endpoint_host_at(s, i);

	if (at)
		return (const uint8_t *)s + at;
	return ip_label(endpoint_ip(s, i), endpoint_ip_len(s, i), space);
}

/* The first of `n` places from `first` on where `before` no longer holds. */
static size_t lower_bound(const struct service *s, size_t first, size_t n, const uint8_t *key, size_t len,
			  bool (*before)(const struct service *s, size_t i, const uint8_t *key, size_t len))
{
	while (n) {
		size_t half = n / 2;
		if (before(s, first + half, key, len)) {
			first += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	return first;
}

static bool ip_before(const struct service *s, size_t i, const uint8_t *ip, size_t len)
{
	return memcmp(endpoint_ip(s, i), ip, len) < 0;
}

size_t service_find_ip(const struct service *s, const uint8_t *ip, size_t len, size_t *ret_first)
{
	size_t n = len == 4 ? s->n4 : s->n6, from = len == 4 ? 0 : s->n4;
	size_t first = lower_bound(s, from, n, ip, len, ip_before), end = first;

	while (end < from + n && memcmp(endpoint_ip(s, end), ip, len) == 0)
		end++;
	*ret_first = first;
	return end - first;
}

static const uint8_t *named_label(const struct service *s, size_t i)
{
	return (const uint8_t *)s + endpoint_host_at(s, service_named(s)[i]);
}

static bool label_before(const struct service *s, size_t i, const uint8_t *label, size_t len)
{
	(void)len;
	return label_cmp(named_label(s, i), label) < 0;
}

size_t service_find_named(const struct service *s, const uint8_t *label, size_t *ret_first)
{
	size_t first = lower_bound(s, 0, s->n_named, label, 0, label_before), end = first;

	while (end < s->n_named && label_cmp(named_label(s, end), label) == 0)
		end++;
	*ret_first = first;
	return end - first;
}

static const uint8_t *cluster_ip(const struct service *s, size_t i, size_t *ret_len)
{
	*ret_len = i < s->n_a ? 4 : 16;
	return (i < s->n_a ? service_a(s) + i * A_RECORD_BYTES : service_aaaa(s) + (i - s->n_a) * AAAA_RECORD_BYTES) +
	       RECORD_RDATA_AT;
}

static size_t cluster_ips(const struct service *s)
{
	return s->kind == KIND_CLUSTER_IP ? (size_t)s->n_a + s->n_aaaa : 0;
}

bool service_has_cluster_ip(const struct service *s, const uint8_t *ip, size_t len)
{
	for (size_t i = 0, own_len; i < cluster_ips(s); i++) {
		const uint8_t *own = cluster_ip(s, i, &own_len);
		if (own_len == len && memcmp(own, ip, len) == 0)
			return true;
	}
	return false;
}

bool service_each_ip(const struct service *s, size_t *at, struct ip *ret)
{
	size_t n = cluster_ips(s), len;

	if (*at < n) {
		const uint8_t *ip = cluster_ip(s, (*at)++, &len);
		ret->len = (uint8_t)len;
		memcpy(ret->bytes, ip, len);
		return true;
	}
	for (size_t i; (i = *at - n) < service_endpoints(s);) {
		++*at;
		if (i > 0 && i != s->n4 && memcmp(endpoint_ip(s, i), endpoint_ip(s, i - 1), endpoint_ip_len(s, i)) == 0)
			continue;
		if (n && service_has_cluster_ip(s, endpoint_ip(s, i), endpoint_ip_len(s, i)))
			continue;
		ret->len = endpoint_ip_len(s, i);
		memcpy(ret->bytes, endpoint_ip(s, i), ret->len);
		return true;
	}
	return false;
}
