#include "roles/dns/resolv_conf.h"

static bool is_own(const char *ip, const char *const *own)
{
	for (; own && *own; own++)
		if (strcmp(ip, *own) == 0)
			return true;
	return false;
}

static struct str first_word(struct str s, struct str *rest)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] != ' ' && s.ptr[n] != '\t')
		n++;
	*rest = str_trim((struct str){ s.ptr + n, s.len - n });
	return (struct str){ s.ptr, n };
}

void old_resolv_conf_parse(struct str text, uint16_t port, const char *const *own,
		       struct resolv_conf *ret)
{
	ret->n = 0;
	for (struct str rest = text; rest.ptr && ret->n < RESOLV_SERVERS_MAX;) {
		struct str after, line = str_trim(str_cut(rest, '\n', &rest));
		char ip[ADDR_TEXT_BYTES];
		struct err e;

		if (!str_eq_c(first_word(line, &line), "nameserver"))
			continue;
		struct str word = first_word(line, &after);
		if (!word.len || word.len >= sizeof(ip))
			continue;
		memcpy(ip, word.ptr, word.len);
		ip[word.len] = '\0';
		if (!is_own(ip, own) && addr_from_ip(ip, port, &ret->servers[ret->n], &e) == 0)
			ret->n++;
	}
}
