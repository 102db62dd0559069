/* The plug-ins, in the order in which questions pass them: CoreDNS' plugin.cfg, with ours where they belong: cookies and limits before everything. */
#include "roles/dns/plugin/plugin.h"

#define PLUGINS(X)                                                              \
	/* cookies */                                                           \
	/* ratelimit */                                                         \
	/* rrl */                                                               \
	/* tls */                                                               \
	/* reload */                                                            \
	/* nsid */                                                              \
	/* bufsize */                                                           \
	/* bind */                                                              \
	/* debug */                                                             \
	/* ready */                                                             \
	/* health */                                                            \
	/* prometheus */                                                        \
	/* errors */                                                            \
	/* log */                                                               \
	/* local */                                                             \
	/* dns64 */                                                             \
	X(acl)                                                                  \
	/* any */                                                               \
	/* loadbalance */                                                       \
	/* cache */                                                             \
	/* rewrite */                                                           \
	/* header */                                                            \
	/* autopath */                                                          \
	/* minimal */                                                           \
	/* template */                                                          \
	X(hosts)                                                                \
	/* kubernetes */                                                        \
	/* loop */                                                              \
	/* forward */                                                           \
	/* whoami */

#define DECLARE(name) extern const struct plugin plugin_##name;
#define ROW(name) &plugin_##name,
PLUGINS(DECLARE)

const struct plugin *const dns_plugins[] = { PLUGINS(ROW) NULL };

const struct plugin *plugin_find(const char *name)
{
	for (size_t i = 0; dns_plugins[i]; i++)
		if (strcmp(dns_plugins[i]->name, name) == 0)
			return dns_plugins[i];
	return NULL;
}
