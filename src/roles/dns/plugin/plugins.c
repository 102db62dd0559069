/* The plug-ins, in the order in which questions pass them: CoreDNS' plugin.cfg, with ours where they belong: limits and cookies before everything. */
#include "roles/dns/plugin/plugin.h"

#define PLUGINS(X) \
	X(ratelimit) \
	X(cookies) \
	X(rrl) \
	X(timeouts) \
	X(multisocket) \
	X(reload) \
	X(nsid) \
	X(bufsize) \
	X(bind) \
	X(debug) \
	X(ready) \
	X(health) \
	X(prometheus) \
	X(errors) \
	X(log) \
	X(local) \
	X(dns64) \
	X(any) \
	X(chaos) \
	X(loadbalance) \
	X(rewrite) \
	X(autopath) \
	X(acl) \
	X(cache) \
	X(header) \
	X(minimal) \
	X(tls) \
	X(template) \
	X(hosts) \
	X(kubernetes) \
	X(loop) \
	X(forward) \
	X(whoami) \

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
