/* Addresses, and the labels that stand for them. */
#include "roles/dns/zone/service.h"

#include <arpa/inet.h>

/* ::ffff:10.0.0.1 is 10.0.0.1 to everybody who connects. */
static void unmap(struct ip *ip)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	if (ip->len != 16 || memcmp(ip->bytes, mapped, sizeof(mapped)) != 0)
		return;
	memmove(ip->bytes, ip->bytes + 12, 4);
	memset(ip->bytes + 4, 0, 12);
	ip->len = 4;
}

bool ip_read(const char *text, struct ip *ret)
{
	*ret = (struct ip){ 0 };
	if (!text)
		return false;
	if (inet_pton(AF_INET, text, ret->bytes) == 1)
		ret->len = 4;
	else if (inet_pton(AF_INET6, text, ret->bytes) == 1)
		ret->len = 16;
	unmap(ret);
	return ret->len != 0;
}

/* "10-244-0-5", spelled as ip_label does. False: something else, which may mean an address all the same. */
static bool ip4_of_label(const uint8_t *label, uint8_t ret[4])
{
	const uint8_t *p = label + 1, *end = p + label[0];

	for (int i = 0; i < 4; i++) {
		const uint8_t *first = p;
		unsigned v = 0;
		for (; p < end && *p >= '0' && *p <= '9' && p - first < 3; p++)
			v = v * 10 + *p - '0';
		if (p == first || v > 255 || (*first == '0' && p - first > 1))
			return false;
		ret[i] = (uint8_t)v;
		if (i < 3 && (p == end || *p++ != '-'))
			return false;
	}
	return p == end;
}

struct ip ip_of_label(const uint8_t *label)
{
	char text[DNS_LABEL_BYTES_MAX + 1];
	unsigned dashes = 0;
	size_t n = label[0];
	struct ip ip = { .len = 4 };

	if (ip4_of_label(label, ip.bytes))
		return ip;
	memcpy(text, label + 1, n);
	text[n] = '\0';
	for (size_t i = 0; i < n; i++)
		dashes += text[i] == '-';
	char separator = dashes == 3 && !strstr(text, "--") ? '.' : ':';
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\0' || text[i] == '.' || text[i] == ':')
			return (struct ip){ 0 }; /* dashes only */
		if (text[i] == '-')
			text[i] = separator;
	}
	ip_read(text, &ip);
	return ip;
}

static const uint8_t *ip4_label(const uint8_t *ip, uint8_t *out)
{
	uint8_t *p = out + 1;

	for (int i = 0; i < 4; i++) {
		if (i)
			*p++ = '-';
		if (ip[i] >= 100)
			*p++ = (uint8_t)('0' + ip[i] / 100);
		if (ip[i] >= 10)
			*p++ = (uint8_t)('0' + ip[i] / 10 % 10);
		*p++ = (uint8_t)('0' + ip[i] % 10);
	}
	out[0] = (uint8_t)(p - out - 1);
	return out;
}

const uint8_t *ip_label(const uint8_t *ip, size_t len, uint8_t out[DNS_LABEL_BYTES_MAX + 1])
{
	char *text = (char *)out + 1;

	if (len == 4)
		return ip4_label(ip, out);
	inet_ntop(AF_INET6, ip, text, DNS_LABEL_BYTES_MAX);
	size_t n = strlen(text);
	for (size_t i = 0; i < n; i++)
		if (text[i] == '.' || text[i] == ':')
			text[i] = '-';
	if (text[n - 1] == '-')
		text[n++] = '0'; /* a label may not end in a dash: CoreDNS' way out */
	out[0] = (uint8_t)n;
	return out;
}
