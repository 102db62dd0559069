/* kubernetes.h - what others need of the kubernetes plug-in's settings. */
#pragma once

#include "roles/dns/config/config.h"
#include "roles/dns/zone/zone.h"

/* How long the first list is waited for before questions are answered (with SERVFAIL until it is there): the longest
 * startup_timeout, or `otherwise_ms` when none is given. */
uint64_t kubernetes_startup_timeout_ms(const struct dns_config *c, uint64_t otherwise_ms);
/* Of its first zone; also before it is started. Texts in it are the plug-in's. */
void kubernetes_options(const struct plugin_instance *i, struct zone_options *ret);
/* A started zone of the configuration, one that leaves nothing out if there is one; NULL: it has none. It lasts as long as the
 * configuration. */
struct zone *kubernetes_whole_zone(const struct dns_config *c);
