#include "roles/dns/config/zones.h"

#include <arpa/inet.h>
#include <stdio.h>

#define REVERSE_TEXT_BYTES 128 /* 32 digits with dots, "ip6.arpa" */

static void append(struct zone_names *z, const struct dns_name *name)
{
	z->at = xrealloc(z->at, (z->n + 1) * sizeof(*z->at));
	z->at[z->n++] = *name;
}

/* A digit is an octet of IPv4, half of one of IPv6. */
static unsigned digit(const uint8_t *ip, bool v6, unsigned i)
{
	return !v6 ? ip[i] : i % 2 ? ip[i / 2] & 15u : ip[i / 2] >> 4;
}

/* The zone of the first `n` digits, the last of them being `last`. */
static void append_reverse(struct zone_names *z, const uint8_t *ip, bool v6, unsigned n, unsigned last)
{
	char text[REVERSE_TEXT_BYTES];
	struct dns_name name;
	size_t len = 0;

	for (unsigned i = n; i > 0; i--)
		len += (size_t)snprintf(text + len, sizeof(text) - len, v6 ? "%x." : "%u.", i == n ? last : digit(ip, v6, i - 1));
	snprintf(text + len, sizeof(text) - len, "%s", v6 ? "ip6.arpa" : "in-addr.arpa");
	if (dns_name_from_text(str_of(text), &name))
		append(z, &name);
}

/* "10.0.0.0/9" */
static bool add_network(struct zone_names *z, struct str word)
{
	struct str length;
	cleanup(freep) char *text = str_dup(str_cut(word, '/', &length));
	uint8_t ip[16];
	uint64_t bits;
	bool v6 = strchr(text, ':');

	if (inet_pton(v6 ? AF_INET6 : AF_INET, text, ip) != 1 || !str_to_u64(length, v6 ? 128 : 32, &bits))
		return false;
	unsigned step = v6 ? 4 : 8, n = ((unsigned)bits + step - 1) / step, open = n * step - (unsigned)bits;
	unsigned first = n ? digit(ip, v6, n - 1) >> open << open : 0;
	for (unsigned i = 0; i < 1u << open; i++)
		append_reverse(z, ip, v6, n, first + i);
	return true;
}

bool zone_names_add(struct zone_names *z, struct str word)
{
	struct dns_name name;

	if (word.len && memchr(word.ptr, '/', word.len) && add_network(z, word))
		return true;
	if (word.len && memchr(word.ptr, ':', word.len))
		return false; /* an address, or a port that is none */
	if (!dns_name_from_text(word, &name))
		return false;
	append(z, &name);
	return true;
}

void zone_names_done(struct zone_names *z)
{
	free(z->at);
	*z = (struct zone_names){ 0 };
}
