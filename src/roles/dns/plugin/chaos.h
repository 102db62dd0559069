/* chaos.h - questions of class CH, which no other plug-in sees: version.bind, hostname.bind and the like. */
#pragma once

#include "codec/dns.h"
#include "roles/dns/plugin/plugin.h"

#define DNS_CLASS_CH 3

extern const struct plugin plugin_chaos;
/* `settings` are plugin_chaos'. Returns the answer's length; REFUSED for what it does not know. */
size_t chaos_answer(const void *settings, const struct dns_query *q, uint8_t *out, size_t max);
