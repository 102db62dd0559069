/* bind - on which addresses a block is served. No part in questions. */
#include "roles/dns/plugin/bind.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>

#define BIND_ADDRESSES_MAX 64 /* of a block, each with sockets for every worker */

struct bind {
	const char *addresses[BIND_ADDRESSES_MAX + 1];
	size_t n;
};

static bool is_ip(const char *word)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, word, ip) == 1 || inet_pton(AF_INET6, word, ip) == 1;
}

static bool has(const struct bind *b, const char *ip)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->addresses[i], ip) == 0)
			return true;
	return false;
}

static int add(struct bind *b, const char *ip, const struct corefile_line *at, struct err *e)
{
	if (has(b, ip))
		return 0;
	if (b->n == BIND_ADDRESSES_MAX)
		return directive_error(e, at, "bind", "more than %u addresses", BIND_ADDRESSES_MAX);
	b->addresses[b->n++] = xstrdup(ip);
	return 0;
}

/* Link-local addresses of IPv6 need their interface, which no answer of ours names: left out. */
static bool usable(const struct sockaddr *a, char text[INET6_ADDRSTRLEN])
{
	const struct sockaddr_in *v4 = (const void *)a;
	const struct sockaddr_in6 *v6 = (const void *)a;

	if (a && a->sa_family == AF_INET)
		return inet_ntop(AF_INET, &v4->sin_addr, text, INET6_ADDRSTRLEN);
	return a && a->sa_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) &&
	       inet_ntop(AF_INET6, &v6->sin6_addr, text, INET6_ADDRSTRLEN);
}

static int add_interface(struct bind *b, const char *name, const struct corefile_line *at, struct err *e)
{
	char text[INET6_ADDRSTRLEN];
	struct ifaddrs *all;
	int rc = 0;

	if (if_nametoindex(name) == 0)
		return directive_error(e, at, "bind", "'%s' is neither an IP address nor an interface of this machine", name);
	if (getifaddrs(&all) == -1)
		return directive_error(e, at, "bind", "the addresses of '%s' cannot be had", name);
	for (const struct ifaddrs *i = all; i && rc == 0; i = i->ifa_next)
		if (strcmp(i->ifa_name, name) == 0 && usable(i->ifa_addr, text))
			rc = add(b, text, at, e);
	freeifaddrs(all);
	return rc;
}

/* ADDRESS|IFACE... from the line's second word on. */
static int add_all(struct bind *b, const struct corefile_line *l, struct err *e)
{
	if (l->n < 2)
		return directive_error(e, l, "bind", "needs at least one address or interface");
	for (size_t i = 1; i < l->n; i++)
		if ((is_ip(l->words[i]) ? add(b, l->words[i], l, e) : add_interface(b, l->words[i], l, e)) < 0)
			return -1;
	return 0;
}

static void clear(struct bind *b)
{
	for (size_t i = 0; i < b->n; i++)
		free((char *)(uintptr_t)b->addresses[i]);
	*b = (struct bind){ 0 };
}

static int bind_parse(const struct directive *d, const struct plugin_scope *scope, void **settings, struct err *e)
{
	struct bind *all = *settings ? *settings : xcalloc(1, sizeof(*all)), these = { 0 }, except = { 0 };
	int rc = add_all(&these, &d->head, e);

	(void)scope;
	*settings = all;
	for (size_t i = 0; i < d->n_body && rc == 0; i++)
		rc = add_all(&except, &d->body[i], e);
	for (size_t i = 0; i < these.n && rc == 0; i++)
		if (!has(&except, these.addresses[i]))
			rc = add(all, these.addresses[i], &d->head, e);
	clear(&these);
	clear(&except);
	if (rc == 0 && all->n == 0)
		return directive_error(e, &d->head, "bind", "no address is left to listen on");
	return rc;
}

static void bind_free(void *settings)
{
	clear(settings);
	free(settings);
}

const char *const *bind_addresses(const void *settings)
{
	return ((const struct bind *)settings)->addresses;
}

static const struct plugin_property properties[] = {
	{ "except", "ADDRESS|INTERFACE…", "not on these" },
	{ NULL },
};
const struct plugin plugin_bind = {
	.name = "bind",
	.args = "ADDRESS|INTERFACE…",
	.doc = "on which addresses the block is served; an interface stands for the addresses it has when the file is read (for IPv6, those that are "
	       "not link-local). Without it: on all. `--listen` comes in place of what blocks of port 53 bind",
	.properties = properties,
	.more = true,
	.parse = bind_parse,
	.free_settings = bind_free,
};
