#include "roles/dns/plugin/hosts_table.h"

#include "base/map.h"
#include "roles/dns/plugin/net_set.h"

#include <arpa/inet.h>
#include <stdio.h>

struct hosts_table {
	const struct zone_set *zones;
	bool reverse;
	struct map names, ips; /* wire form → struct hosts_addresses; 16 bytes → struct hosts_names */
};

static void addresses_free(void *value)
{
	struct hosts_addresses *a = value;

	free(a->ip4);
	free(a->ip6);
	free(a);
}

static void names_free(void *value)
{
	struct hosts_names *n = value;

	free(n->wire);
	free(n);
}

struct hosts_table *hosts_table_new(const struct zone_set *zones, bool reverse)
{
	struct hosts_table *t = xcalloc(1, sizeof(*t));

	t->zones = zones;
	t->reverse = reverse;
	map_init(&t->names);
	map_init(&t->ips);
	return t;
}

void hosts_table_free(void *table)
{
	struct hosts_table *t = table;

	if (!t)
		return;
	map_done(&t->names, addresses_free);
	map_done(&t->ips, names_free);
	free(t);
}

/* ---- reading ---- */

static void append(uint8_t **list, unsigned *n, const uint8_t *ip, size_t size)
{
	/* Grows at powers of two, which the count itself tells. */
	if ((*n & (*n - 1)) == 0)
		*list = xrealloc(*list, (*n ? 2 * *n : 1) * size);
	memcpy(*list + *n * size, ip, size);
	++*n;
}

static void add_name(struct hosts_table *t, const struct dns_name *name, const uint8_t ip[16])
{
	struct str key = { (const char *)name->wire, name->len };
	struct hosts_addresses *a = map_get(&t->names, key);

	if (!a) {
		a = xcalloc(1, sizeof(*a));
		map_put(&t->names, key, a);
	}
	if (net_ip_is_4(ip))
		append(&a->ip4, &a->n4, ip + 12, 4);
	else
		append(&a->ip6, &a->n6, ip, 16);
}

static void add_ip(struct hosts_table *t, const uint8_t ip[16], const struct dns_name *name)
{
	struct str key = { (const char *)ip, 16 };
	struct hosts_names *n = map_get(&t->ips, key);

	if (!n) {
		n = xcalloc(1, sizeof(*n));
		map_put(&t->ips, key, n);
	}
	/* What a message can hold, and more is never asked: 0.0.0.0 has a million names in a block list. */
	if (n->len + name->len > DNS_MESSAGE_BYTES_MAX)
		return;
	if (n->len == 0 || (n->len ^ (n->len + name->len)) > n->len)
		n->wire = xrealloc(n->wire, 2 * (n->len + name->len));
	memcpy(n->wire + n->len, name->wire, name->len);
	n->len += name->len;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct str word_next(struct str *line)
{
	size_t n = 0;

	while (line->len && is_blank(*line->ptr)) {
		line->ptr++;
		line->len--;
	}
	while (n < line->len && !is_blank(line->ptr[n]))
		n++;
	struct str word = { line->ptr, n };
	line->ptr += n;
	line->len -= n;
	return word;
}

/* "fe80::1%eth0" is fe80::1. */
static bool read_ip(struct str word, uint8_t ret_ip[16])
{
	char text[INET6_ADDRSTRLEN];
	struct str scope, ip = str_cut(word, '%', &scope);
	struct addr a;
	struct err e;

	if (!ip.len || ip.len >= sizeof(text))
		return false;
	memcpy(text, ip.ptr, ip.len);
	text[ip.len] = '\0';
	if (addr_from_ip(text, 0, &a, &e))
		return false;
	net_ip(&a, ret_ip);
	return true;
}

static void read_line(struct hosts_table *t, struct str line)
{
	uint8_t ip[16];
	struct str rest, word;

	line = str_cut(line, '#', &rest);
	if (!read_ip(word_next(&line), ip))
		return;
	while ((word = word_next(&line)).len) {
		struct dns_name name;
		if (!dns_name_from_text(word, &name) || !zone_set_match(t->zones, &name))
			continue;
		add_name(t, &name, ip);
		if (t->reverse)
			add_ip(t, ip, &name);
	}
}

void hosts_table_read(struct hosts_table *t, struct str text)
{
	while (text.ptr)
		read_line(t, str_cut(text, '\n', &text));
}

/* ---- looking up ---- */

const struct hosts_addresses *hosts_table_name(const struct hosts_table *t, const struct dns_name *name)
{
	return map_get(&t->names, (struct str){ (const char *)name->wire, name->len });
}

const struct hosts_names *hosts_table_ip(const struct hosts_table *t, const uint8_t ip[16])
{
	return map_get(&t->ips, (struct str){ (const char *)ip, 16 });
}

size_t hosts_table_count(const struct hosts_table *t)
{
	size_t n = t->ips.count;

	for (struct map_iter it = { 0 }; map_next(&t->names, &it);) {
		const struct hosts_addresses *a = it.value;
		n += (a->n4 != 0) + (a->n6 != 0);
	}
	return n;
}

static struct dns_name reverse_name(const uint8_t *ip)
{
	char text[4 * 32 + 16];
	struct dns_name n = { .len = 1 };
	size_t len = 0;

	if (net_ip_is_4(ip))
		snprintf(text, sizeof(text), "%u.%u.%u.%u.in-addr.arpa", ip[15], ip[14], ip[13], ip[12]);
	else
		for (int i = 15; i >= 0; i--)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%x.%x.%s", ip[i] & 15, ip[i] >> 4, i ? "" : "ip6.arpa");
	if (!dns_name_from_text(str_of(text), &n))
		n = (struct dns_name){ .len = 1 };
	return n;
}

/* Loopback, unspecified, multicast: what every /etc/hosts has, and no cluster. */
static bool is_everyones(const uint8_t *ip)
{
	static const uint8_t zeros[15];

	if (net_ip_is_4(ip))
		return ip[12] == 127 || ip[12] == 0 || ip[12] >= 224;
	return ip[0] == 0xff || (ip[0] == 0xfe && ip[1] == 0) || (memcmp(ip, zeros, sizeof(zeros)) == 0 && ip[15] <= 1);
}

bool hosts_table_has_name(const struct hosts_table *t, const struct dns_name *zone)
{
	for (struct map_iter it = { 0 }; map_next(&t->names, &it);) {
		struct dns_name n;
		size_t end;
		if (dns_name_read(it.key, 0, &n, &end) && dns_name_under(&n, zone))
			return true;
	}
	return false;
}

bool hosts_table_has_ip(const struct hosts_table *t, const struct dns_name *zone)
{
	for (struct map_iter it = { 0 }; map_next(&t->ips, &it);) {
		struct dns_name n = reverse_name((const uint8_t *)it.key.ptr);
		if (!is_everyones((const uint8_t *)it.key.ptr) && dns_name_under(&n, zone))
			return true;
	}
	return false;
}
