#include "roles/dns/plugin/zone_set.h"

#include <arpa/inet.h>
#include <stdio.h>

#define SPLIT_MAX 128 /* reverse zones that one prefix between two labels makes, as 10.0.0.0/9 does */

static void add(struct zone_set *z, const struct dns_name *n)
{
	z->names = xrealloc(z->names, (z->n + 1) * sizeof(*z->names));
	z->names[z->n++] = *n;
}

/* The reverse zone of the first `labels` labels' worth of an address. */
static void add_reverse(struct zone_set *z, const uint8_t *ip, bool v6, unsigned labels)
{
	char text[4 * 32 + 16];
	struct dns_name n;
	size_t len = 0;

	while (labels--) {
		unsigned v = v6 ? (ip[labels / 2] >> (labels % 2 ? 0 : 4)) & 15 : ip[labels];
		len += (size_t)snprintf(text + len, sizeof(text) - len, v6 ? "%x." : "%u.", v);
	}
	snprintf(text + len, sizeof(text) - len, v6 ? "ip6.arpa" : "in-addr.arpa");
	if (dns_name_from_text(str_of(text), &n))
		add(z, &n);
}

/* "10.32.0.0/11" lies between two labels: it is 32.10.in-addr.arpa to 63.10.in-addr.arpa. */
static bool add_prefix(struct zone_set *z, const char *word)
{
	char ip_text[INET6_ADDRSTRLEN];
	struct str bits_text, ip_str = str_cut(str_of(word), '/', &bits_text);
	bool v6 = strchr(word, ':') != NULL;
	unsigned per_label = v6 ? 4 : 8;
	uint8_t ip[16];
	uint64_t bits;

	if (ip_str.len >= sizeof(ip_text) || !str_to_u64(bits_text, v6 ? 128 : 32, &bits))
		return false;
	memcpy(ip_text, ip_str.ptr, ip_str.len);
	ip_text[ip_str.len] = '\0';
	if (inet_pton(v6 ? AF_INET6 : AF_INET, ip_text, ip) != 1)
		return false;
	unsigned labels = (unsigned)(bits + per_label - 1) / per_label, open = labels * per_label - (unsigned)bits;
	if (!labels) {
		add_reverse(z, ip, v6, 0);
		return true;
	}
	unsigned at = v6 ? (labels - 1) / 2 : labels - 1, shift = v6 && labels % 2 ? 4 : 0;
	uint8_t first = (uint8_t)(ip[at] & ~(((1u << open) - 1) << shift));
	for (unsigned i = 0; i < 1u << open && i < SPLIT_MAX; i++) {
		ip[at] = (uint8_t)(first + (i << shift));
		add_reverse(z, ip, v6, labels);
	}
	return true;
}

int zone_set_add(struct zone_set *z, const char *const *words, size_t n, const struct corefile_line *at, const char *plugin,
		 struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct dns_name name;
		if (strchr(words[i], '/') && add_prefix(z, words[i]))
			continue;
		if (!*words[i] || strchr(words[i], '/') || !dns_name_from_text(str_of(words[i]), &name))
			return directive_error(e, at, plugin, "\"%.260s\" is not a zone: a domain name or a prefix as "
					       "10.0.0.0/8 is", words[i]);
		add(z, &name);
	}
	return 0;
}

int zone_set_parse(struct zone_set *z, const char *const *words, size_t n, const struct corefile_line *at, const char *plugin,
		   const struct plugin_scope *scope, struct err *e)
{
	if (!n) {
		words = scope->block_zones;
		while (words[n])
			n++;
	}
	return zone_set_add(z, words, n, at, plugin, e);
}

int zone_set_fallthrough(struct zone_set *z, const struct corefile_line *line, const char *plugin, struct err *e)
{
	static const char *const all[] = { "." };

	return zone_set_add(z, line->n > 1 ? line->words + 1 : all, line->n > 1 ? line->n - 1 : 1, line, plugin, e);
}

void zone_set_done(struct zone_set *z)
{
	free(z->names);
	*z = (struct zone_set){ 0 };
}

const struct dns_name *zone_set_match(const struct zone_set *z, const struct dns_name *name)
{
	const struct dns_name *best = NULL;

	for (size_t i = 0; i < z->n; i++)
		if (dns_name_under(name, &z->names[i]) && (!best || z->names[i].labels > best->labels))
			best = &z->names[i];
	return best;
}

bool zone_set_overlaps(const struct zone_set *z, const struct dns_name *zone)
{
	for (size_t i = 0; i < z->n; i++)
		if (dns_name_under(&z->names[i], zone) || dns_name_under(zone, &z->names[i]))
			return true;
	return false;
}
