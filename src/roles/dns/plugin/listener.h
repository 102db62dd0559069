/* listener.h - what prometheus, health and ready have in common: a directive with an address to listen on. */
#pragma once

#include "roles/dns/observe/admin.h"
#include "roles/dns/config/config.h"
#include "roles/dns/plugin/plugin.h"

struct listener_settings {
	char *address;
	enum dns_admin_path path;
	uint64_t lameduck_ms; /* health's */
};
/* [ADDRESS], else `address`; what is in its braces is the caller's. NULL with an error. */
struct listener_settings *listener_parse(const struct directive *d, const char *plugin, const char *address, enum dns_admin_path path,
					 struct err *e);
void listener_settings_free(void *settings);
int listener_start(struct plugin_instance *i, struct dns_shared *s, struct err *e);
void listener_stop(struct plugin_instance *i, struct dns_shared *s);
bool listener_touches(const struct plugin_instance *i, const struct dns_name *zone); /* never */

/* How long the role answers after it was told to end: the longest of `c`. */
uint64_t health_lameduck_ms(const struct dns_config *c);
